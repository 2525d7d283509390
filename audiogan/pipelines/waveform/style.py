"""The style generator: a mapping network makes w, and w scales the channels that every convolution reads.

Modulated convolutions after arXiv 1912.04958, section 2: scaling the input's channels and then the output's by the norm
of the scaled weights stands for scaling the weights of each example. No noise inputs, no style mixing; every stage adds
its own planes, doubled with the filter [1, 2, 1]. Weights are equalised, also in the discriminator, which is that of
`residual` otherwise.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from audiogan.layers import Scaled, pixel_norm
from audiogan.pipelines.waveform.network_config import StyleConfig
from audiogan.pipelines.waveform.plan import Plan, Sheet
from audiogan.pipelines.waveform.residual import (
    Conditions,
    HeadWriter,
    activate,
    double_to,
    mapping,
    stage_widths,
    stages_of,
)


class Modulated(nn.Module):
    """A convolution whose input channels are scaled by w, and whose output is brought back to size."""

    def __init__(
        self, n_in: int, n_out: int, kernel: tuple[int, ...], n_w: int, *, gain: float = 1.0, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.style = Scaled(n_w, n_in, gain=1.0, equalised=True)
        nn.init.ones_(self.style.bias)
        self.conv = Scaled(n_in, n_out, kernel, gain=gain, equalised=True)
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return `(batch, n_out, ...)` for `(batch, n_in, ...)` and w `(batch, n_w)`."""
        style = self.style(w)  # (batch, n_in)
        ones = [1] * (x.dim() - 2)
        bias = self.conv.bias.view(1, -1, *ones)
        y = self.conv(x * style.view(*style.shape, *ones)) - bias
        if self.demodulate:
            power = (self.conv.weight * self.conv.scale).square().flatten(2).sum(dim=2)  # (n_out, n_in)
            size = torch.rsqrt(style.square() @ power.t() + 1e-8)
            y = y * size.view(*size.shape, *ones)
        return y + bias


class StyleGenerator(nn.Module):
    """z, timbre, pitch and velocity → planes, by way of w."""

    def __init__(self, plan: Plan, network: StyleConfig) -> None:
        super().__init__()
        self.plan, self.z_dim, self.timbre_dim = plan, network.z_dim, network.timbre_dim
        self.sheet = Sheet(plan)
        self.conditions = Conditions(network.timbre_dim)
        self.stages = stages_of(plan)[::-1]
        widths = stage_widths(len(self.stages), network.width, network.max_width)[::-1]
        n_w = network.mapping_width
        sizes = [network.z_dim + self.conditions.n_features, *[n_w] * network.mapping_depth]
        self.mapping = mapping(sizes, equalised=True)
        self.start = nn.Parameter(torch.randn(widths[0], *self.stages[0]))
        self.first = nn.ModuleList(
            Modulated(n_in, n_out, plan.kernel, n_w) for n_in, n_out in pairwise([widths[0], *widths])
        )
        self.second = nn.ModuleList(Modulated(width, width, plan.kernel, n_w) for width in widths)
        self.out = nn.ModuleList(
            Modulated(width, plan.n_channels, plan.point, n_w, gain=0.25, demodulate=False) for width in widths
        )
        self.head = HeadWriter(plan, n_w, equalised=True) if plan.head else None

    def style(self, z: Tensor, h: Tensor | None, pitch: Tensor, velocity: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return w `(batch, mapping_width)`; arguments as `forward`."""
        w = torch.cat([pixel_norm(z), self.conditions(pitch, velocity, h, keep)], dim=1)
        return self.mapping(w)

    def of_style(self, w: Tensor, pitch: Tensor) -> Tensor:
        """Return normalised planes of w."""
        x = self.start.expand(len(w), *self.start.shape)
        planes = None
        for stage, lengths in enumerate(self.stages):
            x = double_to(x, lengths)
            x = math.sqrt(2.0) * activate(self.first[stage](x, w))
            x = math.sqrt(2.0) * activate(self.second[stage](x, w))
            made = self.out[stage](x, w)
            planes = made if planes is None else double_to(planes, lengths) + made
        assert planes is not None, "there is always a stage"
        if self.head is not None:
            planes = torch.cat([self.head(w).unsqueeze(2), planes], dim=2).unflatten(1, self.plan.shape[:2])
        return planes * self.sheet.mask(pitch)

    def draw(self, z: Tensor, h: Tensor | None, pitch: Tensor, velocity: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return normalised planes `(batch, plane, row, frame)`, 0 where nothing is meant; arguments as `forward`."""
        return self.of_style(self.style(z, h, pitch, velocity, keep), pitch)

    def forward(
        self, z: Tensor, h: Tensor | None, pitch: Tensor, velocity: Tensor, keep: Tensor | None = None
    ) -> Tensor:
        """Return planes `(batch, plane, row, frame)` of the representation, silent where nothing is meant.

        Args:
            z: `(batch, z_dim)`, normal.
            h: `(batch, timbre_dim)`, or None for free timbres, made from z.
            pitch: `(batch,)` MIDI, not only whole.
            velocity: `(batch,)` in [0, 1].
            keep: `(batch,)`, 1 where h counts; None: everywhere.
        """
        return self.sheet.leave(self.draw(z, h, pitch, velocity, keep), pitch)
