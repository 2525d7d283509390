"""The user's own piece around what the model fills in: bars and cells of a score, known notes kept, new notes put in.

Known notes never pass through the roll. They stay the events they are, with their ticks, velocities and programs; only
the notes of hidden cells are taken out and new ones put in their place.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Metre, Note, Notes, Score, Track
from audiogan.errors import UnsupportedError
from audiogan.pipelines.multitrack.config import Config
from audiogan.pipelines.multitrack.songs import spans_of
from audiogan.representation.pianoroll import assign_roles, quantise, to_score, to_timesteps
from audiogan.representation.rollnotes import RollNotes, cut


def bar_ticks(score: Score, config: Config) -> int:
    """Ticks in a bar of the model's metre.

    Raises:
        UnsupportedError: The piece does not begin in that metre, or changes it.
    """
    grid = config.grid
    sounding = score if score.n_notes else replace(score, tracks=(Track(Notes.from_list([Note(0, 1, 0, 1)])),))
    spans = spans_of(sounding, grid.numerator, grid.denominator)
    if len(spans) != 1 or spans[0][0] > 0 or spans[0][1] < sounding.n_ticks:
        found = ", ".join(f"{metre.numerator}/{metre.denominator}" for metre in score.metres) or "4/4"
        raise UnsupportedError(
            f"the clip is in {found}; expected {config.metre} from its first to its last bar, as this model was trained"
        )
    return score.resolution * 4 * grid.numerator // grid.denominator


def count_bars(score: Score, config: Config) -> int:
    """Bars of a piece, at least one: up to its last onset, and to its last end as far as the grid can tell.

    Raises:
        UnsupportedError: As `bar_ticks`.
    """
    ticks, grid = bar_ticks(score, config), config.grid
    n_bars = 1
    for track in sounding_tracks(score):
        ends = to_timesteps(track.notes.offset, score.resolution, grid.beat_resolution)
        held = 0 if track.is_drum else -(-int(ends.max()) // grid.n_timesteps)
        n_bars = max(n_bars, int(track.notes.onset.max()) // ticks + 1, held)
    return n_bars


def on_grid(score: Score, config: Config, n_bars: int) -> RollNotes:
    """Put the first bars of a piece on the model's grid; an onset that rounds to their end takes the last timestep.

    Raises:
        UnsupportedError: As `bar_ticks`.
    """
    notes = quantise(score, config.grid, config.roles, end_tick=n_bars * bar_ticks(score, config))
    return cut(notes, 0, n_bars * config.grid.n_timesteps)


def without(score: Score, hidden: NDArray[np.bool_], config: Config) -> Score:
    """Take the notes out that begin in hidden cells `(track, bar)`, as the grid sees them; the rest stays as it is."""
    grid = config.grid
    bar_ticks(score, config)
    tracks = []
    for track, role in zip(score.tracks, assign_roles(score, config.roles), strict=True):
        if role is not None:
            start = to_timesteps(track.notes.onset, score.resolution, grid.beat_resolution)
            bar = np.minimum(start // grid.n_timesteps, hidden.shape[1] - 1)
            track = replace(track, notes=track.notes.where(~hidden[role][bar]))
        tracks.append(track)
    return score.with_tracks(tuple(tracks))


def programs_of(score: Score, config: Config) -> tuple[int, ...]:
    """Program of each role: that of its largest track in the piece, or the recipe's own."""
    owner = _owners(score, config)
    return tuple(
        role.program if number is None else score.tracks[number].program
        for role, number in zip(config.roles, owner, strict=True)
    )


def others(score: Score, config: Config) -> tuple[Track, ...]:
    """Tracks of a piece that have no role in the model."""
    roles = assign_roles(score, config.roles)
    return tuple(track for track, role in zip(score.tracks, roles, strict=True) if role is None)


def with_new(score: Score, new: RollNotes, config: Config) -> Score:
    """Put new notes into a piece: into the largest track of their role, or a new track if there is none.

    Args:
        score: The piece, known notes only.
        new: In timesteps from its first bar.
        config: Grid and tracks.
    """
    written = to_score(new, config.grid, config.roles)
    owner = _owners(score, config)
    tracks = list(score.tracks)
    for role, made in enumerate(written.tracks):
        if not len(made.notes):
            continue
        notes = _at_resolution(made.notes, written.resolution, score.resolution)
        number = owner[role]
        if number is None:
            tracks.append(replace(made, notes=notes))
        else:
            tracks[number] = replace(tracks[number], notes=_merged(tracks[number].notes, notes))
    metres = score.metres or (Metre(0, config.grid.numerator, config.grid.denominator),)
    return replace(score, tracks=tuple(tracks), metres=metres)


def _owners(score: Score, config: Config) -> list[int | None]:
    """The track of the piece that new notes of each role go to."""
    owner: list[int | None] = [None] * len(config.roles)
    for number, role in enumerate(assign_roles(score, config.roles)):
        if role is None:
            continue
        best = owner[role]
        if best is None or len(score.tracks[number].notes) > len(score.tracks[best].notes):
            owner[role] = number
    return owner


def _at_resolution(notes: Notes, theirs: int, mine: int) -> Notes:
    """Rescale ticks, rounding half up; a note keeps at least one tick."""
    onset = (2 * notes.onset * mine + theirs) // (2 * theirs)
    offset = np.maximum((2 * notes.offset * mine + theirs) // (2 * theirs), onset + 1)
    return Notes(onset, offset, notes.pitch, notes.velocity)


def _merged(known: Notes, new: Notes) -> Notes:
    """Join two sets of notes of one track; a new note that a known one of its pitch would cut into gives way."""
    clear = np.ones(len(new), dtype=bool)
    for pitch in np.intersect1d(known.pitch, new.pitch):
        theirs, mine = known.pitch == pitch, np.flatnonzero(new.pitch == pitch)
        # Of the known notes that begin before a new one ends, does any sound beyond its onset?
        n_before = np.searchsorted(known.onset[theirs], new.offset[mine])
        latest = np.concatenate([[0], np.maximum.accumulate(known.offset[theirs])])
        clear[mine[latest[n_before] > new.onset[mine]]] = False
    new = new.where(clear)
    columns = [np.concatenate([getattr(known, n), getattr(new, n)]) for n in ("onset", "offset", "pitch", "velocity")]
    return Notes(*columns)


def sounding_tracks(score: Score) -> list[Track]:
    """Tracks with at least one note."""
    return [track for track in score.tracks if len(track.notes)]
