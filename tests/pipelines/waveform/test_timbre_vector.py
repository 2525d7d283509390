"""The vector of a note: what moves it, what does not, and what silence is."""

import numpy as np
import pytest

from audiogan.evaluation.distances import fit_scaler
from audiogan.pipelines.waveform.descriptors import log_mel, spectra_of
from audiogan.pipelines.waveform.timbre_vector import FARTHEST, NAMES, describe, mel_distance, place_of, scaled
from tests.pipelines.waveform.tones import RATE, tone


def test_every_place_has_one_name_and_a_number() -> None:
    vector = describe(tone(220.0), RATE, 220.0)
    assert len(set(NAMES)) == len(NAMES) == len(vector)
    assert np.isfinite(vector).all()


def test_level_does_not_matter() -> None:
    sound = tone(220.0, decay_db=10.0)
    assert describe(sound, RATE, 220.0) == pytest.approx(describe(0.1 * sound, RATE, 220.0), abs=0.05)


@pytest.mark.parametrize("hz", [32.7, 65.4, 440.0, 2093.0])
def test_all_pitches_and_a_tenth_of_a_second_can_be_described(hz: float) -> None:
    for seconds in (0.1, 1.0):
        assert np.isfinite(describe(tone(hz, seconds=seconds), RATE, hz)).all()


def test_what_was_put_in_is_found_at_its_place() -> None:
    vector = describe(tone(220.0, seconds=3.0, decay_db=15.0, stretch=5e-4, attack=0.005), RATE, 220.0)
    assert vector[place_of("decay_slope")] == pytest.approx(-15.0, rel=0.05)
    assert vector[place_of("inharmonicity")] == pytest.approx(np.log10(5e-4), abs=0.03)
    swinging = describe(tone(220.0, seconds=3.0, vibrato_cents=25.0), RATE, 220.0)
    assert swinging[place_of("vibrato")] == pytest.approx(25.0, rel=0.12)
    bright, dark = (describe(tone(220.0, levels=levels), RATE, 220.0) for levels in ((1.0,) * 8, (1.0, 0.2)))
    assert bright[place_of("centroid_mean")] > dark[place_of("centroid_mean")] + 1


def test_silence_is_far_from_everything_and_no_other_gap_is() -> None:
    silent = describe(np.zeros(RATE, np.float32), RATE, 220.0)
    notes = np.stack([describe(tone(hz), RATE, hz) for hz in (110.0, 220.0, 330.0)])
    scaler = fit_scaler(notes)
    assert (scaled(silent[None], scaler) == FARTHEST).all()
    notes[0, 3] = np.nan
    assert scaled(notes, scaler)[0, 3] == 0


def test_the_nearest_note_is_one_of_the_same_instrument() -> None:
    def plucked(hz: float) -> np.ndarray:
        return describe(tone(hz, decay_db=25.0, attack=0.003), RATE, hz)

    def blown(hz: float) -> np.ndarray:
        return describe(tone(hz, levels=(1.0, 0.02, 0.5, 0.02, 0.3), attack=0.1, vibrato_cents=15.0), RATE, hz)

    vectors = np.stack([play(hz) for play in (plucked, blown) for hz in 165.0 * 2 ** (np.arange(8) / 6)])
    z = scaled(vectors, fit_scaler(vectors))
    apart = np.linalg.norm(z[:, None] - z, axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (apart[:8].argmin(axis=1) < 8).all()
    assert (apart[8:].argmin(axis=1) >= 8).all()


def test_log_mel_distance_is_the_decibels_between() -> None:
    mel = log_mel(spectra_of(tone(440.0), RATE))
    assert mel_distance(mel, mel) == 0
    assert mel_distance(np.full((4, 3), -10.0), np.full((4, 3), -16.0)) == pytest.approx(6.0)
    assert mel_distance(np.full((2, 3), -10.0), np.full((4, 3), -10.0)) == pytest.approx(35.0)
