"""Make some steps, forget them, and tell how many fit into a time."""

import copy
from collections.abc import Callable, Iterator

from torch import Tensor

from audiogan.adversarial.budget import REHEARSAL_STEPS, fit_steps
from audiogan.adversarial.guard import MOST_SKIPPED
from audiogan.adversarial.monitor import Monitor
from audiogan.adversarial.players import Players
from audiogan.adversarial.runtime import Runtime
from audiogan.errors import TrainingError

Batches = Iterator[dict[str, Tensor]]


def rehearse(
    seconds: float,
    players: Players,
    runtime: Runtime,
    monitor: Monitor,
    *,
    step: Callable[[int, Batches], None],
    batches: Callable[[int], Batches],
) -> int:
    """Return how many steps fit into a time; the players are as before afterwards.

    Args:
        seconds: The time, rehearsal included.
        players: Who moves.
        runtime: The machine.
        monitor: Takes the losses; records nothing.
        step: Makes the step of that number.
        batches: From the number of the first step to batches.

    Raises:
        TrainingError: A loss is not finite again and again.
    """
    before = copy.deepcopy(players.capture())
    portions = runtime.portions

    def steps(first_step: int) -> Iterator[None]:
        drawn, skipped = batches(first_step), 0
        for number in range(first_step, REHEARSAL_STEPS):
            step(number, drawn)
            bad, failed = runtime.largest([not monitor.finite(), bool(portions.failed)])
            skipped += bool(bad)
            if bad and not (portions.shrink() if failed else skipped <= MOST_SKIPPED):
                raise TrainingError(f"{monitor.trouble(number)}; while measuring the speed")
            monitor.end_step(number)
            yield

    n_steps = fit_steps(seconds, players.game.boundaries(), steps, lambda own: runtime.largest([own])[0])
    players.restore(*before, "rehearsal")
    return n_steps
