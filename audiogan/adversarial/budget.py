"""Turn a budget into a number of steps: `N steps`, `N examples` or `N minutes`.

Minutes are measured once, by rehearsing some steps of every part of the budget that are forgotten afterwards, because
phases that move in different spans cost differently. From then on the number stands, so schedules are functions of
the step alone.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audiogan.adversarial.disk import json_bytes, parse_json, write_atomically

BUDGET_UNITS = ("steps", "examples", "minutes")
REHEARSAL_STEPS = 1_000_000
REHEARSED_SHARE = 0.02
WARMING_STEPS = 2
MOST_TIMED_STEPS = 200
MOST_REHEARSED_STEPS = WARMING_STEPS + MOST_TIMED_STEPS


def parse_budget(text: str) -> tuple[float, str]:
    """Return amount and unit of a budget.

    Args:
        text: `N steps`, `N examples` or `N minutes`; N above 0.

    Raises:
        ValueError: Anything else.

    Example:
        >>> parse_budget("2000 steps")
        (2000.0, 'steps')
    """
    amount, _, unit = text.strip().partition(" ")
    try:
        value = float(amount.replace("_", ""))
    except ValueError:
        value = 0.0
    unit = unit.strip().removesuffix("s") + "s"
    if unit not in BUDGET_UNITS or not 0.0 < value < math.inf:
        raise ValueError(
            f"budget {text!r}; expected a number above 0 and one of {', '.join(BUDGET_UNITS)}: `2000 steps`"
        )
    return value, unit


def steps_of(
    budget: str,
    batch_size: int,
    folder: Path,
    state: Mapping[str, Any],
    rehearse: Callable[[float], int],
    *,
    is_main: bool,
) -> int:
    """Return the number of steps that a budget buys; minutes are measured once and then stand.

    Args:
        budget: As in the recipe.
        batch_size: Examples per step.
        folder: The run folder, where the number is kept.
        state: Of the checkpoint that the run goes on from, or empty.
        rehearse: From a time in seconds to the number of steps that fit into it.
        is_main: Whether this process writes.
    """
    amount, unit = parse_budget(budget)
    if unit != "minutes":
        return max(1, math.ceil(amount if unit == "steps" else amount / batch_size))
    if state.get("budget") == budget:
        return int(state["n_steps"])
    path = folder / "budget.json"
    if path.exists():
        settled = parse_json(path, path.read_bytes())
        if settled.get("budget") == budget:
            return int(settled["n_steps"])
    n_steps = rehearse(60.0 * amount)
    if is_main:
        write_atomically(path, json_bytes({"budget": budget, "n_steps": n_steps}))
    return n_steps


def fit_steps(
    seconds: float,
    boundaries: Sequence[float],
    rehearse: Callable[[int], Iterator[None]],
    slowest: Callable[[float], float],
) -> int:
    """Return how many steps fit into a time, 1 or more.

    Args:
        seconds: The time, rehearsal included.
        boundaries: Shares between which a step costs about the same, from 0.0 to 1.0.
        rehearse: From the number of a step out of `REHEARSAL_STEPS` to steps that are made by `next`.
        slowest: The largest of a number over all processes.
    """
    began = time.monotonic()
    parts = list(itertools.pairwise(boundaries))
    per_step = 0.0
    for first, last in parts:
        # Past the opening steps, in which a game may let one phase move a hundred times; the step after the first is a
        # multiple of 16, so that what is due at every k-th step, and may be compiled then, is met while warming up.
        begin, end = math.ceil(first * REHEARSAL_STEPS), math.ceil(last * REHEARSAL_STEPS) - MOST_REHEARSED_STEPS
        start = min(begin + 1007, max(begin, end), REHEARSAL_STEPS - MOST_REHEARSED_STEPS)
        per_step += (last - first) * _seconds_per_step(rehearse(start), REHEARSED_SHARE * seconds / len(parts), slowest)
    left = max(0.5 * seconds, seconds - slowest(time.monotonic() - began))
    return max(1, int(left / per_step))


def _seconds_per_step(steps: Iterator[None], seconds: float, slowest: Callable[[float], float]) -> float:
    """Return the mean time of the steps that fit into `seconds`, one or more, after some for warming up."""
    for _ in range(WARMING_STEPS):
        next(steps)
    began, spent, timed = time.monotonic(), 0.0, 0
    while timed < MOST_TIMED_STEPS and spent <= seconds:
        next(steps)
        timed += 1
        spent = slowest(time.monotonic() - began)
    return max(1e-6, spent / timed)
