"""See a sound without other programs: loudness as brightness, instantaneous frequency as colour.

After the rainbowgrams of NSynth (arXiv 1704.01279), on rows that are even in pitch. Each column looks at two windows a
few samples apart; how far the phase turned between them tells the frequency that sounds there. There are as many
columns as pixels, so a long sound is looked at now and then. A pure function: the same sound gives the same bytes.
"""

import numpy as np
from numpy.typing import NDArray

from audiogan.preview import png

N_FFT = 4096
STEP = 32
"""Samples between the two windows of a column: the phase of no row turns too far to be told."""
F_MIN_HZ, F_MAX_HZ = 40.0, 16_000.0
RANGE_DB = 70.0
"""From white to black."""
_SPREAD_BINS = 2.0  # half the main lobe of a Hann window: as far as a partial is seen
_GREEN, _WIDTH = 1 / 3, 1 / 3  # hue of the row's own frequency, and from there to blue and red
_COLUMNS_AT_ONCE = 64


def rainbowgram(waveform: NDArray[np.floating], sample_rate: int, *, width: int = 960, height: int = 256) -> bytes:
    """Draw a sound and return it as PNG.

    Args:
        waveform: `(time,)`; any length, also none.
        sample_rate: In Hz.
        width, height: In pixels.

    Returns:
        An 8-bit RGB PNG file; low pitches at the bottom.
    """
    magnitude, deviation = analyse(waveform, sample_rate, width, height)
    loudest = float(magnitude.max(initial=0.0))
    level = np.zeros_like(magnitude)
    if loudest > 0:
        level = 20 * np.log10(np.maximum(magnitude / loudest, 1e-12)) / RANGE_DB + 1
    image = _coloured(_GREEN - _WIDTH * np.clip(deviation, -1, 1), np.clip(level, 0, 1))
    return png(image[::-1])


def analyse(
    waveform: NDArray[np.floating], sample_rate: int, n_columns: int, n_rows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return magnitude and frequency of a sound over rows even in pitch and columns even in time.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
        n_columns, n_rows: Of the result.

    Returns:
        Magnitude `(row, column)`, 0 or more, and by how much the frequency that sounds there differs from the row's
        own, in half main lobes of the window, so that a partial lies within [-1, 1]. The lowest row comes first.
    """
    samples = np.nan_to_num(np.asarray(waveform, dtype=np.float64), posinf=0.0, neginf=0.0)
    rows_hz = rows(sample_rate, n_rows)
    bins = np.minimum(np.rint(rows_hz * N_FFT / sample_rate).astype(int), N_FFT // 2)
    padded = np.pad(samples, (N_FFT // 2, N_FFT // 2 + STEP))
    centres = np.linspace(0, max(len(samples) - 1, 0), n_columns).astype(int)
    magnitude, deviation = np.zeros((2, n_rows, n_columns))
    window, turn = np.hanning(N_FFT + 1)[:-1], 2 * np.pi * bins * STEP / N_FFT
    for first in range(0, n_columns, _COLUMNS_AT_ONCE):
        part = slice(first, first + _COLUMNS_AT_ONCE)
        places = centres[part, None] + np.arange(N_FFT)
        before, after = (np.fft.rfft(padded[places + shift] * window)[:, bins] for shift in (0, STEP))
        # What the phase turned more or less than the bin's own frequency would have; small, so it does not wrap.
        extra = np.angle(after * np.conj(before) * np.exp(-1j * turn))
        found_hz = (bins / N_FFT + extra / (2 * np.pi * STEP)) * sample_rate
        magnitude[:, part] = np.abs(before).T
        deviation[:, part] = ((found_hz - rows_hz) * N_FFT / sample_rate / _SPREAD_BINS).T
    return magnitude, deviation


def rows(sample_rate: int, n_rows: int) -> NDArray[np.float64]:
    """Return the frequencies of the rows `(row,)` in Hz, from 40 Hz up, a constant ratio apart."""
    highest = max(2 * F_MIN_HZ, min(F_MAX_HZ, sample_rate / 2))
    return F_MIN_HZ * (highest / F_MIN_HZ) ** np.linspace(0.0, 1.0, n_rows)


def _coloured(hue: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Turn hue and brightness in [0, 1] into 8-bit RGB; the loudest parts go from their colour towards white."""
    saturation = 1.0 - 0.6 * value**2
    # HSV to RGB in one line per colour: https://en.wikipedia.org/wiki/HSL_and_HSV, "HSV to RGB alternative".
    shades = []
    for offset in (5, 3, 1):
        place = (offset + 6 * hue) % 6
        shades.append(value * (1 - saturation * np.clip(np.minimum(place, 4 - place), 0, 1)))
    return np.rint(255 * np.stack(shades, axis=-1)).astype(np.uint8)
