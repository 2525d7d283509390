"""Marks of clips find copies in any key and hold nothing that could be played."""

from pathlib import Path

import numpy as np
import pytest

from audiogan.corpus import midi
from audiogan.evaluation.fingerprints import FILE, Fingerprints, load, save
from audiogan.pipelines.multitrack import compare_fingerprints, take_fingerprints
from audiogan.pipelines.multitrack.auditing import disguise
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.copies import melodies_of
from audiogan.pipelines.multitrack.dataset import open_dataset, prepare
from audiogan.pipelines.multitrack.fingerprinting import (
    BARS,
    MELODIES,
    WINDOW,
    bar_marks,
    covering,
    grid_of,
    melody_marks,
    packed,
    unpacked,
)
from audiogan.representation.pianoroll import to_score
from tests.pipelines.multitrack.small import song
from tests.pipelines.multitrack.test_copies import clip, melody

CONFIG = Config(n_bars=2)
GRID = grid_of(CONFIG)
CORPUS = {"valid_fraction": 0.3, "min_tracks": 1, "min_drum_onsets": 0, "min_bass_onsets": 0}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CorpusConfig]:
    songs, cache = tmp_path_factory.mktemp("songs"), tmp_path_factory.mktemp("cache")
    for number in range(16):
        midi.write(song(n_bars=9, seed=number), songs / f"{number}.mid")
    corpus = CorpusConfig.model_validate({"folder": str(songs), **CORPUS})
    prepare(corpus, CONFIG, cache, jobs=1)
    return cache, corpus


@pytest.fixture(scope="module")
def marks(prepared: tuple[Path, CorpusConfig]) -> Fingerprints:
    return take_fingerprints(*prepared[:1], CONFIG, prepared[1])


def clips_of(prepared: tuple[Path, CorpusConfig], split: str) -> list:
    dataset = open_dataset(prepared[0], CONFIG, prepared[1], split)
    return [to_score(dataset.notes_of(number), CONFIG.grid, CONFIG.roles) for number in range(len(dataset))]


def test_copies_in_disguise_are_too_near_and_other_songs_are_not(
    prepared: tuple[Path, CorpusConfig], marks: Fingerprints
) -> None:
    rng = np.random.default_rng(5)
    copies = [disguise(one, rng) for one in clips_of(prepared, "train")[::4]]
    assert marks.too_near(compare_fingerprints(CONFIG, copies, marks)).mean() >= 0.9
    assert not marks.too_near(compare_fingerprints(CONFIG, clips_of(prepared, "valid"), marks)).any()
    assert marks.facts["planted_copies_found"]["value"] >= 0.95


def test_a_longer_piece_with_a_copied_bar_in_it_shares_that_bar(
    prepared: tuple[Path, CorpusConfig], marks: Fingerprints
) -> None:
    one = clips_of(prepared, "train")[0]
    moved = one.with_tracks(
        tuple(
            type(track)(
                type(track.notes)(
                    track.notes.onset + 3 * one.resolution,
                    track.notes.offset + 3 * one.resolution,
                    track.notes.pitch,
                    track.notes.velocity,
                ),
                track.program,
                track.is_drum,
                track.name,
            )
            for track in one.tracks
        )
    )
    found = compare_fingerprints(CONFIG, [one, moved], marks)[BARS]
    assert found[0] == found[1] < 0, "moved by three beats"


def test_marks_are_few_bytes_without_order(marks: Fingerprints, tmp_path: Path) -> None:
    for name in ("bars", "melodies"):
        hashes = unpacked(marks.arrays[name])
        assert (np.diff(hashes.astype(np.int64)) > 0).all(), "ascending: the order of the songs is lost"
        assert marks.arrays[name].dtype == np.uint8
    save(marks, tmp_path / FILE)
    assert (tmp_path / FILE).stat().st_size < 20_000
    assert load(tmp_path / FILE).facts == marks.facts


def test_the_corpus_is_covered_once(prepared: tuple[Path, CorpusConfig]) -> None:
    dataset = open_dataset(prepared[0], CONFIG, prepared[1], "train")
    bars = {(stretch, bar + k) for stretch, bar in dataset.windows.tolist() for k in range(CONFIG.n_bars)}
    chosen = covering(dataset)
    held = {(stretch, bar + k) for stretch, bar in dataset.windows[chosen].tolist() for k in range(CONFIG.n_bars)}
    assert held == bars
    assert len(chosen) * CONFIG.n_bars <= 1.3 * len(bars)


def test_windows_of_a_corpus_share_no_note() -> None:
    """Otherwise a melody could be guessed note by note, each guess confirmed."""
    pitches = np.random.default_rng(0).integers(40, 70, 32).tolist()
    line = clip(piano=[(2 * step, 2 * step + 1, pitch) for step, pitch in enumerate(pitches)])
    n_steps = len(melodies_of([line], GRID.beat_resolution).tokens)
    grid = grid_of(CONFIG, 4)
    assert len(melody_marks([line], grid, apart=True).hash) == n_steps // WINDOW
    assert len(melody_marks([line], grid, apart=False).hash) == n_steps - WINDOW + 1


def test_an_ostinato_and_an_empty_bar_leave_no_mark() -> None:
    grid = grid_of(CONFIG, 4)
    drone = clip(bass=[(step, step + 1, 40) for step in range(64)])
    assert not len(melody_marks([drone], grid, apart=False).hash)
    sparse = clip(piano=[(16 * bar, 16 * bar + 1, 60) for bar in range(4)])
    assert not len(bar_marks([sparse, clip()], grid, grid.n_timesteps).hash)


def test_marks_know_no_key() -> None:
    grid = grid_of(CONFIG, 4)
    low, high, other = melody(3, 22), melody(3, 22, shift=5), melody(4, 22)
    for marks_of in (lambda one: bar_marks([one], grid, 4), lambda one: melody_marks([one], grid, apart=False)):
        assert len(marks_of(low).hash)
        assert set(marks_of(low).hash) == set(marks_of(high).hash)
        assert not set(marks_of(low).hash) & set(marks_of(other).hash)


def test_hashes_are_packed_without_loss() -> None:
    values = np.array([3, 2**40 - 1, 3, 77], np.uint64)
    assert unpacked(packed(values)).tolist() == [3, 77, 2**40 - 1]
    assert MELODIES != BARS
