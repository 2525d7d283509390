"""What each loss and each tool of the craft does to the failure it was made for: modes covered and good samples.

A generator and a discriminator of two small layers learn a ring of 8 Gaussians or a grid of 25 (the sets of arXiv
1611.02163 and arXiv 1705.07761) through the project's own trainer and its usual game. A sample is good within three
standard deviations of a centre; a mode is covered when it gets a quarter of its fair share of good samples; distance is
the energy distance (Székely and Rizzo 2013) between samples and centres in units of the set's radius, 0 for the same
law. Each block of the table begins with a failure, and every row after it adds one tool. Where a tool is for D, D is
asked as well: `memory`, the chance that it puts a real point above a bad fake of long ago, and `overfitting`, which is
0 where it knows held-out points as well as those it learns from and 1 where it takes them for fakes (arXiv 2006.06676,
equation 1). The live generator is sampled, except in the row of the average.

    python -m tests.benchmarks.toy_modes [--only NAME ...] [--seeds 0 1 2] [--steps 500] [--out FILE]
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audiogan.adversarial.ema import AveragesConfig
from audiogan.adversarial.game import OptimizerConfig
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.monitor import Hook, Snapshot
from audiogan.adversarial.runtime import RuntimeConfig, seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.scoring import overfitting
from audiogan.adversarial.slopes import logits_of
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.errors import TrainingError
from audiogan.layers import batch_deviation
from tests.benchmarks.toy_features import looking

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
    """Points around centres, the same ones in every run, with values beside them that say nothing.

    Args:
        centres: `(mode, 2)`.
        n_items: Points.
        sigma: Standard deviation around a centre.
        n_beside: Values beside, normal.
        seed: Decides the points.
    """

    def __init__(
        self, centres: Tensor, n_items: int = N_ITEMS, sigma: float = SIGMA, n_beside: int = 0, seed: int = 0
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(n_items, 2, generator=generator)
        points = centres[torch.arange(n_items) % len(centres)] + sigma * noise
        self.points = torch.cat([points, torch.randn(n_items, n_beside, generator=generator)], dim=1)

    def __len__(self) -> int:
        return len(self.points)

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        return {"real": self.points[indices]}


class Judge(nn.Module):
    """Discriminator of two hidden layers, which may be told how its batch spreads."""

    def __init__(self, n_values: int = 2, *, told_spread: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(n_values, WIDTH), nn.Linear(WIDTH, WIDTH)
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


def generator(n_values: int = 2) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(Z_DIM, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, n_values)
    )


# ---- rows


@dataclass(frozen=True)
class Setting:
    """One row: the options of the game, and what lies outside of them.

    Args:
        game: Options of the usual game.
        rates: Of D and of G, times RATE.
        betas: Of both.
        targets: Names of the sets to learn.
        scale: Radius of the set.
        sigma: Around a centre, in units of the radius.
        n_items: Points to learn from.
        n_beside: Values beside the two that count.
        told_spread: Whether D knows the spread of its batch.
        averaged: Whether the averaged generator is sampled.
        ask: What D is asked at the end: `memory`, `overfitting` or nothing.
    """

    game: dict[str, Any]
    rates: tuple[float, float] = (2.0, 1.0)
    betas: tuple[float, float] = (0.5, 0.99)
    targets: tuple[str, ...] = ("ring",)
    scale: float = 1.0
    sigma: float = SIGMA
    n_items: int = N_ITEMS
    n_beside: int = 0
    told_spread: bool = False
    averaged: bool = False
    ask: str = ""

    def plus(self, game: dict[str, Any] | None = None, **changes: Any) -> "Setting":
        """Return the same with more options."""
        return replace(self, game=self.game | (game or {}), **changes)


BOTH = ("ring", "grid")
R1 = {"r1": 0.5, "r2": 0.5}
HURRIED = Setting({"objective": "minimax"}, rates=(1.0, 3.0))
THIN = Setting({"objective": "minimax", "discriminator_repeats": 3}, rates=(4.0, 1.0), sigma=0.0)
STEEP = Setting({"objective": "wgan"}, rates=(10.0, 1.0), scale=16.0)
FEW = Setting({"objective": "nonsaturating"}, n_items=32, n_beside=16, ask="overfitting")
ROUGH = Setting({"objective": "nonsaturating"}, rates=(8.0, 4.0))
FORGETS = Setting({"objective": "nonsaturating"}, ask="memory")
BLOCKS: dict[str, dict[str, Setting]] = {
    "losses, D twice as fast as G": {
        name: Setting(game, targets=BOTH)
        for name, game in {
            "nonsaturating": {"objective": "nonsaturating"},
            "smoothed": {"objective": "smoothed"},
            "hinge": {"objective": "hinge"},
            "lsgan": {"objective": "lsgan"},
            "wgan, clipped": {"objective": "wgan", "clip": 0.1},
            "wgan-gp": {"objective": "wgan", "wgan_gp": 1.0},
            "rpgan": {"objective": "rpgan"},
            "rpgan + r1 + r2": {"objective": "rpgan", **R1},
        }.items()
    },
    "G three times as fast as D": {
        "minimax": HURRIED.plus(targets=BOTH),
        "minimax + r1": HURRIED.plus({"r1": 1.0}, targets=BOTH),
        "minimax + r1 + r2": HURRIED.plus(R1, targets=BOTH),
        "minimax + r1 + r2, func": HURRIED.plus(R1 | {"penalty_impl": "func"}),
        "minimax + r1 + r2, approx": HURRIED.plus(R1 | {"penalty_impl": "approx"}),
        "minimax + r1 + r2, every 4": HURRIED.plus(R1 | {"penalty_interval": 4}),
        "minimax + auto gamma": HURRIED.plus(R1 | {"auto_gamma": {}}),
        "minimax + two rates": HURRIED.plus(rates=(2.0, 1.0), targets=BOTH),
        "minimax + 3 steps of D": HURRIED.plus({"discriminator_repeats": 3}, targets=BOTH),
        "minimax + unrolled 5": HURRIED.plus({"unrolled": 5}),
        "minimax + features": HURRIED.plus({"feature_matching": 1.0}, targets=BOTH),
        "minimax + spread": HURRIED.plus(told_spread=True, targets=BOTH),
        "minimax + projected": HURRIED.plus({"projected": {}}, targets=BOTH),
    },
    "points without width, D far ahead": {
        "thin": THIN,
        "thin + noise": THIN.plus({"instance_noise": {"start": 0.5, "end": 0.0, "shape": "linear", "until": 0.8}}),
    },
    "nothing bounds D": {
        "steep": STEEP,
        "steep + spectral": STEEP.plus({"spectral": True}),
        "steep + dragan": STEEP.plus({"dragan": 10.0}),
        "steep + clip": STEEP.plus({"clip": 0.1}),
    },
    "32 points, 16 values that say nothing": {
        "few": FEW,
        "few + adaptive": FEW.plus({"augment": {"adaptive": {"ramp": 5000.0}}}),
        "few + half of the time": FEW.plus({"augment": {"probability": 0.5}}),
        "few + projected": FEW.plus({"projected": {}}),
    },
    "rates too large to settle": {"rough": ROUGH, "rough, averaged": ROUGH.plus(averaged=True)},
    "D has to remember": {"forgets": FORGETS, "forgets + replay": FORGETS.plus({"replay": 4096})},
}
SETTINGS = {name: setting for block in BLOCKS.values() for name, setting in block.items()}


# ---- what came of it


class Found(NamedTuple):
    """What a generator came to, and what D answered, 0 where it is not asked."""

    modes: int
    good: float
    distance: float
    answer: float = 0.0


def energy_distance(first: Tensor, second: Tensor) -> float:
    """Return the energy distance of two sets of points `(n, 2)`, 0 or more."""
    between, within = torch.cdist(first, second).mean(), [torch.cdist(x, x).mean() for x in (first, second)]
    return max(0.0, (2.0 * between - within[0] - within[1]).item())


def judge_samples(samples: Tensor, centres: Tensor) -> Found:
    """Return modes covered, the share of good samples, and how far the samples are from the centres.

    Args:
        samples: `(sample, 2)`, in units of the radius.
        centres: `(mode, 2)`.
    """
    distance, mode = torch.cdist(samples, centres).min(dim=1)
    good = distance < 3.0 * SIGMA
    counts = torch.bincount(mode[good], minlength=len(centres))
    fair = len(samples) / len(centres)
    apart = energy_distance(samples[:1024], centres)
    return Found(int((counts >= 0.25 * fair).sum()), good.float().mean().item(), apart)


def moved(x: Tensor, draws: Tensor) -> Tensor:
    """Move the two values that count by up to a spacing of the ring, and turn those beside them in pairs."""
    angle = 2.0 * torch.pi * draws[:, :1]
    first, second = x[:, 2::2], x[:, 3::2]
    turned = [first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos()]
    return torch.cat([x[:, :2] + 0.2 * (draws[:, 1:3] - 0.5), *turned], dim=1)


class Past:
    """Fakes of long ago, seen at every twentieth of a run, and the share of them that D still knows."""

    def __init__(self) -> None:
        self.fakes: list[Tensor] = []
        self.z = torch.randn(64, Z_DIM, generator=torch.Generator().manual_seed(2))

    def see(self, snapshot: Snapshot) -> None:
        self.fakes.append(snapshot.modules["live"](self.z))

    def known(self, judge: nn.Module, points: Tensor, centres: Tensor) -> float:
        """Return the chance that D puts a real point above a bad fake of the first four fifths."""
        past = torch.cat(self.fakes[: len(self.fakes) * 4 // 5])
        past = past[torch.cdist(past, centres).min(dim=1).values > 3.0 * SIGMA]
        real, fake = judge(points[:512]).flatten(), judge(past).flatten()
        return (real.unsqueeze(1) > fake.unsqueeze(0)).float().mean().item()


def answer_of(setting: Setting, judge: nn.Module, data: "Mixture", fake: Tensor, past: Past, centres: Tensor) -> float:
    """Return what D says, 0 where it is not asked, of its data, of fakes as it sees them and of fakes of long ago."""
    if setting.ask == "memory":
        return past.known(judge, data.points, centres)
    if setting.ask != "overfitting":
        return 0.0
    shown = {"train": data.points, "valid": points_of(setting, centres, 1024, 1).points, "fake": fake[:1024]}
    logits = {name: logits_of(judge(points)) for name, points in shown.items()}
    return overfitting({name: value.flatten() for name, value in logits.items()}).get("overfitting", 0.0)


def points_of(setting: Setting, centres: Tensor, n_items: int = N_ITEMS, seed: int = 0) -> Mixture:
    return Mixture(setting.scale * centres, n_items, setting.sigma * setting.scale, setting.n_beside, seed)


def networks(setting: Setting, config: LatentGameConfig, centres: Tensor, seed: int) -> dict[str, nn.Module]:
    """Return G and D of a row."""
    n_values = 2 + setting.n_beside
    with seeded(seed, "modules"):
        made = {"generator": generator(n_values), "discriminator": Judge(n_values, told_spread=setting.told_spread)}
    if config.projected is not None:
        taught_with = partial(points_of, setting, centres, N_ITEMS)
        made["discriminator"] = looking(lambda other: taught_with(other).points, len(centres), config.projected)
    return made


def train(setting: Setting, centres: Tensor, steps: int, seed: int, folder: Path) -> Found:
    """Train one setting on one target and judge its samples; a run that diverges covers nothing."""
    config = LatentGameConfig.model_validate(setting.game)
    modules = networks(setting, config, centres, seed)
    of_d, of_g = (OptimizerConfig(lr=Schedule(start=RATE * by), betas=setting.betas) for by in setting.rates)
    optimizers: dict[str, Any] = {"discriminator_optimizer": of_d, "generator_optimizer": of_g}
    game = latent_game(modules, z_dim=Z_DIM, config=config, transforms=[moved], **optimizers)
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
    data = points_of(setting, centres, setting.n_items)
    past, live = Past(), modules["generator"]
    hook = Hook("past", lambda now: past.see(replace(now, modules={"live": live})), 0.05)
    hooks = [hook] if setting.ask == "memory" else []
    trainer = Trainer(modules, game, data, train_config, folder, hooks=hooks, quiet=True)
    try:
        trainer.run()
    except TrainingError:
        return Found(0, 0.0, float("inf"))
    sampled = trainer.averages["generator"] if setting.averaged else live.eval()
    with torch.no_grad():
        samples = sampled(torch.randn(N_SAMPLES, Z_DIM, generator=torch.Generator().manual_seed(1)))
        found = judge_samples(samples[:, :2] / setting.scale, centres)
        answer = answer_of(setting, modules["discriminator"].eval(), data, samples, past, centres)
    return found._replace(answer=answer)


# ---- the table


@dataclass
class Row:
    """One setting on one target: one value per seed."""

    setting: str
    target: str
    modes: list[int] = field(default_factory=list)
    good: list[float] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)
    answer: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def measure(names: Sequence[str], seeds: Sequence[int], steps: int) -> Iterator[Row]:
    """Train every setting on its targets with every seed."""
    for name in names:
        for target in SETTINGS[name].targets:
            row = Row(name, target)
            for seed in seeds:
                began = time.process_time()
                with tempfile.TemporaryDirectory() as folder:
                    found = train(SETTINGS[name], TARGETS[target](), steps, seed, Path(folder))
                row.seconds.append(time.process_time() - began)
                row.modes.append(found.modes)
                row.good.append(found.good)
                row.distance.append(found.distance)
                row.answer.append(found.answer)
            yield row


def line_of(row: Row) -> str:
    """Return a row of the table: modes covered by seed, then means."""
    of = len(TARGETS[row.target]())
    modes = " ".join(f"{modes:>2}" for modes in row.modes)
    ask = SETTINGS[row.setting].ask
    answer = f"  {ask} {mean(row.answer):.2f}" if ask else ""
    figures = f"{mean(row.good):>6.2f}{mean(row.distance):>9.3f}{mean(row.seconds):>8.1f}{answer}"
    return f"{row.setting:<28}{row.target:<6}{modes} of {of:<4}{figures}"


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    sys.stdout.write(f"steps {given.steps}: modes by seed, good share, distance, seconds of CPU, what D is asked\n")
    for title, block in BLOCKS.items():
        names = [name for name in block if name in given.only]
        if names:
            sys.stdout.write(f"\n{title}\n")
        for row in measure(names, given.seeds, given.steps):
            sys.stdout.write(line_of(row) + "\n")
            sys.stdout.flush()
            if given.out:
                with given.out.open("a") as file:
                    file.write(json.dumps(vars(row)) + "\n")


if __name__ == "__main__":
    main()
