"""The benchmark of best against last compares what it says, by scores that are known."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from audiogan.adversarial.scoring import Scoring
from audiogan.errors import UsageError
from audiogan.workflow import learn, sections
from audiogan.workflow import model as models
from tests.benchmarks import best_or_last
from tests.workflow.test_learn import RECIPE, toy_pipeline


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of a toy pipeline in which the first score was the best one."""
    pipeline = toy_pipeline([])
    distances = iter([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    pipeline.scoring = lambda *_, **__: Scoring(lambda *_: {"distance": next(distances)})
    for module in (sections, models):
        monkeypatch.setattr(module, "load_pipeline", lambda name: pipeline)
    monkeypatch.setenv("AUDIOGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.mid").write_bytes(b"one")
    settings = "window: 2, score: {every: 0.3, least_steps: 1}"
    (tmp_path / "own.yaml").write_text(RECIPE.replace("window: 2", settings))
    found = learn.train("own.yaml", ["optimizer.generator.lr=0.05"], out="run", device="cpu").run

    def score(modules: Any, seed: int) -> dict[str, float]:
        return {"distance": float(modules["generator"].weight.norm()) + seed}

    pipeline.scoring = lambda *_, **__: Scoring(score)
    return found


def test_best_and_last_are_scored_with_every_seed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best_or_last.main([str(run), "--seeds", "0", "100", "--out", "figures.json"])
    told = json.loads(capsys.readouterr().out)
    assert json.loads(Path("figures.json").read_text()) == told
    (found,) = told["runs"]
    assert (found["best_step"], found["last_step"], found["chosen"], found["nearest"]) == (2, 6, "best", "last")
    for name, step in (("best", 2), ("last", 6)):
        tensors = best_or_last.shared_tensors(run / "checkpoints" / f"step-{step:08d}")
        norm = float(torch.linalg.norm(tensors["generator"]["weight"]))
        assert found["rows"][name]["distance"] == pytest.approx(norm + 50.0, rel=1e-6)
        assert [one["distance"] for one in found["rows"][name]["by_seed"]] == pytest.approx([norm, norm + 100.0])
    assert found["rows"].keys() == {"best", "last"}


def test_averages_are_compared_where_a_run_kept_them() -> None:
    kept = "train.averages.posthoc={every: 0.2, widths: [0.05, 0.2]}"
    run = learn.train("own.yaml", [kept, "optimizer.generator.lr=0.05"], out="kept", device="cpu").run
    (found,) = [best_or_last.measure(run, seeds=[0], count=8)]
    assert found["rows"].keys() == {"best", "last", "width 0.05", "width 0.2"}
    assert len({row["distance"] for row in found["rows"].values()}) > 2


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected the folder of a run"):
        best_or_last.measure(tmp_path, seeds=[0], count=8)
