"""F13: two runs in one folder. The second is refused while the first lives, and only so long."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audiogan.adversarial.disk import FolderInUseError, locked
from audiogan.errors import OutputError
from tests.adversarial import toys
from tests.adversarial.faults import killing


def test_a_folder_that_another_process_holds_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / "run.lock").read_text()
    holder = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'a+')\nfcntl.lockf(file, fcntl.LOCK_EX)\n"
        "file.write('process 7 on mars')\nfile.flush()\nprint('held', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", holder, str(tmp_path / "run.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(FolderInUseError, match="in use by process 7 on mars") as caught, locked(tmp_path):
            pass
        assert caught.value.exit_code == 75
        process.kill()
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "file" / "run"):
        pass


def test_a_run_cannot_be_joined_but_can_be_inherited(tmp_path: Path) -> None:
    toys.trainer(tmp_path / "alone", f"{killing.N_STEPS} steps", score=toys.SCORE).run()
    first = killing.start(tmp_path / "run", killing.slow_disk)
    while killing.begun()[0] < 8:
        time.sleep(0.001)
    os.kill(first, signal.SIGSTOP)  # it lives, however slowly
    with pytest.raises(FolderInUseError, match=rf"in use by process {first} on ") as caught:
        toys.trainer(tmp_path / "run", f"{killing.N_STEPS} steps", score=toys.SCORE).run()
    assert caught.value.exit_code == 75
    os.kill(first, signal.SIGKILL)
    assert killing.end(first) == -signal.SIGKILL
    assert f"process {first} on" in (tmp_path / "run" / "run.lock").read_text(), "a stale lock file holds nobody"
    assert killing.end(killing.start(tmp_path / "run")) == 0
    assert toys.digest(tmp_path / "run") == toys.digest(tmp_path / "alone")
