"""Distances between sets: hand-worked values, unbiasedness, and failures that they have to see."""

import numpy as np
import pytest

from audiogan.evaluation.distances import (
    diversity,
    fit_scaler,
    frechet,
    frechet_inf,
    kad,
    kad_with_floor,
    kernel,
    median_bandwidth,
    neighbours,
    overlap,
    overlap_of_distances,
    squared_distances,
    with_floor,
)


def normal(n: int, seed: int, *, d: int = 8, shift: float = 0.0) -> np.ndarray:
    """Return `(n, d)` normal values around `shift`."""
    return np.random.default_rng(seed).normal(loc=shift, size=(n, d))


def test_squared_distances() -> None:
    x, y = normal(5, 0), normal(7, 1)
    expected = ((x[:, None] - y[None]) ** 2).sum(axis=-1)
    np.testing.assert_allclose(squared_distances(x, y), expected, atol=1e-12)
    assert (squared_distances(x, x) >= 0).all()


def test_kad_of_two_points_each() -> None:
    x, y = np.array([[0.0], [2.0]]), np.array([[0.0], [4.0]])
    k = {d: np.exp(-(d**2) / 8) for d in (0, 2, 4)}
    expected = 100 * (k[2] + k[4] - 2 * (k[0] + k[4] + k[2] + k[2]) / 4)
    assert kad(x, y, sigma=2.0) == pytest.approx(expected)
    assert median_bandwidth(x) == 2.0
    assert kad(x, y) == pytest.approx(expected)


def test_kad_is_unbiased_and_sees_a_shift() -> None:
    equal = [kad(normal(40, 2 * i), normal(40, 2 * i + 1)) for i in range(40)]
    assert abs(np.mean(equal)) < 3 * np.std(equal) / 40**0.5
    assert min(equal) < 0 < max(equal)
    assert kad(normal(40, 0), normal(40, 1, shift=0.7)) > 5 * np.std(equal)


def test_bandwidth_of_a_constant_reference() -> None:
    assert median_bandwidth(np.zeros((5, 2))) == 1.0
    assert median_bandwidth(np.array([[0.0], [0.0], [0.0], [0.0], [5.0]])) == pytest.approx(2.0)


def test_kad_with_floor_ranks_generators() -> None:
    songs = np.repeat(np.arange(20), 10).tolist()
    reference = normal(200, 0)
    same = kad_with_floor(normal(150, 1), reference, songs, poor=normal(150, 2, shift=3))
    assert same.n == 100
    assert same.floor.low < same.value.value < same.floor.high
    assert abs(same.floor.value) < 0.3
    assert same.ceiling.value > 50
    shifted = kad_with_floor(normal(150, 1, shift=0.7), reference, songs)
    assert shifted.value.value > shifted.floor.high
    assert np.isnan(shifted.ceiling.value)


def test_floor_is_wider_by_song_than_by_clip() -> None:
    centres = normal(12, 3)
    songs = np.repeat(np.arange(12), 12)
    reference = centres[songs] + 0.2 * normal(144, 4)
    by_song = kad_with_floor(reference, reference, songs.tolist()).floor
    by_clip = kad_with_floor(reference, reference, list(range(144))).floor
    assert by_song.value > 5 > by_clip.value


def test_kad_with_floor_equals_kad() -> None:
    reference, generated = normal(40, 0), normal(30, 1)
    found = kad_with_floor(generated, reference, list(range(40)), n_draws=300)
    assert found.value.value == pytest.approx(kad(reference, generated, median_bandwidth(reference)), abs=0.5)


def test_kad_takes_as_many_generated_items_as_real_ones() -> None:
    # with all 400 items in every draw only the half of the reference would vary
    reference, songs = normal(40, 0), list(range(40))
    few, many = (kad_with_floor(normal(n, 1), reference, songs).value for n in (20, 400))
    assert many.high - many.low > 1.3 * (few.high - few.low)


