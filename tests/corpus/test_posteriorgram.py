"""Notes in posteriorgrams that are written by hand, frame by frame."""

from itertools import pairwise

import numpy as np
import pytest

from audiogan.corpus.posteriorgram import LOWEST_PITCH, N_KEYS, PARTIALS, Held, notes_of

Arrays = tuple[np.ndarray, np.ndarray]


def empty(n_frames: int = 100) -> Arrays:
    return np.zeros((n_frames, N_KEYS), np.float32), np.zeros((n_frames, N_KEYS), np.float32)


def put(arrays: Arrays, pitch: int, first: int, stop: int, *, onset: float = 0.9, sounds: float = 0.6) -> None:
    onsets, sounding = arrays
    onsets[first, pitch - LOWEST_PITCH] = onset
    sounding[first:stop, pitch - LOWEST_PITCH] = sounds


def spans(arrays: Arrays) -> list[tuple[int, int, int]]:
    return [note[:3] for note in notes_of(*arrays)]


def test_a_note_lasts_from_its_peak_until_it_is_no_longer_probable() -> None:
    arrays = empty()
    put(arrays, 60, 5, 25)
    put(arrays, 67, 5, 40, sounds=0.5)
    put(arrays, 108, 50, 100)
    assert notes_of(*arrays) == [Held(5, 25, 60, 0.6), Held(5, 40, 67, 0.5), Held(50, 100, 108, 0.6)]
    assert notes_of(*empty()) == []


def test_a_gap_of_a_tenth_of_a_second_does_not_end_a_note_and_a_longer_one_does() -> None:
    for gap, stop in ((11, 50), (12, 20)):
        arrays = empty()
        put(arrays, 60, 5, 50)
        arrays[1][20 : 20 + gap - 1, 39] = 0.1
        assert spans(arrays) == [(5, stop, 60)]


def test_what_sounds_without_an_onset_is_no_note() -> None:
    arrays = empty()
    put(arrays, 60, 5, 50, onset=0.49)
    assert spans(arrays) == []


def test_inside_a_note_only_a_sure_onset_begins_another() -> None:
    for onset, expected in ((0.6, [(5, 60, 60)]), (0.7, [(5, 30, 60), (30, 60, 60)])):
        arrays = empty()
        put(arrays, 60, 5, 60)
        arrays[0][30, 39] = onset
        assert spans(arrays) == expected


def test_of_peaks_close_together_the_highest_counts() -> None:
    for onset, expected in ((0.95, 9), (0.8, 5)):
        arrays = empty()
        put(arrays, 60, 5, 40)
        put(arrays, 60, 9, 40, onset=onset)
        assert spans(arrays) == [(expected, 40, 60)]


@pytest.mark.parametrize(("stop", "sounds"), [(10, 0.6), (40, 0.34)])
def test_short_and_improbable_notes_are_left_out(stop: int, sounds: float) -> None:
    arrays = empty()
    put(arrays, 60, 5, stop, sounds=sounds)
    assert spans(arrays) == []


@pytest.mark.parametrize("interval", PARTIALS)
def test_a_weak_note_at_a_partial_of_a_stronger_one_is_left_out(interval: int) -> None:
    for sounds, first, n_notes in ((0.38, 10, 1), (0.45, 10, 2), (0.38, 60, 2)):
        arrays = empty()
        put(arrays, 48, 8, 50)
        put(arrays, 48 + interval, first, first + 20, sounds=sounds)
        assert len(spans(arrays)) == n_notes, "strong enough, or where the other sounds no more, it stays"


def test_a_weak_note_elsewhere_stays() -> None:
    arrays = empty()
    put(arrays, 48, 8, 50)
    put(arrays, 55, 10, 30, sounds=0.38)
    assert len(spans(arrays)) == 2


@pytest.mark.parametrize("interval", [12, 19, 24])
def test_a_note_below_a_much_stronger_one_of_the_same_moment_is_left_out(interval: int) -> None:
    for sounds, first, n_notes in ((0.45, 10, 1), (0.6, 10, 2), (0.45, 20, 2)):
        arrays = empty()
        put(arrays, 72, 8, 50, sounds=0.9)
        put(arrays, 72 - interval, first, 60, sounds=sounds)
        assert len(spans(arrays)) == n_notes


def test_notes_of_one_pitch_never_overlap() -> None:
    rng = np.random.default_rng(0)
    onsets, sounding = (rng.random((400, N_KEYS), np.float32) ** power for power in (2, 0.5))
    found = notes_of(onsets, sounding)
    assert len(found) > 300
    assert found == sorted(found)
    for pitch in range(21, 109):
        mine = [note for note in found if note.pitch == pitch]
        assert all(a.stop <= b.first for a, b in pairwise(mine))
    assert all(0 <= note.first < note.stop <= 400 for note in found)
