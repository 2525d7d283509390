"""F8: the corpus changed under a run. It is not resumed as if nothing had happened; what changed is named."""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiogan import cli
from audiogan.errors import CheckpointError
from audiogan.workflow import learn, sections
from audiogan.workflow import model as models
from audiogan.workflow.contents import contents_of, difference, fingerprint_of
from tests.adversarial import toys
from tests.workflow import test_learn

LONGER = ["train.budget=9 steps"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a recipe and four songs, each of which is two examples of a toy pipeline."""
    pipeline = test_learn.toy_pipeline([])
    prepare = pipeline.prepare

    def with_index(corpus: Any, config: Any, folder: Path, **options: Any) -> dict[str, Any]:
        songs = sorted(Path(corpus.folder).glob("*.mid"))
        facts = [
            {"path": str(song), "root": corpus.folder, "sha256": hashlib.sha256(song.read_bytes()).hexdigest()}
            for song in songs
        ]
        lines = [{"index": 1}, *({"entry": fact | {"split": "train"}} for fact in facts)]
        (folder / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return prepare(corpus, config, folder, **options)

    monkeypatch.setattr(pipeline, "prepare", with_index)
    for module in (sections, models):
        monkeypatch.setattr(module, "load_pipeline", lambda name: pipeline)
    monkeypatch.setenv("AUDIOGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "songs").mkdir()
    for name in "abcd":
        (tmp_path / "songs" / f"{name}.mid").write_bytes(name.encode())
    (tmp_path / "own.yaml").write_text(test_learn.RECIPE)
    return tmp_path


def add(songs: Path) -> None:
    (songs / "e.mid").write_bytes(b"e")


def edit(songs: Path) -> None:
    (songs / "b.mid").write_bytes(b"other")


def delete(songs: Path) -> None:
    (songs / "c.mid").unlink()


def rename(songs: Path) -> None:
    (songs / "a.mid").rename(songs / "z.mid")


def touch(songs: Path) -> None:
    os.utime(songs / "d.mid", ns=(1, 1))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (add, r"1 added \(e\.mid\)"),
        (edit, r"1 changed \(b\.mid\)"),
        (delete, r"1 gone \(c\.mid\)"),
        (rename, r"1 added \(z\.mid\), 1 gone \(a\.mid\)"),
    ],
)
def test_a_changed_corpus_is_refused_and_the_change_is_named(
    place: Path, change: Callable[[Path], None], told: str
) -> None:
    learn.train("own.yaml", out="run")
    change(place / "songs")
    with pytest.raises(CheckpointError, match=rf"the corpus has changed.*: {told}; .*--corpus-changed") as caught:
        learn.train(None, LONGER, resume="run")
    assert (caught.value.reason, caught.value.exit_code) == ("corpus_changed", 65)


def test_a_touched_or_moved_corpus_is_the_same(place: Path) -> None:
    learn.train("own.yaml", out="run")
    touch(place / "songs")
    (place / "songs").rename(place / "tunes")
    learn.train(None, [*LONGER, "corpus.folder=tunes"], resume="run")
    learn.train("own.yaml", [*LONGER, "corpus.folder=tunes"], out="straight")
    assert test_learn.weights(place / "run") == test_learn.weights(place / "straight")


def test_the_user_may_go_on_with_another_corpus(
    place: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    learn.train("own.yaml", out="run")
    edit(place / "songs")
    with caplog.at_level(logging.WARNING), pytest.raises(SystemExit) as ended:
        cli.app(["train", *LONGER, "--resume", "run", "--corpus-changed", "--quiet"])
    assert ended.value.code == 0, capsys.readouterr().err
    assert "the order of examples is new from here" in caplog.text
    assert learn.train(None, ["train.budget=12 steps"], resume="run").step == 12, "from now on this is its corpus"


def test_the_number_of_examples_counts_where_nothing_else_is_known(tmp_path: Path) -> None:
    toys.trainer(tmp_path / "toy", "6 steps").run()
    changed = toys.trainer(tmp_path / "toy", "8 steps")
    changed.dataset = toys.Ring(95)
    with pytest.raises(CheckpointError, match="96 examples, now 95"):
        changed.run()


def test_notes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    notes = [{"name": "a.wav", "sha256": "1", "split": "train", "pitch": pitch} for pitch in (60, 61)]
    source = {"name": "font", "sha256": "9", "n_notes": 2}
    lines = [{"index": 1, "sources": [source]}, *({"note": note} for note in notes), {"refused": {"file": "b.wav"}}]
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = contents_of(tmp_path)
    assert found == {"font": "9", "a.wav": "1 train 60", "a.wav (2)": "1 train 61"}
    assert fingerprint_of(found) != fingerprint_of(found | {"font": "8"})
    assert fingerprint_of({}) == ""
    assert difference(found, found | {f"{n}.wav": "" for n in range(9)}) == ("9 added (0.wav, 1.wav, 2.wav and 6 more)")
