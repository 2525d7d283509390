"""Melodies are cut where notes begin, whatever the tracker says first; each attack makes one note."""

import numpy as np
import pytest
from numpy.typing import NDArray

from audiogan.corpus.notes import hz_of
from audiogan.errors import CorpusError
from audiogan.pipelines.waveform.segmentation import Heard, levels_of, notes_of
from tests.pipelines.waveform.small_sounds import RATE, tone

N = 100


def heard(
    sound: NDArray[np.float32], pitches: list[tuple[float, float, float]], unsure: tuple[float, float] = (0, 0)
) -> list[Heard]:
    """Notes of a sound with a curve of (from, to, pitch) in seconds, not voiced elsewhere nor where it is unsure."""
    frames = np.arange(round(len(sound) / RATE * 100) + 1) / 100
    hz, voiced = np.full(len(frames), 440.0), np.zeros(len(frames), dtype=bool)
    for start, stop, pitch in pitches:
        inside = (frames >= start - 1e-9) & (frames < stop - 1e-9)
        hz[inside], voiced[inside] = hz_of(pitch), True
    voiced &= ~((frames >= unsure[0]) & (frames < unsure[1]))
    return notes_of(hz, voiced, sound, RATE)


def at(*notes: tuple[float, float, float, float], seconds: float = 1.0) -> NDArray[np.float32]:
    """Tones of (start, seconds, pitch, level) over each other."""
    sound = np.zeros(round(seconds * RATE), np.float32)
    for start, length, pitch, level in notes:
        first = round(start * RATE)
        part = sound[first : first + round(length * RATE)]
        part += level * tone(hz_of(pitch), length)[: len(part)]
    return sound


def test_a_note_begins_where_it_sounds_though_the_tracker_is_late() -> None:
    notes = heard(at((0.2, 0.7, 40, 1)), [(0.28, 0.9, 40)])
    assert [note.first for note in notes] == pytest.approx([20], abs=1)
    assert notes[0].pitch == pytest.approx(40, abs=0.01)


def test_a_breath_before_a_note_is_none_of_it() -> None:
    sound = at((0.2, 0.06, 69, 0.03), (0.26, 0.6, 69, 1))
    assert heard(sound, [(0.2, 0.85, 69)])[0].first == pytest.approx(26, abs=1)


def test_a_long_swell_begins_where_it_is_heard() -> None:
    sound = at((0.1, 0.8, 69, 1)) * np.linspace(0, 1, RATE, dtype=np.float32) ** 4
    assert heard(sound, [(0.3, 0.9, 69)])[0].first == pytest.approx(30, abs=1)


def test_a_repeated_note_is_two_though_the_pitch_goes_on() -> None:
    sound = at((0.1, 0.38, 69, 1), (0.51, 0.4, 69, 1))
    notes = heard(sound, [(0.1, 0.9, 69)])
    assert [note.first for note in notes] == pytest.approx([10, 51], abs=2)
    assert notes[1].has_attack


def test_a_slow_attack_or_a_tremolo_is_one_note() -> None:
    time = np.arange(RATE) / RATE
    swelling = at((0.1, 0.8, 69, 1)) * np.clip((time - 0.1) / 0.15, 0.01, 1)
    trembling = at((0.1, 0.8, 69, 1)) * (1 + 0.35 * np.sin(2 * np.pi * 5 * time))
    for sound in (swelling, trembling):
        assert len(heard(sound.astype(np.float32), [(0.1, 0.9, 69)])) == 1


def test_a_slur_begins_where_the_new_partials_do() -> None:
    sound = at((0.1, 0.46, 60, 1), (0.5, 0.4, 65, 1))
    notes = heard(sound, [(0.1, 0.56, 60), (0.56, 0.9, 65)])
    assert [note.first for note in notes] == pytest.approx([10, 50], abs=2)
    assert not notes[1].has_attack


def test_a_scoop_into_a_note_is_no_note() -> None:
    sound = at((0.1, 0.8, 60, 1))
    notes = heard(sound, [(0.1, 0.18, 57), (0.18, 0.9, 60)])
    assert len(notes) == 1
    assert notes[0].pitch == pytest.approx(60, abs=0.01)


def test_levels_are_those_of_frames() -> None:
    sound = np.zeros(RATE)
    sound[RATE // 2 :] = np.sqrt(2) * np.sin(2 * np.pi * 1000 * np.arange(RATE // 2) / RATE)
    levels = levels_of(sound, N)
    assert levels[[0, 48]] == pytest.approx([-100, -100], abs=0.1)
    assert levels[[52, 80]] == pytest.approx([0, 0], abs=0.1)
    assert levels[50] == pytest.approx(-3, abs=0.3)


def test_nothing_long_enough_is_refused() -> None:
    with pytest.raises(CorpusError, match="no note of 50 ms"):
        heard(at((0.1, 0.8, 60, 1)), [(0.1, 0.13, 60)])
