"""Intervals against known answers and known truth."""

import doctest

import numpy as np
import pytest

from audiogan.evaluation import intervals
from audiogan.evaluation.intervals import (
    Interval,
    bootstrap_mean,
    bootstrap_weights,
    clopper_pearson,
    delete_half,
    half_weights,
    percentiles,
    sum_by_group,
    t_interval,
)


def test_doctests() -> None:
    failed, tried = doctest.testmod(intervals, optionflags=doctest.ELLIPSIS)
    assert (failed, tried > 0) == (0, True)


def test_weights_draw_groups() -> None:
    weights = bootstrap_weights(7, 500, seed=0)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.2)
    halves = half_weights(7, 500, seed=0)
    assert (halves.sum(axis=1) == 3).all()
    assert set(np.unique(halves)) == {0, 1}
    assert halves.mean(axis=0) == pytest.approx(3 / 7, abs=0.1)
    assert np.array_equal(weights, bootstrap_weights(7, 500, seed=0))
    assert not np.array_equal(weights, bootstrap_weights(7, 500, seed=1))


def test_sum_by_group_keeps_order_of_appearance() -> None:
    sums = sum_by_group(np.array([[1.0], [2.0], [4.0]]), ["b", "a", "b"])
    np.testing.assert_array_equal(sums, [[5], [2]])


def test_percentiles_skip_what_is_missing() -> None:
    draws = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    low, high = percentiles(draws)
    assert (low[0], high[0]) == pytest.approx((1.05, 2.95))
    assert np.isnan([low[1], high[1]]).all()


def test_bootstrap_interval_of_a_mean_has_the_right_width() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap_mean(values)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_songs_are_resampled_as_wholes() -> None:
    songs = np.repeat(np.arange(16), 25)
    values = np.random.default_rng(0).normal(size=16)[songs]
    alone, by_song = bootstrap_mean(values), bootstrap_mean(values, songs.tolist())
    assert (by_song.high - by_song.low) / (alone.high - alone.low) == pytest.approx(5, rel=0.15)


def test_bootstrap_covers_the_truth() -> None:
    generator = np.random.default_rng(1)
    found = [bootstrap_mean(generator.exponential(size=60), n_draws=300, seed=i) for i in range(100)]
    assert sum(interval.low <= 1 <= interval.high for interval in found) >= 88


def test_delete_half_covers_the_truth_of_a_difference() -> None:
    generator = np.random.default_rng(2)

    def interval(seed: int) -> Interval:
        x, y = generator.normal(size=50), generator.normal(loc=1, size=40)
        return delete_half(lambda a, b: float(y[b].mean() - x[a].mean()), range(50), range(40), n_draws=100, seed=seed)

    hits = sum(found.low <= 1 <= found.high for found in map(interval, range(60)))
    assert hits >= 53


def test_delete_half_takes_whole_songs() -> None:
    seen: list[set[int]] = []

    def statistic(a: np.ndarray, b: np.ndarray) -> float:
        seen.append(set(a.tolist()))
        return float(len(b))

    delete_half(statistic, ["a", "a", "b", "b"], ["c", "d"], n_draws=20)
    assert seen[0] == {0, 1, 2, 3}
    assert {frozenset(half) for half in seen[1:]} == {frozenset({0, 1}), frozenset({2, 3})}


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(0, 2000, 0, 0.001843), (2, 2000, 0.000121, 0.003608), (5, 10, 0.187086, 0.812914), (10, 10, 0.691503, 1)],
)
def test_clopper_pearson(k: int, n: int, low: float, high: float) -> None:
    assert clopper_pearson(k, n)[1:] == pytest.approx((low, high), abs=1e-6)


def test_t_interval() -> None:
    assert t_interval([1.0, 2.0, 3.0, 4.0, 5.0])[1:] == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-3)
    many = np.arange(31.0).tolist()
    assert t_interval(many).high - 15 == pytest.approx(2.0423 * np.std(many, ddof=1) / 31**0.5, rel=1e-3)
