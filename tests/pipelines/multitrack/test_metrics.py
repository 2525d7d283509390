"""Known musical answers, worked out by hand."""

from itertools import permutations

import numpy as np
import pytest

from audiogan.corpus.score import Key, Note, Notes, Score, Track
from audiogan.pipelines.multitrack.grid import ROLES, ClipGrid, quantised, split_notes, tabulate
from audiogan.pipelines.multitrack.metrics import bar_codes, measure

BAR = 16  # steps of a 4/4 bar at four steps a beat


def clip(resolution: int = 4, keys: tuple[Key, ...] = (), **tracks: list[tuple[int, int, int]]) -> Score:
    """Return a clip from lists of (onset, offset, pitch) in ticks per role."""
    columns = {role: Notes.from_list([Note(*note, 80) for note in tracks.get(role, [])]) for role in ROLES}
    return Score(
        resolution, tuple(Track(notes, is_drum=r == "drums", name=r) for r, notes in columns.items()), keys=keys
    )


def value(name: str, column: str, *clips: Score, grid: ClipGrid | None = None) -> float:
    """Return one metric of some clips in one column."""
    row = measure(clips, grid or ClipGrid())[name]
    return float(row.value()[row.columns.index(column)])


def test_tabulate_rounds_half_up_and_keeps_a_step() -> None:
    score = clip(resolution=480, piano=[(60, 70, 60), (59, 179, 64), (1800, 1810, 67)])
    table = tabulate([score], ClipGrid(n_bars=1))
    assert list(zip(table.start, table.end, table.pitch, strict=True)) == [(1, 2, 60), (0, 1, 64), (15, 16, 67)]
    np.testing.assert_allclose(table.timing, [-0.5, 59 / 120, 0.0])


def test_tabulate_merges_a_cell_and_cuts_at_a_new_onset() -> None:
    notes = [Note(0, 2, 60, 50), Note(0, 8, 60, 40), Note(4, 12, 60, 90)]
    table = tabulate([Score(4, (Track(Notes.from_list(notes), name="piano"),))], ClipGrid(n_bars=1))
    assert list(zip(table.start, table.end, table.velocity, strict=True)) == [(0, 4, 50), (4, 12, 90)]


def test_tabulate_ends_at_the_clip_and_shortens_drums() -> None:
    table = tabulate([clip(bass=[(10, 40, 40), (16, 20, 41)], drums=[(0, 9, 36)])], ClipGrid(n_bars=1))
    assert list(zip(table.start, table.end, table.pitch, strict=True)) == [(0, 1, 36), (10, 16, 40)]


def test_tabulate_of_nothing() -> None:
    assert len(tabulate([], ClipGrid()).start) == 0
    assert len(tabulate([clip()], ClipGrid()).start) == 0
    assert len(tabulate([clip(piano=[(99, 100, 60)])], ClipGrid(n_bars=1)).end) == 0


def test_tabulate_wants_roles() -> None:
    with pytest.raises(AssertionError, match="'lead' of clip 0"):
        tabulate([Score(4, (Track(Notes.from_list([]), name="lead"),))], ClipGrid())


def test_quantise_is_idempotent_and_keeps_the_metrics() -> None:
    score = clip(resolution=480, keys=(Key(0, 2, False),), piano=[(60, 70, 60), (59, 900, 64)], drums=[(5, 9, 36)])
    once = quantised([score], ClipGrid())
    assert once[0].resolution == 4
    assert once[0].keys == score.keys
    assert [track.name for track in once[0].tracks] == list(ROLES)
    assert list(once[0].tracks[2].notes) == [Note(0, 8, 64, 80), Note(1, 2, 60, 80)]
    assert quantised(once, ClipGrid()) == once


def test_cut_splits_at_every_bar() -> None:
    pieces = split_notes(tabulate([clip(strings=[(14, 34, 60)])], ClipGrid()), BAR)
    assert pieces.span.tolist() == [0, 1, 2]
    assert pieces.length.tolist() == [2, 16, 2]


def test_one_empty_bar_of_four() -> None:
    held = clip(bass=[(0, 17, 40), (48, 49, 40)], drums=[(0, 60, 36)])  # the bass reaches into bar 2
    assert value("eb", "bass", held) == 0.25
    assert value("eb", "drums", held) == 0.75  # a drum hit does not sound on
    assert value("eb", "piano", held) == 1.0


