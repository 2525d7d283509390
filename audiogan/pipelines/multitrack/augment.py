"""Bars that nobody wrote, for an autoencoder that must hold bars nobody showed it.

A small corpus repeats itself: a few hundred songs hold a few thousand different bars. Codes have to carry any bar a
user brings, so some cells of each batch are moved in pitch and in time, thinned out or laid over one another. None of
this reaches the game between generator and discriminator, which is about music.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class CellAugmentConfig(BaseModel):
    """How often cells are changed while the autoencoder learns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(default=0.5, ge=0, le=1, description="Share of cells that are changed at all.")
    max_pitch: int = Field(default=7, ge=0, le=48, description="Largest move in pitch, in rows, up or down.")
    overlay: float = Field(default=0.4, ge=0, le=1, description="Share of changed cells that get another's notes too.")
    thin: float = Field(default=0.4, ge=0, le=1, description="Share of changed cells that lose a third of their rows.")


def augment_cells(cells: Tensor, config: CellAugmentConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Change a share of cells.

    Args:
        cells: `(cell, 2, timestep, row)`, onset and sustain, 0 or 1.
        config: How often and how much.
        generator: Source of the draws, on CPU.

    Returns:
        Cells of the same shape, and `(cell,)` bool: which ones were changed.
    """
    n_cells, _, _, n_rows = cells.shape
    chance = torch.rand(3, n_cells, generator=generator)
    changed = (chance[0] < config.share).to(cells.device)
    moved = _move(cells, config.max_pitch, generator)
    other = moved[torch.randperm(n_cells, generator=generator).to(cells.device)]
    overlay = (chance[1] < config.overlay).to(cells.device)
    onset = torch.where(_wide(overlay), moved[:, 0] | other[:, 0], moved[:, 0])
    sustain = torch.where(_wide(overlay), moved[:, 1] | other[:, 1], moved[:, 1]) & ~onset
    lost = torch.rand(n_cells, 1, n_rows, generator=generator) < 1 / 3
    kept = ~(lost & (chance[2] < config.thin)[:, None, None]).to(cells.device)
    made = torch.stack([onset & kept, sustain & kept], dim=1)
    return torch.where(changed[:, None, None, None], made, cells > 0).to(cells.dtype), changed


def _wide(flags: Tensor) -> Tensor:
    return flags[:, None, None]


def _move(cells: Tensor, max_pitch: int, generator: torch.Generator) -> Tensor:
    """Shift each cell by its own number of rows (notes beyond the edge are lost) and turn it in time; bool."""
    n_cells, n_planes, n_timesteps, n_rows = cells.shape
    up = torch.randint(-max_pitch, max_pitch + 1, (n_cells, 1), generator=generator).to(cells.device)
    late = torch.randint(0, n_timesteps, (n_cells, 1), generator=generator).to(cells.device)
    source = torch.arange(n_rows, device=cells.device) - up  # (cell, row)
    inside = (source >= 0) & (source < n_rows)
    source = source.clamp(0, n_rows - 1)[:, None, None, :].expand(-1, n_planes, n_timesteps, -1)
    moved = (cells > 0).gather(3, source) & inside[:, None, None, :]
    steps = (torch.arange(n_timesteps, device=cells.device) - late) % n_timesteps
    return moved.gather(2, steps[:, None, :, None].expand(-1, n_planes, -1, n_rows))
