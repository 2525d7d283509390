"""Sets of clips as vectors, by description or by network: distances, neighbours, and the overlap of single values.

Real against real stands in the reference columns: what a perfect generator would score. A figure that needs more clips
than there are is refused, and its row says so.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiogan.evaluation.distances import (
    NOTHING,
    Distance,
    Neighbours,
    frechet,
    frechet_inf,
    kad_with_floor,
    neighbours,
    overlap_of_distances,
    with_floor,
)
from audiogan.evaluation.sample_sizes import least, why_refused
from audiogan.pipelines.multitrack.row import Row

Array = NDArray[np.float64]
N_LIMITS = 10
LEAST_LIMIT = 50
N_OVERLAPS = 10
SPREAD = "spread"
"""Form of the rows of single values; they are not counted among the metrics, of which they are another view."""
LARGER_IS_BETTER = frozenset({*Neighbours._fields, "overlap_area"})


def distance_rows(
    generated: Array, reference: Array, poor: Array, songs: Sequence[object], column: str, *, seed: int = 0
) -> list[Row]:
    """Return KAD, Fréchet distance, the shares by neighbours, and the Fréchet distance of endless sets.

    Args:
        generated, reference, poor: `(clip, feature)`; no rows of `poor` where there is no poor generator.
        songs: The song of each reference clip.
        column: Name of the embedding.
        seed: Of the halves.
    """
    anchor = poor if len(poor) >= 2 else None
    named = {"kad": kad_with_floor(generated, reference, songs, poor=anchor, seed=seed)}
    others = with_floor(_statistics, generated, reference, songs, poor=anchor, seed=seed)
    named |= dict(zip(("frechet", *Neighbours._fields), others, strict=True))
    limit, fit = with_floor(_limit, generated, reference, songs, poor=anchor, n_draws=N_LIMITS, seed=seed)
    named["fd_inf"] = limit
    sizes, n_features = (len(generated), len(reference)), reference.shape[1]
    rows = [_row(name, "correct", column, distance, sizes, n_features) for name, distance in named.items()]
    r_squared = _row("fd_inf_r2", "correct", column, fit, sizes, n_features, is_judged=False)
    return [*rows, r_squared]


def _statistics(x: Array, y: Array) -> tuple[float, ...]:
    n, d = x.shape
    distance = frechet(x, y) if n >= least("frechet", n_features=d) else math.nan
    shares = neighbours(x, y) if n >= least("coverage") else [math.nan] * len(Neighbours._fields)
    return distance, *shares


def _limit(x: Array, y: Array) -> tuple[float, float]:
    enough = len(x) >= max(least("fd_inf", n_features=x.shape[1]), LEAST_LIMIT)
    return frechet_inf(x, y) if enough else (math.nan, math.nan)


def overlap_rows(
    names: Sequence[str],
    generated: Array,
    reference: Array,
    poor: Array,
    songs: Sequence[object],
    *,
    seed: int = 0,
) -> list[Row]:
    """Return overlap area and divergence of each value of the description, the mean over its tracks.

    Args:
        names: `value:track` of each column.
        generated, reference, poor: `(clip, column)`; NaN where a clip has no such value.
        songs: The song of each reference clip.
        seed: Of the halves.
    """
    groups = list(dict.fromkeys(name.partition(":")[0] for name in names))
    columns = [[i for i, name in enumerate(names) if name.partition(":")[0] == group] for group in groups]

    def overlaps(x: Array, y: Array) -> list[float]:
        if len(x) < least("overlap_area"):
            return [math.nan] * (2 * len(groups))
        pairs = np.array([overlap_of_distances(x[:, i], y[:, i]) for i in range(len(names))])
        return [_mean(pairs[own, kind]) for kind in range(2) for own in columns]

    anchor = poor if len(poor) >= 2 else None
    found = with_floor(overlaps, generated, reference, songs, poor=anchor, n_draws=N_OVERLAPS, seed=seed)
    sizes = len(generated), len(reference)
    return [
        _row(metric, SPREAD, group, found[kind * len(groups) + i], sizes, 0, is_judged=kind == 0)
        for kind, metric in enumerate(("overlap_area", "divergence"))
        for i, group in enumerate(groups)
    ]


def _mean(values: Array) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else math.nan


_RULES = {"kad": "kernel_distance", "fd_inf_r2": "fd_inf"}
"""The names of the table of sample sizes, where they differ."""


def _row(
    name: str,
    form: str,
    column: str,
    distance: Distance,
    sizes: tuple[int, int],
    n_features: int,
    *,
    is_judged: bool = True,
) -> Row:
    """Real against real stands in the reference columns; shares are better when larger, distances when smaller."""
    refused = why_refused(_RULES.get(name, name), distance.n, n_features=n_features)
    ours, floor, ceiling = (NOTHING,) * 3 if refused else (distance.value, distance.floor, distance.ceiling)
    note = refused or ("" if math.isfinite(floor.value) else "the reference holds no such values")
    is_like_real = ours.value >= floor.low if name in LARGER_IS_BETTER else ours.value <= floor.high
    # a ceiling that lies inside the floor's interval is no anchor to divide by
    is_anchor = ceiling.value != floor.value and not floor.low <= ceiling.value <= floor.high
    is_anchor &= math.isfinite(ceiling.value)
    return Row(
        metric=name,
        form=form,
        column=column,
        value=ours.value,
        low=ours.low,
        high=ours.high,
        reference=floor.value,
        reference_low=floor.low,
        reference_high=floor.high,
        floor=floor.value,
        ceiling=ceiling.value,
        gap=(ours.value - floor.value) / (ceiling.value - floor.value) if is_anchor else math.nan,
        n=sizes[0],
        n_reference=sizes[1],
        passes=bool(is_like_real) if is_judged and not note else None,
        note=note,
    )
