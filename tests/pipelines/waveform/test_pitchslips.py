"""Pitch curves that slip to a partial are mended by what sounds; melodies that leap are left alone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from audiogan.corpus.notes import hz_of
from audiogan.pipelines.waveform.pitchslips import join_slips, mend
from audiogan.pipelines.waveform.segmentation import Heard
from tests.pipelines.waveform.small_sounds import RATE, tone

HOP = RATE // 100


def curve(*pitches: tuple[int, float]) -> NDArray[np.float64]:
    """Frames at pitches."""
    return np.concatenate([np.full(n_frames, hz_of(pitch)) for n_frames, pitch in pitches])


def mended(hz: NDArray[np.float64], sound: NDArray[np.float32]) -> NDArray[np.float64]:
    return mend(hz, np.ones(len(hz), dtype=bool), sound, HOP)


@pytest.mark.parametrize("semitones", [12.0, 19.02, 24.0, 24.5, -12.0])
def test_a_slip_to_a_partial_is_mended(semitones: float) -> None:
    slipped = curve((30, 57), (15, 57 + semitones), (30, 57))
    assert mended(slipped, tone(hz_of(57), 0.75)) == pytest.approx(hz_of(57), rel=1e-3)


@pytest.mark.parametrize("semitones", [2, 7, 12, 19, -12])
def test_a_leap_that_sounds_stays(semitones: float) -> None:
    sound = np.concatenate([tone(hz_of(57), 0.4), tone(hz_of(57 + semitones), 0.4)])
    leap = curve((40, 57), (40, 57 + semitones))
    off = 12 * np.abs(np.log2(mended(leap, sound) / leap))
    assert off[:37].max() < 0.1
    assert off[43:].max() < 0.1


def test_what_is_not_voiced_stays() -> None:
    hz = curve((30, 57), (15, 81), (30, 57))
    voiced = np.ones(75, dtype=bool)
    voiced[30:45] = False
    assert mend(hz, voiced, tone(hz_of(57), 0.75), HOP).tolist() == hz.tolist()


def notes(first: float, second: float, *, has_attack: bool) -> list[Heard]:
    return [Heard(0, 30, first), Heard(30, 80, second, has_attack)]


@pytest.mark.parametrize(("first", "second"), [(69, 57), (57, 69), (76.02, 57)])
def test_one_tone_heard_as_two_is_one_note(first: float, second: float) -> None:
    hz, found = join_slips(
        curve((30, first), (50, second)), notes(first, second, has_attack=False), tone(hz_of(57), 0.8), RATE
    )
    assert [(note.first, note.stop) for note in found] == [(0, 80)]
    assert found[0].pitch == pytest.approx(57, abs=0.1)
    assert hz == pytest.approx(hz_of(57), rel=2e-3)


def test_a_tone_without_the_lower_partials_is_the_upper_one() -> None:
    _, found = join_slips(curve((30, 57), (50, 69)), notes(57, 69, has_attack=False), tone(hz_of(69), 0.8), RATE)
    assert [round(note.pitch) for note in found] == [69]


@pytest.mark.parametrize("has_attack", [True, False])
def test_an_octave_that_is_played_stays_two_notes(has_attack: bool) -> None:
    sound = np.concatenate([tone(hz_of(57), 0.3), tone(hz_of(69), 0.5)])
    _, found = join_slips(curve((30, 57), (50, 69)), notes(57, 69, has_attack=has_attack), sound, RATE)
    assert [round(note.pitch) for note in found] == [57, 69]
