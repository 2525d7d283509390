"""F3: the disk takes no more, in a save, the record or a sample. Nothing whole is lost; three times ends the run."""

import errno
import importlib
import io
import json
import logging
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from audiogan.adversarial.checkpoint import Store
from audiogan.adversarial.disk import DiskError, append
from audiogan.adversarial.monitor import Hook, Snapshot
from audiogan.errors import OutputError
from tests.adversarial import toys
from tests.adversarial.faults import killing

LIMIT = 900  # bytes that a file may have while the disk is full: less than any file of weights
N_STEPS = 49


def limit(size: int) -> None:
    """Let no file of this process grow beyond a size; the kernel refuses as a full disk does, amid a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def train(folder: Path, full: range) -> int:
    """Train in a process of its own whose disk is full after some steps; what it says goes to `FOLDER.log`."""
    importlib.import_module("torch.utils.tensorboard")  # here, which spares every child the import

    def work() -> int:
        said = io.StringIO()
        logging.basicConfig(stream=said, force=True, format="%(message)s")
        try:
            return steps()
        except OutputError as error:
            said.write(str(error))
            return error.exit_code
        finally:
            limit(resource.RLIM_INFINITY)
            Path(f"{folder}.log").write_text(said.getvalue())

    def steps() -> int:
        trained = toys.trainer(folder, f"{N_STEPS} steps", tensorboard=True)

        def look(snapshot: Snapshot) -> None:
            limit(LIMIT if snapshot.step in full else resource.RLIM_INFINITY)
            (snapshot.folder / "sample").write_bytes(bytes(2 * LIMIT))

        trained.hooks.append(Hook("sample", look, every=1.0 / N_STEPS))
        return trained.run().exit_code

    return killing.end(killing.fork(work))


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".tmp")]


def test_two_refused_saves_are_forgiven_and_nothing_is_lost(tmp_path: Path) -> None:
    assert train(tmp_path / "alone", range(0)) == 0
    assert train(tmp_path / "full", range(20, 34)) == 0
    log = (tmp_path / "full.log").read_text()
    assert [f"checkpoint at step {step} not saved" in log for step in (14, 21, 28, 35)] == [False, True, True, False]
    assert log.count("stats.jsonl: cannot be written") == 1, "one warning per cause"
    assert "hook sample failed at step 20; training goes on" in log
    assert left(tmp_path / "full") == []
    assert Store(tmp_path / "full").steps() == [35, 42, 49]
    lines = [json.loads(text) for text in (tmp_path / "full" / "stats.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "hook" not in line] == [5, 10, 15, 20, 35, 40, 45, 49]
    assert toys.digest(tmp_path / "full") == toys.digest(tmp_path / "alone")


def test_a_disk_that_stays_full_ends_the_run_with_exit_code_74_and_whole_checkpoints(tmp_path: Path) -> None:
    assert train(tmp_path / "full", range(20, 99)) == 74
    told = (tmp_path / "full.log").read_text()
    assert f"{tmp_path / 'full'}: checkpoint cannot be saved: File too large; last good checkpoint" in told
    store = Store(tmp_path / "full")
    assert store.steps() == [7, 14]
    newest = store.load_newest()
    assert newest is not None
    assert newest.step == 14
    assert left(tmp_path / "full") == []
    assert train(tmp_path / "full", range(0)) == 0, "with room again it goes on"


def refusing(trained: Any, monkeypatch: pytest.MonkeyPatch, *, code: int, times: int) -> None:
    save, refusals = trained.store.save, iter([True] * times)

    def refused(found: Any) -> Path:
        if next(refusals, False):
            raise OSError(code, os.strerror(code))
        return save(found)

    monkeypatch.setattr(trained.store, "save", refused)


def test_the_last_save_of_a_run_must_succeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = toys.trainer(tmp_path, "6 steps")
    refusing(trained, monkeypatch, code=errno.ENOSPC, times=1)
    with pytest.raises(DiskError, match="No space left on device; no checkpoint was saved yet"):
        trained.run()


def test_a_refused_save_is_followed_by_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trained = toys.trainer(tmp_path, "20 steps", checkpoint_steps=4)
    refusing(trained, monkeypatch, code=errno.EDQUOT, times=2)
    assert trained.run().step == 20
    assert caplog.text.count("not saved") == 2
    assert trained.store.steps() == [12, 16, 20]


def test_a_line_is_appended_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record"
    append(path, "first\n")

    def work() -> int:
        limit(9)
        try:
            append(path, "second\n")
        except OSError as error:
            return int(error.errno or 0)
        return 0

    assert killing.end(killing.fork(work)) in (errno.EFBIG, errno.ENOSPC)
    assert path.read_text() == "first\n"
    append(path, "third\n")
    assert path.read_text() == "first\nthird\n"
