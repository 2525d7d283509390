"""Notes on a grid of timesteps: the form between a score and a pianoroll, in which corpora are cached.

Whole timesteps and rows, a few bytes a note; `pianoroll` makes them from scores and draws them into planes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("role", "start", "end", "row", "velocity", "timing")
MAX_VELOCITY = 127


@dataclass(frozen=True, eq=False)
class RollNotes:
    """Notes on the grid as columns, sorted by start; a cell holds at most one onset and sounding notes never overlap.

    Args:
        role: `(note,)` int16, index of the role.
        start, end: `(note,)` int32, timesteps, start < end.
        row: `(note,)` int16, pitch minus the grid's lowest pitch.
        velocity: `(note,)` uint8, 1–127.
        timing: `(note,)` float32, timesteps, [-0.5, 0.5).
        n_merged: Notes that shared a cell with another one and were merged into it.
        n_folded: Notes outside the pitch range, moved by octaves (drums: left out).
    """

    role: NDArray[np.int16]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    row: NDArray[np.int16]
    velocity: NDArray[np.uint8]
    timing: NDArray[np.float32]
    n_merged: int = 0
    n_folded: int = 0

    def __len__(self) -> int:
        return len(self.start)

    @property
    def columns(self) -> tuple[NDArray, ...]:
        """The six columns, in the order of `COLUMNS`."""
        return (self.role, self.start, self.end, self.row, self.velocity, self.timing)

    @classmethod
    def from_columns(cls, columns: Iterable[NDArray], *, n_merged: int = 0, n_folded: int = 0) -> "RollNotes":
        """Build from columns in the order of `COLUMNS`, of any numeric type."""
        role, start, end, row, velocity, timing = columns
        return cls(
            role.astype(np.int16, copy=False),
            start.astype(np.int32, copy=False),
            end.astype(np.int32, copy=False),
            row.astype(np.int16, copy=False),
            velocity.astype(np.uint8, copy=False),
            timing.astype(np.float32, copy=False),
            n_merged,
            n_folded,
        )

    @classmethod
    def none(cls) -> "RollNotes":
        """No notes."""
        return cls.from_columns([np.zeros(0)] * len(COLUMNS))

    def where(self, mask: NDArray | slice) -> "RollNotes":
        """Keep the notes where `mask` `(note,)` is true, or take them in the order of the numbers in it, or a run."""
        return RollNotes.from_columns(column[mask] for column in self.columns)


def pile(parts: Sequence[RollNotes]) -> RollNotes:
    """Put notes one after the other, unsorted."""
    heard = [part for part in parts if len(part)] or [RollNotes.none()]
    if len(heard) == 1:
        return RollNotes.from_columns(heard[0].columns)
    return RollNotes.from_columns(
        np.concatenate(column) for column in zip(*(part.columns for part in heard), strict=True)
    )


def join(parts: Sequence[RollNotes]) -> RollNotes:
    """Put notes together, sorted by start."""
    piled = pile(parts)
    return piled if len(piled) < 2 else piled.where(np.lexsort((piled.row, piled.role, piled.start)))


def cut(notes: RollNotes, first: int, last: int) -> RollNotes:
    """Cut the timesteps from `first` up to `last` out of `notes`, counted from `first`.

    A note that sounds over an edge is split there, as an editor would split a clip: its part inside starts or ends on
    the edge.
    """
    if not len(notes):
        return notes
    inside = notes.where((notes.start < last) & (notes.end > first))
    start, end = np.maximum(inside.start, first) - first, np.minimum(inside.end, last) - first
    timing = np.where(inside.start < first, 0.0, inside.timing)
    columns = (inside.role, start, end, inside.row, inside.velocity, timing)
    return RollNotes.from_columns(columns, n_merged=notes.n_merged, n_folded=notes.n_folded)
