"""Does a sound follow what was asked of it? Velocity by rank, timbre by retrieval, pitch in h by a linear probe.

Functions of arrays alone: what the notes sounded like, what was asked, which instrument they belong to.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.evaluation.distances import squared_distances
from audiogan.pipelines.waveform.descriptors import NAN, Array

LEAST_LEVELS = 3
N_FOLDS = 5
RIDGE = 1e-2


def ranks(values: Array) -> Array:
    """Return the ranks of values, equal ones sharing theirs.

    Example:
        >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
        [1.5, 0.0, 1.5]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    return middle[inverse].astype(np.float64)


def rank_correlation(x: Array, y: Array) -> float:
    """Return Spearman's correlation, ties shared; 0 where one side never changes or is not finite."""
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return 0.0
    a, b = (ranks(values) - (len(values) - 1) / 2 for values in (x, y))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def velocity_obeyed(velocity: Array, value: Array, groups: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """Correlate velocity with a value inside every group of three velocities or more.

    Args:
        velocity: `(note,)`.
        value: `(note,)`, such as brightness or level.
        groups: `(note,)`: notes that differ in nothing else.

    Returns:
        Correlation by group, and the group.
    """
    kept = [group for group in np.unique(groups) if len(np.unique(velocity[groups == group].round(3))) >= LEAST_LEVELS]
    found = [rank_correlation(velocity[groups == group], value[groups == group]) for group in kept]
    return np.array(found, dtype=np.float64), np.array(kept, dtype=np.int64)


# ---- timbre


class Retrieval(NamedTuple):
    """For each note that could be asked for: was the nearest other note of its instrument, and the chance of that.

    Args:
        hit: `(note,)` 0 or 1; NaN where there was no other note to find.
        chance: `(note,)`, NaN likewise.
    """

    hit: Array
    chance: Array


def retrieval(codes: Array, instrument: NDArray[np.int64], pitch: Array, *, least_semitones: float = 0.0) -> Retrieval:
    """Look for another note of the same instrument by the nearest code.

    Args:
        codes: `(note, value)`.
        instrument: `(note,)`.
        pitch: `(note,)` MIDI.
        least_semitones: Notes nearer in pitch are no candidates, those of other instruments neither.
    """
    return retrieval_among(codes, instrument, pitch, codes, instrument, pitch, least_semitones, without_self=True)


def retrieval_among(
    codes: Array,
    instrument: NDArray[np.int64],
    pitch: Array,
    others: Array,
    other_instrument: NDArray[np.int64],
    other_pitch: Array,
    least_semitones: float = 0.0,
    *,
    without_self: bool,
) -> Retrieval:
    """Look for a note of the same instrument among others.

    Args:
        codes, instrument, pitch: What looks, as in `retrieval`.
        others, other_instrument, other_pitch: What is looked through.
        least_semitones: As in `retrieval`.
        without_self: Leave out the note at the same place.
    """
    allowed = np.abs(pitch[:, None] - other_pitch) >= least_semitones
    if without_self:
        same_place = np.arange(min(allowed.shape))
        allowed[same_place, same_place] = False
    same = instrument[:, None] == other_instrument
    can_hit = (allowed & same).any(axis=1) & (allowed & ~same).any(axis=1)
    distance = np.where(allowed, squared_distances(codes, others), np.inf)
    hit = same[np.arange(len(codes)), distance.argmin(axis=1)].astype(np.float64)
    chance = (allowed & same).sum(axis=1) / np.maximum(allowed.sum(axis=1), 1)
    return Retrieval(np.where(can_hit, hit, NAN), np.where(can_hit, chance, NAN))


# ---- pitch in h


class Leak(NamedTuple):
    """What a probe leaves over, `(note,)` squared each: after its guess, and after guessing the mean."""

    left: Array
    total: Array

    @property
    def share(self) -> float:
        """R² of the probe on instruments it was not fitted to: 0 or less says that nothing leaks."""
        return 1 - float(self.left.sum() / self.total.sum()) if self.total.sum() > 0 else NAN


def pitch_leak(codes: Array, pitch: Array, instrument: NDArray[np.int64], *, within: bool) -> Leak:
    """Read the pitch from codes by ridge regression, folds of whole instruments.

    Args:
        codes: `(note, value)`.
        pitch: `(note,)` MIDI.
        instrument: `(note,)`, two or more.
        within: Take the mean of every instrument out of codes and pitch first: low and high instruments may differ.
    """
    numbers, place = np.unique(instrument, return_inverse=True)
    x, y = codes.astype(np.float64), pitch.astype(np.float64)
    if within:
        x, y = _centred(x, place), _centred(y[:, None], place)[:, 0]
    fold = np.random.default_rng(0).permutation(len(numbers))[place] % min(N_FOLDS, len(numbers))
    left, total = np.zeros(len(y)), np.zeros(len(y))
    for number in np.unique(fold):
        test, train = fold == number, fold != number
        mean, deviation = x[train].mean(axis=0), x[train].std(axis=0) + 1e-6
        a, b = (x - mean) / deviation, y - y[train].mean()
        gram = a[train].T @ a[train] + RIDGE * train.sum() * np.eye(x.shape[1])
        weight = np.linalg.solve(gram, a[train].T @ b[train])
        left[test] = (b[test] - a[test] @ weight) ** 2
        total[test] = b[test] ** 2
    return Leak(left, total)


def _centred(values: Array, place: NDArray[np.int64]) -> Array:
    sums = np.zeros((int(place.max()) + 1, values.shape[1]))
    np.add.at(sums, place, values)
    return values - (sums / np.bincount(place)[:, None])[place]


# ---- the way between two


class Way(NamedTuple):
    """A ladder of sounds from one timbre to another.

    Args:
        largest: Largest step against the mean step: 1 is even.
        length: Sum of the steps against the distance of the ends: 1 is straight.
        monotone: By column, rank correlation with the place on the ladder, without its sign.
    """

    largest: float
    length: float
    monotone: tuple[float, ...]


def way_of(vectors: Array, columns: tuple[int, ...]) -> Way:
    """Describe a ladder.

    Args:
        vectors: `(rung, descriptor)`, scaled.
        columns: Descriptors that should rise or fall all along.
    """
    steps = np.linalg.norm(np.diff(vectors, axis=0), axis=1)
    ends = float(np.linalg.norm(vectors[-1] - vectors[0]))
    place = np.arange(len(vectors), dtype=np.float64)
    return Way(
        largest=float(steps.max() / steps.mean()) if steps.mean() > 0 else NAN,
        length=float(steps.sum() / ends) if ends > 0 else NAN,
        monotone=tuple(abs(rank_correlation(place, vectors[:, column])) for column in columns),
    )