def test_with_floor_compares_equal_sizes() -> None:
    sizes = []

    def statistic(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        sizes.append((len(x), len(y)))
        return float(y.mean() - x.mean()), 1.0

    mean, one = with_floor(
        statistic, normal(15, 0, shift=2), normal(40, 1), list(range(40)), poor=normal(90, 2, shift=5), n_draws=10
    )
    assert set(sizes) == {(15, 15)}
    sizes.clear()
    with_floor(statistic, normal(30, 0), normal(40, 1), list(range(40)), poor=normal(9, 2, shift=5), n_draws=2)
    assert set(sizes) == {(20, 20), (9, 9)}  # a small poor set alone is compared with fewer
    assert mean.n == 15
    assert (mean.floor.value, mean.value.value, mean.ceiling.value) == pytest.approx((0, 2, 5), abs=0.2)
    assert one.value == (1, 1, 1)
    alone = with_floor(statistic, normal(15, 0), normal(40, 1), list(range(40)), n_draws=3)[0]
    assert np.isnan(alone.ceiling.value)


def test_frechet_of_known_gaussians() -> None:
    x = np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])  # covariance 4/3 · identity
    assert frechet(x, x + np.array([3, 4])) == pytest.approx(25)
    assert frechet(x, 2 * x) == pytest.approx(2 * 4 / 3)  # (2s - s)² per axis
    assert frechet(x[:, :1], x[:, :1]) == pytest.approx(0, abs=1e-12)


def test_frechet_agrees_with_a_matrix_root() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    x, y = normal(60, 0, d=5), normal(50, 1, d=5) @ normal(5, 2, d=5)
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x + cov_y - 2 * np.real(linalg.sqrtm(cov_x @ cov_y)))
    assert frechet(x, y) == pytest.approx(expected)


def test_frechet_inf_removes_most_of_the_bias() -> None:
    x, y = normal(400, 0, d=16), normal(400, 1, d=16)
    limit, fit = frechet_inf(x, y)
    assert abs(limit) < 0.35 * frechet(x, y)
    assert fit > 0.9


def test_frechet_inf_finds_the_true_distance_of_two_gaussians() -> None:
    # means 3 apart, deviations 1 and 2 in eight dimensions: 9 + 8 · (2 - 1)²
    x, y = normal(500, 0), 2 * normal(500, 1) + 3 / 8**0.5
    limit, _ = frechet_inf(x, y)
    assert limit == pytest.approx(17, rel=0.1)
    again = frechet_inf(x, y, seed=0)
    assert again == frechet_inf(x, y, seed=0)


def test_frechet_inf_is_the_intercept_of_a_straight_line() -> None:
    x, y = normal(200, 0), normal(200, 1)
    sizes, generator = np.linspace(40, 200, 15).astype(int), np.random.default_rng(0)
    values = [frechet(generator.permutation(x)[:size], generator.permutation(y)[:size]) for size in sizes]
    design = np.stack([np.ones(15), 1 / sizes], axis=1)
    solution, residual, *_ = np.linalg.lstsq(design, np.array(values), rcond=None)
    limit, fit = frechet_inf(x, y)
    assert limit == pytest.approx(solution[0])
    assert fit == pytest.approx(1 - residual[0] / (np.var(values) * 15))


