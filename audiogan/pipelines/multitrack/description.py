"""The hand-made description of a clip, about sixty numbers: the embedding `score_desc` of the kernel distance.

Each clip becomes one row of musical values per track, per pair of tracks and for the whole. A value that a clip
does not have (the mean pitch of a silent track) is NaN here and lies at the median after scaling; that the track is
silent is told by its share of empty bars. No network takes part, so a model cannot have been trained on it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Score
from audiogan.pipelines.multitrack.grid import ClipGrid, NoteTable, presence, tabulate, tally
from audiogan.pipelines.multitrack.metrics import EXPRESSION, Measure, measure, ratio

MEASURES = (
    "eb", "density", "up", "upc", "pp", "frag", "length", "groove", "repeat", "td", "scale_consistency", "dp8",
    "velocity_spread", "timing_spread",
)  # fmt: skip


def describe(
    clips: Sequence[Score], grid: ClipGrid, *, with_expression: bool = True
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return names and `(clip, feature)` values of each clip; NaN where a clip has no such value.

    Args:
        clips: Scores whose track names are roles of the grid.
        grid: Shape of the clips.
        with_expression: Describe velocities and micro-timing too.
    """
    return describe_measures(clips, grid, measure(clips, grid), with_expression=with_expression)


def describe_measures(
    clips: Sequence[Score], grid: ClipGrid, measures: dict[str, Measure], *, with_expression: bool = True
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the same where `measure(clips, grid)` is at hand already."""
    names: list[str] = []
    columns: list[NDArray[np.float64]] = []
    for name in MEASURES:
        if name in EXPRESSION and not with_expression:
            continue
        row = measures[name]
        if name in EXPRESSION:  # one number for all tracks
            row = row._replace(
                columns=("clip",),
                numerator=row.numerator.sum(axis=1, keepdims=True),
                denominator=row.denominator.sum(axis=1, keepdims=True),
            )
        values = row.per_clip()
        if name in ("density", "length"):
            values = np.log2(values + 1 / 16)  # twice as many notes is one step, anywhere on the scale
        names += [f"{name}:{column}" for column in row.columns]
        columns.append(values)
    more = _more(tabulate(clips, grid))
    if not with_expression:
        del more["velocity:clip"]
    return (*names, *more), np.concatenate([*columns, np.stack(list(more.values()), axis=1)], axis=1)


def _more(table: NoteTable) -> dict[str, NDArray[np.float64]]:
    """Values that no metric has: pitch height and spread, classes, drum kit, loudness, rhythm against the beat."""
    grid = table.grid
    n_notes = tally(table.shape, table.clip, table.track)
    height = ratio(tally(table.shape, table.clip, table.track, weights=table.pitch), n_notes)
    squares = (table.pitch - height[table.clip, table.track]) ** 2
    spread = np.sqrt(ratio(tally(table.shape, table.clip, table.track, weights=squares), n_notes))
    values = {f"pitch:{grid.roles[track]}": height[:, track] for track in grid.pitched}
    values |= {f"pitch_spread:{grid.roles[track]}": spread[:, track] for track in grid.pitched}
    values["pitch_class_entropy:clip"] = _class_entropy(table)
    drums = table.is_drum
    kit = presence((table.n_clips, 128), table.clip[drums], table.pitch[drums]).sum(axis=-1)
    values["kit:drums"] = np.where(kit > 0, kit, np.nan)
    on_beat = (table.start % grid.beat_resolution == 0).astype(float)
    values["on_beat:pitched"] = _share(table, ~drums, on_beat)
    values["on_beat:drums"] = _share(table, drums, on_beat)
    values["velocity:clip"] = _share(table, np.ones(len(drums), dtype=bool), table.velocity.astype(float))
    values["onsets_with_drums:pitched"] = _with_drums(table)
    return values


def _share(table: NoteTable, keep: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of a note value over the kept notes of each clip."""
    shape, clip = (table.n_clips,), table.clip[keep]
    return ratio(tally(shape, clip, weights=values[keep]), tally(shape, clip))


def _class_entropy(table: NoteTable) -> NDArray[np.float64]:
    """Entropy of the pitch classes of the pitched notes, bits."""
    keep = ~table.is_drum
    counts = tally((table.n_clips, 12), table.clip[keep], table.pitch[keep] % 12)
    share = ratio(counts, counts.sum(axis=1, keepdims=True))
    return -np.where(share > 0, share * np.log2(np.where(share > 0, share, 1)), 0 * share).sum(axis=1)


def _with_drums(table: NoteTable) -> NDArray[np.float64]:
    """Share of the pitched notes that start together with a drum hit, in clips with drums."""
    drums = table.is_drum
    hits = presence((table.n_clips, table.grid.n_steps), table.clip[drums], table.start[drums])
    share = _share(table, ~drums, hits[table.clip, table.start].astype(float))
    return np.where(hits.any(axis=1), share, np.nan)
