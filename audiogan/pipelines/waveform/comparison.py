"""Rows of an evaluation: every number with its interval, what real notes score, and what an untrained model scores.

The floor is what real notes reach under the same measure: real against real, a real note under the same judge, or the
representation's own round trip. The ceiling is an untrained model. Whether more or less is better says the caller.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from audiogan.evaluation.distances import (
    NOTHING,
    Distance,
    Neighbours,
    Scaler,
    diversity,
    frechet,
    frechet_inf,
    kad_with_floor,
    neighbours,
    with_floor,
)
from audiogan.evaluation.intervals import Interval, bootstrap_mean
from audiogan.evaluation.sample_sizes import least, why_refused
from audiogan.pipelines.waveform.descriptors import Array
from audiogan.pipelines.waveform.timbre_vector import scaled

MIN_INSTRUMENTS = 4
COLLAPSED = 0.25
N_LIMITS = 10
LEAST_LIMIT = 50
SMALLER_IS_BETTER = frozenset({"kernel_distance", "frechet", "fd_inf", "ndb", "divergence"})
EASY = frozenset({"diversity", "nearest_training_note", "copies", "broken_notes"})  # what any noise may pass


@dataclass(frozen=True)
class Row:
    """One number and its company; NaN stands for what does not exist.

    Args:
        metric, form: What is measured, and on what or by whom.
        value, low, high: Of the model, with its 95 % interval.
        floor, floor_low, floor_high: Of real notes.
        ceiling: Of an untrained model.
        gap: (value - floor) / (ceiling - floor): 0 like real, 1 like untrained.
        n, n_real: Notes, or what else was counted.
        passes: As good as real notes, or good enough; None where that cannot be said.
        note: What else has to be known.
    """

    metric: str
    form: str
    value: float
    low: float
    high: float
    floor: float
    floor_low: float
    floor_high: float
    ceiling: float
    gap: float
    n: int
    n_real: int
    passes: bool | None
    note: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the row for JSON: None instead of NaN."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def row(
    metric: str,
    form: str,
    value: Interval,
    floor: Interval = NOTHING,
    ceiling: float = math.nan,
    *,
    larger_is_better: bool,
    n: int,
    n_real: int = 0,
    enough: float = math.nan,
    is_judged: bool = True,
    note: str = "",
) -> Row:
    """Fill in a row.

    Args:
        metric, form, n, n_real, note: As in `Row`.
        value, floor: Of the model and of real notes.
        ceiling: Of an untrained model.
        larger_is_better: Which way is better.
        enough: A value that passes whatever real notes have.
        is_judged: False where there is too little to judge by.
    """
    sign = 1 if larger_is_better else -1
    limits = [limit for limit in (floor.low if larger_is_better else floor.high, enough) if math.isfinite(limit)]
    passes = any(sign * value.value >= sign * limit for limit in limits) if limits and is_judged else None
    is_anchor = math.isfinite(ceiling) and not floor.low <= ceiling <= floor.high and ceiling != floor.value
    gap = (value.value - floor.value) / (ceiling - floor.value) if is_anchor else math.nan
    return Row(
        metric=metric,
        form=form,
        value=float(value.value),
        low=float(value.low),
        high=float(value.high),
        floor=float(floor.value),
        floor_low=float(floor.low),
        floor_high=float(floor.high),
        ceiling=float(ceiling),
        gap=gap,
        n=n,
        n_real=n_real,
        passes=passes,
        note=note,
    )


def mean_of(values: Array, groups: Sequence[object] | None = None, *, seed: int = 0) -> Interval:
    """Return the mean of the values that are numbers, groups resampled; nothing where none is."""
    there = np.isfinite(values)
    if not there.any():
        return NOTHING
    kept = None if groups is None else [group for group, use in zip(groups, there, strict=True) if use]
    return bootstrap_mean(np.asarray(values, dtype=np.float64)[there], kept, seed=seed)


# ---- sets of notes


def compare_sets(
    made: Array, real: Array, instruments: Sequence[object], poor: Array, scaler: Scaler, *, seed: int = 0
) -> list[Row]:
    """Return distances between made and real notes, and shares by neighbours, at equal sizes, by the timbre vector.

    Args:
        made, real, poor: `(note, descriptor)` of the model, held-out, and of an untrained model.
        instruments: Of each real note.
        scaler: Fitted on training notes.
        seed: Of the halves.
    """
    x, y, anchor = (scaled(vectors, scaler) for vectors in (real, made, poor))
    return compare_embedded(y, x, instruments, anchor, "timbre vector", seed=seed)


def compare_embedded(
    made: Array, real: Array, instruments: Sequence[object], poor: Array, form: str, *, seed: int = 0
) -> list[Row]:
    """Return the same of notes in any embedding.

    Halves of the real notes are halves of their instruments; where there are fewer than four, notes stand alone, the
    floor comes out too low, and nothing is judged. A figure that needs more notes is refused.

    Args:
        made, real, poor: `(note, feature)` of the model, held-out, and of an untrained model.
        instruments: Of each real note.
        form: Name of the embedding.
        seed: Of the halves.
    """
    few = len(set(instruments)) < MIN_INSTRUMENTS
    groups = range(len(real)) if few else instruments
    note = f"{len(set(instruments))} held-out instruments, {MIN_INSTRUMENTS} are needed" if few else ""
    found = {"kernel_distance": kad_with_floor(made, real, groups, poor=poor, seed=seed)}
    others = with_floor(_statistics, made, real, groups, poor=poor, seed=seed)
    found |= dict(zip(("frechet", *Neighbours._fields, "diversity"), others, strict=True))
    straight = with_floor(frechet_limit, made, real, groups, poor=poor, n_draws=N_LIMITS, seed=seed)
    found["fd_inf"] = straight[0]
    sizes, n_features = (len(made), len(real)), real.shape[1]
    notes = dict.fromkeys(found, note) | {
        "fd_inf": "; ".join(filter(None, (note, f"R² {straight[1].value.value:.2f}")))
    }
    return [
        set_row(name, form, distance, sizes, notes[name], is_judged=not few, n_features=n_features)
        for name, distance in found.items()
    ]


def _statistics(x: Array, y: Array) -> tuple[float, ...]:
    n, d = x.shape
    distance = frechet(x, y) if n >= least("frechet", n_features=d) else math.nan
    shares = neighbours(x, y) if n >= least("coverage") else [math.nan] * len(Neighbours._fields)
    return distance, *shares, diversity(x, y)


def frechet_limit(x: Array, y: Array) -> tuple[float, float]:
    """Return the Fréchet distance of endless sets and the R² of the line behind it; NaN from too few items."""
    enough = len(x) >= max(least("fd_inf", n_features=x.shape[1]), LEAST_LIMIT)
    return frechet_inf(x, y) if enough else (math.nan, math.nan)


def set_row(
    name: str,
    form: str,
    distance: Distance,
    sizes: tuple[int, int],
    note: str = "",
    *,
    is_judged: bool = True,
    larger_is_better: bool | None = None,
    n_features: int = 0,
    n_classes: int = 0,
) -> Row:
    """Return the row of a statistic of sets, or a row that says why there is no figure.

    Args:
        name, form, note: As in `Row`.
        distance: With its floor and ceiling.
        sizes: Notes made and real.
        is_judged: False where there is too little to judge by.
        larger_is_better: Which way is better; None for what the name tells.
        n_features, n_classes: Of the vectors, and that notes are put into: what the least number of notes depends on.
    """
    refused = why_refused(name, distance.n, n_features=n_features, n_classes=n_classes)
    counted = refused or f"{distance.n} against {distance.n}"
    if name == "diversity" and distance.value.value < COLLAPSED:
        counted += "; collapsed"
    value, floor, ceiling = (
        (NOTHING, NOTHING, NOTHING) if refused else (distance.value, distance.floor, distance.ceiling)
    )
    larger = name not in SMALLER_IS_BETTER if larger_is_better is None else larger_is_better
    return row(
        name, form, value, floor, ceiling.value, larger_is_better=larger, n=sizes[0], n_real=sizes[1],
        is_judged=is_judged, note=f"{counted}; {note}" if note and not refused else counted,
    )  # fmt: skip


def copying_rows(made: Array, real: Array, learnt: Array, groups: Sequence[object], scaler: Scaler) -> list[Row]:
    """Return how near notes come to training notes beside how near held-out ones come: a hint at copies, no proof.

    Args:
        made, real, learnt: `(note, descriptor)` of the model, held-out, and of training notes.
        groups: The instrument of each real note.
        scaler: Fitted on training notes.
    """
    near = [_nearest(scaled(vectors, scaler), scaled(learnt, scaler)) for vectors in (made, real)]
    limit = float(np.percentile(near[1], 1)) / 2
    share = [mean_of((values < limit).astype(float), group) for values, group in zip(near, (None, groups), strict=True)]
    n, n_real = len(made), len(real)
    note = f"of {len(learnt)} training notes"
    return [
        row(
            "nearest_training_note", "distance", mean_of(near[0]), mean_of(near[1], groups),
            larger_is_better=True, enough=0.5 * float(near[1].mean()), n=n, n_real=n_real, note=note,
        ),
        row(
            "copies", "below half of the nearest 1 % of real notes", share[0], share[1],
            larger_is_better=False, enough=0.001, n=n, n_real=n_real, note=note,
        ),
    ]  # fmt: skip


def _nearest(x: Array, y: Array) -> Array:
    """Distance of each of `(note, descriptor)` from the nearest of the others."""
    return np.array([np.sqrt(((y - one) ** 2).sum(axis=1).min()) for one in x])


def only_of_likely(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without a verdict on what any noise passes, unless the notes are like real ones as a set."""
    if any(one.metric == "kernel_distance" and one.passes for one in rows):
        return list(rows)
    return [replace(one, passes=None) if one.metric in EASY else one for one in rows]


# ---- showing


def summary(rows: Sequence[Row]) -> tuple[int, int]:
    """Return how many rows pass, and how many were judged."""
    judged = [row.passes for row in rows if row.passes is not None]
    return sum(judged), len(judged)


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    head = ["metric", "form", "value [95 %]", "real [95 %]", "untrained", "gap", "n", "verdict", "note"]
    table = [head, ["---"] * len(head), *map(_cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in table) + "\n"


def _cells(row: Row) -> list[str]:
    verdict = {True: "yes", False: "no", None: "-"}[row.passes]
    value = f"{_text(row.value)} [{_text(row.low)}, {_text(row.high)}]"
    floor = f"{_text(row.floor)} [{_text(row.floor_low)}, {_text(row.floor_high)}]" if row.floor == row.floor else "-"
    counts = f"{row.n}, {row.n_real}" if row.n_real else str(row.n)
    return [row.metric, row.form, value, floor, _text(row.ceiling), _text(row.gap), counts, verdict, row.note or "-"]


def _text(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"
