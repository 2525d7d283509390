"""Seconds of sound per processor second: the default network beside one of GANSynth's size, in one run, turn by turn.

    python -m tests.benchmarks.notes_per_second [--notes 8] [--turns 3]

Twice: networks alone, from z to planes, and on to waveforms. Ours sounds 4 s notes at 16 and at 44.1 kHz; the classic
network is GANSynth's (arXiv 1902.08710), 2 x 128 x 1024 at 16 kHz with the inverse of its mel spectrogram. Both are
untrained, since weights make no difference to what a network costs. Ratios of one run can be trusted on a busy machine,
single times cannot.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.network_config import ClassicConfig, ResidualConfig
from audiogan.pipelines.waveform.networks import build
from audiogan.pipelines.waveform.plan import hertz
from audiogan.representation.base import SpectrogramConfig

CLASSIC = Config(
    sample_rate=16_000,
    highest_pitch=84,
    representation=SpectrogramConfig(kind="mel_if", n_fft=2048, hop_length=512),
    network=ClassicConfig(),
)
"""As recipes/waveform/classic-gansynth.yaml has it."""
SHIPPED = ResidualConfig(max_width=256, encoder_max_width=128)
"""As recipes/waveform/soundfont.yaml has it."""
CONTESTANTS = {
    "ours_16k": Config(sample_rate=16_000, network=SHIPPED),
    "ours_44k": Config(network=SHIPPED),
    "classic_16k": CLASSIC,
}


class Contestant:
    """An untrained generator and its representation.

    Args:
        config: What to build.
        n_notes: Notes made at once.
    """

    def __init__(self, config: Config, n_notes: int) -> None:
        self.config, self.representation = config, config.represent()
        self.generator = build(config)["generator"].eval().requires_grad_(False)
        rng = torch.Generator().manual_seed(0)
        self.z = torch.randn(n_notes, config.network.z_dim, generator=rng)
        self.pitch = torch.linspace(config.lowest_pitch, config.highest_pitch, n_notes).round()

    @torch.no_grad()
    def planes(self) -> Tensor:
        """Return planes `(note, plane, row, frame)`."""
        return self.generator(self.z, None, self.pitch, torch.full_like(self.pitch, 0.8))

    @torch.no_grad()
    def waveforms(self) -> Tensor:
        """Return `(note, time)`, sounded one by one as the player does."""
        f0 = hertz(self.pitch)
        return torch.cat([self.representation.decode(one[None], f0[i : i + 1]) for i, one in enumerate(self.planes())])

    def rate(self, job: Callable[[], Tensor]) -> float:
        """Return the seconds of sound that one processor second makes."""
        begin = time.process_time()
        job()
        return len(self.pitch) * self.config.seconds / (time.process_time() - begin)


def compare(configs: dict[str, Config], *, n_notes: int, n_turns: int) -> dict[str, float]:
    """Return the median rate of each, networks alone and with their waveforms, and the median ratio to the last one.

    Args:
        configs: Contestants by name; the last one is what the others are compared to.
        n_notes: Notes made at once.
        n_turns: Rounds in which each has its turn.
    """
    contestants = {name: Contestant(config, n_notes) for name, config in configs.items()}
    for one in contestants.values():  # the first pass allocates, and builds tables
        one.waveforms()
    rates = np.array(
        [
            [[one.rate(job) for job in (one.planes, one.waveforms)] for one in contestants.values()]
            for _ in range(n_turns)
        ]
    )  # (turn, contestant, job)
    found: dict[str, float] = {"notes": n_notes}
    for job, suffix in enumerate(("_networks", "")):
        for place, name in enumerate(contestants):
            found[f"{name}{suffix}"] = float(np.median(rates[:, place, job]))
            found[f"ratio_{name}{suffix}"] = float(np.median(rates[:, place, job] / rates[:, -1, job]))
    for name, one in contestants.items():
        found[f"{name}_parameters"] = sum(parameter.numel() for parameter in one.generator.parameters())
    return found


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notes", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = compare(CONTESTANTS, n_notes=given.notes, n_turns=given.turns)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
