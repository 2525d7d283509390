"""Both judges beside tones whose tuning is known."""

import numpy as np
import pytest

from audiogan.corpus.notes import hz_of
from audiogan.corpus.pitchtrack import has_tracker
from audiogan.pipelines.waveform.intonation import by_comb, by_tracker, from_estimate, judges
from tests.pipelines.waveform.tones import RATE, tone


@pytest.mark.parametrize("pitch", [24.0, 36.5, 60.0, 72.5, 96.0])
@pytest.mark.parametrize("cents", [-35.0, 0.0, 15.0])
def test_the_comb_tells_cents_at_keys_and_between_them(pitch: float, cents: float) -> None:
    found = by_comb(tone(hz_of(pitch + cents / 100)), RATE, hz_of(pitch))
    assert found is not None
    assert found.cents == pytest.approx(cents, abs=3.0)
    assert found.is_in_tune == (abs(cents) <= 20)


def test_an_octave_above_is_an_octave_error_for_the_comb() -> None:
    found = by_comb(tone(440.0), RATE, 220.0)
    assert found is not None
    assert found.is_octave_off
    assert not found.is_in_tune


def test_noise_is_not_in_tune() -> None:
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32) * 0.1
    found = by_comb(noise, RATE, 220.0)
    assert found is not None
    assert not found.is_in_tune


@pytest.mark.parametrize(
    ("heard", "off"), [(440.0, False), (445.0, False), (880.0, True), (220.0, True), (1320.0, True), (600.0, False)]
)
def test_octaves_and_twelfths_count_as_octave_errors(heard: float, off: bool) -> None:
    found = from_estimate(heard, 440.0)
    assert found.is_octave_off == off
    assert found.is_in_tune == (abs(heard - 440.0) < 5.1)


@pytest.mark.skipif(not has_tracker(), reason="swift-f0 is not installed")
def test_the_tracker_tells_cents_and_knows_its_range() -> None:
    found = by_tracker(tone(hz_of(60.15)), RATE, hz_of(60))
    assert found is not None
    assert found.cents == pytest.approx(15.0, abs=4.0)
    assert by_tracker(tone(hz_of(24)), RATE, hz_of(24)) is None


def test_the_comb_is_always_there() -> None:
    assert "comb" in judges()
