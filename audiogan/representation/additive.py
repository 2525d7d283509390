"""Sum partials by matrix products.

Within a block of a few milliseconds a partial has constant frequency w and an amplitude that changes linearly. With
sample 16·i + j, its cosine is cos(p + 16·i·w)·cos(j·w) - sin(p + 16·i·w)·sin(j·w): the sum over partials at all samples
of a block is one product of two small matrices, and sine and cosine are needed for a fraction of the samples only.
"""

import math

import torch
from torch import Tensor

COLUMNS = 16
BLOCK_SECONDS = 0.004


def block_length(sample_rate: int) -> int:
    """Return the samples of a block, a multiple of 16.

    Example:
        >>> block_length(16_000), block_length(44_100)
        (64, 176)
    """
    return COLUMNS * max(1, round(sample_rate * BLOCK_SECONDS / COLUMNS))


def sum_partials(phase: Tensor, amplitude: Tensor, *, block: int) -> Tensor:
    """Return the sum of cosines, `(batch, time)` float32 of whole blocks.

    Args:
        phase: `(batch, edge, partial)` float64 radians, not wrapped, at the edges of blocks; linear between them.
        amplitude: `(batch, edge, partial)` at the same edges, linear between them.
        block: Samples between edges, a multiple of 16.
    """
    advance = torch.diff(phase, dim=1) / block  # (batch, block, partial), radians per sample
    start = torch.remainder(phase[:, :-1], 2 * math.pi)
    row = torch.arange(0, block, COLUMNS, device=phase.device, dtype=torch.float64)
    column = torch.arange(COLUMNS, device=phase.device, dtype=torch.float64)
    coarse = (start[:, :, None] + advance[:, :, None] * row[:, None]).float()  # (batch, block, row, partial)
    fine = (advance[:, :, :, None] * column).float()  # (batch, block, partial, column)
    amplitude = amplitude.float()
    slope = (torch.diff(amplitude, dim=1) / block)[:, :, None]
    level = amplitude[:, :-1, None] + slope * row.float()[:, None]
    coarse_cos, coarse_sin, fine_cos, fine_sin = coarse.cos(), coarse.sin(), fine.cos(), fine.sin()
    left = torch.cat((level * coarse_cos, -level * coarse_sin, slope * coarse_cos, -slope * coarse_sin), dim=-1)
    ramp = column.float()
    right = torch.cat((fine_cos, fine_sin, fine_cos * ramp, fine_sin * ramp), dim=-2)
    return (left @ right).flatten(1)
