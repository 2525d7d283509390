"""Each damage to clips is done as told, and the metric that ought to catch it does, on a few made-up songs."""

import numpy as np
import pytest

from audiogan.corpus.score import Notes, Score, Track
from audiogan.evaluation import audit
from audiogan.evaluation.distances import fit_scaler, neighbours
from audiogan.pipelines.multitrack.description import describe
from audiogan.pipelines.multitrack.grid import ClipGrid, quantised
from audiogan.pipelines.multitrack.held_out import HeldOut
from audiogan.pipelines.multitrack.metrics import measure
from tests.benchmarks import damaged_clips
from tests.benchmarks.damaged import Damage
from tests.benchmarks.damaged_clips import DAMAGES, Bench, copied, deaf, half_the_modes, judged, of_other_songs

GRID = ClipGrid(roles=("drums", "bass", "piano"))
MAJOR = np.array([0, 2, 4, 5, 7, 9, 11])
N_SONGS = 12


def songs(n: int, seed: int) -> list[Score]:
    """Return clips in the keys of their songs; the first two bars are alike, and so are the last two."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(n):
        root = 5 * (number % N_SONGS) % 12
        halves = [rng.integers(0, 7, 8) for _ in range(2)]
        tracks = []
        for role, octave in (("drums", 36), ("bass", 36), ("piano", 60)):
            degree = np.concatenate([halves[0], halves[0], halves[1], halves[1]])
            pitch = octave + root + MAJOR[degree] if role != "drums" else 36 + degree % 3
            onset = np.arange(32) * 2
            tracks.append(Track(Notes(onset, onset + 2, pitch, np.full(32, 80)), is_drum=role == "drums", name=role))
        made.append(Score(4, tuple(tracks)))
    return quantised(made, GRID)


CLIPS, REAL = songs(72, 0), songs(48, 1)
HELD = HeldOut(REAL, [number % N_SONGS for number in range(len(REAL))], [], [], "made up")
BENCH = Bench(HELD, [], GRID, with_expression=False)
BY_NAME = {damage.name: (damage, change) for damage, change in DAMAGES.items()}


def mean(name: str, clips: list[Score], column: int | None = None) -> float:
    values = measure(clips, GRID)[name].value()
    return float(np.nanmean(values) if column is None else values[column])


@pytest.mark.parametrize(
    ("name", "metric", "least"),
    [
        ("a tenth more notes, at random", "scale_consistency", 0.02),
        ("the bass is missing", "eb", 0.3),
        ("every other track a semitone up", "td", 0.3),
        ("bars in random order", "bar_order", 0.1),
        ("bars of other clips", "repeat", 0.5),
        ("tracks of other clips", "td", 0.1),
        ("notes of one step", "frag", 0.9),
    ],
)
def test_each_damage_moves_its_metric(name: str, metric: str, least: float) -> None:
    damage, change = BY_NAME[name]
    assert any(pattern.startswith(metric) for pattern in damage.ought)
    changed = change(CLIPS, GRID, np.random.default_rng(0))
    assert len(changed) == len(CLIPS)
    assert abs(mean(metric, changed) - mean(metric, CLIPS)) > least
    assert mean(metric, CLIPS) == mean(metric, songs(72, 0)), "the clips themselves stay as they were"


def test_bars_in_random_order_are_the_same_bars() -> None:
    changed = BY_NAME["bars in random order"][1](CLIPS, GRID, np.random.default_rng(0))
    for metric in ("upc", "td", "scale_consistency", "frag", "density"):
        assert mean(metric, changed) == pytest.approx(mean(metric, CLIPS))


def test_half_of_the_modes_loses_recall() -> None:
    names, real = describe(REAL, GRID)
    changed = half_the_modes(CLIPS[:48], GRID, np.random.default_rng(0))
    assert len({id(clip) for clip in changed}) == 24
    sets = [fit_scaler(real).transform(describe(clips, GRID)[1]) for clips in (REAL, CLIPS[:48], changed)]
    whole, half = (neighbours(sets[0], one).recall for one in sets[1:])
    assert half < whole - 0.1
    assert len(names) == sets[0].shape[1]


def test_the_table_of_one_damage() -> None:
    few = Bench(HeldOut(REAL[:16], HELD.songs[:16], [], [], ""), [], GRID, with_expression=False)
    caught = next(judged(few, CLIPS[:16], [], ["the bass"]))
    assert caught.is_caught
    assert caught.caught_by[0].name == "eb · bass"
    assert caught.caught_by[0].flipped


def test_an_accompaniment_of_another_song_is_caught() -> None:
    outputs = [clip.with_tracks(tuple(track for track in clip.tracks if track.name == "piano")) for clip in REAL]
    found = deaf(BENCH, REAL, outputs, HELD.songs, ["drums", "bass"])
    assert found.is_caught
    flipped = {move.name for move in found.caught_by if move.flipped}
    assert {"listening · tonal_distance", "listening · pitch_classes"} <= flipped


def test_partners_are_of_other_songs() -> None:
    songs = [0, 1, 0, 1]  # half of the way round is the same song
    assert of_other_songs(songs) == [3, 0, 1, 2]


@pytest.mark.parametrize("damage", [damaged_clips.PLAIN, damaged_clips.DISGUISED])
def test_planted_copies_are_caught(damage: Damage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("N_DRAWS", "ENOUGH_DRAWS"):  # of the control, which has its own tests
        monkeypatch.setattr(audit, name, 2)
    found = list(copied(BENCH, songs(40, 6), songs(16, 5), [damage.name]))
    assert [(one.damage, one.is_caught) for one in found] == [(damage.name, True)]
