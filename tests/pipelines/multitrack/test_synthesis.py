"""The verbs: what is given stays, what is hidden is filled, the same seed says the same."""

from collections import Counter
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from audiogan.corpus.score import Key, Metre, Note, Notes, Score, Tempo, Track
from audiogan.errors import UnsupportedError, UsageError
from audiogan.pipelines.multitrack import synthesis
from audiogan.pipelines.multitrack.classic_config import ClassicConfig
from audiogan.pipelines.multitrack.config import Config
from audiogan.pipelines.multitrack.editing import bar_ticks, count_bars, on_grid, with_new, without
from audiogan.pipelines.multitrack.filling import Sketch, _up_to_known, fill, window_starts
from audiogan.representation.pianoroll import assign_roles, draw
from audiogan.representation.rollnotes import RollNotes
from tests.pipelines.multitrack.small import CONFIG, model_of, song

MODEL = model_of()


def events(score: Score) -> Counter[tuple[object, ...]]:
    return Counter((track.program, track.is_drum, *note) for track in score.tracks for note in track.notes)


def new_notes(before: Score, after: Score) -> Counter[tuple[object, ...]]:
    assert not events(before) - events(after), "notes given were lost or changed"
    return events(after) - events(before)


def test_a_seed_makes_the_same_clips_whatever_the_count() -> None:
    one, many = synthesis.generate(MODEL, count=1, seed=3), synthesis.generate(MODEL, count=20, seed=3)
    assert one[0] == many[0]
    assert synthesis.generate(MODEL, count=1, seed=4)[0] != one[0]


@pytest.mark.parametrize("bars", [1, 2, 5])
def test_clips_have_the_bars_and_tempo_asked_for(bars: int) -> None:
    (clip,) = synthesis.generate(MODEL, count=1, seed=0, bars=bars, tempo=90)
    assert 1920 * (bars - 1) < clip.n_ticks <= 1920 * bars
    assert clip.tempos[0].qpm == 90
    assert clip.metres == (Metre(0, 4, 4),)


def test_only_the_tracks_asked_for_sound() -> None:
    for clip in synthesis.generate(MODEL, count=3, seed=0, tracks=["Drums", "bass"]):
        assert {track.name for track in clip.tracks if len(track.notes)} <= {"drums", "bass"}


def test_temperature_zero_leaves_no_choice_and_one_does() -> None:
    cold = synthesis.generate(MODEL, count=2, seed=0, temperature=0.0)
    warm = synthesis.generate(MODEL, count=2, seed=0, temperature=2.0)
    assert cold[0] == cold[1]
    assert warm[0] != warm[1]


def test_continue_adds_bars_after_the_last_one() -> None:
    before = song(5)
    first, second = synthesis.continue_clip(MODEL, before, bars=3, count=2, seed=0)
    added = new_notes(before, first)
    bar = bar_ticks(before, CONFIG)
    # A note may be early by half a timestep, which is an eighth of a beat here.
    assert added
    assert min(cast("int", note[2]) for note in added) >= 5 * bar - bar // 32
    assert 7 * bar < first.n_ticks <= 8 * bar
    assert events(first) != events(second)


def test_accompany_writes_the_named_tracks_only() -> None:
    before = song(4)
    (after,) = synthesis.accompany(MODEL, before, tracks=["strings", "guitar"], seed=1)
    assert new_notes(before, after)
    written = {track.name for track in after.tracks[len(before.tracks) :]}
    assert written <= {"strings", "guitar"}
    assert after.tracks[: len(before.tracks)] == before.tracks


def test_accompany_does_not_touch_a_track_that_has_notes() -> None:
    with pytest.raises(
        UnsupportedError, match="has notes for drums, bass already; expected tracks that it lacks: guitar, strings"
    ):
        synthesis.accompany(MODEL, song(4), tracks=["bass", "drums", "guitar"])


def test_all_bars_can_be_written_anew() -> None:
    before = song(3)
    (after,) = synthesis.infill(MODEL, before, bars=(1, 3), seed=0)
    assert after.tracks[3] == before.tracks[3]  # a track without a role
    assert not set(before.tracks[1].notes) & set(after.tracks[1].notes)


