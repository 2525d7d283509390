"""F1: kill -9 at any moment, also inside a save. The run resumes and ends in the same weights, bit for bit."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from audiogan.adversarial.trainer import Trainer
from audiogan.errors import CheckpointError, UsageError
from audiogan.workflow import learn, sections
from audiogan.workflow import model as models
from tests.adversarial import toys
from tests.adversarial.faults.conftest import N_KILLED_RUNS
from tests.workflow import test_learn

KILLS = [f"kill {seed}" for seed in range(N_KILLED_RUNS)]
Disturbed = tuple[Path, dict[str, Any]]


@pytest.mark.parametrize("name", [*KILLS, "boundaries"])
def test_a_killed_run_ends_in_the_same_weights(disturbed: Disturbed, name: str) -> None:
    folder, outcome = disturbed
    found = outcome[name]
    assert found["ends"][-1] == 0
    assert found["steps"] == sorted(found["steps"]), "no checkpoint was lost"
    assert toys.digest(folder / name) == toys.digest(folder / "alone")
    assert all(path.name.startswith("step-") for path in (folder / name / "checkpoints").iterdir())
    left = {path.name for path in (folder / name).iterdir()}
    assert left == {"best.json", "checkpoints", "run.lock", "stats.jsonl"}


def test_the_kills_met_running_trainings_also_inside_saves(disturbed: Disturbed) -> None:
    found = [disturbed[1][name] for name in KILLS]
    assert sum(one["ends"].count(-signal.SIGKILL) for one in found) >= 2 * len(KILLS)
    assert sum(one["in_save"] for one in found) >= 1
    assert len({step for one in found for step in one["steps"]}) > len(KILLS), "at different steps"


def test_every_boundary_of_a_save_was_met(disturbed: Disturbed) -> None:
    ends = disturbed[1]["boundaries"]["ends"]
    # Eleven files with two boundaries each; their sync, their name and its sync; the name and removal of an old one.
    assert ends.count(-signal.SIGKILL) >= 2 * 11 + 5


# ---- before the first checkpoint


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a recipe of a toy pipeline that fits its networks to the corpus before it trains."""
    pipeline = test_learn.toy_pipeline([])

    def settle(modules: dict[str, nn.Module], config: Any, dataset: Any) -> None:
        nn.init.constant_(modules["generator"].get_parameter("bias"), 3.0)

    monkeypatch.setattr(pipeline, "settle", settle, raising=False)
    for module in (sections, models):
        monkeypatch.setattr(module, "load_pipeline", lambda name: pipeline)
    monkeypatch.setattr("audiogan.pipeline.load_pipeline", lambda name: pipeline)
    monkeypatch.setenv("AUDIOGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "songs").mkdir()
    (tmp_path / "own.yaml").write_text(test_learn.RECIPE)
    return tmp_path


def die_in_the_first_step(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Begin a run that ends as abruptly as a test can end it, before anything was saved."""

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Trainer, "step", dies)
        learn.train("own.yaml", out="run", **options)
    assert not (Path("run") / "checkpoints").exists()


@pytest.mark.parametrize("init", [None, "parent"])
def test_a_run_that_died_before_its_first_checkpoint_begins_as_it_began(
    place: Path, monkeypatch: pytest.MonkeyPatch, init: str | None
) -> None:
    learn.train("own.yaml", ["seed=9"], out="parent")
    die_in_the_first_step(monkeypatch, init=init)
    learn.train(None, resume="run")
    learn.train("own.yaml", out="straight", init=init)
    assert test_learn.weights(place / "run") == test_learn.weights(place / "straight")
    cards = [test_learn.repeatable(place / run) for run in ("run", "straight")]
    assert cards[0] == cards[1]


def test_a_run_does_not_begin_again_with_another_model(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn.train("own.yaml", ["seed=9"], out="parent")
    die_in_the_first_step(monkeypatch, init="parent")
    shutil.rmtree("parent")
    learn.train("own.yaml", ["seed=10"], out="parent")
    with pytest.raises(CheckpointError, match="began with another model than parent is now"):
        learn.train(None, resume="run")


def test_a_run_is_known_as_one_when_all_of_its_beginning_is_written(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(learn, "keep_beginning", dies)
        learn.train("own.yaml", out="run")
    with pytest.raises(UsageError, match=r"no recipe\.yaml there"):
        learn.train(None, resume="run")
    assert learn.train("own.yaml", out="run").step == 6
