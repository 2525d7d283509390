"""Keep a training alive: start its processes, and start all of them again when one dies or none moves any more.

The processes of one attempt form one process group and touch one heartbeat file each. When one ends in a way that
another attempt may mend (a signal, an unforeseen error), or when no file has been touched for a while, the whole group
is killed and started anew on a fresh port; the run goes on from its newest checkpoint. What another attempt cannot
mend (a wrong recipe, a full disk, divergence) ends at once. Signals are passed on, so that the run saves and stops.
"""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from audiogan import recipe as recipes
from audiogan.adversarial.heartbeat import HEARTBEAT, SUPERVISOR
from audiogan.errors import AudioganError, UsageError
from audiogan.workflow.beginning import refuse_frozen
from audiogan.workflow.learn import RECIPE, Overrides, run_folder
from audiogan.workflow.sections import resolve

logger = logging.getLogger(__name__)

FINAL_CODES = frozenset({0, 2, 3, 4, 5, 65, 70, 73, 74, 75, 130, 143})
PATIENCE_SECONDS = 60.0
START_SECONDS = 300.0
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.1

Command = Callable[[int], Sequence[str]]
PACKAGE = Path(__file__).parents[1]


class RestartsUsedUpError(AudioganError):
    """A training that died as often as it may be started again (exit code 70)."""

    exit_code = 70


@dataclass(frozen=True)
class Ended:
    """How a supervised training ended.

    Args:
        exit_code: Of its main process.
        output: What the main process of the last attempt wrote to standard output.
        failures: Why earlier attempts ended, a sentence each.
    """

    exit_code: int
    output: str
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Patience:
    """How long a supervisor waits, in seconds.

    Args:
        stuck: Without any heartbeat, before a group counts as stuck.
        start: On top of that until every process has shown a heartbeat, while programs are loaded.
        grace: For the others to end by themselves when one has ended.
    """

    stuck: float = PATIENCE_SECONDS
    start: float = START_SECONDS
    grace: float = GRACE_SECONDS


