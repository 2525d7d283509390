"""Musical metrics of sets of clips, in the correct form and in the form of the papers they come from.

Every metric is a ratio of sums over clips, kept per clip and per track (or pair of tracks), so that any subset or
resample of songs is one more sum. Names and meaning follow MuseGAN (arXiv 1709.06298) and BinaryMuseGAN (arXiv
1804.09399). The `paper` forms repeat what the released code of these papers computes, per bar on the sounding cells
of pitches 24–107 and averaged over non-empty bars, with its known faults: pitch classes are twelve groups of
adjacent semitones, a bar counts for the tonal distance only if both tracks sound in each of its beats.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Score
from audiogan.pipelines.multitrack.grid import ClipGrid, NoteTable, Pieces, presence, split_notes, tabulate, tally
from audiogan.representation.tonality import TONAL_POINTS

LOWEST, N_ROWS = 24, 84  # pitches that the pianorolls of the papers hold
MAJOR = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1], dtype=np.float64)
MINOR = np.array([1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0], dtype=np.float64)
SCALES = np.array([np.roll(scale, root) for scale in (MAJOR, MINOR) for root in range(12)])  # (24, 12)
EXPRESSION = ("velocity_spread", "timing_spread")  # of how notes are played, not of which
PAPER_GROUPS = {"": 7, "8": 8}  # semitones per "pitch class": MuseGAN, and BinaryMuseGAN after padding to 96 rows
DRUM_WEIGHTS = {"": 0.3, "8": 0.1}  # weight of a hit one 1/24 beat beside the sixteenth, in the same two papers


class Measure(NamedTuple):
    """One metric of a set of clips: `numerator.sum(0) / denominator.sum(0)` per column.

    Args:
        name: As in `audiogan evaluate`, for example `"upc"`.
        form: `"correct"` or `"paper"` (or `"muspy"`, `"muspy_corrected"`).
        columns: A role, a pair `"bass-piano"`, or `"clip"` for each column.
        numerator, denominator: `(clip, column)`.
        note: Why the metric says nothing on this grid; empty if it does.
    """

    name: str
    form: str
    columns: tuple[str, ...]
    numerator: NDArray[np.float64]
    denominator: NDArray[np.float64]
    note: str = ""

    def value(self) -> NDArray[np.float64]:
        """Return `(column,)` values of the whole set, NaN where nothing counts."""
        return ratio(self.numerator.sum(axis=0), self.denominator.sum(axis=0))

    def per_clip(self) -> NDArray[np.float64]:
        """Return `(clip, column)` values, NaN where nothing counts."""
        return ratio(self.numerator, self.denominator)


def ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide, giving NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def measure(clips: Sequence[Score], grid: ClipGrid) -> dict[str, Measure]:
    """Compute all metrics of this module.

    Args:
        clips: Scores whose track names are roles of the grid.
        grid: Shape of the clips.

    Returns:
        Measures by name; those of the papers have the form `"paper"`.
    """
    table = tabulate(clips, grid)
    bars, beats = split_notes(table, grid.n_timesteps), split_notes(table, grid.beat_resolution)
    rows = [
        *_pitches(table, bars), *_durations(table), *_rhythm(table), *_harmony(table, beats, _declared_scales(clips)),
        *_expression(table), *_paper_pitches(table, bars), *_paper_runs(table, bars), *_paper_harmony(table, beats),
    ]  # fmt: skip
    return {row.name: row for row in rows}


def _measure(
    grid: ClipGrid, name: str, tracks: Sequence[int], above: NDArray, below: NDArray, form: str = "correct"
) -> Measure:
    """Keep the columns of `tracks` from `(clip, track)` sums."""
    index = list(tracks)
    below = np.broadcast_to(below, above.shape)
    return Measure(name, form, grid.names(index), above[:, index].astype(float), below[:, index].astype(float))


def _pitches(table: NoteTable, bars: Pieces) -> list[Measure]:
    """Empty bars, pitches and pitch classes per non-empty bar, polyphony, range."""
    grid = table.grid
    shape = (*table.shape, grid.n_bars)
    clip, track, pitch = table.clip[bars.note], table.track[bars.note], table.pitch[bars.note]
    pitches = presence((*shape, 128), clip, track, bars.span, pitch)
    classes = presence((*shape, 12), clip, track, bars.span, pitch % 12)
    n_filled = np.logical_or.reduce(pitches, axis=-1).sum(axis=-1)
    n_sounding = np.zeros((*table.shape, grid.n_steps + 1))
    np.add.at(n_sounding, (table.clip, table.track, table.start), 1)
    np.add.at(n_sounding, (table.clip, table.track, table.end), -1)
    n_sounding = n_sounding.cumsum(axis=-1)[..., :-1]
    used = np.logical_or.reduce(pitches, axis=-2)  # (clip, track, 128)
    extent = np.where(
        np.logical_or.reduce(used, axis=-1), 127 - used[..., ::-1].argmax(axis=-1) - used.argmax(axis=-1), 0
    )
    every = range(len(grid.roles))
    silent = ~np.logical_or.reduce(pitches, axis=(1, 2, 3))
    return [
        _measure(grid, "eb", every, grid.n_bars - n_filled, np.array(grid.n_bars)),
        _measure(grid, "up", grid.pitched, pitches.sum(axis=(-2, -1)), n_filled),
        _measure(grid, "upc", grid.pitched, classes.sum(axis=(-2, -1)), n_filled),
        _measure(grid, "pp", grid.pitched, (n_sounding > 2).sum(axis=-1), np.array(grid.n_steps)),
        _measure(grid, "range", grid.pitched, extent, np.logical_or.reduce(used, axis=-1)),
        Measure("empty_clip", "correct", ("clip",), silent[:, None].astype(float), np.ones((table.n_clips, 1))),
    ]


def _durations(table: NoteTable) -> list[Measure]:
    """Qualified notes, one-step notes, mean length, notes per bar."""
    grid = table.grid
    length = table.end - table.start
    n_notes = tally(table.shape, table.clip, table.track)
    limit = (grid.beat_resolution + 4) // 8  # a 32nd note in timesteps, rounded half up

    def summed(weights: NDArray) -> NDArray:
        return tally(table.shape, table.clip, table.track, weights=weights.astype(float))

    qualified = _measure(grid, "qn", grid.pitched, summed(length >= limit), n_notes)
    if limit < 2:
        qualified = qualified._replace(
            note=f"1 by construction: a 32nd note is under two of {grid.beat_resolution} steps"
        )
    return [
        qualified,
        _measure(grid, "frag", grid.pitched, summed(length == 1), n_notes),
        _measure(grid, "length", grid.pitched, summed(length / grid.beat_resolution), n_notes),
        _measure(grid, "density", range(len(grid.roles)), n_notes, np.array(grid.n_bars)),
    ]


def _rhythm(table: NoteTable) -> list[Measure]:
    """Drum hits on sixteenths and eighths, likeness of neighbouring bars, repeated bars, order of bars."""
    grid = table.grid
    every = range(len(grid.roles))
    bar, position = table.start // grid.n_timesteps, table.start % grid.n_timesteps
    onsets = presence((*table.shape, grid.n_bars, grid.n_timesteps), table.clip, table.track, bar, position)
    filled = np.logical_or.reduce(onsets, axis=-1)
    either = np.logical_or(filled[..., 1:], filled[..., :-1]).sum(axis=-1)  # two silent bars share no groove
    apart = (onsets[..., 1:, :] != onsets[..., :-1, :]).mean(axis=-1).sum(axis=-1)
    code = bar_codes(table)
    same = ((code[..., 1:] == code[..., :-1]) & filled[..., 1:]).sum(axis=-1)
    return [
        *_drum_grid(table),
        _measure(grid, "groove", every, either - apart, either),
        _measure(grid, "repeat", every, same, filled[..., 1:].sum(axis=-1)),
        _bar_order(table),
    ]


def _bar_order(table: NoteTable) -> Measure:
    """How much more alike near bars are than far ones: likeness is the share of common onsets by pitch (Dice).

    Near bars lie at most half of a clip apart. In music that goes on and comes back it is positive; in any random order
    of the same bars it is 0. Pairs of silent bars do not count, nor clips where only near or only far pairs sound.
    """
    grid = table.grid
    n_onsets = tally((*table.shape, grid.n_bars, 128), table.clip, table.track, table.start // grid.n_timesteps,
                     table.pitch)  # fmt: skip
    near, far = [], []
    for first, second in combinations(range(grid.n_bars), 2):
        a, b = n_onsets[:, :, first], n_onsets[:, :, second]
        alike = ratio(2 * np.minimum(a, b).sum(axis=-1), a.sum(axis=-1) + b.sum(axis=-1))
        (near if second - first <= grid.n_bars // 2 else far).append(alike)
    means = [_mean_of_pairs(pairs, table.shape) for pairs in (near, far)]
    apart = means[0] - means[1]
    there = np.isfinite(apart)
    row = _measure(grid, "bar_order", range(len(grid.roles)), np.where(there, apart, 0), there)
    return row if far else row._replace(note=f"{grid.n_bars} bars have no order: three are needed")


def _mean_of_pairs(pairs: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return `(clip, track)` means over pairs of bars, NaN where none sounds."""
    values = np.array(pairs).reshape(len(pairs), *shape)
    return ratio(np.nansum(values, axis=0), np.isfinite(values).sum(axis=0).astype(float))


