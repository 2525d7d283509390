"""Score ↔ pianoroll: round trips, rounding, and every rule of what happens to notes that do not fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiogan.corpus.score import Note, Notes, Score, Tempo, Track
from audiogan.representation.pianoroll import Grid, Role, decode, draw, encode, quantise, to_score, trace
from audiogan.representation.rollnotes import RollNotes, cut, join

ROLES = (
    Role("drums", 0, is_drum=True),
    Role("bass", 33, sources=frozenset(range(32, 40))),
    Role("piano", 0, sources=frozenset(range(8))),
)
GRIDS = [
    Grid(4, 4, n_pitches=72),
    Grid(12, 2),
    Grid(12, 3, 3, 4),
    Grid(4, 2, 6, 8),
    Grid(24, 1, lowest_pitch=24, n_pitches=96, drum_map="gm47"),
]


def score_of(*notes: Note, resolution: int = 480, program: int = 0, is_drum: bool = False) -> Score:
    return Score(resolution, (Track(Notes.from_list(list(notes)), program, is_drum),))


def roll_from(seed: int, grid: Grid) -> np.ndarray:
    """Any roll without orphans: what `draw` can produce."""
    rng = np.random.default_rng(seed)
    n_steps, n_notes = grid.n_bars * grid.n_timesteps, rng.integers(0, 40)
    role = rng.integers(0, 3, n_notes)
    drums = np.array(grid.drum_pitches) - grid.lowest_pitch
    row = np.where(role == 0, rng.choice(drums, n_notes), rng.integers(0, grid.n_pitches, n_notes))
    start = rng.integers(0, n_steps, n_notes)
    length = np.where(role == 0, 1, rng.integers(1, n_steps, n_notes))
    table = np.unique(np.stack([role, row, start]), axis=1, return_index=True)
    role, row, start = table[0]
    end = np.minimum(start + length[table[1]], n_steps)
    same_voice = (np.diff(role) == 0) & (np.diff(row) == 0)
    end[:-1] = np.where(same_voice, np.minimum(end[:-1], start[1:]), end[:-1])
    columns = (role, start, end, row, rng.integers(1, 128, len(role)), np.zeros(len(role)))
    return draw(RollNotes.from_columns(columns), grid, 3)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_roll_to_score_to_roll_is_exact(grid: Grid, seed: int) -> None:
    roll = roll_from(seed, grid)
    again = encode(decode(roll, grid, ROLES), grid, ROLES)
    assert np.array_equal(again[:2], roll[:2])
    assert np.abs(again[2] - roll[2]).max() < 1e-6


@pytest.mark.parametrize("qpm", [30.0, 300.0])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_score_on_the_grid_comes_back(qpm: float, seed: int) -> None:
    grid = GRIDS[1]
    first = decode(roll_from(seed, grid), grid, ROLES, qpm=qpm)
    second = decode(encode(first, grid, ROLES), grid, ROLES, qpm=qpm)
    assert [list(track.notes) for track in second.tracks] == [list(track.notes) for track in first.tracks]
    assert second.tempos == (Tempo(0, qpm),)
    assert [track.program for track in second.tracks] == [role.program for role in ROLES]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1900), st.integers(1, 800), st.integers(24, 95), st.integers(1, 127)), max_size=12
    ),
    st.sampled_from([96, 120, 192, 480, 1024]),
)
def test_timing_brings_starts_back_within_a_tick(drawn: list[tuple[int, int, int, int]], resolution: int) -> None:
    notes = [Note(on * resolution // 480, on * resolution // 480 + length, p, v) for on, length, p, v in drawn]
    grid = Grid(4, 4, n_pitches=72)
    roll_notes = quantise(score_of(*notes, resolution=resolution), grid, ROLES)
    score = to_score(roll_notes, grid, ROLES)
    starts = {(note.pitch, round(note.onset)) for track in score.tracks for note in track.notes}
    for note in quantised_survivors(notes, roll_notes, grid):
        exact = note.onset * 480 / resolution
        assert any(pitch == note.pitch and abs(start - exact) <= 1 for pitch, start in starts)


def quantised_survivors(notes: list[Note], made: RollNotes, grid: Grid) -> list[Note]:
    """Notes that share their cell with no other."""
    rows = [note.pitch - grid.lowest_pitch for note in notes]
    alone = [rows.count(row) == 1 for row in rows]
    assert len(made) <= len(notes)
    return [note for note, single in zip(notes, alone, strict=True) if single]


def test_repeated_and_held_notes_differ() -> None:
    held = encode(score_of(Note(0, 480, 60, 100)), Grid(4, 1, n_pitches=72), ROLES)
    repeated = encode(score_of(Note(0, 240, 60, 100), Note(240, 480, 60, 100)), Grid(4, 1, n_pitches=72), ROLES)
    row = 60 - 24
    assert held[0, 2, 0, :5, row].tolist() == [1, 0, 0, 0, 0]
    assert held[1, 2, 0, :5, row].tolist() == [0, 1, 1, 1, 0]
    assert repeated[0, 2, 0, :5, row].tolist() == [1, 0, 1, 0, 0]
    assert repeated[1, 2, 0, :5, row].tolist() == [0, 1, 0, 1, 0]


def test_starts_round_half_up_and_leave_the_rest_to_timing() -> None:
    notes = quantise(
        score_of(Note(60, 600, 60, 90), Note(119, 600, 62, 90), Note(180, 600, 64, 90)), Grid(4, 1, n_pitches=72), ROLES
    )
    assert notes.start.tolist() == [1, 1, 2]
    assert notes.timing.tolist() == pytest.approx([-0.5, -1 / 120, -0.5])


def test_two_notes_in_a_cell_keep_the_later_end_and_the_higher_velocity() -> None:
    notes = quantise(score_of(Note(0, 480, 60, 40), Note(10, 240, 60, 90)), Grid(4, 1, n_pitches=72), ROLES)
    assert (len(notes), notes.end[0], notes.velocity[0], notes.n_merged) == (1, 4, 90, 1)


def test_a_note_ends_at_the_next_onset_of_its_pitch() -> None:
    notes = quantise(score_of(Note(0, 1920, 60, 80), Note(480, 960, 60, 80)), Grid(4, 1, n_pitches=72), ROLES)
    assert list(zip(notes.start.tolist(), notes.end.tolist(), strict=True)) == [(0, 4), (4, 8)]


def test_short_notes_last_one_timestep() -> None:
    notes = quantise(score_of(Note(0, 1, 60, 80)), Grid(4, 1, n_pitches=72), ROLES)
    assert (notes.start[0], notes.end[0]) == (0, 1)


def test_pitches_outside_fold_by_octaves_and_are_counted() -> None:
    notes = quantise(
        score_of(Note(0, 480, 12, 80), Note(0, 480, 127, 80), Note(0, 480, 60, 80)), Grid(4, 1, n_pitches=72), ROLES
    )
    assert sorted((notes.row + 24).tolist()) == [24, 60, 91]
    assert notes.n_folded == 2


def test_drum_keys_fold_into_their_classes() -> None:
    hits = [Note(0, 10, key, 80) for key in (35, 36, 40, 44, 57, 80)]
    notes = quantise(score_of(*hits, is_drum=True), Grid(4, 1, n_pitches=72), ROLES)
    assert sorted((notes.row + 24).tolist()) == [36, 38, 42, 49]  # 80 (triangle) has no class
    assert notes.n_folded == 1


def test_drum_hits_last_a_sixteenth_or_until_the_next_hit() -> None:
    notes = quantise(score_of(Note(0, 900, 36, 80), Note(40, 900, 36, 80), is_drum=True), Grid(12, 1), ROLES)
    drums = to_score(notes, Grid(12, 1), ROLES).tracks[0].notes
    assert list(zip(drums.onset.tolist(), drums.offset.tolist(), strict=True)) == [(0, 40), (40, 160)]


def test_a_sustain_without_an_onset_is_dropped() -> None:
    roll = np.zeros((4, 3, 1, 16, 72), dtype=np.float32)
    roll[1, 2, 0, 3:6, 30] = 1
    assert len(trace(roll)) == 0


def test_cut_splits_notes_at_its_edges() -> None:
    notes = quantise(score_of(Note(0, 3840, 60, 80)), Grid(4, 2, n_pitches=72), ROLES)
    part = cut(notes, 16, 24)
    assert (part.start.tolist(), part.end.tolist()) == ([0], [8])


def test_tracks_find_their_role_by_name_then_by_program() -> None:
    notes = Notes.from_list([Note(0, 480, 60, 80)])
    score = Score(480, (Track(notes, 0, name="Bass"), Track(notes, 4), Track(notes, 99)))
    assert sorted(quantise(score, Grid(4, 1, n_pitches=72), ROLES).role.tolist()) == [1, 2]


def test_empty_tracks_and_empty_scores() -> None:
    empty = Score(480, ())
    roll = encode(empty, Grid(4, 2, n_pitches=72), ROLES)
    assert roll.shape == (4, 3, 2, 16, 72)
    assert roll.sum() == 0
    assert [len(track.notes) for track in decode(roll, Grid(4, 2, n_pitches=72), ROLES).tracks] == [0, 0, 0]


@pytest.mark.parametrize(("metre", "expected"), [((4, 4), 48), ((3, 4), 36), ((6, 8), 36)])
def test_bars_have_the_timesteps_of_their_metre(metre: tuple[int, int], expected: int) -> None:
    assert Grid(12, 4, *metre).n_timesteps == expected


def test_notes_in_any_order_are_written_sorted_and_with_the_given_programs() -> None:
    columns = ([2, 0, 2, 1, 2], [8, 0, 0, 4, 0], [9, 1, 20, 8, 4], [36, 12, 36, 9, 40], [80, 70, 60, 50, 40], [0.0] * 5)
    notes = RollNotes.from_columns(np.array(column) for column in columns)
    score = to_score(notes, Grid(4, 2), ROLES, programs=(8, 36, 5))
    drums, bass, piano = score.tracks
    assert [track.program for track in score.tracks] == [8, 36, 5]
    assert [list(track.notes) for track in (drums, bass)] == [[Note(0, 120, 36, 70)], [Note(480, 960, 33, 50)]]
    assert list(piano.notes) == [Note(0, 960, 60, 60), Note(0, 480, 64, 40), Note(960, 1080, 60, 80)]


def test_join_sorts_what_it_is_given_and_forgets_what_was_counted() -> None:
    columns = (np.array([1, 0]), np.array([4, 0]), np.array([5, 9]), np.array([7, 7]), np.array([90, 80]), np.zeros(2))
    notes = RollNotes.from_columns(columns, n_merged=3)
    alone, among = join([notes]), join([RollNotes.none(), notes, RollNotes.none()])
    assert alone.start.tolist() == among.start.tolist() == [0, 4]
    assert (alone.n_merged, among.n_merged) == (0, 0)
    assert len(join([])) == len(join([RollNotes.none()])) == 0
    assert join([]).role.dtype == np.int16


def test_no_note_sounds_into_the_next_of_its_pitch_or_out_of_its_bar() -> None:
    columns = ([2, 2, 0], [0, 4, 47], [4, 8, 48], [36, 36, 12], [90, 90, 90], [0.0, -0.4, 0.4])
    notes = RollNotes.from_columns(np.array(column) for column in columns)
    score = to_score(notes, Grid(12, 1), ROLES)
    first, second = score.tracks[2].notes
    assert first.offset == second.onset == 4 * 40 - 16
    assert score.n_ticks == 1920  # a late hit of the last timestep ends with its bar
