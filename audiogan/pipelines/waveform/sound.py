"""What the waveform pipeline makes: one channel of sound with the facts about it, and how loud and how clean it is.

A note is levelled by its peak and its velocity; a piece by one gain for the whole, so that its dynamics stay. Nothing
here makes sound: `voice` does.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus import audio
from audiogan.corpus.notes import PEAK
from audiogan.errors import UsageError

Waveform = NDArray[np.float32]

LOWEST_RATE, HIGHEST_RATE = 16_000, 48_000
VELOCITY_POWER = 2.0
EDGE_IN_SECONDS, EDGE_OUT_SECONDS = 0.001, 0.010
LEAST_PEAK = 1e-6  # below, there is nothing to level


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound to write.

    Args:
        waveform: `(time,)` float32, its peak at most 1.
        sample_rate: In Hz.
        facts: JSON-able: pitch, velocity, seconds, what was transposed, warnings.
    """

    waveform: Waveform = field(repr=False)
    sample_rate: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.waveform) / self.sample_rate


def write(sound: Sound, path: Path, *, comment: str | None = None) -> None:
    """Write a sound as 24-bit WAV, or FLAC where the name ends in `.flac`, whole or not at all.

    Args:
        sound: To write.
        path: The file to make.
        comment: What the file says about itself, for example what made it.

    Raises:
        OutputError: The place cannot be written.
    """
    audio.write(sound.waveform[None], sound.sample_rate, path, encoding="int24", comment=comment)


def check_rate(sample_rate: int | None, own: int) -> int:
    """Return the rate to sound at, in Hz; None is the model's own.

    Raises:
        UsageError: Outside 16,000 to 48,000 Hz, unless it is the model's own.
    """
    if sample_rate is None or sample_rate == own:
        return own
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise UsageError(f"sample rate {sample_rate} Hz; expected {LOWEST_RATE} to {HIGHEST_RATE}")
    return sample_rate


def velocity_gain(velocity: float) -> float:
    """Return the gain of a velocity in [0, 1]: its square, as General MIDI's guidelines for players have it.

    Example:
        >>> velocity_gain(0.5)
        0.25
    """
    return min(1.0, max(0.0, velocity)) ** VELOCITY_POWER


def levelled(waveform: Waveform, peak: float = PEAK) -> Waveform:
    """Return a waveform `(time,)` with its peak at `peak`; near-silence and what is no number become silence."""
    finite = np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)
    highest = float(np.abs(finite).max(initial=0.0))
    if highest < LEAST_PEAK:
        return np.zeros_like(finite, dtype=np.float32)
    return (finite * np.float32(peak / highest)).astype(np.float32)


def capped(waveform: Waveform, peak: float = 1.0) -> Waveform:
    """Return a waveform as it is, but brought down to `peak` where it is louder, and finite."""
    finite = np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
    highest = float(np.abs(finite).max(initial=0.0))
    return finite if highest <= peak else (finite * np.float32(peak / highest)).astype(np.float32)


def soften(waveform: Waveform, sample_rate: int, *, out_seconds: float = EDGE_OUT_SECONDS) -> Waveform:
    """Return a waveform that begins and ends at 0: 1 ms in, so that attacks stay, and `out_seconds` out.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
        out_seconds: Length of the slope at the end.

    Example:
        >>> soften(np.ones(4, np.float32), 1000).tolist()
        [0.0, 1.0, 1.0, 0.0]
    """
    softened = waveform.copy()
    n_in = min(len(softened) // 4, math.ceil(EDGE_IN_SECONDS * sample_rate))
    n_out = min(len(softened) // 4, math.ceil(out_seconds * sample_rate))
    softened[:n_in] *= rise(n_in)
    if n_out:
        softened[-n_out:] *= rise(n_out)[::-1]
    return softened


def rise(n_samples: int) -> Waveform:
    """Return a raised-cosine slope `(n_samples,)` from 0 towards 1."""
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(n_samples) / max(1, n_samples))).astype(np.float32)
