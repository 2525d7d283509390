"""A sound made to follow the loudness of another, frame by frame.

Both curves are A-weighted levels every 10 ms (`loudness`). What is carried over is the shape, not the level: one gain
for the whole does not count.
"""

import numpy as np
from numpy.typing import NDArray

from audiogan.pipelines.waveform.loudness import HOP_SECONDS, loudness_curve
from audiogan.pipelines.waveform.sound import Waveform

MOST_GAIN_DB, LEAST_GAIN_DB = 24.0, -80.0
QUIETEST_DB = 70.0  # below the loudest, the source counts as silent
_SMOOTH_FRAMES, _SAMPLES_AT_ONCE = 5, 1 << 20


def follow_levels(waveform: Waveform, sample_rate: int, wanted: NDArray[np.float64]) -> Waveform:
    """Return a waveform whose loudness follows another's, but for one gain.

    No frame is raised by more than 24 dB above the usual.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
        wanted: `(frame,)` dB every 10 ms, as `loudness.loudness_curve` gives; 70 dB below its top is silence.
    """
    own = loudness_curve(waveform, sample_rate)
    n_frames = min(len(own), len(wanted))
    wanted, own = wanted[:n_frames], own[:n_frames]
    is_silent = wanted < wanted.max() - QUIETEST_DB
    gain_db = wanted - own
    usual = float(np.median(gain_db[~is_silent]))  # the bound is on unevenness, not on level
    gain_db = np.where(is_silent, LEAST_GAIN_DB, np.clip(gain_db - usual, LEAST_GAIN_DB, MOST_GAIN_DB))
    kernel = np.hanning(_SMOOTH_FRAMES + 2)[1:-1]
    width = _SMOOTH_FRAMES // 2
    gain_db = np.convolve(np.pad(gain_db, width, mode="edge"), kernel / kernel.sum(), mode="valid")
    points, gain = np.arange(n_frames) * HOP_SECONDS, 10 ** (gain_db / 20)
    shaped = np.empty(len(waveform), dtype=np.float32)
    for first in range(0, len(waveform), _SAMPLES_AT_ONCE):  # ten minutes in doubles would take half a gigabyte
        part = slice(first, first + _SAMPLES_AT_ONCE)
        at = np.arange(first, first + len(waveform[part])) / sample_rate
        shaped[part] = waveform[part] * np.interp(at, points, gain)
    return shaped
