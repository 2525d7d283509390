"""Notes made in code, for tests of representations."""

import math

import torch
from torch import Tensor


def hz_of(pitch: float) -> float:
    """Hz of a MIDI pitch."""
    return 440.0 * 2 ** ((pitch - 69) / 12)


def plucked(f0: float, sample_rate: int, seconds: float, *, n_partials: int = 12, stretch: float = 0.0) -> Tensor:
    """A decaying tone with a soft attack, `(time,)`, peak 0.8; partial k lies at k·sqrt(1 + stretch·k²)·f0."""
    time = torch.arange(round(seconds * sample_rate), dtype=torch.float64) / sample_rate
    note = torch.zeros_like(time)
    for k in range(1, n_partials + 1):
        hz = f0 * k * math.sqrt((1 + stretch * k * k) / (1 + stretch))
        if hz < 0.47 * sample_rate:
            note += torch.exp(-time * (1 + 0.3 * k)) / k * torch.cos(2 * math.pi * hz * time + k * k)
    note *= 1 - torch.exp(-time / 0.005)
    return (0.8 * note / note.abs().max()).float()


def snr_db(original: Tensor, again: Tensor) -> float:
    """Energy of the original over that of the difference."""
    return float(10 * torch.log10(original.square().sum() / (original - again).square().sum().clamp(min=1e-20)))


def pitch_cents(waveform: Tensor, f0: float, sample_rate: int) -> float:
    """How far the partial near `f0` lies from it, by the phase advance between two long windows."""
    n = len(waveform) // 2
    lag = round(8 * sample_rate / f0)
    window = torch.hann_window(n, dtype=torch.float64)
    turn = torch.polar(window, -2 * math.pi * f0 / sample_rate * torch.arange(n, dtype=torch.float64))
    first, second = ((waveform[at : at + n].double() * turn).sum() for at in (n // 2, n // 2 + lag))
    advance = float((second * first.conj()).angle())
    off = math.remainder(advance - 2 * math.pi * f0 * lag / sample_rate, 2 * math.pi)
    return 1200 * math.log2(1 + off * sample_rate / (2 * math.pi * lag * f0))
