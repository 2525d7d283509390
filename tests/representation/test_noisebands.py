"""Noise has its levels where partials are not, and makes way where they are."""

import math

import pytest
import torch
from torch import Tensor

from audiogan.representation.noisebands import shaped_noise

RATE = 16_000
N_SAMPLES = 16_000
N_FFT = 2048


def noise(partials: Tensor, level: float = 0.01) -> Tensor:
    """White noise of a level beside partials `(time,)`."""
    times = torch.linspace(0, 1, 8, dtype=torch.float64)
    return shaped_noise(
        torch.full((1, 8, 64), level), times, partials[None], top_hz=RATE / 2, sample_rate=RATE, seed=3
    )[0]


def tone(hz: float, amplitude: float) -> Tensor:
    return amplitude * torch.cos(2 * math.pi * hz / RATE * torch.arange(N_SAMPLES))


def level_db(sound: Tensor, hz: float) -> float:
    """Power within 16 Hz of a frequency."""
    power = torch.stft(sound, N_FFT, window=torch.hann_window(N_FFT), return_complex=True).abs().square().mean(-1)
    middle, half = round(hz * N_FFT / RATE), round(16 * N_FFT / RATE)
    return float(10 * torch.log10(power[middle - half : middle + half + 1].mean()))


def test_noise_alone_has_its_level() -> None:
    assert float(noise(torch.zeros(N_SAMPLES)).std()) == pytest.approx(0.01, rel=0.05)


def test_noise_makes_way_under_a_louder_partial_and_only_there() -> None:
    alone, beside = noise(torch.zeros(N_SAMPLES)), noise(tone(1000.0, 0.5))
    assert level_db(beside, 1000.0) < level_db(alone, 1000.0) - 20
    for hz in (500.0, 1500.0, 5000.0):
        assert level_db(beside, hz) == pytest.approx(level_db(alone, hz), abs=0.3)


def test_a_partial_as_quiet_as_the_noise_changes_little() -> None:
    alone, beside = noise(torch.zeros(N_SAMPLES)), noise(tone(1000.0, 0.0001))
    assert level_db(beside, 1000.0) == pytest.approx(level_db(alone, 1000.0), abs=0.5)


def test_noise_makes_way_when_the_partial_sounds_and_not_before() -> None:
    late = tone(1000.0, 0.5)
    late[: N_SAMPLES // 2] = 0
    alone, beside = noise(torch.zeros(N_SAMPLES)), noise(late)
    reach = 512  # of a window over the beginning of the partial
    torch.testing.assert_close(beside[: N_SAMPLES // 2 - reach], alone[: N_SAMPLES // 2 - reach])
    assert level_db(beside[N_SAMPLES // 2 + reach :], 1000.0) < level_db(alone[N_SAMPLES // 2 + reach :], 1000.0) - 20


def test_gradients_pass_where_nothing_sounds() -> None:
    partials = torch.zeros(1, 600, requires_grad=True)
    levels = torch.zeros(1, 4, 16, requires_grad=True)
    times = torch.linspace(0, 0.1, 4, dtype=torch.float64)
    shaped_noise(levels, times, partials, top_hz=8000.0, sample_rate=RATE, seed=0).sum().backward()
    assert partials.grad is not None
    assert levels.grad is not None
    assert torch.isfinite(partials.grad).all()
    assert torch.isfinite(levels.grad).all()
