"""A run killed at random moments ends in the same weights, bit for bit, as one that was left alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.adversarial import toys

SCRIPT = Path(toys.__file__)
N_FILES = 11  # three modules, ema, three optimisers, extra, recipe, state, manifest


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Run folders by kind of disturbance, and how the attempts in each ended."""
    folder = tmp_path_factory.mktemp("disturbed")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])}
    command = [sys.executable, str(SCRIPT), str(folder), "400 steps", str(N_FILES)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return folder, json.loads(result.stdout)


@pytest.mark.parametrize("kind", ["kills", "writes", "terms", "interrupts"])
def test_a_disturbed_run_ends_in_the_same_weights(disturbed: tuple[Path, dict[str, Any]], kind: str) -> None:
    folder, _ = disturbed
    assert toys.digest(folder / kind) == toys.digest(folder / "alone")
    assert all(path.name.startswith("step-") for path in (folder / kind / "checkpoints").iterdir())


def test_the_kills_met_running_trainings(disturbed: tuple[Path, dict[str, Any]]) -> None:
    ends, saved = disturbed[1]["kills"]
    assert ends[-1] == 0
    assert ends.count(-signal.SIGKILL) >= 3
    assert saved == sorted(saved)
    assert disturbed[1]["writes"] == [-signal.SIGKILL] * N_FILES + [0]


@pytest.mark.parametrize(
    ("kind", "code", "number"), [("terms", 143, signal.SIGTERM), ("interrupts", 130, signal.SIGINT)]
)
def test_signals_save_and_say_so(disturbed: tuple[Path, dict[str, Any]], kind: str, code: int, number: int) -> None:
    ends, saved = disturbed[1][kind]
    # A signal that comes before the trainer listens ends the process as it ends any other (1 is KeyboardInterrupt).
    assert set(ends) <= {code, 0, -number, 1}
    assert ends[-1] == 0
    assert saved == sorted(saved)
