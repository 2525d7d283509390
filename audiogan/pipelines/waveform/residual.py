"""The default networks: residual blocks without normalisation, from coarse to fine and back.

A block is a convolution and a mix of channels added to its input, the last layer silent at first and the others scaled
by the number of blocks (R3GAN, arXiv 2501.05441; one dense convolution stands for its grouped one, which takes up to
twice as long on CPU). Lengths are halved and doubled with the filter [1, 2, 1]. The generator takes the condition as
scale and shift of every block (arXiv 1709.07871); the discriminator compares its features with the condition
(projection, arXiv 1802.05637), reads the pitch, and sees how far a batch spreads (arXiv 1710.10196). Pitch is known by
sines of its value, so every pitch between two keys has a meaning. The head column goes through dense branches.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.layers import LEAK, Scaled, batch_deviation, double, halve
from audiogan.pipelines.waveform.network_config import ResidualConfig, StyleConfig
from audiogan.pipelines.waveform.plan import Plan, Sheet
from audiogan.pipelines.waveform.progressive import faded, stage_weight

SMALLEST_LINE, SMALLEST_PICTURE = 8, 4
HEAD_WIDTH = 128
# Periods in octaves from 8 down to a third: what changes with pitch changes slower than a key.
PITCH_TURNS = (0.125, 0.25, 0.5, 1.0, 2.0, 3.0)
MIDDLE_C = 60.0


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2."""
    return F.leaky_relu(x, LEAK)


