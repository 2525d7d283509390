"""Does a set of clips repeat itself, or something it was trained on?

Three views: clips that are equal note for note, the nearest reference clip by shared cells, and the longest run of
melody shared with the reference in any key and at any tempo. The last two give numbers, not verdicts: what is usual
follows from the same numbers between pieces of real music, which the caller has to put beside them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Notes, Score
from audiogan.pipelines.multitrack.grid import ClipGrid, NoteTable, round_half_up, split_notes, tabulate
from audiogan.pipelines.multitrack.metrics import bar_codes

Array = NDArray[np.float64]
Index = NDArray[np.int64]

WINDOW = 4
"""Steps by which a run is told from an ostinato."""


def duplicates(clips: Sequence[Score], grid: ClipGrid) -> Index:
    """Return `(clip,)` the first clip with the same notes (role, onset on the grid, pitch): its own number if new."""
    codes = bar_codes(tabulate(clips, grid)).reshape(len(clips), -1)
    _, first, place = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    return first[place.reshape(-1)]


def distinct(clips: Sequence[Score], grid: ClipGrid) -> int:
    """Return how many different clips there are, by role, onset on the grid and pitch."""
    return len(np.unique(duplicates(clips, grid)))


class Nearest(NamedTuple):
    """Nearest reference of each clip, all `(clip,)`.

    Args:
        distance: In [0, 1].
        reference: Its number.
        transposition: Semitones by which the clip was moved to meet it.
    """

    distance: Array
    reference: Index
    transposition: Index


def cells_of(table: NoteTable) -> tuple[Index, Index, NDArray[np.bool_]]:
    """Return clip and number of every onset and sounding cell, and whether it is a drum's; sorted by clip.

    A cell counts once for sounding and once more for starting, so that repeated and held notes differ.
    """
    grid = table.grid
    steps = split_notes(table, 1)
    n_cells = len(grid.roles) * grid.n_steps * 128
    note = np.concatenate([steps.note, np.arange(len(table.start))])
    step = np.concatenate([steps.span, table.start])
    cell = (table.track[note] * grid.n_steps + step) * 128 + table.pitch[note]
    cell[len(steps.note) :] += n_cells
    clip = table.clip[note]
    order = np.argsort(clip, kind="stable")
    return clip[order], cell[order], table.is_drum[note][order]


def hamming(first: Sequence[Score], second: Sequence[Score], grid: ClipGrid) -> Array:
    """Return `(clip,)` distances of clips taken in pairs: cells that differ over cells on in either sum, in [0, 1].

    0 means equal, 1 nothing in common; two silent clips are equal.
    """
    assert len(first) == len(second), "clips in pairs"
    (clip_a, cell_a, _), (clip_b, cell_b, _) = cells_of(tabulate(first, grid)), cells_of(tabulate(second, grid))
    n_cells = 2 * len(grid.roles) * grid.n_steps * 128
    shared = np.intersect1d(clip_a * n_cells + cell_a, clip_b * n_cells + cell_b, assume_unique=True) // n_cells
    both = np.bincount(clip_a, minlength=len(first)) + np.bincount(clip_b, minlength=len(first))
    return 1 - np.where(both > 0, 2 * np.bincount(shared, minlength=len(first)) / np.maximum(both, 1), 1.0)


def nn_hamming(
    clips: Sequence[Score],
    references: Sequence[Score],
    grid: ClipGrid,
    *,
    transpositions: Sequence[int] = (0,),
    skip: Sequence[int] | None = None,
) -> Nearest:
    """Find for each clip the reference with the smallest `hamming` distance.

    Args:
        clips: Clips to judge.
        references: For example the training clips; at least one.
        grid: Shape of both.
        transpositions: Semitones by which the pitched tracks of a clip are moved before comparing.
        skip: One reference number per clip that is not looked at (its own), -1 for none.
    """
    assert len(references), "a nearest reference needs references"
    own, other = tabulate(clips, grid), tabulate(references, grid)
    clip, cell, is_drum = cells_of(own)
    in_clip, in_cell, _ = cells_of(other)
    posting, starts = postings(in_clip, in_cell, grid)
    sizes = np.bincount(in_clip, minlength=len(references)).astype(float)
    edges = np.searchsorted(clip, np.arange(len(clips) + 1))
    best = Nearest(np.full(len(clips), np.inf), np.zeros(len(clips), np.int64), np.zeros(len(clips), np.int64))
    for i in range(len(clips)):
        mine, drum = cell[edges[i] : edges[i + 1]], is_drum[edges[i] : edges[i + 1]]
        for shift in transpositions:
            moved = mine + np.where(drum, 0, shift)
            moved = moved[drum | ((mine % 128 + shift >= 0) & (mine % 128 + shift < 128))]
            distance = distances_to(moved, len(mine), posting, starts, sizes)
            if skip is not None and skip[i] >= 0:
                distance[skip[i]] = np.inf
            nearest = int(distance.argmin())
            if distance[nearest] < best.distance[i]:
                best.distance[i], best.reference[i], best.transposition[i] = distance[nearest], nearest, shift
    return best


def postings(clip: Index, cell: Index, grid: ClipGrid) -> tuple[Index, Index]:
    """Return clip numbers sorted by cell, and where each cell's clips start: an inverted index.

    Args:
        clip, cell: `(cell,)` as `cells_of` gives them, no cell twice in a clip.
        grid: Theirs.
    """
    order = np.argsort(cell, kind="stable")
    n_cells = 2 * len(grid.roles) * grid.n_steps * 128
    return clip[order], np.searchsorted(cell[order], np.arange(n_cells + 1))


def distances_to(cells: Index, n_cells: int, posting: Index, starts: Index, sizes: Array) -> Array:
    """Distances of one clip to all references, from the references that each of its cells occurs in."""
    first, count = starts[cells], starts[cells + 1] - starts[cells]
    place = np.arange(count.sum()) + np.repeat(first - (np.cumsum(count) - count), count)
    shared = np.bincount(posting[place], minlength=len(sizes))
    both = sizes + n_cells
    return 1 - np.where(both > 0, 2 * shared / np.maximum(both, 1), 1.0)


class Melodies(NamedTuple):
    """Tokens of many melodies end to end: `(token, 3)` values, and for each token its piece and its melody."""

    tokens: Index
    piece: Index
    melody: Index


def melodies_of(scores: Sequence[Score], beat_resolution: int) -> Melodies:
    """Turn every pitched track into tokens (interval, this gap and the last gap between onsets, in lowest terms)."""
    tokens, piece, melody = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for i, score in enumerate(scores):
        for j, track in enumerate(score.tracks):
            if track.is_drum or len(track.notes) < 3:
                continue
            onset, pitch = _skyline(track.notes, score.resolution, beat_resolution)
            gap = np.diff(onset)
            if len(gap) < 2:
                continue
            common = np.gcd(gap[1:], gap[:-1])
            tokens.append(np.stack([np.diff(pitch)[1:], gap[1:] // common, gap[:-1] // common], axis=1))
            piece.append(np.full(len(gap) - 1, i))
            melody.append(np.full(len(gap) - 1, 4096 * i + j))
    return Melodies(np.concatenate(tokens), np.concatenate(piece), np.concatenate(melody))


def _skyline(notes: Notes, resolution: int, beat_resolution: int) -> tuple[Index, Index]:
    """Return onset timestep and pitch of the highest note at each onset."""
    onset = round_half_up(notes.onset, beat_resolution, np.array(resolution))
    order = np.lexsort((notes.pitch, onset))
    onset, pitch = onset[order], notes.pitch[order]
    last = np.flatnonzero(np.diff(onset, append=onset[-1] + 1))
    return onset[last], pitch[last]


def ngram(clips: Sequence[Score], references: Sequence[Score], *, beat_resolution: int = 48) -> Index:
    """Return `(clip,)` the longest run of notes that a clip shares with any reference, in any key and tempo.

    Compared are the upper lines of all pitched tracks as (interval, ratio of neighbouring gaps between onsets); a
    run of L such steps needs L + 2 notes. 0 means that no step is shared. Drums are left out: their patterns repeat
    everywhere.

    Args:
        clips: Clips to judge.
        references: Clips or whole pieces.
        beat_resolution: ClipGrid that both are rounded to, timesteps per beat: that of the coarser side.
    """
    mine, other = melodies_of(clips, beat_resolution), melodies_of(references, beat_resolution)
    shared, _ = _shared(mine, other)
    longest = np.zeros(len(clips), dtype=np.int64)
    np.maximum.at(longest, mine.piece, np.where(shared > 0, shared + 2, 0))
    return longest


class Telling(NamedTuple):
    """The most telling run that each clip shares with a reference, `(clip,)` each.

    Args:
        n_notes: Notes of a melody without repetition that would tell as much; 0 where no step is shared.
        reference: Number of a reference that has the run.
    """

    n_notes: Index
    reference: Index


def telling_runs(clips: Sequence[Score], references: Sequence[Score], *, beat_resolution: int = 48) -> Telling:
    """Find runs as `ngram` does and weigh them by what they tell: a repeated note or an ostinato is nobody's own.

    A run counts by its different windows of four steps. One without repetition counts by its notes; a note repeated
    sixty times counts as six.

    Args:
        clips: Clips to judge.
        references: Clips or whole pieces.
        beat_resolution: As `ngram`.
    """
    mine, other = melodies_of(clips, beat_resolution), melodies_of(references, beat_resolution)
    shared, reference = _shared(mine, other)
    best = Telling(np.zeros(len(clips), dtype=np.int64), np.zeros(len(clips), dtype=np.int64))
    inside = np.concatenate([[0], shared[:-1]]) > shared  # a run that began one step earlier holds this one
    for start in np.flatnonzero((shared > 0) & ~inside).tolist():
        clip = int(mine.piece[start])
        if shared[start] + 2 <= best.n_notes[clip]:
            continue
        told = _told(mine.tokens[start : start + int(shared[start])])
        if told > best.n_notes[clip]:
            best.n_notes[clip], best.reference[clip] = told, reference[start]
    return best


def _told(steps: Index) -> int:
    """Notes of a melody without repetition that has as many different windows as these steps `(step, 3)`."""
    if len(steps) < WINDOW:
        return len(steps) + 2
    windows = np.lib.stride_tricks.sliding_window_view(steps, WINDOW, axis=0).reshape(len(steps) - WINDOW + 1, -1)
    return len(np.unique(windows, axis=0)) + WINDOW + 1


def _shared(mine: Melodies, other: Melodies) -> tuple[Index, Index]:
    """Return for each step of `mine` how many steps from there on are shared, and a reference that shares them."""
    n_mine = len(mine.tokens)
    _, token = np.unique(np.concatenate([mine.tokens, other.tokens]), axis=0, return_inverse=True)
    token = token.reshape(-1)
    melody = np.concatenate([mine.melody, -1 - other.melody])
    longest, reference = np.zeros(n_mine, dtype=np.int64), np.zeros(n_mine, dtype=np.int64)
    start, name, length = np.arange(len(token)), token, 1
    while len(start):
        is_mine = start < n_mine
        keep = np.where(is_mine, np.isin(name, name[~is_mine]), np.isin(name, name[is_mine]))
        start, name, is_mine = start[keep], name[keep], is_mine[keep]
        names, first = np.unique(name[~is_mine], return_index=True)
        where = start[~is_mine][first] - n_mine
        longest[start[is_mine]] = length
        reference[start[is_mine]] = other.piece[where[np.searchsorted(names, name[is_mine])]]
        inside = start + length < len(token)
        inside[inside] = melody[start[inside] + length] == melody[start[inside]]
        start, name = start[inside], name[inside]
        _, name = np.unique(name * len(token) + token[start + length], return_inverse=True)
        length += 1
    return longest, reference
