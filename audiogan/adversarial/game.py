"""Describe who moves when: phases, the moment they move at, and what must survive a restart.

A `Phase` is one player's move: the modules that move, their optimiser and a function from a batch to weighted loss
terms. A `Game` is the list of phases with whatever else must survive a restart. Nothing here knows what the tensors
mean.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from torch import Tensor

from audiogan.adversarial.compiling import Compilable
from audiogan.adversarial.schedule import Schedule

Terms = Mapping[str, Tensor]
Batch = Mapping[str, Tensor]


def seed_of(*parts: object) -> int:
    """Return a 63-bit seed that depends on every part and on nothing else.

    Args:
        parts: Numbers and strings, for example `(seed, "z", "generator", 0, 1200)`.

    Example:
        >>> seed_of(0, "z") == seed_of(0, "z"), seed_of(0, "z") == seed_of(1, "z")
        (True, False)
    """
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True)
class Moment:
    """Say where in the run a move happens, and give every random draw of that move.

    All draws are pure functions of `(seed, stream, phase, repeat, step)`, so a resumed run needs no generator state.

    Args:
        step: Number of the step, from 0.
        share: Share of the whole budget spent, in [0, 1).
        n_seen: Examples seen by the run so far: step times global batch size.
        span_share: Share of this phase's own span spent, in [0, 1).
        seed: Seed of the run.
        phase: Name of the phase that moves.
        repeat: Which move of this phase within the step, from 0.
        rank: Number of this process.
        world: Number of processes, times `portions`.
        portions: Parts of a process's batch that move one after the other and draw as processes of their own.
    """

    step: int
    share: float
    n_seen: int
    span_share: float = 0.0
    seed: int = 0
    phase: str = ""
    repeat: int = 0
    rank: int = 0
    world: int = 1
    portions: int = 1

    def generator(self, stream: str) -> torch.Generator:
        """Return a fresh CPU generator for one named stream of draws; equal on every process.

        Args:
            stream: Name of what is drawn, for example `"z"`; a second draw of a move needs a second name.
        """
        # The CPU engine keeps the low 32 bits of a seed: two moves in a long run may share a draw, which does no harm.
        return torch.Generator().manual_seed(seed_of(self.seed, stream, self.phase, self.repeat, self.step))

    def normal(self, stream: str, n_examples: int, *shape: int) -> Tensor:
        """Return `(n_examples, *shape)` standard normal values on CPU: this process's rows of the global draw.

        Args:
            stream: Name of what is drawn.
            n_examples: Rows of this process's batch.
            shape: Shape of one row.
        """
        return torch.randn(n_examples * self.world, *shape, generator=self.generator(stream))[self.rank :: self.world]

    def uniform(self, stream: str, n_examples: int, *shape: int) -> Tensor:
        """Return `(n_examples, *shape)` values in [0, 1) on CPU: this process's rows of the global draw.

        Args:
            stream: Name of what is drawn.
            n_examples: Rows of this process's batch.
            shape: Shape of one row.
        """
        return torch.rand(n_examples * self.world, *shape, generator=self.generator(stream))[self.rank :: self.world]


class Stateful(Protocol):
    """Anything with memory between steps; the trainer saves and restores it."""

    def state(self) -> dict[str, Any]:
        """Return tensors and plain numbers under flat names."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        ...


def _floats(value: Any) -> Any:
    return tuple(float(item) for item in value) if isinstance(value, (list, tuple)) else value


class OptimizerConfig(BaseModel):
    """Adam with a scheduled rate (arXiv 1412.6980); decoupled decay when `weight_decay` is set (arXiv 1711.05101)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lr: Schedule = Field(
        default=Schedule(start=2e-4),
        description="Step size over the phase's span; a number or a schedule.",
        validate_default=True,
    )
    betas: Annotated[tuple[float, float], BeforeValidator(_floats)] = Field(
        default=(0.0, 0.99), description="Decay of the first and second moment; first 0 as in arXiv 1710.10196."
    )
    beta2: Schedule | None = Field(default=None, description="Schedule that replaces the second of `betas`.")
    eps: float = Field(default=1e-8, gt=0.0, description="Added to the root of the second moment.")
    weight_decay: float = Field(default=0.0, ge=0.0, description="Decoupled weight decay per unit of step size.")

    @model_validator(mode="after")
    def _check(self) -> "OptimizerConfig":
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"betas {self.betas}; expected two numbers in [0, 1)")
        if self.lr.start < 0.0 or (self.lr.end or 0.0) < 0.0:
            raise ValueError(f"lr from {self.lr.start} to {self.lr.end}; expected 0 or more")
        return self


class Repeats(BaseModel):
    """How often a phase moves within one step, with the bursts of the classic recipes (arXiv 1701.07875)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usual: int = Field(default=1, ge=1, description="Moves in an ordinary step.")
    burst: int = Field(default=1, ge=1, description="Moves in a burst step.")
    burst_steps: int = Field(default=0, ge=0, description="The first so many steps are burst steps.")
    burst_every: int = Field(default=0, ge=0, description="Every so many steps one is a burst step; 0 for never.")

    @property
    def most(self) -> int:
        """The largest number of moves that a step can hold."""
        return max(self.usual, self.burst)

    def at(self, step: int) -> int:
        """Return the number of moves in a step.

        Args:
            step: Number of the step, from 0.
        """
        burst = step < self.burst_steps or (self.burst_every > 0 and step % self.burst_every == 0)
        return self.burst if burst else self.usual


