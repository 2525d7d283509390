"""Small games that train in seconds, shared by the tests of the trainer.

As a script, `toys.py FOLDER` trains a game that several processes can share.
"""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiogan.adversarial import checkpoint
from audiogan.adversarial.game import Batch, Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.scoring import ScoreConfig, Scoring
from audiogan.adversarial.trainer import TrainConfig, Trainer

N_POINTS = 8
SCORE, NO_SCORE = ScoreConfig(every=0.05, least_steps=1), ScoreConfig(every=None)


class Ring:
    """Eight points on the unit circle, moved a little by the seed of the item."""

    def __init__(self, n_items: int = 96, spread: float = 0.01) -> None:
        self.n_items = n_items
        self.spread = spread

    def __len__(self) -> int:
        return self.n_items

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        angle = torch.tensor(indices) % N_POINTS * (2.0 * torch.pi / N_POINTS)
        offset = torch.tensor([(seed % 1000) / 1000.0 - 0.5 for seed in seeds]) * self.spread
        return {"real": torch.stack([angle.cos() + offset, angle.sin()], dim=1)}


class Memory:
    """A replay-like buffer and a counter: state that only extras can carry."""

    def __init__(self) -> None:
        self.buffer = torch.zeros(4)
        self.count = 0

    def note(self, value: Tensor) -> None:
        self.buffer = torch.cat([self.buffer[1:], value.detach().reshape(1)])
        self.count += 1

    def state(self) -> dict[str, Any]:
        return {"buffer": self.buffer, "count": self.count}

    def load_state(self, state: dict[str, Any]) -> None:
        self.buffer, self.count = state["buffer"].clone(), int(state["count"])


def mlp(n_in: int, n_out: int, width: int = 24, dropout: float = 0.0) -> nn.Sequential:
    layers = [nn.Linear(n_in, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(width, n_out))


def three_phase_game() -> tuple[dict[str, nn.Module], Game]:
    """Return modules and a game with spans, a lazy penalty, dropout, batch norm, an extra and schedules everywhere."""
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {
            "encoder": nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
            "generator": mlp(3, 2),
            "discriminator": mlp(2, 1, dropout=0.1),
        }
    memory = Memory()
    rate = Schedule(start=2e-3, end=2e-4, shape="cosine", warm_up=0.1)
    optimizer = OptimizerConfig(lr=rate, betas=(0.0, 0.9), beta2=Schedule(start=0.9, end=0.99, shape="linear"))

    def reconstruction(batch: Batch, moment: Moment) -> dict[str, Tensor]:
        noisy = batch["real"] + 0.01 * moment.normal("corrupt", *batch["real"].shape)
        error = (modules["generator"](modules["encoder"](noisy)) - batch["real"]).square().mean()
        memory.note(error)
        return {"error": error, "memory": memory.buffer.mean()}

    config = LatentGameConfig(r1=Schedule(start=0.2), r2=Schedule(start=0.1), penalty_interval=2)
    latent = latent_game(
        modules, z_dim=3, config=config, generator_optimizer=optimizer, discriminator_optimizer=optimizer
    )
    late = [
        Phase(
            phase.name,
            phase.modules,
            phase.terms,
            phase.optimizer,
            repeats=1 + (phase.name == "discriminator"),
            span=(0.4, 1.0),
        )
        for phase in latent.phases
    ]
    autoencoder = Phase("autoencoder", ("encoder", "generator"), reconstruction, optimizer, span=(0.0, 0.4))
    return modules, Game((autoencoder, *late), extras={"memory": memory}, averaged={"encoder": 0.0, "generator": 0.4})


def trainer(folder: Path, budget: str = "40 steps", **options: Any) -> Trainer:
    modules, game = three_phase_game()
    settings = {"batch_size": 8, "checkpoint_steps": 7, "tensorboard": False, "window": 5, "score": NO_SCORE} | options
    config = TrainConfig(**settings, budget=budget)
    return Trainer(modules, game, Ring(), config, folder, {"name": "toy"}, scoring=Scoring(score, probe), quiet=True)


def score(modules: Mapping[str, nn.Module], seed: int) -> dict[str, float]:
    """How far fakes lie from the circle; it draws from the global generator, as a careless metric may."""
    z = torch.randn(16, 3, generator=torch.Generator().manual_seed(seed))
    torch.randn(7)
    fake = modules["generator"](z)
    return {"distance": float((fake.norm(dim=1) - 1.0).abs().mean()), "variety": float(fake.std())}


def probe(modules: Mapping[str, nn.Module], seed: int) -> dict[str, Tensor]:
    """What D says of some points, of others and of fakes."""
    judge, points = modules["discriminator"], Ring()
    z = torch.randn(16, 3, generator=torch.Generator().manual_seed(seed))
    found = {
        "train": points.fetch(list(range(8)), [1] * 8)["real"],
        "valid": points.fetch(list(range(8)), [2] * 8)["real"],
    }
    return {name: judge(x) for name, x in (found | {"fake": modules["generator"](z)}).items()}


def plain_trainer(folder: Path) -> Trainer:
    """Return a trainer whose players have no buffers and no dropout, so that processes can share a batch exactly."""
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {"generator": mlp(2, 2), "discriminator": mlp(2, 1)}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig(r1=Schedule(start=0.2), r2=Schedule(start=0.2)))
    score = ScoreConfig(every=0.25, least_steps=1)
    config = TrainConfig(budget="12 steps", batch_size=8, checkpoint_steps=5, window=4, tensorboard=False, score=score)
    values = iter([3.0, 2.0, 4.0, 5.0, 6.0])
    scoring = Scoring(lambda *_: {"distance": next(values)})
    return Trainer(modules, game, Ring(), config, folder, scoring=scoring, quiet=True)


def digest(folder: Path) -> str:
    """Return a sum over all tensors and numbers of the newest checkpoint."""
    store = checkpoint.Store(folder)
    found = checkpoint.read_checkpoint(store.path(store.steps()[-1]))
    total = hashlib.sha256(repr(sorted(found.state.items())).encode())
    for stem in sorted(found.tensors):
        for name, tensor in sorted(found.tensors[stem].items()):
            total.update(f"{stem} {name} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    torch.set_num_threads(1)
    plain = plain_trainer(Path(sys.argv[1]))
    plain.run()
    plain.runtime.close()
