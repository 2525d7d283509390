"""Prepared corpora between preparing and training: in shards, a run resumes exactly, and damage stops it at once."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audiogan import recipe
from audiogan.cli.program import app
from audiogan.corpus import midi
from audiogan.workflow import learn
from tests.pipelines.multitrack.small import NETWORK, song

TRAIN = {"budget": "6 steps", "batch_size": 4, "checkpoint_steps": 3, "tensorboard": False, "score": {"every": None}}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with songs, a recipe that keeps them in shards, and a cache of its own."""
    (tmp_path / "songs").mkdir()
    for number in range(4):
        midi.write(song(5, number), tmp_path / "songs" / f"{number}.mid")
    tree: dict[str, Any] = {
        "pipeline": "multitrack",
        "seed": 3,
        "corpus": {"folder": str(tmp_path / "songs"), "shard_megabytes": 1},
        "model": {"n_bars": 2, "network": NETWORK.model_dump()},
        "train": TRAIN,
    }
    (tmp_path / "own.yaml").write_text(recipe.dump(tree))
    monkeypatch.setenv("AUDIOGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_that_reads_shards_resumes_exactly(place: Path) -> None:
    learn.train("own.yaml", out="straight")
    learn.train("own.yaml", out="halves")
    shutil.rmtree(place / "halves" / "model")
    shutil.rmtree(place / "halves" / "checkpoints" / "step-00000006")
    assert learn.train(resume="halves").step == 6
    straight, halves = ((place / run / "model" / "model.safetensors").read_bytes() for run in ("straight", "halves"))
    assert halves == straight


def test_damage_is_told_before_training_begins(place: Path) -> None:
    folder = learn.prepare("own.yaml").folder
    path = folder / "train-000000.tar"
    path.write_bytes(path.read_bytes()[:-512])
    done = CliRunner().invoke(app, ["train", "own.yaml", "--out", "run"])
    assert done.exit_code == 3
    assert f"{path.stat().st_size:,} bytes, {path.stat().st_size + 512:,} were written" in " ".join(done.stderr.split())
    assert not (place / "run").exists()


def test_who_prepares_does_not_change_what_is_prepared(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiogan.corpus.spreading.by_ray", lambda work, items: iter(()))
    first = learn.prepare("own.yaml", ["corpus.spread_by=ray"])
    second = learn.prepare("own.yaml")
    assert (first.reused, second.reused) == (False, True)
    assert not learn.prepare("own.yaml", ["corpus.shard_megabytes=2"]).reused
