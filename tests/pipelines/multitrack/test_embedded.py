"""Sets of clips as vectors: equal sets are at the floor, others are caught, small ones are refused."""

import math

import numpy as np
import pytest

from audiogan.pipelines.multitrack.embedded import distance_rows, overlap_rows
from audiogan.pipelines.multitrack.row import Row

N, N_SONGS, N_FEATURES = 320, 40, 12
SONGS = (np.arange(N) % N_SONGS).tolist()
NAMES = ("density:bass", "density:piano", "td:bass-piano")


def normal(seed: int, n: int = N, d: int = N_FEATURES) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def by_metric(rows: list[Row]) -> dict[str, Row]:
    return {row.metric: row for row in rows}


def test_equal_sets_are_at_the_floor_and_a_shifted_one_is_not() -> None:
    same, shifted = (
        by_metric(distance_rows(made, normal(0), 4 + normal(2), SONGS, "roll_net"))
        for made in (normal(1), 0.6 + normal(1))
    )
    assert [row.passes for row in same.values()] == [True] * 7 + [None]
    assert all(row.column == "roll_net" for row in same.values())
    assert abs(same["kad"].gap) < 0.02
    assert abs(same["fd_inf"].gap) < 0.02
    assert same["fd_inf"].value < same["frechet"].value
    for metric in ("kad", "frechet", "fd_inf"):
        assert shifted[metric].passes is False
        assert shifted[metric].gap > same[metric].gap + 0.01


def test_too_few_clips_are_refused() -> None:
    found = by_metric(distance_rows(normal(1, 30), normal(0, 30), normal(2, 30), list(range(30)), "roll_net"))
    assert found["fd_inf"].note == "refused: 15 items against as many, 65 are needed"
    assert found["fd_inf"].passes is None
    assert math.isnan(found["fd_inf"].value)
    assert found["frechet"].passes is not None
    wide = by_metric(distance_rows(normal(1, 30, 20), normal(0, 30, 20), normal(2, 0, 20), list(range(30)), "x"))
    assert "21 are needed" in wide["frechet"].note
    assert math.isnan(wide["kad"].ceiling)
    few = by_metric(distance_rows(normal(1, 9), normal(0, 9), normal(2, 9), list(range(9)), "x"))
    assert all(row.passes is None for row in few.values())


def test_single_values_overlap_by_group() -> None:
    real = normal(0, d=3)
    made = np.stack([normal(1)[:, 0], normal(2)[:, 0], 5 + normal(3)[:, 0]], axis=1)
    made[::7, 0] = np.nan
    rows = {(row.metric, row.column): row for row in overlap_rows(NAMES, made, real, 9 + normal(4, d=3), SONGS)}
    assert len(rows) == 4
    assert rows["overlap_area", "density"].value > 0.9
    assert rows["overlap_area", "density"].passes
    assert rows["overlap_area", "td"].value < 0.2
    assert rows["overlap_area", "td"].passes is False
    assert rows["divergence", "td"].passes is None
    assert rows["divergence", "td"].value > 10 * rows["divergence", "density"].value
    assert {row.form for row in rows.values()} == {"spread"}


def test_a_value_that_real_clips_lack_is_told() -> None:
    real = normal(0, d=3)
    real[:, 2] = np.nan
    rows = overlap_rows(NAMES, normal(1, d=3), real, normal(2, d=3), SONGS)
    missing = next(row for row in rows if (row.metric, row.column) == ("overlap_area", "td"))
    assert missing.passes is None
    assert missing.note == "the reference holds no such values"


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_rows(seed: int) -> None:
    first, second = (
        [row.to_json() for row in distance_rows(normal(1), normal(0), normal(2, 0), SONGS, "x", seed=seed)]
        for _ in range(2)
    )
    assert first == second
