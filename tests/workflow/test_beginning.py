"""What a run may begin with: blocks that stand still need a model to stand still from."""

from pathlib import Path

import pytest

from audiogan import recipe as recipes
from audiogan import workflow
from audiogan.errors import RecipeError, UsageError
from audiogan.workflow import learn, supervisor
from audiogan.workflow.supervisor import Ended

FROZEN = [
    ("multitrack/smoke", "game.freeze=1"),
    ("waveform/smoke", "game.freeze=1"),
    ("multitrack/classic-musegan", "game.classic.freeze=1"),
    ("waveform/classic-gansynth", "game.classic.freeze=1"),
]


@pytest.mark.parametrize(("recipe", "setting"), FROZEN)
def test_frozen_blocks_without_a_model_are_refused_before_anything_is_read(
    recipe: str, setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learn, "fill", lambda *_, **__: pytest.fail("the corpus was read"))
    with pytest.raises(RecipeError, match=r"`freeze: 1` in game would hold blocks .* expected --init MODEL, too, or 0"):
        learn.train(recipe, [setting], out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_with_a_model_they_may_stand_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadError(Exception):
        pass

    def read(*_: object, **__: object) -> None:
        raise ReadError

    monkeypatch.setattr(learn, "fill", read)
    with pytest.raises(ReadError):
        learn.train("multitrack/smoke", ["game.freeze=1"], out=tmp_path / "run", init="band", device="cpu")


# ---- what every process of a training would refuse


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many processes were started, each time."""
    found: list[int] = []

    def start(_: object, *, processes: int, **__: object) -> Ended:
        found.append(processes)
        return Ended(0, "")

    monkeypatch.setattr(supervisor, "supervise", start)
    return found


def test_a_batch_that_does_not_divide_is_told_once_and_nothing_is_started(tmp_path: Path, started: list[int]) -> None:
    given = ("multitrack/smoke", ["train.batch_size=8"])
    with pytest.raises(UsageError, match=r"--processes 3 with train\.batch_size 8; expected a number that divides it"):
        workflow.train_supervised(*given, out=tmp_path / "run", processes=3)
    assert started == []
    workflow.train_supervised(*given, out=tmp_path / "run", processes=4)
    assert started == [4]


@pytest.mark.parametrize("setting", ["game.freeze=1", "train.batch_sise=8"])
def test_a_wrong_recipe_is_told_once(tmp_path: Path, started: list[int], setting: str) -> None:
    with pytest.raises(RecipeError):
        workflow.train_supervised("multitrack/smoke", [setting], out=tmp_path / "run", processes=2)
    assert started == []


def test_of_a_run_that_goes_on_its_own_recipe_counts(tmp_path: Path, started: list[int]) -> None:
    own, _ = workflow.resolve("multitrack/smoke", ["train.batch_size=6"])
    (tmp_path / "recipe.yaml").write_text(recipes.dump(own.resolved()))
    with pytest.raises(UsageError, match=r"train\.batch_size 6"):
        workflow.train_supervised(None, resume=tmp_path, processes=4)
    workflow.train_supervised(None, ["game.freeze=1"], resume=tmp_path, processes=3)
    assert started == [3]


@pytest.mark.parametrize("name", ["multitrack/classic-musegan", "waveform/classic-gansynth"])
def test_wgan_without_a_bound_is_refused_in_every_classic_game(name: str) -> None:
    with pytest.raises(RecipeError, match="wgan_gp 0 and clip 0; expected one of them above 0"):
        workflow.resolve(name, ["game.classic.wgan_gp=0", "game.classic.objective=wgan"])
    workflow.resolve(name, ["game.classic.wgan_gp=0", "game.classic.objective=wgan", "game.classic.clip=0.01"])
