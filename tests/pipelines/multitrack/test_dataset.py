"""Songs to cached notes to batches: what is taken, what a clip holds, how it is moved."""

import json
from pathlib import Path

import numpy as np
import pytest

from audiogan.corpus import midi
from audiogan.corpus.score import Metre, Score
from audiogan.errors import CorpusError
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.dataset import open_dataset, prepare
from audiogan.pipelines.multitrack.songs import parts_of, spans_of
from audiogan.representation.pianoroll import encode
from tests.pipelines.multitrack.small import CONFIG, song

EASY = {"min_drum_onsets": 0, "min_bass_onsets": 0, "min_tracks": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "songs"
    (place / "deep").mkdir(parents=True)
    for number in range(5):
        midi.write(song(6 + number, number), place / f"song {number}.mid")
    midi.write(song(6, 9), place / "deep" / "Karaoke.KAR")
    (place / "junk.mid").write_bytes(b"not music at all")
    (place / "copy.mid").write_bytes((place / "song 1.mid").read_bytes())
    return place


def corpus_of(folder: Path, **more: object) -> CorpusConfig:
    return CorpusConfig.model_validate({"folder": str(folder), "licence": "CC0-1.0", **more})


def test_prepare_counts_what_it_took_and_names_what_it_refused(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    summary = prepare(corpus_of(folder, test_fraction=0.2), CONFIG, cache)
    facts = json.loads(json.dumps(summary.as_json()))
    assert (facts["n_songs"], facts["n_duplicates"]) == (6, 1)
    assert list(facts["refused"]) == ["not_midi"]
    assert "junk.mid" in facts["refused"]["not_midi"][0]
    assert facts["licences"] == {"CC0-1.0": 6}
    assert {song["split"] for song in facts["songs"]} <= {"train", "valid", "test"}
    assert facts["n_clips"]["train"] == len(open_dataset(cache, CONFIG, corpus_of(folder), "train"))


def test_a_clip_is_the_window_of_its_song(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    corpus = corpus_of(folder, valid_fraction=0.0, transpose=False)
    names = [entry["name"] for entry in prepare(corpus, CONFIG, cache).songs]
    clips = open_dataset(cache, CONFIG, corpus, "train")
    assert len(clips) > 10
    for index in range(0, len(clips), 5):
        number, bar = clips.windows[index]
        path = next(folder.rglob(names[clips.stretches[number].song]))
        score = midi.read(path)
        if bar == 0:
            planes = encode(score, CONFIG.grid, CONFIG.roles)
            assert np.array_equal(clips[index]["roll"].numpy(), planes[:2])
            assert np.allclose(clips[index]["velocity"].numpy(), planes[2].max(axis=-1))
        assert clips[index]["roll"].shape == (2, 5, 2, 16, 72)


def test_transposition_moves_pitched_tracks_together_and_drums_never(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    prepare(corpus_of(folder), CONFIG, cache)
    moved = open_dataset(cache, CONFIG, corpus_of(folder), "train")
    plain = open_dataset(cache, CONFIG, corpus_of(folder, transpose=False), "train")
    seen = set()
    for seed in range(30):
        mine, theirs = moved.fetch([3], [seed])["roll"][0], plain.fetch([3], [seed])["roll"][0]
        assert np.array_equal(mine[:, 0], theirs[:, 0])  # drums
        lowest = [int(np.nonzero(roll[0, 1:].numpy())[3].min()) for roll in (mine, theirs)]
        by = lowest[0] - lowest[1]
        assert np.array_equal(mine[:, 1:].numpy(), np.roll(theirs[:, 1:].numpy(), by, axis=-1))
        seen.add(by)
    assert len(seen) > 3
    assert -5 <= min(seen) <= max(seen) <= 6
    assert np.array_equal(moved.fetch([3], [7])["roll"].numpy(), moved.fetch([3], [7])["roll"].numpy())


def test_held_out_songs_are_not_moved(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    corpus = corpus_of(folder, valid_fraction=0.5)
    prepare(corpus, CONFIG, cache)
    held_out = open_dataset(cache, CONFIG, corpus, "valid")
    songs = {held_out.song_of(i) for i in range(len(held_out))}
    learnt = open_dataset(cache, CONFIG, corpus, "train")
    assert songs
    assert not songs & {learnt.song_of(i) for i in range(len(learnt))}
    assert all(np.array_equal(held_out.fetch([0], [s])["roll"], held_out.fetch([0], [0])["roll"]) for s in range(8))


def test_the_filter_of_clips(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    prepare(corpus_of(folder), CONFIG, cache)
    sizes = [
        len(open_dataset(cache, CONFIG, corpus_of(folder, **more), "train"))
        for more in ({}, {"stride_bars": 2}, {"min_drum_onsets": 14}, {"min_bass_onsets": 14}, {"min_tracks": 4})
    ]
    assert 0 < sizes[1] < sizes[0]
    assert sizes[2] < sizes[0]
    assert sizes[3] < sizes[0]
    assert sizes[4] == 0  # nobody plays guitar or strings


def test_nothing_to_learn_from_is_said(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    with pytest.raises(CorpusError, match=r"no clip of 2 bars of 4/4 with 5 tracks"):
        prepare(corpus_of(folder, min_tracks=5), CONFIG, cache)
    with pytest.raises(CorpusError, match="3/4"):
        prepare(corpus_of(folder), Config(n_bars=2, metre="3/4", network=CONFIG.network), cache)


def test_too_many_refusals_stop_the_work(tmp_path: Path) -> None:
    place, cache = tmp_path / "songs", tmp_path / "cache"
    place.mkdir()
    cache.mkdir()
    for number in range(3):
        (place / f"{number}.mid").write_bytes(b"junk")
    with pytest.raises(CorpusError, match="no song could be read"):
        prepare(corpus_of(place), CONFIG, cache)
    midi.write(song(), place / "good.mid")
    with pytest.raises(CorpusError, match="3 of 4 files refused, more than max_refused 0.5"):
        prepare(corpus_of(place), CONFIG, cache)
    assert prepare(corpus_of(place, max_refused=0.9, **EASY), CONFIG, cache).n_songs == 1


def test_a_hundred_junk_files_do_not_change_the_rest(folder: Path, tmp_path: Path) -> None:
    sizes = []
    for junk in (0, 100):
        for number in range(junk):
            (folder / f"junk {number}.mid").write_bytes(bytes([number]) * (number + 1))
        cache = tmp_path / f"cache{junk}"
        cache.mkdir()
        taken = prepare(corpus_of(folder, max_refused=1.0), CONFIG, cache)
        sizes.append((taken.n_notes, taken.n_clips))
    assert sizes[0] == sizes[1]
    assert sum(len(names) for names in taken.refused.values()) == 101


@pytest.mark.parametrize(
    ("metres", "expected"),
    [
        ((), [(0, 4000)]),
        ((Metre(0, 4, 4),), [(0, 4000)]),
        ((Metre(0, 3, 4),), []),
        ((Metre(400, 3, 4),), [(0, 400)]),
        ((Metre(0, 4, 4), Metre(800, 4, 4)), [(0, 4000)]),
        ((Metre(0, 4, 4), Metre(500, 4, 4)), [(0, 500), (500, 4000)]),
        ((Metre(0, 4, 4), Metre(800, 2, 4), Metre(1200, 4, 4)), [(0, 800), (1200, 4000)]),
    ],
)
def test_spans_of_one_metre(metres: tuple[Metre, ...], expected: list[tuple[int, int]]) -> None:
    from audiogan.corpus.score import Note, Notes, Track

    score = Score(100, (Track(Notes.from_list([Note(0, 4000, 60, 90)])),), metres=metres)
    assert spans_of(score, 4, 4) == expected


def test_a_waltz_is_read_by_a_recipe_for_waltzes() -> None:
    waltz = song(4, metre=(3, 4))
    (part,) = parts_of(waltz, Config(metre="3/4", network=CONFIG.network).grid, CONFIG.roles)
    assert part.n_bars == 4
    assert part.notes.end.max() <= 4 * 12
    assert parts_of(waltz, CONFIG.grid, CONFIG.roles) == []
