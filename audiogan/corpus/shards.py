"""Prepared examples in tar files of the webdataset form, and an index that finds any of them without the rest.

A sample is two members of a tar file, `NUMBER.npy`, its array, and `NUMBER.json`, what is known about it; none is a
pickle. `shards.json` lists the files with size, sha256 and count, `places.npy` says where each array lies. Samples are
dealt to the files at random, once, so each file is a small mixture of the whole; an order that takes a few files at a
time then reads within them and still mixes well. Form: https://github.com/webdataset/webdataset.
"""

import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.arrays import map_array, parse_array
from audiogan.corpus.files import write_whole
from audiogan.corpus.gate import open_checked, open_regular
from audiogan.corpus.limits import refuse
from audiogan.corpus.names import escape
from audiogan.corpus.strict_json import parse_json

INDEX, PLACES = "shards.json", "places.npy"
SHARDS_AT_ONCE = 8
_SCHEMA = 1
_BLOCK = 512
_LARGEST_INDEX = 64_000_000

Sample = tuple[NDArray, Mapping[str, Any]]
"""An array, and JSON-able facts about it."""


def streaming_order(shard: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return an order of items, `(item,)`, in which the files are shuffled and a few of them are open at a time.

    Groups of `SHARDS_AT_ONCE` files, drawn at random, follow each other; within a group all items are shuffled evenly.
    With no more files than that it is an even shuffle of everything.

    Args:
        shard: `(item,)`, the file that each item lies in.
        seed: Another seed gives another order.

    Example:
        >>> order = streaming_order(np.repeat(np.arange(20), 3), seed=0)
        >>> len(set((order[:24] // 3).tolist())), sorted(order.tolist()) == list(range(60))
        (8, True)
    """
    generator = np.random.default_rng(seed)
    files, own = np.unique(shard, return_inverse=True)
    group = generator.permutation(len(files)) // SHARDS_AT_ONCE
    return np.lexsort((generator.permutation(len(shard)), group[own]))


# ---- write


class _Shard:
    """A tar file that is being written; without times and owners, so equal samples make equal bytes."""

    def __init__(self, path: Path) -> None:
        self.name, self.size, self.n_samples = path.name, 0, 0
        self._file = path.open("wb")
        self._digest = hashlib.sha256()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def add(self, name: str, data: bytes) -> int:
        """Append a member and return where its bytes begin."""
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._write(member.tobuf(tarfile.USTAR_FORMAT))
        first = self.size
        self._write(data + bytes(-len(data) % _BLOCK))
        return first

    def close(self) -> dict[str, Any]:
        """End the file, flush it to the disk and return its line of the index."""
        self._write(bytes(2 * _BLOCK))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"name": self.name, "size": self.size, "sha256": self._digest.hexdigest(), "samples": self.n_samples}


def write_shards(
    folder: Path, parts: Mapping[str, NDArray[np.int64]], sample: Callable[[int], Sample], *, shard_bytes: int
) -> None:
    """Write samples as `PART-000000.tar` and so on, `places.npy` and `shards.json`, which comes last.

    Args:
        folder: Must exist.
        parts: Numbers of the samples in each part; together they count from 0, each once.
        sample: From a number to its sample, whose array is of a type that `parse_array` allows.
        shard_bytes: A file ends with the sample that brings it to this size.
    """
    shards: list[dict[str, Any]] = []
    places = np.zeros((sum(map(len, parts.values())), 4), dtype="<i8")
    for part, numbers in parts.items():
        shard, before = None, len(shards)
        for number in np.random.default_rng(0).permutation(numbers).tolist():
            shard = shard or _Shard(folder / f"{part}-{len(shards) - before:06d}.tar")
            array, facts = sample(number)
            data = _array_bytes(array)
            places[number] = len(shards), shard.add(f"{number:09d}.npy", data), len(data), zlib.crc32(data)
            shard.add(f"{number:09d}.json", json.dumps(facts).encode("ascii"))
            shard.n_samples += 1
            if shard.size >= shard_bytes:
                shards.append(shard.close())
                shard = None
        if shard is not None:
            shards.append(shard.close())
    data = _array_bytes(places)
    write_whole(folder / PLACES, data)
    index = {"schema": _SCHEMA, "samples": len(places), "places": hashlib.sha256(data).hexdigest(), "shards": shards}
    write_whole(folder / INDEX, json.dumps(index, indent=1).encode("ascii"))


def _array_bytes(array: NDArray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


# ---- read


class Shards:
    """Samples of a folder that `write_shards` filled, each read from its place when it is asked for.

    No file stays open, so processes may share this object; what was read stays in memory only as long as the operating
    system finds room for it.

    Args:
        folder: Holds the files and their index.

    Raises:
        CorpusError: `missing`, `truncated`, `bad_header`, `corrupt` and as `open_checked`: a file is not there, has not
            the size that the index says, or the index is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        source = folder / INDEX
        index = parse_json(
            open_checked(source, root=folder, max_bytes=_LARGEST_INDEX), escape(source), max_bytes=_LARGEST_INDEX
        )
        self.names = [_check_shard(folder, line, escape(source)) for line in _lines(index, escape(source))]
        self.places = np.array(map_array(folder / PLACES, root=folder))
        self._check_places(index)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shard_of(self) -> NDArray[np.int64]:
        """`(sample,)`, which of the files each sample lies in."""
        return self.places[:, 0]

    def array(self, number: int) -> NDArray:
        """Read the array of one sample; read-only.

        Raises:
            CorpusError: The file is gone or its bytes are not those that were written.
        """
        shard, first, size, checksum = self.places[number].tolist()
        path = self.folder / self.names[shard]
        descriptor, _, shown = open_regular(path, self.folder)
        with open(descriptor, "rb", buffering=0) as file:
            file.seek(first)
            data = file.read(size)
        if len(data) < size or zlib.crc32(data) != checksum:
            refuse("corrupt", f"{shown}: sample {number:09d} has changed since it was written; {_ADVICE}")
        return parse_array(data, f"{shown}: sample {number:09d}")

    def __getitem__(self, numbers: NDArray[np.int64]) -> NDArray:
        """Read samples of one shape, `(sample, ...)`."""
        return np.stack([self.array(number) for number in numbers.tolist()])

    def _check_places(self, index: Mapping[str, Any]) -> None:
        shown = escape(self.folder / PLACES)
        if hashlib.sha256(_array_bytes(self.places)).hexdigest() != index.get("places"):
            refuse("corrupt", f"{shown}: not the array that {INDEX} was written with; {_ADVICE}")
        if self.places.shape != (index.get("samples"), 4):
            refuse("corrupt", f"{shown}: of another size than {INDEX} says; {_ADVICE}")


_ADVICE = "expected the files as `prepare` wrote them; prepare again with --overwrite"


def _lines(index: Mapping[str, Any], shown: str) -> list[Mapping[str, Any]]:
    """Return the lines of an index, one for each file."""
    if index.get("schema") != _SCHEMA:
        refuse("bad_config", f"{shown}: index of shards, version {index.get('schema')}; expected {_SCHEMA}")
    lines = index.get("shards")
    kinds = {"name": str, "size": int, "sha256": str, "samples": int}
    if not isinstance(lines, list) or not all(
        isinstance(line, dict) and all(isinstance(line.get(name), kind) for name, kind in kinds.items())
        for line in lines
    ):
        refuse("bad_config", f"{shown}: not a list of files with name, size, sha256 and samples; {_ADVICE}")
    if sum(line["samples"] for line in lines) != index.get("samples"):
        refuse("bad_config", f"{shown}: {index.get('samples')} samples, but not in its files; {_ADVICE}")
    return lines


def _check_shard(folder: Path, line: Mapping[str, Any], shown: str) -> str:
    """Return the name of a file after a look at its size."""
    name = line["name"]
    if Path(name).name != name:
        refuse("unsafe_path", f"{shown}: names a file {escape(name)}; expected one of its own folder")
    descriptor, status, path = open_regular(folder / name, folder)
    os.close(descriptor)
    if status.st_size != line["size"]:
        reason = "truncated" if status.st_size < line["size"] else "bad_header"
        refuse(reason, f"{path}: {status.st_size:,} bytes, {line['size']:,} were written; {_ADVICE}")
    return name
