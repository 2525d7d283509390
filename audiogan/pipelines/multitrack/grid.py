"""Clips as one table of notes on a common grid: what every metric of this pipeline is computed from.

A clip is a `Score` that starts at tick 0 and whose tracks are named after roles. `tabulate` quantises a list of
clips and stacks their notes into flat columns; all metrics are counts over such columns, so that thousands of clips
cost a few array operations. Pianoroll tensors are left out on purpose: models, references and users' files pass
through this one code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Notes, Score, Track

ROLES = ("drums", "bass", "piano", "guitar", "strings")


@dataclass(frozen=True)
class ClipGrid:
    """Shape of the clips that are measured.

    Args:
        n_bars: Bars per clip.
        beats_per_bar: Quarter notes per bar: 4 for 4/4, 3 for 3/4 and 6/8.
        beat_resolution: Timesteps per quarter note.
        roles: Track names in their order; a role that a clip lacks is silent there.
        drums: The roles that hold drums; they have onsets only and no pitch metrics.
    """

    n_bars: int = 4
    beats_per_bar: int = 4
    beat_resolution: int = 4
    roles: tuple[str, ...] = ROLES
    drums: tuple[str, ...] = ("drums",)

    def __post_init__(self) -> None:
        assert min(self.n_bars, self.beats_per_bar, self.beat_resolution) >= 1, "a grid holds at least one step"
        assert len(set(self.roles)) == len(self.roles), "roles have different names"
        assert set(self.drums) <= set(self.roles), "drums are roles"

    @property
    def n_timesteps(self) -> int:
        """Timesteps per bar."""
        return self.beats_per_bar * self.beat_resolution

    @property
    def n_steps(self) -> int:
        """Timesteps per clip."""
        return self.n_bars * self.n_timesteps

    @property
    def n_beats(self) -> int:
        """Beats per clip."""
        return self.n_bars * self.beats_per_bar

    @property
    def pitched(self) -> tuple[int, ...]:
        """Positions in `roles` of the pitched roles."""
        return tuple(i for i, role in enumerate(self.roles) if role not in self.drums)

    @property
    def drum_tracks(self) -> tuple[int, ...]:
        """Positions in `roles` of the drum roles."""
        return tuple(i for i, role in enumerate(self.roles) if role in self.drums)

    def names(self, tracks: Sequence[int]) -> tuple[str, ...]:
        """Names of the roles at these positions."""
        return tuple(self.roles[track] for track in tracks)


@dataclass(frozen=True)
class NoteTable:
    """Notes of many clips, sorted by (clip, track, pitch, start); no two notes of one pitch and track overlap.

    Args:
        grid: The grid that `start` and `end` count on.
        n_clips: Number of clips, silent ones included.
        clip, track: `(note,)` which clip, which role.
        start, end: `(note,)` timesteps, 0 <= start < end <= `grid.n_steps`.
        pitch, velocity: `(note,)` 0–127.
        timing: `(note,)` played onset minus grid onset, in timesteps, [-0.5, 0.5).
    """

    grid: ClipGrid
    n_clips: int
    clip: NDArray[np.int64]
    track: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]
    timing: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        """`(clip, track)`."""
        return self.n_clips, len(self.grid.roles)

    @property
    def is_drum(self) -> NDArray[np.bool_]:
        """`(note,)` whether the note is a drum hit."""
        return np.isin(self.track, self.grid.drum_tracks)


def _columns(clips: Sequence[Score], grid: ClipGrid) -> NDArray[np.int64]:
    """Stack all notes: `(note, 7)` clip, track, onset, offset, pitch, velocity, ticks per beat."""
    position = {role: i for i, role in enumerate(grid.roles)}
    labels, columns = [], []
    for i, clip in enumerate(clips):
        for track in clip.tracks:
            assert track.name in position, f"track {track.name!r} of clip {i} is not one of {grid.roles}"
            notes = track.notes
            columns.append((notes.onset, notes.offset, notes.pitch, notes.velocity))
            labels.append((i, position[track.name], clip.resolution, len(notes)))
    if not labels:
        return np.zeros((0, 7), dtype=np.int64)
    clip, role, resolution, n_notes = np.array(labels, dtype=np.int64).T
    played = [np.concatenate(column) for column in zip(*columns, strict=True)]
    return np.stack(
        [np.repeat(clip, n_notes), np.repeat(role, n_notes), *played, np.repeat(resolution, n_notes)], axis=1
    )


def round_half_up(ticks: NDArray[np.int64], beat_resolution: int, resolution: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the nearest timestep of each tick, the later one on a tie."""
    return (2 * ticks * beat_resolution + resolution) // (2 * resolution)


