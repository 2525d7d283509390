"""Score ↔ pianoroll: notes of a piece as planes over (track, bar, timestep, pitch), and back.

The grid is in beats, so tempo never moves it: one beat is `beat_resolution` timesteps. Four planes hold what the grid
can say: **onset** and **sustain** (0 or 1; two planes, because one cannot tell a repeated note from a held one),
**velocity** (0–1) and **timing** (-0.5 to 0.5 timesteps, what rounding took away), the last two at onset cells only.
Between score and planes stands `RollNotes`, the same notes as columns of whole timesteps: corpora are cached in that
form and drawn into planes window by window. Written for MuseGAN's task (arXiv 1709.06298), whose single plane merges
repeated notes; tempo, metre and key stay with the `Score`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Metre, Notes, Score, Tempo, Track
from audiogan.representation.rollnotes import MAX_VELOCITY, RollNotes, cut
from audiogan.representation.tracing import trace_clips

PLANES = ("onset", "sustain", "velocity", "timing")
TICKS_PER_BEAT = 480
DEFAULT_VELOCITY = 100

# General MIDI percussion keys folded into nine classes, named by the key that is written.
GM9 = {
    **dict.fromkeys((35, 36), 36),
    **dict.fromkeys((37, 38, 39, 40), 38),
    **dict.fromkeys((42, 44), 42),
    46: 46,
    **dict.fromkeys((41, 43), 43),
    **dict.fromkeys((45, 47), 47),
    **dict.fromkeys((48, 50), 50),
    **dict.fromkeys((49, 52, 55, 57), 49),
    **dict.fromkeys((51, 53, 59), 51),
}
DRUM_MAPS = {"gm9": GM9, "gm47": {key: key for key in range(35, 82)}}


@dataclass(frozen=True)
class Role:
    """One track of the roll.

    Args:
        name: Name of the written track.
        program: General MIDI program written, 0–127 (kit number for drums).
        is_drum: Whether the track is percussion.
        sources: Programs (0–127) that feed this role when a score is read; ignored for drums.
    """

    name: str
    program: int
    is_drum: bool = False
    sources: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Grid:
    """Where cells lie in time and pitch.

    Args:
        beat_resolution: Timesteps per beat (quarter note).
        n_bars: Bars in one clip.
        numerator, denominator: The metre, 4/4, 3/4 or 6/8.
        lowest_pitch, n_pitches: MIDI pitches of the rows, `lowest_pitch` to `lowest_pitch + n_pitches - 1`.
        drum_map: `"gm9"` (nine classes) or `"gm47"` (every key for itself).
    """

    beat_resolution: int = 12
    n_bars: int = 4
    numerator: int = 4
    denominator: int = 4
    lowest_pitch: int = 24
    n_pitches: int = 84
    drum_map: str = "gm9"

    @property
    def n_timesteps(self) -> int:
        """Timesteps per bar."""
        return self.beat_resolution * self.numerator * 4 // self.denominator

    @property
    def ticks_per_timestep(self) -> int:
        """Ticks of a written score in one timestep."""
        return TICKS_PER_BEAT // self.beat_resolution

    @property
    def drum_pitches(self) -> tuple[int, ...]:
        """Percussion keys that can be written, ascending."""
        keys = sorted(set(DRUM_MAPS[self.drum_map].values()))
        return tuple(key for key in keys if 0 <= key - self.lowest_pitch < self.n_pitches)


# ---- encode


def assign_roles(score: Score, roles: tuple[Role, ...]) -> list[int | None]:
    """Give the index of the role that each track of `score` plays, or None for a track that has none.

    A track whose name is the role's name comes first; then drums and the programs of `Role.sources`.
    """
    by_name = {role.name.lower(): index for index, role in enumerate(roles)}
    assigned: list[int | None] = []
    for track in score.tracks:
        named = by_name.get(track.name.strip().lower())
        if named is not None and roles[named].is_drum == track.is_drum:
            assigned.append(named)
            continue
        matches = (
            index
            for index, role in enumerate(roles)
            if role.is_drum == track.is_drum and (track.is_drum or track.program in role.sources)
        )
        assigned.append(next(matches, None))
    return assigned


def to_timesteps(ticks: NDArray[np.int64], resolution: int, beat_resolution: int) -> NDArray[np.int64]:
    """Round ticks half up to whole timesteps, exactly.

    Args:
        ticks: Any shape.
        resolution: Ticks per beat.
        beat_resolution: Timesteps per beat.

    Example:
        >>> to_timesteps(np.array([0, 59, 60, 480]), 480, 4).tolist()
        [0, 0, 1, 4]
    """
    return (2 * beat_resolution * ticks + resolution) // (2 * resolution)


def quantise(
    score: Score, grid: Grid, roles: tuple[Role, ...], *, first_tick: int = 0, end_tick: int | None = None
) -> RollNotes:
    """Put the notes that start from `first_tick` on and before `end_tick` on the grid, in timesteps from the first.

    Starts are rounded half up and the rest goes to `timing`; ends are rounded, at least one timestep after the start;
    drum hits have no length and take one timestep.
    Two notes in one cell keep the later end and the higher velocity; a note still sounding at the next onset of its
    pitch ends there.

    Args:
        score: Any score; tracks without a role are left out.
        grid: Cells.
        roles: Tracks of the roll.
        first_tick: Where timestep 0 lies, in ticks of the score.
        end_tick: Notes from here on are left out, and one that rounds to it takes the timestep before; None for none.
    """
    parts, n_folded = [], 0
    for track, role in zip(score.tracks, assign_roles(score, roles), strict=True):
        if role is None:
            continue
        notes = track.notes
        inside = notes.onset >= first_tick
        if end_tick is not None:
            inside &= notes.onset < end_tick
        is_drum = roles[role].is_drum
        row, fits = _rows(notes.pitch, grid, is_drum)
        n_folded += int((inside & (~fits if is_drum else row != notes.pitch - grid.lowest_pitch)).sum())
        kept = inside & fits
        onset = notes.onset - first_tick
        start = to_timesteps(onset, score.resolution, grid.beat_resolution)
        if end_tick is not None:
            n_timesteps = -(-(end_tick - first_tick) * grid.beat_resolution // score.resolution)
            start = np.minimum(start, n_timesteps - 1)
        timing = (onset * grid.beat_resolution - start * score.resolution) / score.resolution
        timing = np.minimum(timing, np.nextafter(np.float32(0.5), np.float32(0)))
        end = to_timesteps(notes.offset - first_tick, score.resolution, grid.beat_resolution)
        end = start + 1 if is_drum else np.maximum(end, start + 1)
        columns = (np.full(len(notes), role), start, end, row, notes.velocity, timing)
        parts.append(np.stack([column[kept] for column in columns]))
    table = np.concatenate(parts, axis=1) if parts else np.zeros((6, 0))
    return merge(table, n_folded)


def _rows(pitch: NDArray[np.int64], grid: Grid, is_drum: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows of the grid for MIDI pitches, and which of them can be shown.

    Melodic pitches fold by octaves, drums without a class drop out.
    """
    if is_drum:
        table = np.full(128, -1)
        for key, written in DRUM_MAPS[grid.drum_map].items():
            table[key] = written - grid.lowest_pitch
        row = table[pitch]
        return row, (row >= 0) & (row < grid.n_pitches)
    row = pitch - grid.lowest_pitch
    row = np.where(row < 0, row % 12, row)
    top = grid.n_pitches - 1
    row = np.where(row > top, top - (top - row) % 12, row)
    return row, (row >= 0) & (row <= top)


