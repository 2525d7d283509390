"""Notes in shards: the same batches as from plain arrays, in an order that any step can be begun at."""

import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiogan.adversarial.game import Game, Phase
from audiogan.adversarial.loader import Loader
from audiogan.corpus import shards, spreading
from audiogan.corpus.shards import INDEX, Shards, write_shards
from audiogan.errors import CorpusError
from audiogan.pipelines.waveform import dataset
from audiogan.pipelines.waveform.config import CorpusConfig
from audiogan.pipelines.waveform.dataset import Notes, prepare
from audiogan.recipe import digest
from tests.pipelines.waveform.test_dataset import CONFIG, INSTRUMENTS, KEYS, arrays, corpus, put_note


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("corpus") / "notes"
    for number, instrument in enumerate(INSTRUMENTS):
        for key in KEYS:
            put_note(place / instrument / f"{key:03d}.wav", key, tilt=0.5 + number)
    return place


@pytest.fixture(scope="module")
def caches(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same corpus in plain arrays and in small shards."""
    plain, sharded = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("sharded")
    chosen = corpus(folder, valid_fraction=0.2)
    prepare(chosen, CONFIG, plain, jobs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "write_shards", lambda *given, shard_bytes: write_shards(*given, shard_bytes=60_000))
        prepare(chosen.model_copy(update={"shard_megabytes": 1}), CONFIG, sharded, jobs=1)
    return plain, sharded


def test_both_forms_give_the_same_batches(caches: tuple[Path, Path]) -> None:
    assert (caches[1] / INDEX).is_file()
    assert not (caches[1] / "planes.npy").exists()
    assert not (caches[1] / "parts").exists()
    sizes = []
    for split in ("train", "valid", "test"):
        plain, sharded = (Notes(cache, split) for cache in caches)
        sizes.append(len(plain))
        assert len(sharded) == len(plain)
        if len(plain):
            chosen = np.random.default_rng(0).integers(len(plain), size=12).tolist()
            first, second = (notes.fetch(chosen, range(12)) for notes in (plain, sharded))
            assert first.keys() == second.keys()
            assert all(torch.equal(first[name], second[name]) for name in first)
    assert sizes[0] > sizes[1] > 0
    names = ("index.jsonl", "instruments.json", "pitch.npy", "velocity.npy", "gain.npy", "instrument.npy", "split.npy")
    assert all(arrays(caches[0])[name] == arrays(caches[1])[name] for name in names)


def test_a_sample_says_what_its_line_of_the_index_says(caches: tuple[Path, Path]) -> None:
    lines = [json.loads(line) for line in (caches[1] / "index.jsonl").read_text().splitlines()]
    notes = [line["note"] for line in lines if "note" in line]
    path = next(caches[1].glob("valid-*.tar"))
    with tarfile.open(path) as tar:
        member = tar.getmembers()[1]
        data = tar.extractfile(member)
        assert data is not None
        assert json.loads(data.read()) == notes[int(member.name.removesuffix(".json"))]


def _loader(notes: Notes, **options: Any) -> Loader:
    game = Game([Phase("d", ("m",), lambda batch, moment: {}), Phase("g", ("m",), lambda batch, moment: {})])
    settings: dict[str, Any] = {"batch_size": 4, "n_steps": 9, "seed": 5} | options
    return Loader(notes, game, **settings)


def _digests(batches: Iterator[dict[str, torch.Tensor]]) -> list[str]:
    return [
        digest({name: sha256(tensor.numpy().tobytes()).hexdigest() for name, tensor in batch.items()})
        for batch in batches
    ]


def test_any_step_can_be_the_first_and_nothing_before_it_is_read(
    caches: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARDS_AT_ONCE", 2)
    notes = Notes(caches[1], "train")
    straight = _digests(_loader(notes).batches(0))
    read: list[int] = []
    array = Shards.array
    monkeypatch.setattr(Shards, "array", lambda self, number: read.append(number) or array(self, number))
    assert _digests(_loader(Notes(caches[1], "train")).batches(7)) == straight[14:]
    assert len(read) == 4 * 4 * 2, "4 batches of 4 notes and their partners"


def test_workers_and_processes_change_nothing(caches: tuple[Path, Path]) -> None:
    notes = Notes(caches[1], "train")
    straight = list(_loader(notes).batches(0))
    assert _digests(_loader(notes, workers=2).batches(0)) == _digests(iter(straight))
    ranks = [_loader(notes, rank=rank, world=2).batches(0) for rank in range(2)]
    for whole, even, odd in zip(straight, *ranks, strict=True):
        for name in whole:
            assert torch.equal(whole[name][::2], even[name])
            assert torch.equal(whole[name][1::2], odd[name])


def test_an_epoch_goes_from_shards_to_shards(caches: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARDS_AT_ONCE", 1)
    notes = Notes(caches[1], "train")
    assert isinstance(notes.planes, Shards)
    assert Notes(caches[0], "train").order is None
    order = [index for request, _ in _loader(notes, batch_size=1, n_steps=len(notes)).requests(0) for index in request]
    of_phase = np.array(order[::2])
    assert sorted(of_phase.tolist()) == list(range(len(notes)))
    shard = notes.planes.shard_of[notes.rows[of_phase]]
    assert len(set(shard.tolist())) > 2
    assert np.count_nonzero(np.diff(shard)) == len(set(shard.tolist())) - 1, "each file is left once"


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_note_is_told_by_its_file(folder: Path, tmp_path: Path, workers: int) -> None:
    prepare(corpus(folder, shard_megabytes=1), CONFIG, tmp_path, jobs=1)
    notes = Notes(tmp_path, "train")
    path = tmp_path / "train-000000.tar"
    path.write_bytes(b"\1" * path.stat().st_size)
    with pytest.raises(CorpusError, match=r"train-000000.tar: sample \d+ has changed since it was written"):
        list(_loader(notes, workers=workers).batches(0))
    path.unlink()
    with pytest.raises(CorpusError, match="train-000000.tar: No such file"):
        Notes(tmp_path, "train")


# ---- spread


def spread_equals_local(chosen: CorpusConfig, tmp_path: Path) -> None:
    for name in ("local", "elsewhere"):
        (tmp_path / name).mkdir()
    local = prepare(chosen.model_copy(update={"spread_by": "processes"}), CONFIG, tmp_path / "local", jobs=1)
    assert prepare(chosen, CONFIG, tmp_path / "elsewhere", jobs=1) == local
    assert arrays(tmp_path / "elsewhere") == arrays(tmp_path / "local")


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiogan.pipelines.waveform.sources.SOUNDS_PER_UNIT", 5)


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("size", [0, 1])
def test_spread_work_makes_the_same_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    done: list[int] = []

    def counted(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        assert isinstance(work, partial)
        here = partial(work.func, **work.keywords | {"is_worker": False})
        for number in reversed(range(1, len(items))):  # the first is lost with its worker
            done.append(number)
            yield number, here(items[number])

    monkeypatch.setattr(spreading, "by_ray", counted)
    spread_equals_local(corpus(folder, shard_megabytes=size, spread_by="ray"), tmp_path)
    assert done == [3, 2, 1]


@pytest.mark.usefixtures("small_units")
@pytest.mark.filterwarnings("default")  # Ray's own
def test_ray_makes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    spread_equals_local(corpus(folder, shard_megabytes=1, spread_by="ray"), tmp_path)
