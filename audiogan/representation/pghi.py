"""Phase from magnitude alone: phase gradient heap integration (PGHI).

For a Gaussian window the phase of a short-time Fourier transform is a function of its log-magnitude: each of its two
partial derivatives is the other derivative of the log-magnitude (Průša, Balazs and Søndergaard, "A Noniterative Method
for Reconstruction of Phase from STFT Magnitude", IEEE/ACM TASLP 25, 2017, equations 18-24). Other windows are taken as
the Gaussian that fits them best. Integration begins at the loudest cell and goes on to the loudest cell known next
(algorithm 1 there); quiet cells get random phases. Written from the paper.
"""

import heapq
import math

import numpy as np
from numpy.typing import NDArray

HANN_GAMMA = 0.25645  # time-frequency ratio of the Gaussian closest to a Hann window, in squared window lengths
TOLERANCE = 1.0e-6  # cells this far below the loudest one get random phases


def phase_gradients(
    log_mag: NDArray[np.float64], *, n_fft: int, hop_length: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the phase derivatives along time and along frequency, `(freq, frame)` each, in radians per cell.

    Args:
        log_mag: `(freq, frame)`, natural logarithm; row r is bin r + 1 (DC left out) of a Hann-windowed transform
            whose phases count from the start of each frame.
        n_fft: Window and transform, samples.
        hop_length: Samples between frames.
    """
    ratio = HANN_GAMMA * n_fft / hop_length  # gamma / (hop x bins)
    centre = 2 * math.pi * hop_length / n_fft * np.arange(1, len(log_mag) + 1)
    along_time = np.gradient(log_mag, axis=0) / ratio + centre[:, None]
    along_freq = -np.gradient(log_mag, axis=1) * ratio - math.pi
    return along_time, along_freq


def integrate_phase(mag: NDArray[np.float64], *, n_fft: int, hop_length: int, seed: int = 0) -> NDArray[np.float64]:
    """Return phases `(freq, frame)` in radians for a magnitude.

    Args:
        mag: `(freq, frame)`, not negative, at least 2 of each; rows as in `phase_gradients`.
        n_fft: Window and transform, samples.
        hop_length: Samples between frames.
        seed: For the random phases of quiet cells.

    Example:
        >>> integrate_phase(np.ones((4, 3)), n_fft=8, hop_length=2).shape
        (4, 3)
    """
    n_freq, n_frames = mag.shape
    phase = np.random.default_rng(seed).uniform(-math.pi, math.pi, mag.shape)
    loudest = float(mag.max())
    if loudest <= 0:
        return phase
    log_mag = np.log(np.maximum(mag, loudest * TOLERANCE * 1e-3))
    along_time, along_freq = phase_gradients(log_mag, n_fft=n_fft, hop_length=hop_length)
    # A border of cells that are done already spares the loop all questions about edges.
    level = np.pad(mag, 1).ravel().tolist()
    time = np.pad(along_time, 1).ravel().tolist()
    freq = np.pad(along_freq, 1).ravel().tolist()
    todo = np.pad(mag > loudest * TOLERANCE, 1).ravel()
    found = np.pad(phase, 1).ravel().tolist()
    order = np.argsort(-np.asarray(level), kind="stable")
    _spread(level, time, freq, todo.tolist(), found, order[todo[order]].tolist(), n_frames + 2)
    return np.asarray(found).reshape(n_freq + 2, n_frames + 2)[1:-1, 1:-1]


def _spread(
    level: list[float],
    time: list[float],
    freq: list[float],
    todo: list[bool],
    phase: list[float],
    order: list[int],
    stride: int,
) -> None:
    """Fill `phase` in place from the loudest cell on; all lists are flat and `stride` is the step to the next row."""
    for start in order:
        if not todo[start]:
            continue
        todo[start] = False
        phase[start] = 0.0
        heap = [(-level[start], start)]
        while heap:
            _, cell = heapq.heappop(heap)
            here = phase[cell]
            for neighbour, slope, sign in (
                (cell + 1, time, 0.5),
                (cell - 1, time, -0.5),
                (cell + stride, freq, 0.5),
                (cell - stride, freq, -0.5),
            ):
                if todo[neighbour]:
                    todo[neighbour] = False
                    phase[neighbour] = here + sign * (slope[cell] + slope[neighbour])
                    heapq.heappush(heap, (-level[neighbour], neighbour))
