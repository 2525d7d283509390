"""Correlations, retrievals, probes and ladders whose answers are known."""

import numpy as np
import pytest

from audiogan.pipelines.waveform.obedience import (
    pitch_leak,
    rank_correlation,
    retrieval,
    velocity_obeyed,
    way_of,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_rank_correlation_sees_order_only() -> None:
    x = np.arange(6.0)
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1.0)
    assert rank_correlation(x, -(x**3)) == pytest.approx(-1.0)
    assert rank_correlation(x, np.ones(6)) == 0
    assert rank_correlation(x, np.where(x == 2, np.nan, x)) == 0
    assert rank_correlation(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])) == pytest.approx(0.8)


def test_velocity_is_judged_inside_groups_of_three_levels() -> None:
    velocity = np.tile([0.2, 0.5, 0.9], 3)
    group = np.repeat([0, 1, 2], 3)
    value = np.concatenate([velocity[:3], -velocity[:3], np.zeros(3)]) + 100 * group
    found, kept = velocity_obeyed(velocity, value, group)
    assert found == pytest.approx([1.0, -1.0, 0.0])
    assert kept.tolist() == [0, 1, 2]
    assert len(velocity_obeyed(np.array([0.2, 0.2, 0.9]), np.arange(3.0), np.zeros(3, np.int64))[0]) == 0


def test_retrieval_finds_instruments_that_lie_together() -> None:
    instrument = np.repeat(np.arange(8), 6)
    pitch = np.tile(np.arange(60.0, 66.0), 8)
    codes = rng().standard_normal((8, 5))[instrument] + 0.01 * rng(1).standard_normal((48, 5))
    found = retrieval(codes, instrument, pitch)
    assert found.hit.mean() == 1
    assert found.chance == pytest.approx(5 / 47)


def test_retrieval_by_noise_is_chance() -> None:
    instrument = np.repeat(np.arange(10), 60)
    found = retrieval(rng().standard_normal((600, 8)), instrument, rng(1).uniform(40, 80, 600))
    assert found.hit.mean() == pytest.approx(found.chance.mean(), abs=0.04)


def test_codes_that_hold_only_the_pitch_fail_far_from_it() -> None:
    instrument = np.tile(np.repeat(np.arange(6), 4), 2)
    low, high = 40.0 + 3 * np.arange(6), 90.0 - 3 * np.arange(6)
    pitch = np.concatenate([low[instrument[:24]], high[instrument[24:]]]) + rng().uniform(-0.2, 0.2, 48)
    assert retrieval(pitch[:, None], instrument, pitch).hit.mean() == 1
    assert np.nanmean(retrieval(pitch[:, None], instrument, pitch, least_semitones=2).hit) < 0.2


def test_an_instrument_without_others_cannot_be_asked_for() -> None:
    instrument, pitch, codes = np.zeros(20, np.int64), np.arange(50.0, 70.0), rng().standard_normal((20, 2))
    assert np.isnan(retrieval(codes, instrument, pitch).hit).all()


@pytest.mark.parametrize("within", [True, False])
def test_a_probe_reads_pitch_where_it_is_and_nothing_where_it_is_not(within: bool) -> None:
    instrument = np.repeat(np.arange(12), 20)
    pitch = rng().uniform(40, 80, 240)
    noise = rng(1).standard_normal((240, 6))
    assert pitch_leak(noise, pitch, instrument, within=within).share < 0.1
    leaking = noise + 0.2 * pitch[:, None] * np.array([1.0, 0, 0, -1, 0, 0])
    assert pitch_leak(leaking, pitch, instrument, within=within).share > 0.8


def test_instruments_with_ranges_leak_across_but_not_within() -> None:
    instrument = np.repeat(np.arange(20), 20)
    pitch = 40.0 + 2 * instrument + rng().uniform(-3, 3, 400)
    codes = (instrument / 10)[:, None] + 0.05 * rng(1).standard_normal((400, 3))
    assert pitch_leak(codes, pitch, instrument, within=False).share > 0.8
    assert pitch_leak(codes, pitch, instrument, within=True).share < 0.1


def test_an_even_way_and_one_with_a_jump() -> None:
    even = np.linspace(0, 1, 5)[:, None] * np.array([3.0, -4.0, 0.0])
    way = way_of(even, (0, 1, 2))
    assert way.largest == pytest.approx(1.0)
    assert way.length == pytest.approx(1.0)
    assert way.monotone == pytest.approx((1.0, 1.0, 0.0))
    jump = np.array([[0.0], [0.0], [0.0], [1.0], [1.0]])
    assert way_of(jump, (0,)).largest == pytest.approx(4.0)
    there_and_back = np.array([[0.0], [2.0], [1.0]])
    assert way_of(there_and_back, (0,)).length == pytest.approx(3.0)
