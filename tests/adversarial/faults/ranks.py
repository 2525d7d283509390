"""Processes that train a toy together under the supervisor, and their faults, as a script: `ranks.py FOLDER`.

A fault happens in the last process when a step begins: `SIGKILL`, `SIGSTOP` or `SIGTERM` by itself, `poison`, a loss
that is not a number, `divergence`, such losses from then on until the run has gone back, `hunger`, no memory for a
whole batch, or `oddity`, from then on a term that no other process has. Processes are forked, which spares each of them
the import of torch. Every one leaves a sum of its weights in `RUN/weights-RANK`; the script writes as JSON how each run
ended.
"""

import hashlib
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiogan.adversarial.config import TrainConfig
from audiogan.adversarial.game import Batch, Game, Moment, Phase
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.runtime import RuntimeConfig, seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.trainer import Trainer
from audiogan.workflow.supervisor import Patience, supervise
from tests.adversarial import toys

STEPS = 12
PATIENCE = Patience(stuck=6.0, start=60.0, grace=3.0)


def trainer(folder: Path, steps: int, fault: str = "", at: int = 0) -> Trainer:
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {"generator": toys.mlp(2, 2, 8), "discriminator": toys.mlp(2, 1, 8)}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig(r1=Schedule(start=0.2), r2=Schedule(start=0.2)))
    trained: list[Trainer] = []

    def faulty(phase: Phase) -> Phase:
        def terms(batch: Batch, moment: Moment) -> dict[str, Tensor]:
            last = moment.step == at and moment.rank == moment.world - 1
            if last and fault == "hunger" and trained[0].runtime.portions.count == 1:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            since = moment.step >= at and moment.rank == moment.world - 1 and trained[0].recovery.times == 0
            bad = last if fault == "poison" else since and fault == "divergence"
            found = dict(phase.terms(batch, moment))
            if since and fault == "oddity":
                found["odd"] = torch.tensor(7.0)
            return found | ({"adversarial": found["adversarial"] * torch.nan} if bad else {})

        return replace(phase, terms=terms)

    if fault in ("poison", "divergence", "hunger", "oddity"):
        game = Game([faulty(phase) for phase in game.phases], averaged=game.averaged)
    config = TrainConfig(
        budget=f"{steps} steps", batch_size=8, checkpoint_steps=4, window=4, tensorboard=False, score=toys.NO_SCORE,
        runtime=RuntimeConfig(device="cpu", threads=1),
    )  # fmt: skip
    trained.append(Trainer(modules, game, toys.Ring(), config, folder, quiet=True))
    if fault.startswith("SIG") and trained[0].runtime.rank == 1:
        _signal_itself(trained[0], signal.Signals[fault], at)
    return trained[0]


def _signal_itself(trained: Trainer, number: int, at: int) -> None:
    whole = trained.step

    def faulty(step: int, batches: Iterator[dict[str, Tensor]]) -> None:
        if step == at:
            os.kill(os.getpid(), number)
        whole(step, batches)

    trained.step = faulty


def sum_of(trained: Trainer) -> str:
    total = hashlib.sha256()
    for module in trained.modules.values():
        for tensor in module.state_dict().values():
            total.update(tensor.numpy().tobytes())
    return total.hexdigest()


def main(folder: str, steps: str, fault: str = "", at: str = "0") -> int:
    """Train in this process and return its exit code."""
    found = trainer(Path(folder), int(steps), fault, int(at))
    ended = found.run()
    (Path(folder) / f"weights-{found.runtime.rank}").write_text(sum_of(found))
    found.runtime.close()
    return ended.exit_code


class Forked:
    """A process with the arguments and methods of `Popen` that calls `main`."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], process_group: int, **_: object) -> None:
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid:
            os.setpgid(self.pid, process_group)  # here, too, so that the next process finds the group
            return
        code = 1
        try:
            os.setpgid(0, process_group)
            os.environ.update(env)
            code = main(*command)
        except Exception:  # noqa: BLE001 the supervisor learns of it by the exit code
            traceback.print_exc()
        finally:
            os._exit(code)

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self) -> None:
        while self.poll() is None:
            time.sleep(0.01)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def train(folder: Path, *faults: tuple[str, int], restarts: int = 0, processes: int = 2) -> dict[str, Any]:
    """Train under the supervisor; each attempt has its fault, and those after the last have none."""

    def command(attempt: int) -> list[str]:
        fault = faults[attempt] if attempt < len(faults) else ()
        return [str(folder), str(STEPS), *map(str, fault)]

    began = time.monotonic()
    ended = supervise(command, processes=processes, restarts=restarts, patience=PATIENCE, start=Forked)
    return {"code": ended.exit_code, "failures": ended.failures, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1)]).step()  # imports what every child would have to import again
    importlib.import_module("accelerate")
    root = Path(sys.argv[1])
    outcome = {
        "alone": train(root / "alone"),
        "hurt": train(root / "hurt", ("SIGKILL", 6), ("SIGSTOP", 10), restarts=3),
        "stopped": train(root / "stopped", ("SIGTERM", 5), restarts=3),
        "poisoned": train(root / "poisoned", ("poison", 6)),
        "poisoned one": train(root / "poisoned one", ("poison", 6), processes=1),
        "diverged": train(root / "diverged", ("divergence", 6)),
        "diverged one": train(root / "diverged one", ("divergence", 6), processes=1),
        "odd": train(root / "odd", ("oddity", 6)),
        "hungry": train(root / "hungry", ("hunger", 6)),
    }
    outcome["stopped again"] = train(root / "stopped")
    sys.stdout.write(json.dumps(outcome))
