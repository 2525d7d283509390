"""What a training takes, summed over the parts of a run."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from audiogan.workflow import effort
from audiogan.workflow.effort import effort_of, measured


@pytest.fixture
def trainer() -> Any:
    """A trainer whose newest checkpoint is of step `step`."""
    stub: Any = SimpleNamespace(
        step=0, recovery=SimpleNamespace(times=2), standing=SimpleNamespace(warnings=("collapsed",))
    )
    stub.runtime = SimpleNamespace(is_main=True, world=1, device=torch.device("cpu"))
    stub.config, stub.guard = SimpleNamespace(batch_size=10), SimpleNamespace(n_skipped=4)
    stub.store = SimpleNamespace(steps=lambda: [stub.step] if stub.step else [])
    return stub


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Clocks that stand where they are put."""
    at = {"wall": 100.0, "cpu": 7.0}
    monkeypatch.setattr(effort.time, "monotonic", lambda: at["wall"])
    monkeypatch.setattr(effort, "_processor_seconds", lambda: at["cpu"])
    return at


def part(run: Path, trainer: Any, clock: dict[str, float], seconds: float, steps: int) -> None:
    with measured(run, trainer):
        clock["wall"] += seconds
        clock["cpu"] += seconds / 2
        trainer.step += steps


def test_the_parts_of_a_run_are_added_up(tmp_path: Path, trainer: Any, clock: dict[str, float]) -> None:
    part(tmp_path, trainer, clock, 10.0, 3)
    part(tmp_path, trainer, clock, 30.0, 5)
    found = effort_of(tmp_path)
    assert (found.wall_seconds, found.cpu_seconds, found.examples_per_second) == (40.0, 20.0, 2.0)
    assert (found.restarts, found.unmeasured_parts, found.rollbacks, found.alarms) == (1, 0, 2, ("collapsed",))
    assert (found.skipped_steps, found.device, found.processes, found.peak_device_memory_mib) == (4, "cpu", 1, None)
    assert isinstance(found.peak_memory_mib, float) and found.peak_memory_mib > 10


def test_a_part_that_was_killed_is_counted(tmp_path: Path, trainer: Any, clock: dict[str, float]) -> None:
    part(tmp_path, trainer, clock, 10.0, 3)
    kept = json.loads((tmp_path / "effort.json").read_text())
    (tmp_path / "effort.json").write_text(json.dumps(kept | {"n_parts": 2, "open": True}))
    part(tmp_path, trainer, clock, 5.0, 1)
    found = effort_of(tmp_path)
    assert (found.wall_seconds, found.restarts, found.unmeasured_parts) == (15.0, 2, 1)


def test_a_part_that_fails_is_measured_too(tmp_path: Path, trainer: Any, clock: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="diverged"), measured(tmp_path, trainer):
        clock["wall"] += 4.0
        raise ValueError("diverged")
    assert (effort_of(tmp_path).wall_seconds, effort_of(tmp_path).unmeasured_parts) == (4.0, 0)


def test_only_the_main_process_keeps_the_figures(tmp_path: Path, trainer: Any, clock: dict[str, float]) -> None:
    trainer.runtime.is_main = False
    part(tmp_path, trainer, clock, 1.0, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", ["", "[]", '{"n_parts": "x"}', '{"n_parts": 1, "device": 7}', '{"wall_seconds": -1}'])
def test_damaged_figures_count_as_unknown(tmp_path: Path, kept: str) -> None:
    (tmp_path / "effort.json").write_text(kept)
    assert effort_of(tmp_path).wall_seconds == "unknown"
    assert effort_of(tmp_path).device == "unknown"


def test_a_disk_that_refuses_costs_the_figures_only(
    tmp_path: Path, trainer: Any, clock: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").write_text("a file where the run should be")
    part(tmp_path / "run", trainer, clock, 1.0, 1)
    assert "what the training takes is not kept" in caplog.text
