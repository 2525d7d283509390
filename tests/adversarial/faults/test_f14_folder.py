"""F14: the run folder is gone or cannot be written, and the clock jumps. Made again, or exit code 73; steps decide."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audiogan.adversarial.checkpoint import Store
from audiogan.adversarial.disk import DiskError
from audiogan.adversarial.monitor import Hook, Snapshot
from audiogan.errors import OutputError
from tests.adversarial import toys
from tests.adversarial.faults import killing

NOBODY = 65534


def at(step: int, act: Callable[[], object]) -> Hook:
    def fault(snapshot: Snapshot) -> None:
        if snapshot.step == step:
            act()

    return Hook("fault", fault, every=1.0 / 49)


def test_a_folder_that_is_removed_is_made_again(tmp_path: Path) -> None:
    toys.trainer(tmp_path / "alone", "28 steps").run()
    trained = toys.trainer(tmp_path / "removed", "28 steps")
    trained.hooks.append(at(9, lambda: shutil.rmtree(tmp_path / "removed")))
    assert trained.run().exit_code == 0
    assert Store(tmp_path / "removed").steps() == [14, 21, 28]
    assert toys.digest(tmp_path / "removed") == toys.digest(tmp_path / "alone")
    assert (tmp_path / "removed" / "stats.jsonl").read_text().startswith('{"step": 9, "hook": "fault"')


def test_a_folder_that_becomes_a_file_ends_the_run_with_exit_code_73(tmp_path: Path) -> None:
    def replace() -> None:
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "run").write_text("in the way")

    trained = toys.trainer(tmp_path / "run", "28 steps")
    trained.hooks.append(at(9, replace))
    with pytest.raises(OutputError, match="checkpoint cannot be saved: .*; no checkpoint was saved yet") as caught:
        trained.run()
    assert caught.value.exit_code == 73
    assert not isinstance(caught.value, DiskError)
    assert (tmp_path / "run").read_text() == "in the way"


def as_nobody(work: Callable[[], int]) -> int:
    """Do something in a process whom read-only folders concern, as they do not the superuser; return its code."""

    def dropped() -> int:
        if os.getuid() == 0:
            os.setuid(NOBODY)
        return work()

    return killing.end(killing.fork(dropped))


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everybody may write to, and reach, which pytest's own they may not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)
        Path(name).chmod(0o777)


def test_a_read_only_folder_is_refused_before_the_first_step(shared: Path) -> None:
    shared.chmod(0o555)

    def work() -> int:
        try:
            return toys.trainer(shared / "run", "7 steps").run().exit_code
        except OutputError as error:
            return error.exit_code if "expected a writable folder" in str(error) else 1

    assert as_nobody(work) == 73
    assert list(shared.iterdir()) == []


def test_a_folder_that_becomes_read_only_ends_the_run_and_keeps_what_is_saved(shared: Path) -> None:
    def work() -> int:
        trained = toys.trainer(shared / "run", "49 steps")
        trained.hooks.append(at(9, lambda: (shared / "run" / "checkpoints").chmod(0o555)))
        try:
            return trained.run().exit_code
        except OutputError as error:
            return error.exit_code if "Permission denied; last good checkpoint" in str(error) else 1

    assert as_nobody(work) == 73
    store = Store(shared / "run")
    newest = store.load_newest()
    assert newest is not None
    assert (newest.step, store.steps()) == (7, [7])


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    toys.trainer(tmp_path / "alone", "14 steps", checkpoint_minutes=60.0).run()
    trained = toys.trainer(tmp_path / "jumped", "14 steps", checkpoint_minutes=60.0)
    clock = time.time
    trained.hooks.append(at(5, lambda: monkeypatch.setattr(time, "time", lambda: clock() + jump)))
    assert trained.run().exit_code == 0
    monkeypatch.undo()
    assert Store(tmp_path / "jumped").steps() == Store(tmp_path / "alone").steps() == [7, 14]
    assert toys.digest(tmp_path / "jumped") == toys.digest(tmp_path / "alone")