def stage_lengths(lengths: tuple[int, ...], smallest: int) -> list[tuple[int, ...]]:
    """Return the sizes of all stages, full size first: every axis is halved, rounded up, until below 2 x `smallest`.

    Args:
        lengths: Full size.
        smallest: An axis is halved while it has at least twice so many positions.

    Example:
        >>> stage_lengths((64, 17), 8)
        [(64, 17), (32, 9), (16, 9), (8, 9)]
    """
    stages = [lengths]
    while any(length >= 2 * smallest for length in stages[-1]):
        stages.append(tuple((length + 1) // 2 if length >= 2 * smallest else length for length in stages[-1]))
    return stages


def stages_of(plan: Plan) -> list[tuple[int, ...]]:
    """Return the sizes of all stages of a plan, full size first."""
    return stage_lengths(plan.lengths, SMALLEST_LINE if plan.head else SMALLEST_PICTURE)


def stage_widths(n_stages: int, width: int, most: int) -> list[int]:
    """Return the channels of all stages, full size first: `width`, doubled at each halving, at most `most`."""
    return [min(most, width * 2**stage) for stage in range(n_stages)]


def double_to(x: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Double the axes of `(batch, width, ...)` that are shorter than `lengths`."""
    for axis, length in enumerate(lengths, start=2):
        if length > x.shape[axis]:
            x = double(x, axis, length)
    return x


def mapping(sizes: Sequence[int], *, equalised: bool = False) -> nn.Sequential:
    """Return dense layers with leaky ReLUs, from z and conditions to what the blocks are told.

    Args:
        sizes: Values of the input and of every layer.
        equalised: See `Scaled`.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [Scaled(n_in, n_out, equalised=equalised), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers)


def pitch_features(pitch: Tensor) -> Tensor:
    """Return `(batch, 12)` sines and cosines of MIDI pitches `(batch,)`, which need not be whole."""
    octaves = (pitch.unsqueeze(1) - MIDDLE_C) / 12.0
    angles = 2.0 * math.pi * octaves * octaves.new_tensor(PITCH_TURNS)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Conditions(nn.Module):
    """Pitch, velocity and perhaps a timbre as features `(batch, n_features)`; a learned null stands for no timbre."""

    def __init__(self, timbre_dim: int = 0) -> None:
        super().__init__()
        self.n_features = 2 * len(PITCH_TURNS) + 1 + timbre_dim
        self.null = nn.Parameter(torch.randn(timbre_dim) * 0.1) if timbre_dim else None

    def forward(self, pitch: Tensor, velocity: Tensor, h: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """Return features of pitches (MIDI), velocities in [0, 1] and timbres `(batch, timbre)`.

        Args:
            pitch: `(batch,)`.
            velocity: `(batch,)`.
            h: None for the null.
            keep: `(batch,)`, 1 where h counts, 0 for the null; None: everywhere.
        """
        features = [pitch_features(pitch), 2.0 * velocity.unsqueeze(1) - 1.0]
        if self.null is not None:
            null = self.null.expand(len(pitch), -1)
            if h is None:
                h = null
            elif keep is not None:
                h = torch.where(keep.unsqueeze(1) > 0.5, h, null)
            features.append(h)
        return torch.cat(features, dim=1)


class Block(nn.Module):
    """x + a convolution and a mix of channels of x, `(batch, width, ...)`, under a condition if there is one."""

    def __init__(
        self, width: int, kernel: tuple[int, ...], n_blocks: int, n_condition: int = 0, *, equalised: bool = False
    ) -> None:
        super().__init__()
        gain = math.sqrt(2.0) * n_blocks**-0.25
        self.first = Scaled(width, width, kernel, gain=gain, equalised=equalised)
        self.second = Scaled(width, width, (1,) * len(kernel), equalised=equalised)
        nn.init.zeros_(self.second.weight)
        self.affine = Scaled(n_condition, 2 * width, gain=0.5) if n_condition else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Change `(batch, width, ...)`; `condition` is `(batch, n_condition)`."""
        y = x
        if self.affine is not None:
            assert condition is not None, "this block was built for a condition"
            scale, shift = self.affine(condition).view(len(x), -1, *[1] * (x.dim() - 2)).chunk(2, dim=1)
            y = torch.addcmul(shift, x, 1.0 + scale)
        return x + self.second(activate(self.first(activate(y))))


def run_stage(blocks: nn.ModuleList, x: Tensor, weight: float, *condition: Tensor) -> Tensor:
    """Change `(batch, width, ...)` by the blocks of a stage, as far as it has faded in."""
    if weight == 0.0:
        return x
    changed = x
    for block in blocks:
        changed = block(changed, *condition)
    return faded(x, changed, weight)


class Trunk(nn.Module):
    """Full size → coarse: `(batch, n_channels, ...)` to `(batch, width, ...)` at the smallest size."""

    def __init__(
        self,
        plan: Plan,
        width: int,
        most: int,
        depth: int,
        *,
        equalised: bool = False,
    ) -> None:
        super().__init__()
        self.stages = stages_of(plan)
        widths = stage_widths(len(self.stages), width, most)
        self.n_out = widths[-1]
        n_blocks = depth * len(self.stages)
        self.stem = Scaled(plan.n_channels, widths[0], plan.point, gain=1.0, equalised=equalised)
        self.widen = nn.ModuleList(
            Scaled(narrow, wide, plan.point, gain=1.0, equalised=equalised) if narrow != wide else nn.Identity()
            for narrow, wide in pairwise(widths)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(Block(n, plan.kernel, n_blocks, equalised=equalised) for _ in range(depth)) for n in widths
        )

    def forward(self, x: Tensor, bias: Tensor, progress: float | None = None) -> Tensor:
        """Return coarse features; `bias` `(batch, width at full size)` is added after the first layer."""
        return self.maps(x, bias, progress)[-1]

    def maps(self, x: Tensor, bias: Tensor, progress: float | None = None) -> list[Tensor]:
        """Return the features of every stage, full size first; arguments as `forward`."""
        x = self.stem(x) + bias.view(*bias.shape, *[1] * (x.dim() - 2))
        found: list[Tensor] = []
        for stage, blocks in enumerate(self.blocks):
            if stage:
                x = self.widen[stage - 1](self.halved(x, stage))
            assert isinstance(blocks, nn.ModuleList)
            x = run_stage(blocks, x, stage_weight(len(self.blocks) - 1 - stage, progress))
            found.append(x)
        return found

    def halved(self, x: Tensor, stage: int) -> Tensor:
        """Halve the axes that are shorter at a stage than before it."""
        for axis, (before, after) in enumerate(zip(*self.stages[stage - 1 : stage + 1], strict=True), start=2):
            if after < before:
                x = halve(x, axis)
        return x


def split_head(planes: Tensor, plan: Plan) -> tuple[Tensor, Tensor | None]:
    """Return what convolutions run over, `(batch, channel, frame)` or a picture, and the head `(batch, channel)`."""
    if not plan.head:
        return planes, None
    return planes[..., 1:].flatten(1, 2), planes[..., 0].flatten(1)


class HeadReader(nn.Module):
    """The head column as features `(batch, width)`."""

    def __init__(self, plan: Plan, width: int, *, equalised: bool = False) -> None:
        super().__init__()
        self.first = Scaled(plan.n_channels, HEAD_WIDTH, equalised=equalised)
        self.second = Scaled(HEAD_WIDTH, width, equalised=equalised)

    def forward(self, head: Tensor) -> Tensor:
        """Read `(batch, plane * row)`."""
        return self.second(activate(self.first(head)))


class HeadWriter(nn.Module):
    """A condition `(batch, n_condition)` → the head column `(batch, plane * row)`."""

    def __init__(self, plan: Plan, n_condition: int, *, equalised: bool = False) -> None:
        super().__init__()
        self.first = Scaled(n_condition, HEAD_WIDTH, equalised=equalised)
        self.second = Scaled(HEAD_WIDTH, plan.n_channels, gain=0.5, equalised=equalised)

    def forward(self, condition: Tensor) -> Tensor:
        """Write the head."""
        return self.second(activate(self.first(condition)))


class Generator(nn.Module):
    """z, timbre, pitch and velocity → planes."""

    def __init__(self, plan: Plan, network: ResidualConfig) -> None:
        super().__init__()
        self.plan, self.z_dim, self.timbre_dim = plan, network.z_dim, network.timbre_dim
        self.sheet = Sheet(plan)
        self.conditions = Conditions(network.timbre_dim)
        self.stages = stages_of(plan)[::-1]
        widths = stage_widths(len(self.stages), network.width, network.max_width)[::-1]
        n_w, n_blocks = network.mapping_width, network.depth * len(self.stages)
        sizes = [network.z_dim + self.conditions.n_features, *[n_w] * network.mapping_depth]
        self.mapping = mapping(sizes)
        self.start = Scaled(n_w, widths[0] * math.prod(self.stages[0]), gain=1.0)
        self.blocks = nn.ModuleList(
            nn.ModuleList(Block(n, plan.kernel, n_blocks, n_w) for _ in range(network.depth)) for n in widths
        )
        self.narrow = nn.ModuleList(
            Scaled(wide, narrow, plan.point, gain=1.0) if narrow != wide else nn.Identity()
            for wide, narrow in pairwise(widths)
        )
        self.out = Scaled(widths[-1], plan.n_channels, plan.point, gain=0.5)
        self.head = HeadWriter(plan, n_w) if plan.head else None

    def draw(
        self,
        z: Tensor,
        h: Tensor | None,
        pitch: Tensor,
        velocity: Tensor,
        keep: Tensor | None = None,
        progress: float | None = None,
    ) -> Tensor:
        """Return normalised planes `(batch, plane, row, frame)`, 0 where nothing is meant.

        Arguments as `forward`; `progress` says how far the network has grown, None: all the way.
        """
        w = torch.cat([z, self.conditions(pitch, velocity, h, keep)], dim=1)
        w = self.mapping(w)
        x = self.start(w).view(len(w), -1, *self.stages[0])
        for stage, blocks in enumerate(self.blocks):
            if stage:
                x = double_to(self.narrow[stage - 1](x), self.stages[stage])
            assert isinstance(blocks, nn.ModuleList)
            x = run_stage(blocks, x, stage_weight(stage, progress), w)
        planes = self.out(activate(x))
        if self.head is not None:
            planes = torch.cat([self.head(w).unsqueeze(2), planes], dim=2).unflatten(1, self.plan.shape[:2])
        return planes * self.sheet.mask(pitch)

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


class Judged(NamedTuple):
    """What a discriminator says of a batch.

    Args:
        logits: `(batch,)`, high for real; `(batch, scale)` where D looks through a frozen network.
        pitch: `(batch, n_pitches)` logits of the key, lowest first.
        features: What it looked at: `(batch, n)` each.
    """

    logits: Tensor
    pitch: Tensor
    features: tuple[Tensor, ...]


class Discriminator(nn.Module):
    """Planes and conditions → whether they are real, and at which pitch."""

    def __init__(self, plan: Plan, network: ResidualConfig | StyleConfig, *, equalised: bool = False) -> None:
        super().__init__()
        self.plan = plan
        self.sheet = Sheet(plan)
        self.given = Conditions()
        self.conditions = Conditions(network.timbre_dim)
        self.enter = Scaled(self.given.n_features, network.width, gain=1.0, equalised=equalised)
        self.trunk = Trunk(plan, network.width, network.max_width, network.depth, equalised=equalised)
        n_map = self.trunk.n_out * math.prod(self.trunk.stages[-1])
        n_w = network.mapping_width
        self.head = HeadReader(plan, n_w, equalised=equalised) if plan.head else None
        self.dense = Scaled(n_map, n_w, equalised=equalised)
        self.spread = Scaled(1, n_w, gain=1.0, equalised=equalised)
        self.logit = Scaled(n_w, 1, gain=1.0, equalised=equalised)
        self.compare = Scaled(self.conditions.n_features, n_w, gain=1.0, equalised=equalised)
        self.pitch = Scaled(n_w, plan.n_pitches, gain=1.0, equalised=equalised)
        self.through: nn.Module | None = None

    def look_through(self, through: nn.Module) -> None:
        """Give up the own layers and let another module judge from now on.

        Args:
            through: From planes of the representation, pitch, velocity, h and `keep` to `Judged`.
        """
        for name in [name for name, _ in self.named_children() if name != "sheet"]:
            delattr(self, name)
        self.through = through

    def judge(
        self,
        normal: Tensor,
        pitch: Tensor,
        velocity: Tensor,
        h: Tensor | None = None,
        keep: Tensor | None = None,
        progress: float | None = None,
    ) -> Judged:
        """Judge normalised planes; arguments as `forward`, and how far the network has grown, None: all the way."""
        if self.through is not None:
            return self.through(self.sheet.leave(normal, pitch), pitch, velocity, h, keep)
        x, head = split_head(self.sheet.heard(normal, pitch), self.plan)
        coarse = activate(self.trunk(x, self.enter(self.given(pitch, velocity)), progress).flatten(1))
        dense = self.dense(coarse)
        if self.head is not None and head is not None:
            dense = dense + self.head(head)
        dense = dense + self.spread(batch_deviation(dense).view(1, 1))
        dense = activate(dense)  # (batch, n_w)
        condition = self.compare(self.conditions(pitch, velocity, h, keep))
        projection = (dense * condition).sum(dim=1) / math.sqrt(dense.shape[1])
        return Judged(self.logit(dense).squeeze(1) + projection, self.pitch(dense), (coarse, dense))

    def forward(
        self, planes: Tensor, pitch: Tensor, velocity: Tensor, h: Tensor | None = None, keep: Tensor | None = None
    ) -> Judged:
        """Judge planes `(batch, plane, row, frame)` of the representation.

        Args:
            planes: Cells that mean nothing are not looked at.
            pitch: `(batch,)` MIDI.
            velocity: `(batch,)` in [0, 1].
            h: `(batch, timbre_dim)` of a neighbour, or None when no timbre is said.
            keep: `(batch,)`, 1 where h counts; None: everywhere.
        """
        return self.judge(self.sheet.enter(planes, pitch), pitch, velocity, h, keep)
