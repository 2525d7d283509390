"""BinaryMuseGAN (arXiv 1804.09399): a generator of probabilities and a refiner that makes them binary.

The published size is 4 bars x 96 timesteps x 84 pitches x 8 tracks: generator 1.58 M parameters, refiner 0.08 M,
discriminator 2.16 M. Rolls are 0 to 1; shapes in comments are those of the published size. Each private branch of the
discriminator sees its own track (in MuseGAN v3 it sees all of them). Where this differs from the released code: the
onset stream takes the change of sound in time (the code mixed tracks and pitches), the refiner's threshold starts at a
probability of one half, and batch norm uses batch statistics in training.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.layers import GridGrow, Kernel, truncated_normal_
from audiogan.pipelines.multitrack.binary import sounding
from audiogan.pipelines.multitrack.classic_config import SEMITONES, ClassicConfig, tiling
from audiogan.pipelines.multitrack.classic_streams import StreamWidths
from audiogan.pipelines.multitrack.classic_v3 import PrivateHead, norm_v3

BINARY_STD = 0.02
BINARY_WIDTHS = StreamWidths((32, 64), (64, 128), (32, 64, 128))
SEED_WIDTH = 512


class BinaryGenerator(nn.Module):
    """Generate probabilities, `(batch, track, bar, timestep, pitch)`, from z `(batch, z_dim)`.

    Args:
        config: The model.
    """

    def __init__(self, config: ClassicConfig) -> None:
        super().__init__()
        tiles = tiling(config)
        self.n_seeds = max(1, config.n_bars - 1)
        self.dense = nn.Linear(config.z_dim, self.n_seeds * SEED_WIDTH)
        truncated_normal_(self.dense.weight, BINARY_STD)
        nn.init.zeros_(self.dense.bias)
        self.dense_norm = norm_v3(self.n_seeds * SEED_WIDTH, config)
        plan: list[tuple[int, Kernel, Kernel | None]] = [
            (256, (min(2, config.n_bars), 1, 1), (1, 1, 1)),
            (128, (1, tiles.beats, 1), None),
            (128, (1, 1, tiles.spans), None),
            (64, (1, tiles.parts, 1), None),
            (64, (1, 1, tiles.reach), (1, 1, tiles.hop)),
        ]
        n_in, layers = SEED_WIDTH, []
        for width, kernel, stride in plan:
            layers.append(GridGrow(n_in, width, kernel, stride, std=BINARY_STD, norm=norm_v3(width, config)))
            n_in = width
        self.shared = nn.Sequential(*layers)
        self.private = nn.ModuleList(
            PrivateHead(config, n_in, (64, 32), SEMITONES, tiles.fine, BINARY_STD) for _ in range(config.n_tracks)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Return probabilities of sound in [0, 1]."""
        seeds = F.relu(self.dense_norm(self.dense(z)))
        grid = self.shared(seeds.reshape(len(z), self.n_seeds, 1, 1, SEED_WIDTH))  # (batch, 4, 16, 7, 64)
        return torch.sigmoid(torch.stack([head(grid) for head in self.private], 1))


class ResidualUnit(nn.Module):
    """Add a correction to `(batch, 1, timestep, pitch)`: norm, ReLU, 64 maps, norm, ReLU, 1 map, each 3 x 12.

    Args:
        config: Names the kind of norm.
        bias: What the correction begins with.
    """

    def __init__(self, config: ClassicConfig, *, bias: float) -> None:
        super().__init__()
        self.widen_norm, self.narrow_norm = _image_norm(1, config), _image_norm(64, config)
        self.widen = _image_conv(1, 64, bias=0.0)
        self.narrow = _image_conv(64, 1, bias=bias)

    def forward(self, image: Tensor) -> Tensor:
        """Return the corrected image."""
        # One more column on the right than on the left: what "same" means for an even kernel.
        same = (5, 6, 1, 1)
        maps = self.widen(F.pad(F.relu(self.widen_norm(image)), same))
        return image + self.narrow(F.pad(F.relu(self.narrow_norm(maps)), same))


def _image_conv(n_in: int, n_out: int, *, bias: float) -> nn.Conv2d:
    conv = nn.Conv2d(n_in, n_out, (3, SEMITONES))
    truncated_normal_(conv.weight, BINARY_STD)
    assert conv.bias is not None
    nn.init.constant_(conv.bias, bias)
    return conv


def _image_norm(n_channels: int, config: ClassicConfig) -> nn.Module:
    if config.norm == "layer":
        return nn.GroupNorm(1, n_channels)
    return nn.BatchNorm2d(n_channels, eps=1e-3, momentum=0.01)


class Refiner(nn.Module):
    """Turn probabilities into binary rolls, `(batch, track, bar, timestep, pitch)`, with two residual units per track.

    Args:
        config: The model; it names the binary neuron.
    """

    def __init__(self, config: ClassicConfig) -> None:
        super().__init__()
        self.config = config
        # A neuron fires above 0: the bias puts the threshold at a probability of one half to begin with.
        self.private = nn.ModuleList(
            nn.Sequential(ResidualUnit(config, bias=0.0), ResidualUnit(config, bias=-0.5))
            for _ in range(config.n_tracks)
        )

    def forward(self, rolls: Tensor, slope: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """Return rolls of exactly 0 or 1.

        Args:
            rolls: Probabilities in [0, 1].
            slope: Of the neurons' backward pass.
            generator: Draws of stochastic neurons.
        """
        logits = [
            units(track.flatten(0, 1).unsqueeze(1)).squeeze(1).unflatten(0, track.shape[:2])
            for units, track in zip(self.private, rolls.unbind(1), strict=True)
        ]
        return sounding(torch.stack(logits, 1), self.config.output_neuron, self.config.low, slope, generator)
