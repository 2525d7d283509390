"""A piece of music as notes on a grid of ticks: what a MIDI file says, without the file.

Times are whole ticks; `Score.resolution` ticks make one beat (a quarter note), so a time in beats is the exact fraction
`tick / resolution`. The notes of a track are columns of numbers, not objects: a corpus holds millions of them.
Nothing here reads or writes files (`audiogan.corpus.midi` does), and nothing here knows about pianorolls.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("onset", "offset", "pitch", "velocity")
_PITCH_BITS = _VELOCITY_BITS = 7
_KEY_BITS = 63  # of a signed 64-bit number


class Note(NamedTuple):
    """One note: `onset` and `offset` in ticks (onset < offset), `pitch` and `velocity` in 0–127."""

    onset: int
    offset: int
    pitch: int
    velocity: int


def _out_of_order(onset: NDArray[np.int64], pitch: NDArray[np.int64]) -> bool:
    """Whether notes are not strictly ascending by onset, then pitch."""
    later = np.diff(onset)
    return not bool(((later > 0) | ((later == 0) & (np.diff(pitch) > 0))).all())


def _sort_together(columns: Sequence[NDArray[np.int64]], sizes: Sequence[int]) -> list[NDArray[np.int64]] | None:
    """Sort the notes of several tracks as `Notes` does, each among its own; `None` where one number cannot hold a note.

    Sorting notes packed into one number each is several times faster than `np.lexsort` over their columns.
    """
    onset, offset, pitch, velocity = columns
    length = offset - onset
    onset_bits, length_bits = int(onset.max()).bit_length(), int(length.max()).bit_length()
    n_bits = len(sizes).bit_length() + onset_bits + _PITCH_BITS + length_bits + _VELOCITY_BITS
    seven = pitch | velocity
    if n_bits > _KEY_BITS or int((onset | length | seven).min()) < 0 or int(seven.max()) >= 1 << _VELOCITY_BITS:
        return None
    key = np.repeat(np.arange(len(sizes)), sizes)
    for column, bits in (
        (onset, onset_bits),
        (pitch, _PITCH_BITS),
        (length, length_bits),  # orders like the offset, where the onset is the same
        (velocity, _VELOCITY_BITS),
    ):
        key <<= bits
        key |= column
    key.sort(kind="stable")  # quicker than the default where much is in order already
    fields = []
    for bits in (_VELOCITY_BITS, length_bits, _PITCH_BITS, onset_bits):
        fields.append(key & ((1 << bits) - 1))
        key >>= bits
    velocity, length, pitch, onset = fields
    return [onset, onset + length, pitch, velocity]


@dataclass(frozen=True, eq=False)
class Notes:
    """Notes as columns, sorted by (onset, pitch, offset, velocity); read-only.

    Args:
        onset: `(note,)` int64, ticks, 0 or more.
        offset: `(note,)` int64, ticks, after `onset`.
        pitch: `(note,)` int64, 0–127.
        velocity: `(note,)` int64, 1–127.
    """

    onset: NDArray[np.int64]
    offset: NDArray[np.int64]
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]

    def __post_init__(self) -> None:
        columns = [np.asarray(getattr(self, name), dtype=np.int64) for name in COLUMNS]
        assert len({column.shape for column in columns}) == 1, "columns of one length"
        assert columns[0].ndim == 1, "columns, not tables"
        onset, offset, pitch, velocity = columns
        # Files are nearly always in order of onset: then only chords need sorting, and most need none.
        order = np.lexsort((velocity, offset, pitch, onset)) if _out_of_order(onset, pitch) else slice(None)
        self._keep([column[order].copy() if isinstance(order, slice) else column[order] for column in columns])

    def _keep(self, columns: Sequence[NDArray[np.int64]]) -> None:
        for name, column in zip(COLUMNS, columns, strict=True):
            column.flags.writeable = False
            object.__setattr__(self, name, column)

    @classmethod
    def _of_sorted(cls, columns: Sequence[NDArray[np.int64]]) -> "Notes":
        """Take columns of our own that are sorted already, as they are."""
        notes = object.__new__(cls)
        notes._keep(columns)
        return notes

    @classmethod
    def from_list(cls, notes: list[Note]) -> "Notes":
        """Build from note tuples in any order."""
        table = np.array(notes, dtype=np.int64).reshape(-1, 4)
        return cls(table[:, 0], table[:, 1], table[:, 2], table[:, 3])

    @classmethod
    def of_tracks(cls, columns: Sequence[NDArray[np.int64]], sizes: Sequence[int]) -> "list[Notes]":
        """Build the notes of several tracks with one sort.

        Args:
            columns: As `COLUMNS`, each with the tracks one after the other.
            sizes: Notes of each track, in any order.
        """
        assert sum(sizes) == len(columns[0]), "every note belongs to a track"
        stops = list(accumulate(sizes))
        cuts = [slice(stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]
        in_order = _sort_together(columns, sizes) if len(columns[0]) else None
        if in_order is None:
            return [cls(*(column[cut] for column in columns)) for cut in cuts]
        return [cls._of_sorted([column[cut] for column in in_order]) for cut in cuts]

    def __len__(self) -> int:
        return len(self.onset)

    def __iter__(self) -> Iterator[Note]:
        columns = (self.onset.tolist(), self.offset.tolist(), self.pitch.tolist(), self.velocity.tolist())
        return (Note(*values) for values in zip(*columns, strict=True))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Notes):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in COLUMNS)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name).tobytes() for name in COLUMNS))

    def where(self, mask: NDArray[np.bool_]) -> "Notes":
        """Keep the notes where `mask` `(note,)` is true."""
        return Notes._of_sorted([getattr(self, name)[mask] for name in COLUMNS])


@dataclass(frozen=True)
class Track:
    """One instrument: its notes, its General MIDI `program` (0–127; kit number for drums) and its name."""

    notes: Notes
    program: int = 0
    is_drum: bool = False
    name: str = ""


class Tempo(NamedTuple):
    """From `tick` on, `qpm` quarter notes per minute."""

    tick: int
    qpm: float


class Metre(NamedTuple):
    """From `tick` on, bars of `numerator` notes of length 1/`denominator`."""

    tick: int
    numerator: int
    denominator: int


class Key(NamedTuple):
    """From `tick` on, `sharps` sharps (negative: flats, -7–7), major or minor."""

    tick: int
    sharps: int
    is_minor: bool


@dataclass(frozen=True)
class Score:
    """A whole piece. Empty `tempos` mean 120 qpm, empty `metres` 4/4, empty `keys` an unknown key.

    Args:
        resolution: Ticks per beat (quarter note), 1–32767.
        tracks: Instruments, in file order.
        tempos, metres, keys: Changes sorted by tick, at most one per tick.
    """

    resolution: int
    tracks: tuple[Track, ...]
    tempos: tuple[Tempo, ...] = ()
    metres: tuple[Metre, ...] = ()
    keys: tuple[Key, ...] = ()

    @property
    def n_notes(self) -> int:
        """Number of notes in all tracks."""
        return sum(len(track.notes) for track in self.tracks)

    @property
    def n_ticks(self) -> int:
        """Last offset of any note, in ticks; 0 without notes."""
        return max((int(track.notes.offset.max()) for track in self.tracks if len(track.notes)), default=0)

    def with_tracks(self, tracks: tuple[Track, ...]) -> "Score":
        """The same piece with other tracks."""
        return replace(self, tracks=tracks)
