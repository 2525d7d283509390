"""Models that listen, that half listen and that are deaf."""

import numpy as np
import pytest

from audiogan.corpus.score import Notes, Score, Track
from audiogan.pipelines.multitrack.grid import ClipGrid
from audiogan.pipelines.multitrack.listening import Agreement, listening

GRID = ClipGrid(n_bars=2, roles=("drums", "bass", "piano"))
N_SONGS, N_CLIPS = 10, 40
SONGS = [i // 4 for i in range(N_CLIPS)]
MAJOR = np.array([0, 2, 4, 5, 7, 9, 11])


def track(root: int, seed: int, name: str) -> Track:
    """Return random notes of the major scale of `root` on a rhythm that belongs to `root`."""
    steps = np.sort(np.random.default_rng(root).permutation(32)[:12])
    pitch = 48 + (root + np.random.default_rng(seed).choice(MAJOR, 12)) % 12
    return Track(Notes(steps, steps + 2, pitch, np.full(12, 80)), name=name)


def song(i: int) -> int:
    """Return the root of the song of clip `i`."""
    return SONGS[i] * 5 % 12


REAL = [Score(4, (track(song(i), 2 * i, "bass"), track(song(i), 2 * i + 1, "piano"))) for i in range(N_CLIPS)]
CONDITIONS = [Score(4, (track(song(i), 900 + i, "bass"),)) for i in range(N_CLIPS)]


def outputs(n_heard: int) -> list[Score]:
    """Return a piano for each condition; the first `n_heard` of each four clips of a song fit it."""
    roots = [song(i) if i % 4 < n_heard else (song(i) + 6) % 12 for i in range(N_CLIPS)]
    return [Score(4, (track(root, 500 + i, "piano"),)) for i, root in enumerate(roots)]


def run(made: list[Score], **options: object) -> dict[str, Agreement]:
    """Return the rows by name."""
    settings = {"given": ["bass"], "songs": SONGS, "real": REAL, "real_songs": SONGS, "n_draws": 200} | options
    return {row.name: row for row in listening(CONDITIONS, made, GRID, **settings)}  # pyright: ignore[reportArgumentType]


def test_a_model_that_fits_its_condition_listens() -> None:
    rows = run(outputs(4))
    assert set(rows) == {"pitch_classes", "key", "tonal_distance", "onsets"}
    for row in rows.values():
        assert row.matched > row.shuffled
        assert row.passes
        assert row.listen == pytest.approx(1, abs=0.35)
        assert row.listen_low < row.listen < row.listen_high
        assert (row.n, row.n_songs) == (40, 10)


def test_a_deaf_model_fails() -> None:
    generator = np.random.default_rng(0)
    deaf = [
        Score(4, (track(int(root), 500 + i, "piano"),)) for i, root in enumerate(generator.integers(0, 12, N_CLIPS))
    ]
    rows = run(deaf)
    assert not any(row.passes for row in rows.values())
    assert all(row.low < 0 < row.high for row in rows.values())
    assert all(abs(row.listen) < 0.35 for row in rows.values())


def test_a_model_that_hardly_listens_fails_though_the_drop_is_sure() -> None:
    row = run(outputs(2))["onsets"]
    assert 0 < row.listen < run(outputs(4))["onsets"].listen


def test_known_agreement() -> None:
    condition = Score(
        4, (Track(Notes(np.array([0, 4]), np.array([4, 8]), np.array([60, 67]), np.full(2, 80)), name="bass"),)
    )
    made = Score(
        4, (Track(Notes(np.array([0, 2]), np.array([3, 3]), np.array([72, 61]), np.full(2, 80)), name="piano"),)
    )
    other = Score(4, (Track(Notes(np.array([2]), np.array([8]), np.array([61]), np.full(1, 80)), name="bass"),))
    rows = {r.name: r for r in listening([condition, other], [made, made], GRID, given=["bass"], songs=["a", "b"])}
    assert rows["pitch_classes"].matched == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert rows["pitch_classes"].shuffled == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert rows["onsets"].matched == pytest.approx((0.5 + 2 / 3) / 2)
    assert rows["key"].matched <= 1
    assert not rows["onsets"].passes  # two songs prove nothing
    assert np.isnan(rows["onsets"].listen)


def test_few_songs_prove_nothing() -> None:
    made = outputs(4)[:12]  # three songs
    rows = listening(CONDITIONS[:12], made, GRID, given=["bass"], songs=SONGS[:12], n_draws=100)
    assert all(row.low > 0 and row.n_songs == 3 for row in rows if row.name == "key")
    assert not any(row.passes for row in rows)


def test_a_drop_must_be_sure() -> None:
    generator = np.random.default_rng(2)
    deaf = [
        Score(4, (track(int(root), 500 + i, "piano"),)) for i, root in enumerate(generator.integers(0, 12, N_CLIPS))
    ]
    rows = run(deaf, real=(), real_songs=())
    assert any(row.drop > 0 for row in rows.values())
    assert not any(row.passes for row in rows.values())


def test_a_short_note_counts_as_heard() -> None:
    def one(length: int, name: str) -> Score:
        return Score(4, (Track(Notes(*(np.array([x]) for x in (0, length, 60, 80))), name=name),))

    rows = listening([one(1, "bass")] * 2, [one(4, "piano")] * 2, GRID, given=["bass"], songs=["a", "b"])
    assert {row.name: row.matched for row in rows}["pitch_classes"] == 1


def test_drums_are_judged_by_onsets_alone() -> None:
    drums = [
        clip.with_tracks((Track(clip.tracks[0].notes, is_drum=True, name="drums"), clip.tracks[1])) for clip in REAL
    ]
    rows = listening(drums, drums, GRID, given=["drums"], songs=SONGS, n_draws=100)
    assert [row.name for row in rows] == ["onsets"]
    assert rows[0].passes


def test_a_silent_model_fails() -> None:
    rows = run([Score(4, ())] * N_CLIPS)
    assert set(rows) == {"pitch_classes", "key", "tonal_distance", "onsets"}
    assert not any(row.passes or row.n for row in rows.values())
    assert rows["key"].to_json()["listen"] is None


def test_same_seed_same_rows() -> None:
    assert run(outputs(4), seed=3) == run(outputs(4), seed=3)
    assert run(outputs(4), seed=3) != run(outputs(4), seed=4)


def test_one_song_cannot_be_shuffled() -> None:
    with pytest.raises(AssertionError, match="two songs"):
        run(outputs(4), songs=["one"] * N_CLIPS)
