"""F7: a loader worker dies or hangs. Others take its place, no batch is lost; at last the training process fetches."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from torch.utils.data import _utils

from audiogan.adversarial import loader as module
from audiogan.adversarial.game import Game
from tests.adversarial import toys
from tests.adversarial.faults.killing import is_alive, wait_for
from tests.adversarial.test_loader import Numbers, drawn, loader, phase


class Deadly(Numbers):
    """Ends the worker process that fetches from it, so many times."""

    def __init__(self, folder: Path, deaths: int) -> None:
        super().__init__()
        self.folder = folder
        self.deaths = deaths
        self.home = os.getpid()

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, torch.Tensor]:
        if os.getpid() != self.home and indices[0] == 3 and len(list(self.folder.iterdir())) < self.deaths:
            (self.folder / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fetch(indices, seeds)


@pytest.mark.parametrize("deaths", [1, 9])
def test_no_batch_is_lost_with_a_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    monkeypatch.setattr(module, "WORKER_TIMEOUT_SECONDS", 1.0)
    game = Game([phase()])
    deadly = loader(game, workers=1)
    deadly.dataset = Deadly(tmp_path, deaths)
    assert drawn(deadly) == drawn(loader(game))
    assert caplog.text.count("starting new worker processes") == min(deaths, 3)
    assert ("fetching in the training process" in caplog.text) == (deaths > 3)


def test_a_mistake_in_the_dataset_is_not_taken_for_a_dead_worker() -> None:
    class Broken(Numbers):
        def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, torch.Tensor]:
            raise RuntimeError("no such note")

    broken = loader(Game([phase()]), workers=1)
    broken.dataset = Broken()
    with pytest.raises(RuntimeError, match="no such note"):
        drawn(broken)


class Sleepy(Numbers):
    """Sleeps in the worker process that fetches one batch from it, once."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.home = os.getpid()

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, torch.Tensor]:
        if os.getpid() != self.home and indices[0] == 3 and not list(self.folder.iterdir()):
            (self.folder / str(os.getpid())).touch()
            time.sleep(60.0)
        return super().fetch(indices, seeds)


def test_no_batch_is_lost_with_a_worker_that_hangs_which_is_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORKER_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(_utils, "MP_STATUS_CHECK_INTERVAL", 0.2)  # how long the library waits for workers to end
    game = Game([phase()])
    sleepy = loader(game, workers=1)
    sleepy.dataset = Sleepy(tmp_path)
    assert drawn(sleepy) == drawn(loader(game))
    assert caplog.text.count("starting new worker processes") == 1
    worker = int(next(tmp_path.iterdir()).name)
    assert wait_for(lambda: not is_alive(worker))


class DeadlyRing(toys.Ring):
    """The ring, whose first worker process dies after some batches."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.home = os.getpid()
        self.n_batches = 0

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, torch.Tensor]:
        self.n_batches += 1
        if os.getpid() != self.home and self.n_batches == 5 and not list(self.folder.iterdir()):
            (self.folder / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fetch(indices, seeds)


def test_a_run_whose_worker_died_ends_in_the_same_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORKER_TIMEOUT_SECONDS", 1.0)
    toys.trainer(tmp_path / "alone", "14 steps").run()
    (tmp_path / "deaths").mkdir()
    hurt = toys.trainer(tmp_path / "hurt", "14 steps", workers=1)
    hurt.dataset = DeadlyRing(tmp_path / "deaths")
    assert hurt.run().exit_code == 0
    assert "starting new worker processes" in caplog.text
    assert toys.digest(tmp_path / "hurt") == toys.digest(tmp_path / "alone")
