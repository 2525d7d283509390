"""Sounds → cached planes → batches of notes.

`prepare` renders or reads every note once, encodes it, and keeps the planes as one array of 16-bit floats beside
columns for pitch, velocity, instrument and gain, or, with `corpus.shard_megabytes`, in tar files that are read note by
note. `open_dataset` puts notes into batches, each with a partner: another note of the same instrument. Instruments or
whole families of sources, never single notes, are split into train, valid and test, so a held-out sound is one that no
training note was recorded with.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from audiogan.corpus.arrays import map_array
from audiogan.corpus.files import write_whole
from audiogan.corpus.identity import split_of
from audiogan.corpus.notes import NoteRefusal, hz_of
from audiogan.corpus.shards import INDEX, Sample, Shards, streaming_order, write_shards
from audiogan.corpus.spreading import spread_of
from audiogan.errors import CorpusError
from audiogan.pipelines.waveform.config import Config, CorpusConfig
from audiogan.pipelines.waveform.preparing import encode_units, read_facts
from audiogan.pipelines.waveform.sources import Unit, list_units, sha256_of

SPLITS = ("train", "valid", "test")
COLUMNS = {"pitch": "<f4", "velocity": "<f4", "gain": "<f4", "instrument": "<i4", "split": "|u1"}
DISAGREEMENT_CENTS = 50.0
PARTS = "parts"
_UNKNOWN_VELOCITY = 0.8
_SCHEMA = 1
Progress = Callable[[int, int], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """What was taken of a corpus, what was refused, and how it was split.

    Args:
        n_found: Notes found, taken or not.
        n_notes: Notes in the cache.
        n_duplicates: Notes left out because they equal another one.
        n_outside: Notes left out because their pitch is not one of the model's.
        n_resumed: Notes that an earlier, stopped preparation had finished.
        n_clips: Notes by split.
        refused: Messages by reason code.
        warned: Notes by reason code of what was tolerated.
        disagreements: Labelled notes that sound more than 50 cents away: name and cents.
        licences: Notes by licence.
        families: Notes by family.
        instruments: Name, split and number of notes, those to train on first.
        sources: Name, kind, family, licence, origin, hash and number of notes.
    """

    n_found: int
    n_notes: int
    n_duplicates: int
    n_outside: int
    n_resumed: int
    n_clips: dict[str, int]
    refused: dict[str, list[str]]
    warned: dict[str, int]
    disagreements: list[dict[str, Any]]
    licences: dict[str, int]
    families: dict[str, int]
    instruments: list[dict[str, Any]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)


# ---- prepare


def prepare(
    corpus: CorpusConfig, config: Config, cache: Path, *, jobs: int | None = None, progress: Progress | None = None
) -> Summary:
    """Turn a corpus into `planes.npy` or shards, one array per column, `instruments.json` and `index.jsonl` in `cache`.

    Finished work is kept in `cache/parts` until all is done; called again with the same folder, only the rest is done.

    Args:
        corpus: Which notes.
        config: What a note is, and its representation.
        cache: Folder to fill; must exist.
        jobs: Processes; None for one per core.
        progress: Called with notes done and their number.

    Raises:
        CorpusError: A source is missing, too many notes are refused, or none is left to train on.
        UnsupportedError: An optional extra is missing: midirenderer for SoundFonts, swift-f0 for unnamed sounds.
        OutputError: The cache cannot be written.
    """
    units, refused = list_units(corpus, config)
    parts = cache / PARTS
    parts.mkdir(exist_ok=True)
    spread = spread_of(corpus.spread_by)
    n_resumed = encode_units(units, corpus, config, parts, jobs=jobs, spread=spread, progress=progress)
    facts = [read_facts(parts, unit) for unit in units]
    refused += [NoteRefusal(**values) for found in facts for values in found["refused"]]
    rows, places, n_duplicates = _unique(facts)
    outside = [name for found in facts for name in found["outside"]]
    _check_refusals(len(rows) + n_duplicates, refused, corpus.max_refused, len(outside), config)
    instruments = _deal(rows, corpus)
    if not any(row["split"] == "train" for row in rows):
        raise CorpusError(f"{len(rows)} notes, none of them to train on; expected more instruments", "no_notes")
    _fill_velocities(rows)
    sources = _sources(corpus, rows)
    origins = [{name: source[name] for name in ("licence", "origin")} for source in sources]
    lines = [row | origins[row["source"]] for row in rows]
    if corpus.shard_megabytes:
        _write_shards(cache, units, places, lines, corpus.shard_megabytes * 1_000_000)
    else:
        _write_planes(cache / "planes.npy", parts, units, places)
    _write_columns(cache, rows, instruments)
    _write_index(cache / "index.jsonl", lines, refused, sources)
    summary = _summary(rows, refused, instruments, sources, (n_duplicates, len(outside), n_resumed))
    shutil.rmtree(parts, ignore_errors=True)
    return summary


def _unique(facts: list[dict[str, Any]]) -> tuple[list[Row], list[list[int]], int]:
    """Return rows of distinct sounds in order, which notes of each unit they are, and how many were left out."""
    seen: set[str] = set()
    rows: list[Row] = []
    places: list[list[int]] = []
    n_found = 0
    for found in facts:
        kept = []
        for place, row in enumerate(found["rows"]):
            n_found += 1
            key = f"{row['sha256']} {row['pitch']:.1f} {row['velocity']}"
            if key not in seen:
                seen.add(key)
                rows.append(row)
                kept.append(place)
        places.append(kept)
    return rows, places, n_found - len(rows)


def _check_refusals(n_taken: int, refused: list[NoteRefusal], most: float, n_outside: int, config: Config) -> None:
    n_found = n_taken + len(refused)
    first = f"; the first: {refused[0].message}" if refused else ""
    if not n_taken:
        reason = refused[0].reason if refused else "no_notes"
        if n_outside:
            low, high = config.lowest_pitch, config.highest_pitch
            first = f"; {n_outside} more are outside the pitches {low} (lowest_pitch) to {high} (highest_pitch){first}"
        raise CorpusError(f"no note could be read of {n_found} sounds{first}", reason)
    if len(refused) > most * n_found:
        raise CorpusError(
            f"{len(refused)} of {n_found} notes refused, more than max_refused {most:g}{first}", refused[0].reason
        )


def _deal(rows: list[Row], corpus: CorpusConfig) -> list[str]:
    """Give each row its split, by hash of its instrument or family; return the instruments, those to train on first."""
    groups: dict[str, str] = {}
    fixed = {place.family_name: place.split for place in corpus.places if place.split}
    for row in rows:
        name = row["instrument"] if corpus.split_by == "instrument" else row["family"]
        row["group"] = name
        digest = hashlib.sha256(name.encode()).hexdigest()
        groups[name] = fixed.get(row["family"]) or split_of(digest, corpus.valid_fraction, corpus.test_fraction)
    free = sorted(
        (name for name in groups if groups[name] == "train" and not _is_fixed(name, rows, fixed)),
        key=lambda name: hashlib.sha256(name.encode()).hexdigest(),
    )
    if corpus.valid_fraction and "valid" not in groups.values() and len(free) > 1:
        groups[free[0]] = "valid"
    for row in rows:
        row["split"] = groups[row.pop("group")]
    parts = {row["instrument"]: row["split"] for row in rows}
    return sorted(parts, key=lambda name: (SPLITS.index(parts[name]), name))


def _is_fixed(name: str, rows: list[Row], fixed: dict[str, Any]) -> bool:
    return any(row["group"] == name and row["family"] in fixed for row in rows)


def _fill_velocities(rows: list[Row]) -> None:
    """Where nobody knows the velocity, take it from the level against the instrument's loudest note."""
    loudest: dict[str, float] = {}
    for row in rows:
        loudest[row["instrument"]] = max(loudest.get(row["instrument"], 0.0), row["gain"])
    for row in rows:
        if row["velocity"] is None:
            row["velocity"] = _UNKNOWN_VELOCITY * (row["gain"] / loudest[row["instrument"]]) ** 0.5


