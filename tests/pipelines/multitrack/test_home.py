"""A model that writes in one key answers music in every key."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from audiogan.corpus import midi
from audiogan.corpus.score import Note, Notes, Score, Track
from audiogan.errors import UnsupportedError
from audiogan.pipelines.multitrack import drawing, synthesis
from audiogan.pipelines.multitrack.classic_config import ClassicConfig
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.dataset import open_dataset, prepare
from audiogan.pipelines.multitrack.editing import on_grid
from audiogan.pipelines.multitrack.filling import Sketch, fill
from audiogan.pipelines.multitrack.home import REACH, exact_move, learn_keys, move_of, moves_home
from audiogan.pipelines.multitrack.networks import Generator
from audiogan.representation.rollnotes import RollNotes
from audiogan.representation.tonality import MOVES
from tests.pipelines.multitrack.small import CONFIG, model_of

HOME = CONFIG.model_copy(update={"home_key": True})
MODEL = model_of(HOME)
TUNE = [60, 64, 67, 65, 69, 67, 71, 62, 60, 60]


def tune(by: int, n_bars: int = 2) -> Score:
    """Drums and a tune in C major, moved by semitones: on the grid, far from its edges."""
    melody = [Note(480 * beat, 480 * beat + 240, TUNE[beat % len(TUNE)] + by, 90) for beat in range(4 * n_bars)]
    drums = [Note(480 * beat, 480 * beat + 100, 36, 100) for beat in range(4 * n_bars)]
    return Score(480, (Track(Notes.from_list(drums), is_drum=True), Track(Notes.from_list(melody), program=0)))


def pitches(score: Score, program: int) -> list[int]:
    return [
        note.pitch for track in score.tracks if track.program == program and not track.is_drum for note in track.notes
    ]


@pytest.mark.parametrize("by", [-4, 1, 6])
def test_an_accompaniment_follows_the_key_of_what_it_is_given(by: int) -> None:
    def bass(moved: int) -> set[tuple[int, int]]:
        """Onsets and pitch classes, since a note that leaves the grid comes back an octave away."""
        (made,) = synthesis.accompany(MODEL, tune(moved), tracks=["bass"], seed=1)
        (track,) = (track for track in made.tracks if track.name == "bass")
        return {(note.onset, (note.pitch - moved) % 12) for note in track.notes}

    here = bass(0)
    assert here, "the test needs a bass that plays"
    assert bass(by) == here


def test_given_notes_stay_in_every_key() -> None:
    for by in range(-6, 7):
        (made,) = synthesis.accompany(MODEL, tune(by), tracks=["bass", "strings"], seed=1)
        assert pitches(made, 0) == pitches(tune(by), 0)


@pytest.mark.parametrize("by", [0, 5])
def test_vary_without_strength_gives_the_clip_again(by: int) -> None:
    (same,) = synthesis.vary(MODEL, tune(by), strength=0.0)
    assert sorted(pitches(same, 0)) == sorted(pitches(tune(by), 0))


def test_new_clips_come_in_the_keys_of_the_songs() -> None:
    model = model_of(HOME)
    generator = model.modules["generator"]
    assert isinstance(generator, Generator)
    weights = torch.zeros(len(MOVES))
    weights[MOVES.index(3)] = 1.0
    generator.key_weights.copy_(weights)
    plain = model_of(CONFIG)
    for clip, theirs in zip(
        synthesis.generate(model, count=4, seed=0), synthesis.generate(plain, count=4, seed=0), strict=True
    ):
        for one, other in zip(clip.tracks, theirs.tracks, strict=True):
            by = 0 if one.is_drum else -3
            made = {(note.onset, note.pitch % 12) for note in one.notes}
            assert made == {(note.onset, (note.pitch + by) % 12) for note in other.notes}


def test_the_key_is_that_of_the_bars_around_the_gap() -> None:
    far, near = tune(5, 40), tune(2, REACH)
    first, second = on_grid(far, HOME, 40), on_grid(near, HOME, REACH)
    n_timesteps = HOME.grid.n_timesteps
    late = replace(second, start=second.start + 40 * n_timesteps, end=second.end + 40 * n_timesteps)
    notes = RollNotes.from_columns(np.concatenate(pair) for pair in zip(first.columns, late.columns, strict=True))
    hidden = np.zeros((len(HOME.roles), 42 + REACH), dtype=bool)
    hidden[:, 40 + REACH :] = True
    (by,) = moves_home(MODEL.modules["generator"], HOME, [(notes, hidden)], seeds=[(0,)], seed=0)
    assert by == -2


@pytest.mark.parametrize(("lowest", "exact"), [(0, 0), (1, -1)])
def test_a_move_is_left_out_where_it_would_lose_notes(lowest: int, exact: int) -> None:
    rows = [lowest, 13, 17, 20, 13, 17, 20, 13]  # D flat major, whose way home is a semitone down
    n = len(rows)
    notes = RollNotes.from_columns(
        (np.ones(n), np.arange(n), np.arange(n) + 1, np.array(rows), np.full(n, 9), np.zeros(n))
    )
    assert move_of(notes, HOME) == -1
    assert exact_move(notes, HOME) == exact
    assert move_of(notes, CONFIG) == 0


def test_training_clips_are_in_the_home_key_and_their_keys_are_counted(tmp_path: Path) -> None:
    songs, cache = tmp_path / "songs", tmp_path / "cache"
    songs.mkdir()
    cache.mkdir()
    for by in (2, 3):
        midi.write(tune(by, 8), songs / f"{by}.mid")
    corpus = CorpusConfig(folder=str(songs), valid_fraction=0.0, min_tracks=1, min_bass_onsets=0)
    prepare(corpus, HOME, cache, jobs=1)
    clips = open_dataset(cache, HOME, corpus, "train")
    rolls = clips.fetch([0], [5])["roll"].numpy()
    piano = [role.name for role in HOME.roles].index("piano")
    sounding = {(int(row) + HOME.lowest_pitch) % 12 for row in rolls[0, 0, piano].nonzero()[-1]}
    assert sounding <= {0, 2, 4, 5, 7, 9, 11}
    generator = MODEL.modules["generator"]
    assert isinstance(generator, Generator)
    before = generator.key_weights.clone()
    learn_keys(generator, HOME, clips)
    shares = dict(zip(MOVES, generator.key_weights.tolist(), strict=True))
    generator.key_weights.copy_(before)
    assert shares[-2] + shares[-3] == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "key"), [("E minor", (4, True)), ("Ab", (8, False))])
def test_a_clip_comes_in_the_key_asked_for(name: str, key: tuple[int, bool]) -> None:
    clips = synthesis.generate(MODEL, count=3, seed=0, key=name)
    free = synthesis.generate(MODEL, count=3, seed=0, key="C")
    assert all(clip.keys[0].is_minor is key[1] for clip in clips)
    assert [clip.keys for clip in clips] != [clip.keys for clip in free]


def test_the_move_of_a_key_is_what_the_notes_are_moved_by() -> None:
    hidden = np.ones((len(HOME.roles), HOME.n_bars), dtype=bool)
    at_home, moved_up = (
        fill(MODEL.modules, HOME, [Sketch(RollNotes.none(), hidden)], seeds=[(0,)], seed=0, move=by)[0]
        for by in (0, -2)
    )
    is_drum = np.array([role.is_drum for role in HOME.roles])

    def played(notes: RollNotes, by: int) -> set[tuple[int, int]]:
        pitched = notes.where(~is_drum[notes.role])
        return set(zip(pitched.start.tolist(), ((pitched.row.astype(int) + by) % 12).tolist(), strict=True))

    assert played(at_home, 2) == played(moved_up, 0)


def test_a_model_without_a_home_key_refuses_a_key() -> None:
    with pytest.raises(UnsupportedError, match="home_key"):
        synthesis.generate(model_of(CONFIG), count=1, seed=0, key="C")


def test_a_clip_in_another_key_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_key(by: int) -> RollNotes:
        rows = [pitch + by - HOME.lowest_pitch for pitch in TUNE]
        columns = (np.ones(10), np.arange(10), np.arange(10) + 1, np.array(rows), np.full(10, 90), np.zeros(10))
        return RollNotes.from_columns(columns)

    attempts: list[list[tuple[object, ...]]] = []

    def filled(*_: object, seeds: list[tuple[object, ...]], **__: object) -> list[RollNotes]:
        attempts.append(seeds)
        return [in_key(2 if attempt == 2 or number == 1 else 5) for number, attempt in seeds]

    monkeypatch.setattr(drawing, "fill", filled)
    sketch = Sketch(RollNotes.none(), np.ones((len(HOME.roles), HOME.n_bars), dtype=bool))
    (first, second) = drawing.draw_clips(MODEL, [sketch] * 2, seed=0, temperature=1.0, n_tracks=1, key=(2, False))
    assert attempts[:3] == [[(0, 0), (1, 0)], [(0, 1)], [(0, 2)]]
    assert first.row.tolist() == second.row.tolist() == in_key(2).row.tolist()
    assert len(attempts) == 1 + drawing.MAX_REDRAWS  # the second equals the first, and stays so


def test_a_classic_network_has_no_home() -> None:
    with pytest.raises(ValueError, match="home_key"):
        Config(beat_resolution=12, n_pitches=84, network=ClassicConfig(), home_key=True)
