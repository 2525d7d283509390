"""From posteriorgrams to notes: begun where an onset peaks, held while the note stays probable, without ghosts.

A transcriber says for every frame and key how probable it is that a note begins there, and that it sounds there. As in
Bittner et al. 2022 (arXiv 2203.09893), section 3.2, a peak of the first begins a note and the second holds it. What
differs was measured: inside a sounding note a second onset must be surer than a first one; short notes stay (70 ms
instead of 128); improbable notes and those that are likely partials of others go. Notes without a peak are not added.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LOWEST_PITCH, N_KEYS = 21, 88
PARTIALS = (12, 19, 24, 28, 31, 36)  # semitones from a note to its partials 2, 3, 4, 5, 6 and 8
_ONSET, _AGAIN, _SOUNDS, _LEAST = 0.5, 0.65, 0.3, 0.35  # drums and hiss had 0.28 to 0.34 in the mean
_PEAK_FRAMES, _GAP_FRAMES, _LEAST_FRAMES = 4, 11, 6
_SUBHARMONICS = (12, 19, 24)
_TOGETHER_FRAMES = 4
_LEAST_PARTIAL, _LEAST_SUBHARMONIC = 0.4, 0.6

Array = NDArray[np.float32]


class Held(NamedTuple):
    """A note: first frame, the one after its last, MIDI pitch, and how probable it was in the mean, 0 to 1."""

    first: int
    stop: int
    pitch: int
    posterior: float


def notes_of(onsets: Array, sounding: Array) -> list[Held]:
    """Return the notes of two posteriorgrams, in order of their onsets; those of one pitch do not overlap.

    Args:
        onsets: `(frame, 88)` in [0, 1], from A0 up: how probably a note begins.
        sounding: `(frame, 88)` in [0, 1]: how probably it sounds. A frame stands for about 12 ms.

    Example:
        >>> onsets, sounding = np.zeros((40, 88), np.float32), np.zeros((40, 88), np.float32)
        >>> onsets[5, 39], sounding[5:25, 39] = 0.9, 0.5
        >>> notes_of(onsets, sounding)
        [Held(first=5, stop=25, pitch=60, posterior=0.5)]
    """
    assert onsets.shape == sounding.shape and onsets.shape[1] == N_KEYS
    is_peak = _peaks(onsets)
    by_key = [_notes_of_key(key, is_peak[:, key], onsets[:, key], sounding[:, key]) for key in range(N_KEYS)]
    kept = [note for notes in by_key for note in notes if not _is_partial(note, by_key) and not _is_below(note, by_key)]
    return sorted(kept)


def _peaks(onsets: Array) -> NDArray[np.bool_]:
    """Where an onset is probable, and more so than up to four frames away, `(frame, 88)`."""
    padded = np.pad(onsets, ((_PEAK_FRAMES, _PEAK_FRAMES), (0, 0)))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _PEAK_FRAMES + 1, axis=0).max(axis=-1)
    return (onsets >= _ONSET) & (onsets >= around)


def _notes_of_key(key: int, is_peak: NDArray[np.bool_], onsets: Array, sounding: Array) -> list[Held]:
    """The notes of one key, in order: up to where it stops sounding, or begins again."""
    probable = np.flatnonzero(sounding >= _SOUNDS)
    ends = np.append(np.flatnonzero(np.diff(probable) > _GAP_FRAMES), len(probable) - 1)  # of each stretch
    spans: list[tuple[int, int]] = []
    for first in np.flatnonzero(is_peak).tolist():
        is_inside = bool(spans) and first < spans[-1][1]
        if is_inside and onsets[first] < _AGAIN:
            continue
        if is_inside:
            spans[-1] = (spans[-1][0], first)
        place = int(np.searchsorted(probable, first))
        if place == len(probable) or probable[place] - first >= _GAP_FRAMES:
            continue
        spans.append((first, int(probable[ends[np.searchsorted(ends, place)]]) + 1))
    held = (
        Held(first, stop, LOWEST_PITCH + key, round(float(sounding[first:stop].mean()), 4))
        for first, stop in spans
        if stop - first >= _LEAST_FRAMES
    )
    return [note for note in held if note.posterior >= _LEAST]


def _is_partial(note: Held, by_key: Sequence[Sequence[Held]]) -> bool:
    """Whether a weak note lies at a partial of a stronger one that sounds."""
    if note.posterior >= _LEAST_PARTIAL:
        return False
    lower = [_last_before(note, -interval, by_key) for interval in PARTIALS]
    return any(one and note.first < one.stop and note.posterior < one.posterior for one in lower)


def _is_below(note: Held, by_key: Sequence[Sequence[Held]]) -> bool:
    """Whether a note begins with a much stronger one that lies at its partial."""
    upper = [_last_before(note, interval, by_key) for interval in _SUBHARMONICS]
    return any(
        one and one.first >= note.first - _TOGETHER_FRAMES and note.posterior < _LEAST_SUBHARMONIC * one.posterior
        for one in upper
    )


def _last_before(note: Held, interval: int, by_key: Sequence[Sequence[Held]]) -> Held | None:
    """The last note that many semitones above which begins before another or with it."""
    key = note.pitch + interval - LOWEST_PITCH
    if not 0 <= key < N_KEYS:
        return None
    place = bisect_right(by_key[key], note.first + _TOGETHER_FRAMES, key=lambda one: one.first)
    return by_key[key][place - 1] if place else None