def bar_codes(table: NoteTable) -> NDArray[np.uint64]:
    """Return `(clip, track, bar)` codes that are equal exactly if the bars start the same pitches at the same steps."""
    grid = table.grid
    cell = (table.start % grid.n_timesteps * 128 + table.pitch + 1).astype(np.uint64)
    mixed = cell * np.uint64(0x9E3779B97F4A7C15)  # splitmix64, so that sums of different cells do not meet by chance
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    codes = np.zeros((*table.shape, grid.n_bars), dtype=np.uint64)
    np.add.at(codes, (table.clip, table.track, table.start // grid.n_timesteps), mixed ^ (mixed >> np.uint64(31)))
    return codes


def _drum_grid(table: NoteTable) -> list[Measure]:
    """Share of drum hits on the sixteenth and eighth grid, each clip at its best shift inside one sixteenth."""
    grid = table.grid
    resolution = grid.beat_resolution
    rows = []
    for name, parts in (("dp", 4), ("dp8", 2)):
        period = max(resolution // parts, 1)
        hits = tally((*table.shape, period), table.clip, table.track, table.start % period)
        best = hits[..., : max(resolution // 4, 1)].max(axis=-1)
        row = _measure(grid, name, grid.drum_tracks, best, hits.sum(axis=-1))
        if resolution % parts:
            row = row._replace(note=f"{resolution} steps a beat do not hold 1/{4 * parts} notes")
        elif period == 1:
            row = row._replace(note=f"1 by construction: {resolution} steps a beat put every onset on a sixteenth")
        rows.append(row)
    return rows


def _declared_scales(clips: Sequence[Score]) -> NDArray[np.float64]:
    """Return `(clip, 12)` masks of the key that each clip declares at its start; NaN without one."""
    masks = np.full((len(clips), 12), np.nan)
    for i, clip in enumerate(clips):
        if clip.keys:
            key = clip.keys[0]
            root = (7 * key.sharps + (9 if key.is_minor else 0)) % 12
            masks[i] = np.roll(MINOR if key.is_minor else MAJOR, root)
    return masks


def chroma_by_beat(table: NoteTable, beats: Pieces) -> NDArray[np.float64]:
    """Return `(clip, track, beat, 12)` sounding timesteps per pitch class."""
    note = beats.note
    index = (table.clip[note], table.track[note], beats.span, table.pitch[note] % 12)
    return tally((*table.shape, table.grid.n_beats, 12), *index, weights=beats.length)


def tonal_centroids(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(..., 6)` tonal centroids of `(..., 12)` pitch-class weights, NaN where all weights are 0.

    See `audiogan.representation.tonality.TONAL_POINTS`.
    """
    return ratio(chroma @ TONAL_POINTS, chroma.sum(axis=-1, keepdims=True))


def _pairs(grid: ClipGrid) -> list[tuple[int, int]]:
    return list(combinations(grid.pitched, 2))


def _pair_names(grid: ClipGrid) -> tuple[str, ...]:
    return tuple(f"{grid.roles[a]}-{grid.roles[b]}" for a, b in _pairs(grid))


def _distances(grid: ClipGrid, centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(clip, pair, beat)` distances between the tracks of each pair, NaN where one is silent."""
    if not _pairs(grid):
        return np.zeros((len(centroids), 0, grid.n_beats))
    first, second = np.array(_pairs(grid)).T
    return np.linalg.norm(centroids[:, first] - centroids[:, second], axis=-1)


def _harmony(table: NoteTable, beats: Pieces, declared: NDArray[np.float64]) -> list[Measure]:
    """Share of note time in the key (declared, else the best of 24), best scale, tonal distance of pairs."""
    grid = table.grid
    chroma = chroma_by_beat(table, beats)
    chroma[:, list(grid.drum_tracks)] = 0
    total = chroma.sum(axis=2)  # (clip, track, 12)
    by_scale = total.sum(axis=1) @ SCALES.T  # (clip, 24)
    mask = np.where(np.isnan(declared), SCALES[by_scale.argmax(axis=1)], declared)
    apart = _distances(grid, tonal_centroids(chroma))
    return [
        _measure(grid, "in_scale", grid.pitched, (total * mask[:, None]).sum(axis=-1), total.sum(axis=-1)),
        Measure(
            "scale_consistency", "correct", ("clip",), by_scale.max(axis=1)[:, None], total.sum(axis=(1, 2))[:, None]
        ),
        Measure(
            "td", "correct", _pair_names(grid), np.nansum(apart, axis=-1), np.isfinite(apart).sum(axis=-1).astype(float)
        ),
    ]


def _expression(table: NoteTable) -> list[Measure]:
    """Spread of velocities and of micro-timing inside a clip, each the mean over clips of two notes or more."""
    n_notes = tally(table.shape, table.clip, table.track)

    def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = ratio(tally(table.shape, table.clip, table.track, weights=values), n_notes)
        squares = (values - mean[table.clip, table.track]) ** 2
        return np.sqrt(ratio(tally(table.shape, table.clip, table.track, weights=squares), n_notes))

    enough, every = n_notes >= 2, range(len(table.grid.roles))
    velocity, timing = spread(table.velocity.astype(float)), spread(table.timing / table.grid.beat_resolution)
    on_grid = "" if table.timing.any() else "every onset lies on the grid"
    return [
        _measure(table.grid, "velocity_spread", every, np.where(enough, velocity, 0), enough),
        _measure(table.grid, "timing_spread", every, np.where(enough, timing, 0), enough)._replace(note=on_grid),
    ]


def _paper_rows(pitch: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (pitch >= LOWEST) & (pitch < LOWEST + N_ROWS)


def _paper_pitches(table: NoteTable, bars: Pieces) -> list[Measure]:
    """`upc` on groups of adjacent semitones, and polyphony of two or more over non-empty bars."""
    grid = table.grid
    shape = (*table.shape, grid.n_bars)
    seen = _paper_rows(table.pitch[bars.note])
    clip, track, span = table.clip[bars.note][seen], table.track[bars.note][seen], bars.span[seen]
    row = table.pitch[bars.note][seen] - LOWEST
    filled = presence(shape, clip, track, span)
    measures = []
    for suffix, size in PAPER_GROUPS.items():
        groups = presence((*shape, 12), clip, track, span, row // size).sum(axis=(-2, -1))
        measures.append(_measure(grid, f"upc_paper{suffix}", grid.pitched, groups, filled.sum(axis=-1), "paper"))
    change = np.zeros((*table.shape, grid.n_steps + 1))
    keep = _paper_rows(table.pitch)
    np.add.at(change, (table.clip[keep], table.track[keep], table.start[keep]), 1)
    np.add.at(change, (table.clip[keep], table.track[keep], table.end[keep]), -1)
    crowded = (change.cumsum(axis=-1)[..., :-1] >= 2).sum(axis=-1)
    below = filled.sum(axis=-1) * grid.n_timesteps
    return [*measures, _measure(grid, "pp_v1", grid.pitched, crowded, below, "paper")]


def _paper_runs(table: NoteTable, bars: Pieces) -> list[Measure]:
    """`qn2`, `qn3` and `dp_paper`: a note is a run of sounding cells inside one bar; repeated notes melt together."""
    grid = table.grid
    note, shape = bars.note, (*table.shape, grid.n_bars)
    voice = (table.clip[note] * len(grid.roles) + table.track[note]) * 128 + table.pitch[note]
    joined = (voice[1:] == voice[:-1]) & (bars.start[1:] == bars.end[:-1]) & (bars.span[1:] == bars.span[:-1])
    first = np.flatnonzero(np.concatenate([np.ones(min(len(note), 1), dtype=bool), ~joined]))
    length = np.add.reduceat(bars.length, first) if len(first) else bars.length
    keep = _paper_rows(table.pitch[note[first]])
    first, length = first[keep], length[keep]
    index = (table.clip[note[first]], table.track[note[first]], bars.span[first])
    n_runs = tally(shape, *index)
    filled = (n_runs > 0).sum(axis=-1)
    measures = []
    for limit in (2, 3):
        share = ratio(tally(shape, *index, weights=length >= limit), n_runs)
        measures.append(_measure(grid, f"qn{limit}", grid.pitched, np.nansum(share, axis=-1), filled, "paper"))
    hits = tally((*shape, grid.n_timesteps), *index, bars.start[first] % grid.n_timesteps)
    return [*measures, *(_paper_drums(grid, suffix, hits, n_runs, filled) for suffix in DRUM_WEIGHTS)]


def _paper_drums(grid: ClipGrid, suffix: str, hits: NDArray, n_runs: NDArray, filled: NDArray) -> Measure:
    """Weighted drum hits of each bar at the best of six shifts."""
    beside = DRUM_WEIGHTS[suffix]
    pattern = np.resize([1, beside, 0, 0, 0, beside], grid.n_timesteps)
    score = np.max([hits @ np.roll(pattern, shift) for shift in range(6)], axis=0)
    above = np.nansum(ratio(score, n_runs), axis=-1)
    row = _measure(grid, f"dp_paper{suffix}", grid.drum_tracks, above, filled, "paper")
    return row if grid.beat_resolution == 24 else row._replace(note="the pattern of the papers needs 24 steps a beat")


def _paper_harmony(table: NoteTable, beats: Pieces) -> list[Measure]:
    """In-scale share and tonal distance on groups of adjacent semitones."""
    grid = table.grid
    keep = _paper_rows(table.pitch[beats.note])
    note, span, length = beats.note[keep], beats.span[keep], beats.length[keep]
    measures = []
    for suffix, size in PAPER_GROUPS.items():
        index = (table.clip[note], table.track[note], span, (table.pitch[note] - LOWEST) // size)
        groups = tally((*table.shape, grid.n_beats, 12), *index, weights=length)
        by_bar = groups.reshape(*table.shape, grid.n_bars, grid.beats_per_bar, 12).sum(axis=-2)
        inside = ratio(by_bar @ MAJOR, by_bar.sum(axis=-1))
        apart = _distances(grid, tonal_centroids(groups))
        # a bar with a silent beat is NaN as a whole
        apart = apart.reshape(*apart.shape[:2], grid.n_bars, grid.beats_per_bar).mean(axis=-1)
        measures += [
            _measure(
                grid,
                f"in_scale_paper{suffix}",
                grid.pitched,
                np.nansum(inside, axis=-1),
                np.isfinite(inside).sum(-1),
                "paper",
            ),
            Measure(
                f"td_paper{suffix}",
                "paper",
                _pair_names(grid),
                np.nansum(apart, axis=-1),
                np.isfinite(apart).sum(-1).astype(float),
            ),
        ]
    return measures
