"""The length of an average chosen after training, by scores that are known."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from audiogan import cli
from audiogan.adversarial.posthoc import average_of
from audiogan.adversarial.scoring import Scoring
from audiogan.errors import UsageError
from audiogan.workflow import averaging, choosing, learn, sections
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
    assert choosing.average(run, [0.2]).choice.width == 0.2, "the only width that is named needs no score"
    assert torch.allclose(weight(run), wanted, atol=2e-3)
    with pytest.raises(UsageError, match="too little is held out"):
        choosing.average(run, [0.05, 0.2])
    pipeline.scoring = scored(wanted)
    taken = learn.train("own.yaml", [rate], out="scored", device="cpu")
    assert torch.allclose(weight(taken.run), wanted, atol=2e-3)
    assert (taken.average_width, taken.as_json()["average_width"]) == (0.2, 0.2)
    told = json.loads((taken.run / averaging.CHOICE).read_text())
    assert told["taken"] == 0.2
    assert [one["width"] for one in told["tried"]] == [None, 0.05, 0.2]
    card = json.loads((taken.run / "model" / "card.json").read_text())
    assert card["model"]["average_width"] == 0.2
    assert card["model"]["weights_sha256"] == models.sha256_of(taken.run / "model" / "model.safetensors")
    assert len(pipeline.finished) == 4  # of both runs, of the choice without a score, of the choice with one


def test_the_usual_average_comes_back_when_it_is_better_after_all(pipeline: SimpleNamespace, tmp_path: Path) -> None:
    run = learn.train("own.yaml", ["optimizer.generator.lr=0.05"], out="run", device="cpu").run
    usual = weight(run).clone()
    assert choosing.average(run, [0.2]).choice.width == 0.2
    assert not torch.equal(weight(run), usual)
    pipeline.scoring = scored(usual)
    assert choosing.average(run, [0.05, 0.2]).choice.width is None
    assert torch.equal(weight(run), usual)
    assert json.loads((run / "model" / "card.json").read_text())["model"]["average_width"] is None


def test_a_copy_that_a_kill_cut_short_is_not_believed(pipeline: SimpleNamespace, tmp_path: Path) -> None:
    run = learn.train("own.yaml", ["optimizer.generator.lr=0.05"], out="run", device="cpu").run
    usual = weight(run).clone()
    (run / f".tmp-{averaging.USUAL}").mkdir()
    assert choosing.average(run, [0.2]).choice.width == 0.2
    averaging.put_back(run)
    assert torch.equal(weight(run), usual)
    assert not (run / averaging.USUAL).exists() and not (run / f".tmp-{averaging.USUAL}").exists()


def test_the_usual_average_stays_where_no_other_is_clearly_nearer(pipeline: SimpleNamespace, tmp_path: Path) -> None:
    pipeline.scoring = scored(torch.zeros(1, 2), error=9.0)
    taken = learn.train("own.yaml", out="run", device="cpu")
    assert taken.average_width is None
    assert json.loads((taken.run / averaging.CHOICE).read_text())["taken"] is None
    assert json.loads((taken.run / "model" / "card.json").read_text())["model"]["average_width"] is None


# ---- the command line


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of `audiogan average`."""
    with pytest.raises(SystemExit) as ended:
        cli.app(["average", *arguments])
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


@pytest.fixture
def ended_run(pipeline: SimpleNamespace) -> Path:
    pipeline.scoring = scored(torch.zeros(1, 2), error=9.0)  # the usual one stays
    return learn.train("own.yaml", ["optimizer.generator.lr=0.05"], out="run", device="cpu").run


def test_a_length_is_chosen_again_from_the_command_line(
    ended_run: Path, pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = average_of(ended_run, 0.15)["generator"]["weight"]
    pipeline.scoring = scored(wanted)
    code, out, _ = said(capsys, "run", "--width", "0.1", "--width", "0.15")
    assert code == 0
    assert out.startswith("put the average of width 0.15 into run/model, distance 0 against ")
    assert torch.allclose(weight(ended_run), wanted, atol=2e-3)
    code, out, err = said(capsys, "run", "--json", "--quiet")
    told = json.loads(out)
    assert (code, err, told["run"], told["model"]) == (0, "", "run", "run/model")
    assert [one["width"] for one in told["tried"]] == [None, 0.05, 0.2]
    assert told["width"] == json.loads((ended_run / averaging.CHOICE).read_text())["taken"]


def test_the_command_line_says_when_the_usual_average_stays(
    ended_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = said(capsys, "run", "--quiet")
    assert code == 0
    assert out.startswith("kept the usual average in run/model, distance ")
    assert out.rstrip().endswith("which is not nearer by more than the standard error")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 2, "nowhere: no recipe.yaml there; expected the folder of a run"),
        (["run", "--width", "0.5"], 2, "--width 0.5; expected a number above 0, at most 0.25"),
        (["run", "--width", "0"], 2, "--width 0; expected a number above 0"),
        (["run", "--width", "nan"], 2, "--width nan; expected a number above 0"),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_one_line(
    ended_run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    found, out, err = said(capsys, *arguments, "--quiet")
    assert (found, out) == (code, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_run_that_stored_no_averages_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_text(RECIPE)
    learn.train("own.yaml", out="run", device="cpu")
    code, out, err = said(capsys, "run", "--width", "0.1", "--quiet")
    assert (code, out) == (65, "")
    assert "no averages; expected a run with `averages.posthoc` in train" in err


def test_a_run_that_goes_on_is_left_alone(ended_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hold = "import sys; from pathlib import Path; from audiogan.adversarial.disk import locked\n"
    hold += "with locked(Path('run')): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        code, out, err = said(capsys, "run", "--quiet")
        holder.communicate()
    assert (code, out) == (75, "")
    assert "in use by process" in err
