"""Songs → cached notes on the grid → batches of clips.

`prepare` reads every song once and keeps its notes as columns of whole timesteps, a few bytes a note, so a corpus of a
hundred thousand songs still fits a laptop; with `corpus.shard_megabytes` they lie in tar files that are read song by
song. `open_dataset` draws clips into rolls on the way into a batch, transposed anew each time or moved to the home key.
Clips are windows of `n_bars` bars at any bar line of a span of one metre; songs, not clips, are split into train, valid
and test.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
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
from audiogan.corpus.index import Entry, Index, scan_all
from audiogan.corpus.shards import INDEX, Sample, Shards, streaming_order, write_shards
from audiogan.corpus.spreading import spread_of
from audiogan.errors import CorpusError
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.songs import Part, read_parts
from audiogan.representation.pianoroll import mark
from audiogan.representation.rollnotes import COLUMNS, RollNotes, cut, pile
from audiogan.representation.tonality import home_move, transposed, weights_of

MAX_TRANSPOSE = (-5, 6)
SPLITS = ("train", "valid", "test")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Stretch:
    """A span of one metre in a song, as it lies in the cache.

    Args:
        song: Number of the song's line in the index.
        split: `train`, `valid` or `test`.
        first, last: Its notes are rows `first` to `last - 1` of the cached columns, or, in shards, a sample.
        n_bars: Whole bars, the last one filled up.
    """

    song: int
    split: str
    first: int
    last: int
    n_bars: int


@dataclass(frozen=True)
class Summary:
    """What was taken of a corpus and what was refused."""

    n_files: int
    n_songs: int
    n_duplicates: int
    n_notes: int
    n_bars: int
    n_clips: dict[str, int]
    n_merged: int
    n_folded: int
    refused: dict[str, list[str]]
    warned: dict[str, int]
    licences: dict[str, int]
    songs: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)


# ---- prepare


def prepare(
    corpus: CorpusConfig, config: Config, cache: Path, *, jobs: int | None = None, progress: Progress | None = None
) -> Summary:
    """Read a corpus into `cache`: `index.jsonl`, `stretches.json` and one array per column of notes, or shards.

    Args:
        corpus: Which songs.
        config: Grid and tracks.
        cache: Folder to fill; must exist.
        jobs: Processes that read; None for one per core.
        progress: Called with songs done and their number.

    Raises:
        CorpusError: A source is missing, too many files are refused, or no clip is left to train on.
    """
    spread = spread_of(corpus.spread_by)
    index = scan_all(
        [(Path(place.folder), place.licence, place.origin) for place in corpus.places],
        valid_fraction=corpus.valid_fraction,
        test_fraction=corpus.test_fraction,
        jobs=jobs,
        spread=spread,
        progress=progress,
    )
    _check_refusals(index, corpus.max_refused)
    entries = list(index.entries)
    read = read_parts(entries, config.grid, config.roles, jobs=jobs, spread=spread)
    stretches, columns = _collect(entries, read)
    index.write(cache / "index.jsonl")
    write_whole(cache / "stretches.json", json.dumps([asdict(stretch) for stretch in stretches]).encode())
    if corpus.shard_megabytes:
        _write_shards(cache, entries, stretches, columns, corpus.shard_megabytes * 1_000_000)
    else:
        _write_columns(cache, columns)
    opened = {split: open_dataset(cache, config, corpus, split) for split in SPLITS}
    if corpus.shard_megabytes:
        for split, clips in opened.items():
            np.save(cache / f"windows-{split}.npy", clips.windows, allow_pickle=False)
    n_clips = {split: len(clips) for split, clips in opened.items()}
    if n_clips["train"] == 0:
        raise CorpusError(
            f"{len(entries)} songs, but no clip of {config.n_bars} bars of {config.metre} with "
            f"{corpus.min_tracks} tracks to train on; lower corpus.min_tracks or add songs",
            "no_notes",
        )
    return _summary(index, stretches, columns, n_clips)


def _write_shards(
    cache: Path, entries: Sequence[Entry], stretches: Sequence[Stretch], columns: Sequence[RollNotes], shard_bytes: int
) -> None:
    """Write each stretch as a sample: `(column, note)` float32, which holds whole numbers up to 2²⁴ exactly."""

    def sample(number: int) -> Sample:
        stretch, entry = stretches[number], entries[stretches[number].song]
        song = {"name": entry.path.name, "sha256": entry.sha256, "licence": entry.licence, "origin": entry.origin}
        table = np.stack([column.astype("<f4") for column in columns[number].columns])
        assert table.max(initial=0) < 2**24, "a song of weeks"
        return table, {**song, "song": stretch.song, "split": stretch.split, "n_bars": stretch.n_bars}

    of_split = np.array([SPLITS.index(stretch.split) for stretch in stretches], dtype=np.int64)
    numbers = {split: np.flatnonzero(of_split == place) for place, split in enumerate(SPLITS)}
    write_shards(cache, numbers, sample, shard_bytes=shard_bytes)


def keep_split(cache: Path, split: str) -> None:
    """Throw all songs but those of one split out of a prepared corpus; what stays becomes `test`, in plain arrays.

    Raises:
        CorpusError: The split holds no song.
    """
    stored = [Stretch(**values) for values in json.loads((cache / "stretches.json").read_text(encoding="utf-8"))]
    kept = [(number, stretch) for number, stretch in enumerate(stored) if stretch.split == split]
    if not kept:
        raise CorpusError(f"no song in the {split} split; expected a corpus with held-out songs", "no_notes")
    shards = Shards(cache) if (cache / INDEX).is_file() else None
    if shards:
        parts = [RollNotes.from_columns(shards.array(number)) for number, _ in kept]
        for path in (cache / INDEX, *(cache / name for name in shards.names), *cache.glob("windows-*.npy")):
            path.unlink()
    else:
        columns = [np.array(map_array(cache / f"{name}.npy")) for name in COLUMNS]  # copies: the files are replaced
        parts = [RollNotes.from_columns(column[one.first : one.last] for column in columns) for _, one in kept]
    _write_columns(cache, parts)
    ends = np.cumsum([len(part) for part in parts]).tolist()
    moved = [
        replace(stretch, split="test", first=end - len(part), last=end)
        for (_, stretch), part, end in zip(kept, parts, ends, strict=True)
    ]
    write_whole(cache / "stretches.json", json.dumps([asdict(stretch) for stretch in moved]).encode())


def _write_columns(cache: Path, notes: Sequence[RollNotes]) -> None:
    for name, column in zip(COLUMNS, pile(notes).columns, strict=True):
        np.save(cache / f"{name}.npy", column, allow_pickle=False)


def _check_refusals(index: Index, most: float) -> None:
    n_files = len(index.entries) + len(index.refused)
    if not index.entries:
        first = f"; the first: {index.refused[0].message}" if index.refused else ""
        raise CorpusError(f"no song could be read of {n_files} files{first}", "no_notes")
    if len(index.refused) > most * n_files:
        raise CorpusError(
            f"{len(index.refused)} of {n_files} files refused, more than max_refused {most:g}; "
            f"the first: {index.refused[0].message}",
            index.refused[0].reason,
        )


def _collect(entries: Sequence[Entry], read: Sequence[list[Part] | str]) -> tuple[list[Stretch], list[RollNotes]]:
    stretches: list[Stretch] = []
    columns: list[RollNotes] = []
    first = 0
    for song, (entry, parts) in enumerate(zip(entries, read, strict=True)):
        if isinstance(parts, str):  # it could be read a moment ago: the file changed under our hands
            raise CorpusError(parts, "corrupt")
        for notes, n_bars in parts:
            stretches.append(Stretch(song, entry.split, first, first + len(notes), n_bars))
            columns.append(notes)
            first += len(notes)
    return stretches, columns


def _summary(index: Index, stretches: list[Stretch], columns: list[RollNotes], n_clips: dict[str, int]) -> Summary:
    refused: dict[str, list[str]] = {}
    for refusal in index.refused:
        refused.setdefault(refusal.reason, []).append(refusal.message)
    warned: dict[str, int] = {}
    licences: dict[str, int] = {}
    for entry in index.entries:
        licences[entry.licence] = licences.get(entry.licence, 0) + 1
        for code in entry.warnings:
            warned[code] = warned.get(code, 0) + 1
    return Summary(
        n_files=len(index.entries) + len(index.refused) + len(index.duplicates),
        n_songs=len(index.entries),
        n_duplicates=len(index.duplicates),
        n_notes=sum(stretch.last - stretch.first for stretch in stretches),
        n_bars=sum(stretch.n_bars for stretch in stretches),
        n_clips=n_clips,
        n_merged=sum(notes.n_merged for notes in columns),
        n_folded=sum(notes.n_folded for notes in columns),
        refused=refused,
        warned=warned,
        licences=licences,
        songs=[
            {"name": e.path.name, "sha256": e.sha256, "licence": e.licence, "origin": e.origin, "split": e.split}
            for e in index.entries
        ],
    )


# ---- dataset


class Clips(Dataset[dict[str, Tensor]]):
    """Clips of one split, drawn when asked for.

    Args:
        cache: Folder filled by `prepare`.
        config: The same grid and tracks.
        corpus: Which windows count as clips.
        split: `train`, `valid` or `test`.
    """

    def __init__(self, cache: Path, config: Config, corpus: CorpusConfig, split: str) -> None:
        stored = json.loads((cache / "stretches.json").read_text(encoding="utf-8"))
        self.numbers = [number for number, values in enumerate(stored) if values["split"] == split]
        self.stretches = [Stretch(**stored[number]) for number in self.numbers]
        self.shards = Shards(cache) if (cache / INDEX).is_file() else None
        self.columns = {} if self.shards else {name: map_array(cache / f"{name}.npy") for name in COLUMNS}
        self.config = config
        self.transpose = corpus.transpose and split == "train" and not config.home_key
        self._is_drum = np.array([role.is_drum for role in config.roles])
        known = cache / f"windows-{split}.npy"  # beside shards, which are not read for it again
        self.windows = np.array(map_array(known)) if known.is_file() else self._find_windows(corpus)
        self._longest = None if self.shards else [self._longest_note(number) for number in range(len(self.stretches))]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: tensor[0] for name, tensor in self.fetch([index], [0]).items()}

    @property
    def order(self) -> Callable[[int], NDArray[np.int64]] | None:
        """From a seed to an order that suits shards; None where notes lie in plain arrays."""
        if self.shards is None:
            return None
        return partial(streaming_order, self.shards.shard_of[np.array(self.numbers)[self.windows[:, 0]]])

    def _notes(self, number: int) -> RollNotes:
        """Return the notes of a stretch of this split."""
        if self.shards:
            return RollNotes.from_columns(self.shards.array(self.numbers[number]))
        rows = slice(self.stretches[number].first, self.stretches[number].last)
        return RollNotes.from_columns(self.columns[name][rows] for name in COLUMNS)

    def _longest_note(self, number: int) -> int:
        notes = self._notes(number)
        return int((notes.end - notes.start).max(initial=0))

    def _find_windows(self, corpus: CorpusConfig) -> NDArray[np.int64]:
        """Return `(clip, 2)`: the number of a stretch of this split, and the bar at which a clip starts."""
        found = [(number, bar) for number in range(len(self.stretches)) for bar in self._clip_bars(number, corpus)]
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def _clip_bars(self, number: int, corpus: CorpusConfig) -> NDArray[np.int64]:
        """Bars at which a clip can start, by the recipe's filter."""
        stretch, roles, n_bars = self.stretches[number], self.config.roles, self.config.n_bars
        notes = self._notes(number)
        counts = np.zeros((len(roles), stretch.n_bars + 1), dtype=np.int64)
        np.add.at(counts, (notes.role, notes.start // self.config.grid.n_timesteps + 1), 1)
        counts = np.cumsum(counts, axis=1)
        in_clip = counts[:, n_bars:] - counts[:, : max(0, counts.shape[1] - n_bars)]  # (track, first bar)
        enough = (in_clip > 0).sum(axis=0) >= min(corpus.min_tracks, len(roles))
        for role, count in zip(roles, in_clip, strict=True):
            if role.is_drum:
                enough &= count >= corpus.min_drum_onsets
            elif role.name.lower() == "bass":
                enough &= count >= corpus.min_bass_onsets
        enough[np.arange(len(enough)) % corpus.stride_bars != 0] = False
        return np.flatnonzero(enough)

    def notes_of(self, index: int) -> RollNotes:
        """Return the notes of a clip, as they are in the song."""
        number, bar = self.windows[index]
        grid, notes = self.config.grid, self._notes(number)
        first, last = int(bar * grid.n_timesteps), int((bar + grid.n_bars) * grid.n_timesteps)
        low = 0 if self._longest is None else int(np.searchsorted(notes.start, first - self._longest[number]))
        high = int(np.searchsorted(notes.start, last))
        return cut(notes.where(slice(low, high)), first, last)

    def song_of(self, index: int) -> int:
        """Return the number of the song that a clip comes from."""
        return self.stretches[self.windows[index][0]].song

    def fetch(self, indices: Sequence[int], seeds: Sequence[int]) -> dict[str, Tensor]:
        """Draw clips.

        Args:
            indices: Which clips.
            seeds: One number per clip; decides its transposition.

        Returns:
            `roll`: `(batch, plane, track, bar, timestep, pitch)` uint8, planes onset and sustain; `velocity` and
            `timing`: `(batch, track, bar, timestep)` float32, of the loudest note that starts there, in [0, 1] and
                [-0.5, 0.5).
        """
        grid, n_roles = self.config.grid, len(self.config.roles)
        n_steps = grid.n_bars * grid.n_timesteps
        roll = np.zeros((len(indices), 2, n_roles, n_steps, grid.n_pitches), dtype=np.uint8)
        velocity = np.zeros((len(indices), n_roles, n_steps), dtype=np.float32)
        timing = np.zeros_like(velocity)
        for place, (index, seed) in enumerate(zip(indices, seeds, strict=True)):
            notes = self.notes_of(index)
            if self.config.home_key:
                notes = self._home(notes)
            elif self.transpose:
                notes = self._moved(notes, seed)
            mark(roll[place], notes)
            quiet_first = np.argsort(notes.velocity, kind="stable")
            cells = (notes.role[quiet_first], notes.start[quiet_first])
            velocity[place][cells] = notes.velocity[quiet_first] / np.float32(127)
            timing[place][cells] = notes.timing[quiet_first]
        bars = (len(indices), n_roles, grid.n_bars, grid.n_timesteps)
        return {
            "roll": torch.from_numpy(roll.reshape(bars[0], 2, *bars[1:], grid.n_pitches)),
            "velocity": torch.from_numpy(velocity.reshape(bars)),
            "timing": torch.from_numpy(timing.reshape(bars)),
        }

    def _home(self, notes: RollNotes) -> RollNotes:
        """Transpose the pitched tracks to the home key."""
        grid = self.config.grid
        by = home_move(weights_of(notes, self._is_drum, grid.lowest_pitch))
        return transposed(notes, by, self._is_drum, grid.n_pitches)

    def _moved(self, notes: RollNotes, seed: int) -> RollNotes:
        """Transpose the pitched tracks together, as far as all their notes stay on the grid."""
        drums = self._is_drum[notes.role]
        rows = notes.row[~drums]
        if not len(rows):
            return notes
        low = max(MAX_TRANSPOSE[0], -int(rows.min()))
        high = min(MAX_TRANSPOSE[1], self.config.n_pitches - 1 - int(rows.max()))
        by = np.random.default_rng(seed).integers(low, high + 1)
        row = np.where(drums, notes.row, notes.row + by)
        return RollNotes.from_columns((notes.role, notes.start, notes.end, row, notes.velocity, notes.timing))


def open_dataset(cache: Path, config: Config, corpus: CorpusConfig, split: str) -> Clips:
    """Open one split of a prepared corpus."""
    return Clips(cache, config, corpus, split)
