"""F2: SIGTERM and SIGINT. The step ends, all is saved, and the exit code says which signal it was."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from audiogan.adversarial import checkpoint
from audiogan.adversarial.config import Stopped
from audiogan.adversarial.monitor import Hook
from audiogan.adversarial.trainer import Trainer
from tests.adversarial import toys
from tests.adversarial.faults import killing

CODES = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_stopped_run_has_saved_within_a_step_and_ends_in_the_same_weights(
    disturbed: tuple[Path, dict[str, Any]], number: signal.Signals, code: int
) -> None:
    folder, outcome = disturbed
    found = outcome[number.name]
    *ends, last = found["ends"]
    assert last == 0
    # A run may end by itself before the signal comes.
    assert set(ends) <= {code, 0}
    assert code in ends
    assert set(found["late"]) <= {0, 1}, "steps after the signal"
    assert max(found["waits"]) < 10.0
    assert toys.digest(folder / number.name) == toys.digest(folder / "alone")


def tell(number: int) -> None:
    os.kill(os.getpid(), number)


def once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int) -> None:
    """Let a signal come when a function is called for the first time."""
    whole, left = getattr(owner, name), [number]

    def signalled(*given: Any, **options: Any) -> Any:
        if left:
            tell(left.pop())
        return whole(*given, **options)

    monkeypatch.setattr(owner, name, signalled)


def before_the_first_step(trained: Trainer, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    once(monkeypatch, trained.saver, "begin", number)


def while_it_saves(trained: Trainer, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    once(monkeypatch, checkpoint, "write_synced", number)


def while_it_is_scored(trained: Trainer, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    trained.hooks.append(Hook("look", lambda snapshot: tell(number) if snapshot.step == 10 else None, every=0.5))


def within_a_step(trained: Trainer, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    step = trained.step

    def signalled(done: int, batches: Iterator[dict[str, Tensor]]) -> None:
        if done == 12:
            tell(number)
        step(done, batches)

    monkeypatch.setattr(trained, "step", signalled)


@pytest.mark.parametrize(("number", "code"), CODES)
@pytest.mark.parametrize(
    ("when", "stopped"),
    [(before_the_first_step, 1), (while_it_saves, 8), (while_it_is_scored, 11), (within_a_step, 13)],
)
def test_at_any_moment_the_step_ends_and_is_saved(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: Callable[[Trainer, pytest.MonkeyPatch, int], None],
    stopped: int,
    number: int,
    code: int,
) -> None:
    trained = toys.trainer(tmp_path, "20 steps")
    when(trained, monkeypatch, number)
    ended = trained.run()
    assert ended == Stopped(stopped, trained.store.path(stopped), code)
    assert trained.store.load_newest() is not None
    assert trained.store.steps()[-1] == stopped


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    def never_ending() -> None:
        checkpoint.write_synced = lambda *_: time.sleep(60.0)

    child = killing.start(tmp_path, never_ending)
    while killing.begun()[0] < 7:
        time.sleep(0.001)
    time.sleep(0.3)  # into the save
    os.kill(child, signal.SIGTERM)
    time.sleep(0.1)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGTERM)
    assert killing.end(child) == -signal.SIGTERM


def test_one_of_two_processes_that_is_told_to_stop_stops_both_at_the_same_step(
    together: tuple[Path, dict[str, Any]],
) -> None:
    folder, outcome = together
    assert outcome["stopped"]["code"] == 143
    assert outcome["stopped"]["failures"] == []
    assert outcome["stopped again"]["code"] == 0
    assert checkpoint.Store(folder / "stopped").steps() == [6, 8, 12]
    assert toys.digest(folder / "stopped") == toys.digest(folder / "alone")
