"""What is measured on scores: generated clips beside held-out real clips, every number with what it can be compared to.

A row carries the value on the generated and on the reference clips, 95 % intervals of both (songs resampled), how
far two halves of the reference lie apart by chance (`floor`), how far a poor generator lies away (`ceiling`), and
whether the value is as near to the reference as real music is to itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Score
from audiogan.errors import UsageError
from audiogan.evaluation.distances import Scaler, fit_scaler
from audiogan.evaluation.intervals import Interval, bootstrap_weights, half_weights, percentiles, sum_by_group
from audiogan.pipelines.multitrack.description import describe_measures
from audiogan.pipelines.multitrack.embedded import distance_rows, overlap_rows
from audiogan.pipelines.multitrack.grid import ClipGrid, quantised
from audiogan.pipelines.multitrack.metrics import EXPRESSION, Measure, measure, ratio
from audiogan.pipelines.multitrack.muspy_metrics import NAMES, measure_score
from audiogan.pipelines.multitrack.published import published
from audiogan.pipelines.multitrack.roll_net import NAME, embed
from audiogan.pipelines.multitrack.row import Row

Array = NDArray[np.float64]
TOLERANCE = 0.15  # a value within this share of the reference passes
MIN_SONGS = 4


def compare(
    generated: Sequence[Score],
    reference: Sequence[Score],
    songs: Sequence[object],
    grid: ClipGrid,
    *,
    poor: Sequence[Score] = (),
    scaler: Scaler | None = None,
    with_expression: bool = True,
    n_draws: int = 1000,
    seed: int = 0,
) -> list[Row]:
    """Return the distances between the sets, then a row for each metric, form and track (or pair), and for their mean.

    Args:
        generated: Clips of the model.
        reference: Held-out real clips.
        songs: The song of each reference clip; four songs or more.
        grid: Shape of all clips.
        poor: Clips of an untrained generator, for the ceiling.
        scaler: Of `score_desc`, fitted to training clips; by default fitted to the reference.
        with_expression: Look at velocities and micro-timing too; pass false for a model that makes neither.
        n_draws: Resamples of songs.
        seed: Of the resamples.

    Raises:
        UsageError: Too few clips or songs to compare.
    """
    _check(generated, reference, songs)
    everything = []
    described = []
    for clips in (generated, reference, poor):
        measures = measure(clips, grid)
        described.append(describe_measures(clips, grid, measures, with_expression=with_expression))
        played = {name: row for name, row in measures.items() if with_expression or name not in EXPRESSION}
        everything.append(played | _muspy_measures(clips, grid))
    names, (ours, real, anchor) = described[0][0], (one[1] for one in described)
    scaler = fit_scaler(real) if scaler is None else scaler
    scaled = (scaler.transform(values) for values in (ours, real, anchor))
    heard = (embed(clips, grid) for clips in (generated, reference, poor))
    rows = []
    for column, (x, y, z) in (("score_desc", scaled), (NAME, heard)):
        rows += distance_rows(x, y, z, songs, column, seed=seed)
    rows += overlap_rows(names, ours, real, anchor, songs, seed=seed)
    draws = _Draws.make(len(generated), songs, n_draws, seed)
    for name, row in everything[1].items():
        rows += _metric_rows(everything[0][name], row, everything[2][name] if len(poor) else None, draws)
    return rows


def _check(generated: Sequence[Score], reference: Sequence[Score], songs: Sequence[object]) -> None:
    assert len(songs) == len(reference), "one song per reference clip"
    if len(generated) < 2:
        raise UsageError(f"{len(generated)} generated clips; expected 2 or more to evaluate")
    check_songs(songs)


def check_songs(songs: Sequence[object]) -> None:
    """Refuse a reference of too few songs.

    Args:
        songs: The song of each reference clip.

    Raises:
        UsageError: Fewer than four songs.
    """
    if len(set(songs)) < MIN_SONGS:
        found = f"clips of {len(set(songs))} held-out songs"
        why = "so that real music can be compared with real music; --reference DIR takes other songs"
        raise UsageError(f"{found}; expected {MIN_SONGS} songs or more, {why}")


@dataclass(frozen=True)
class _Draws:
    """Resamples that all metrics share: of generated clips, of songs, and halves of songs."""

    clips: Array
    songs: Array
    halves: Array
    labels: Sequence[object]

    @classmethod
    def make(cls, n_clips: int, songs: Sequence[object], n_draws: int, seed: int) -> "_Draws":
        n_songs = len(set(songs))
        clips = bootstrap_weights(n_clips, n_draws, seed)
        return cls(
            clips, bootstrap_weights(n_songs, n_draws, seed + 1), half_weights(n_songs, n_draws, seed + 2), songs
        )


def _with_mean(values: Array, n_columns: int) -> Array:
    """Append the mean over the columns that exist, where there are several."""
    if n_columns < 2:
        return values
    there = np.isfinite(values)
    mean = ratio(np.where(there, values, 0).sum(axis=-1), there.sum(axis=-1).astype(float))
    return np.concatenate([values, mean[..., None]], axis=-1)


def _resampled(row: Measure, weights: Array, groups: Sequence[object] | None = None) -> Array:
    """Return `(draw, column)` values (mean appended) of resampled clips, or of resampled groups of clips."""
    above, below = row.numerator, row.denominator
    if groups is not None:
        above, below = sum_by_group(above, groups), sum_by_group(below, groups)
    return _with_mean(ratio(weights @ above, weights @ below), len(row.columns))


def _metric_rows(generated: Measure, reference: Measure, poor: Measure | None, draws: _Draws) -> list[Row]:
    """Return the rows of one metric, one per column and one for the mean."""
    n_columns = len(reference.columns)
    halves = [_resampled(reference, weights, draws.labels) for weights in (draws.halves, 1 - draws.halves)]
    floors = _median(np.abs(halves[0] - halves[1]))
    ours = _intervals(generated, _resampled(generated, draws.clips))
    real = _intervals(reference, _resampled(reference, draws.songs, draws.labels))
    ceilings = [float("nan")] * len(real)
    if poor is not None:
        values = _with_mean(poor.value(), n_columns)
        ceilings = [abs(float(value) - interval.value) for value, interval in zip(values, real, strict=True)]
    names = (*reference.columns, "mean") if n_columns > 1 else reference.columns
    return [
        _judge(reference, column, ours[i], real[i], float(floors[i]), ceilings[i], draws)
        for i, column in enumerate(names)
    ]


def _intervals(row: Measure, resampled: Array) -> list[Interval]:
    """Return the value of each column (mean appended) with the interval of its resamples."""
    low, high = percentiles(resampled)
    values = _with_mean(row.value(), len(row.columns))
    return [Interval(*map(float, numbers)) for numbers in zip(values, low, high, strict=True)]


def _median(draws: Array) -> Array:
    """Median over draws without NaN, NaN where nothing is left."""
    empty = np.isnan(draws).all(axis=0)
    return np.where(empty, np.nan, np.nanmedian(np.where(empty, 0, draws), axis=0))


def _judge(
    row: Measure, column: str, generated: Interval, real: Interval, floor: float, ceiling: float, draws: _Draws
) -> Row:
    note = row.note
    if not note and math.isnan(real.value):
        note = "the reference holds no such notes"
    distance = abs(generated.value - real.value)
    passes = None
    if not note:
        # a value that does not exist although real music has it (a silent track) fails: comparisons with NaN are false
        passes = bool(distance <= TOLERANCE * abs(real.value) or real.low <= generated.value <= real.high)
    return Row(
        metric=row.name,
        form=row.form,
        column=column,
        value=generated.value,
        low=generated.low,
        high=generated.high,
        reference=real.value,
        reference_low=real.low,
        reference_high=real.high,
        floor=floor,
        ceiling=ceiling,
        gap=(distance - floor) / (ceiling - floor) if ceiling > floor else float("nan"),
        n=draws.clips.shape[1],
        n_reference=len(draws.labels),
        passes=passes,
        note=note,
    )


def _muspy_measures(clips: Sequence[Score], grid: ClipGrid) -> dict[str, Measure]:
    """Means over clips of the fourteen muspy metrics in both forms; the key is the declared one, else C major."""
    measures = {}
    for form, corrected in (("muspy", False), ("muspy_corrected", True)):
        table = np.full((len(clips), len(NAMES)), np.nan)
        for i, clip in enumerate(quantised(clips, grid)):
            key = clip.keys[0] if clip.keys else None
            root = (7 * key.sharps + (9 if key.is_minor else 0)) % 12 if key else 0
            is_minor = key is not None and key.is_minor
            values = measure_score(
                clip,
                beats_per_bar=grid.beats_per_bar,
                root=root,
                is_minor=is_minor,
                n_bars=grid.n_bars,
                corrected=corrected,
            )
            table[i] = list(values.values())
        there = np.isfinite(table)
        for j, name in enumerate(NAMES):
            above, below = np.where(there, table, 0)[:, [j]], there[:, [j]].astype(float)
            # steps of a sixteenth or more leave a drum hit no place outside the pattern
            certain = name.startswith("drum_") and grid.beat_resolution in (1, 2, 4)
            note = f"1 by construction: {grid.beat_resolution} steps a beat" if certain else ""
            measures[f"{form}:{name}"] = Measure(name, form, ("clip",), above, below, note)
    return measures


def summary(rows: Sequence[Row], forms: Sequence[str] = ("correct",)) -> tuple[int, int]:
    """Return how many rows of these forms pass, and how many apply; means over tracks are not counted again."""
    judged = [row.passes for row in rows if row.form in forms and row.passes is not None and row.column != "mean"]
    return sum(judged), len(judged)


def markdown(rows: Sequence[Row], *, with_published: bool = False) -> str:
    """Return the rows as a Markdown table.

    Args:
        rows: Of `compare`.
        with_published: Add what the papers printed for their training data and for their best-known models.
    """
    head = ["metric", "form", "track", "generated [95 %]", "real [95 %]", "floor", "ceiling", "gap", "like real"]
    lines = [[*_cells(row), *([_published_text(row)] if with_published else [])] for row in rows]
    head += ["papers: data; model"] if with_published else []
    table = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in table) + "\n"


def _cells(row: Row) -> list[str]:
    verdict = {True: "yes", False: "no", None: f"not applicable ({row.note})" if row.note else "not applicable"}[
        row.passes
    ]
    generated = f"{_text(row.value)} [{_text(row.low)}, {_text(row.high)}]"
    real = f"{_text(row.reference)} [{_text(row.reference_low)}, {_text(row.reference_high)}]"
    scale = [_text(number) for number in (row.floor, row.ceiling, row.gap)]
    return [row.metric, row.form, row.column, generated, real, *scale, verdict]


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _published_text(row: Row) -> str:
    """The paper's training data, and the model that the paper put forward."""
    values = published(row.metric, row.column)
    shown = [
        f"{name} {values[name]:.3g}"
        for name in ("training data", "scratch jamming", "two-stage, deterministic")
        if name in values
    ]
    return "; ".join(shown) or "-"
