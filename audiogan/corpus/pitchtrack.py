"""The pitch of sounds that nobody named, and the notes inside a long recording.

swift-f0 (an optional extra; 46.9 to 2,094 Hz) follows the pitch; a harmonic comb checks what it says against other
octaves, because it errs on organs, mallets and low strings. A recording is cut where a stable pitch starts, and again
where the spectrum jumps up inside it, so repeated notes are several.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.audio import Waveform, resample
from audiogan.corpus.tuning import check_octave, measure_tuning
from audiogan.errors import UnsupportedError

TRACK_RATE = 16_000
_VOICED = 0.5
_HEARD_DB = 30.0
_STABLE_CENTS = 50.0
_HOP, _WINDOW = 256, 1024
_FLUX_PEAK_FRAMES, _FLUX_FLOOR, _FLUX_RATIO = 3, 0.015, 2.0
_RISE_DB = 3.0
_SNAP_SECONDS = 0.08
_LEAST_STABLE = 0.7


class Estimate(NamedTuple):
    """A pitch in hertz, the detector's confidence from 0 to 1, and the share of frames within 50 cents of it."""

    hz: float
    confidence: float
    stable: float


class Span(NamedTuple):
    """A note inside a recording: first and last sample, and its pitch."""

    first: int
    last: int
    estimate: Estimate


def has_tracker() -> bool:
    """Whether swift-f0 is installed."""
    try:
        import swift_f0  # noqa: F401
    except ImportError:
        return False
    return True


@lru_cache(maxsize=1)
def _detector() -> Any:
    try:
        from swift_f0 import SwiftF0
    except ImportError:
        raise UnsupportedError(
            "the pitch of unnamed sounds is estimated with swift-f0, which is not installed; "
            "run: pip install audiogan[pitch]",
            "missing_extra",
        ) from None
    return SwiftF0(threads=1, spin=False)


def _track(waveform: Waveform, sample_rate: int) -> Any:
    peak = float(np.abs(waveform).max(initial=0)) or 1.0
    return _detector().detect(resample(waveform / np.float32(2 * peak), sample_rate, TRACK_RATE), TRACK_RATE)


def _judge(pitch_hz: NDArray, confidence: NDArray, loudness_db: NDArray) -> Estimate | None:
    heard = loudness_db > loudness_db.max(initial=-200) - _HEARD_DB
    voiced = heard & (confidence >= _VOICED)
    if not voiced.any():
        return None
    hz = float(np.median(pitch_hz[voiced]))
    cents = np.abs(1200 * np.log2(pitch_hz[voiced] / hz))
    return Estimate(hz, float(confidence[heard].mean()), float(np.mean(cents < _STABLE_CENTS)))


def estimate_pitch(waveform: Waveform, sample_rate: int) -> Estimate | None:
    """Estimate the pitch of one note.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.

    Returns:
        `None` where no pitch was heard.

    Raises:
        UnsupportedError: swift-f0 is not installed.
    """
    track = _track(waveform, sample_rate)
    found = _judge(track.pitch_hz, track.confidence, track.loudness_db)
    return None if found is None else _checked(found, waveform, sample_rate)


def _checked(found: Estimate, waveform: Waveform, sample_rate: int) -> Estimate:
    hz = found.hz
    for _ in range(2):
        hz = check_octave(waveform, sample_rate, hz)
    measured = measure_tuning(waveform, sample_rate, hz)
    return found._replace(hz=hz * 2 ** (measured[0] / 1200) if measured else hz)


def cut_notes(waveform: Waveform, sample_rate: int, *, min_seconds: float) -> list[Span]:
    """Find the notes of a recording with one voice.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
        min_seconds: Shorter ones are passed over.

    Returns:
        Notes in order, each up to the next one or its own end.

    Raises:
        UnsupportedError: swift-f0 is not installed.
    """
    track = _track(waveform, sample_rate)  # first, since it names the extra that is missing
    from swift_f0 import segment_notes

    onsets = find_onsets(waveform, sample_rate)
    spans = []
    for start, end in _pieces([(note.start, note.end) for note in segment_notes(track)], onsets, min_seconds):
        inside = (track.timestamps >= start) & (track.timestamps < end)
        found = _judge(track.pitch_hz[inside], track.confidence[inside], track.loudness_db[inside])
        if found is None or found.stable < _LEAST_STABLE:
            continue
        first, last = round(start * sample_rate), min(len(waveform), round(end * sample_rate))
        spans.append(Span(first, last, _checked(found, waveform[first:last], sample_rate)))
    return spans


def _pieces(
    notes: list[tuple[float, float]], onsets: NDArray[np.float64], min_seconds: float
) -> list[tuple[float, float]]:
    """Move the starts of notes to onsets just before them, and cut notes at onsets inside them."""
    pieces = []
    for start, end in notes:
        before = onsets[(onsets >= start - _SNAP_SECONDS) & (onsets <= start + _SNAP_SECONDS / 2)]
        begin = float(before[0]) if len(before) else start
        inner = onsets[(onsets > begin + max(min_seconds, _SNAP_SECONDS)) & (onsets < end - min_seconds)]
        edges = [begin, *map(float, inner), end]
        pieces += [(a, b) for a, b in pairwise(edges) if b - a >= min_seconds]
    return pieces


def find_onsets(waveform: Waveform, sample_rate: int) -> NDArray[np.float64]:
    """Return the times in seconds at which the spectrum jumps up and the level rises.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
    """
    sound = resample(waveform, sample_rate, TRACK_RATE)
    n_frames = 1 + max(0, len(sound) - _WINDOW) // _HOP
    if len(sound) < _WINDOW + 4 * _HOP:
        return np.zeros(0)
    flux, level_db = _flux(sound, n_frames)
    rise = level_db - np.minimum.reduce([np.roll(level_db, shift) for shift in (1, 2, 3)])
    rise[:3] = 0
    floor = _FLUX_FLOOR + _FLUX_RATIO * float(np.median(flux))
    width = _FLUX_PEAK_FRAMES
    around = np.lib.stride_tricks.sliding_window_view(np.pad(flux, width), 2 * width + 1).max(axis=1)
    is_onset = (flux >= around) & (flux > floor) & (np.maximum(rise, np.roll(rise, -1)) > _RISE_DB)
    return (np.flatnonzero(is_onset) * _HOP + _WINDOW / 2 - _HOP) / TRACK_RATE


def _flux(sound: Waveform, n_frames: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean rise of the log spectrum from frame to frame, and level in dB: `(frame,)` each, in blocks of frames."""
    window = np.hanning(_WINDOW)
    flux, level_db, before = np.zeros(n_frames), np.zeros(n_frames), None
    loudest = float(np.abs(sound).max()) or 1.0
    frames = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[::_HOP]
    for first in range(0, n_frames, 2048):
        block = frames[first : first + 2048].astype(np.float64) / loudest
        magnitude = np.log1p(np.abs(np.fft.rfft(block * window)))
        joined = magnitude if before is None else np.concatenate([before, magnitude])
        rises = np.maximum(np.diff(joined, axis=0), 0).mean(axis=1)
        flux[first + len(block) - len(rises) : first + len(block)] = rises
        level_db[first : first + len(block)] = 10 * np.log10(np.mean(block**2, axis=1) + 1e-10)
        before = magnitude[-1:]
    return flux, level_db
