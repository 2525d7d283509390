"""A glance at two sets: distance with its noise, and variety."""

import numpy as np
import pytest

from audiogan.evaluation.distances import kad
from audiogan.evaluation.quick import group_means, nearness, spread


def drawn(seed: int, n: int = 60, shift: float = 0.0, size: float = 1.0) -> np.ndarray:
    return shift + size * np.random.default_rng(seed).standard_normal((n, 4))


def test_the_distance_is_the_kernel_distance() -> None:
    x, y = drawn(0), drawn(1, shift=0.5)
    assert nearness(x, y)["distance"] == pytest.approx(kad(x, y))


def test_nearer_sets_score_lower() -> None:
    far, near, same = (nearness(drawn(0), drawn(1, shift=shift))["distance"] for shift in (2.0, 0.5, 0.0))
    assert far > near > same
    assert abs(same) < 2.0


def test_the_error_is_the_spread_over_repeated_draws() -> None:
    reference = drawn(0)
    found = [nearness(reference, drawn(seed, shift=0.5)) for seed in range(1, 41)]
    spread_of_draws = np.std([one["distance"] for one in found], ddof=1)
    assert np.mean([one["error"] for one in found]) == pytest.approx(spread_of_draws, rel=0.35)


def test_variety_is_the_ratio_of_mean_distances() -> None:
    reference = np.array([[0.0], [2.0], [4.0]])  # distances 2, 2, 4
    generated = np.array([[0.0], [0.0], [1.0], [1.0]])  # four distances of 1 among six
    assert nearness(reference, generated)["variety"] == pytest.approx((4 / 6) / (8 / 3))
    assert nearness(reference, np.full((5, 1), 2.0))["variety"] == pytest.approx(0.0)
    assert spread(drawn(3, size=3.0)) == pytest.approx(3.0 * spread(drawn(3)))


def test_group_means_keep_the_order_of_appearance() -> None:
    assert group_means(np.array([4.0, 1.0, 2.0, 3.0]), ["b", "a", "b", "a"]).tolist() == [3.0, 2.0]
