"""Marks of training clips that hold no music: hashes of whole bars' rhythm and of windows of melody.

Two views, the counterparts of those in `auditing`, both blind to key and tempo. A bar is hashed as what starts and
sounds on every timestep in all tracks together, without pitches; a melody as twelve steps (interval, ratio of
neighbouring gaps) of the upper line of a track. Windows of the corpus do not overlap, so that nobody can guess one
note after the other and have each guess confirmed; those of new clips are taken at every beat or note (the scheme of
k-gram fingerprints, Schleimer et al. 2003, turned round). Order, place, key, tempo, pitch and instrument are not kept.
"""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Score
from audiogan.evaluation.audit import beyond_longest
from audiogan.evaluation.fingerprints import Array, Fingerprints, Layout, calibrate, expect
from audiogan.pipelines.multitrack.auditing import disguise
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.copies import Melodies, melodies_of
from audiogan.pipelines.multitrack.dataset import Clips, open_dataset
from audiogan.pipelines.multitrack.grid import ClipGrid, quantised, split_notes, tabulate
from audiogan.representation.pianoroll import to_score

KIND = "clips"
BARS, MELODIES = "bars of equal rhythm", "windows of a shared melody"
WINDOW, LEAST_STEPS = 12, 5  # steps of a window, and how many of them have to differ
LEAST_ONSETS, LEAST_PITCHED = 8, 4  # of a bar that tells anything
LEAST_SHARED = 2.0
MOST_AT_ONCE = 3  # notes that start together in a track: more are not told apart
HASH_BYTES = 5
N_PLANTED = 400
N_HELD_OUT = 2000
Index = NDArray[np.int64]
Hashes = NDArray[np.uint64]


class Marks(NamedTuple):
    """Hashes of windows, each beside the number of its clip: `(window,)`."""

    clip: Index
    hash: Hashes


def limit_of(distances: Array, _planted: Array) -> float:
    """Return the limit for numbers of shared windows, given as negative: two, and 1.3 times the most honest ones.

    Copies share far more, so they have no say.

    Example:
        >>> limit_of(np.array([0.0, -1.0]), np.zeros(0)), limit_of(np.array([0.0, -10.0]), np.zeros(0))
        (-2.0, -13.0)
    """
    return beyond_longest(distances, LEAST_SHARED)


def grid_of(config: Config, n_bars: int | None = None) -> ClipGrid:
    """Return the shape of clips on a model's own grid, where it learnt and writes."""
    return ClipGrid(
        n_bars=config.n_bars if n_bars is None else n_bars,
        beats_per_bar=config.grid.n_timesteps // config.beat_resolution,
        beat_resolution=config.beat_resolution,
        roles=tuple(role.name for role in config.roles),
        drums=tuple(role.name for role in config.roles if role.is_drum),
    )


# ---- marks


def bar_marks(clips: Sequence[Score], grid: ClipGrid, step: int) -> Marks:
    """Hash the rhythm of a bar's length, from every `step`-th timestep on, where enough is going on.

    Args:
        clips: On any grid.
        grid: The model's.
        step: `grid.n_timesteps` for whole bars, `grid.beat_resolution` to find copies moved by beats.
    """
    sounding = _rhythm(clips, grid)
    pitched = list(grid.pitched)
    numbers, windows = [np.zeros(0, np.int64)], [np.zeros((0, grid.n_timesteps * len(grid.roles)), np.int8)]
    for first in range(0, grid.n_steps - grid.n_timesteps + 1, step):
        window = sounding[:, first : first + grid.n_timesteps]
        starts = (window & MOST_AT_ONCE) > 0
        is_telling = starts.sum(axis=(1, 2)) >= LEAST_ONSETS
        is_telling &= starts[..., pitched].sum(axis=(1, 2)) >= LEAST_PITCHED
        numbers.append(np.flatnonzero(is_telling))
        windows.append(window[is_telling].reshape(int(is_telling.sum()), grid.n_timesteps * len(grid.roles)))
    return Marks(np.concatenate(numbers), _hashed(np.concatenate(windows)))


