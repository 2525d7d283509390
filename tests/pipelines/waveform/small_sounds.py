"""A model whose generator plays synthetic notes that it encodes itself, and what is measured of sounds."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiogan.corpus.audio import Recording
from audiogan.corpus.notes import hz_of
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.network_config import ResidualConfig
from audiogan.pipelines.waveform.networks import build
from audiogan.pipelines.waveform.plan import hertz
from audiogan.pipelines.waveform.voice import represent
from audiogan.representation.base import HarmonicConfig

RATE = 16_000
NETWORK = ResidualConfig(
    z_dim=6, timbre_dim=5, width=8, max_width=16, encoder_width=8, encoder_max_width=16, mapping_width=16
)
CONFIG = Config(
    sample_rate=RATE,
    seconds=1.0,
    lowest_pitch=36,
    highest_pitch=84,
    representation=HarmonicConfig(n_rows=32, n_frames=64, grow_frames=32),
    network=NETWORK,
)


def tone(
    hz: float, seconds: float = 1.0, *, rate: int = RATE, brightness: float = 0.5, decay: float = 0.0
) -> NDArray[np.float32]:
    """A harmonic tone with an attack of 10 ms; `decay` in dB a second."""
    time = np.arange(round(seconds * rate)) / rate
    ranks = np.arange(1, max(2, min(24, int(0.45 * rate / hz))))
    weights = ranks ** -(2.5 - 2.0 * brightness)
    phases = np.cos(2 * np.pi * hz * ranks[:, None] * time + ranks[:, None])
    envelope = np.minimum(1, time / 0.01) * 10 ** (-decay * time / 20)
    waveform = (weights[:, None] * phases).sum(0) * envelope
    return (0.8 * waveform / np.abs(waveform).max()).astype(np.float32)


class Echo(nn.Module):
    """A generator that encodes a tone: brighter with velocity and with the first value of h, decaying with z[0]."""

    def __init__(self, config: Config = CONFIG, *, decay: float = 0.0) -> None:
        super().__init__()
        self.config, self.decay = config, decay
        self.conditions = nn.Module()
        self.conditions.null = nn.Parameter(torch.zeros(config.network.timbre_dim))

    def forward(
        self, z: Tensor, h: Tensor | None, pitch: Tensor, velocity: Tensor, keep: Tensor | None = None
    ) -> Tensor:
        made = []
        for row, (key, loud) in enumerate(zip(pitch.tolist(), velocity.tolist(), strict=True)):
            extra = 0.0 if h is None or (keep is not None and keep[row] < 0.5) else float(h[row, 0].clamp(-1, 1)) / 4
            bright = min(1.0, max(0.0, 0.7 * loud + 0.3 + extra - 0.3))
            made.append(torch.from_numpy(tone(hz_of(key), brightness=bright, decay=self.decay)))
        return represent(self.config).encode(torch.stack(made), hertz(pitch))


class Silence(nn.Module):
    """A generator of silence, or of what is no number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, z: Tensor, *_: Any) -> Tensor:
        planes = torch.zeros(len(z), *represent(CONFIG).shape)
        planes[:, 0, :, 1:] = planes[:, 2, :, 1:] = self.value
        return planes


def model_of(generator: nn.Module | None = None, config: Config = CONFIG, **facts: Any) -> Model:
    """A model with fresh networks, its generator replaced by the one given."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        modules = build(config)
    modules = {name: module for name, module in modules.items() if name != "discriminator"}
    if generator is not None:
        modules["generator"] = generator
    for module in modules.values():
        module.eval().requires_grad_(False)
    given = {"card": {}, "folder": Path("model"), "name": "small", "sha256": "ab" * 32, "pipeline": "waveform"} | facts
    return Model(modules, config, **given)


def recording(waveform: NDArray[np.float32], rate: int = RATE) -> Recording:
    return Recording(waveform, rate, rate, 1)


def measured_hz(waveform: NDArray[np.floating], rate: int, near: float) -> float:
    """The first partial near a frequency, by the peak of a padded spectrum and a parabola through it."""
    part = waveform[len(waveform) // 5 : 4 * len(waveform) // 5].astype(np.float64)
    n_fft = 1 << (8 * len(part)).bit_length()
    power = np.log(np.abs(np.fft.rfft(part * np.hanning(len(part)), n_fft)) + 1e-12)
    first, last = (int(near * share * n_fft / rate) for share in (0.94, 1.06))
    peak = first + int(np.argmax(power[first : last + 1]))
    left, middle, right = power[peak - 1 : peak + 2]
    return (peak + 0.5 * (left - right) / (left - 2 * middle + right)) * rate / n_fft


def cents_off(waveform: NDArray[np.floating], rate: int, pitch: float) -> float:
    hz = hz_of(pitch)
    return abs(1200 * np.log2(measured_hz(waveform, rate, hz) / hz))


def is_click_free(waveform: NDArray[np.floating], rate: int) -> bool:
    """Whether both ends are silent and no sample stands out from its neighbours as only a jump does."""
    bend = np.abs(np.diff(waveform.astype(np.float64), n=2))
    frame = max(8, rate // 200)
    whole = bend[: len(bend) // frame * frame].reshape(-1, frame)
    usual = np.maximum(np.maximum(np.roll(whole.max(1), 1), np.roll(whole.max(1), -1)), 1e-4)
    ends = max(abs(float(waveform[0])), abs(float(waveform[-1])))
    return ends < 1e-3 and bool((whole.max(1)[2:-2] < 4 * usual[2:-2] + 0.02).all())
