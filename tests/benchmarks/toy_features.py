"""Frozen features for the toys: a small network that was taught which mode a point belongs to.

What a network learnt of pictures is to a projected discriminator (arXiv 2111.01007), this one is in two dimensions: two
hidden layers, two scales. It is taught on points of its own, never on those that the games learn from.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.adversarial.game import seed_of
from audiogan.adversarial.projected import ProjectedConfig, ProjectedDiscriminator
from audiogan.adversarial.runtime import seeded

WIDTH, STEPS, BATCH = 64, 300, 256


class Classifier(nn.Module):
    """Points `(n, value)` → maps of two hidden layers; `modes` gives logits of the modes."""

    def __init__(self, n_values: int, n_modes: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(n_values, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, n_modes)

    def forward(self, x: Tensor) -> list[Tensor]:
        first = F.leaky_relu(self.first(x), 0.2)
        return [first, F.leaky_relu(self.second(first), 0.2)]

    def modes(self, x: Tensor) -> Tensor:
        return self.last(self(x)[-1])


def taught(points_of: Callable[[int], Tensor], n_modes: int, steps: int = STEPS) -> Classifier:
    """Return a network that knows the modes of points.

    Args:
        points_of: From a seed to points `(n, value)`, point i of mode i modulo `n_modes`.
        n_modes: Modes.
        steps: Of Adam, on batches drawn from points of seed 7.
    """
    points, generator = points_of(7), torch.Generator().manual_seed(seed_of("toy features"))
    with seeded(0, "toy features"):
        network = Classifier(points.shape[1], n_modes)
    scale = points[:, :2].abs().max()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(steps):
        chosen = torch.randint(len(points), (BATCH,), generator=generator)
        loss = F.cross_entropy(network.modes(points[chosen] / scale), chosen % n_modes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        network.first.weight /= scale
    return network


def looking(points_of: Callable[[int], Tensor], n_modes: int, config: ProjectedConfig) -> ProjectedDiscriminator:
    """Return a discriminator that looks at points through what such a network has learnt."""
    return ProjectedDiscriminator(taught(points_of, n_modes), points_of(8)[:512], config)
