"""MuseGAN v3: one z to all tracks through shared layers, then one private network per track and one view per axis.

Source: the MuseGAN repository, version 3 (no paper of its own; it follows arXiv 1804.09399). In the published size the
generator has 2,578,127 parameters; the discriminator is in `classic_streams`. Grids are `(batch, bar, timestep, pitch,
channel)`; shapes in comments are those of 4 bars x 48 timesteps x 84 pitches. The private networks also serve
BinaryMuseGAN. Left out: the counter fault of the original's schedules, a matter of training.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.layers import GridGrow, GridNorm, GridShrink, Kernel, lay, truncated_normal_
from audiogan.pipelines.multitrack.binary import sounding
from audiogan.pipelines.multitrack.classic_config import SEMITONES, ClassicConfig, Tiling, tiling
from audiogan.pipelines.multitrack.classic_streams import StreamWidths

V3_STD = 0.05
V3_WIDTHS = StreamWidths((16, 32), (32, 64), (16, 32, 64))


def norm_v3(n_channels: int, config: ClassicConfig) -> GridNorm:
    """Return the normalisation of v3 and binary: variance plus 0.001, running statistics over about 100 batches.

    Args:
        n_channels: Channels to normalise.
        config: Names the kind of norm.
    """
    return GridNorm(n_channels, config.norm, eps=1e-3, momentum=0.01)


class GivenTrack(NamedTuple):
    """What the encoder knows of the given track, one grid for every layer of the generator that reads it."""

    bars: Tensor
    beats: Tensor
    parts: Tensor
    pitch_time: tuple[Tensor, Tensor]
    time_pitch: tuple[Tensor, Tensor]


class TrackEncoder(nn.Module):
    """Encode the given track, `(batch, bar, timestep, pitch)`, with maps that mirror the generator's layers.

    Args:
        config: The model.
    """

    def __init__(self, config: ClassicConfig) -> None:
        super().__init__()
        tiles = tiling(config)
        octave, fine = (1, 1, SEMITONES), (1, tiles.fine, 1)

        def shrink(n_in: int, n_out: int, kernel: Kernel, stride: Kernel | None = None) -> GridShrink:
            return GridShrink(n_in, n_out, kernel, stride, std=V3_STD, norm=norm_v3(n_out, config), slope=0.0)

        self.pitch_time = nn.ModuleList([shrink(1, 16, octave), shrink(16, 32, fine)])
        self.time_pitch = nn.ModuleList([shrink(1, 16, fine), shrink(16, 32, octave)])
        self.parts = shrink(64, 64, tiles.part_kernel, tiles.part_stride)
        self.beats = shrink(64, 128, tiles.beat_kernel)
        self.bars = shrink(128, 256, (config.n_bars, 1, 1))

    def forward(self, given: Tensor) -> GivenTrack:
        """Return every map of the given track, `(batch, bar, timestep, pitch)` in [-1, 1]."""
        grid = given.unsqueeze(-1)
        pitch_first = self.pitch_time[0](grid)  # (batch, 4, 48, 7, 16)
        pitch_time = self.pitch_time[1](pitch_first)  # (batch, 4, 16, 7, 32)
        time_first = self.time_pitch[0](grid)  # (batch, 4, 16, 84, 16)
        time_pitch = self.time_pitch[1](time_first)  # (batch, 4, 16, 7, 32)
        parts = self.parts(torch.cat([time_pitch, pitch_time], -1))  # (batch, 4, 4, 3, 64)
        beats = self.beats(parts)  # (batch, 4, 1, 1, 128)
        bars = self.bars(beats)  # (batch, 1, 1, 1, 256)
        return GivenTrack(bars, beats, parts, (pitch_first, pitch_time), (time_first, time_pitch))


class Branch(nn.Module):
    """Two growing layers, one along pitch and one along time, in either order.

    Args:
        config: The model.
        n_in: Channels of the shared grid.
        widths: Channels of the two layers.
        kernels: Kernels of the two layers.
        std: Standard deviation of the start.
    """

    def __init__(
        self,
        config: ClassicConfig,
        n_in: int,
        widths: tuple[int, int],
        kernels: tuple[Kernel, Kernel],
        std: float,
    ) -> None:
        super().__init__()
        skips = (32, 16) if config.given_track is not None else (0, 0)
        self.first = GridGrow(n_in + skips[0], widths[0], kernels[0], std=std, norm=norm_v3(widths[0], config))
        self.second = GridGrow(widths[0] + skips[1], widths[1], kernels[1], std=std, norm=norm_v3(widths[1], config))


class PrivateHead(nn.Module):
    """Grow one track's logits from the shared grid, pitch first, time first, or both and merged.

    Args:
        config: The model.
        n_in: Channels of the shared grid.
        widths: Channels of the two layers of each branch.
        pitch: Pitches grown from one cell.
        time: Timesteps grown from one cell.
        std: Standard deviation of the start.
    """

    def __init__(
        self, config: ClassicConfig, n_in: int, widths: tuple[int, int], pitch: int, time: int, std: float
    ) -> None:
        super().__init__()
        by_pitch, by_time = (1, 1, pitch), (1, time, 1)
        self.pitch_time = self.time_pitch = None
        if config.order != "time_pitch":
            self.pitch_time = Branch(config, n_in, widths, (by_pitch, by_time), std)
        if config.order != "pitch_time":
            self.time_pitch = Branch(config, n_in, widths, (by_time, by_pitch), std)
        self.merge = nn.Linear(widths[1] * (2 if config.order == "both" else 1), 1)
        truncated_normal_(self.merge.weight, std)
        nn.init.zeros_(self.merge.bias)
        self.norm = norm_v3(1, config)

    def forward(self, grid: Tensor, given: GivenTrack | None = None) -> Tensor:
        """Return logits `(batch, bar, timestep, pitch)` from the shared grid."""
        # Merging to one channel commutes with laying patches out, and one channel is cheaper to move than many.
        weights = self.merge.weight.chunk(2, 1) if self.pitch_time and self.time_pitch else [self.merge.weight] * 2
        logits = self.merge.bias
        if self.pitch_time is not None:
            logits = logits + _pitch_first(self.pitch_time, weights[0], grid, given)
        if self.time_pitch is not None:
            logits = logits + _time_first(self.time_pitch, weights[1], grid, given)
        return self.norm(logits).squeeze(-1)  # (batch, 4, 48, 84)


def _pitch_first(branch: Branch, weight: Tensor, grid: Tensor, given: GivenTrack | None) -> Tensor:
    pitches = branch.first(_joined(grid, given and given.time_pitch[1]))  # (batch, 4, 16, 84, 32)
    patches = branch.second.patches(_joined(pitches, given and given.time_pitch[0]))
    return lay(F.linear(patches, weight), branch.second.conv.stride)  # (batch, 4, 48, 84, 1)


def _time_first(branch: Branch, weight: Tensor, grid: Tensor, given: GivenTrack | None) -> Tensor:
    times = branch.first.patches(_joined(grid, given and given.pitch_time[1])).flatten(4, 6)
    n_fine = times.shape[4]  # (batch, 4, 16, 7, 3, 32): the fine steps stay an axis of their own until the end
    if given is not None:
        times = torch.cat([times, given.pitch_time[0].unflatten(2, (-1, n_fine)).transpose(3, 4)], -1)
    merged = F.linear(branch.second.patches(times).flatten(5, 7), weight)  # (batch, 4, 16, 7, 3, 12, 1)
    return merged.transpose(3, 4).flatten(4, 5).flatten(2, 3)  # (batch, 4, 48, 84, 1)


def _joined(grid: Tensor, other: Tensor | None) -> Tensor:
    return grid if other is None else torch.cat([grid, other], -1)


class V3Generator(nn.Module):
    """Generate all tracks that are not given, `(batch, track, bar, timestep, pitch)`, from z `(batch, z_dim)`.

    Args:
        config: The model.
    """

    def __init__(self, config: ClassicConfig) -> None:
        super().__init__()
        self.config = config
        tiles = tiling(config)
        skips = (256, 128, 64) if config.given_track is not None else (0, 0, 0)
        kernels, pitch, time = _unfolding(config, tiles)
        n_in, layers = config.z_dim, []
        for index, (width, kernel, stride) in enumerate(kernels):
            n_skip = skips[index] if index < len(skips) else 0
            norm = norm_v3(width, config)
            layers.append(GridGrow(n_in + n_skip, width, kernel, stride, std=V3_STD, norm=norm))
            n_in = width
        self.shared = nn.ModuleList(layers)
        self.private = nn.ModuleList(
            PrivateHead(config, n_in, (32, 16), pitch, time, V3_STD) for _ in config.generated_tracks
        )

    def forward(
        self,
        z: Tensor,
        given: GivenTrack | None = None,
        slope: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return rolls in [-1, 1]; exactly -1 or 1 with binary neurons.

        Args:
            z: `(batch, z_dim)`.
            given: The encoded given track, when the model has one.
            slope: Of the binary neurons' backward pass.
            generator: Draws of stochastic neurons.
        """
        grid = z[:, None, None, None, :]
        skips = (given.bars, given.beats, given.parts) if given is not None else ()
        for index, layer in enumerate(self.shared):
            grid = layer(_joined(grid, skips[index] if index < len(skips) else None))
        logits = torch.stack([head(grid, given) for head in self.private], 1)
        return sounding(logits, self.config.output_neuron, self.config.low, slope, generator)


def _unfolding(config: ClassicConfig, tiles: Tiling) -> tuple[list[tuple[int, Kernel, Kernel | None]], int, int]:
    """Return the shared layers as (width, kernel, stride), then the private kernels over pitch and time."""
    bars: tuple[int, Kernel, Kernel | None] = (512, (config.n_bars, 1, 1), None)
    match config.growth:
        case "semitone_first":
            rest = [(256, (1, tiles.beats, 1), None), (128, (1, tiles.parts, 1), None), (64, (1, 1, SEMITONES), None)]
            return [bars, *rest], tiles.octaves, tiles.fine
        case "step_first":
            steps, parts = (1, tiles.fine, tiles.spans), (1, tiles.parts, tiles.reach)
            return [bars, (256, steps, None), (128, parts, (1, tiles.parts, tiles.hop))], SEMITONES, tiles.beats
    return [bars, (256, tiles.beat_kernel, None), (128, tiles.part_kernel, tiles.part_stride)], SEMITONES, tiles.fine