def tabulate(clips: Sequence[Score], grid: ClipGrid) -> NoteTable:
    """Quantise clips to the grid and return all their notes in one table.

    Starts are rounded half up; a note keeps at least one step; of notes that share a cell the longest end and the
    highest velocity win; a note is cut where the same pitch starts again; drum hits last one step. Notes that start
    after the last step are dropped.

    Args:
        clips: Scores whose track names are roles of the grid.
        grid: The grid.
    """
    clip, track, onset, offset, pitch, velocity, resolution = _columns(clips, grid).T
    start = round_half_up(onset, grid.beat_resolution, resolution)
    end = np.minimum(np.maximum(start + 1, round_half_up(offset, grid.beat_resolution, resolution)), grid.n_steps)
    end = np.where(np.isin(track, grid.drum_tracks), start + 1, end)
    timing = onset * grid.beat_resolution / resolution - start
    order = np.lexsort((start, pitch, track, clip))
    order = order[start[order] < grid.n_steps]
    clip, track, start, end, pitch, velocity, timing = (
        column[order] for column in (clip, track, start, end, pitch, velocity, timing)
    )
    if not len(order):
        return NoteTable(grid, len(clips), clip, track, start, end, pitch, velocity, timing)
    voice = (clip * len(grid.roles) + track) * 128 + pitch
    first = np.flatnonzero(np.diff(voice * (grid.n_steps + 1) + start, prepend=-1))  # one group per cell
    end, velocity = np.maximum.reduceat(end, first), np.maximum.reduceat(velocity, first)
    clip, track, pitch, start, timing, voice = (x[first] for x in (clip, track, pitch, start, timing, voice))
    end[:-1] = np.where(voice[1:] == voice[:-1], np.minimum(end[:-1], start[1:]), end[:-1])
    return NoteTable(grid, len(clips), clip, track, start, end, pitch, velocity, timing)


def quantised(clips: Sequence[Score], grid: ClipGrid) -> list[Score]:
    """Return clips on the grid by the rules of `tabulate`: a tick is a timestep, every role is there, keys are kept."""
    table = tabulate(clips, grid)
    voice = table.clip * len(grid.roles) + table.track
    edges = np.searchsorted(voice, np.arange(len(clips) * len(grid.roles) + 1))
    scores = []
    for i, clip in enumerate(clips):
        tracks = []
        for j, role in enumerate(grid.roles):
            at = slice(edges[i * len(grid.roles) + j], edges[i * len(grid.roles) + j + 1])
            notes = Notes(table.start[at], table.end[at], table.pitch[at], table.velocity[at])
            tracks.append(Track(notes, is_drum=role in grid.drums, name=role))
        scores.append(Score(grid.beat_resolution, tuple(tracks), keys=clip.keys))
    return scores


@dataclass(frozen=True)
class Pieces:
    """Notes cut at every multiple of some span: `note` says which note, `span` which multiple, `start`/`end` steps."""

    note: NDArray[np.int64]
    span: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    @property
    def length(self) -> NDArray[np.int64]:
        """Timesteps of each piece, 1 or more."""
        return self.end - self.start


def split_notes(table: NoteTable, n_steps: int) -> Pieces:
    """Cut notes at every multiple of `n_steps` timesteps (a beat, a bar); the pieces of a note follow each other."""
    first, last = table.start // n_steps, (table.end - 1) // n_steps
    n_pieces = last - first + 1
    note = np.repeat(np.arange(len(table.start)), n_pieces)
    span = np.arange(len(note)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces) + first[note]
    start = np.maximum(table.start[note], span * n_steps)
    end = np.minimum(table.end[note], (span + 1) * n_steps)
    return Pieces(note, span, start, end)


def tally(shape: tuple[int, ...], *index: NDArray[np.int64], weights: NDArray | None = None) -> NDArray[np.float64]:
    """Add up `weights` (default 1 each) into an array of `shape` at the places `index`."""
    flat = np.ravel_multi_index(index, shape)
    return np.bincount(flat, weights=weights, minlength=int(np.prod(shape))).astype(np.float64).reshape(shape)


def presence(shape: tuple[int, ...], *index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the places `index` in a boolean array of `shape`."""
    marks = np.zeros(shape, dtype=bool)
    marks[index] = True
    return marks