def test_octaves_are_one_class_but_two_groups_of_the_paper() -> None:
    octave = clip(piano=[(0, 4, 24), (4, 8, 36)], bass=[(0, 4, 24), (4, 8, 30)])
    assert value("up", "piano", octave) == 2
    assert value("upc", "piano", octave) == 1
    assert value("upc_paper", "piano", octave) == 2
    assert value("upc_paper", "bass", octave) == 1  # seven adjacent semitones are one group
    assert value("upc_paper8", "bass", clip(bass=[(0, 4, 24), (4, 8, 31)])) == 1
    assert value("upc_paper", "bass", clip(bass=[(0, 4, 24), (4, 8, 31)])) == 2
    assert np.isnan(value("upc", "guitar", octave))


def test_pitches_are_counted_per_non_empty_bar() -> None:
    assert value("up", "piano", clip(piano=[(0, 4, 60), (4, 8, 62), (16, 20, 60)])) == 1.5


def test_the_paper_sees_pitches_24_to_107_only() -> None:
    outside = clip(piano=[(0, 4, 23), (0, 4, 108), (16, 20, 24), (16, 20, 107)])
    assert value("upc_paper", "piano", outside) == 2
    assert value("qn2", "piano", outside) == 1


def test_polyphony_needs_three_pitches_or_two_in_the_first_code() -> None:
    chords = clip(piano=[(0, 16, 60), (0, 16, 64), (0, 8, 67)])
    assert value("pp", "piano", chords) == 8 / 64
    assert value("pp_v1", "piano", chords) == 1.0


def test_one_step_notes_are_not_qualified() -> None:
    fine = ClipGrid(n_bars=1, beat_resolution=24)
    notes = clip(resolution=24, piano=[(0, 1, 60), (8, 9, 62)], bass=[(0, 2, 40), (8, 11, 40)], guitar=[(0, 3, 50)])
    assert [value("qn", role, notes, grid=fine) for role in ("piano", "bass", "guitar")] == [0, 0.5, 1]
    assert [value("qn2", role, notes, grid=fine) for role in ("piano", "bass", "guitar")] == [0, 1, 1]
    assert [value("qn3", role, notes, grid=fine) for role in ("piano", "bass", "guitar")] == [0, 0.5, 1]
    assert [value("frag", role, notes, grid=fine) for role in ("piano", "bass", "guitar")] == [1, 0, 0]


@pytest.mark.parametrize(("beat_resolution", "limit"), [(12, 2), (24, 3), (48, 6)])
def test_qualified_means_a_32nd_note(beat_resolution: int, limit: int) -> None:
    grid = ClipGrid(n_bars=1, beat_resolution=beat_resolution)
    notes = clip(resolution=beat_resolution, piano=[(0, limit - 1, 60)], bass=[(0, limit, 40)])
    assert (value("qn", "piano", notes, grid=grid), value("qn", "bass", notes, grid=grid)) == (0, 1)


def test_runs_of_the_paper_melt_repeats_and_end_at_bar_lines() -> None:
    assert value("qn2", "piano", clip(piano=[(0, 1, 60), (1, 2, 60)])) == 1.0
    assert value("qn2", "piano", clip(piano=[(15, 17, 60)])) == 0.0
    assert (
        value("qn2", "piano", clip(piano=[(0, 2, 60), (16, 17, 60), (20, 21, 60), (24, 25, 62)])) == 0.5
    )  # mean of bars


def test_not_applicable_is_said_so() -> None:
    coarse, fine, odd = (measure([clip()], ClipGrid(beat_resolution=n)) for n in (4, 24, 6))
    assert "by construction" in coarse["qn"].note
    assert "by construction" in coarse["dp"].note
    assert coarse["dp8"].note == ""
    assert "24 steps" in coarse["dp_paper"].note
    assert [fine[name].note for name in ("qn", "dp", "dp8", "dp_paper")] == [""] * 4
    assert "1/16" in odd["dp"].note


