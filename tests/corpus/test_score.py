"""Notes are sorted and read-only, whether they come track by track or all at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiogan.corpus.score import COLUMNS, Note, Notes

# Few onsets and pitches, so that notes meet; now and then values that do not fit into one number together.
ONSETS = st.one_of(st.integers(0, 3), st.sampled_from([2**31 - 2, 2**40]))
LENGTHS = st.one_of(st.integers(1, 3), st.sampled_from([2**30, 2**40]))
PITCHES = st.one_of(st.integers(60, 62), st.sampled_from([0, 127]))
ROWS = st.builds(lambda a, n, p, v: Note(a, a + n, p, v), ONSETS, LENGTHS, PITCHES, st.integers(1, 127))


@settings(max_examples=300, deadline=None)
@given(tracks=st.lists(st.lists(ROWS, max_size=10), min_size=1, max_size=6))
def test_tracks_built_at_once_are_those_built_alone(tracks: list[list[Note]]) -> None:
    table = np.array([note for track in tracks for note in track], dtype=np.int64).reshape(-1, 4)
    found = Notes.of_tracks(list(table.T), [len(track) for track in tracks])
    assert found == [Notes.from_list(track) for track in tracks]
    assert [list(notes) for notes in found] == [
        sorted(track, key=lambda note: (note.onset, note.pitch, note.offset, note.velocity)) for track in tracks
    ]
    for notes in found:
        assert all(getattr(notes, name).dtype == np.int64 for name in COLUMNS)
        assert not any(getattr(notes, name).flags.writeable for name in COLUMNS)


@pytest.mark.parametrize("row", [(0, 5, 200, 90), (0, 5, 60, 300), (-3, 5, 60, 90)])
def test_values_out_of_range_are_not_mixed_up(row: tuple[int, int, int, int]) -> None:
    table = np.array([row, (0, 4, 60, 1)], dtype=np.int64)
    assert Notes.of_tracks(list(table.T), [2]) == [Notes.from_list([Note(*row), Note(0, 4, 60, 1)])]


def test_every_note_belongs_to_a_track() -> None:
    with pytest.raises(AssertionError, match="belongs to a track"):
        Notes.of_tracks([np.zeros(3, dtype=np.int64)] * 4, [1, 1])


def test_chosen_notes_stay_in_order_and_read_only() -> None:
    notes = Notes.from_list([Note(9, 10, 60, 1), Note(0, 4, 64, 2), Note(0, 4, 60, 3)])
    chosen = notes.where(notes.velocity != 2)
    assert list(chosen) == [Note(0, 4, 60, 3), Note(9, 10, 60, 1)]
    with pytest.raises(ValueError, match="read-only"):
        chosen.onset[0] = 5
    assert len(notes.where(np.zeros(3, dtype=np.bool_))) == 0