def merge(table: NDArray[np.float64], n_folded: int) -> RollNotes:
    """Make one note of each occupied cell and cut notes at the next onset of their pitch.

    Args:
        table: `(6, note)`, rows in the order of `rollnotes.COLUMNS`, in any order of notes.
        n_folded: Handed on.
    """
    role, start, end, row, velocity, timing = table
    order = np.lexsort((-velocity, start, row, role))
    role, start, end, row, velocity, timing = table[:, order]
    same_voice = (np.diff(role) == 0) & (np.diff(row) == 0)
    first = np.ones(len(start), dtype=bool)
    first[1:] = ~(same_voice & (np.diff(start) == 0))
    heads = np.flatnonzero(first)
    if len(heads):
        end = np.maximum.reduceat(end, heads)
    role, start, row, velocity, timing = (column[heads] for column in (role, start, row, velocity, timing))
    if len(start) > 1:
        same_voice = (np.diff(role) == 0) & (np.diff(row) == 0)
        end[:-1] = np.where(same_voice, np.minimum(end[:-1], start[1:]), end[:-1])
    order = np.lexsort((row, role, start))
    columns = (column[order] for column in (role, start, end, row, velocity, timing))
    return RollNotes.from_columns(columns, n_merged=table.shape[1] - len(heads), n_folded=n_folded)


def mark(planes: NDArray, notes: RollNotes) -> None:
    """Set onsets and sustains in place.

    Args:
        planes: `(plane, track, timestep, pitch)`, any numeric type; planes 0 and 1 get a 1 where notes start and go on.
        notes: Notes within the timesteps.
    """
    planes[0][notes.role, notes.start, notes.row] = 1
    held = notes.end - notes.start - 1
    owner = np.repeat(np.arange(len(notes)), held)
    ahead = np.arange(len(owner)) - np.repeat(np.cumsum(held) - held, held)
    planes[1][notes.role[owner], notes.start[owner] + 1 + ahead, notes.row[owner]] = 1