def _rhythm(clips: Sequence[Score], grid: ClipGrid) -> NDArray[np.int8]:
    """Return `(clip, timestep, track)`: how many notes start there, up to three, and 4 more where something sounds."""
    table = tabulate(clips, grid)
    starts = np.zeros((len(clips), grid.n_steps, len(grid.roles)), np.int64)
    np.add.at(starts, (table.clip, table.start, table.track), 1)
    state = np.minimum(starts, MOST_AT_ONCE).astype(np.int8)
    pieces = split_notes(table, 1)
    lasting = ~table.is_drum[pieces.note]
    note, span = pieces.note[lasting], pieces.span[lasting]
    state[table.clip[note], span, table.track[note]] |= 4
    return state


def melody_marks(clips: Sequence[Score], grid: ClipGrid, *, apart: bool) -> Marks:
    """Hash windows of the upper lines of pitched tracks, in which enough different steps occur.

    Args:
        clips: On any grid.
        grid: The model's.
        apart: Whether windows follow each other without a common step; otherwise one begins at every step.
    """
    lines = melodies_of(quantised(clips, grid), grid.beat_resolution)
    starts = _window_starts(lines, apart=apart)
    windows = lines.tokens[starts[:, None] + np.arange(WINDOW)]  # (window, step, 3)
    _, name = np.unique(lines.tokens, axis=0, return_inverse=True)
    names = np.sort(name.reshape(-1)[starts[:, None] + np.arange(WINDOW)], axis=1)
    is_telling = (np.diff(names, axis=1) != 0).sum(axis=1) + 1 >= LEAST_STEPS
    flat = windows[is_telling].reshape(int(is_telling.sum()), 3 * WINDOW).astype("<i4")
    return Marks(lines.piece[starts[is_telling]], _hashed(flat))


def _window_starts(lines: Melodies, *, apart: bool) -> Index:
    edges = np.flatnonzero(np.diff(lines.melody, prepend=-1, append=-1))
    step = WINDOW if apart else 1
    spans = [np.arange(first, last - WINDOW + 1, step) for first, last in pairwise(edges)]
    return np.concatenate([np.zeros(0, np.int64), *spans]).astype(np.int64)


def _hashed(windows: NDArray) -> Hashes:
    """Return the first 40 bits of the BLAKE2b hash of each row."""
    if not len(windows):
        return np.zeros(0, np.uint64)
    rows, place = np.unique(windows, axis=0, return_inverse=True)
    digests = [hashlib.blake2b(row.tobytes(), digest_size=HASH_BYTES).digest() for row in rows]
    values = np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.uint64)
    return values[place.reshape(-1)]


def packed(hashes: Hashes) -> NDArray[np.uint8]:
    """Return different hashes in ascending order as `(hash, 5)` bytes, the order of the corpus lost."""
    return np.unique(hashes).astype("<u8").view(np.uint8).reshape(-1, 8)[:, :HASH_BYTES].copy()


def unpacked(stored: NDArray[np.uint8]) -> Hashes:
    """Undo `packed`."""
    wide = np.zeros((len(stored), 8), np.uint8)
    wide[:, :HASH_BYTES] = stored
    return wide.reshape(-1).view("<u8").astype(np.uint64)


# ---- comparing


