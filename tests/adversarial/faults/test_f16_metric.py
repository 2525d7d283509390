"""F16: sample or metric code raises. Training goes on as if nothing had been measured, and the value is missing."""

import json
from pathlib import Path

import pytest
from torch import Tensor

from audiogan.adversarial.monitor import Hook, Snapshot
from tests.adversarial import toys
from tests.adversarial.test_scoring import counting, lines
from tests.adversarial.test_trainer import fit, one_phase


def test_a_metric_that_raises_is_missing_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def scores(step: int) -> dict[str, float]:
        if step > 2:
            raise RuntimeError("no ears")
        return {"distance": 1.0}

    def probes(_: int) -> dict[str, Tensor]:
        raise ValueError("no discriminator")

    ended = counting(tmp_path, scores, probes, score={"patience": 0.3, "patience_from": 0.0}).run()
    assert (ended.step, ended.reason) == (10, "budget")
    assert {"step": 3, "hook": "score", "failed": "RuntimeError: no ears"} in lines(tmp_path)
    assert {"step": 1, "hook": "probe", "failed": "ValueError: no discriminator"} in lines(tmp_path)
    assert "hook score failed at step 3; training goes on" in caplog.text


def test_a_failing_hook_is_reported_and_training_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Snapshot) -> None:
        raise RuntimeError("no sound card")

    assert one_phase(fit, tmp_path, hooks=[Hook("samples", broken, every=1.0)]).run().step == 10
    assert "hook samples failed at step 10" in caplog.text
    lines = [json.loads(text) for text in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert {"step": 10, "hook": "samples", "failed": "RuntimeError: no sound card"} in lines


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), RecursionError("deep"), OSError(28, "full")])
def test_whatever_a_metric_raises_the_weights_are_those_of_a_run_without_it(tmp_path: Path, error: Exception) -> None:
    def broken(_: Snapshot) -> dict[str, float]:
        raise error

    toys.trainer(tmp_path / "alone", "10 steps").run()
    hurt = toys.trainer(tmp_path / "hurt", "10 steps")
    hurt.hooks.append(Hook("samples", broken, every=0.2))
    assert hurt.run().exit_code == 0
    failed = [line for line in lines(tmp_path / "hurt") if line.get("hook") == "samples"]
    assert [line["step"] for line in failed] == [2, 4, 6, 8, 10]
    assert all(type(error).__name__ in line["failed"] for line in failed)
    assert toys.digest(tmp_path / "hurt") == toys.digest(tmp_path / "alone")