def test_infill_touches_the_bars_and_tracks_named() -> None:
    before = song(6)
    (after,) = synthesis.infill(MODEL, before, bars=(3, 4), tracks=["piano", "drums"], seed=0)
    bar = bar_ticks(before, CONFIG)
    for was, now, role in zip(before.tracks, after.tracks, assign_roles(before, CONFIG.roles), strict=False):
        hidden = (
            (was.notes.onset // bar >= 2) & (was.notes.onset // bar < 4)
            if role in (0, 2)
            else np.zeros(len(was.notes), bool)
        )
        kept = was.notes.where(~hidden)
        assert not Counter(kept) - Counter(now.notes)
        if role not in (0, 2):
            assert was == now


@pytest.mark.parametrize("seed", range(60))
def test_known_notes_are_kept_for_any_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = song(int(rng.integers(1, 6)), seed, int(rng.choice([48, 96, 480, 1000])))
    n_bars = count_bars(before, CONFIG)
    hidden = rng.random((len(CONFIG.roles), n_bars)) < 0.4
    known = without(before, hidden, CONFIG)
    # Only notes of hidden cells are gone: those whose nearest timestep lies in one.
    for was, now, role in zip(before.tracks, known.tracks, assign_roles(before, CONFIG.roles), strict=True):
        nearest = np.floor(was.notes.onset * 4 / before.resolution + 0.5).astype(int)
        gone = np.zeros(len(was.notes), bool) if role is None else hidden[role][np.minimum(nearest // 16, n_bars - 1)]
        assert now.notes == was.notes.where(~gone)
    sketch = Sketch(on_grid(known, CONFIG, n_bars), hidden)
    (made,) = fill(MODEL.modules, CONFIG, [sketch], seeds=[(0,)], seed=seed)
    n_timesteps = CONFIG.grid.n_timesteps
    assert hidden[made.role, made.start // n_timesteps].all()
    # No new note sounds into a bar of its track that is given.
    last = (made.end - 1) // n_timesteps
    for role, first, end in zip(made.role, made.start // n_timesteps, last, strict=True):
        assert hidden[role, first : end + 1].all()
    new_notes(known, with_new(known, made, CONFIG))


def piano(*notes: Note, **more: Any) -> Score:
    return Score(480, (Track(Notes.from_list(list(notes)), 4, name="keys"),), **more)


def test_a_downbeat_played_early_belongs_to_its_bar() -> None:
    bars = [Note(1920 * bar - 5 * (bar > 0), 1920 * bar + 400, 60 + bar, 90) for bar in range(5)]
    (after,) = synthesis.infill(MODEL, piano(*bars), bars=(3, 4), tracks=["piano"], seed=0)
    kept = [note for note in after.tracks[0].notes if note in bars]
    assert kept == [bars[0], bars[1], bars[4]]


def test_notes_of_the_last_moment_survive_a_continuation() -> None:
    before = piano(Note(0, 480, 60, 90), Note(1919, 1921, 72, 90))
    (after,) = synthesis.continue_clip(MODEL, before, bars=1, seed=0)
    new_notes(before, after)
    assert count_bars(before, CONFIG) == 1
    assert 1920 < after.n_ticks <= 2 * 1920


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        ("....", []),
        ("####", [0]),
        ("########", [0, 2, 4]),
        ("######", [0, 2]),
        ("..##....", [1]),
        ("#.......", [0]),
        (".......#", [4]),
        ("....####....", [4]),
        ("....#####...", [2, 4, 6]),
        ("##", [0]),
        ("#.......#", [0, 5]),
    ],
)
def test_windows_lie_around_what_is_hidden(hidden: str, expected: list[int]) -> None:
    assert window_starts(np.array([sign == "#" for sign in hidden]), 4) == expected


def test_a_filling_hears_the_bars_after_it() -> None:
    one, other = song(8, 1), song(8, 2)
    n_ticks = bar_ticks(one, CONFIG) * 4
    mixed = one.with_tracks(
        tuple(
            replace(
                t,
                notes=Notes.from_list(
                    [n for n in t.notes if n.onset < n_ticks] + [n for n in u.notes if n.onset >= n_ticks]
                ),
            )
            for t, u in zip(one.tracks, other.tracks, strict=True)
        )
    )
    config = CONFIG.model_copy(update={"n_bars": 4})
    model = model_of(config)
    fillings = []
    for clip in (one, mixed):
        (made,) = synthesis.infill(model, clip, bars=(3, 4), seed=0)
        fillings.append([n for t in made.tracks for n in t.notes if 2 <= n.onset * 4 // n_ticks < 4])
    assert fillings[0] != fillings[1]


def test_vary_keeps_what_the_model_does_not_know() -> None:
    clip = replace(song(3), tempos=(Tempo(0, 90.0), Tempo(384, 100.0)), keys=(Key(0, 2, False),))
    (same,) = synthesis.vary(MODEL, clip, strength=0.5)
    assert [tempo.qpm for tempo in same.tempos] == [90.0, 100.0]
    assert same.tempos[1].tick == 384 * 5
    assert same.keys == (Key(0, 2, False),)
    programs = {track.name: track.program for track in same.tracks}
    assert (programs["bass"], programs["piano"], programs["track 125"]) == (34, 1, 125)
    assert len(same.tracks[-1].notes) == len(clip.tracks[-1].notes)


def test_interpolation_changes_programs_and_tempo_on_the_way() -> None:
    first = piano(Note(0, 480, 60, 90), tempos=(Tempo(0, 80.0),))
    second = Score(96, (Track(Notes.from_list([Note(0, 96, 64, 90)]), 5),), (Tempo(0, 120.0),))
    ladder = synthesis.interpolate(MODEL, first, second, steps=5)
    assert [clip.tempos[0].qpm for clip in ladder] == [80, 90, 100, 110, 120]
    assert [clip.tracks[2].program for clip in ladder] == [4, 4, 4, 5, 5]


def planes(score: Score, n_bars: int) -> np.ndarray:
    grid = replace(CONFIG.grid, n_bars=n_bars)
    return draw(on_grid(score, CONFIG, n_bars), grid, len(CONFIG.roles))[:2]


def test_interpolate_begins_and_ends_with_the_clips() -> None:
    first, second = song(4, 1), song(3, 2)
    ladder = synthesis.interpolate(MODEL, first, second, steps=5)
    assert len(ladder) == 5
    for source, made in ((first, ladder[0]), (second, ladder[-1])):
        assert np.array_equal(planes(source, 3), planes(made, 3))
    assert len({tuple(sorted(events(clip).items())) for clip in ladder}) == 5


def test_vary_with_strength_zero_is_the_clip() -> None:
    clip = song(3)
    (same,) = synthesis.vary(MODEL, clip, strength=0.0)
    other, third = synthesis.vary(MODEL, clip, strength=0.8, count=2)
    assert np.array_equal(planes(clip, 3), planes(same, 3))
    assert events(other) != events(third) != events(same)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: synthesis.generate(MODEL, count=0, seed=0), "count 0"),
        (lambda: synthesis.generate(MODEL, count=1, seed=0, bars=0), "bars 0"),
        (lambda: synthesis.generate(MODEL, count=1, seed=0, tempo=5), "tempo 5"),
        (lambda: synthesis.generate(MODEL, count=1, seed=0, temperature=3), "temperature 3"),
        (lambda: synthesis.generate(MODEL, count=1, seed=0, tracks=["kazoo"]), "track 'kazoo'"),
        (lambda: synthesis.generate(MODEL, count=1, seed=0, tracks=[]), "no track named"),
        (lambda: synthesis.infill(MODEL, song(2), bars=(2, 3)), "bars 2-3"),
        (lambda: synthesis.vary(MODEL, song(2), strength=1.5), "strength 1.5"),
        (lambda: synthesis.interpolate(MODEL, song(2), song(2), steps=1), "1 steps"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(call, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()


def test_another_metre_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="3/4"):
        synthesis.continue_clip(MODEL, song(4, metre=(3, 4)))


def test_transfer_is_not_for_notes() -> None:
    with pytest.raises(UnsupportedError, match="vary"):
        synthesis.transfer(MODEL, "a", "b")


def test_classic_networks_make_clips_only() -> None:
    network = ClassicConfig(n_timesteps=16, beat_resolution=4, n_pitches=72)
    model = model_of_classic(Config(network=network))
    first, again = (synthesis.generate(model, count=2, seed=1) for _ in range(2))
    assert first == again
    assert [track.name for track in first[0].tracks] == ["drums", "bass", "piano", "guitar", "strings"]
    with pytest.raises(UnsupportedError, match="classic"):
        synthesis.continue_clip(model, song(2))
    with pytest.raises(UnsupportedError, match="4 bars"):
        synthesis.generate(model, count=1, seed=0, bars=8)


def model_of_classic(config: Config):
    from audiogan.pipeline import Model
    from audiogan.pipelines.multitrack.networks import build

    modules = {name: module.eval().requires_grad_(False) for name, module in build(config).items()}
    return Model(modules, config, {}, folder=MODEL.folder, name="classic")


def test_files_leave_out_silent_tracks(tmp_path) -> None:
    clip = synthesis.generate(MODEL, count=1, seed=0)[0]
    silent = Track(clip.tracks[0].notes.where(np.zeros(len(clip.tracks[0].notes), bool)), 0, True, "drums")
    synthesis.write(clip.with_tracks((silent, *clip.tracks[1:])), tmp_path / "clip.mid")
    from audiogan.corpus.midi import read

    assert "drums" not in [track.name for track in read(tmp_path / "clip.mid").tracks]


def test_new_notes_do_not_come_before_the_bars_that_are_filled() -> None:
    hidden = np.zeros((len(CONFIG.roles), 4), dtype=bool)
    hidden[1, 1:3] = True
    early = RollNotes.from_columns(
        tuple(np.array(column) for column in ([1, 1, 1], [16, 17, 32], [17, 18, 60], [9] * 3, [90] * 3, [-0.4] * 3))
    )
    kept = _up_to_known(early, Sketch(RollNotes.none(), hidden), 16)
    assert kept.timing.tolist() == pytest.approx([0.0, -0.4, -0.4])  # only the first follows a known bar
    assert kept.end.tolist() == [17, 18, 48]
