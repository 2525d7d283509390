"""Can the metrics fail? A good model's output is damaged in known ways, and each metric says whether it noticed.

For every kind of damage one or two metrics are named beforehand that ought to catch it. All rows of an evaluation are
computed before and after, on the same items; a row moved if its value left the undamaged 95 % interval, if it exists no
more, or if its verdict went from passed to failed. A row that moved towards real is told apart: it saw the damage and
took it for an improvement, so it does not catch. A damage is caught only if a row named for it moved the other way. The
first line of the table is no damage at all but the same model with other random numbers: how many rows move by chance.

    python -m tests.benchmarks.damaged clips|notes [--model NAME] [--count N] [--corpus CACHE] [--seed 0] [--out FILE]

`--corpus` is the cache of prepared training items of the model (clips: on the grid of comparison); without it nothing
can be said about copies, and their lines are left out.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from audiogan.evaluation.audit import Audit, Material, View, audit_by_limits

CHANCE = "nothing: other random numbers"
MOST_SHOWN = 4
T = TypeVar("T")


class Reading(NamedTuple):
    """A row of an evaluation: its name, value and interval, what real items have, its verdict, and if more is better.

    Where more is neither better nor worse, what counts is how far from real it is.
    """

    name: str
    value: float
    low: float
    high: float
    real: float
    passes: bool | None
    larger_is_better: bool = False


class Move(NamedTuple):
    """A row that moved: its values, whether its verdict flipped, and whether it took the damage for an improvement."""

    name: str
    before: float
    after: float
    flipped: bool
    nearer: bool = False


class Damage(NamedTuple):
    """What is done to the output, and the names (patterns of `fnmatch`) of the rows that ought to notice."""

    name: str
    ought: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one damage.

    Args:
        damage, ought: As in `Damage`.
        caught_by: Rows among those named that moved away from real.
        others: All other rows that did.
        nearer: Rows that moved towards real.
        n_rows: Rows that could have moved.
        missing: Named patterns that no row has: the metric does not exist or was refused.
    """

    damage: str
    ought: tuple[str, ...]
    caught_by: tuple[Move, ...]
    others: tuple[Move, ...]
    n_rows: int
    nearer: tuple[Move, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def is_caught(self) -> bool:
        """Whether a row named beforehand noticed."""
        return bool(self.caught_by)


def noticed(before: Sequence[Reading], after: Sequence[Reading]) -> tuple[list[Move], int]:
    """Return the rows that moved beyond their interval, or whose verdict flipped, and how many rows there are."""
    later = {one.name: one for one in after}
    pairs = [(one, later[one.name]) for one in before if one.name in later and math.isfinite(one.value)]
    moves = []
    for old, new in pairs:
        gone = not math.isfinite(new.value)
        left = not gone and not old.low <= new.value <= old.high
        flipped = old.passes is True and new.passes is False
        nearer = left and not flipped and _is_better(old, new)
        if gone or flipped or left:
            moves.append(Move(old.name, old.value, new.value, flipped, nearer))
    return moves, len(pairs)


def _is_better(old: Reading, new: Reading) -> bool:
    if old.larger_is_better:
        return new.value > old.value
    return abs(new.value - old.real) <= abs(old.value - old.real)


def judge(damage: Damage, before: Sequence[Reading], after: Sequence[Reading]) -> Outcome:
    """Say whether the named rows noticed a damage."""
    moves, n_rows = noticed(before, after)
    away, nearer = ([move for move in moves if move.nearer is kind] for kind in (False, True))
    mine = [move for move in away if _is_named(move.name, damage.ought)]
    others = [move for move in away if not _is_named(move.name, damage.ought)]
    there = [one.name for one in before if math.isfinite(one.value)]
    missing = tuple(pattern for pattern in damage.ought if not any(fnmatch(name, pattern) for name in there))
    return Outcome(damage.name, damage.ought, tuple(mine), tuple(others), n_rows, tuple(nearer), missing)


def _is_named(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


# ---- copies


def planted(items: Sequence[T], copies: Sequence[T], rng: np.random.Generator) -> list[T]:
    """Return the items with some of them, at random places, replaced by copies."""
    changed = list(items)
    places = rng.choice(len(items), len(copies), replace=False).tolist()
    for place, copy in zip(places, copies, strict=True):
        changed[place] = copy
    return changed


def limits_of(held_out: Sequence[T], learnt: Sequence[T], views: Sequence[View[T]]) -> dict[str, float]:
    """Return the distance of each view at which an item counts as a copy, by honest items."""
    return {view.name: view.limit(view.nearest(held_out, learnt).distance) for view in views}


def copies_read(
    material: Material[T],
    views: Sequence[View[T]],
    disguise: Callable[[T, np.random.Generator], T],
    limits: dict[str, float],
    seed: int,
) -> tuple[list[Reading], Audit]:
    """Return rule A of the audit as a row, and the audit with its controls; no power gives no verdict."""
    found = audit_by_limits(material, views, disguise, limits, seed=seed)
    rule = found.rules[0]
    passes = None if found.verdict == "no power" else found.verdict == "pass"
    return [Reading("hard copies · audit", rule.value, rule.low, rule.high, 0.0, passes)], found


# ---- showing


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return the table: what was done, which rows ought to notice, which did, and how many others."""
    head = ["damage", "ought to notice", "caught", "by", "rows that moved away from real", "named, but towards real"]
    table = [head, ["---"] * len(head), *map(_cells, outcomes)]
    return "\n".join("| " + " | ".join(line) + " |" for line in table) + "\n"


def _cells(one: Outcome) -> list[str]:
    verdict = "-" if not one.ought else "yes" if one.is_caught else "NO"
    n_moved = len(one.caught_by) + len(one.others)
    return [
        one.damage,
        "; ".join(one.ought) or "-",
        verdict,
        _listed(one.caught_by) or "-",
        f"{n_moved} of {one.n_rows} in all" + (", others: " + _listed(one.others) if one.others else ""),
        _listed([move for move in one.nearer if _is_named(move.name, one.ought)]) or "-",
    ]


def _listed(moves: Sequence[Move]) -> str:
    first = sorted(moves, key=lambda move: not move.flipped)[:MOST_SHOWN]
    told = [
        f"{move.name} {move.before:.3g} → {move.after:.3g}" + (" (fails)" if move.flipped else "") for move in first
    ]
    return "; ".join(told) + (f"; {len(moves) - len(first)} more" if len(moves) > len(first) else "")


def as_json(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as JSON; what does not exist is null."""
    kinds = ("caught_by", "others", "nearer")
    rows = [
        asdict(one)
        | {kind: [_known(move) for move in getattr(one, kind)] for kind in kinds}
        | {"caught": one.is_caught if one.ought else None}
        for one in outcomes
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def _known(move: Move) -> Mapping[str, object]:
    values = move._asdict()
    return values | {key: None for key in ("before", "after") if not math.isfinite(values[key])}


def main(arguments: Sequence[str] | None = None) -> None:
    """Damage the output of a model and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("clips", "notes"))
    parser.add_argument("--model", help="name or folder; by default the shipped model")
    parser.add_argument("--count", type=int, help="items; by default 512 clips or 320 notes")
    parser.add_argument("--corpus", type=Path, help="cache of the prepared training items")
    parser.add_argument("--only", nargs="+", help="damages whose names begin so")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    outcomes = []
    sys.stdout.write(markdown([]))
    for one in _outcomes(given):  # told as they come, since each takes half a minute
        outcomes.append(one)
        sys.stdout.write(markdown([one]).splitlines()[-1] + "\n")
        sys.stdout.flush()
        sys.stderr.write(f"{time.process_time():6.0f} CPU s: {one.damage}\n")
        if given.out:
            given.out.write_text(as_json(outcomes), encoding="utf-8")
    if given.corpus is None:
        sys.stdout.write("\nWithout --corpus nothing was asked about copies.\n")


def _outcomes(given: argparse.Namespace) -> Iterator[Outcome]:
    only = tuple(given.only or ("",))
    if given.kind == "clips":
        from tests.benchmarks import damaged_clips

        return damaged_clips.outcomes(given.model or "songs", given.count or 512, given.corpus, given.seed, only)
    from tests.benchmarks import damaged_notes

    return damaged_notes.outcomes(given.model or "notes", given.count or 320, given.corpus, given.seed, only)


if __name__ == "__main__":
    main()
