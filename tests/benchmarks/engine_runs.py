"""Train a case and time it: the engine alone, and the engine beside a plain loop, turn by turn in one run.

Alone, the engine's own record tells milliseconds per phase and the share of time spent on data. Side by side, the plain
loop has its turn whenever the engine asks for the first batch of a new pair, so that both meet the same disturbances
within a fraction of a second; what lies between two such moments is the engine's.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiogan.adversarial.loader import Examples, Loader, Request
from audiogan.adversarial.monitor import Monitor
from audiogan.adversarial.trainer import TrainConfig, Trainer
from tests.benchmarks.engine_bare import BareLoop
from tests.benchmarks.engine_cases import Case
from tests.benchmarks.engine_meters import FlopCount, clock_of, forget_peak, median_interval, peak_mib

N_WINDOWS = 10
"""Lines of the record of a timed run; the first ones warm up and do not count."""


class TimedTrainer(Trainer):
    """A trainer whose record is timed by the clock of the benchmark."""

    def _monitor(self) -> Monitor:
        monitor = super()._monitor()
        monitor.clock = clock_of(self.runtime.device)
        return monitor


def train_alone(case: Case) -> dict[str, Any]:
    """Train with the engine and return what its own record says, with the peak of memory.

    Args:
        case: What to train; its windows become a tenth of the run each.
    """
    window = max(1, case.n_steps // N_WINDOWS)
    modules, game = case.build()
    config = case.config.model_copy(update={"window": window, "tensorboard": False})
    with tempfile.TemporaryDirectory() as folder:
        trainer = TimedTrainer(modules, game, case.dataset, config, Path(folder), quiet=True)
        forget_peak(trainer.runtime.device)
        trainer.run()
        memory = peak_mib(trainer.runtime.device)
        lines = [json.loads(line) for line in (Path(folder) / "stats.jsonl").read_text().splitlines()]
    counted = lines[1:] or lines
    seconds = sum(line["ms_per_step"] for line in counted) / 1e3
    phases = {name.removesuffix("/ms") for line in counted for name in line if name.endswith("/ms")}
    return {
        "examples_per_second": len(counted) * config.batch_size / seconds,
        "ms_per_step": 1e3 * seconds / len(counted),
        "ms_per_phase": {
            name: _mean([line[f"{name}/ms"] for line in counted if f"{name}/ms" in line]) for name in phases
        },
        "wait_share": _mean([line["wait_share"] for line in counted]),
        "peak_mib": memory,
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


class Turnstile:
    """A dataset that lets somebody else go first at the beginning of every pair, and keeps the time.

    Args:
        dataset: What the engine asks for.
        moves: Number of batches that each step takes.
        pair: Steps of a pair.
        other: Called with the number of the first step of a pair.
        clock: In seconds.
    """

    def __init__(
        self, dataset: Examples, moves: list[int], pair: int, other: Callable[[int], None], clock: Callable[[], float]
    ) -> None:
        self.dataset, self.other, self.clock = dataset, other, clock
        firsts = [sum(moves[:step]) for step in range(len(moves))]
        self.begins = {firsts[step]: step for step in range(0, len(moves), pair)}
        self.served = 0
        self.own: list[float] = []
        self.others: list[float] = []
        self._since: float | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        """Return the batch, after the other's turn when a pair begins."""
        if self.served in self.begins:
            begin = self.clock()
            if self._since is not None:
                self.own.append(begin - self._since)
            self.other(self.begins[self.served])
            self._since = self.clock()
            self.others.append(self._since - begin)
        self.served += 1
        return self.dataset.fetch(indices, seeds)


def is_bf16(config: TrainConfig, device: torch.device) -> bool:
    """Return whether the engine computes losses in bf16 there."""
    precision = config.runtime.precision
    return precision == "bf16" or (precision == "auto" and device.type == "cuda")


def requests_of(case: Case) -> list[Request]:
    """Return what the engine will ask the dataset for, move by move."""
    _, game = case.build()
    config = case.config
    loader = Loader(case.dataset, game, batch_size=config.batch_size, n_steps=case.n_steps, seed=config.seed)
    return list(loader.requests(0))


def beside_bare(case: Case, device: torch.device) -> dict[str, Any]:
    """Train with the engine and with a plain loop in turns, and return the ratio of their times.

    Args:
        case: What to train.
        device: Where.

    Returns:
        `ratio`, `low`, `high`: median over pairs of the engine's time over the plain loop's, and its 95 % interval;
        `pairs`: how many were counted, the first of each kind of step left out.
    """
    (modules, game), requests = case.build(), requests_of(case)
    config = case.config.model_copy(update={"tensorboard": False, "checkpoint_minutes": None})
    bare = BareLoop(modules, game, config, case.n_steps, device, bf16=is_bf16(config, device))
    batches = (case.dataset.fetch(*request) for request in requests)
    moves = [game.moves(step, step / case.n_steps) for step in range(case.n_steps)]

    def turn(first: int) -> None:
        for step in range(first, min(first + case.pair, case.n_steps)):
            bare.step(step, batches)

    gate = Turnstile(case.dataset, [len(own) for own in moves], case.pair, turn, clock_of(device))
    own_modules, own_game = case.build()
    with tempfile.TemporaryDirectory() as folder:
        Trainer(own_modules, own_game, gate, config, Path(folder), quiet=True).run()
    kinds = [tuple(phase.name for phase, _ in moves[first]) for first in range(0, case.n_steps, case.pair)]
    pairs = list(zip(kinds, gate.own, gate.others, strict=False))
    # The first pair of a kind allocates, and the first of all has had no begin of the run.
    kept = [(own, other) for number, (kind, own, other) in enumerate(pairs) if kind in kinds[:number]]
    found = median_interval([own / other for own, other in kept or [pair[1:] for pair in pairs]])
    return {"ratio": found.value, "low": found.low, "high": found.high, "pairs": len(kept)}


def count_flops(case: Case, device: torch.device) -> dict[str, float]:
    """Return the floating-point operations of a mean step, and of one move of each phase under its name.

    Args:
        case: What to train.
        device: Where.
    """
    modules, game = case.build()
    bare = BareLoop(modules, game, case.config, case.n_steps, device, bf16=is_bf16(case.config, device))
    first: dict[str, tuple[int, int]] = {}
    batches, counts = iter(requests_of(case)), Counter[str]()
    for step in range(case.n_steps):
        for phase, repeat in game.moves(step, step / case.n_steps):
            request = next(batches)
            counts[phase.name] += 1
            if phase.name in first:
                continue
            with FlopCount() as counter:
                bare.move(phase, bare.moment(step, phase, repeat), case.dataset.fetch(*request))
            first[phase.name] = (step, counter.total)
    per_move = {name: float(total) for name, (_, total) in first.items()}
    total = sum(per_move[name] * counts[name] for name in per_move)
    return {"step": total / case.n_steps} | per_move
