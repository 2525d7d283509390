"""A discriminator that looks at examples through a trained network that stands still.

Projected GANs (arXiv 2111.01007): D gets the maps that a frozen network makes of an example at several scales, mixed by
fixed random projections across channels and, from coarse to fine, across scales; only small heads learn, one per scale,
each with one logit per example. The loss of D is the mean over heads, which is the paper's sum but for a constant. What
stands still is held as buffers: no optimiser, clipping or normalisation moves it, no gradient is made for it, and every
checkpoint holds it, while gradients pass through it to the example. Unlike the paper, maps are brought to one size
first, heads are averaged over positions, and nothing is normalised unless `spectral` says so.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from audiogan.adversarial.game import seed_of

LEAK = 0.2
KERNEL = 3
MAX_AXES = 2
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
MODES = ("linear", "bilinear")


class ProjectedConfig(BaseModel):
    """How a discriminator looks through a frozen network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        default=None,
        description="Trained model whose encoder D looks through: a shipped name, a model or a run folder.",
    )
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="Hash of that model's weights; left out: whatever they are, kept in the run's recipe.",
    )
    mixing: Literal["channels", "scales"] = Field(
        default="scales", description="What projections mix: channels alone, or scales as well."
    )
    width: int = Field(default=64, ge=1, le=4096, description="Channels of every head.")
    seed: int = Field(default=0, ge=0, description="Of the projections.")


class Seen(NamedTuple):
    """What a discriminator says that looks through a frozen network.

    Args:
        logits: `(batch, scale)`, high for real; the finest scale first.
        features: What the heads go by, `(batch, width)` each, in the same order.
    """

    logits: Tensor
    features: tuple[Tensor, ...]


def hold_still(module: nn.Module) -> None:
    """Make buffers of all parameters of a module, under their names, and let it be as in evaluation from now on."""
    for layer in module.modules():
        for name, value in list(layer.named_parameters(recurse=False)):
            delattr(layer, name)
            layer.register_buffer(name, value.detach().clone())
    module.eval()


class Frozen(nn.Module):
    """A network that stands still: inputs → maps `(batch, channel, ...)`, the finest first.

    Args:
        network: From an example, and what else it is told, to maps with at most two axes of positions each; changed in
            place.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        hold_still(network)
        self.network = network

    def train(self, mode: bool = True) -> "Frozen":
        """Stay as in evaluation, whatever is asked."""
        del mode
        return super().train(mode=False)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the maps."""
        return tuple(self.network(*inputs))


class Projection(nn.Module):
    """Fixed random mixing of maps: across channels, and from every scale to the next finer one.

    Args:
        maps: Of some examples, to learn shapes and sizes from: each map is brought to root mean square 1 over them.
        mixing: See `ProjectedConfig`.
        seed: Decides the draws.
    """

    def __init__(self, maps: Sequence[Tensor], mixing: Literal["channels", "scales"], seed: int) -> None:
        super().__init__()
        self.n_maps, self.mixing = len(maps), mixing
        self.n_axes = max(1, *(found.dim() - 2 for found in maps))
        assert 1 <= self.n_axes <= MAX_AXES, f"maps of shapes {[tuple(found.shape) for found in maps]}"
        self.convolve = (F.conv1d, F.conv2d)[self.n_axes - 1]
        generator = torch.Generator().manual_seed(seed_of("projection", seed))
        point = [1] * self.n_axes
        for scale, found in enumerate(maps):
            size = found.detach().float().square().mean().sqrt().clamp_min(1e-6)
            self.register_buffer(f"gain_{scale}", 1.0 / size.cpu())
            self.register_buffer(f"channels_{scale}", _drawn([found.shape[1]] * 2 + point, generator))
        if mixing == "scales":
            for scale, (fine, coarse) in enumerate(pairwise(maps)):
                taps = [KERNEL if size > 1 else 1 for size in self.with_axes(fine).shape[2:]]
                self.register_buffer(f"scales_{scale}", _drawn([fine.shape[1], coarse.shape[1], *taps], generator))

    def with_axes(self, found: Tensor) -> Tensor:
        """Return a map with as many axes of positions as the map that has most."""
        return found.reshape(*found.shape, *[1] * (2 + self.n_axes - found.dim()))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return as many maps of the same shapes, all with the same number of axes."""
        assert len(maps) == self.n_maps, f"{len(maps)} maps; expected {self.n_maps}"
        mixed = [
            self.convolve(self.with_axes(found) * self.get_buffer(f"gain_{scale}"), self._weight("channels", scale))
            for scale, found in enumerate(maps)
        ]
        if self.mixing == "channels":
            return mixed
        for scale in reversed(range(self.n_maps - 1)):
            weight = self._weight("scales", scale)
            coarse = grown(mixed[scale + 1], mixed[scale].shape[2:])
            down = self.convolve(coarse, weight, padding=[size // 2 for size in weight.shape[2:]])
            mixed[scale] = (mixed[scale] + down) / math.sqrt(2.0)
        return mixed

    def _weight(self, kind: str, scale: int) -> Tensor:
        return self.get_buffer(f"{kind}_{scale}")


def _drawn(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return weights that keep the variance of what they are applied to, on average."""
    return torch.randn(*shape, generator=generator) / math.sqrt(math.prod(shape[1:]))


