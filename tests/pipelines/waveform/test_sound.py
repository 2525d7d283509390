"""Levels, edges, loudness and loops of sounds."""

from pathlib import Path

import numpy as np
import pytest

from audiogan.corpus import audio
from audiogan.errors import UsageError
from audiogan.pipelines.waveform.looping import blended, find_loop, held
from audiogan.pipelines.waveform.loudness import equally_loud, loudness, loudness_curve
from audiogan.pipelines.waveform.sound import Sound, capped, check_rate, levelled, soften, velocity_gain, write
from tests.pipelines.waveform.small_sounds import RATE, is_click_free, tone


@pytest.mark.parametrize("waveform", [np.zeros(0), np.zeros(10), np.full(10, 1e-9), np.array([np.nan, np.inf, 0.0])])
def test_nothing_to_level_becomes_silence(waveform: np.ndarray) -> None:
    sound = levelled(waveform.astype(np.float32))
    assert sound.shape == waveform.shape
    assert not sound.any()


def test_a_peak_below_zero_counts() -> None:
    assert np.abs(levelled(np.array([0.0, -0.2], np.float32))).max() == pytest.approx(0.8)


def test_only_what_is_too_loud_is_capped() -> None:
    quiet = np.array([0.1, -0.5], np.float32)
    assert np.array_equal(capped(quiet), quiet)
    assert np.abs(capped(10 * quiet)).max() == pytest.approx(1.0)


@pytest.mark.parametrize("n_samples", [0, 1, 3, 1000])
def test_edges_are_soft_at_any_length(n_samples: int) -> None:
    softened = soften(np.ones(n_samples, np.float32), RATE)
    assert len(softened) == n_samples
    if n_samples > 3:
        assert softened[0] == softened[-1] == 0
        assert softened.max() == 1


def test_velocity_is_a_rising_gain() -> None:
    gains = [velocity_gain(velocity / 127) for velocity in range(1, 128)]
    assert gains == sorted(set(gains))
    assert gains[-1] == 1


@pytest.mark.parametrize("rate", [0, 8000, 96_000])
def test_a_rate_out_of_range_is_refused(rate: int) -> None:
    with pytest.raises(UsageError, match="expected 16000 to 48000"):
        check_rate(rate, 44_100)
    assert check_rate(None, 44_100) == 44_100


def test_a_written_sound_reads_back(tmp_path: Path) -> None:
    sound = Sound(tone(220.0), RATE)
    write(sound, tmp_path / "a.wav")
    found = audio.read(tmp_path / "a.wav")
    assert found.sample_rate == RATE
    assert np.abs(found.waveform - sound.waveform).max() < 2**-22


def test_a_level_is_measured_as_a_weighting_has_it() -> None:
    levels = {
        hz: loudness(np.sin(2 * np.pi * hz * np.arange(RATE) / RATE).astype(np.float32), RATE) for hz in (100, 1000)
    }
    assert levels[1000] == pytest.approx(-3.0, abs=0.3)  # a sine of amplitude 1
    assert levels[100] - levels[1000] == pytest.approx(-19.1, abs=1.0)  # IEC 61672-1, table 3


def test_the_curve_follows_the_level() -> None:
    waveform = tone(440.0)
    waveform[RATE // 2 :] *= 0.1
    curve = loudness_curve(waveform, RATE)
    assert len(curve) == 101
    assert curve[25] - curve[75] == pytest.approx(20.0, abs=0.5)


def test_sounds_become_equally_loud_within_their_peak() -> None:
    sounds = equally_loud([tone(110.0, brightness=0.1), tone(880.0, brightness=1.0), np.zeros(RATE, np.float32)], RATE)
    assert loudness(sounds[0], RATE) == pytest.approx(loudness(sounds[1], RATE), abs=0.05)
    assert max(np.abs(sound).max() for sound in sounds) == pytest.approx(0.8, abs=1e-3)
    assert not sounds[2].any()


@pytest.mark.parametrize("hz", [65.41, 261.63, 1000.3])
def test_a_loop_goes_round_without_a_click(hz: float) -> None:
    note = tone(hz, 2.0)
    loop = find_loop(note, RATE, hz)
    assert loop is not None
    period = RATE / hz
    n_periods = (loop.stop - loop.first) / period
    assert abs(n_periods - round(n_periods)) * period <= 0.5
    round_and_round = held(note, RATE, hz, 5 * RATE)
    assert len(round_and_round) == 5 * RATE
    assert is_click_free(soften(round_and_round, RATE), RATE)
    late = round_and_round[4 * RATE :]
    assert np.sqrt(np.mean(late**2)) == pytest.approx(np.sqrt(np.mean(note[RATE // 2 : RATE] ** 2)), rel=0.05)


def test_noise_keeps_its_power_where_a_loop_is_joined() -> None:
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32) * 0.1
    loop = find_loop(noise, RATE, 200.0)
    assert loop is not None
    joined = blended(noise, loop)
    n = round(0.3 * (loop.stop - loop.first))
    middle = joined[loop.stop - 2 * n // 3 : loop.stop - n // 3]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.1, rel=0.1)


def test_a_note_that_dies_away_has_no_loop_and_ends_in_silence() -> None:
    note = tone(220.0, 2.0, decay=30.0)
    assert find_loop(note, RATE, 220.0) is None
    assert not held(note, RATE, 220.0, 4 * RATE)[2 * RATE :].any()


def test_a_note_that_ends_early_is_held_by_its_sounding_part() -> None:
    note = np.concatenate([tone(220.0, 1.0), np.zeros(3 * RATE, np.float32)])
    loop = find_loop(note, RATE, 220.0)
    assert loop is not None
    assert loop.stop < RATE
    late = held(note, RATE, 220.0, 5 * RATE)[4 * RATE :]
    assert np.sqrt(np.mean(late**2)) == pytest.approx(np.sqrt(np.mean(note[RATE // 4 : RATE // 2] ** 2)), rel=0.05)


def test_the_joint_of_a_loop_is_smooth_where_partials_do_not_fit_it() -> None:
    time = np.arange(2 * RATE) / RATE
    note = (0.4 * np.sin(2 * np.pi * 200.0 * time) + 0.4 * np.sin(2 * np.pi * 311.1 * time)).astype(np.float32)
    loop = find_loop(note, RATE, 200.0)
    assert loop is not None

    def jump(waveform: np.ndarray) -> float:
        return abs(float(waveform[loop.first]) - 2 * float(waveform[loop.stop - 1]) + float(waveform[loop.stop - 2]))

    assert jump(blended(note, loop)) < 0.02 < jump(note)
