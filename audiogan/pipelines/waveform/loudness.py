"""How loud a sound is over time, as ears weigh it, and sounds made equally loud.

Levels are A-weighted (IEC 61672-1, annex E) root mean squares of 40 ms windows every 10 ms, in dB.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.notes import PEAK
from audiogan.pipelines.waveform.sound import LEAST_PEAK, Waveform, levelled

HOP_SECONDS, WINDOW_SECONDS = 0.01, 0.04
FLOOR_DB = -120.0
GATE = 0.1  # of the mean power: -10 dB
_FRAMES_AT_ONCE = 4096


def a_weights(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the power gain of A-weighting, 1 at 1 kHz.

    Args:
        hz: Frequencies, `(...)`.

    Example:
        >>> a_weights(np.array([1000.0])).round(2).tolist()
        [1.0]
    """
    square = hz**2
    gain = 12194.0**2 * square**2
    gain = gain / (square + 20.6**2) / (square + 12194.0**2)
    gain = gain / np.sqrt((square + 107.7**2) * (square + 737.9**2))
    return (gain * 10 ** (2.0 / 20)) ** 2


def loudness_curve(waveform: Waveform, sample_rate: int) -> NDArray[np.float64]:
    """Return A-weighted levels every 10 ms, `(frame,)` dB; frame i is centred at i times 10 ms.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
    """
    hop, size = round(HOP_SECONDS * sample_rate), round(WINDOW_SECONDS * sample_rate)
    n_frames = len(waveform) // hop + 1
    padded = np.pad(waveform, (size // 2, size))
    weights = a_weights(np.fft.rfftfreq(size, 1 / sample_rate).astype(np.float64))
    window = np.hanning(size)
    scale = 2 / (size * np.sum(window**2))
    levels = np.empty(n_frames)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    for first in range(0, n_frames, _FRAMES_AT_ONCE):
        block = frames[first : min(n_frames, first + _FRAMES_AT_ONCE)]
        power = np.abs(np.fft.rfft(block * window)) ** 2 @ weights * scale
        levels[first : first + len(block)] = 10 * np.log10(power + 10 ** (FLOOR_DB / 10))
    return levels


def loudness(waveform: Waveform, sample_rate: int) -> float:
    """Return the mean A-weighted power of what is heard of a note, in dB.

    Frames 10 dB or more below the mean do not count (the relative gate of ITU-R BS.1770-4), so that a note that dies
    away and one that holds are as loud as they sound.
    """
    power = 10 ** (loudness_curve(waveform, sample_rate) / 10)
    return float(10 * np.log10(power[power >= GATE * power.mean()].mean()))


def equally_loud(waveforms: Sequence[Waveform], sample_rate: int, peak: float = PEAK) -> list[Waveform]:
    """Return sounds of one loudness, the highest that keeps every peak within `peak`; silent ones stay silent.

    Args:
        waveforms: `(time,)` each.
        sample_rate: In Hz.
        peak: Of the one that sets the limit.
    """
    full = [levelled(waveform, peak) for waveform in waveforms]
    heard = [bool(np.abs(waveform).max(initial=0) > LEAST_PEAK) for waveform in full]
    levels = [loudness(waveform, sample_rate) for waveform in full]
    least = min((level for level, is_heard in zip(levels, heard, strict=True) if is_heard), default=0.0)
    return [
        (waveform * np.float32(10 ** ((least - level) / 20))).astype(np.float32) if is_heard else waveform
        for waveform, level, is_heard in zip(full, levels, heard, strict=True)
    ]