def compare_fingerprints(config: Config, clips: Sequence[Score], marks: Fingerprints) -> dict[str, Array]:
    """Return by view how many different windows of each clip are in the corpus, as negative numbers `(clip,)`.

    Args:
        config: The model's.
        clips: New clips of the model, whose tracks are named after its roles.
        marks: Of the corpus.

    Raises:
        CheckpointError: The marks are those of another pipeline, or damaged.
    """
    expect(marks, KIND, LAYOUT, _NAMES)
    longest = max((-(-clip.n_ticks // clip.resolution) for clip in clips), default=0)
    grid = grid_of(config, max(1, -(-longest // grid_of(config).beats_per_bar)))
    own = {
        BARS: bar_marks(clips, grid, grid.beat_resolution),
        MELODIES: melody_marks(clips, grid, apart=False),
    }
    return {name: 0.0 - _n_known(own[name], unpacked(marks.arrays[_NAMES[name]]), len(clips)) for name in own}


_NAMES = {BARS: "bars", MELODIES: "melodies"}
LAYOUT: Layout = {name: ("uint8", (name, HASH_BYTES)) for name in _NAMES.values()}


def _n_known(own: Marks, known: Hashes, n_clips: int) -> Array:
    pairs = np.unique(np.stack([own.clip.astype(np.uint64), own.hash], axis=1), axis=0)
    is_known = np.isin(pairs[:, 1], known)
    return np.bincount(pairs[is_known, 0].astype(np.int64), minlength=n_clips).astype(np.float64)


# ---- making


def take_fingerprints(cache: Path, config: Config, corpus: CorpusConfig, *, seed: int = 0) -> Fingerprints:
    """Mark the training clips of a prepared corpus.

    Args:
        cache: What `prepare` filled.
        config: The model's.
        corpus: Which windows count as clips.
        seed: Of the planted copies and the halves.
    """
    train, valid = (open_dataset(cache, config, corpus, split) for split in ("train", "valid"))
    learnt = [_clip(train, number) for number in range(len(train))]
    grid = grid_of(config)
    found = {
        # of all clips, since a note held over the bar line is cut where a clip begins
        BARS: bar_marks(learnt, grid, grid.n_timesteps).hash,
        MELODIES: melody_marks([learnt[number] for number in covering(train)], grid, apart=True).hash,
    }
    marks = Fingerprints(KIND, {_NAMES[name]: packed(hashes) for name, hashes in found.items()}, {})
    rng = np.random.default_rng(seed)
    planted = [
        disguise(_clip(train, number), rng)
        for number in rng.integers(len(train), size=min(N_PLANTED, 2 * len(train))).tolist()
    ]
    honest = [_clip(valid, number) for number in _evenly(len(valid), N_HELD_OUT)]
    to_honest, to_planted = (compare_fingerprints(config, clips, marks) for clips in (honest, planted))
    limits, facts = calibrate(to_honest, to_planted, {BARS: limit_of, MELODIES: limit_of}, seed=seed)
    n_windows = {name: len(values) for name, values in marks.arrays.items()}
    about = {"n_items": len(train), "n_songs": len(set(map(train.song_of, range(len(train)))))}
    n_bits = 8 * HASH_BYTES * sum(n_windows.values()) / max(len(learnt), 1)
    about |= {"n_windows": n_windows, "bits_per_window": 8 * HASH_BYTES, "bits_per_item": round(n_bits, 1)}
    return Fingerprints(KIND, marks.arrays, limits, about | facts)


def covering(clips: Clips) -> list[int]:
    """Return numbers of clips that together hold every bar of all clips, with as little overlap as can be."""
    chosen, n_bars = [], clips.config.n_bars
    windows = clips.windows.tolist()
    stretch, end = -1, 0
    for number, (own, bar) in enumerate(windows):
        if own != stretch:
            stretch, end = own, 0
        following = windows[number + 1] if number + 1 < len(windows) else [-1, 0]
        is_last_chance = following[0] != own or following[1] > end
        if bar >= end or (is_last_chance and bar + n_bars > end):
            chosen.append(number)
            end = bar + n_bars
    return chosen


def _clip(clips: Clips, number: int) -> Score:
    return to_score(clips.notes_of(number), clips.config.grid, clips.config.roles)


def _evenly(n_items: int, n_most: int) -> list[int]:
    return np.unique(np.linspace(0, n_items - 1, min(n_most, n_items)).astype(int)).tolist()
