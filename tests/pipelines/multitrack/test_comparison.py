"""Generated beside real: rows, verdicts and tables."""

import json
import math

import numpy as np
import pytest

from audiogan.corpus.score import Notes, Score, Track
from audiogan.errors import UsageError
from audiogan.pipelines.multitrack.comparison import Row, compare, markdown, summary
from audiogan.pipelines.multitrack.grid import ClipGrid

GRID = ClipGrid(n_bars=2, roles=("drums", "bass", "piano", "strings"))


def clips(n: int, seed: int, *, n_notes: int = 12, longest: int = 4, songs: int = 12) -> tuple[list[Score], list[int]]:
    """Return random clips whose pitches depend on their song, and the songs; strings are silent."""
    generator = np.random.default_rng(seed)
    roots = generator.integers(40, 60, songs)
    made = []
    for i in range(n):
        tracks = []
        for role in GRID.roles[:3]:
            onset = generator.integers(0, 31, n_notes)
            pitch = roots[i % songs] + generator.choice([0, 2, 4, 5, 7, 9, 11], n_notes)
            notes = Notes(onset, onset + generator.integers(1, longest + 1, n_notes), pitch, np.full(n_notes, 90))
            tracks.append(Track(notes, is_drum=role == "drums", name=role))
        made.append(Score(4, tuple(tracks)))
    return made, [i % songs for i in range(n)]


REFERENCE, SONGS = clips(72, 0)
SAME, _ = clips(60, 1)
FAST, _ = clips(60, 2, n_notes=30, longest=1)


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str, str], Row]:
    """Rows of a good generator beside a poor one."""
    found = compare(SAME, REFERENCE, SONGS, GRID, poor=FAST, n_draws=200)
    return {(row.metric, row.form, row.column): row for row in found}


def test_a_generator_like_the_reference_passes(rows: dict[tuple[str, str, str], Row]) -> None:
    passed, judged = summary(list(rows.values()))
    assert passed >= 0.9 * judged
    assert judged > 30
    assert rows["kad", "correct", "score_desc"].passes
    assert rows["kad", "correct", "score_desc"].gap < 0.2


def test_a_poor_generator_fails() -> None:
    found = {(row.metric, row.column): row for row in compare(FAST, REFERENCE, SONGS, GRID, poor=FAST, n_draws=200)}
    assert not found["kad", "score_desc"].passes
    assert found["kad", "score_desc"].gap > 0.8
    assert not found["coverage", "score_desc"].passes
    for name in ("frag", "density", "length"):
        assert found[name, "piano"].passes is False
        assert found[name, "piano"].gap == 1.0  # it is its own ceiling


def test_intervals_hold_their_values(rows: dict[tuple[str, str, str], Row]) -> None:
    row = rows["frag", "correct", "piano"]
    assert row.low < row.value < row.high
    assert row.reference_low < row.reference < row.reference_high
    assert 0 < row.floor < row.ceiling
    assert row.gap == pytest.approx((abs(row.value - row.reference) - row.floor) / (row.ceiling - row.floor))
    assert (row.n, row.n_reference) == (60, 72)


def test_the_mean_over_tracks_leaves_silent_ones_out(rows: dict[tuple[str, str, str], Row]) -> None:
    columns = [rows["up", "correct", name] for name in ("bass", "piano")]
    assert rows["up", "correct", "mean"].reference == pytest.approx(np.mean([row.reference for row in columns]))
    silent = rows["up", "correct", "strings"]
    assert silent.passes is None
    assert "no such notes" in silent.note
    assert rows["eb", "correct", "strings"].passes


def test_a_track_that_stays_silent_fails() -> None:
    mute = [clip.with_tracks(clip.tracks[:2]) for clip in SAME]
    found = {(row.metric, row.column): row for row in compare(mute, REFERENCE, SONGS, GRID, n_draws=50)}
    assert found["up", "piano"].passes is False
    assert math.isnan(found["up", "piano"].value)
    assert found["up", "bass"].passes