def test_drum_hits_on_sixteenths_at_the_best_shift() -> None:
    grid = ClipGrid(n_bars=1, beat_resolution=12)
    late = clip(resolution=12, drums=[(1, 2, 36), (4, 5, 38), (7, 8, 36), (8, 9, 42)])  # three are one step late
    assert value("dp", "drums", late, grid=grid) == 0.75
    assert value("dp8", "drums", late, grid=grid) == 0.5


def test_drum_pattern_of_the_papers() -> None:
    grid = ClipGrid(n_bars=1, beat_resolution=24)
    hits = clip(resolution=24, drums=[(0, 1, 36), (6, 7, 36), (13, 14, 36), (21, 22, 36)])
    assert value("dp_paper", "drums", hits, grid=grid) == pytest.approx((1 + 1 + 0.3) / 4)
    assert value("dp_paper8", "drums", hits, grid=grid) == pytest.approx((1 + 1 + 0.1) / 4)
    late = clip(resolution=24, drums=[(3, 4, 36), (9, 10, 38)])
    assert value("dp_paper", "drums", late, grid=grid) == 1.0  # at the best shift


def tonal(first: list[int], second: list[int], *, name: str = "td") -> float:
    """Return the tonal distance of two chords held for a bar."""
    chords = clip(bass=[(0, 16, p) for p in first], piano=[(0, 16, p) for p in second])
    return value(name, "bass-piano", chords, grid=ClipGrid(n_bars=1))


def test_tonal_distance_of_known_chords() -> None:
    assert tonal([36], [67]) == pytest.approx(1.737, abs=5e-4)  # C–G
    assert tonal([36], [66]) == pytest.approx(2.828, abs=5e-4)  # C–F sharp
    assert tonal([36, 40, 43], [55, 59, 62]) == pytest.approx(1.213, abs=5e-4)  # C major–G major
    assert tonal([36], [60, 72]) == pytest.approx(0, abs=1e-12)
    assert tonal([36], [42], name="td_paper") > 2  # rows 12 and 18 lie in neighbouring groups


def test_tonal_distance_weighs_sounding_time_per_beat() -> None:
    grid = ClipGrid(n_bars=1)
    shared = clip(bass=[(0, 4, 36)], piano=[(0, 3, 60), (3, 4, 67), (4, 8, 66)])  # the bass rests from beat 2 on
    assert value("td", "bass-piano", shared, grid=grid) == pytest.approx(1.737 / 4, abs=5e-4)


def test_the_paper_drops_a_bar_with_a_silent_beat() -> None:
    full = {"bass": [(0, 32, 36)], "piano": [(0, 16, 43), (16, 28, 42)]}
    assert value(
        "td_paper", "bass-piano", clip(bass=full["bass"], piano=full["piano"]), grid=ClipGrid(n_bars=2)
    ) == tonal([36], [43], name="td_paper")


def test_in_scale_takes_the_declared_key_or_the_best() -> None:
    notes = [(0, 4, 62), (4, 8, 66), (8, 12, 69), (12, 16, 61)]  # D F# A C#
    assert value("in_scale", "piano", clip(piano=notes)) == 1.0
    assert value("in_scale", "piano", clip(piano=notes, keys=(Key(0, 2, False),))) == 1.0
    assert value("in_scale", "piano", clip(piano=notes, keys=(Key(0, 0, False),))) == 0.5
    assert value("in_scale", "piano", clip(piano=notes, keys=(Key(0, 2, True),))) == 1.0  # B minor
    assert value("scale_consistency", "clip", clip(piano=notes)) == 1.0
    chromatic = clip(piano=[(i, i + 1, 60 + i) for i in range(12)], drums=[(0, 1, 36)])
    assert value("scale_consistency", "clip", chromatic) == pytest.approx(7 / 12)


def test_groove_compares_neighbouring_bars_that_sound() -> None:
    assert (
        value("groove", "bass", clip(bass=[(0, 1, 40), (16, 17, 41), (20, 21, 41)]), grid=ClipGrid(n_bars=2)) == 15 / 16
    )
    silent = clip(bass=[(0, 1, 40), (16, 17, 41)])
    assert value("groove", "bass", silent, grid=ClipGrid(n_bars=2)) == 1.0
    assert value("groove", "bass", silent, grid=ClipGrid(n_bars=4)) == pytest.approx((1 + 15 / 16) / 2)


