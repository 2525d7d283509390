"""Samples in tar files: what is written, that others can read it, in which order it is read, and what damage says."""

import gc
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiogan.corpus.shards import INDEX, PLACES, SHARDS_AT_ONCE, Shards, streaming_order, write_shards
from audiogan.errors import CorpusError

N_SAMPLES = 30
PARTS = {"train": np.arange(2, N_SAMPLES), "valid": np.arange(2), "test": np.arange(0)}


def array_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(2, 16, 8)).astype(np.float16)


def put(folder: Path, shard_bytes: int = 10_000) -> Path:
    folder.mkdir()
    write_shards(folder, PARTS, lambda number: (array_of(number), {"pitch": number}), shard_bytes=shard_bytes)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return put(tmp_path / "shards")


def test_what_is_read_is_what_was_written(folder: Path) -> None:
    shards = Shards(folder)
    assert len(shards) == N_SAMPLES
    for number in range(N_SAMPLES):
        assert np.array_equal(shards.array(number), array_of(number))
    some = np.array([7, 0, 7])
    assert np.array_equal(shards[some], np.stack([array_of(7), array_of(0), array_of(7)]))


def test_files_have_the_wanted_size_and_hold_one_part_each(folder: Path) -> None:
    lines = json.loads((folder / INDEX).read_text())["shards"]
    assert [line["name"] for line in lines] == [*(f"train-{place:06d}.tar" for place in range(7)), "valid-000000.tar"]
    assert [line["samples"] for line in lines] == [4] * 7 + [2]
    assert all(10_000 <= line["size"] < 14_000 for line in lines[:7])
    shards = Shards(folder)
    assert set(shards.shard_of[PARTS["valid"]].tolist()) == {7}
    neighbours = np.flatnonzero(shards.shard_of == 0)
    assert np.diff(neighbours).max() > 1, "dealt at random, not in a row"


def test_tar_reads_it_and_no_member_is_a_pickle(folder: Path) -> None:
    names = []
    for line in json.loads((folder / INDEX).read_text())["shards"]:
        with tarfile.open(folder / line["name"]) as tar:
            for member in tar.getmembers():
                names.append(member.name)
                data = tar.extractfile(member)
                assert data is not None
                with pytest.raises(pickle.UnpicklingError):
                    pickle.loads(data.read())
    assert sorted(names) == sorted(f"{number:09d}.{kind}" for number in range(N_SAMPLES) for kind in ("json", "npy"))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_it(folder: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    urls = sorted(str(path) for path in folder.glob("train-*.tar"))
    found = {sample["__key__"]: sample for sample in webdataset.WebDataset(urls, shardshuffle=False).decode()}
    assert sorted(map(int, found)) == PARTS["train"].tolist()
    for key, sample in found.items():
        assert sample["json"] == {"pitch": int(key)}
        assert sample["npy"].dtype == np.float16
        assert np.array_equal(sample["npy"], array_of(int(key)))
    gc.collect()  # that library leaves files open, which is not for the next test to pay


def test_equal_samples_make_equal_files(folder: Path, tmp_path: Path) -> None:
    again = put(tmp_path / "again")
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in names)


# ---- order


def test_a_few_files_are_read_at_a_time_and_everything_once() -> None:
    n_shards, per_shard = 40, 25
    shard = np.random.default_rng(1).permutation(np.repeat(np.arange(n_shards), per_shard))
    order = streaming_order(shard, seed=3)
    assert sorted(order.tolist()) == list(range(len(shard)))
    window = SHARDS_AT_ONCE * per_shard
    groups = [shard[order[first : first + window]] for first in range(0, len(order), window)]
    assert [len(set(group.tolist())) for group in groups] == [SHARDS_AT_ONCE] * 5
    for group in groups:  # mixed evenly: the halves of a group hold nearly as many of each file
        counts = np.bincount(group[: window // 2], minlength=n_shards)[np.unique(group)]
        assert counts.min() > per_shard / 5


def test_another_seed_is_another_order_and_the_same_the_same() -> None:
    shard = np.repeat(np.arange(20), 5)
    first, again, other = (streaming_order(shard, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert set(shard[first[:40]].tolist()) != set(shard[other[:40]].tolist())


def test_with_few_files_all_is_shuffled() -> None:
    shard = np.repeat(np.arange(SHARDS_AT_ONCE), 100)
    order = streaming_order(shard, 0)
    halves = np.bincount(shard[order[:400]], minlength=SHARDS_AT_ONCE)
    assert halves.min() > 30
    assert len(streaming_order(np.zeros(0, dtype=np.int64), 0)) == 0


# ---- damage


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    index = json.loads((folder / INDEX).read_text())
    change(index)
    (folder / INDEX).write_text(json.dumps(index))


DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a file is gone": (lambda folder: (folder / "train-000002.tar").unlink(), "missing", "train-000002.tar: No such"),
    "a file is cut": (
        lambda folder: (folder / "train-000001.tar").write_bytes(bytes(700)),
        "truncated",
        "train-000001.tar: 700 bytes, .* were written",
    ),
    "a file has grown": (
        lambda folder: (folder / "train-000001.tar").write_bytes(bytes(70_000)),
        "bad_header",
        "train-000001.tar: 70,000 bytes, .* prepare again with --overwrite",
    ),
    "no places": (lambda folder: (folder / PLACES).unlink(), "missing", "places.npy"),
    "other places": (lambda folder: _flip(folder / PLACES, 200), "corrupt", "places.npy: not the array"),
    "no json": (lambda folder: (folder / INDEX).write_bytes(b"{"), "bad_config", "shards.json: JSON cannot be parsed"),
    "another version": (lambda folder: _edit(folder, lambda i: i.update(schema=9)), "bad_config", "version 9"),
    "no list": (lambda folder: _edit(folder, lambda i: i.update(shards=[{"name": 3}])), "bad_config", "not a list"),
    "other counts": (lambda folder: _edit(folder, lambda i: i.update(samples=31)), "bad_config", "31 samples"),
    "a way out": (
        lambda folder: _edit(folder, lambda i: i["shards"][0].update(name="../secret")),
        "unsafe_path",
        "names a file ../secret",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_told_when_the_folder_is_opened(folder: Path, what: str) -> None:
    damage, reason, message = DAMAGE[what]
    damage(folder)
    with pytest.raises(CorpusError, match=message) as raised:
        Shards(folder)
    assert raised.value.reason == reason
    assert "\n" not in str(raised.value)


def test_a_changed_or_vanished_sample_is_told_when_it_is_read(folder: Path) -> None:
    shards = Shards(folder)
    shard, first, size, _ = shards.places[9].tolist()
    path = folder / shards.names[shard]
    _flip(path, first + size - 3)
    with pytest.raises(CorpusError, match=rf"{path.name}: sample 000000009 has changed since it was written"):
        shards.array(9)
    other = next(number for number in np.flatnonzero(shards.shard_of == shard).tolist() if number != 9)
    assert np.array_equal(shards.array(other), array_of(other)), "its neighbours are whole"
    path.unlink()
    with pytest.raises(CorpusError, match="No such file"):
        shards.array(other)


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    path = folder / "train-000000.tar"
    path.rename(tmp_path / "elsewhere.tar")
    path.symlink_to(tmp_path / "elsewhere.tar")
    with pytest.raises(CorpusError, match="the link leads out of its folder"):
        Shards(folder)
