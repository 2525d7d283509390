"""One song of a corpus → its notes on the grid, cut where the metre changes.

What worker processes do while a corpus is prepared; so nothing here imports torch.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

from audiogan.corpus.index import Entry, read_song
from audiogan.corpus.score import Metre, Score
from audiogan.corpus.spreading import Spread
from audiogan.errors import AudioganError
from audiogan.representation.pianoroll import Grid, Role, quantise
from audiogan.representation.rollnotes import RollNotes, cut

# Starting a process costs as much as reading this many songs.
SONGS_PER_PROCESS = 400


class Part(NamedTuple):
    """A stretch of one metre: its notes in timesteps, and its bars, the last one filled up."""

    notes: RollNotes
    n_bars: int


def spans_of(score: Score, numerator: int, denominator: int) -> list[tuple[int, int]]:
    """Find the stretches of a score in one metre, as (first tick, end tick); without a time signature all is 4/4.

    Neighbouring stretches join when the second begins on a bar line of the first.
    """
    metres = list(score.metres)
    if not metres or metres[0].tick > 0:
        metres.insert(0, Metre(0, 4, 4))
    ends = [min(metre.tick, score.n_ticks) for metre in metres[1:]] + [score.n_ticks]
    bar = score.resolution * 4 * numerator // denominator
    spans: list[tuple[int, int]] = []
    for metre, end in zip(metres, ends, strict=True):
        if (metre.numerator, metre.denominator) != (numerator, denominator) or end <= metre.tick:
            continue
        if spans and spans[-1][1] == metre.tick and (metre.tick - spans[-1][0]) % bar == 0:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((metre.tick, end))
    return spans


def parts_of(score: Score, grid: Grid, roles: tuple[Role, ...]) -> list[Part]:
    """Put a score on the grid, one part for each span of the grid's metre that is long enough for a clip."""
    parts = []
    for first, end in spans_of(score, grid.numerator, grid.denominator):
        bar = score.resolution * 4 * grid.numerator // grid.denominator
        n_bars = -(-(end - first) // bar)
        if n_bars < grid.n_bars:
            continue
        notes = quantise(score, grid, roles, first_tick=first, end_tick=end)
        notes = cut(notes, 0, -(-(end - first) * grid.beat_resolution // score.resolution))
        parts.append(Part(notes, n_bars))
    return parts


def read_parts(
    entries: Sequence[Entry],
    grid: Grid,
    roles: tuple[Role, ...],
    *,
    jobs: int | None = None,
    spread: Spread | None = None,
) -> list[list[Part] | str]:
    """Read songs and put them on the grid, in order; a song that can no longer be read gives its sentence instead.

    Args:
        entries: Songs.
        grid, roles: Cells and tracks.
        jobs: Processes; None for as many as are worth it.
        spread: Reads elsewhere; this process reads what it leaves.
    """
    work = partial(_work, grid=grid, roles=roles)
    if spread is not None:
        found = dict(spread(work, entries))
        return [found[number] if number in found else work(entry) for number, entry in enumerate(entries)]
    n_processes = min(len(entries) // SONGS_PER_PROCESS, jobs or os.cpu_count() or 1)
    if n_processes < 2:
        return [work(entry) for entry in entries]
    with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, entries, chunksize=16))


def _work(entry: Entry, grid: Grid, roles: tuple[Role, ...]) -> list[Part] | str:
    try:
        return parts_of(read_song(entry), grid, roles)
    except AudioganError as error:
        return str(error)