def test_repeated_bars_start_the_same_pitches() -> None:
    bars = clip(piano=[(0, 2, 60), (4, 6, 64), (16, 19, 60), (20, 21, 64), (32, 33, 60), (36, 37, 65)])
    assert value("repeat", "piano", bars) == 0.5


def test_bar_codes_tell_order_and_octave_apart() -> None:
    codes = bar_codes(tabulate([clip(piano=[(0, 1, 60), (17, 18, 60), (32, 33, 72), (48, 49, 60)])], ClipGrid()))[0, 2]
    assert len({*codes.tolist()}) == 3
    assert codes[0] == codes[3]


def test_length_density_range_and_silence() -> None:
    clips = clip(piano=[(0, 4, 60), (4, 6, 67)]), clip()
    assert value("length", "piano", *clips) == 0.75
    assert value("density", "piano", *clips) == 2 / 8
    assert value("range", "piano", *clips) == 7
    assert value("empty_clip", "clip", *clips) == 0.5


def test_spread_of_velocity_and_timing() -> None:
    notes = Notes.from_list([Note(0, 100, 60, 60), Note(480 + 24, 600, 62, 80)])
    row = Score(480, (Track(notes, name="piano"),))
    assert value("velocity_spread", "piano", row) == 10
    assert value("timing_spread", "piano", row) == pytest.approx(24 / 480 / 2)
    assert "on the grid" in measure([clip(piano=[(0, 1, 60)])], ClipGrid())["timing_spread"].note
    assert measure([row], ClipGrid())["timing_spread"].note == ""


def test_other_roles_and_metres() -> None:
    grid = ClipGrid(n_bars=2, beats_per_bar=3, roles=("lead", "kit", "pad"), drums=("kit",))
    score = Score(4, (Track(Notes.from_list([Note(0, 12, 60, 80)]), name="pad"),))
    rows = measure([score], grid)
    assert rows["eb"].columns == ("lead", "kit", "pad")
    assert rows["eb"].value().tolist() == [1, 1, 0.5]
    assert rows["td"].columns == ("lead-pad",)
    assert rows["dp8"].columns == ("kit",)
    assert measure([score], ClipGrid(roles=("pad",), drums=()))["td"].columns == ()


def in_bars(*pitches: int) -> Score:
    """Return a clip whose bars hold four notes of one pitch each; 0 for a silent bar."""
    notes = [
        (bar * BAR + 4 * beat, bar * BAR + 4 * beat + 2, p) for bar, p in enumerate(pitches) if p for beat in range(4)
    ]
    return clip(piano=notes)


@pytest.mark.parametrize(
    ("pitches", "expected"),
    [
        ((60, 60, 62, 62), 0.4),  # of five near pairs two are equal, the far one is not
        ((60, 62, 60, 62), 0.4),
        ((60, 62, 62, 60), 0.2 - 1),
        ((60, 60, 60, 60), 0.0),
        ((60, 60, 0, 0), 0.25),  # the pair of silent bars does not count
    ],
)
def test_order_of_bars(pitches: tuple[int, ...], expected: float) -> None:
    assert value("bar_order", "piano", in_bars(*pitches)) == pytest.approx(expected)


def test_bars_in_every_order_cancel() -> None:
    orders = [in_bars(*order) for order in permutations((60, 60, 62, 64))]
    assert value("bar_order", "piano", *orders) == pytest.approx(0, abs=1e-12)
    assert np.isnan(value("bar_order", "bass", *orders))


def test_two_bars_have_no_order() -> None:
    row = measure([in_bars(60, 62)], ClipGrid(n_bars=2))["bar_order"]
    assert "three are needed" in row.note
    assert np.isnan(row.value()).all()


def test_values_are_ratios_of_sums() -> None:
    row = measure([clip(piano=[(0, 4, 60)]), clip(piano=[(0, 1, 60), (1, 2, 62), (2, 3, 64)])], ClipGrid())["frag"]
    assert row.value()[1] == 0.75
    np.testing.assert_array_equal(row.per_clip()[:, 1], [0, 1])
