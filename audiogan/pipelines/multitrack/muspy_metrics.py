"""The fourteen piece-level metrics of muspy (arXiv 2008.01951), as muspy 0.5.0 computes them and corrected.

Both forms work on the ticks of a Score of any length and leave the grid of a model alone. The `muspy` form equals
muspy's numbers, faults included: one silent beat or bar is added where a piece ends on a line, a note that ends on
a line fills the next beat or bar, a piece of drums only has a pitch range of -127, and off-beat drum positions
exist only at resolutions that divide evenly. The `muspy_corrected` form mends these four and is the one to read.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Score
from audiogan.pipelines.multitrack.metrics import MAJOR, MINOR, SCALES

NAMES = (
    "empty_beat_rate", "empty_measure_rate", "n_pitches_used", "n_pitch_classes_used", "pitch_range", "polyphony",
    "polyphony_rate", "pitch_in_scale_rate", "scale_consistency", "drum_in_pattern_rate", "drum_pattern_consistency",
    "pitch_entropy", "pitch_class_entropy", "groove_consistency",
)  # fmt: skip


class _Piece(NamedTuple):
    """All notes of a score, its length in ticks and ticks per beat and per bar."""

    onset: NDArray[np.int64]
    offset: NDArray[np.int64]
    pitch: NDArray[np.int64]
    is_drum: NDArray[np.bool_]
    length: int
    resolution: int
    measure: int


def measure_score(
    score: Score,
    *,
    beats_per_bar: int = 4,
    root: int = 0,
    is_minor: bool = False,
    is_triple: bool = False,
    n_bars: int | None = None,
    corrected: bool = True,
) -> dict[str, float]:
    """Return the fourteen metrics of a score by name; NaN where muspy gives NaN.

    Args:
        score: Any piece of one metre.
        beats_per_bar: Quarter notes per bar.
        root: Pitch class of the scale of `pitch_in_scale_rate`, 0–11.
        is_minor: Whether that scale is natural minor.
        is_triple: Whether `drum_in_pattern_rate` looks for thirds of a beat (else sixteenths).
        n_bars: Length to measure; by default the bars that the last note reaches. Corrected form only.
        corrected: Mend muspy's faults; otherwise equal muspy.
    """
    piece = _piece(score, beats_per_bar, n_bars if corrected else None, corrected)
    pitched = piece.pitch[~piece.is_drum]
    classes = pitched % 12
    duple, triple = _in_pattern(piece, corrected)
    drums = [_mean(duple), _mean(triple)]
    in_scale = np.bincount(classes, minlength=12)
    scale = np.roll(MINOR if is_minor else MAJOR, root)
    n_notes = len(pitched) or float("nan")
    polyphony, polyphony_rate = _polyphony(piece)
    values = (
        _empty_rate(piece, piece.resolution, corrected), _empty_rate(piece, piece.measure, corrected),
        len(np.unique(pitched)), len(np.unique(classes)), _pitch_range(piece, corrected), polyphony, polyphony_rate,
        in_scale @ scale / n_notes, (SCALES @ in_scale).max() / n_notes, drums[int(is_triple)], max(drums),
        _entropy(np.bincount(pitched)), _entropy(in_scale), _groove(piece, corrected),
    )  # fmt: skip
    return {name: float(value) for name, value in zip(NAMES, values, strict=True)}


def _piece(score: Score, beats_per_bar: int, n_bars: int | None, corrected: bool) -> _Piece:
    """Join the tracks; a length in whole bars for the corrected form, up to the last note for muspy's."""
    tracks = score.tracks
    empty = np.zeros(0, dtype=np.int64)
    onset, offset, pitch = (
        np.concatenate([empty, *(getattr(track.notes, name) for track in tracks)])
        for name in ("onset", "offset", "pitch")
    )
    is_drum = np.repeat([track.is_drum for track in tracks], [len(track.notes) for track in tracks]).astype(bool)
    measure = beats_per_bar * score.resolution
    length = int(offset.max(initial=0))
    if n_bars is not None:
        length = n_bars * measure
        keep = onset < length
        onset, offset, pitch, is_drum = onset[keep], np.minimum(offset[keep], length), pitch[keep], is_drum[keep]
    elif corrected:
        length = -(-length // measure) * measure
    return _Piece(onset, offset, pitch, is_drum, length, score.resolution, measure)


def _mean(values: NDArray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _pitch_range(piece: _Piece, corrected: bool) -> float:
    """Highest minus lowest pitch; muspy starts from 0 and 127 and so gives -127 for drums alone."""
    pitched = piece.pitch[~piece.is_drum]
    if len(pitched):
        return float(pitched.max() - pitched.min())
    return 0.0 if corrected or not len(piece.pitch) else -127.0


def _empty_rate(piece: _Piece, span: int, corrected: bool) -> float:
    """Share of spans of `span` ticks in which nothing sounds."""
    if piece.length < 1:
        return float("nan")
    n_spans = piece.length // span + (0 if corrected else 1)
    first, last = piece.onset // span, (piece.offset - (1 if corrected else 0)) // span
    change = np.zeros(n_spans + 1)
    np.add.at(change, first, 1)
    np.add.at(change, last + 1, -1)
    return float((change.cumsum()[:n_spans] == 0).mean())


def _polyphony(piece: _Piece) -> tuple[float, float]:
    """Mean number of pitches while any sounds, and share of the length with more than two."""
    if piece.length < 1:
        return float("nan"), float("nan")
    keep = ~piece.is_drum
    times, place = np.unique(np.concatenate([piece.onset[keep], piece.offset[keep]]), return_inverse=True)
    if not len(times):
        return float("nan"), 0.0
    onset, offset = np.split(place, 2)
    change = np.zeros((len(times), 128), dtype=np.int32)
    np.add.at(change, (onset, piece.pitch[keep]), 1)
    np.add.at(change, (offset, piece.pitch[keep]), -1)
    n_sounding = (change.cumsum(axis=0)[:-1] > 0).sum(axis=1)  # between one change and the next
    ticks = np.diff(times)
    polyphony = (n_sounding @ ticks) / ((n_sounding > 0) @ ticks)
    return float(polyphony), float(((n_sounding > 2) @ ticks) / piece.length)


def _in_pattern(piece: _Piece, corrected: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which drum hits lie on sixteenths, and which on thirds of a beat."""
    position = piece.onset[piece.is_drum] % piece.resolution
    if corrected:
        parts = [np.round(np.arange(n + 1) * piece.resolution / n) % piece.resolution for n in (4, 3)]
        return np.isin(position, parts[0]), np.isin(position, parts[1])
    n_duple = next((n for n in (4, 2) if piece.resolution % n == 0), 1)
    n_triple = 3 if piece.resolution % 3 == 0 else 1
    return position % (piece.resolution // n_duple) == 0, position % (piece.resolution // n_triple) == 0


def _entropy(counts: NDArray) -> float:
    """Shannon entropy of a histogram, in bits."""
    total = counts.sum()
    if total < 1:
        return float("nan")
    share = counts[counts > 0] / total
    return float(-(share * np.log2(share)).sum() + 0.0)


def _groove(piece: _Piece, corrected: bool) -> float:
    """1 minus the mean Hamming distance of the onset vectors of neighbouring bars, in ticks."""
    n_bars = piece.length // piece.measure + (0 if corrected else 1)
    if n_bars < 2:
        return float("nan")
    cells = np.unique(piece.onset)
    bar = cells // piece.measure
    # of neighbouring bars, cells on in both cancel; a bar that is not first or last has two neighbours
    n_neighbours = (bar > 0).astype(int) + (bar < n_bars - 1)
    shared = np.isin(cells + piece.measure, cells)
    return float(1 - (n_neighbours.sum() - 2 * shared.sum()) / (piece.measure * (n_bars - 1)))
