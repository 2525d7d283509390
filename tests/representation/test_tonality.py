"""Keys are found, and music goes home and back without loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiogan.errors import UsageError
from audiogan.representation.rollnotes import RollNotes
from audiogan.representation.tonality import MOVES, home_move, key_named, key_of, sharps_of, transposed, weights_of

IS_DRUM = np.array([True, False])
N_PITCHES = 72
C_MAJOR_TUNE = [0, 4, 7, 5, 9, 7, 11, 2, 0, 0]
A_MINOR_TUNE = [9, 0, 4, 2, 5, 4, 8, 11, 9, 9]


def notes_of(rows: list[int], *, role: int = 1) -> RollNotes:
    start = np.arange(len(rows)) * 2
    n = len(rows)
    return RollNotes.from_columns((np.full(n, role), start, start + 2, np.array(rows), np.full(n, 90), np.zeros(n)))


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize(("tune", "home", "minor"), [(C_MAJOR_TUNE, 0, False), (A_MINOR_TUNE, 9, True)])
def test_a_tune_comes_home_from_every_key(tune: list[int], home: int, minor: bool, tonic: int) -> None:
    by = tonic - home
    weights = np.bincount([(pitch + by) % 12 for pitch in tune], minlength=12)
    assert key_of(weights) == (tonic, minor)
    assert (home_move(weights) + by) % 12 == 0
    assert home_move(weights) in MOVES


def test_silence_and_all_twelve_alike_have_no_key() -> None:
    for weights in (np.zeros(12), np.ones(12)):
        assert key_of(weights) is None
        assert home_move(weights) == 0


def test_drums_do_not_tell_the_key_and_longer_notes_tell_more() -> None:
    assert not weights_of(notes_of([0, 1, 2], role=0), IS_DRUM, 24).any()
    held = RollNotes.from_columns(
        tuple(np.array(column) for column in ([1, 1], [0, 8], [8, 9], [0, 7], [9, 9], [0, 0]))
    )
    weights = weights_of(held, IS_DRUM, 24)
    assert weights[0] == 8
    assert weights[7] == 1


@given(st.lists(st.integers(0, N_PITCHES - 1), max_size=20), st.sampled_from(list(MOVES)))
def test_moved_notes_keep_their_pitch_class_and_stay_on_the_grid(rows: list[int], by: int) -> None:
    moved = transposed(notes_of(rows), by, IS_DRUM, N_PITCHES)
    order = np.argsort(moved.start)
    assert (moved.row[order] % 12 == (np.array(rows, dtype=int) + by) % 12).all()
    assert ((moved.row >= 0) & (moved.row < N_PITCHES)).all()


@given(st.lists(st.integers(6, N_PITCHES - 7), max_size=20), st.sampled_from(list(MOVES)))
def test_there_and_back_is_the_same_where_nothing_leaves_the_grid(rows: list[int], by: int) -> None:
    notes = notes_of(rows)
    back = transposed(transposed(notes, by, IS_DRUM, N_PITCHES), -by, IS_DRUM, N_PITCHES)
    for there, here in zip(notes.columns, back.columns, strict=True):
        np.testing.assert_array_equal(there, here)


def test_a_folded_note_that_meets_another_becomes_one_with_it() -> None:
    both = RollNotes.from_columns(
        tuple(np.array(column) for column in ([1, 1], [0, 0], [4, 2], [0, 10], [9, 80], [0, 0]))
    )
    moved = transposed(both, -2, IS_DRUM, N_PITCHES)  # row -2 folds to 10 and row 10 falls to 8
    assert sorted(moved.row.tolist()) == [8, 10]
    meeting = RollNotes.from_columns(
        tuple(np.array(column) for column in ([1, 1], [0, 0], [4, 2], [0, 12], [9, 80], [0, 0]))
    )
    moved = transposed(meeting, -2, IS_DRUM, N_PITCHES)
    assert moved.row.tolist() == [10]
    assert moved.end.tolist() == [4]
    assert moved.velocity.tolist() == [80]


def test_drums_stay_where_they_are() -> None:
    drums = notes_of([12, 14], role=0)
    assert transposed(drums, 3, IS_DRUM, N_PITCHES).row.tolist() == [12, 14]


@pytest.mark.parametrize(
    ("name", "key", "sharps"),
    [
        ("C", (0, False), 0),
        ("c minor", (0, True), -3),
        ("F# minor", (6, True), 3),
        ("F#", (6, False), 6),
        ("Bb", (10, False), -2),
        ("Ebm", (3, True), 6),
        ("Cb major", (11, False), 5),
        (" A maj ", (9, False), 3),
    ],
)
def test_keys_are_read_as_musicians_write_them(name: str, key: tuple[int, bool], sharps: int) -> None:
    assert key_named(name) == key
    assert sharps_of(key) == sharps


@pytest.mark.parametrize("name", ["", "H", "C##", "minor", "C dorian", "60"])
def test_what_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected a note"):
        key_named(name)
