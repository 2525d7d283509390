"""Rows, and sets of notes against each other: what is told of good, of poor and of copied notes."""

import math

import numpy as np
import pytest

from audiogan.evaluation.distances import fit_scaler
from audiogan.evaluation.intervals import Interval
from audiogan.pipelines.waveform.comparison import (
    Row,
    compare_sets,
    copying_rows,
    markdown,
    mean_of,
    only_of_likely,
    row,
    summary,
)

N_INSTRUMENTS, EACH = 12, 20


def notes(seed: int, *, shift: float = 0.0, n: int = N_INSTRUMENTS * EACH) -> np.ndarray:
    """Return `(note, 6)` descriptors."""
    return np.random.default_rng(seed).standard_normal((n, 6)) + shift


REAL, TRAIN, POOR = notes(0), notes(1, n=400), notes(2, shift=5.0)
GROUPS = np.repeat(np.arange(N_INSTRUMENTS), EACH).tolist()
SCALER = fit_scaler(TRAIN)


def by_metric(rows: list[Row]) -> dict[str, Row]:
    return {one.metric: one for one in rows}


def test_notes_of_the_same_distribution_are_like_real_ones() -> None:
    rows = by_metric(compare_sets(notes(3), REAL, GROUPS, POOR, SCALER))
    assert all(one.passes for one in rows.values())
    assert "R²" in rows["fd_inf"].note
    assert rows["fd_inf"].value < rows["frechet"].value
    assert abs(rows["kernel_distance"].gap) < 0.05
    assert rows["coverage"].value == pytest.approx(0.97, abs=0.04)
    assert rows["diversity"].value == pytest.approx(1.0, abs=0.05)


def test_shifted_and_collapsed_notes_are_not() -> None:
    shifted = by_metric(compare_sets(notes(3, shift=1.5), REAL, GROUPS, POOR, SCALER))
    assert shifted["kernel_distance"].passes is False
    assert shifted["frechet"].passes is False
    assert 0 < shifted["kernel_distance"].gap < 1
    collapsed = by_metric(compare_sets(0.01 * notes(3), REAL, GROUPS, POOR, SCALER))
    assert collapsed["diversity"].value < 0.05
    assert "collapsed" in collapsed["diversity"].note
    assert collapsed["recall"].passes is False
    assert collapsed["coverage"].passes is False


def test_too_few_instruments_are_told_and_not_judged() -> None:
    rows = compare_sets(notes(3), REAL, [0, 1] * (len(REAL) // 2), POOR, SCALER)
    assert all(one.passes is None and "2 held-out instruments" in one.note for one in rows)


def test_too_few_notes_are_refused() -> None:
    made, some = notes(3), notes(0, n=24)
    rows = by_metric(compare_sets(made, some, list(range(12)) * 2, POOR, SCALER))
    for metric, needed in (("coverage", 15), ("recall", 15), ("fd_inf", 35)):
        assert math.isnan(rows[metric].value)
        assert rows[metric].note == f"refused: 12 items against as many, {needed} are needed"
        assert rows[metric].passes is None
    assert math.isfinite(rows["frechet"].value)  # 7 would do for six features
    assert math.isfinite(rows["kernel_distance"].value)
    for one in compare_sets(made, some[:12], list(range(12)), POOR, SCALER):  # halves of six
        assert math.isnan(one.value) and math.isnan(one.floor) and math.isnan(one.ceiling)
        assert one.passes is None
        assert one.note.startswith("refused: 6 items")


def test_copies_are_hinted_at() -> None:
    honest = by_metric(copying_rows(notes(3), REAL, TRAIN, GROUPS, SCALER))
    assert honest["copies"].value == 0
    assert honest["nearest_training_note"].passes
    planted = notes(3)
    planted[:24] = TRAIN[:24] + 1e-3
    found = by_metric(copying_rows(planted, REAL, TRAIN, GROUPS, SCALER))["copies"]
    assert found.value == pytest.approx(24 / len(planted))
    assert found.passes is False


def test_what_noise_passes_is_judged_only_of_notes_like_real_ones() -> None:
    for shift, judged in ((0.0, True), (1.5, False)):
        made = notes(3, shift=shift)
        rows = compare_sets(made, REAL, GROUPS, POOR, SCALER) + copying_rows(made, REAL, TRAIN, GROUPS, SCALER)
        found = by_metric(only_of_likely(rows))
        assert {found[name].passes is not None for name in ("diversity", "nearest_training_note", "copies")} == {judged}
        assert found["kernel_distance"].passes is judged


def test_a_row_knows_which_way_is_better() -> None:
    floor = Interval(0.5, 0.4, 0.6)
    value = Interval(0.7, 0.6, 0.8)
    assert row("m", "f", value, floor, 0.0, larger_is_better=True, n=1).passes
    worse = row("m", "f", value, floor, 1.0, larger_is_better=False, n=1)
    assert worse.passes is False
    assert worse.gap == pytest.approx(0.4)
    assert row("m", "f", value, floor, larger_is_better=False, n=1, enough=0.75).passes
    assert row("m", "f", value, larger_is_better=True, n=1).passes is None
    assert math.isnan(row("m", "f", value, floor, 0.55, larger_is_better=True, n=1).gap)


def test_what_does_not_exist_is_none_in_json_and_a_dash_on_paper() -> None:
    nothing = Interval(math.nan, math.nan, math.nan)
    one = row("m", "f", Interval(1.0, 0.5, 1.5), nothing, larger_is_better=True, n=3)
    assert one.to_json()["floor"] is None
    assert "| m | f | 1 [0.5, 1.5] | - | - | - | 3 | - | - |" in markdown([one])
    assert summary([one, row("m", "f", Interval(1, 1, 1), larger_is_better=True, n=1, enough=0.5)]) == (1, 1)


def test_a_mean_leaves_out_what_is_no_number() -> None:
    assert mean_of(np.array([1.0, np.nan, 3.0]), ["a", "b", "c"]).value == 2
    assert math.isnan(mean_of(np.array([np.nan])).value)
