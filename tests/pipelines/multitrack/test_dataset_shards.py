"""Songs in shards: the same clips as from plain arrays, in an order that reads few files at a time."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiogan.adversarial.game import Game, Phase
from audiogan.adversarial.loader import Loader
from audiogan.corpus import midi, shards, spreading
from audiogan.corpus.shards import INDEX, Shards, write_shards
from audiogan.errors import CorpusError
from audiogan.pipelines.multitrack import dataset
from audiogan.pipelines.multitrack.config import CorpusConfig
from audiogan.pipelines.multitrack.dataset import Clips, keep_split, open_dataset, prepare
from tests.pipelines.multitrack.small import CONFIG, song


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("corpus")
    for number in range(9):
        midi.write(song(4 + number, number), place / f"song {number}.mid")
    (place / "junk.mid").write_bytes(b"not music at all")
    return place


def corpus_of(folder: Path, **more: object) -> CorpusConfig:
    return CorpusConfig.model_validate({"folder": str(folder), "valid_fraction": 0.3, "test_fraction": 0.2, **more})


@pytest.fixture(scope="module")
def caches(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same corpus in plain arrays and in small shards."""
    plain, sharded = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("sharded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "write_shards", lambda *given, shard_bytes: write_shards(*given, shard_bytes=6_000))
        summaries = [
            prepare(corpus_of(folder, shard_megabytes=size), CONFIG, cache, jobs=1)
            for cache, size in ((plain, 0), (sharded, 1))
        ]
    assert summaries[0] == summaries[1]
    return plain, sharded


def opened(cache: Path, folder: Path, split: str) -> Clips:
    return open_dataset(cache, CONFIG, corpus_of(folder), split)


def test_both_forms_give_the_same_clips(folder: Path, caches: tuple[Path, Path]) -> None:
    assert (caches[1] / INDEX).is_file()
    assert not (caches[1] / "start.npy").exists()
    for split in ("train", "valid", "test"):
        plain, sharded = (opened(cache, folder, split) for cache in caches)
        assert len(plain) == len(sharded) > 3
        assert np.array_equal(plain.windows, sharded.windows)
        chosen = np.random.default_rng(0).integers(len(plain), size=9).tolist()
        first, second = (clips.fetch(chosen, range(9)) for clips in (plain, sharded))
        assert all(torch.equal(first[name], second[name]) for name in first)
        for index in chosen:
            assert plain.song_of(index) == sharded.song_of(index)
            for mine, theirs in zip(plain.notes_of(index).columns, sharded.notes_of(index).columns, strict=True):
                assert mine.dtype == theirs.dtype
                assert np.array_equal(mine, theirs)


def test_opening_reads_no_song(folder: Path, caches: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    array = Shards.array
    monkeypatch.setattr(Shards, "array", lambda self, number: read.append(number) or array(self, number))
    clips = opened(caches[1], folder, "train")
    assert read == []
    clips.fetch([0, 5], [0, 0])
    assert len(read) == 2


def test_an_epoch_goes_from_shards_to_shards_and_any_step_can_be_the_first(
    folder: Path, caches: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARDS_AT_ONCE", 1)
    clips = opened(caches[1], folder, "train")
    assert opened(caches[0], folder, "train").order is None
    assert clips.shards is not None

    def requests(first_step: int) -> list[int]:
        game = Game([Phase("d", ("m",), lambda batch, moment: {})])
        loader = Loader(clips, game, batch_size=1, n_steps=2 * len(clips), seed=3)
        return [index for indices, _ in loader.requests(first_step) for index in indices]

    order = requests(0)
    for epoch in (order[: len(clips)], order[len(clips) :]):
        assert sorted(epoch) == list(range(len(clips)))
        shard = [int(clips.shards.shard_of[clips.numbers[clips.windows[index][0]]]) for index in epoch]
        assert len(set(shard)) > 2
        assert np.count_nonzero(np.diff(shard)) == len(set(shard)) - 1, "each file is left once"
    assert requests(17) == order[17:]


def test_one_split_can_be_kept(folder: Path, tmp_path: Path) -> None:
    kept = []
    for size in (0, 1):
        cache = tmp_path / str(size)
        cache.mkdir()
        prepare(corpus_of(folder, shard_megabytes=size), CONFIG, cache, jobs=1)
        keep_split(cache, "valid")
        kept.append({path.name: path.read_bytes() for path in cache.glob("*.*") if path.name != "places.npy"})
        assert len(opened(cache, folder, "test")) > 3
    assert kept[0] == kept[1]


def test_a_missing_shard_is_told(folder: Path, tmp_path: Path) -> None:
    prepare(corpus_of(folder, shard_megabytes=1), CONFIG, tmp_path, jobs=1)
    (tmp_path / "valid-000000.tar").unlink()
    with pytest.raises(CorpusError, match="valid-000000.tar: No such file"):
        opened(tmp_path, folder, "train")


# ---- spread


def spread_equals_local(folder: Path, tmp_path: Path) -> None:
    found = []
    for name in ("processes", "ray"):
        cache = tmp_path / name
        cache.mkdir()
        summary = prepare(corpus_of(folder, shard_megabytes=1, spread_by=name), CONFIG, cache, jobs=1)
        found.append((summary, {path.name: path.read_bytes() for path in cache.iterdir()}))
    assert found[0] == found[1]


def test_spread_work_makes_the_same_bytes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def fake(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for number in reversed(range(1, len(items))):  # the first is lost with its worker
            done.append(number)
            yield number, work(items[number])

    monkeypatch.setattr(spreading, "by_ray", fake)
    spread_equals_local(folder, tmp_path)
    assert done == 2 * [*range(8, 0, -1)], "listed, and put on the grid"


@pytest.mark.filterwarnings("default")  # Ray's own
def test_ray_makes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    spread_equals_local(folder, tmp_path)