def _write_planes(path: Path, parts: Path, units: Sequence[Unit], places: list[list[int]]) -> None:
    n_notes = sum(map(len, places))
    written: NDArray | None = None
    first = 0
    for unit, kept in zip(units, places, strict=True):
        if not kept:
            continue
        planes = map_array(parts / f"{unit.key}.npy")
        if written is None:
            shape = (n_notes, *planes.shape[1:])
            written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        written[first : first + len(kept)] = planes[kept]
        first += len(kept)
    if isinstance(written, np.memmap):
        written.flush()


def _write_shards(cache: Path, units: Sequence[Unit], places: list[list[int]], lines: list[Row], size: int) -> None:
    """Write each note as a sample: its number is its row, its facts are its line of the index."""
    found = [(unit.key, place) for unit, kept in zip(units, places, strict=True) for place in kept]

    def sample(number: int) -> Sample:
        key, place = found[number]
        return map_array(cache / PARTS / f"{key}.npy")[place], lines[number]

    parts = np.array([SPLITS.index(line["split"]) for line in lines])
    numbers = {split: np.flatnonzero(parts == place) for place, split in enumerate(SPLITS)}
    write_shards(cache, numbers, sample, shard_bytes=size)


def _write_columns(cache: Path, rows: list[Row], instruments: list[str]) -> None:
    place = {name: number for number, name in enumerate(instruments)}
    columns = {
        "pitch": [row["pitch"] for row in rows],
        "velocity": [row["velocity"] for row in rows],
        "gain": [row["gain"] for row in rows],
        "instrument": [place[row["instrument"]] for row in rows],
        "split": [SPLITS.index(row["split"]) for row in rows],
    }
    for name, dtype in COLUMNS.items():
        np.save(cache / f"{name}.npy", np.array(columns[name], dtype=dtype), allow_pickle=False)
    write_whole(cache / "instruments.json", json.dumps(instruments).encode("ascii"))


