"""GANSynth's generator and discriminator (arXiv 1902.08710), layer by layer as published.

Every block of both keeps its own way to and from an image, so that the networks grow block by block; `progressive` says
how far. Weights are equalised, the generator normalises its channels at every position, images pass through tanh before
they are blended. Sizes here are (row, frame), that is (frequency, time); the reference counts the other way round. The
only condition is the key, as one of n; timbre and velocity are taken and not looked at, for the sake of one signature.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.layers import Scaled, batch_deviation, pixel_norm
from audiogan.pipelines.waveform.network_config import ClassicConfig
from audiogan.pipelines.waveform.plan import Plan
from audiogan.pipelines.waveform.progressive import (
    Size,
    discriminator_alpha,
    downscale,
    generator_alpha,
    newest_block,
    upscale,
)
from audiogan.pipelines.waveform.residual import Judged, activate

KERNEL, POINT = (3, 3), (1, 1)


def one_hot(pitch: Tensor, plan: Plan) -> Tensor:
    """Return `(batch, n_pitches)` float32 with a 1 at the key nearest to each pitch `(batch,)` (MIDI)."""
    key = (pitch - plan.pitches[0]).round().long().clamp(0, plan.n_pitches - 1)
    return F.one_hot(key, plan.n_pitches).to(torch.float32)


def _conv(n_in: int, n_out: int, kernel: Size = KERNEL, *, padded: bool = True) -> Scaled:
    return Scaled(n_in, n_out, kernel, equalised=True, padded=padded)


class ClassicGenerator(nn.Module):
    """z and key → planes."""

    def __init__(self, plan: Plan, network: ClassicConfig) -> None:
        super().__init__()
        self.plan, self.z_dim, self.n_blocks = plan, network.z_dim, network.n_blocks
        self.sizes = network.sizes((plan.shape[1], plan.shape[2]))
        widths = [network.filters(block) for block in range(1, network.n_blocks + 1)]
        self.start = _conv(network.z_dim + plan.n_pitches, widths[0], self.sizes[0])
        self.start.padding = (self.sizes[0][0] - 1, self.sizes[0][1] - 1)  # from a point to the whole first size
        self.first = nn.ModuleList([nn.Identity(), *(_conv(a, b) for a, b in pairwise(widths))])
        self.second = nn.ModuleList(_conv(width, width) for width in widths)
        self.to_image = nn.ModuleList(Scaled(width, plan.shape[0], POINT, gain=1.0, equalised=True) for width in widths)

    def forward(
        self,
        z: Tensor,
        h: Tensor | None,
        pitch: Tensor,
        velocity: Tensor,
        keep: Tensor | None = None,
        progress: float | None = None,
    ) -> Tensor:
        """Return planes `(batch, plane, row, frame)` at full size, in [-1, 1].

        Args:
            z: `(batch, z_dim)`, normal.
            h: Not looked at, as `velocity` and `keep`.
            pitch: `(batch,)` MIDI.
            velocity: `(batch,)`.
            keep: `(batch,)`.
            progress: How far the network has grown; None: all the way.
        """
        del h, velocity, keep
        progress = self.n_blocks - 1.0 if progress is None else progress
        x = pixel_norm(torch.cat([z, one_hot(pitch, self.plan).to(z)], dim=1))[..., None, None]
        x = pixel_norm(activate(self.start(x)))
        images = None
        for block in range(1, newest_block(self.n_blocks, progress) + 1):
            if block > 1:
                x = upscale(x, self.sizes[block - 1])
                x = pixel_norm(activate(self.first[block - 1](x)))
            x = pixel_norm(activate(self.second[block - 1](x)))
            alpha = generator_alpha(block, self.n_blocks, progress)
            if alpha > 0.0:
                image = alpha * upscale(self.to_image[block - 1](x).tanh(), self.sizes[-1])
                images = image if images is None else images + image
        assert images is not None, "some block always counts"
        return images


class ClassicDiscriminator(nn.Module):
    """Planes → whether they are real, and which key they play."""

    def __init__(self, plan: Plan, network: ClassicConfig) -> None:
        super().__init__()
        self.plan, self.n_blocks = plan, network.n_blocks
        self.sizes = network.sizes((plan.shape[1], plan.shape[2]))
        widths = [network.filters(block) for block in range(1, network.n_blocks + 1)]
        self.from_image = nn.ModuleList(_conv(plan.shape[0], width, POINT) for width in widths)
        self.first = nn.ModuleList(_conv(width, width) for width in widths[1:])
        self.second = nn.ModuleList(_conv(wide, narrow) for narrow, wide in pairwise(widths))
        self.last = _conv(widths[0] + 1, widths[0])
        self.whole = _conv(widths[0], widths[0], self.sizes[0], padded=False)
        self.logit = Scaled(widths[0], 1, gain=1.0, equalised=True)
        self.pitch = Scaled(widths[0], plan.n_pitches, gain=1.0, equalised=True)

    def forward(
        self,
        planes: Tensor,
        pitch: Tensor | None = None,
        velocity: Tensor | None = None,
        h: Tensor | None = None,
        keep: Tensor | None = None,
        progress: float | None = None,
    ) -> Judged:
        """Judge planes `(batch, plane, row, frame)` at full size.

        Args:
            planes: In [-1, 1].
            pitch: Not looked at, as all that follow but the last.
            velocity: `(batch,)`.
            h: `(batch, timbre)`.
            keep: `(batch,)`.
            progress: How far the network has grown; None: all the way.
        """
        del pitch, velocity, h, keep
        progress = self.n_blocks - 1.0 if progress is None else progress
        newest = newest_block(self.n_blocks, progress)
        x = self._enter(planes, newest)
        for block in range(newest, 1, -1):
            x = activate(self.second[block - 2](activate(self.first[block - 2](x))))
            x = downscale(x, self.sizes[block - 2])
            alpha = discriminator_alpha(block - 1, progress)
            if alpha > 0.0:
                x = alpha * self._enter(planes, block - 1) + (1.0 - alpha) * x
        spread = batch_deviation(x).expand(len(x), 1, *x.shape[2:])
        x = activate(self.last(torch.cat([x, spread], dim=1)))
        features = activate(self.whole(x)).flatten(1)  # (batch, width)
        return Judged(self.logit(features).squeeze(1), self.pitch(features), (features,))

    def _enter(self, planes: Tensor, block: int) -> Tensor:
        """Return features of the planes at the size of a block."""
        return activate(self.from_image[block - 1](downscale(planes, self.sizes[block - 1])))
