"""Record what a run does: scalars per window, throughput, progress, and hooks for samples and metrics.

Loss terms are read once per step, which is the only wait for the device within a step and tells whether all of them
are finite. Processes may hold different terms; the record has the mean over those that hold one. Lines go to
`stats.jsonl` and TensorBoard, progress to the terminal. A hook that fails is reported and training goes on.
"""

import contextlib
import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiogan.adversarial.disk import append, write_atomically
from audiogan.adversarial.view import View

logger = logging.getLogger(__name__)

Sums = dict[str, tuple[float, int]]


@dataclass(frozen=True)
class Snapshot:
    """What a hook gets to see.

    Args:
        step: Steps done.
        share: Share of the budget spent, in (0, 1].
        n_seen: Examples seen.
        modules: Averaged copies where there are some, else the live modules; in evaluation mode.
        folder: The run folder.
        device: Where the modules are.
    """

    step: int
    share: float
    n_seen: int
    modules: Mapping[str, nn.Module]
    folder: Path
    device: torch.device


@dataclass(frozen=True)
class Hook:
    """Something to do now and then, for example to write samples or to measure them.

    Args:
        name: For the record.
        run: Returns numbers to record, or None; called without gradients, on the main process only.
        every: Interval as a share of the budget, in (0, 1]; also called at the end.
    """

    name: str
    run: Callable[[Snapshot], Mapping[str, float] | None]
    every: float = 0.05

    def due(self, done: int, n_steps: int) -> bool:
        """Return whether to run after so many steps.

        Args:
            done: Steps done, 1 or more.
            n_steps: Steps in the budget.
        """
        return is_due(done, n_steps, self.every)


def is_due(done: int, n_steps: int, every: float) -> bool:
    """Return whether something that happens at intervals, and at the end, happens after so many steps.

    Args:
        done: Steps done, 1 or more.
        n_steps: Steps in the budget.
        every: Interval as a share of the budget, in (0, 1].
    """
    # The small number keeps 3 · 0.1 from falling just short of 0.3.
    passed = [int(step / n_steps / every + 1e-9) for step in (done - 1, done)]
    return done == n_steps or passed[1] > passed[0]


