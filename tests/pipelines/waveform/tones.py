"""Additive tones whose every property is known by construction."""

import numpy as np
from numpy.typing import NDArray

RATE = 16_000


def tone(
    hz: float,
    *,
    seconds: float = 2.0,
    levels: tuple[float, ...] = (1.0, 0.5, 0.33, 0.25, 0.2, 0.17, 0.14, 0.12),
    attack: float = 0.02,
    decay_db: float = 0.0,
    stretch: float = 0.0,
    vibrato_cents: float = 0.0,
    noise: float = 0.0,
    sample_rate: int = RATE,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Sum partials of a pitch: linear attack in s, decay in dB/s, stretch B, vibrato at 5.5 Hz, white noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    bend = 2 ** (vibrato_cents / 1200 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(bend) / sample_rate
    sound = np.zeros_like(time)
    for rank, level in enumerate(levels, start=1):
        partial = rank * hz * np.sqrt(1 + stretch * rank**2)
        if partial < 0.45 * sample_rate:
            sound += level * np.sin(partial * phase + rng.uniform(0, 2 * np.pi))
    sound += noise * rng.standard_normal(len(time))
    sound *= np.minimum(1.0, time / attack) * 10 ** (-decay_db * np.maximum(time - attack, 0) / 20)
    return (0.8 * sound / np.abs(sound).max()).astype(np.float32)
