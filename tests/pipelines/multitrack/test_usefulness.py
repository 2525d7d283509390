"""Whose bar is it: features worked out by hand, and clips that teach or mislead."""

from collections.abc import Sequence

import numpy as np

from audiogan.corpus.score import Note, Notes, Score, Track
from audiogan.pipelines.multitrack.grid import ClipGrid
from audiogan.pipelines.multitrack.usefulness import bars_of, usefulness_of_clips

GRID = ClipGrid(n_bars=2)
HEIGHT = {"bass": 36, "piano": 60, "guitar": 55, "strings": 72}
STEPS = {"bass": (0, 4, 8, 12), "piano": (2, 6, 10, 14), "guitar": tuple(range(0, 16, 2)), "strings": (0,)}


def band(n: int, seed: int, names: Sequence[str] = tuple(HEIGHT)) -> list[Score]:
    """Return clips in which every instrument has its own height and rhythm; `names` says who plays whose part."""
    rng = np.random.default_rng(seed)
    clips = []
    for _ in range(n):
        tracks = []
        for name, part in zip(names, HEIGHT, strict=True):
            notes = [
                Note(16 * bar + step, 16 * bar + step + 1, HEIGHT[part] + int(rng.integers(0, 7)), 80)
                for bar in range(2)
                for step in STEPS[part]
                if rng.random() < 0.9
            ]
            tracks.append(Track(Notes.from_list(notes), name=name))
        clips.append(Score(4, tuple(tracks)))
    return clips


def test_features_of_a_bar() -> None:
    notes = [Note(0, 4, 60, 70), Note(0, 4, 64, 90), Note(8, 10, 67, 80)]
    found = bars_of([Score(4, (Track(Notes.from_list(notes), name="piano"),))], np.array([7]), GRID)
    assert (found.label.tolist(), found.group.tolist()) == ([2], [7])
    onsets, degrees, rest = np.split(found.features[0], [16, 28])
    assert np.flatnonzero(onsets).tolist() == [0, 8]
    assert {i: round(v, 3) for i, v in enumerate(degrees) if v} == {0: 0.333, 4: 0.333, 7: 0.333}
    spread = float(np.std([60, 64, 67]))
    np.testing.assert_allclose(rest, np.array([3, (1 + 1 + 0.5) / 3, 1.5, (60 + 64 + 67) / 3, 60, spread]))


def test_drums_and_silent_bars_are_no_items() -> None:
    drums = Track(Notes.from_list([Note(0, 1, 36, 80)]), is_drum=True, name="drums")
    assert not len(bars_of([Score(4, (drums,))], np.array([0]), GRID).label)


def test_like_music_teaches_and_mislabelled_music_does_not() -> None:
    real, songs = band(80, 0), [i // 8 for i in range(80)]
    good = {one.question: one for one in usefulness_of_clips(band(60, 1), real, songs, GRID)}
    assert good["generated to real"].value > 0.95
    turned = ("piano", "guitar", "strings", "bass")
    bad = {one.question: one for one in usefulness_of_clips(band(60, 1, turned), real, songs, GRID)}
    assert bad["generated to real"].value < 0.1


def test_nothing_is_said_of_few_songs_or_silence() -> None:
    real = band(20, 0)
    assert usefulness_of_clips(band(5, 1), real, [0] * 20, GRID) == ()
    silent = [Score(4, ())] * 5
    assert usefulness_of_clips(silent, real, list(range(20)), GRID) == ()