def test_not_applicable_is_said(rows: dict[tuple[str, str, str], Row]) -> None:
    for key in (("qn", "correct", "bass"), ("dp", "correct", "drums"), ("drum_in_pattern_rate", "muspy", "clip")):
        assert rows[key].passes is None
        assert "by construction" in rows[key].note
    assert rows["qn2", "paper", "bass"].passes is not None


def test_within_fifteen_per_cent_passes_outside_the_interval() -> None:
    reference = [_held(4)] * 40
    near, far = [_held(4)] * 9 + [_held(8)], [_held(4)] * 8 + [_held(8)] * 2
    songs = [i // 4 for i in range(40)]
    for made, passes in ((near, True), (far, False)):
        row = next(
            r for r in compare(made, reference, songs, GRID, n_draws=20) if (r.metric, r.column) == ("length", "bass")
        )
        assert (row.reference_low, row.reference_high) == (1.0, 1.0)
        assert row.passes is passes


def _held(length: int) -> Score:
    return Score(4, (Track(Notes(*(np.array([x]) for x in (0, length, 40, 90))), name="bass"),))


def test_the_reference_interval_resamples_songs_not_clips() -> None:
    # clips of a song are equal, so forty clips of four songs say as much as four clips
    songs = [i % 4 for i in range(40)]
    reference = [_held(4 * (1 + song)) for song in songs]
    found = [
        r for r in compare(reference, reference, songs, GRID, n_draws=400) if (r.metric, r.column) == ("length", "bass")
    ]
    assert found[0].reference_high - found[0].reference_low > 1.5  # 1 to 4 beats, four songs
    assert found[0].high - found[0].low < 0.9  # generated clips stand alone


def test_all_clips_are_measured_on_the_grid() -> None:
    def late(track: Track) -> Track:
        notes = track.notes  # 480 ticks a beat, and ten ticks behind
        columns = (notes.onset * 120 + 10, notes.offset * 120 + 10, notes.pitch, notes.velocity)
        return Track(Notes(*columns), track.program, track.is_drum, track.name)

    played = [Score(480, tuple(late(track) for track in clip.tracks)) for clip in REFERENCE[:24]]
    for row in compare(played, REFERENCE[:24], SONGS[:24], GRID, n_draws=5, with_expression=False):
        if row.column not in ("score_desc", "roll_net") and row.form != "spread":
            assert row.value == pytest.approx(row.reference, nan_ok=True), row.metric


def test_expression_can_be_left_out() -> None:
    names = {row.metric for row in compare(SAME[:20], REFERENCE[:24], SONGS[:24], GRID, n_draws=20)}
    plain = {
        row.metric for row in compare(SAME[:20], REFERENCE[:24], SONGS[:24], GRID, n_draws=20, with_expression=False)
    }
    assert names - plain == {"velocity_spread", "timing_spread"}


def test_same_seed_same_rows() -> None:
    first, second, third = (
        [row.to_json() for row in compare(SAME[:20], REFERENCE[:24], SONGS[:24], GRID, n_draws=5, seed=seed)]
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != third


def test_rows_are_json_and_markdown(rows: dict[tuple[str, str, str], Row]) -> None:
    found = list(rows.values())
    text = json.dumps([row.to_json() for row in found], allow_nan=False)
    assert json.loads(text)[0]["metric"] == "kad"
    table = markdown(found, with_published=True).splitlines()
    assert len(table) == len(found) + 2
    assert {line.count("|") for line in table} == {11}
    assert "training data 1.71" in next(line for line in table if line.startswith("| upc_paper | paper | bass "))
    assert "training data" not in markdown(found)


def test_too_little_to_compare() -> None:
    with pytest.raises(UsageError, match="1 generated clips; expected 2 or more"):
        compare(SAME[:1], REFERENCE, SONGS, GRID)
    with pytest.raises(UsageError, match="3 held-out songs; expected 4 songs or more"):
        compare(SAME, REFERENCE, [song % 3 for song in SONGS], GRID)