@dataclass(frozen=True)
class Phase:
    """One player's move.

    Args:
        name: Unique within the game; names the optimiser's file and the recorded terms.
        modules: Names of the modules that move; every other module stands still during this phase.
        terms: From a batch on the device and the moment to named loss terms, already weighted, zero-dimensional. They
            are summed; a term without gradient is recorded and moves nothing.
        optimizer: Rate and betas of this phase's own optimiser.
        interval: Move every so many steps.
        repeats: Moves within such a step, each on its own batch.
        span: Move only while the share of the budget is in [first, second).
        after_move: Called after each optimiser step, for example to clip weights.
    """

    name: str
    modules: tuple[str, ...]
    terms: Callable[[Batch, Moment], Terms]
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    interval: int = 1
    repeats: int | Repeats = 1
    span: tuple[float, float] = (0.0, 1.0)
    after_move: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        assert self.modules, f"phase {self.name} moves no module"
        assert self.interval >= 1, f"phase {self.name} has interval {self.interval}"
        assert 0.0 <= self.span[0] < self.span[1] <= 1.0, f"phase {self.name} has span {self.span}"

    @property
    def most_repeats(self) -> int:
        """The largest number of moves in a step."""
        return self.repeats if isinstance(self.repeats, int) else self.repeats.most

    def moves(self, step: int, share: float) -> int:
        """Return how often this phase moves in a step; 0 when it is not due.

        Args:
            step: Number of the step, from 0.
            share: Share of the budget spent at its start, in [0, 1).
        """
        if step % self.interval or not self.span[0] <= share < self.span[1]:
            return 0
        return self.repeats if isinstance(self.repeats, int) else self.repeats.at(step)

    def span_share(self, share: float) -> float:
        """Return the share of this phase's own span that is spent, clamped to [0, 1].

        Args:
            share: Share of the budget spent, in [0, 1].
        """
        first, last = self.span
        return min(1.0, max(0.0, (share - first) / (last - first)))


@dataclass(frozen=True)
class Game:
    """All phases in the order they move, and what else must survive a restart.

    Args:
        phases: In order of moving within a step; names are unique.
        extras: Things with memory, by name; saved in every checkpoint.
        averaged: Modules to keep an average of, with the share of the budget at which each average starts.
        watch: Extra scalars for the record, called once per window.
        compilable: What may be compiled, with names of their own.
    """

    phases: Sequence[Phase]
    extras: Mapping[str, Stateful] = field(default_factory=dict)
    averaged: Mapping[str, float] = field(default_factory=dict)
    watch: Callable[[Moment], Mapping[str, float]] | None = None
    compilable: Sequence[Compilable] = ()

    def __post_init__(self) -> None:
        names = [phase.name for phase in self.phases]
        assert names, "a game needs a phase"
        assert len(set(names)) == len(names), f"phase names repeat: {names}"
        assert len({each.name for each in self.compilable}) == len(self.compilable), "compilable names repeat"

    def moves(self, step: int, share: float) -> list[tuple[Phase, int]]:
        """Return every move of a step as (phase, repeat), in order.

        Args:
            step: Number of the step, from 0.
            share: Share of the budget spent at its start, in [0, 1).
        """
        return [(phase, repeat) for phase in self.phases for repeat in range(phase.moves(step, share))]

    def boundaries(self) -> list[float]:
        """Return the shares between which the same phases are active, from 0.0 to 1.0."""
        return sorted({0.0, 1.0, *(share for phase in self.phases for share in phase.span)})
