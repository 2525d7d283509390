"""Are generated clips of use as data? One bar of one track has to be told by its notes: whose bar is it?

The classes are the pitched roles of the grid; the features are what such a bar does, not how high it lies alone. Half
of the held-out songs teach, the other half test, and a class that is thinned out keeps one bar in twenty.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Score
from audiogan.evaluation.intervals import group_index
from audiogan.evaluation.usefulness import Labelled, Use, usefulness
from audiogan.pipelines.multitrack.grid import ClipGrid, tabulate, tally

MOST_BARS = 4000
KEPT_SHARE = 0.05
LEAST_SONGS = 4


def usefulness_of_clips(
    made: Sequence[Score], real: Sequence[Score], songs: Sequence[int], grid: ClipGrid, *, seed: int = 0
) -> tuple[Use, ...]:
    """Ask whether generated clips teach what real ones teach.

    Args:
        made: Generated clips.
        real: Clips of held-out songs.
        songs: The song of each real clip.
        grid: Shape of both.
        seed: Of the choice of bars.

    Returns:
        The answers; none with fewer than two pitched roles or four songs.
    """
    number, n_songs = group_index(songs)
    if len(grid.pitched) < 2 or n_songs < LEAST_SONGS:
        return ()
    rng = np.random.default_rng(seed)
    teaches = np.isin(number, rng.permutation(n_songs)[: n_songs // 2])
    whole = bars_of(real, number, grid)
    is_taught = np.isin(whole.group, np.unique(number[teaches]))
    learnt, tested = (few(whole.at(np.flatnonzero(part)), rng) for part in (is_taught, ~is_taught))
    own = few(bars_of(made, np.arange(len(made)), grid), rng)
    kept = rng.random(len(learnt.label)) < KEPT_SHARE
    return usefulness(learnt, tested, own, kept, seed=seed)


def few(bars: Labelled, rng: np.random.Generator) -> Labelled:
    """Return as many bars of every class, 4,000 in all at most, drawn at random."""
    names, counts = np.unique(bars.label, return_counts=True)
    if not len(names):
        return bars
    each = min(int(counts.min()), MOST_BARS // len(names))
    chosen = [rng.permutation(np.flatnonzero(bars.label == name))[:each] for name in names]
    return bars.at(np.sort(np.concatenate(chosen)))


def bars_of(clips: Sequence[Score], groups: NDArray[np.int64], grid: ClipGrid) -> Labelled:
    """Return every sounding bar of every pitched track: what it does, whose it is, and the group of its clip.

    Features: onsets on each sixteenth of the bar, share of each pitch class relative to the lowest, notes, mean length
    in beats, pitches at once, and mean, lowest and spread of pitch.

    Args:
        clips: Scores whose track names are roles of the grid.
        groups: `(clip,)`.
        grid: Shape of the clips.
    """
    table = tabulate(clips, grid)
    shape = (len(clips), len(grid.roles), grid.n_bars)
    keep = ~table.is_drum
    start, pitch = table.start[keep], table.pitch[keep].astype(np.float64)
    cell = np.ravel_multi_index((table.clip[keep], table.track[keep], start // grid.n_timesteps), shape)
    n_cells = int(np.prod(shape))
    count = tally((n_cells,), cell)
    lowest = np.full(n_cells, 127.0)
    np.minimum.at(lowest, cell, pitch)
    step = (start % grid.n_timesteps) * 4 // grid.beat_resolution
    n_steps = 4 * grid.beats_per_bar
    onsets = np.minimum(tally((n_cells, n_steps), cell, step), 1.0)
    degree = (pitch - lowest[cell]).astype(np.int64) % 12
    degrees = tally((n_cells, 12), cell, degree)
    length = (table.end[keep] - start) / grid.beat_resolution
    mean = _mean(pitch, cell, count)
    spread = np.sqrt(np.maximum(_mean(pitch**2, cell, count) - mean**2, 0.0))
    columns = [count, _mean(length, cell, count), count / np.maximum(onsets.sum(axis=1), 1), mean, lowest, spread]
    features = np.concatenate([onsets, degrees / np.maximum(count, 1)[:, None], np.stack(columns, axis=1)], axis=1)
    sounding = np.flatnonzero(count)
    clip, role, _ = np.unravel_index(sounding, shape)
    return Labelled(features[sounding], role.astype(np.int64), groups[clip])


def _mean(values: NDArray[np.float64], cell: NDArray[np.int64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    return tally((len(count),), cell, weights=values) / np.maximum(count, 1)
