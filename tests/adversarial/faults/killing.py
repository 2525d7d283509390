"""Trainings that are killed, as a script: `killing.py FOLDER COUNT` leaves runs there and says in JSON how they ended.

Every training is a forked process, which spares it the import of torch. It plays the toy with memory of every kind (see
`toys`), scores itself, and saves every 7 steps. Disturbed in one of four ways, each is started again until it ends:

- killed at a random moment, `COUNT` runs, half of them with a disk so slow that most of the time goes into saving;
- killed at every boundary of a save in turn: within and after each file, after each sync, rename and removal;
- stopped by SIGTERM, and by SIGINT, at random moments.
"""

import importlib
import json
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiogan.adversarial import checkpoint, disk
from audiogan.adversarial.trainer import Trainer
from tests.adversarial import toys

N_STEPS = 70
SHARED = mmap.mmap(-1, 16)  # steps and files that the running child has begun; shared with every child
MOST_FILES = 60  # of a killed attempt: those of about five checkpoints
SLOW_SECONDS = 0.002
KILLS_PER_RUN = 3
LATE = 150
N_SIGNALS = 4
REPLACED: list[tuple[Any, str]] = [
    (disk, "sync_folder"),
    (checkpoint, "sync_folder"),
    (Path, "rename"),
    (Path, "replace"),
    (shutil, "rmtree"),
]


def fork(work: Callable[[], int]) -> int:
    """Fork a process that does its work and ends with the exit code that it returns; return its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work()
        except Exception:  # noqa: BLE001 the parent learns of it by the exit code
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def start(folder: Path, prepare: Callable[[], None] = lambda: None) -> int:
    """Fork a process that trains, after `prepare`, and return its id."""

    def work() -> int:
        prepare()
        trained = toys.trainer(folder, f"{N_STEPS} steps", score=toys.SCORE)
        _tell_steps(trained)
        return trained.run().exit_code

    SHARED[:] = bytes(16)
    return fork(work)


def _tell_steps(trained: Trainer) -> None:
    whole = trained.step

    def telling(step: int, batches: Iterator[dict[str, Tensor]]) -> None:
        SHARED[:8] = struct.pack("q", step + 1)
        whole(step, batches)

    trained.step = telling


def begun() -> tuple[int, int]:
    """Return how many steps the running child has begun, counted from the first of the run, and how many files."""
    return struct.unpack("qq", SHARED[:])


def hit(child: int, number: int, chance: random.Random, folder: Path, *, files: bool = False) -> tuple[int, float]:
    """Send a signal to a training at a random step of what is left, or at a random file; return the step and when."""
    wanted = chance.randint(1, MOST_FILES) if files else chance.randint(saved(folder), N_STEPS - 1) + 1
    while begun()[files] < wanted and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.0005)
    time.sleep(chance.uniform(0.0, SLOW_SECONDS))
    os.kill(child, number)
    return begun()[0], time.monotonic()


def end(child: int) -> int:
    """Wait for a process and return its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what: Callable[[], bool]) -> bool:
    """Return whether something becomes true within ten seconds."""
    until = time.monotonic() + 10.0
    while not what() and time.monotonic() < until:
        time.sleep(0.05)
    return what()


def _write_with(around: Callable[[Callable[[], None], Callable[[], None]], None]) -> None:
    """Let every file be written by `around(first half, second half)`."""

    def write(path: Path, data: bytes) -> None:
        middle = len(data) // 2

        def first() -> None:
            path.write_bytes(data[:middle])

        def second() -> None:
            whole(path, data)

        around(first, second)

    whole = disk.write_synced
    disk.write_synced = checkpoint.write_synced = write


def slow_disk() -> None:
    """Make every file take its time."""

    def around(first: Callable[[], None], second: Callable[[], None]) -> None:
        SHARED[8:] = struct.pack("q", begun()[1] + 1)
        first()
        time.sleep(SLOW_SECONDS)
        second()

    _write_with(around)


