"""Pitch curves mended where the tracker slipped to a partial: frame by frame, by autocorrelation and continuity.

Trackers jump to the second, third or fourth partial for a few frames, on plucked strings, brass and organs above all.
Each frame may stay, move to a simple ratio of what was heard, or take the pitch of a neighbour. What repeats itself
best decides (the normalised square difference of McLeod and Wyvill 2005), and the cheapest way through each voiced
stretch (Viterbi) keeps melodies together. Longer slips stand as notes of their own; `join_slips` finds them by the
partials that only the lower pitch has. Slips of a whole note are left to `corpus.tuning.check_octave`.
"""

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.notes import hz_of, pitch_of
from audiogan.corpus.pitchtrack import TRACK_RATE
from audiogan.corpus.tuning import spectrum_of
from audiogan.pipelines.waveform.segmentation import HOP_SECONDS, Heard
from audiogan.pipelines.waveform.sound import Waveform

_RATIOS = (1.0, 1 / 2, 1 / 3, 1 / 4, 2.0)
_MOVED, _LOWERED, _STRANGE = 0.08, 0.04, 0.25
_JUMP, _JUMP_SEMITONES, _JUMP_EACH, _FARTHEST = 0.3, 0.8, 0.04, 24.0
_WINDOW = 1024
_LAG_ROOM = 0.02
_NEAR_FRAMES, _AROUND_FRAMES = 25, 30
_LOWEST_HZ = 25.0
_FRAMES_AT_ONCE = 1024
_PARTS, _PART_SEMITONES = (2, 3, 4), 0.6
_N_RANKS, _LEAST_PERIODS = 12, 4
_LOWER_SHARE, _UPPER_SHARE = 0.15, 0.03

Array = NDArray[np.float64]


def mend(hz: Array, voiced: NDArray[np.bool_], sound: Waveform, hop: int) -> Array:
    """Return a pitch curve `(frame,)` Hz without slips; what is not voiced stays.

    Args:
        hz: `(frame,)` as tracked.
        voiced: `(frame,)`.
        sound: `(time,)` at `TRACK_RATE`; frame i is centred at i hops.
        hop: Samples between frames.
    """
    frames = np.flatnonzero(voiced)
    if len(frames) < 2:
        return hz
    choices = _choices(hz, frames)
    cost = 1 - _repetition(sound, frames * hop, choices)
    ratio = choices / hz[frames, None]
    cost += np.where(np.abs(12 * np.log2(ratio)) < _JUMP_SEMITONES, 0.0, _MOVED)
    cost += _LOWERED * np.maximum(0.0, -np.log2(ratio))
    cost += np.where(_is_near(choices, hz[frames]), 0.0, _STRANGE)
    cost[choices < _LOWEST_HZ] = 10.0
    mended = hz.copy()
    mended[frames] = _way(cost, choices, np.flatnonzero(np.diff(frames) > 1) + 1)
    return mended


def _choices(hz: Array, frames: NDArray[np.int64]) -> Array:
    """What each voiced frame may be, `(frame, choice)` Hz: simple ratios, and the usual pitch around it."""
    log_hz = np.log(hz[frames])
    padded = np.pad(log_hz, _NEAR_FRAMES, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEAR_FRAMES + 1)
    usual = np.exp(np.median(around, axis=1))
    return np.concatenate([hz[frames, None] * np.array(_RATIOS), usual[:, None]], axis=1)


def _is_near(choices: Array, hz: Array) -> NDArray[np.bool_]:
    """Whether the tracker heard a choice within 300 ms; notes that overlap repeat themselves at a lower one, too."""
    found = np.zeros(choices.shape, dtype=bool)
    padded = np.pad(np.log(hz), _AROUND_FRAMES, mode="edge")
    log_choices = np.log(choices)
    for shift in range(2 * _AROUND_FRAMES + 1):
        there = padded[shift : shift + len(hz), None]
        found |= np.abs(log_choices - there) < np.log(2) / 12
    return found