def draw(notes: RollNotes, grid: Grid, n_roles: int) -> NDArray[np.float32]:
    """Draw notes into planes.

    Args:
        notes: Notes within the first `grid.n_bars` bars, as `cut` gives them.
        grid: Cells.
        n_roles: Tracks of the roll.

    Returns:
        `(4, track, bar, timestep, pitch)` float32; planes as in `PLANES`.
    """
    planes = np.zeros((4, n_roles, grid.n_bars * grid.n_timesteps, grid.n_pitches), dtype=np.float32)
    cells = (notes.role, notes.start, notes.row)
    mark(planes, notes)
    planes[2][cells] = notes.velocity / np.float32(MAX_VELOCITY)
    planes[3][cells] = notes.timing
    return planes.reshape(4, n_roles, grid.n_bars, grid.n_timesteps, grid.n_pitches)


def encode(score: Score, grid: Grid, roles: tuple[Role, ...], *, first_tick: int = 0) -> NDArray[np.float32]:
    """Turn the first `grid.n_bars` bars of a score into planes.

    Returns:
        `(4, track, bar, timestep, pitch)` float32; planes as in `PLANES`.

    Example:
        >>> from audiogan.corpus.score import Note, Notes, Score, Track
        >>> piano = Track(Notes.from_list([Note(0, 480, 60, 100)]), name="piano")
        >>> roles = (Role("piano", 0, sources=frozenset({0})),)
        >>> roll = encode(Score(480, (piano,)), Grid(beat_resolution=4, n_bars=1), roles)
        >>> roll.shape, roll[0].sum(), roll[1].sum()
        ((4, 1, 1, 16, 84), np.float32(1.0), np.float32(3.0))
    """
    notes = quantise(score, grid, roles, first_tick=first_tick)
    return draw(cut(notes, 0, grid.n_bars * grid.n_timesteps), grid, len(roles))


# ---- decode


def trace(planes: NDArray[np.float32]) -> RollNotes:
    """Read the notes out of planes: the way back from `draw`; see `tracing.trace_clips` for the rules.

    Args:
        planes: `(4, track, bar, timestep, pitch)`; onset and sustain count as set above 0.5.
    """
    flat = planes.reshape(4, 1, planes.shape[1], -1, planes.shape[-1])
    (notes,) = trace_clips(flat[0] > 0.5, flat[1] > 0.5, flat[2], flat[3])
    return notes


def to_score(
    notes: RollNotes,
    grid: Grid,
    roles: tuple[Role, ...],
    *,
    qpm: float = 120.0,
    programs: tuple[int, ...] | None = None,
) -> Score:
    """Write notes on the grid as a score of 480 ticks per beat.

    A drum hit lasts a sixteenth. `timing` moves a note by its fraction of a timestep, never before tick 0. No note
    sounds into the next one of its track and pitch, and none beyond the last bar that holds a note.

    Args:
        notes: Notes in timesteps.
        grid: Cells.
        roles: Tracks of the roll; every one becomes a track, also an empty one.
        qpm: Tempo in quarter notes per minute.
        programs: `(track,)` programs to write instead of the roles' own.
    """
    ticks = grid.ticks_per_timestep
    # Short of half a timestep, so that reading the score again finds the same one.
    shift = np.clip(np.rint(notes.timing * ticks).astype(np.int64), -(ticks // 2), (ticks - 1) // 2)
    onset = np.maximum(notes.start * np.int64(ticks) + shift, 0)
    is_drum = np.array([role.is_drum for role in roles])[notes.role]
    bar = grid.n_timesteps * ticks
    last = -(-int(notes.end.max(initial=0)) * ticks // bar) * bar
    offset = np.where(is_drum, onset + TICKS_PER_BEAT // 4, notes.end * np.int64(ticks))
    offset = np.maximum(np.minimum(offset, last), onset + 1)
    order = np.lexsort((onset, notes.row, notes.role))
    role, row, onset, offset = notes.role[order], notes.row[order], onset[order], offset[order]
    again = (role[1:] == role[:-1]) & (row[1:] == row[:-1])
    next_onset = np.maximum(onset[1:], onset[:-1] + 1)
    offset[:-1] = np.where(again, np.minimum(offset[:-1], next_onset), offset[:-1])
    columns = (onset, offset, row.astype(np.int64) + grid.lowest_pitch, notes.velocity[order].astype(np.int64))
    played = Notes.of_tracks(columns, np.bincount(role, minlength=len(roles)).tolist())
    if programs is None:
        programs = tuple(role.program for role in roles)
    tracks = tuple(
        Track(part, program, role.is_drum, role.name)
        for part, program, role in zip(played, programs, roles, strict=True)
    )
    return Score(TICKS_PER_BEAT, tracks, (Tempo(0, qpm),), (Metre(0, grid.numerator, grid.denominator),))


def decode(
    planes: NDArray[np.float32],
    grid: Grid,
    roles: tuple[Role, ...],
    *,
    qpm: float = 120.0,
    programs: tuple[int, ...] | None = None,
) -> Score:
    """Turn planes into a score; see `trace` and `to_score`."""
    return to_score(trace(planes), grid, roles, qpm=qpm, programs=programs)