def grown(found: Tensor, lengths: Sequence[int]) -> Tensor:
    """Return `(batch, channel, ...)` with other lengths, linearly between positions; one position is repeated."""
    if found.shape[2:] == tuple(lengths):
        return found
    if math.prod(found.shape[2:]) == 1:
        return found.expand(*found.shape[:2], *lengths)
    return F.interpolate(found, size=tuple(lengths), mode=MODES[len(lengths) - 1], align_corners=False)


class Head(nn.Module):
    """What learns at one scale: convolutions down to about the size of the coarsest map, then one logit per example.

    Args:
        n_in: Channels of the map.
        lengths: Its positions along each axis.
        coarsest: Those of the coarsest map that has more than one.
        width: Channels of every layer.
        n_condition: Values that D is told besides the example; 0 for none.
        generator: Of the weights to begin with.
    """

    def __init__(
        self,
        n_in: int,
        lengths: Sequence[int],
        coarsest: Sequence[int],
        width: int,
        n_condition: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        convolution, n_axes = CONVOLUTIONS[len(lengths) - 1], len(lengths)
        point = all(length == 1 for length in lengths)
        layers: list[nn.Module] = [convolution(n_in, width, 1)]
        here = list(lengths)
        while any(length >= 2 * least for length, least in zip(here, coarsest, strict=True)):
            strides: Any = tuple(2 if length >= 2 * least else 1 for length, least in zip(here, coarsest, strict=True))
            layers += [nn.LeakyReLU(LEAK), convolution(width, width, KERNEL, strides, padding=KERNEL // 2)]
            here = [(length + stride - 1) // stride for length, stride in zip(here, strides, strict=True)]
        taps = 1 if point else KERNEL
        layers += [nn.LeakyReLU(LEAK), convolution(width, width, taps, padding=taps // 2), nn.LeakyReLU(LEAK)]
        self.layers = nn.Sequential(*layers)
        self.logit = nn.Linear(width, 1)
        self.compare = nn.Linear(n_condition, width) if n_condition else None
        self.axes = tuple(range(2, 2 + n_axes))
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
                gain = math.sqrt(2.0) if isinstance(layer, CONVOLUTIONS) else 1.0
                nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()), generator=generator)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, found: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits `(batch,)` and what they are made of, `(batch, width)`, of a map `(batch, channel, ...)`.

        A condition `(batch, n_condition)` is compared with the latter (projection, arXiv 1802.05637).
        """
        pooled = self.layers(found).mean(dim=self.axes)
        logit = self.logit(pooled).squeeze(1)
        if self.compare is not None and condition is not None:
            logit = logit + (pooled * self.compare(condition)).sum(dim=1) / math.sqrt(pooled.shape[1])
        return logit, pooled


class Heads(nn.Module):
    """Maps → `Seen`: the projections and one head per scale.

    Args:
        maps: Of some examples, as the frozen network makes them.
        config: How they are mixed, and the width.
        n_condition: Values that D is told besides the example; 0 for none.
    """

    def __init__(self, maps: Sequence[Tensor], config: ProjectedConfig, n_condition: int = 0) -> None:
        super().__init__()
        self.projection = Projection(maps, config.mixing, config.seed)
        lengths = [self.projection.with_axes(found).shape[2:] for found in maps]
        wide = [each for each in lengths if math.prod(each) > 1] or lengths
        coarsest = [min(sizes) for sizes in zip(*wide, strict=True)]
        generator = torch.Generator().manual_seed(seed_of("heads", config.seed))
        self.heads = nn.ModuleList(
            Head(found.shape[1], size, coarsest, config.width, n_condition, generator)
            for found, size in zip(maps, lengths, strict=True)
        )

    def forward(self, maps: Sequence[Tensor], condition: Tensor | None = None) -> Seen:
        """Judge maps.

        Args:
            maps: `(batch, channel, ...)` each, of the shapes they were built for.
            condition: `(batch, n_condition)`.
        """
        mixed = self.projection(maps)
        found = [head(each, condition) for head, each in zip(self.heads, mixed, strict=True)]
        return Seen(torch.stack([logit for logit, _ in found], dim=1), tuple(pooled for _, pooled in found))


class ProjectedDiscriminator(nn.Module):
    """Examples → `Seen`, for games that tell D nothing else, or one number or vector per example.

    Args:
        features: From examples to maps, see `Frozen`; changed in place.
        examples: Some, to learn shapes and sizes from, `(n, ...)`.
        config: How D looks.
        n_condition: Values of the label that D is told; 0 for none.
    """

    def __init__(
        self, features: nn.Module, examples: Tensor, config: ProjectedConfig | None = None, n_condition: int = 0
    ) -> None:
        super().__init__()
        self.frozen = Frozen(features)
        with torch.no_grad():
            self.heads = Heads(self.frozen(examples), config or ProjectedConfig(), n_condition)

    def forward(self, examples: Tensor, label: Tensor | None = None) -> Seen:
        """Judge examples `(batch, ...)`, with labels `(batch,)` or `(batch, n_condition)` if it is told any."""
        condition = None if label is None else label.to(examples).reshape(len(examples), -1)
        return self.heads(self.frozen(examples), condition)

    def features(self, examples: Tensor, label: Tensor | None = None) -> list[Tensor]:
        """Return what the heads go by, for feature matching: `(batch, width)` each."""
        return list(self(examples, label).features)