def _sources(corpus: CorpusConfig, rows: list[Row]) -> list[dict[str, Any]]:
    counts = Counter(row["source"] for row in rows)
    return [
        {
            "name": Path(place.folder).name,
            "kind": place.kind,
            "family": place.family_name,
            "licence": place.licence,
            "origin": place.origin,
            "sha256": sha256_of(Path(place.folder)),
            "n_notes": counts[number],
        }
        for number, place in enumerate(corpus.places)
    ]


def _write_index(path: Path, lines: list[Row], refused: list[NoteRefusal], sources: list[dict[str, Any]]) -> None:
    index: list[dict[str, Any]] = [{"index": _SCHEMA, "notes": len(lines), "sources": sources}]
    index += [{"note": line} for line in lines]
    index += [{"refused": asdict(refusal)} for refusal in refused]
    write_whole(path, "".join(json.dumps(line) + "\n" for line in index).encode("ascii"))


def _summary(
    rows: list[Row],
    refused: list[NoteRefusal],
    instruments: list[str],
    sources: list[dict[str, Any]],
    counts: tuple[int, int, int],
) -> Summary:
    n_duplicates, n_outside, n_resumed = counts
    by_split = Counter(row["split"] for row in rows)
    n_clips = {split: by_split[split] for split in SPLITS}
    messages: dict[str, list[str]] = {}
    for refusal in refused:
        messages.setdefault(refusal.reason, []).append(refusal.message)
    per_instrument = Counter(row["instrument"] for row in rows)
    part = {row["instrument"]: row["split"] for row in rows}
    licences = Counter[str]()
    for source in sources:
        licences[source["licence"]] += source["n_notes"]
    return Summary(
        n_found=len(rows) + n_duplicates + n_outside + len(refused),
        n_notes=len(rows),
        n_duplicates=n_duplicates,
        n_outside=n_outside,
        n_resumed=n_resumed,
        n_clips=n_clips,
        refused=messages,
        warned=dict(Counter(code for row in rows for code in row["warnings"])),
        disagreements=[
            {"name": row["name"], "cents": row["disagreement"]}
            for row in rows
            if row["disagreement"] is not None and abs(row["disagreement"]) > DISAGREEMENT_CENTS
        ],
        licences=dict(licences),
        families=dict(Counter(row["family"] for row in rows)),
        instruments=[{"name": name, "split": part[name], "n_notes": per_instrument[name]} for name in instruments],
        sources=sources,
    )


