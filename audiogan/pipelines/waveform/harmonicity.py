"""Partials that a generator puts far from their place, brought back to it.

Where a real note has a partial weakly, its place is noise of the measurement, and a generator learns that noise for all
partials alike. Of loud partials (within 20 dB of the loudest) 6 % lie further than a tenth of the pitch from their
multiple in real notes, 12 % in notes of the shipped model with a timbre, and 34 % without one. Small offsets, which
stiff strings have, stay; large ones go.
"""

import torch
from torch import Tensor

from audiogan.representation.tracks import MAX_OFFSET, OFFSET_POWER, signed_power

REACH = 0.02
"""Share of the pitch beyond which the offset of partial 1 shrinks; for partial k it is k times as much."""


def bring_back(planes: Tensor) -> Tensor:
    """Return `harmonic` planes `(..., 3, row, 1 + frame)` in which no partial lies far from its multiple.

    An offset x of partial k becomes x exp(-(x / 0.02 k)^2), so that none stays beyond 0.0086 k.
    """
    kept = planes.clone()
    rows = kept[..., 0, 1:, 0]  # row 0 holds the tuning
    reach = REACH * torch.arange(2, rows.shape[-1] + 2, device=planes.device)
    offset = signed_power(rows.clamp(-1.0, 1.0), OFFSET_POWER) * MAX_OFFSET
    shrunk = offset * (-((offset / reach) ** 2)).exp()
    kept[..., 0, 1:, 0] = signed_power(shrunk / MAX_OFFSET, 1 / OFFSET_POWER)
    return kept
