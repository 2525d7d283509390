"""Every estimator beside an additive tone whose answer is known."""

import numpy as np
import pytest

from audiogan.corpus.tuning import spectrum_of
from audiogan.pipelines.waveform.descriptors import (
    cepstra,
    envelope_facts,
    envelope_of,
    log_mel,
    mel_filters,
    partial_facts,
    partials_of,
    parts_of,
    shape_of,
    spectra_of,
    vibrato_cents,
)
from tests.pipelines.waveform.tones import RATE, tone


def facts(sound: np.ndarray, hz: float = 220.0) -> tuple[float, float, float, float]:
    envelope = envelope_of(sound, RATE, hz)
    assert envelope is not None
    return envelope_facts(envelope)


def test_a_pure_tone_has_its_frequency_as_centroid_and_rolloff() -> None:
    shape = shape_of(spectra_of(tone(1000.0, levels=(1.0,)), RATE))[20:-20]
    assert 2 ** shape[:, 0].mean() == pytest.approx(1000.0, rel=0.02)
    assert 2 ** shape[:, 2].mean() == pytest.approx(1000.0, rel=0.03)


def test_the_spread_of_two_equal_tones_is_half_their_distance() -> None:
    shape = shape_of(spectra_of(tone(1000.0, levels=(1.0, 0.0, 1.0)), RATE))[20:-20]
    assert 2 ** shape[:, 0].mean() == pytest.approx(2000.0, rel=0.02)
    assert 2 ** shape[:, 1].mean() == pytest.approx(1000.0, rel=0.03)


def test_white_noise_is_flat_and_a_tone_is_not() -> None:
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    # the mean logarithm of an exponential variable is Euler's constant below the logarithm of its mean: 2.51 dB
    assert shape_of(spectra_of(noise, RATE))[5:-5, 3].mean() == pytest.approx(-2.51, abs=0.15)
    assert shape_of(spectra_of(tone(440.0), RATE))[20:-20, 3].mean() < -25


def test_the_shape_does_not_depend_on_the_rate() -> None:
    low, high = (
        shape_of(spectra_of(tone(440.0, sample_rate=rate), rate))[60:-60].mean(axis=0) for rate in (RATE, 44_100)
    )
    assert np.abs(low - high)[:3].max() < 0.05


def test_mel_bands_are_averages_and_none_is_empty() -> None:
    filters = mel_filters(513, 8000.0)
    assert filters.sum(axis=1) == pytest.approx(1.0)
    assert (filters.max(axis=1) > 0).all()


def test_cepstra_ignore_level_and_hold_a_cosine() -> None:
    bands = np.cos(np.pi / 40 * (np.arange(40) + 0.5) * 3)[None]
    assert cepstra(bands + 7.0, 5)[0] == pytest.approx([0, 0, np.sqrt(20), 0, 0], abs=1e-9)


def test_silence_has_a_log_mel_of_nothing_and_no_envelope() -> None:
    silence = np.zeros(RATE, np.float32)
    assert (log_mel(spectra_of(silence, RATE)) == -80).all()
    assert envelope_of(silence, RATE, 220.0) is None


@pytest.mark.parametrize("attack", [0.05, 0.2, 0.5])
def test_a_linear_attack_takes_eight_tenths_of_its_time(attack: float) -> None:
    assert 10 ** facts(tone(220.0, attack=attack))[0] == pytest.approx(0.8 * attack, rel=0.1, abs=0.006)


def test_a_decay_has_its_slope_and_its_centre() -> None:
    sound = tone(220.0, seconds=4.0, attack=0.002, decay_db=20.0)
    _, centroid, slope, duration = facts(sound)
    assert slope == pytest.approx(-20.0, rel=0.02)
    rate = 20 / 20 * np.log(10)  # per second; heard as far as 40 dB below, that is for 2 s
    assert duration == pytest.approx(2.0, abs=0.05)
    assert centroid == pytest.approx(1 / rate - 2 * 0.01 / (1 - 0.01), abs=0.02)


def test_a_steady_tone_does_not_decay() -> None:
    assert facts(tone(220.0))[2] == pytest.approx(0.0, abs=0.5)


def test_the_parts_of_a_note_follow_each_other() -> None:
    envelope = envelope_of(tone(220.0, attack=0.3), RATE, 220.0)
    assert envelope is not None
    (start, split), (again, middle), (and_again, end) = parts_of(envelope)
    assert (split, middle) == (again, and_again)
    assert split - start == pytest.approx(0.27, abs=0.03)
    assert middle - split == pytest.approx(end - middle)


@pytest.mark.parametrize("stretch", [1e-4, 5e-4, 2e-3])
@pytest.mark.parametrize("hz", [65.4, 220.0])
def test_the_stretch_of_a_stiff_string_is_found(hz: float, stretch: float) -> None:
    found = partials_of(spectrum_of(tone(hz, stretch=stretch), RATE), hz)
    assert found.stretch == pytest.approx(stretch, rel=0.05)


def test_a_harmonic_tone_has_no_stretch_even_when_it_is_out_of_tune() -> None:
    for cents in (-40, 0, 40):
        assert partials_of(spectrum_of(tone(220.0 * 2 ** (cents / 1200)), RATE), 220.0).stretch < 2e-6


def test_odd_partials_against_even_ones() -> None:
    equal = partial_facts(spectrum_of(tone(220.0, levels=(1.0, 0.5, 0.5)), RATE), 220.0)[1]
    assert equal == pytest.approx(0.0, abs=0.2)
    louder = partial_facts(spectrum_of(tone(220.0, levels=(1.0, 0.1, 0.5)), RATE), 220.0)[1]
    assert louder == pytest.approx(20 * np.log10(5), abs=0.3)
    hollow = partial_facts(spectrum_of(tone(220.0, levels=(1.0, 0.0, 0.5, 0.0, 0.3)), RATE), 220.0)[1]
    assert hollow > 25


def test_ten_times_the_noise_is_twenty_decibels() -> None:
    low, high = (partial_facts(spectrum_of(tone(220.0, noise=level), RATE), 220.0)[2] for level in (0.003, 0.03))
    assert high - low == pytest.approx(20.0, abs=0.5)
    assert partial_facts(spectrum_of(tone(220.0, stretch=1e-3), RATE), 220.0)[2] < -60


@pytest.mark.parametrize("depth", [10.0, 30.0])
@pytest.mark.parametrize(("hz", "rank"), [(110.0, 1), (220.0, 2), (880.0, 1)])
def test_vibrato_has_its_depth(hz: float, rank: int, depth: float) -> None:
    assert vibrato_cents(tone(hz, vibrato_cents=depth), RATE, hz, rank) == pytest.approx(depth, rel=0.12)


def test_no_vibrato_is_none_even_out_of_tune() -> None:
    assert vibrato_cents(tone(226.0), RATE, 220.0) < 0.5
    assert vibrato_cents(tone(220.0, seconds=0.3, vibrato_cents=30.0), RATE, 220.0) == 0.0