# ---- dataset


class Notes(Dataset[dict[str, Tensor]]):
    """Notes of one split.

    Args:
        cache: Folder filled by `prepare`.
        split: `train`, `valid` or `test`.
    """

    def __init__(self, cache: Path, split: str) -> None:
        columns = {name: np.asarray(map_array(cache / f"{name}.npy")) for name in COLUMNS}
        self.rows = np.flatnonzero(columns["split"] == SPLITS.index(split))
        self.planes = Shards(cache) if (cache / INDEX).is_file() else map_array(cache / "planes.npy")
        self.pitch, self.velocity, self.gain = (columns[name][self.rows] for name in ("pitch", "velocity", "gain"))
        self.instrument = columns["instrument"][self.rows].astype(np.int64)
        self.instruments: list[str] = json.loads((cache / "instruments.json").read_text(encoding="ascii"))
        in_train = columns["instrument"][columns["split"] == 0]
        self.n_training_instruments = int(in_train.max(initial=-1)) + 1
        self._order = np.argsort(self.instrument, kind="stable")
        grouped = self.instrument[self._order]
        self._first = np.searchsorted(grouped, self.instrument, side="left")
        self._last = np.searchsorted(grouped, self.instrument, side="right")
        self._rank = np.empty(len(self.rows), dtype=np.int64)  # place of a note in the order by instrument
        self._rank[self._order] = np.arange(len(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: tensor[0] for name, tensor in self.fetch([index], [0]).items()}

    @property
    def order(self) -> Callable[[int], NDArray[np.int64]] | None:
        """From a seed to an order that suits shards; None where planes lie in one array."""
        planes = self.planes
        return partial(streaming_order, planes.shard_of[self.rows]) if isinstance(planes, Shards) else None

    def partner_of(self, index: int, seed: int) -> int:
        """Return another note of the same instrument, or the note itself where it is the only one."""
        n_others = int(self._last[index] - self._first[index]) - 1
        if n_others < 1:
            return index
        step = 1 + int(np.random.default_rng(seed).integers(n_others))
        place = self._first[index] + (self._rank[index] - self._first[index] + step) % (n_others + 1)
        return int(self._order[place])

    def fetch(self, indices: Sequence[int], seeds: Sequence[int]) -> dict[str, Tensor]:
        """Collect notes and a partner for each.

        Args:
            indices: Which notes.
            seeds: One number per note; decides its partner.

        Returns:
            `planes`, `partner_planes`: `(batch, plane, row, frame)` float32 in [-1, 1]; `f0`: `(batch,)` Hz; `pitch`,
            `partner_pitch`: `(batch,)` MIDI pitch, between keys where the tuning was measured; `velocity`: `(batch,)`
            in [0, 1]; `instrument`: `(batch,)` int64, a place in `instruments`, whose first
            `n_training_instruments` are those to train on; `has_partner`: `(batch,)` float32, 0 where a note is its
            own partner since its instrument has no other.
        """
        own = np.asarray(indices, dtype=np.int64)
        partner = np.array(
            [self.partner_of(int(index), seed) for index, seed in zip(own, seeds, strict=True)], dtype=np.int64
        )
        pitch = self.pitch[own]
        return {
            "planes": self._planes_of(own),
            "f0": torch.tensor([hz_of(float(value)) for value in pitch], dtype=torch.float32),
            "pitch": torch.from_numpy(pitch.astype(np.float32)),
            "velocity": torch.from_numpy(self.velocity[own].astype(np.float32)),
            "instrument": torch.from_numpy(self.instrument[own]),
            "partner_planes": self._planes_of(partner),
            "partner_pitch": torch.from_numpy(self.pitch[partner].astype(np.float32)),
            "has_partner": torch.from_numpy((partner != own).astype(np.float32)),
        }

    def _planes_of(self, indices: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.asarray(self.planes[self.rows[indices]], dtype=np.float32))


def open_dataset(cache: Path, config: Config, corpus: CorpusConfig, split: str) -> Notes:  # noqa: ARG001
    """Open one split of a prepared corpus."""
    return Notes(cache, split)