def test_draws_without_a_figure_are_left_out() -> None:
    turns = iter(range(10_000))

    def statistic(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        return float("nan") if next(turns) % 4 == 0 else 2.0, float("nan")

    some, none = with_floor(statistic, normal(15, 0), normal(40, 1), list(range(40)), n_draws=20)
    assert some.value.value == some.floor.value == 2
    assert np.isnan(none.value.value)


def test_neighbours_of_equal_sets() -> None:
    found = neighbours(normal(800, 0), normal(800, 1))
    assert found.coverage == pytest.approx(0.969, abs=0.025)
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.precision > 0.7
    assert found.recall > 0.7


def test_neighbours_by_hand() -> None:
    x, y = np.array([[0.0], [1.0], [10.0]]), np.array([[0.5], [0.6], [20.0]])
    found = neighbours(x, y, k=1)  # radii of x: 1, 1, 9; of y: 0.1, 0.1, 19.4
    assert found.precision == 2 / 3
    assert found.recall == 2 / 3  # the ball around 20 holds 1 and 10, the small ones nothing
    assert found.density == (2 + 2) / 3
    assert found.coverage == 2 / 3


def test_a_collapsed_generator_loses_recall_and_diversity() -> None:
    real = normal(300, 0)
    collapsed = 0.01 * normal(300, 1)
    found = neighbours(real, collapsed)
    assert found.recall < 0.05
    assert found.coverage < 0.5
    assert diversity(real, collapsed) < 0.05
    assert diversity(real, normal(300, 2)) == pytest.approx(1, abs=0.05)
    assert np.isnan(diversity(np.zeros((3, 2)), real))


def test_overlap_of_equal_and_of_distant_samples() -> None:
    x, y = normal(500, 0, d=1)[:, 0], normal(500, 1, d=1)[:, 0]
    area, divergence = overlap(x, y)
    assert area > 0.9
    assert divergence < 0.1
    area, divergence = overlap(x, y + 10)
    assert area < 0.01
    assert divergence > 5
    assert overlap(np.zeros(4), np.zeros(4))[0] == pytest.approx(1, abs=0.01)


def test_overlap_area_of_two_gaussians() -> None:
    # two of deviation 1 that lie 2 apart overlap by 2 Φ(-1) = 0.317, and diverge by 2² / 2 = 2; densities are smoothed
    x = normal(4000, 0, d=1)[:, 0]
    area, divergence = overlap(x, normal(4000, 1, d=1)[:, 0] + 2)
    assert area == pytest.approx(0.317, abs=0.03)
    assert divergence == pytest.approx(2, abs=0.35)


def test_overlap_equals_another_implementation() -> None:
    stats = pytest.importorskip("scipy.stats")
    x, y = normal(300, 0, d=1)[:, 0], 0.7 * normal(200, 1, d=1)[:, 0] + 0.4
    points = np.linspace(-6, 6, 4001)
    density_x, density_y = (stats.gaussian_kde(values)(points) for values in (x, y))
    area, divergence = overlap(x, y)
    assert area == pytest.approx(np.minimum(density_x, density_y).sum() * (points[1] - points[0]), abs=0.01)
    expected = stats.entropy(density_x + 1e-12, density_y + 1e-12)
    assert divergence == pytest.approx(expected, abs=0.02)


def test_distances_inside_and_across_overlap_where_sets_are_equal() -> None:
    x = normal(300, 0, d=1)[:, 0]
    assert overlap_of_distances(x, normal(300, 1, d=1)[:, 0])[0] > 0.93
    moved, divergence = overlap_of_distances(x, normal(300, 1, d=1)[:, 0] + 3)
    assert moved < 0.5
    assert divergence > 0.5
    assert overlap_of_distances(x, np.full(300, 0.0))[0] < 0.85  # all alike
    gaps = np.r_[x, np.nan]
    assert overlap_of_distances(gaps, x)[0] > 0.93
    assert np.isnan(overlap_of_distances(x[:1], x)).all()
    assert np.isnan(overlap_of_distances(x, np.array([np.nan]))).all()


def test_an_item_has_no_distance_from_itself() -> None:
    x, y = np.array([0.0, 1.0, 5.0]), np.array([2.0, 9.0])
    expected = overlap(np.array([1.0, 5.0, 4.0]), np.array([2.0, 1.0, 3.0, 9.0, 8.0, 4.0]))
    assert overlap_of_distances(x, y) == pytest.approx(expected)


def test_scaler_is_robust_and_fills_gaps() -> None:
    values = np.stack([np.r_[np.arange(99.0), 1e9], np.full(100, 3.0), np.full(100, np.nan)], axis=1)
    scaler = fit_scaler(values)
    assert scaler.median[0] == 49.5
    assert scaler.spread[0] == pytest.approx(49.5 / 1.349, rel=0.01)
    scaled = scaler.transform(np.array([[1e9, 3.0, 5.0], [np.nan, 4.0, np.nan]]))
    np.testing.assert_allclose(scaled, [[8, 0, 5], [0, 1, 0]])


def test_a_feature_that_moves_rarely_keeps_its_deviation() -> None:
    values = np.zeros((100, 1))
    values[:10] = 1
    assert fit_scaler(values).spread[0] == pytest.approx(0.3)


def test_kernel_is_one_on_the_diagonal() -> None:
    assert np.diag(kernel(normal(4, 0), normal(4, 0), 2.0)) == pytest.approx(1)
