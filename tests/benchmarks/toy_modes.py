"""What each loss and each stabiliser does to mode collapse: modes covered and share of good samples, in a table.

A generator and a discriminator of two small layers learn a ring of 8 Gaussians and a grid of 25 (the sets of arXiv
1611.02163 and arXiv 1705.07761) through the project's own trainer and its usual game. A sample is good within three
standard deviations of a centre; a mode is covered when it gets a quarter of its fair share of good samples. Losses are
compared while D is twice as fast as G. Every other tool is added to `minimax` while G is three times as fast as D, the
known way into collapse, so that its own effect is seen; `two rates` is the way out by the rates alone. The live
generator is sampled, except in the row of the average.

    python -m tests.benchmarks.toy_modes [--only NAME ...] [--seeds 0 1] [--steps 1000] [--out FILE]
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audiogan.adversarial.adaptive import Adaptive, AdaptiveConfig
from audiogan.adversarial.augment import Augment, AugmentConfig
from audiogan.adversarial.ema import AveragesConfig
from audiogan.adversarial.game import OptimizerConfig
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.runtime import RuntimeConfig, seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.spectral import normalise_spectrally
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.layers import batch_deviation

SIGMA = 0.05
N_ITEMS, N_SAMPLES, BATCH, WIDTH, Z_DIM, RATE = 8192, 4096, 64, 64, 4, 1e-3


def ring() -> Tensor:
    """Return eight centres on the unit circle, `(8, 2)`."""
    angle = torch.arange(8) * (torch.pi / 4)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def grid() -> Tensor:
    """Return 25 centres in five rows from -1 to 1, `(25, 2)`."""
    line = torch.linspace(-1.0, 1.0, 5)
    return torch.cartesian_prod(line, line)


TARGETS = {"ring": ring, "grid": grid}


class Mixture:
    """Points around centres, the same ones in every run."""

    def __init__(self, centres: Tensor) -> None:
        noise = torch.randn(N_ITEMS, 2, generator=torch.Generator().manual_seed(0))
        self.points = centres[torch.arange(N_ITEMS) % len(centres)] + SIGMA * noise

    def __len__(self) -> int:
        return N_ITEMS

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        return {"real": self.points[indices]}


class Judge(nn.Module):
    """Discriminator of two hidden layers, which may be told how its batch spreads."""

    def __init__(self, *, told_spread: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH + told_spread, 1)
        self.told_spread = told_spread

    def features(self, x: Tensor) -> list[Tensor]:
        first = torch.nn.functional.leaky_relu(self.first(x), 0.2)
        return [torch.nn.functional.leaky_relu(self.second(first), 0.2)]

    def forward(self, x: Tensor) -> Tensor:
        (hidden,) = self.features(x)
        if self.told_spread:
            hidden = torch.cat([hidden, batch_deviation(hidden).expand(len(x), 1)], dim=1)
        return self.last(hidden)


def generator() -> nn.Sequential:
    return nn.Sequential(nn.Linear(Z_DIM, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2))


CALM, HURRIED = (2.0, 1.0), (1.0, 3.0)
"""Rates of D and of G, times RATE."""


@dataclass(frozen=True)
class Setting:
    """One row: the options of the game, and what lies outside of them."""

    game: dict[str, Any]
    rates: tuple[float, float] = CALM
    spectral: bool = False
    told_spread: bool = False
    adaptive: bool = False
    averaged: bool = False


def minimax(game: dict[str, Any] | None = None, rates: tuple[float, float] = HURRIED, **options: Any) -> Setting:
    return Setting({"objective": "minimax"} | (game or {}), rates, **options)


R1 = {"r1": 0.5, "r2": 0.5}
SETTINGS: dict[str, Setting] = {
    "minimax": minimax(),
    "nonsaturating": Setting({"objective": "nonsaturating"}),
    "hinge": Setting({"objective": "hinge"}),
    "lsgan": Setting({"objective": "lsgan"}),
    "wgan, clipped": Setting({"objective": "wgan", "clip": 0.1}),
    "wgan-gp": Setting({"objective": "wgan", "wgan_gp": 1.0}),
    "rpgan": Setting({"objective": "rpgan"}),
    "nonsaturating + r1": Setting({"objective": "nonsaturating", "r1": 0.1}),
    "hinge + spectral": Setting({"objective": "hinge"}, spectral=True),
    "rpgan + r1 + r2": Setting({"objective": "rpgan", **R1}),
    "minimax + r1": minimax({"r1": 1.0}),
    "minimax + r1 + r2": minimax(R1),
    "minimax + r1 + r2, func": minimax(R1 | {"penalty_impl": "func"}),
    "minimax + r1 + r2, approx": minimax(R1 | {"penalty_impl": "approx"}),
    "minimax + r1 + r2, every 4": minimax(R1 | {"penalty_interval": 4}),
    "minimax + dragan": minimax({"dragan": 1.0}),
    "minimax + auto gamma": minimax(R1 | {"auto_gamma": {}}),
    "minimax + spectral": minimax(spectral=True),
    "minimax + two rates": minimax(rates=CALM),
    "minimax + 3 steps of D": minimax({"discriminator_repeats": 3}),
    "minimax + unrolled 5": minimax({"unrolled": 5}),
    "minimax + features": minimax({"feature_matching": 1.0}),
    "minimax + noise": minimax({"instance_noise": {"start": 0.3, "end": 0.0, "shape": "linear"}}),
    "minimax + replay": minimax({"replay": 2048}),
    "minimax + spread": minimax(told_spread=True),
    "minimax + adaptive": minimax(adaptive=True),
    "minimax, averaged": minimax(averaged=True),
}


class Found(NamedTuple):
    """What a generator came to."""

    modes: int
    good: float


def judge_samples(samples: Tensor, centres: Tensor) -> Found:
    """Return modes covered and the share of good samples.

    Args:
        samples: `(sample, 2)`.
        centres: `(mode, 2)`.
    """
    distance, mode = torch.cdist(samples, centres).min(dim=1)
    good = distance < 3.0 * SIGMA
    counts = torch.bincount(mode[good], minlength=len(centres))
    fair = len(samples) / len(centres)
    return Found(int((counts >= 0.25 * fair).sum()), good.float().mean().item())


def turned(x: Tensor, draws: Tensor) -> Tensor:
    """Shift by up to one spacing of the grid, the transform of the adaptive row."""
    return x + (draws[:, :2] - 0.5)


def train(setting: Setting, centres: Tensor, steps: int, seed: int, folder: Path) -> Found:
    """Train one setting on one target and judge its samples."""
    with seeded(seed, "modules"):
        modules: dict[str, nn.Module] = {
            "generator": generator(),
            "discriminator": Judge(told_spread=setting.told_spread),
        }
    if setting.spectral:
        normalise_spectrally(modules["discriminator"])
    config = LatentGameConfig.model_validate(setting.game)
    adaptive = Adaptive(AdaptiveConfig(ramp=20_000), pairs=config.objective == "rpgan") if setting.adaptive else None
    augment = Augment(AugmentConfig(), [turned], adaptive=adaptive) if setting.adaptive else None
    rates = [OptimizerConfig(lr=Schedule(start=RATE * factor), betas=(0.5, 0.99)) for factor in setting.rates]
    game = latent_game(
        modules,
        z_dim=Z_DIM,
        config=config,
        discriminator_optimizer=rates[0],
        generator_optimizer=rates[1],
        augment=augment,
        adaptive=adaptive,
    )
    train_config = TrainConfig(
        budget=f"{steps} steps",
        batch_size=BATCH,
        seed=seed,
        checkpoint_minutes=None,
        tensorboard=False,
        window=steps,
        averages=AveragesConfig(half_life=200.0 * BATCH),
        runtime=RuntimeConfig(device="cpu"),
    )
    trainer = Trainer(modules, game, Mixture(centres), train_config, folder, quiet=True)
    trainer.run()
    sampled = trainer.averages["generator"] if setting.averaged else modules["generator"].eval()
    with torch.no_grad():
        samples = sampled(torch.randn(N_SAMPLES, Z_DIM, generator=torch.Generator().manual_seed(1)))
    return judge_samples(samples, centres)


@dataclass
class Row:
    """One setting on one target: one value per seed."""

    setting: str
    target: str
    modes: list[int] = field(default_factory=list)
    good: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def measure(names: Sequence[str], targets: Sequence[str], seeds: Sequence[int], steps: int) -> Iterator[Row]:
    """Train every setting on every target with every seed."""
    for name in names:
        for target in targets:
            row = Row(name, target)
            for seed in seeds:
                began = time.perf_counter()
                with tempfile.TemporaryDirectory() as folder:
                    found = train(SETTINGS[name], TARGETS[target](), steps, seed, Path(folder))
                row.seconds.append(time.perf_counter() - began)
                row.modes.append(found.modes)
                row.good.append(found.good)
            yield row


def line_of(row: Row) -> str:
    """Return a row of the table: modes covered by seed, mean share of good samples."""
    of = len(TARGETS[row.target]())
    modes = " ".join(f"{modes:>2}" for modes in row.modes)
    return f"{row.setting:<28}{row.target:<6}{modes} of {of:<4}{mean(row.good):>6.2f}{mean(row.seconds):>8.1f}"


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--targets", nargs="*", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    sys.stdout.write(f"steps {given.steps}, batch {BATCH}, seeds {given.seeds}; modes by seed, good share, seconds\n")
    for row in measure(given.only, given.targets, given.seeds, given.steps):
        sys.stdout.write(line_of(row) + "\n")
        sys.stdout.flush()
        if given.out:
            with given.out.open("a") as file:
                file.write(json.dumps(vars(row)) + "\n")


if __name__ == "__main__":
    main()
