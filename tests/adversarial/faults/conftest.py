"""The faults that a long training meets, F1 to F16: every file here holds the tests of one.

`pytest -m faults` runs them all and says of how many of the sixteen every test passed.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.adversarial.faults import killing, ranks

N_FAULTS = 16
N_KILLED_RUNS = 4
HERE = Path(__file__).parent
FILE = re.compile(r"test_f(\d\d)_")

_broken: set[int] = set()
_passed: set[int] = set()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faults: what a long training must survive, F1 to F16")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.faults)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    found = FILE.search(Path(report.fspath).name)
    if found is None or report.skipped:
        return
    if report.failed:
        _broken.add(int(found[1]))
    elif report.when == "call":
        _passed.add(int(found[1]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _passed or _broken:
        good = len(_passed - _broken)
        terminalreporter.write_line(f"faults with all tests passed: {good} of {N_FAULTS}")


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def as_script(module: ModuleType, folder: Path, *arguments: str) -> tuple[Path, dict[str, Any]]:
    """Run a module of the tests as a script that leaves runs in a folder and says in JSON how they ended."""
    assert module.__file__ is not None
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[2])}
    command = [sys.executable, module.__file__, str(folder), *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr
    return folder, json.loads(result.stdout)


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Runs of two processes with faults, see `ranks`: their folder, and how each ended."""
    return as_script(ranks, tmp_path_factory.mktemp("together"))


@pytest.fixture(scope="session")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Runs that were killed and stopped, see `killing`: their folder, and how the attempts of each ended."""
    return as_script(killing, tmp_path_factory.mktemp("disturbed"), str(N_KILLED_RUNS))
