"""What the engine's options for speed are worth: each alone and all together, against float32 without any of them.

Both sides train from the same beginning, turn by turn. A speed-up counts only while the losses of the first step, where
both hold the same weights, agree within `TOLERANCE`; what bf16 may change is that of rounding to 8 bits. Options that
the engine does not have are named as such, and measured as soon as it has them.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiogan.adversarial.game import Phase
from audiogan.adversarial.runtime import Runtime, RuntimeConfig
from audiogan.adversarial.trainer import Trainer
from tests.benchmarks.engine_cases import Case
from tests.benchmarks.engine_meters import clock_of, median_interval

OPTIONS: dict[str, dict[str, Any]] = {
    "bf16": {"precision": "bf16"},
    "compile": {"compile": "on"},
    "channels_last": {"memory_format": "channels_last"},
    "graphs": {"cuda_graph": True},
}
PLAIN = {"precision": "fp32"}
TOLERANCE = {"bf16": 0.05, "together": 0.05}
CLOSE = 1e-3
"""Allowed relative difference of the losses of the first step, for options without a line in `TOLERANCE`."""
TOO_SLOW = "not measured: on a CPU the first compilation takes minutes"
JUMPING = ("pair_sign",)
"""Terms that count signs: the smallest difference can move them by a whole example."""


class SteppedTrainer(Trainer):
    """A trainer that makes steps when told to, and keeps the losses of the first one."""

    def begin(self, n_steps: int) -> None:
        """Get ready for the first step of so many."""
        self.n_steps = n_steps
        self.runtime.settle(self.players, self.dataset, self.config.batch_size, {})
        self.monitor = self._monitor()
        self.batches = self._loader(n_steps).batches(0)
        self.now, self.first = 0, dict[str, float]()

    def advance(self, step: int) -> None:
        """Make a step with all that belongs to it but saving."""
        self.now = step
        self.step(step, self.batches)
        self.monitor.finite()
        self.monitor.end_step(step + 1)

    def _note(self, phase: Phase, names: list[str], losses: Tensor) -> None:
        super()._note(phase, names, losses)
        if self.now == 0:
            pairs = zip(names, losses.tolist(), strict=True)
            self.first |= {f"{phase.name}/{name}": value for name, value in pairs if name not in JUMPING}


def measure_options(
    case: Case, device: torch.device, options: Mapping[str, dict[str, Any]] = OPTIONS
) -> dict[str, Any]:
    """Return for each option why it is not measured, or its speed-up with interval and how the first losses differ.

    Args:
        case: What to train.
        device: Where.
        options: Fields of the runtime's configuration by name of the option.
    """
    offered = {name: given for name, given in options.items() if given.keys() <= RuntimeConfig.model_fields.keys()}
    found: dict[str, Any] = {name: "not offered" for name in options if name not in offered}
    if device.type == "cpu" and offered.pop("compile", None):
        found["compile"] = TOO_SLOW
    runs = dict(offered)
    if len(offered) > 1:
        runs["together"] = {key: value for given in offered.values() for key, value in given.items()}
    for name, given in runs.items():
        found[name] = _compare(case, device, given, TOLERANCE.get(name, CLOSE))
    return found


def _compare(case: Case, device: torch.device, option: dict[str, Any], tolerance: float) -> dict[str, Any]:
    clock = clock_of(device)
    with tempfile.TemporaryDirectory() as folder:
        plain, other = (
            _trainer(case, device, given, Path(folder) / name) for name, given in (("a", {}), ("b", option))
        )
        times: list[tuple[float, float]] = []
        for step in range(case.n_steps):
            begin = clock()
            plain.advance(step)
            middle = clock()
            other.advance(step)
            times.append((middle - begin, clock() - middle))
    # Steps of the first tenth allocate and warm up.
    counted = times[len(times) // 10 :]
    speed = median_interval([a / b for a, b in counted])
    error = difference(plain.first, other.first)
    return {
        "speed_up": speed.value,
        "low": speed.low,
        "high": speed.high,
        "loss_difference": error,
        "tolerance": tolerance,
        "equal": error <= tolerance,
    }


def _trainer(case: Case, device: torch.device, option: dict[str, Any], folder: Path) -> SteppedTrainer:
    modules, game = case.build()
    runtime = Runtime(RuntimeConfig.model_validate({"device": str(device)} | PLAIN | option))
    config = case.config.model_copy(update={"tensorboard": False})
    trainer = SteppedTrainer(modules, game, case.dataset, config, folder, runtime=runtime, quiet=True)
    trainer.begin(case.n_steps)
    return trainer


def difference(first: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Return the length of the difference of two sets of losses over the length of the first.

    Args:
        first: By name.
        other: Under the same names.
    """
    assert first.keys() == other.keys(), "terms of the same game"
    a, b = (torch.tensor([losses[name] for name in first], dtype=torch.float64) for losses in (first, other))
    return float((a - b).norm() / a.norm().clamp_min(1e-12))
