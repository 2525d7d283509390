"""The length of an average chosen after training, by scores that are known."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from audiogan.adversarial.posthoc import average_of
from audiogan.adversarial.scoring import Scoring
from audiogan.errors import UsageError
from audiogan.workflow import averaging, learn, sections
from audiogan.workflow import model as models
from tests.workflow.test_learn import RECIPE, toy_pipeline


@pytest.fixture(autouse=True)
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A working folder whose recipe keeps what any length can be made from."""
    found = toy_pipeline([])
    for module in (sections, models):
        monkeypatch.setattr(module, "load_pipeline", lambda name: found)
    monkeypatch.setenv("AUDIOGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.mid").write_bytes(b"one")
    kept = RECIPE.replace("window: 2", "window: 2, averages: {posthoc: {every: 0.2, widths: [0.05, 0.2]}}")
    (tmp_path / "own.yaml").write_text(kept)
    return found


def scored(target: torch.Tensor, error: float = 0.0) -> Any:
    """Return how far a weight is from a target; anything else is none of its business."""

    def score(modules: Any, seed: int) -> dict[str, float]:
        return {"distance": float((modules["generator"].weight - target).norm()), "error": error}

    return lambda *args, **options: Scoring(score)


def weight(folder: Path) -> torch.Tensor:
    from audiogan.adversarial.model import load_model

    return load_model(folder / "model")[0]["generator"]["weight"].float()


def test_the_nearest_average_is_put_into_the_model(
    tmp_path: Path, pipeline: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = "optimizer.generator.lr=0.05"
    usual = weight(learn.train("own.yaml", [rate], out="plain", device="cpu").run)
    run = tmp_path / "plain"
    wanted = average_of(run, 0.2)["generator"]["weight"]
    assert not torch.allclose(wanted, usual, atol=1e-3)
    assert learn.choose_average(run, [0.2]) == 0.2, "the only width that is named needs no score"
    assert torch.allclose(weight(run), wanted, atol=2e-3)
    with pytest.raises(UsageError, match="too little is held out"):
        learn.choose_average(run, [0.05, 0.2])
    pipeline.scoring = scored(wanted)
    taken = learn.train("own.yaml", [rate], out="scored", device="cpu")
    assert torch.allclose(weight(taken.run), wanted, atol=2e-3)
    told = json.loads((taken.run / averaging.CHOICE).read_text())
    assert told["taken"] == 0.2
    assert [one["width"] for one in told["tried"]] == [None, 0.05, 0.2]
    card = json.loads((taken.run / "model" / "card.json").read_text())
    assert card["average_width"] == 0.2
    assert card["weights_sha256"] == models.sha256_of(taken.run / "model" / "model.safetensors")
    assert len(pipeline.finished) == 4  # of both runs, of the choice without a score, of the choice with one


def test_the_usual_average_comes_back_when_it_is_better_after_all(pipeline: SimpleNamespace, tmp_path: Path) -> None:
    run = learn.train("own.yaml", ["optimizer.generator.lr=0.05"], out="run", device="cpu").run
    usual = weight(run).clone()
    assert learn.choose_average(run, [0.2]) == 0.2
    assert not torch.equal(weight(run), usual)
    pipeline.scoring = scored(usual)
    assert learn.choose_average(run, [0.05, 0.2]) is None
    assert torch.equal(weight(run), usual)
    assert "average_width" not in json.loads((run / "model" / "card.json").read_text())


def test_a_copy_that_a_kill_cut_short_is_not_believed(pipeline: SimpleNamespace, tmp_path: Path) -> None:
    run = learn.train("own.yaml", ["optimizer.generator.lr=0.05"], out="run", device="cpu").run
    usual = weight(run).clone()
    (run / f".tmp-{averaging.USUAL}").mkdir()
    assert learn.choose_average(run, [0.2]) == 0.2
    averaging.put_back(run)
    assert torch.equal(weight(run), usual)
    assert not (run / averaging.USUAL).exists() and not (run / f".tmp-{averaging.USUAL}").exists()


def test_the_usual_average_stays_where_no_other_is_clearly_nearer(pipeline: SimpleNamespace, tmp_path: Path) -> None:
    pipeline.scoring = scored(torch.zeros(1, 2), error=9.0)
    taken = learn.train("own.yaml", out="run", device="cpu")
    assert json.loads((taken.run / averaging.CHOICE).read_text())["taken"] is None
    assert "average_width" not in json.loads((taken.run / "model" / "card.json").read_text())