def train_supervised(
    recipe: str | Path | None = None,
    overrides: Overrides = (),
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    options: Sequence[str] = (),
    init: str | Path | None = None,
    processes: int = 1,
    restarts: int = 0,
    patience: Patience | None = None,
) -> Ended:
    """Train in processes of their own that are started again, from the newest checkpoint, when one dies or hangs.

    Args:
        recipe: A file or a shipped name; may be left out with `resume`.
        overrides: `section.key=value` texts.
        out: Run folder; None for `runs/NAME`.
        resume: Continue this run.
        options: Of the command line, passed on as they are.
        init: Begin with the weights of this model.
        processes: How many share every batch.
        restarts: How often to start again, at most.
        patience: How long to wait.

    Raises:
        UsageError: This process is one of several already, or the batch does not divide over the processes.
        RecipeError: The recipe is wrong.
        RestartsUsedUpError: The last attempt died as well.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("--restarts or --processes under another launcher; expected one of the two, not both")
    run = run_folder(recipe, out, resume)
    if processes > 1:  # told here, once, and not by every process
        _check(recipe, overrides, resume=resume, init=init, processes=processes)
    before = _stamp(run / RECIPE)
    first = [*([] if recipe is None else [str(recipe)]), *overrides]
    first += [] if out is None else ["--out", str(out)]
    first += [] if resume is None else ["--resume", str(resume)]
    first += [] if init is None else ["--init", str(init)]

    def command(attempt: int) -> list[str]:
        # The recipe is the last that a beginning run writes; from then on the run knows all by itself.
        begun = attempt > 0 and _stamp(run / RECIPE) != before
        given = [*overrides, "--resume", str(run)] if begun else first
        return [sys.executable, "-P", "-m", "audiogan", "train", *given, *options]

    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"PYTHONPATH": path}
    return supervise(command, processes=processes, restarts=restarts, patience=patience, environment=environment)


def _check(
    recipe: str | Path | None,
    overrides: Overrides,
    *,
    resume: str | Path | None,
    init: str | Path | None,
    processes: int,
) -> None:
    """Refuse, once for all of them, what every process of a training would refuse."""
    source = recipes.find(recipe or "") if resume is None else Path(resume) / RECIPE
    checked, _ = resolve(source, overrides)
    if resume is None and init is None:
        refuse_frozen(checked)
    size = checked.section("train").batch_size
    if size % processes:
        raise UsageError(f"--processes {processes} with train.batch_size {size}; expected a number that divides it")


def supervise(
    command: Command,
    *,
    processes: int = 1,
    restarts: int = 0,
    patience: Patience | None = None,
    environment: Mapping[str, str] | None = None,
    start: Callable[..., Any] = subprocess.Popen,
) -> Ended:
    """Run a command as a group of processes until it ends for good.

    Args:
        command: From the number of the attempt, from 0, to the command line of every process.
        processes: How many; each finds its number in the environment as torchrun would put it.
        restarts: Attempts after the first, at most.
        patience: How long to wait.
        environment: Added to that of this process.
        start: What starts a process, with the arguments and methods of `Popen`.

    Raises:
        RestartsUsedUpError: The last attempt died as well.
    """
    patience, failures = patience or Patience(), []
    with _Signals() as signals:
        for attempt in range(restarts + 1):
            with _group(start) as group:
                group.start(command(attempt), processes, environment or {})
                signals.watch(group)
                code, why = _outcome(group, patience)
                output = group.output()
            if code is None and signals.number:
                code = 128 + signals.number
            if code is not None:
                return Ended(code, output, tuple(failures))
            failures.append(why)
            left = restarts - attempt
            logger.warning("%s; %s", why, f"starting again, {left} more times at most" if left else "giving up")
    told = f"the training died {len(failures)} times; the last time: {failures[-1]}"
    raise RestartsUsedUpError(f"{told}; what is saved can be continued with --resume", "restarts")


def _outcome(group: "_Group", patience: Patience) -> tuple[int | None, str]:
    """Wait for a group, and return its exit code, or None and why it must be started again."""
    moved, marks = time.monotonic(), group.marks()
    while True:
        codes = group.codes()
        if codes[0] is not None or any(codes):
            return _verdict(group, patience)
        now, found = time.monotonic(), group.marks()
        if found != marks:
            moved, marks = now, found
        limit = patience.stuck + (0.0 if len(marks) == len(group.processes) else patience.start)
        if now - moved > limit:
            return None, f"no process has moved for {limit:g} s"
        time.sleep(POLL_SECONDS)


def _verdict(group: "_Group", patience: Patience) -> tuple[int | None, str]:
    """Give the others some time after one has ended, then judge by all exit codes."""
    until = time.monotonic() + patience.grace
    while None in group.codes() and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    codes = group.codes()
    if codes[0] == 0:
        return 0, ""  # the main process has written everything
    for code in codes:  # the main process first
        if code is not None and code > 0 and code in FINAL_CODES:
            return code, ""
    return None, "; ".join(_told(rank, code) for rank, code in enumerate(codes) if code)


def _told(rank: int, code: int) -> str:
    return f"process {rank} " + (f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}")


@dataclass
class _Group:
    """The processes of one attempt."""

    open_process: Callable[..., Any]
    folder: Path
    stdout: IO[str]
    processes: list[Any] = field(default_factory=list)

    def start(self, command: Sequence[str], count: int, environment: Mapping[str, str]) -> None:
        shared = os.environ | {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
        shared |= {key: value for key, value in os.environ.items() if key == "OMP_NUM_THREADS"}
        if count > 1:
            shared |= {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
        for rank in range(count):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {}
            heart = {HEARTBEAT: str(self.folder / str(rank)), SUPERVISOR: str(os.getpid())}
            given = shared | dict(environment) | own | heart
            first = self.processes[0].pid if self.processes else 0
            output = self.stdout if rank == 0 else subprocess.DEVNULL
            streams = {"stdin": subprocess.DEVNULL, "stdout": output}
            self.processes.append(self.open_process(command, env=given, process_group=first, **streams))

    def codes(self) -> list[int | None]:
        return [process.poll() for process in self.processes]

    def marks(self) -> list[int]:
        """When each heartbeat file was touched; only changes count, so that a clock may jump."""
        found = []
        for rank in range(len(self.processes)):
            with suppress(OSError):
                found.append((self.folder / str(rank)).stat().st_mtime_ns)
        return found

    def tell(self, number: int) -> None:
        """Send a signal to the processes themselves, not to workers of theirs."""
        for process in self.processes:
            with suppress(OSError):
                process.send_signal(number)

    def kill(self) -> None:
        """End all processes and everything they have started."""
        with suppress(OSError):
            if self.processes:
                os.killpg(self.processes[0].pid, signal.SIGKILL)
        for process in self.processes:
            process.kill()
            process.wait()

    def output(self) -> str:
        self.stdout.seek(0)
        return self.stdout.read()


@contextmanager
def _group(open_process: Callable[..., Any]) -> Iterator[_Group]:
    """Make a group whose processes end with the block at the latest."""
    folder = Path(tempfile.mkdtemp(prefix="audiogan-"))
    try:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as stdout:
            group = _Group(open_process, folder, stdout)
            try:
                yield group
            finally:
                group.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Signals:
    """Pass SIGTERM and SIGINT on to the group inside a `with` block."""

    def __init__(self) -> None:
        self.number = 0
        self.group: _Group | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Signals":
        if threading.current_thread() is threading.main_thread():  # Python lets only that one listen
            self._before = {number: signal.signal(number, self._pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watch(self, group: _Group) -> None:
        """Pass signals on to this group from now on, also one that has come already."""
        self.group = group
        if self.number:
            group.tell(self.number)

    def _pass_on(self, number: int, _: object) -> None:
        self.number = number
        if self.group is not None:
            self.group.tell(number)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written again; None where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def _free_port() -> int:
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        return given.getsockname()[1]