def die_at(boundary: int) -> Callable[[], None]:
    """Return what lets a process kill itself at the boundary of that number, from 1, in its work on the disk."""

    def prepare() -> None:
        left = [boundary]

        def tick() -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def around(first: Callable[[], None], second: Callable[[], None]) -> None:
            first()
            tick()
            second()
            tick()

        _write_with(around)
        for owner, name in REPLACED:
            setattr(owner, name, _between(getattr(owner, name), tick))

    return prepare


def _between(whole: Callable[..., Any], tick: Callable[[], None]) -> Callable[..., Any]:
    def ticking(*given: Any, **options: Any) -> Any:
        found = whole(*given, **options)
        tick()
        return found

    return ticking


def saved(folder: Path) -> int:
    """Return the newest saved step, 0 for none."""
    return max(checkpoint.Store(folder).steps(), default=0)


def was_saving(folder: Path) -> bool:
    """Return whether a process died while it saved."""
    return any((folder / "checkpoints").glob(".tmp-*")) or any(folder.glob(".tmp-*"))


def kill_at_random(folder: Path, seed: int) -> dict[str, Any]:
    """Kill a training at random moments, start it again each time, and tell what happened."""
    chance, ends, steps, lost, in_save = random.Random(seed), [], [0], [], 0
    prepare = slow_disk if seed % 2 else (lambda: None)
    for _ in range(KILLS_PER_RUN):
        child = start(folder, prepare)
        at, _ = hit(child, signal.SIGKILL, chance, folder, files=seed % 2 == 1)
        ends.append(end(child))
        steps.append(saved(folder))
        lost += [at - steps[-1]] if ends[-1] else []
        in_save += was_saving(folder)
    ends.append(end(start(folder, prepare)))
    return {"ends": ends, "steps": steps, "lost": lost, "in_save": in_save, "slow": seed % 2 == 1}


def die_at_every_boundary(folder: Path) -> dict[str, Any]:
    """Kill a training at each boundary of its next save in turn until it gets through the rest without meeting one.

    The first kill comes late, when there are old checkpoints that each further save has to remove.
    """
    ends, boundary = [end(start(folder, die_at(LATE)))], 0
    while boundary == 0 or ends[-1] == -signal.SIGKILL:
        boundary += 1
        ends.append(end(start(folder, die_at(boundary))))
    return {"ends": ends, "steps": [saved(folder)]}


def stop_at_random(folder: Path, number: int) -> dict[str, Any]:
    """Stop a training by a signal at random moments, then let it finish; `late` are the steps after each signal."""
    chance, ends, steps, late, waits = random.Random(number), [], [0], [], []
    for _ in range(N_SIGNALS):
        child = start(folder)
        at, began = hit(child, number, chance, folder)
        ends.append(end(child))
        waits.append(time.monotonic() - began)
        steps.append(saved(folder))
        late.append(steps[-1] - at)
    return {"ends": [*ends, end(start(folder))], "steps": steps, "late": late, "waits": waits}


def warm_up() -> None:
    """Import what every child would have to import again; wait for no disk, a killed process loses no written byte."""
    torch.set_num_threads(1)
    importlib.import_module("numpy.ma")
    os.fsync = lambda _: None
    torch.optim.AdamW([torch.zeros(1)]).step()


if __name__ == "__main__":
    warm_up()
    root, count = Path(sys.argv[1]), int(sys.argv[2])
    outcome: dict[str, Any] = {"alone": {"ends": [end(start(root / "alone"))]}}
    outcome |= {f"kill {seed}": kill_at_random(root / f"kill {seed}", seed) for seed in range(count)}
    outcome["boundaries"] = die_at_every_boundary(root / "boundaries")
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        outcome[signal_.name] = stop_at_random(root / signal_.name, signal_)
    sys.stdout.write(json.dumps(outcome))
