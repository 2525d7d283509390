"""Leave out moves that are not finite, and tell when a run diverges.

A move whose gradient or loss is not finite is not made. The optimiser decides so on the device (AdamW with `found_inf`,
as gradient scalers use it), so that nothing waits, and a gradient is the mean over all processes, so that all decide
alike. What terms change as they are computed (buffers, other memory) is put back at the end of such a step. More than
`MOST_SKIPPED` such steps among `SPAN` are divergence, and so is a loss far above its own running median for long: the
sum of a phase's terms, since single terms may be zero or change sign.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from audiogan.adversarial.game import Phase
from audiogan.adversarial.monitor import Monitor
from audiogan.adversarial.players import Players
from audiogan.adversarial.portions import OUT_OF_MEMORY
from audiogan.adversarial.runtime import Runtime
from audiogan.errors import TrainingError

MOST_GRADIENT = 1e18
"""Norm above which a square, as the optimiser keeps it, would leave the range of float32."""
MOST_SKIPPED, SPAN = 5, 50
NOT_MOVED = -1.0
MOST_GROWTH, MOST_STEPS = 1e4, 50
WINDOW = 200
"""Steps over which the median runs; there is none for fewer than a quarter of them."""
LEAST_USUAL = 1e-2
"""Where a player has won its losses are all but zero, and coming back from there is no divergence."""


class Guard:
    """Looks after the moves of one run.

    Args:
        players: Who moves.
        runtime: The machine.
    """

    def __init__(self, players: Players, runtime: Runtime) -> None:
        self.players = players
        self.runtime = runtime
        self.norms: dict[str, Tensor] = {}
        self.flags: list[Tensor] = []
        self.is_calm = True
        # What stays in evaluation mode has buffers that stand still.
        layers = [layer for module in players.modules.values() for layer in module.modules() if layer.training]
        self._layers = [layer for layer in layers if next(layer.buffers(recurse=False), None) is not None]
        self._buffers: list[tuple[Tensor, Tensor]] = []
        self._memories: dict[str, dict[str, Any]] = {}
        self.load_state({})

    # ---- one step

    def begin(self) -> None:
        """Remember, on the device, what the terms of a step may change."""
        self.norms, self.flags = {}, []
        buffers = [buffer for layer in self._layers for buffer in layer.buffers(recurse=False)]
        self._buffers = [(buffer, buffer.clone()) for buffer in buffers]
        self._memories = {
            name: {key: value.clone() if isinstance(value, Tensor) else value for key, value in extra.state().items()}
            for name, extra in self.players.game.extras.items()
            if not getattr(extra, "follows_weights", False)
        }

    def move(self, phase: Phase, losses: Tensor) -> None:
        """Make the optimiser's step of a move unless it is not finite; `flags` gets 1.0 where it is not made, else 0.0.

        Args:
            phase: Whose gradients have been added up in this process.
            losses: `(n_terms,)`, detached.

        Raises:
            TrainingError: Memory runs out here, where smaller portions of a batch would not help.
        """
        try:
            self._move(phase, losses)
        except torch.OutOfMemoryError as error:
            why = f"out of memory in the optimiser's step of phase {phase.name}: {str(error).splitlines()[0]}"
            least = "what it needs goes by the number of weights, not by the batch; expected smaller networks"
            raise TrainingError(f"{why}; {least}", OUT_OF_MEMORY) from error

    def _move(self, phase: Phase, losses: Tensor) -> None:
        movers, optimizer = self.players.movers[phase.name], self.players.optimizers[phase.name]
        _taint(movers, losses)
        self.runtime.average_gradients(movers)
        norm = self.players.gradient_norm(phase)
        bad = (~(norm <= MOST_GRADIENT)).float()
        setattr(optimizer, "found_inf", bad)  # noqa: B010 known to the optimiser, but not declared
        optimizer.step()
        self.norms[phase.name] = norm
        self.flags.append(bad)

    def undo(self) -> None:
        """Put back what a step that was left out has changed."""
        for buffer, before in self._buffers:
            buffer.copy_(before)
        for name, memory in self._memories.items():
            self.players.game.extras[name].load_state(memory)

    # ---- a run

    def sizes(self, monitor: Monitor) -> list[float]:
        """Return for every phase of the game the sum of its terms without its sign, `NOT_MOVED` where there is none.

        Args:
            monitor: Has the terms of the step.
        """
        found = monitor.sizes() if monitor.finite() else {}
        return [found.get(phase.name, NOT_MOVED) for phase in self.players.game.phases]

    def judge(self, done: int, monitor: Monitor, sizes: Sequence[float], *, failed: bool) -> str:
        """Return why to go back, or nothing; a step that was left out is recorded.

        `is_calm` says from then on whether a checkpoint made now would be one to go back to.

        Args:
            done: Steps done, this one included.
            monitor: Has the terms of the step.
            sizes: As `sizes` returns them, equal on every process.
            failed: Whether memory ran out on any process; then there is no use in going on.
        """
        if monitor.finite():
            moved = zip(self.players.game.phases, sizes, strict=True)
            told = self.exploded({phase.name: size for phase, size in moved if size != NOT_MOVED})
            self.is_calm = not self._n_above
            return told
        self.is_calm = False
        why = monitor.trouble(done - 1)
        if failed or self.skip(done - 1):
            return why
        monitor.left_out(done, self.n_skipped, why)
        return ""

    def skip(self, step: int) -> bool:
        """Count a step that was left out, and return whether there have been too many.

        Args:
            step: Number of the step, from 0.
        """
        self.recent = [*(past for past in self.recent if past > step - SPAN), step]
        self.n_skipped += 1
        return len(self.recent) > MOST_SKIPPED

    def exploded(self, sizes: Mapping[str, float]) -> str:
        """Take the losses of a step, and return how one has exploded; empty where none has.

        Args:
            sizes: By phase that moved, the sum of its terms without its sign, finite, equal on every process.
        """
        told = ""
        for phase, size in sizes.items():
            usual = self._usual.setdefault(phase, deque(maxlen=WINDOW))
            limit = MOST_GROWTH * LEAST_USUAL
            if size > limit:  # seldom, so that the median is seldom looked for
                limit = max(limit, MOST_GROWTH * median(usual)) if len(usual) >= WINDOW // 4 else math.inf
            if size <= limit:
                usual.append(size)
                self._n_above.pop(phase, None)
                continue
            self._n_above[phase] = self._n_above.get(phase, 0) + 1
            if self._n_above[phase] >= MOST_STEPS:
                told = f"phase {phase}: loss {size:.3g}, above {limit:.3g} for {MOST_STEPS} steps"
        return told

    def state(self) -> dict[str, Any]:
        """Return plain numbers."""
        usual = {phase: list(values) for phase, values in self._usual.items()}
        return {"skipped": self.n_skipped, "recent": self.recent, "usual": usual, "above": dict(self._n_above)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned.

        Args:
            state: Empty for a run that begins.
        """
        self.n_skipped = int(state.get("skipped", 0))
        self.recent = [int(step) for step in state.get("recent", [])]
        found: Mapping[str, Sequence[float]] = state.get("usual", {})
        self._usual = {phase: deque(values, maxlen=WINDOW) for phase, values in found.items()}
        self._n_above = {phase: int(count) for phase, count in state.get("above", {}).items()}

    def forget(self) -> None:
        """Begin to judge anew, since the run has gone back and draws otherwise from there; the count stays."""
        self.load_state({"skipped": self.n_skipped})


def _taint(movers: Sequence[nn.Parameter], losses: Tensor) -> None:
    """Make a gradient not a number where a loss is not finite, so that all processes learn of it from their mean."""
    first = next((parameter for parameter in movers if parameter.grad is not None), movers[0])
    if first.grad is None:
        first.grad = torch.zeros_like(first)
    first.grad.add_(0.0 * losses.sum())
