"""Bars that nobody wrote, for an autoencoder that must hold bars nobody showed it, and changes of what D is shown.

A small corpus repeats itself: a few hundred songs hold a few thousand different bars. Codes have to carry any bar a
user brings, so some cells of each batch are moved in pitch and in time, thinned out or laid over one another. None of
this reaches the game between generator and discriminator, which is about music. There a recipe may ask for other
changes (`game.augment`, arXiv 2006.06676): of codes, turned or with a gap; of the rolls of classic networks, moved
round in pitch or by bars. All of these but the gap can be undone, so that they do not leak into what G makes.
"""

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from audiogan.adversarial.augment import Transform

WIDEST_GAP = 0.25
"""Share of the values of a code that a gap covers at most."""
LEAST_STEPS, MOST_STEPS = -5, 6
"""Semitones that rolls are moved by."""


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


# ---- what D is shown


def turned_codes(codes: Tensor, draws: Tensor) -> Tensor:
    """Turn neighbouring values of codes by an angle of each clip, up to an eighth of a turn; lengths stay.

    Args:
        codes: `(batch, track, bar, code)`; of an odd number of values the last stays.
        draws: `(batch, 1 or more)` uniform in [0, 1).
    """
    n = codes.shape[-1] // 2 * 2
    angle = (2.0 * draws[:, 0] - 1.0).view(-1, 1, 1, 1) * (math.pi / 4)
    first, second = codes[..., :n:2], codes[..., 1:n:2]
    turned = [first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos()]
    return torch.cat([torch.stack(turned, dim=-1).flatten(-2), codes[..., n:]], dim=-1)


def gap_in_codes(codes: Tensor, draws: Tensor) -> Tensor:
    """Silence a run of values in all codes of a clip.

    Args:
        codes: `(batch, track, bar, code)`.
        draws: `(batch, 2 or more)` uniform in [0, 1): place and width.
    """
    n = codes.shape[-1]
    width = draws[:, 1] * WIDEST_GAP * n
    first = draws[:, 0] * (n - width)
    place = torch.arange(n, device=codes.device)
    hit = (place >= first[:, None]) & (place < (first + width)[:, None])
    return codes.masked_fill(hit[:, None, None, :], 0.0)


def moved_rolls(rolls: Tensor, draws: Tensor) -> Tensor:
    """Move rolls `(batch, ..., pitch)` by -5 to 6 semitones, round the edge.

    Args:
        rolls: Any number of axes.
        draws: `(batch, 1 or more)` uniform in [0, 1).
    """
    n_steps = MOST_STEPS - LEAST_STEPS + 1
    return _round(rolls, LEAST_STEPS + (draws[:, 0] * n_steps).floor(), -1)


def turned_bars(rolls: Tensor, draws: Tensor) -> Tensor:
    """Let rolls `(batch, ..., bar, timestep, pitch)` begin with another bar; what was before it follows at the end."""
    return _round(rolls, (draws[:, 0] * rolls.shape[-3]).floor(), -3)


def _round(rolls: Tensor, by: Tensor, axis: int) -> Tensor:
    n, shape = rolls.shape[axis], [1] * rolls.dim()
    shape[0], shape[axis] = len(rolls), n
    index = (torch.arange(n, device=rolls.device) - by.to(rolls.device).long().unsqueeze(1)) % n
    return rolls.gather(axis, index.view(shape).expand_as(rolls))


CODE_TRANSFORMS: tuple[Transform, ...] = (turned_codes, gap_in_codes)
ROLL_TRANSFORMS: tuple[Transform, ...] = (moved_rolls, turned_bars)
