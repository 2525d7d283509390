"""Cells that sound → notes, for many clips at once: the way back from `pianoroll.draw`.

Few cells of a roll sound, so all work is done on the numbers of those that do. Sorted voice by voice (one pitch of one
track of one clip) and in time, the cells of a note are a run of numbers without a gap.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from audiogan.representation.rollnotes import MAX_VELOCITY, RollNotes


def trace_clips(
    onset: NDArray[np.bool_], sustain: NDArray[np.bool_], velocity: NDArray, timing: NDArray
) -> list[RollNotes]:
    """Read the notes of each clip.

    A note starts at each onset cell and lasts over the sustain cells that follow it without a gap, up to the next
    onset. A sustain cell with nothing sounding before it is dropped.

    Args:
        onset, sustain: `(clip, track, timestep, pitch)`.
        velocity: `(clip, track, timestep)`, one value for all pitches, or `(clip, track, timestep, pitch)`; [0, 1].
        timing: The same shape, in timesteps, [-0.5, 0.5).

    Returns:
        The notes of each clip, sorted by start, role and row.

    Example:
        >>> onset = np.array([1, 0, 0, 1, 0, 0], dtype=bool).reshape(1, 1, 6, 1)
        >>> sustain = np.array([0, 1, 0, 0, 1, 1], dtype=bool).reshape(1, 1, 6, 1)
        >>> (notes,) = trace_clips(onset, sustain, np.ones((1, 1, 6)), np.zeros((1, 1, 6)))
        >>> notes.start.tolist(), notes.end.tolist()
        ([0, 3], [2, 6])
    """
    n_clips, n_roles, n_steps, n_pitches = onset.shape
    voice, start, length = _runs(onset, sustain)
    track, row = np.divmod(voice, n_pitches)  # tracks of all clips, counted through
    clip, role = np.divmod(track, n_roles)
    order = np.argsort(((clip * n_steps + start) * n_roles + role) * n_pitches + row)
    clip, role, row, start, length = (column[order] for column in (clip, role, row, start, length))
    step = (clip * n_roles + role) * n_steps + start
    cell = step if velocity.ndim < onset.ndim else step * n_pitches + row
    loudness = np.clip(np.rint(velocity.reshape(-1)[cell] * MAX_VELOCITY), 1, MAX_VELOCITY)
    notes = RollNotes.from_columns((role, start, start + length, row, loudness, timing.reshape(-1)[cell]))
    edges = np.searchsorted(clip, np.arange(n_clips + 1)).tolist()
    return [notes.where(slice(first, last)) for first, last in pairwise(edges)]


def _runs(
    onset: NDArray[np.bool_], sustain: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return voice (a number that counts pitches, then tracks, then clips), start and length of each note."""
    n_steps, n_pitches = onset.shape[-2:]
    # An onset ends the run before it whatever the sustain plane says, so a cell is an onset or held, never both.
    starts, held = (
        _by_voice(np.flatnonzero(cells), n_steps, n_pitches) for cells in (onset, np.greater(sustain, onset))
    )
    marked = np.sort(np.concatenate([2 * starts, 2 * held + 1]))
    cell, is_held = marked >> 1, (marked & 1).astype(bool)
    first = np.flatnonzero(~is_held | (np.diff(cell, prepend=-2) != 1) | (cell % n_steps == 0))
    length = np.diff(first, append=len(cell))
    kept = ~is_held[first]  # the other runs have no onset
    voice, start = np.divmod(cell[first[kept]], n_steps)
    return voice, start, length[kept]


def _by_voice(cells: NDArray[np.int64], n_steps: int, n_pitches: int) -> NDArray[np.int64]:
    """Count cells of `(..., timestep, pitch)` as cells of `(..., pitch, timestep)`."""
    step, row = np.divmod(cells, n_pitches)
    track, step = np.divmod(step, n_steps)
    return (track * n_pitches + row) * n_steps + step
