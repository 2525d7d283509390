"""Does a model listen? Agreement of generated tracks with the tracks they were made for, against shuffled conditions.

A score of agreement alone says little, since all music shares keys and metres. So each output is also scored
against the conditions of other songs: a model that listens loses agreement then, a deaf one does not. The loss,
divided by the loss of real music under the same shuffling, is `listen`: 0 deaf, 1 like real music.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Score
from audiogan.evaluation.intervals import bootstrap_mean, bootstrap_weights, percentiles, sum_by_group
from audiogan.pipelines.multitrack.grid import ClipGrid, presence, split_notes, tabulate
from audiogan.pipelines.multitrack.metrics import SCALES, chroma_by_beat, ratio, tonal_centroids

Array = NDArray[np.float64]
MIN_SONGS = 4  # fewer say nothing about other songs
SCORES = ("pitch_classes", "key", "tonal_distance", "onsets")


@dataclass(frozen=True)
class Agreement:
    """One score of agreement between given and generated tracks; larger is better (tonal distance is negated).

    Args:
        name: One of `SCORES`.
        matched, shuffled: Mean with the right condition and with conditions of other songs.
        drop: matched - shuffled, paired by output, with its 95 % interval `low`, `high` by song.
        real_drop: The same on real music; NaN if none was given.
        listen: drop / real_drop, with its 95 % interval `listen_low`, `listen_high`.
        n, n_songs: Outputs that could be scored, and the songs of their conditions.
        passes: The drop's interval lies above 0 and `listen` is at least 0.5 (the drop alone without real music), over
            four songs or more.
    """

    name: str
    matched: float
    shuffled: float
    drop: float
    low: float
    high: float
    real_drop: float
    listen: float
    listen_low: float
    listen_high: float
    n: int
    n_songs: int
    passes: bool

    def to_json(self) -> dict[str, object]:
        """Return the row for JSON: None instead of NaN."""
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class _Features:
    """What one side of a pair is judged by: `(clip, beat, 12)` sounding steps and `(clip, step)` onsets."""

    chroma: Array
    onsets: NDArray[np.bool_]


def _features(clips: Sequence[Score], grid: ClipGrid, roles: Sequence[str]) -> _Features:
    """Sum over the named roles; drums give onsets only."""
    table = tabulate(clips, grid)
    tracks = [grid.roles.index(role) for role in roles]
    chroma = chroma_by_beat(table, split_notes(table, grid.beat_resolution))
    pitched = [track for track in tracks if track in grid.pitched]
    keep = np.isin(table.track, tracks)
    onsets = presence((len(clips), grid.n_steps), table.clip[keep], table.start[keep])
    return _Features(chroma[:, pitched].sum(axis=1), onsets)


def _scores(given: _Features, made: _Features, condition: NDArray[np.int64], grid: ClipGrid) -> Array:
    """Return `(clip, score)` agreement of output i with condition `condition[i]`, NaN where one side is silent."""
    chroma, onsets = given.chroma[condition], given.onsets[condition]
    bars = (len(chroma), grid.n_bars, grid.beats_per_bar, 12)
    given_bar, made_bar = chroma.reshape(bars).sum(axis=2), made.chroma.reshape(bars).sum(axis=2)
    heard = (given_bar.sum(axis=-1, keepdims=True) > 0) * made_bar
    pitch_classes = ratio((heard * (given_bar > 0)).sum(axis=(1, 2)), heard.sum(axis=(1, 2)))
    total, made_total = chroma.sum(axis=1), made.chroma.sum(axis=1)
    scale = SCALES[(total @ SCALES.T).argmax(axis=1)]
    key = np.where(total.any(axis=1), ratio((made_total * scale).sum(axis=1), made_total.sum(axis=1)), np.nan)
    apart = np.linalg.norm(tonal_centroids(chroma) - tonal_centroids(made.chroma), axis=-1)
    both = np.isfinite(apart)
    tonal = ratio(-np.nansum(apart, axis=1), both.sum(axis=1).astype(float))
    counts = onsets.sum(axis=1), made.onsets.sum(axis=1)
    dice = ratio(2.0 * (onsets & made.onsets).sum(axis=1), (counts[0] + counts[1]).astype(float))
    return np.stack([pitch_classes, key, tonal, np.where(np.minimum(*counts) > 0, dice, np.nan)], axis=1)


def _others(songs: Sequence[object], n_shuffles: int, seed: int) -> NDArray[np.int64]:
    """Return `(shuffle, clip)` permutations-like choices: for each clip a random clip of another song."""
    index = {song: i for i, song in enumerate(dict.fromkeys(songs))}
    song = np.array([index[name] for name in songs])
    order = np.argsort(song, kind="stable")
    first = np.searchsorted(song[order], song)
    size = np.bincount(song)[song]
    assert len(index) >= 2, "shuffling needs clips of two songs"
    draw = np.random.default_rng(seed).integers(0, len(song) - size, size=(n_shuffles, len(song)))
    return order[np.where(draw < first, draw, draw + size)]  # jump over the clip's own song


def _pairs(
    conditions: Sequence[Score],
    outputs: Sequence[Score],
    grid: ClipGrid,
    given: Sequence[str],
    songs: Sequence[object],
    n: int,
    seed: int,
) -> tuple[Array, Array]:
    """Return `(clip, score)` with matched conditions and the mean over `n` shuffles."""
    rest = [role for role in grid.roles if role not in given]
    heard, made = _features(conditions, grid, given), _features(outputs, grid, rest)
    matched = _scores(heard, made, np.arange(len(outputs)), grid)
    shuffled = np.stack([_scores(heard, made, other, grid) for other in _others(songs, n, seed)])
    there = np.isfinite(shuffled)
    return matched, ratio(np.nansum(shuffled, axis=0), there.sum(axis=0).astype(float))


def listening(
    conditions: Sequence[Score],
    outputs: Sequence[Score],
    grid: ClipGrid,
    *,
    given: Sequence[str],
    songs: Sequence[object],
    real: Sequence[Score] = (),
    real_songs: Sequence[object] = (),
    n_shuffles: int = 10,
    n_draws: int = 1000,
    seed: int = 0,
) -> list[Agreement]:
    """Test whether outputs agree better with their own condition than with those of other songs.

    The scores, each over the generated roles together: `pitch_classes`, share of sounding time on pitch classes
    that the given tracks use in the same bar; `key`, share inside the best scale of the given tracks;
    `tonal_distance`, mean distance per beat, negated; `onsets`, overlap of onset steps (Dice). The first three need
    a pitched given track.

    Args:
        conditions: Clips whose `given` roles the model was shown.
        outputs: Clips that came out, in the same order.
        grid: Shape of the clips.
        given: Roles that were shown; all others count as generated.
        songs: The song of each condition; two songs or more.
        real: Whole real clips, whose given and other roles are the pairs of the ideal model.
        real_songs: The song of each real clip.
        n_shuffles: Conditions of other songs per output.
        n_draws: Resamples of songs.
        seed: Of shuffles and resamples.

    Returns:
        One row per score. A score that no pair allows is left out; one that only real music allows fails with n = 0.
    """
    assert len(conditions) == len(outputs) == len(songs), "one condition and one song per output"
    assert len(real) == len(real_songs), "one song per real clip"
    matched, shuffled = _pairs(conditions, outputs, grid, given, songs, n_shuffles, seed)
    real_drop = None
    if len(real):
        real_matched, real_shuffled = _pairs(real, real, grid, given, real_songs, n_shuffles, seed)
        real_drop = real_matched - real_shuffled
    rows = []
    for i, name in enumerate(SCORES):
        keep = np.isfinite(matched[:, i] - shuffled[:, i])
        kept = [song for song, use in zip(songs, keep, strict=True) if use]
        ideal, ideal_songs = np.zeros(0), []
        if real_drop is not None:
            use_real = np.isfinite(real_drop[:, i])
            ideal = real_drop[use_real, i]
            ideal_songs = [song for song, use in zip(real_songs, use_real, strict=True) if use]
        if keep.any():
            rows.append(_agreement(name, matched[keep, i], shuffled[keep, i], kept, ideal, ideal_songs, n_draws, seed))
        elif len(ideal):  # real music can be scored, this model cannot: it was silent
            rows.append(_unheard(name, float(ideal.mean())))
    return rows


def _unheard(name: str, real_drop: float) -> Agreement:
    """Return the failing row of a model whose outputs cannot be scored."""
    nan = float("nan")
    return Agreement(
        name=name,
        matched=nan,
        shuffled=nan,
        drop=nan,
        low=nan,
        high=nan,
        real_drop=real_drop,
        listen=nan,
        listen_low=nan,
        listen_high=nan,
        n=0,
        n_songs=0,
        passes=False,
    )


def _agreement(
    name: str,
    matched: Array,
    shuffled: Array,
    songs: Sequence[object],
    ideal: Array,
    ideal_songs: Sequence[object],
    n_draws: int,
    seed: int,
) -> Agreement:
    """Fill in one row from paired scores."""
    drop = bootstrap_mean(matched - shuffled, songs, n_draws=n_draws, seed=seed)
    real_drop = listen = listen_low = listen_high = float("nan")
    if len(ideal):
        real_drop = float(ideal.mean())
        listen = drop.value / real_drop if real_drop else float("nan")
        listen_low, listen_high = _ratio_interval(matched - shuffled, songs, ideal, ideal_songs, n_draws, seed)
    return Agreement(
        name=name,
        matched=float(matched.mean()),
        shuffled=float(shuffled.mean()),
        drop=drop.value,
        low=drop.low,
        high=drop.high,
        real_drop=real_drop,
        listen=listen,
        listen_low=listen_low,
        listen_high=listen_high,
        n=len(matched),
        n_songs=len(set(songs)),
        passes=bool(drop.low > 0 and (not len(ideal) or listen >= 0.5) and len(set(songs)) >= MIN_SONGS),
    )


def _ratio_interval(
    drop: Array, songs: Sequence[object], ideal: Array, ideal_songs: Sequence[object], n_draws: int, seed: int
) -> tuple[float, float]:
    """95 % interval of the ratio of two means, each over its own resampled songs."""
    means = []
    for offset, (values, groups) in enumerate(((drop, songs), (ideal, ideal_songs))):
        sums = sum_by_group(np.stack([values, np.ones(len(values))], axis=1), groups)
        draws = bootstrap_weights(len(sums), n_draws, seed + 1 + offset) @ sums
        means.append(draws[:, 0] / draws[:, 1])
    low, high = percentiles(ratio(means[0], np.where(means[1] > 0, means[1], 0)))
    return float(low), float(high)
