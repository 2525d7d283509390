"""Distances between two sets of feature vectors: x is the reference, y the generated set.

The kernel distance (KAD, arXiv 2502.15602) leads: it is unbiased, so that equal sets give zero at any size. The Fréchet
distance is biased by the size of the sets and stands second. Precision and recall follow arXiv 1904.06991, density and
coverage arXiv 2002.09797. Feature vectors are made elsewhere; nothing here knows what they describe.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.evaluation.intervals import Interval, group_index, half_weights, percentiles

Array = NDArray[np.float64]
N_NEIGHBOURS = 5
MOST_ITEMS = 400
NOTHING = Interval(float("nan"), float("nan"), float("nan"))


class Scaler(NamedTuple):
    """Robust z-scores: `median` and `spread` (inter-quartile range / 1.349), both `(feature,)`."""

    median: Array
    spread: Array

    def transform(self, values: Array) -> Array:
        """Scale `(item, feature)` values, within ± 8; a missing (NaN) feature lies at the median."""
        return np.nan_to_num(np.clip((values - self.median) / self.spread, -8.0, 8.0), nan=0.0)


def fit_scaler(values: Array) -> Scaler:
    """Fit to `(item, feature)` training values, NaN ignored; one that hardly moves keeps its standard deviation."""
    empty = np.isnan(values).all(axis=0)
    values = np.where(empty, 0.0, values)
    low, median, high = np.nanpercentile(values, [25, 50, 75], axis=0)
    spread = (high - low) / 1.349
    deviation = np.nanstd(values, axis=0)
    spread = np.where(spread > 1e-9, spread, np.where(deviation > 1e-9, deviation, 1.0))
    return Scaler(median, spread)


def squared_distances(x: Array, y: Array) -> Array:
    """Return `(item of x, item of y)` squared Euclidean distances."""
    cross = x @ y.T
    squares = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)[None, :] - 2 * cross
    return np.maximum(squares, 0.0, out=squares)


def median_bandwidth(x: Array, *, n_items: int = 2000) -> float:
    """Return the median distance between two items of the reference (the first `n_items` of it).

    A reference of which most items are equal has the mean distance instead, or 1 if all are.
    """
    assert len(x) >= 2, "a distance needs two items"
    distances = np.sqrt(squared_distances(x[:n_items], x[:n_items])[np.triu_indices(min(len(x), n_items), 1)])
    return float(np.median(distances)) or float(np.mean(distances)) or 1.0


def kernel(x: Array, y: Array, sigma: float) -> Array:
    """Return the Gaussian kernel exp(-d²/2σ²) of all pairs, `(item of x, item of y)`."""
    return np.exp(squared_distances(x, y) / (-2 * sigma**2))


def kad(x: Array, y: Array, sigma: float | None = None) -> float:
    """Return 100 times the unbiased squared maximum mean discrepancy of two sets; about 0 for equal ones.

    Args:
        x: `(item, feature)` reference.
        y: `(item, feature)` generated.
        sigma: Bandwidth; by default the median distance inside `x`.
    """
    sigma = median_bandwidth(x) if sigma is None else sigma
    ones_x, ones_y = np.ones((1, len(x))), np.ones((1, len(y)))
    return float(kad_of_subsets(kernel(x, x, sigma), kernel(y, y, sigma), kernel(x, y, sigma), ones_x, ones_y)[0])


def kad_of_subsets(k_xx: Array, k_yy: Array, k_xy: Array, in_x: Array, in_y: Array) -> Array:
    """Return `(draw,)` KAD of many subsets from one set of kernels.

    Args:
        k_xx: `(item of x, item of x)` kernel.
        k_yy: `(item of y, item of y)` kernel.
        k_xy: `(item of x, item of y)` kernel.
        in_x: `(draw, item of x)` 1 for items that belong to the draw, 0 for the others; two or more in each.
        in_y: `(draw, item of y)` the same for y.
    """
    n, m = in_x.sum(axis=1), in_y.sum(axis=1)
    assert min(n.min(), m.min()) >= 2, "each subset needs two items"
    inside_x = ((in_x @ k_xx) * in_x).sum(axis=1) - in_x @ np.diag(k_xx)
    inside_y = ((in_y @ k_yy) * in_y).sum(axis=1) - in_y @ np.diag(k_yy)
    across = ((in_x @ k_xy) * in_y).sum(axis=1)
    return 100 * (inside_x / (n * (n - 1)) + inside_y / (m * (m - 1)) - 2 * across / (n * m))


class Distance(NamedTuple):
    """A distance with what it can be compared to; each is the mean and the 95 % span over the same draws.

    Args:
        value: Generated against one half of the reference.
        floor: One half of the reference against the other: what a perfect generator would score.
        ceiling: A poor generator against one half of the reference; NaN if none was given.
        n: Median size of a half; all three use equal sizes.
    """

    value: Interval
    floor: Interval
    ceiling: Interval
    n: int


def kad_with_floor(
    generated: Array,
    reference: Array,
    songs: Sequence[object],
    *,
    poor: Array | None = None,
    n_draws: int = 200,
    seed: int = 0,
) -> Distance:
    """Compare generated items with a reference at equal sizes, beside real against real and poor against real.

    Each draw splits the songs of the reference into two halves and takes as many generated (and poor) items as the
    second half has. The bandwidth comes from the whole reference.

    Args:
        generated: `(item, feature)`.
        reference: `(item, feature)` held-out real items.
        songs: The song of each reference item; four songs or more.
        poor: Items of an untrained generator, or of any lower anchor.
        n_draws: Splits.
        seed: Of the splits.
    """
    index, n_songs = group_index(songs)
    assert len(index) == len(reference), "a song for each item"
    assert n_songs >= 4, "four songs to split"
    sigma = median_bandwidth(reference)
    first = half_weights(n_songs, n_draws, seed)[:, index]
    second = 1 - first
    k_rr = kernel(reference, reference, sigma)
    floor = kad_of_subsets(k_rr, k_rr, k_rr, first, second)

    def against(items: Array, seed: int) -> Interval:
        chosen = _subsets(len(items), second.sum(axis=1), seed)
        draws = kad_of_subsets(k_rr, kernel(items, items, sigma), kernel(reference, items, sigma), first, chosen)
        return _summary(draws)

    ceiling = NOTHING if poor is None else against(poor, seed + 2)
    return Distance(against(generated, seed + 1), _summary(floor), ceiling, int(np.median(second.sum(axis=1))))


def with_floor(
    statistic: Callable[[Array, Array], Sequence[float]],
    generated: Array,
    reference: Array,
    songs: Sequence[object],
    *,
    poor: Array | None = None,
    n_draws: int = 40,
    seed: int = 0,
) -> list[Distance]:
    """Compare by any statistics of two sets, at equal sizes, beside real against real and poor against real.

    Args:
        statistic: Takes `(item, feature)` real and other items of equal number; returns one or more numbers.
        generated: `(item, feature)`.
        reference: `(item, feature)` held-out real items.
        songs: The song of each reference item; four songs or more.
        poor: Items of an untrained generator, or of any lower anchor; where they are fewer than the others, they alone
            are compared with fewer real ones.
        n_draws: Splits.
        seed: Of the splits.

    Returns:
        One distance for each number of `statistic`.
    """
    index, n_songs = group_index(songs)
    assert len(index) == len(reference), "a song for each item"
    assert n_songs >= 4, "four songs to split"
    generator = np.random.default_rng(seed)
    values, sizes = [], []
    for half in half_weights(n_songs, n_draws, seed)[:, index] > 0:
        sets = [reference[half], reference[~half], generated]
        size = min(len(items) for items in sets)
        first, *rest = (generator.permutation(items)[:size] for items in sets)
        drawn = [statistic(first, items) for items in rest]
        if poor is not None:
            few = generator.permutation(poor)[:size]
            drawn.append(statistic(first[: len(few)], few))
        values.append(drawn)
        sizes.append(size)
    floor, value, *ceiling = np.moveaxis(np.array(values), 1, 0)  # each (draw, number)
    missing = np.full_like(floor, np.nan)
    columns = zip(value.T, floor.T, (ceiling[0] if ceiling else missing).T, strict=True)
    return [Distance(*(_summary(draws) for draws in column), n=int(np.median(sizes))) for column in columns]


def _summary(draws: Array) -> Interval:
    """Mean and span of the draws that have a figure: small halves may have none."""
    there = draws[~np.isnan(draws)]
    if not len(there):
        return NOTHING
    low, high = percentiles(there)
    return Interval(float(np.mean(there)), float(low), float(high))


def _subsets(n_items: int, sizes: Array, seed: int) -> Array:
    """Return `(draw, item)` marks of random subsets with these sizes (or of all items where there are fewer)."""
    rank = np.random.default_rng(seed).random((len(sizes), n_items)).argsort(axis=1).argsort(axis=1)
    return (rank < sizes[:, None]).astype(np.float64)


def frechet(x: Array, y: Array) -> float:
    """Return the Fréchet distance of the two Gaussians fitted to x and y; biased upwards by small sets."""
    assert min(len(x), len(y)) >= 2, "a covariance needs two items"
    mean = x.mean(axis=0) - y.mean(axis=0)
    cov_x, cov_y = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    values, vectors = np.linalg.eigh(cov_x)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    # tr((CxCy)^½) from the symmetric Cx^½ Cy Cx^½, whose eigenvalues are real and, but for rounding, not negative
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_y @ root), 0, None)).sum()
    return float(mean @ mean + np.trace(cov_x) + np.trace(cov_y) - 2 * cross)


def frechet_inf(x: Array, y: Array, *, n_sizes: int = 15, seed: int = 0) -> tuple[float, float]:
    """Return the Fréchet distance extrapolated to endless sets, and the R² of the straight line over 1/N behind it.

    Sizes run from a fifth of the smaller set to all of it, drawn without replacement (Chong and Forsyth, arXiv
    1911.07023, draw with it, which shrinks the spread). R² near 0 means that there was no bias to take away.
    """
    largest = min(len(x), len(y))
    assert largest >= 50, "extrapolation needs 50 items"
    sizes = np.linspace(largest // 5, largest, n_sizes).astype(int)
    generator = np.random.default_rng(seed)
    values = np.array([frechet(generator.permutation(x)[:size], generator.permutation(y)[:size]) for size in sizes])
    inverse = 1 / sizes
    slope, intercept = np.polyfit(inverse, values, 1)
    rest = ((values - slope * inverse - intercept) ** 2).sum()
    total = ((values - values.mean()) ** 2).sum()
    return float(intercept), float(1 - rest / total) if total > 0 else 1.0


class Neighbours(NamedTuple):
    """Shares by k-nearest-neighbour balls: fidelity (precision, density) and diversity (recall, coverage)."""

    precision: float
    recall: float
    density: float
    coverage: float


def neighbours(x: Array, y: Array, k: int = N_NEIGHBOURS) -> Neighbours:
    """Return precision, recall, density and coverage of generated `y` against real `x`; use equal sizes.

    Equal distributions give a coverage of about 0.97 and a density of about 1 at k = 5.
    """
    return neighbours_from(squared_distances(x, x), squared_distances(y, y), squared_distances(x, y), k)


def neighbours_from(d_xx: Array, d_yy: Array, d_xy: Array, k: int = N_NEIGHBOURS) -> Neighbours:
    """Return the same from squared distances of all pairs."""
    assert min(len(d_xx), len(d_yy)) > k, "more items than neighbours"
    radius_x = np.partition(d_xx, k, axis=1)[:, k]  # position 0 is the item itself
    radius_y = np.partition(d_yy, k, axis=1)[:, k]
    in_x, in_y = d_xy <= radius_x[:, None], d_xy <= radius_y[None, :]
    return Neighbours(
        precision=float(in_x.any(axis=0).mean()),
        recall=float(in_y.any(axis=1).mean()),
        density=float(in_x.sum() / (k * d_xy.shape[1])),
        coverage=float(in_x.any(axis=1).mean()),
    )


def diversity(x: Array, y: Array) -> float:
    """Return the mean distance inside y over that inside x: 1 for equal spread, under 0.25 a collapse."""
    inside = [np.sqrt(squared_distances(items, items)).sum() / (len(items) * (len(items) - 1)) for items in (x, y)]
    return float(inside[1] / inside[0]) if inside[0] > 0 else float("nan")


def overlap(x: Array, y: Array, *, n_points: int = 512) -> tuple[float, float]:
    """Return overlap area and Kullback–Leibler divergence (nats) of two samples of one number.

    Densities are Gaussian-kernel estimates with Scott's bandwidth on a common range. For the comparison of Yang and
    Lerch (2020) pass the distances inside the reference as x and those between reference and generated as y.
    """
    pooled = np.concatenate([x, y])
    floor = 1e-6 * max(float(np.abs(pooled).max()), 1.0)
    widths = [max(float(np.std(v)) * len(v) ** -0.2, floor) for v in (x, y)]
    margin = 4 * max(widths)
    points = np.linspace(pooled.min() - margin, pooled.max() + margin, n_points)
    density_x, density_y = (_density(v, points, width) for v, width in zip((x, y), widths, strict=True))
    step = points[1] - points[0]
    area = float(np.minimum(density_x, density_y).sum() * step)
    tiny = 1e-12
    return area, float((density_x * np.log((density_x + tiny) / (density_y + tiny))).sum() * step)


def overlap_of_distances(x: Array, y: Array, *, seed: int = 0) -> tuple[float, float]:
    """Return overlap area and divergence (nats) of distances inside x and of those from x to y.

    The comparison of Yang and Lerch (2020): equal distributions have the same distances inside and across.

    Args:
        x: `(item,)` a feature of the reference; NaN is left out, and of many items some are drawn.
        y: `(item,)` the same of the generated items.
        seed: Of the draw.

    Returns:
        NaN, NaN where fewer than two items of x or none of y have the feature.
    """
    rng = np.random.default_rng(seed)
    x, y = (rng.permutation(values[np.isfinite(values)])[:MOST_ITEMS] for values in (x, y))
    if len(x) < 2 or not len(y):
        return float("nan"), float("nan")
    inside = np.abs(x[:, None] - x)[np.triu_indices(len(x), 1)]
    return overlap(inside, np.abs(x[:, None] - y).ravel())


def _density(values: Array, points: Array, width: float) -> Array:
    """Gaussian-kernel density of values, each moved to the nearest of evenly spaced `points`; sums to 1 over them."""
    step = points[1] - points[0]
    counts = np.bincount(np.rint((values - points[0]) / step).astype(np.int64), minlength=len(points))
    apart = np.arange(1 - len(points), len(points)) * step
    estimate = np.convolve(counts, np.exp(-((apart / width) ** 2) / 2), mode="valid")
    return estimate / (estimate.sum() * step)
