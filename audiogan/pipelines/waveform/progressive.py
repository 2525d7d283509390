"""Growing a network block by block: how far it has grown, and how strongly each block counts meanwhile.

GANSynth (arXiv 1902.08710) after arXiv 1710.10196, section 3: block 1 makes the smallest size; each further block
doubles it, first fading in over one span, then standing for another. Progress is a number from 0 to n_blocks - 1:
whole where the newest block stands alone, in between while the next fades in. Blocks are counted from 1, as published.
The residual networks have no images per size; in them the branches of a stage are what fades in, see `stage_weight`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

Size = tuple[int, int]


class GrowthConfig(BaseModel):
    """How the budget is dealt to the stages; the defaults are 800,000 of 11,000,000 images for each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stable: float = Field(default=0.8 / 11, ge=0.0, le=1.0, description="Share of the budget that a size stands.")
    fade: float = Field(default=0.8 / 11, ge=0.0, le=1.0, description="Share over which the next size fades in.")

    @model_validator(mode="after")
    def _check(self) -> "GrowthConfig":
        if self.stable + self.fade <= 0.0:
            raise ValueError(f"stable {self.stable} and fade {self.fade}; expected at least one above 0")
        return self

    def progress(self, share: float, n_blocks: int) -> float:
        """Return how far the network has grown, in [0, n_blocks - 1].

        Args:
            share: Share of the budget spent, in [0, 1].
            n_blocks: Blocks of the whole network.

        Example:
            >>> [GrowthConfig(stable=0.1, fade=0.1).progress(share, 7) for share in (0.05, 0.1, 0.15, 0.25)]
            [0.0, 0.0, 0.5, 1.0]
        """
        whole, within = divmod(share, self.stable + self.fade)
        gone = max(0.0, within - self.stable) / self.fade if self.fade > 0.0 else 0.0
        return min(round(whole + gone, 9), n_blocks - 1.0)

    def boundaries(self, n_blocks: int) -> list[float]:
        """Return the shares between which a size stands or fades in, from 0.0 to 1.0.

        Args:
            n_blocks: Blocks of the whole network.
        """
        step = self.stable + self.fade
        inner = [stage * step + part for stage in range(n_blocks - 1) for part in (self.stable, step)]
        return sorted({0.0, 1.0, *(share for share in inner if share < 1.0)})


def generator_alpha(block: int, n_blocks: int, progress: float) -> float:
    """Return the weight of a block's image in the sum that G gives, in [0, 1]; the weights of all blocks sum to 1.

    Args:
        block: From 1.
        n_blocks: Blocks of the whole network.
        progress: How far it has grown.

    Example:
        >>> [generator_alpha(block, 7, 1.25) for block in (1, 2, 3, 4)]
        [0.0, 0.75, 0.25, 0.0]
    """
    rising = progress - (block - 2)
    return max(0.0, min(1.0, rising if block == n_blocks else min(rising, block - progress)))


def discriminator_alpha(block: int, progress: float) -> float:
    """Return how much of D's features at a block come straight from the image of its size, in [0, 1].

    Args:
        block: From 1.
        progress: How far it has grown.

    Example:
        >>> [discriminator_alpha(block, 1.25) for block in (1, 2, 3)]
        [0.0, 0.75, 1.0]
    """
    return max(0.0, min(1.0, block - progress))


def stage_weight(stage: int, progress: float | None) -> float:
    """Return how strongly the residual branches of a stage count, in [0, 1].

    Args:
        stage: From the coarsest, 0.
        progress: How far the networks have grown; None: all the way.

    Example:
        >>> [stage_weight(stage, 1.25) for stage in (0, 1, 2, 3)], stage_weight(3, None)
        ([1.0, 1.0, 0.25, 0.0], 1.0)
    """
    return 1.0 if progress is None else max(0.0, min(1.0, progress - (stage - 1)))


def faded(x: Tensor, changed: Tensor, weight: float) -> Tensor:
    """Return the way from x to what a stage makes of it, as far as a weight above 0 says."""
    return changed if weight == 1.0 else torch.lerp(x, changed, weight)


def newest_block(n_blocks: int, progress: float) -> int:
    """Return the number of the last block that counts at all.

    Args:
        n_blocks: Blocks of the whole network.
        progress: How far it has grown.
    """
    return max(block for block in range(1, n_blocks + 1) if generator_alpha(block, n_blocks, progress) > 0.0)


def upscale(images: Tensor, size: Size) -> Tensor:
    """Return `(batch, channel, row, frame)` at a larger size by repeating cells."""
    return images if tuple(images.shape[2:]) == size else F.interpolate(images, size=size, mode="nearest")


def downscale(images: Tensor, size: Size) -> Tensor:
    """Return `(batch, channel, row, frame)` at a smaller size by averaging cells."""
    kernel = (images.shape[2] // size[0], images.shape[3] // size[1])
    return images if kernel == (1, 1) else F.avg_pool2d(images, kernel)


def blend(images: Tensor, sizes: Sequence[Size], progress: float) -> Tensor:
    """Return real images as coarse as G's are now: the sum of all sizes with the weights of G's blocks, at full size.

    Args:
        images: `(batch, channel, row, frame)` at full size.
        sizes: Of every block, smallest first.
        progress: How far the network has grown.
    """
    alphas = [generator_alpha(block, len(sizes), progress) for block in range(1, len(sizes) + 1)]
    parts = [
        alpha * upscale(downscale(images, size), sizes[-1])
        for alpha, size in zip(alphas, sizes, strict=True)
        if alpha > 0.0
    ]
    return sum(parts[1:], parts[0])
