"""Uncertainty of metrics: bootstrap by song, delete-half, exact shares, and t intervals over training seeds.

Clips of one song resemble each other, so songs are resampled, never single clips of them. Statistics of pairs or
neighbours must not see an item twice (a duplicate lies at distance zero and shifts kernel distances and coverage),
so they take the delete-half interval: draws of half of each set without replacement, whose spread equals the
standard error of the full set. All functions take a seed and draw from their own generator.
"""

from collections.abc import Callable, Sequence
from math import lgamma, log, log1p
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # two-sided 95 % quantiles for 1 to 9 degrees


class Interval(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def group_index(groups: Sequence[object]) -> tuple[NDArray[np.int64], int]:
    """Number the groups in order of appearance: `(item,)` numbers and how many there are."""
    numbers: dict[object, int] = {}
    index = np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)
    return index, len(numbers)


def sum_by_group(values: NDArray[np.float64], groups: Sequence[object]) -> NDArray[np.float64]:
    """Add `(item, column)` values up to `(group, column)`."""
    index, n_groups = group_index(groups)
    sums = np.zeros((n_groups, *values.shape[1:]))
    np.add.at(sums, index, values)
    return sums


def bootstrap_weights(n_groups: int, n_draws: int, seed: int) -> NDArray[np.float64]:
    """Return `(draw, group)` how often each group is drawn when `n_groups` are drawn with replacement."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_draws).astype(np.float64)


def half_weights(n_groups: int, n_draws: int, seed: int) -> NDArray[np.float64]:
    """Return `(draw, group)` ones for a random half of the groups, zeros for the others."""
    generator = np.random.default_rng(seed)
    order = generator.random((n_draws, n_groups)).argsort(axis=1)
    return (order < n_groups // 2).astype(np.float64)


def percentiles(draws: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 2.5 % and 97.5 % points over the first axis, ignoring NaN; NaN where all draws are."""
    empty = np.isnan(draws).all(axis=0)
    low, high = np.nanpercentile(np.where(empty, 0.0, draws), [2.5, 97.5], axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def bootstrap_mean(
    values: NDArray[np.float64], groups: Sequence[object] | None = None, *, n_draws: int = 1000, seed: int = 0
) -> Interval:
    """Return the mean of `(item,)` values and its percentile interval over resampled groups.

    Args:
        values: Finite values, one per item.
        groups: The song of each item; without it each item stands alone.
        n_draws: Resamples.
        seed: Of the resamples.
    """
    assert len(values), "a mean of at least one value"
    groups = range(len(values)) if groups is None else groups
    assert len(groups) == len(values), "one group per value"
    sums = sum_by_group(np.stack([values, np.ones(len(values))], axis=1), groups)
    draws = bootstrap_weights(len(sums), n_draws, seed) @ sums
    low, high = percentiles(draws[:, 0] / draws[:, 1])
    return Interval(float(np.mean(values)), float(low), float(high))


def delete_half(
    statistic: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
    groups_x: Sequence[object],
    groups_y: Sequence[object],
    *,
    n_draws: int = 200,
    seed: int = 0,
) -> Interval:
    """Return a statistic of two sets and ± 1.96 standard deviations of its value on halves.

    Args:
        statistic: Takes the row numbers to use of the first and of the second set.
        groups_x: The song of each item of the first set; halves are halves of songs. `range(n)` for single items.
        groups_y: The same for the second set.
        n_draws: Pairs of halves.
        seed: Of the halves.
    """
    (index_x, n_x), (index_y, n_y) = group_index(groups_x), group_index(groups_y)
    assert min(n_x, n_y) >= 2, "halves need two groups in each set"
    value = float(statistic(np.arange(len(index_x)), np.arange(len(index_y))))
    halves_x, halves_y = half_weights(n_x, n_draws, seed), half_weights(n_y, n_draws, seed + 1)
    draws = [
        statistic(np.flatnonzero(half_x[index_x]), np.flatnonzero(half_y[index_y]))
        for half_x, half_y in zip(halves_x, halves_y, strict=True)
    ]
    margin = Z95 * float(np.std(draws, ddof=1))
    return Interval(value, value - margin, value + margin)


def _upper_tail(k: int, n: int, p: float) -> float:
    """P(at least `k` of `n`) at probability `p`."""
    if p <= 0 or p >= 1:
        return float(k <= 0 or p >= 1)
    below = k <= n // 2  # add up the side with fewer terms
    terms = [
        lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) + i * log(p) + (n - i) * log1p(-p)
        for i in (range(k) if below else range(k, n + 1))
    ]
    tail = float(np.exp(terms).sum())
    return 1 - tail if below else tail


def clopper_pearson(k: int, n: int, level: float = 0.95) -> Interval:
    """Return the share `k / n` and its exact binomial interval, by bisection of the tails.

    Example:
        >>> round(clopper_pearson(0, 2000).high, 4)
        0.0018
    """
    assert 0 <= k <= n, "k of n"
    assert n > 0, "a share of something"
    alpha = (1 - level) / 2

    def solve(at_least: int, target: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if _upper_tail(at_least, n, middle) < target else (low, middle)
        return (low + high) / 2

    low = 0.0 if k == 0 else solve(k, alpha)
    high = 1.0 if k == n else solve(k + 1, 1 - alpha)
    return Interval(k / n, low, high)


def t_interval(values: Sequence[float]) -> Interval:
    """Return the mean over training runs and its 95 % t interval.

    Example:
        >>> t_interval([1.0, 2.0, 3.0])
        Interval(value=2.0, low=-0.484..., high=4.484...)
    """
    assert len(values) >= 2, "an interval needs two runs"
    degrees = len(values) - 1
    quantile = T95[degrees - 1] if degrees <= len(T95) else Z95 + (Z95**3 + Z95) / (4 * degrees) + 3.0 / degrees**2
    mean = float(np.mean(values))
    margin = quantile * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Interval(mean, mean - margin, mean + margin)