class Monitor:
    """The record of one run.

    Args:
        folder: The run folder.
        n_steps: Steps in the budget.
        batch_size: Examples per step.
        window: Steps per line.
        tensorboard: Whether to write event files.
        quiet: Whether to show no progress.
        active: Whether this process writes; the others only check.
        gather: From what this process holds to what each of them holds, this one included.
    """

    def __init__(
        self,
        folder: Path,
        *,
        n_steps: int,
        batch_size: int,
        window: int = 50,
        tensorboard: bool = True,
        quiet: bool = False,
        active: bool = True,
        gather: Callable[[Sums], list[Sums]] = lambda own: [own],
    ) -> None:
        self.folder = folder
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.window = window
        self.tensorboard = tensorboard and active
        self.quiet = quiet or not active
        self.active = active
        self.gather = gather
        self.clock: Callable[[], float] = time.perf_counter
        self._moves: list[tuple[str, tuple[str, ...], Tensor]] = []
        self._read: list[tuple[str, dict[str, float], bool]] | None = None
        self._sums: Sums = {}
        self._seconds: dict[str, float] = defaultdict(float)
        self._writer: Any = None
        self._view: View | None = None
        self._warned: set[str] = set()
        self._began = self._now = self.clock()
        self._began_step = 0

    # ---- one run

    @contextmanager
    def opened(self, first_step: int) -> Iterator[None]:
        """Record from a step on; lines of later steps, left by a killed run, are dropped.

        Args:
            first_step: Steps already done.
        """
        if self.active:
            with self._tolerating("stats.jsonl"):
                drop_after(self.folder / "stats.jsonl", first_step)
        if self.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            with self._tolerating("tensorboard"):
                self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=first_step)
        self._began_step = first_step
        self._view = None if self.quiet else View(self.n_steps, first_step)
        self._restart()
        try:
            yield
        finally:
            if self._view is not None:
                self._view.close()
            if self._writer is not None:
                with self._tolerating("tensorboard"):
                    self._writer.close()
                self._writer = None

    def _restart(self) -> None:
        self._moves.clear()
        self._read = None
        self._sums = {}
        self._seconds.clear()
        self._began = self._now = self.clock()

    # ---- one step

    def add(self, phase: str, names: Sequence[str], values: Tensor) -> None:
        """Take the loss terms of one move.

        Args:
            phase: Name of the phase.
            names: Names of the terms.
            values: `(n_terms,)` on the device, detached.
        """
        self._moves.append((phase, tuple(names), values))
        self._read = None

    def charge(self, account: str) -> None:
        """Book the time since the last call.

        Args:
            account: `wait` for data, `pause`, the name of a phase, or `engine` for what belongs to none of them.
        """
        now = self.clock()
        self._seconds[account] += now - self._now
        self._now = now

    def finite(self, flags: Sequence[Tensor] = ()) -> bool:
        """Return whether every term of this step is finite and every move was made; waits for the device once.

        Args:
            flags: For each move so far, 0.0 where it was made, `()`; to be given by the first who asks.
        """
        if self._read is None:
            self._read = self._terms(flags)
        return all(not left_out and all(map(math.isfinite, own.values())) for _, own, left_out in self._read)

    def _terms(self, flags: Sequence[Tensor]) -> list[tuple[str, dict[str, float], bool]]:
        """Return phase, terms and whether it was left out of every move of the step."""
        values = [*(values for *_, values in self._moves), *(flag.reshape(1) for flag in flags)]
        numbers = iter(torch.cat(values).tolist() if values else [])
        terms = [(phase, dict(zip(names, numbers, strict=False))) for phase, names, _ in self._moves]
        left_out = [*map(bool, numbers)] or [False] * len(terms)
        return [(*own, flag) for own, flag in zip(terms, left_out, strict=True)]

    def sizes(self) -> dict[str, float]:
        """Return by phase the sum of its terms in this step, without its sign, the mean of its moves."""
        found: dict[str, list[float]] = {}
        for phase, own, _ in self._read or []:
            found.setdefault(phase, []).append(abs(sum(own.values())))
        return {phase: sum(sums) / len(sums) for phase, sums in found.items()}

    def trouble(self, step: int) -> str:
        """Return a sentence that names the first term or gradient that is not finite.

        Args:
            step: Number of the step.
        """
        moves = self._read or []
        terms = [(phase, name, value) for phase, own, _ in moves for name, value in own.items()]
        bad = [(phase, f"term {name} is {value}") for phase, name, value in terms if not math.isfinite(value)]
        bad += [(phase, "the gradient is not finite") for phase, _, left_out in moves if left_out]
        phase, what = bad[0]
        return f"phase {phase}: {what} at step {step}; expected finite numbers"

    def left_out(self, done: int, count: int, why: str) -> None:
        """Record a step in which a move was not made; the first is told.

        Args:
            done: Steps done, this one included.
            count: Such steps of the run so far.
            why: A sentence.
        """
        if self.active:
            self._write(done, {"step": done, "skipped": count, "why": why})
        if self.active and "skipped" not in self._warned:
            self._warned.add("skipped")
            logger.warning("%s; the move is left out; stats.jsonl counts further ones", why)

    def end_step(self, done: int) -> bool:
        """Add the terms of the step to its window, show progress and return whether the window ends here.

        Args:
            done: Steps done.
        """
        if self.finite():
            for phase, own, _ in self._read or []:
                for name, value in own.items():
                    total, n_moves = self._sums.get(f"{phase}/{name}", (0.0, 0))
                    self._sums[f"{phase}/{name}"] = (total + value, n_moves + 1)
        self._moves.clear()
        self._read = None
        if self._view is not None:
            self._view.show(done)
        self.charge("engine")
        return self.ends_window(done)

    def ends_window(self, done: int) -> bool:
        """Return whether a line is due after so many steps.

        Args:
            done: Steps done.
        """
        return done % self.window == 0 or done == self.n_steps

    # ---- one window

    def record(self, done: int, extra: Mapping[str, float]) -> None:
        """Write the means of the window that ends here; called on every process.

        Args:
            done: Steps done.
            extra: Other numbers: rates, gradient norms, what the game watches.
        """
        sums, counts = defaultdict(float), defaultdict(int)
        for held in self.gather(self._sums):
            for name, (total, n_moves) in held.items():
                sums[name] += total
                counts[name] += n_moves
        line = {"step": done, "share": done / self.n_steps, "n_seen": done * self.batch_size}
        line |= {name: sums[name] / counts[name] for name in sums} | dict(extra) | self._throughput(done)
        self._restart()
        self._began_step = done
        if self.active:
            self._write(done, line)
        if self._view is not None:
            self._view.line(done, line)
        self.charge("engine")

    def _throughput(self, done: int) -> dict[str, float]:
        seconds = dict(self._seconds)
        steps = max(1, done - self._began_step)
        busy = max(1e-9, self.clock() - self._began - seconds.pop("pause", 0.0))
        figures = {
            "items_per_second": steps * self.batch_size / busy,
            "ms_per_step": 1e3 * busy / steps,
            "wait_share": seconds.pop("wait", 0.0) / busy,
        }
        figures |= {f"{account}/ms": 1e3 * spent / steps for account, spent in seconds.items()}
        if torch.cuda.is_available():
            figures["memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
        return figures

    def _write(self, done: int, line: Mapping[str, Any]) -> None:
        with self._tolerating("stats.jsonl"):
            # JSON has no word for NaN or infinity.
            known = {
                name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in line.items()
            }
            append(self.folder / "stats.jsonl", json.dumps(known, allow_nan=False) + "\n")
        if self._writer is not None:
            with self._tolerating("tensorboard"):
                for name, value in line.items():
                    if isinstance(value, float):
                        self._writer.add_scalar(name, value, done)

    @contextmanager
    def _tolerating(self, what: str) -> Iterator[None]:
        """Turn a disk that refuses into one warning per place."""
        try:
            yield
        except OSError as error:
            if what not in self._warned:
                self._warned.add(what)
                logger.warning("%s: cannot be written: %s; training goes on without it", self.folder / what, error)

    # ---- hooks

    def observe(self, name: str, step: int, look: Callable[[], Mapping[str, float] | None]) -> dict[str, float]:
        """Record numbers that somebody else finds, and return those that are finite; none if finding them fails.

        Args:
            name: For the record.
            step: Steps done.
            look: Returns the numbers, or None; called without gradients.
        """
        found: Mapping[str, float] = {}
        failure: dict[str, Any] = {}
        try:
            with torch.no_grad():
                found = {key: float(value) for key, value in (look() or {}).items()}
        except Exception as error:  # whatever a sampler or a metric does, hours of training must survive it
            logger.exception("hook %s failed at step %d; training goes on", name, step)
            failure = {"failed": f"{type(error).__name__}: {error}"}
        line = {"step": step, "hook": name} | {f"{name}/{key}": value for key, value in found.items()}
        self._write(step, line | failure)
        return {key: value for key, value in found.items() if math.isfinite(value)}

    def say(self, text: str) -> None:
        """Show a sentence on screen; nothing when quiet.

        Args:
            text: One line.
        """
        if self._view is not None:
            self._view.say(text)


def drop_after(path: Path, step: int) -> None:
    """Drop the lines of later steps and a half-written last line from a record.

    Args:
        path: A `stats.jsonl`; may be missing.
        step: Steps done.
    """
    if not path.exists():
        return
    kept = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            line = json.loads(text)
            if isinstance(line, dict) and line.get("step", step + 1) <= step:
                kept.append(text + "\n")
    write_atomically(path, "".join(kept).encode())
