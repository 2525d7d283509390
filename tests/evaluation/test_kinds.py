"""Bins and classes: hand-worked values, other implementations, and sets that differ."""

import numpy as np
import pytest

from audiogan.evaluation.kinds import Bins, entropy, fit_bins, inception_score, share_of_different_bins


def normal(n: int, seed: int, *, d: int = 4, scale: float = 1.0) -> np.ndarray:
    """Return `(n, d)` normal values."""
    return scale * np.random.default_rng(seed).standard_normal((n, d))


def test_bins_are_found_where_items_lie() -> None:
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    items = np.repeat(corners, [5, 3, 2], axis=0) + 0.01 * normal(10, 0, d=2)
    bins = fit_bins(items, 3)
    order = bins.place(corners)
    assert sorted(order.tolist()) == [0, 1, 2]
    assert bins.counts(items)[order].tolist() == [5, 3, 2]
    np.testing.assert_allclose(bins.centres[order], corners, atol=0.03)


def test_bins_end_as_those_of_another_implementation_from_the_same_start() -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    items = normal(300, 1)
    start = fit_bins(items, 12, n_rounds=0).centres
    theirs = cluster.KMeans(12, init=start, n_init=1, max_iter=100, tol=0).fit(items).cluster_centers_
    np.testing.assert_allclose(fit_bins(items, 12).centres, theirs, atol=1e-6)
    assert not np.allclose(start, theirs)


def test_equal_items_and_a_seed() -> None:
    assert fit_bins(np.ones((5, 2)), 3).counts(np.ones((5, 2))).sum() == 5
    items = normal(100, 2)
    np.testing.assert_array_equal(fit_bins(items, 5, seed=3).centres, fit_bins(items, 5, seed=3).centres)
    assert not np.array_equal(fit_bins(items, 5, seed=3).centres, fit_bins(items, 5, seed=4).centres)


def test_bins_that_differ_by_hand() -> None:
    # 50 of 100 against 70 of 100: z = 0.2 / sqrt(0.6 · 0.4 · 0.02) = 2.89; 10 against 12: z = 0.45
    x, y = np.array([50, 10, 40]), np.array([70, 12, 18])
    assert share_of_different_bins(x, y) == pytest.approx(2 / 3)
    assert share_of_different_bins(x, x) == 0
    assert share_of_different_bins(np.array([10, 0]), np.array([10, 0])) == 0


def test_bins_that_differ_by_the_test_of_another_implementation() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    x, y = rng.multinomial(400, np.full(20, 0.05)), rng.multinomial(300, np.r_[np.full(10, 0.03), np.full(10, 0.07)])
    tables = [np.array([[a, 400 - a], [b, 300 - b]]) for a, b in zip(x, y, strict=True)]
    expected = np.mean([stats.chi2_contingency(table, correction=False).pvalue < 0.05 for table in tables])
    assert 0.1 < expected < 0.9
    assert share_of_different_bins(x, y) == pytest.approx(expected)


def test_one_bin_in_twenty_differs_by_chance_and_more_where_sets_differ() -> None:
    bins = fit_bins(normal(500, 0), 25)

    def differ(scale: float) -> float:
        return float(
            np.mean(
                [
                    share_of_different_bins(
                        bins.counts(normal(400, seed)), bins.counts(normal(400, seed + 99, scale=scale))
                    )
                    for seed in range(1, 11)
                ]
            )
        )

    assert 0.02 < differ(1.0) < 0.09
    assert differ(0.6) > 0.25


def test_a_bin_is_the_nearest_centre() -> None:
    bins = Bins(np.array([[0.0], [1.0]]))
    assert bins.place(np.array([[-3.0], [0.4], [0.6]])).tolist() == [0, 0, 1]


def test_inception_score_by_hand() -> None:
    assert inception_score(np.eye(5)[[0, 0, 1, 1, 2, 2]]) == pytest.approx(3)
    assert inception_score(np.full((4, 5), 0.2)) == pytest.approx(1)
    assert inception_score(np.eye(5)[[1, 1, 1]]) == pytest.approx(1)  # all of one class: collapsed
    shares = np.array([[0.8, 0.2], [0.4, 0.6]])  # p(y) = 0.6, 0.4
    divergences = [0.8 * np.log(0.8 / 0.6) + 0.2 * np.log(0.5), 0.4 * np.log(0.4 / 0.6) + 0.6 * np.log(1.5)]
    assert inception_score(shares) == pytest.approx(np.exp(np.mean(divergences)))


def test_inception_score_and_entropy_of_another_implementation() -> None:
    stats = pytest.importorskip("scipy.stats")
    shares = np.random.default_rng(0).dirichlet(np.full(7, 0.3), 50)
    np.testing.assert_allclose(entropy(shares), stats.entropy(shares, axis=1), atol=1e-12)
    expected = np.exp(np.mean([stats.entropy(one, shares.mean(axis=0)) for one in shares]))
    assert inception_score(shares) == pytest.approx(expected)
