"""The pitch of a melody over time, and whether it is a melody at all.

swift-f0 follows the pitch (optional extra `pitch`), librosa's pYIN where it is not installed (Mauch and Dixon 2014; ten
times slower); `pitchslips` mends what they slip, and notes that are an octave off as a whole are put right here.
Several notes at once are told from one by the peaks of the spectrum: in a melody they lie at multiples of the pitch.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.audio import resample
from audiogan.corpus.notes import hz_of
from audiogan.corpus.pitchtrack import TRACK_RATE, has_tracker
from audiogan.corpus.tuning import check_octave
from audiogan.errors import CorpusError
from audiogan.pipelines.waveform.pitchslips import join_slips, mend
from audiogan.pipelines.waveform.segmentation import HOP_SECONDS, Heard
from audiogan.pipelines.waveform.sound import Waveform

LOWEST_HZ, HIGHEST_HZ = 32.7, 2093.0
_VOICED = 0.5
_HEARD_DB = 45.0
_N_FFT = 2048
_N_PARTIALS = 10
# Bells and notes of one voice had 0.98 and more, thirds and triads 0.81 and less; fifths are told by the fundamental.
_PEAK_SHARE, _EXPLAINED, _LEAST_FIRST, _FIRST_HZ = 1e-3, 0.9, 1e-3, 100.0
_CHECKED_FRAMES = 400
_OCTAVE_SECONDS, _OCTAVE_PERIODS = 0.2, 20.0  # shorter ones show too little of a comb

Array = NDArray[np.float64]


class Curve(NamedTuple):
    """Pitch every 10 ms: `hz` `(frame,)`, joined over gaps, and `voiced` `(frame,)` bool."""

    hz: Array
    voiced: NDArray[np.bool_]


def follow_pitch(waveform: Waveform, sample_rate: int) -> Curve:
    """Return the pitch of a melody every 10 ms.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.

    Raises:
        CorpusError: `no_pitch`: none was heard.
    """
    peak = float(np.abs(waveform).max(initial=0.0)) or 1.0
    sound = resample(waveform / np.float32(2 * peak), sample_rate, TRACK_RATE)
    times, hz, voiced = _swift(sound) if has_tracker() else _pyin(sound)
    at = np.arange(int(len(sound) / TRACK_RATE / HOP_SECONDS) + 1) * HOP_SECONDS
    voiced = voiced & np.isfinite(hz) & (hz > 0)
    if not voiced.any():
        raise CorpusError("no pitch was heard; expected a melody of one voice", "no_pitch")
    nearest = np.clip(np.searchsorted(times, at - (times[1] - times[0]) / 2), 0, len(times) - 1)
    is_voiced = voiced[nearest] & _is_heard(sound, len(at))
    hop = round(HOP_SECONDS * TRACK_RATE)
    smooth = np.exp(np.interp(at, times[voiced], np.log(hz[voiced])))
    smooth = mend(smooth, is_voiced, sound, hop)
    return Curve(_joined(smooth, is_voiced), is_voiced)


def _joined(hz: Array, voiced: NDArray[np.bool_]) -> Array:
    """The curve with straight lines, in octaves, over what is not voiced."""
    frames = np.flatnonzero(voiced)
    return np.exp(np.interp(np.arange(len(hz)), frames, np.log(hz[frames]))) if len(frames) else hz


def _swift(sound: Waveform) -> tuple[Array, Array, NDArray[np.bool_]]:
    from swift_f0 import SwiftF0

    track = SwiftF0(threads=1, spin=False).detect(sound, TRACK_RATE)
    times, hz = np.asarray(track.timestamps, np.float64), np.asarray(track.pitch_hz, np.float64)
    if len(times) < 2:
        return np.array([0.0, 1.0]), np.zeros(2), np.zeros(2, dtype=bool)
    return times, hz, np.asarray(track.confidence) >= _VOICED


def _pyin(sound: Waveform) -> tuple[Array, Array, NDArray[np.bool_]]:
    import librosa

    hop = round(HOP_SECONDS * TRACK_RATE)
    hz, voiced, _ = librosa.pyin(
        sound, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, sr=TRACK_RATE, frame_length=_N_FFT, hop_length=hop
    )
    times = (np.arange(max(2, len(hz))) * HOP_SECONDS).astype(np.float64)
    return times, np.resize(hz, len(times)), np.resize(voiced, len(times))


def _is_heard(sound: Waveform, n_frames: int) -> NDArray[np.bool_]:
    """Which frames are less than 45 dB below the loudest, `(n_frames,)`."""
    hop = round(HOP_SECONDS * TRACK_RATE)
    padded = np.pad(sound, (0, n_frames * hop - len(sound) if n_frames * hop > len(sound) else 0))
    power = np.mean(padded[: n_frames * hop].reshape(n_frames, hop).astype(np.float64) ** 2, axis=1)
    return power > power.max(initial=0.0) * 10 ** (-_HEARD_DB / 10)


# ---- octaves


def check_octaves(curve: Curve, notes: list[Heard], waveform: Waveform, sample_rate: int) -> tuple[Curve, list[Heard]]:
    """Return curve and notes at the half, third, quarter or double that a comb finds, where a note is long enough.

    Args:
        curve: Of the melody.
        notes: As `notes_of` found them.
        waveform: `(time,)`.
        sample_rate: In Hz.
    """
    hz, notes = join_slips(curve.hz, notes, waveform, sample_rate)
    checked = []
    for note in notes:
        first, stop = (round(frame * HOP_SECONDS * sample_rate) for frame in (note.first, note.stop))
        ratio = 1.0
        estimate = hz_of(note.pitch)
        least = max(_OCTAVE_SECONDS, _OCTAVE_PERIODS / estimate)
        if stop - first > least * sample_rate and stop <= len(waveform):
            ratio = check_octave(waveform[first:stop], sample_rate, estimate) / estimate
        hz[note.first : note.stop] *= ratio
        checked.append(note._replace(pitch=note.pitch + 12 * math.log2(ratio)))
    return curve._replace(hz=hz), checked


# ---- one voice or several


def check_one_voice(curve: Curve, waveform: Waveform, sample_rate: int) -> None:
    """Refuse a sound in which several notes sound together; fifths on a low bass may pass for one low note.

    Args:
        curve: Of what should be a melody.
        waveform: `(time,)`.
        sample_rate: In Hz.

    Raises:
        CorpusError: `polyphonic`.
    """
    sound = resample(waveform, sample_rate, TRACK_RATE)
    frames = np.flatnonzero(curve.voiced)
    step = max(1, len(frames) // _CHECKED_FRAMES)
    explained, first = [], []
    window = np.hanning(_N_FFT)
    padded = np.pad(sound, (_N_FFT // 2, _N_FFT))
    for frame in frames[::step].tolist():
        start = round(frame * HOP_SECONDS * TRACK_RATE)
        power = np.abs(np.fft.rfft(padded[start : start + _N_FFT] * window)) ** 2
        share = _shares(power, float(curve.hz[frame]))
        if share is not None:
            explained.append(share[0])
            first.append(share[1] if curve.hz[frame] > _FIRST_HZ else 1.0)
    if not explained:
        return
    if np.median(explained) < _EXPLAINED or np.median(first) < _LEAST_FIRST:
        raise CorpusError(
            f"several notes at once: {100 * float(np.median(explained)):.0f} % of the sound fits one pitch, "
            f"{100 * float(np.median(first)):.1f} % is its fundamental; "
            "expected a melody of one voice",
            "polyphonic",
        )


def _shares(power: Array, hz: float) -> tuple[float, float] | None:
    """Shares of the energy of peaks up to the tenth partial: at multiples of `hz`, and at `hz` itself."""
    per_bin = TRACK_RATE / _N_FFT
    inner = power[1:-1]
    peaks = 1 + np.flatnonzero((inner > power[:-2]) & (inner >= power[2:]) & (inner > _PEAK_SHARE * power.max()))
    at = peaks * per_bin
    near = (at > 0.6 * LOWEST_HZ) & (at < min(_N_PARTIALS + 0.5, TRACK_RATE / 2 / hz) * hz)
    at, energy = at[near], power[peaks[near]]
    if not len(at) or energy.sum() <= 0:
        return None
    partial = np.maximum(1, np.round(at / hz))
    fits = np.abs(at - partial * hz) <= 0.02 * at + per_bin
    total = float(energy.sum())
    return float(energy[fits].sum()) / total, float(energy[fits & (partial == 1)].sum()) / total
