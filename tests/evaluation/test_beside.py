"""Two models beside each other: the nearer one is found, equal ones are not told apart."""

import numpy as np
import pytest

from audiogan.evaluation.beside import Beside, Difference, Paired, differences

N, GROUPS = 80, [number // 8 for number in range(80)]


def paired(first: float, second: float, seed: int = 0) -> Paired:
    """Items of two models from the same draws, moved away from the real ones by so much."""
    rng = np.random.default_rng(seed)
    real, draws = rng.normal(size=(N, 4)), rng.normal(size=(N, 4))
    return Paired("e", draws + first, draws + second, real, GROUPS)


def by_metric(rows: list[Difference]) -> dict[str, Difference]:
    return {row.metric: row for row in rows}


def test_the_nearer_model_is_better_whichever_comes_first() -> None:
    rows = by_metric(differences([paired(0.0, 1.5)]))
    assert set(rows) == {"kernel distance", "precision", "recall", "density", "coverage"}
    assert rows["kernel distance"].better == "first"
    assert rows["kernel distance"].high < 0
    assert rows["precision"].better == "first"
    assert rows["precision"].low > 0
    turned = by_metric(differences([paired(1.5, 0.0)]))
    assert turned["kernel distance"].better == "second"
    assert turned["kernel distance"].difference == pytest.approx(-rows["kernel distance"].difference)


def test_the_interval_belongs_to_the_difference() -> None:
    row = by_metric(differences([paired(0.3, 0.6)]))["kernel distance"]
    assert row.difference == pytest.approx(row.first - row.second)
    assert row.low < row.difference < row.high
    assert row.n == N


def test_equal_models_are_not_told_apart() -> None:
    same = by_metric(differences([paired(0.2, 0.2)]))["kernel distance"]
    assert (same.difference, same.low, same.high, same.better) == (0.0, 0.0, 0.0, "neither")
    # Unpaired draws of one distribution: a difference there is, but not one that the interval tells.
    found = [
        by_metric(differences([paired(0, 0, seed)._replace(second=paired(0, 0, seed + 50).first)]))["kernel distance"]
        for seed in range(6)
    ]
    assert sum(row.better != "neither" for row in found) <= 1
    assert all(row.difference != 0 for row in found)


def test_few_items_get_no_shares_of_neighbours() -> None:
    small = paired(0, 1)
    cut = Paired("e", small.first[:16], small.second[:16], small.real[:24], [i // 3 for i in range(24)])
    assert set(by_metric(differences([cut]))) == {"kernel distance"}


def test_it_is_told_in_words() -> None:
    rows = differences([paired(0.0, 1.5), paired(0.2, 0.2)._replace(embedding="f")])
    found = Beside("a", "b\x1b", "1", "2", "notes", 0, N, N, tuple(rows))
    lines = found.as_text().splitlines()
    assert lines[0] == "a beside b\\x1b: 80 notes of each on the same draws, beside 80 real ones"
    assert lines[1].startswith("kernel distance (e): ")
    assert lines[1].endswith(": a is better")
    assert lines[6].endswith(": no difference that the interval tells")
    assert found.as_json()["rows"][0]["better"] == "first"
