"""The network that hears notes: what it hears of sound, and that it knows notes and families it never met."""

import numpy as np
import pytest

from audiogan.corpus.notes import hz_of
from audiogan.pipelines.waveform.note_net import FLOOR_DB, N_FEATURES, N_FRAMES, N_MELS, embed, heard, log_mel
from tests.pipelines.waveform.tones import tone

LEVELS = tuple(0.6**k for k in range(12))


def note(pitch: float, sample_rate: int = 16_000, seconds: float = 1.5) -> np.ndarray:
    """Return a plucked note `(time,)`."""
    return tone(hz_of(pitch), seconds=seconds, sample_rate=sample_rate, levels=LEVELS, attack=0.005, decay_db=15.0)


def test_a_pure_tone_lies_in_its_band() -> None:
    mel = log_mel(tone(1000.0, seconds=1.0, sample_rate=16_000, levels=(1.0,)), 16_000)
    assert mel.shape == (N_MELS, N_FRAMES)
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (30.0, 8000.0))
    band = (2595 * np.log10(1 + 1000 / 700) - low) / (high - low) * (N_MELS + 1) - 1
    assert int(mel[:, 10].argmax()) == pytest.approx(band, abs=0.6)
    assert mel.max() == 0
    assert (mel[:, 40:] == FLOOR_DB).all()  # it ends after a second, 31 frames


def test_level_does_not_count_and_rate_hardly() -> None:
    at_16k, at_44k = note(57), note(57, 44_100)
    np.testing.assert_allclose(log_mel(0.01 * at_16k, 16_000), log_mel(at_16k, 16_000), atol=0.01)
    heard_of = [log_mel(at_16k, 16_000), log_mel(at_44k, 44_100)]
    loud = heard_of[0] > -50
    assert np.abs(heard_of[0] - heard_of[1])[loud].mean() < 0.5


def test_silence_long_notes_and_broken_notes_are_heard() -> None:
    assert (log_mel(np.zeros(100, dtype=np.float32), 16_000) == FLOOR_DB).all()
    long = note(60, seconds=5.0)
    np.testing.assert_array_equal(log_mel(long, 16_000), log_mel(long[: 4 * 16_000], 16_000))
    broken = note(60)
    broken[100] = np.nan
    for waveform in (np.zeros(0, dtype=np.float32), broken):
        assert np.isfinite(embed(waveform, 16_000)).all()
        assert embed(waveform, 16_000).shape == (N_FEATURES,)


def test_it_knows_the_key_of_notes_that_no_soundfont_made() -> None:
    pitches = np.arange(40, 88, 4)
    answers = heard(np.stack([embed(note(float(pitch)), 16_000) for pitch in pitches]))
    np.testing.assert_allclose(answers.pitch.sum(axis=1), 1)
    np.testing.assert_allclose(answers.family.sum(axis=1), 1)
    near = np.abs(answers.pitch.argmax(axis=1) - pitches) <= 1
    assert near.mean() >= 0.75


def test_another_timbre_is_farther_away_than_another_level() -> None:
    bare = tone(hz_of(60), seconds=1.5, sample_rate=16_000, levels=(1.0,), attack=0.2)
    plucked, soft, other = (embed(sound, 16_000) for sound in (note(60), 0.1 * note(60), bare))
    assert np.linalg.norm(plucked - soft) < 0.05 * np.linalg.norm(plucked - other)