def _repetition(sound: Waveform, centres: NDArray[np.int64], choices: Array) -> Array:
    """How well the sound repeats itself after one period of each choice, 0 to 1, `(frame, choice)`."""
    padded = np.pad(sound, (_WINDOW // 2, _WINDOW)).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)
    found = np.empty_like(choices)
    for first in range(0, len(centres), _FRAMES_AT_ONCE):
        part = slice(first, first + _FRAMES_AT_ONCE)
        found[part] = _at_periods(windows[centres[part].clip(max=len(windows) - 1)], choices[part])
    return found


def _at_periods(frames: Array, choices: Array) -> Array:
    frames = frames - frames.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(frames, 2 * _WINDOW)) ** 2
    product = np.fft.irfft(spectrum)[:, :_WINDOW]
    energy = np.cumsum(frames**2, axis=1)
    lags = np.arange(_WINDOW)
    head = energy[:, _WINDOW - 1 - lags]  # energy of the first window - lag samples
    tail = energy[:, -1:] - np.concatenate([np.zeros((len(frames), 1)), energy[:, :-1]], axis=1)
    similarity = 2 * product / np.maximum(head + tail, 1e-12)
    period = TRACK_RATE / choices
    best = np.zeros(choices.shape)
    rows = np.arange(len(frames))[:, None]
    for shift in np.linspace(-_LAG_ROOM, _LAG_ROOM, 5):
        place = np.clip(period * (1 + shift), 2, _WINDOW * 0.7)
        low = place.astype(np.int64)
        share = place - low
        here = (1 - share) * similarity[rows, low] + share * similarity[rows, low + 1]
        best = np.maximum(best, here)
    return best


def _way(cost: Array, choices: Array, breaks: NDArray[np.int64]) -> Array:
    """The cheapest way through the choices, `(frame,)`; a jump costs nothing where a stretch begins."""
    n_frames, n_choices = cost.shape
    semitones = 12 * np.log2(choices)
    is_break = np.zeros(n_frames, dtype=bool)
    is_break[breaks] = True
    total, came = cost[0].copy(), np.zeros((n_frames, n_choices), dtype=np.int64)
    for frame in range(1, n_frames):
        if is_break[frame]:
            came[frame], total = int(np.argmin(total)), total.min() + cost[frame]
            continue
        step = np.abs(semitones[frame][:, None] - semitones[frame - 1])
        jump = np.where(step < _JUMP_SEMITONES, 0.0, _JUMP + _JUMP_EACH * np.minimum(step, _FARTHEST))
        paths = total + jump
        came[frame] = paths.argmin(axis=1)
        total = paths.min(axis=1) + cost[frame]
    choice = np.empty(n_frames, dtype=np.int64)
    choice[-1] = int(np.argmin(total))
    for frame in range(n_frames - 1, 0, -1):
        choice[frame - 1] = came[frame, choice[frame]]
    return choices[np.arange(n_frames), choice]


# ---- slips that look like notes


def join_slips(hz: Array, notes: list[Heard], waveform: Waveform, sample_rate: int) -> tuple[Array, list[Heard]]:
    """Return curve and notes without changes to a partial, or from one, where no attack was heard.

    Args:
        hz: `(frame,)`.
        notes: In order.
        waveform: `(time,)`.
        sample_rate: In Hz.
    """
    hz, kept = hz.copy(), [notes[0]]
    for note in notes[1:]:
        before = kept[-1]
        part = _part_between(before, note)
        lower, upper = (before, note) if before.pitch < note.pitch else (note, before)
        factor = {before: 1.0, note: 1.0}
        if part and _own_share(waveform, sample_rate, upper, lower, part) > _LOWER_SHARE:
            factor[upper] = 1 / part
        elif part and _own_share(waveform, sample_rate, lower, lower, part) < _UPPER_SHARE:
            factor[lower] = float(part)
        if factor[before] == factor[note]:
            kept.append(note)
            continue
        for one in (before, note):
            hz[one.first : one.stop] *= factor[one]
        pitch = pitch_of(float(np.median(hz[before.first : note.stop])))
        kept[-1] = before._replace(stop=note.stop, pitch=pitch)
    return hz, kept


def _part_between(before: Heard, note: Heard) -> int:
    """Which partial of the lower note the upper one is; 0 for none, or where the second begins by itself."""
    if note.has_attack or note.first != before.stop:
        return 0
    apart = abs(note.pitch - before.pitch)
    return next((part for part in _PARTS if abs(apart - 12 * np.log2(part)) < _PART_SEMITONES), 0)


def _own_share(waveform: Waveform, sample_rate: int, where: Heard, lower: Heard, part: int) -> float:
    """Share of the partials of a pitch, as they sound in a note, that its `part`-fold does not have; 0 if too short."""
    first, stop = (round(frame * HOP_SECONDS * sample_rate) for frame in (where.first, where.stop))
    hz = hz_of(lower.pitch)
    sound = waveform[first:stop]
    if len(sound) < _LEAST_PERIODS / hz * sample_rate:
        return 0.0
    spectrum = spectrum_of(sound, sample_rate)
    peaks = np.array([spectrum.peak(rank * hz) for rank in range(1, _N_RANKS + 1)])
    own = np.arange(1, _N_RANKS + 1) % part > 0
    return float(peaks[own].sum() / max(float(peaks.sum()), 1e-12))
