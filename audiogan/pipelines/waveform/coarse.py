"""A note as a coarse log-mel spectrum of twelve segments, as marks hold it, and how far two such notes lie apart.

Any sound has one, and it takes a few milliseconds; but programs of one family are as near in it as a disguised copy is,
which is why an audit goes by `partials`. Level is left out, and the bands are moved so that the partials of notes of
one key, three semitones, meet.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RATE = 16_000  # at which notes are listened to
N_BANDS, LOWEST_HZ, HIGHEST_HZ = 64, 30.0, 7_600.0
N_FFT, HOP = 1024, 200
SPREAD = (1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9)  # of a band over its neighbours: 10 cents then move no partial far
EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
"""Seconds: noise is never the same twice, and only its mean over a time can be compared."""
SHIFTS = (0.0, -0.05, -0.025, 0.025, 0.05)
FLOOR_DB = -30.0  # below the loudest band: under it a background at -40 dB of the note hides what is there
STEPS_PER_DB = 4
KEY_STEP = 3


def key_of(pitch: float) -> int:
    """Return the nearest key that is a multiple of three.

    Example:
        >>> key_of(58.6), key_of(60.4), key_of(61.6)
        (60, 60, 63)
    """
    return KEY_STEP * math.floor(pitch / KEY_STEP + 0.5)


@lru_cache(maxsize=256)
def _filters(semitones: float) -> NDArray[np.float32]:
    """Triangles `(band, bin)`, even on the mel scale, each spread over its neighbours, moved up by some semitones."""
    hz = np.fft.rfftfreq(N_FFT, 1 / RATE) / 2 ** (semitones / 12)
    lowest, highest = (2595 * math.log10(1 + end / 700) for end in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(lowest, highest, N_BANDS + 2) / 2595) - 1)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    half = np.maximum(np.minimum(middle - low, high - middle), 2 * hz[1])  # a narrower band would miss all bins
    triangles = np.maximum(0.0, 1 - np.abs(hz - middle[:, None]) / half[:, None])
    triangles /= np.maximum(triangles.sum(axis=1, keepdims=True), 1e-9)
    wide = np.pad(triangles, ((len(SPREAD) // 2,) * 2, (0, 0)))
    spread = [share * wide[place : place + N_BANDS] for place, share in enumerate(SPREAD)]
    return np.sum(spread, axis=0).astype(np.float32)


def log_mel(waveform: NDArray[np.floating], pitch: float) -> NDArray[np.uint8]:
    """Return `(shift, segment, band)` levels as `Heard.mel` holds them; zeros for silence.

    Args:
        waveform: `(time,)` at 16 kHz, finite.
        pitch: MIDI; the bands are moved by what it lies away from its key.
    """
    n_samples = round(EDGES[-1] * RATE)
    padded = np.pad(np.asarray(waveform[:n_samples], dtype=np.float32), N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT).astype(np.float32))) ** 2
    bands = power @ _filters(round(pitch - key_of(pitch), 2)).T
    time = np.arange(len(bands)) * HOP / RATE
    total = np.concatenate([np.zeros((1, N_BANDS)), np.cumsum(bands, axis=0, dtype=np.float64)])
    mel = np.zeros((len(SHIFTS), len(EDGES) - 1, N_BANDS))
    for place, shift in enumerate(SHIFTS):
        edges = np.searchsorted(time, np.array(EDGES) + shift)
        mel[place] = np.diff(total[edges], axis=0) / np.maximum(np.diff(edges), 1)[:, None]
    loudest = mel.max(axis=(1, 2), initial=0.0, keepdims=True)
    level = np.maximum(10 * np.log10(np.maximum(mel / np.maximum(loudest, 1e-20), 1e-9)), FLOOR_DB) - FLOOR_DB
    return np.round(level * STEPS_PER_DB).astype(np.uint8)


def mel_apart(notes: NDArray[np.uint8], references: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the root mean square difference in dB between notes and others, `(note, reference)`, at the best shift.

    Args:
        notes, references: `(note, shift, segment, band)`; of the references the first shift is used.
    """
    theirs = references[:, 0].reshape(len(references), -1).astype(np.float32)
    squared, best = (theirs**2).sum(axis=1), np.full((len(notes), len(references)), np.inf)
    for shift in range(notes.shape[1]):
        mine = notes[:, shift].reshape(len(notes), -1).astype(np.float32)
        best = np.minimum(best, (mine**2).sum(axis=1)[:, None] + squared - 2 * mine @ theirs.T)
    return np.sqrt(np.maximum(best, 0.0) / theirs.shape[1]) / STEPS_PER_DB
