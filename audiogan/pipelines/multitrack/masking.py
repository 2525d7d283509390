"""Which cells of a clip are given and which are to be filled, drawn anew for every training example.

One generator learns every job because it meets every job: all hidden (`generate`), whole tracks hidden (`accompany`),
later or earlier bars hidden (`continue`), a block of bars and tracks hidden (`infill`).
"""

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor


class MaskConfig(BaseModel):
    """Relative frequency of each job among the training examples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    everything: float = Field(default=0.4, ge=0, description="All cells hidden.")
    tracks: float = Field(default=0.2, ge=0, description="Whole tracks hidden, at least one given.")
    bars: float = Field(default=0.2, ge=0, description="Later bars hidden, or as often earlier ones.")
    block: float = Field(default=0.2, ge=0, description="A run of bars hidden in some tracks.")

    @model_validator(mode="after")
    def _check(self) -> "MaskConfig":
        if self.everything + self.tracks + self.bars + self.block <= 0:
            raise ValueError("every job is 0; expected at least one above 0")
        return self


class SightConfig(BaseModel):
    """How much of a clip the discriminator is shown.

    A corpus of a few thousand clips is soon known by heart. Shown a few cells at a time, D has to know what goes
    together instead: which bars follow each other, which tracks agree, what a single bar may hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    whole: float = Field(default=0.25, ge=0, le=1, description="Share of clips shown whole.")
    track: float = Field(default=0.5, gt=0, le=1, description="Chance of a track to be shown in the other clips.")
    bar: float = Field(default=0.6, gt=0, le=1, description="Chance of a bar to be shown in the other clips.")


def draw_sight(n_clips: int, n_tracks: int, n_bars: int, config: SightConfig, generator: torch.Generator) -> Tensor:
    """Draw which cells D is shown, `(clip, track, bar)` bool; some tracks in some bars, at least one cell.

    Args:
        n_clips, n_tracks, n_bars: Shape.
        config: How much.
        generator: Source of the draws, on CPU.
    """
    tracks = torch.rand(n_clips, n_tracks, 1, generator=generator)
    bars = torch.rand(n_clips, 1, n_bars, generator=generator)
    # The smallest draw is always shown, so that no clip is left without a cell.
    shown = (tracks < config.track) | (tracks == tracks.amin(dim=1, keepdim=True))
    shown = shown & ((bars < config.bar) | (bars == bars.amin(dim=2, keepdim=True)))
    whole = torch.rand(n_clips, 1, 1, generator=generator) < config.whole
    return shown | whole


def draw_masks(n_clips: int, n_tracks: int, n_bars: int, config: MaskConfig, generator: torch.Generator) -> Tensor:
    """Draw `(clip, track, bar)` float32 masks: 1 where a cell is given, 0 where it is to be filled.

    Args:
        n_clips, n_tracks, n_bars: Shape.
        config: How often each job comes up; a job that the shape cannot hold (bars of a one-bar clip) hides everything.
        generator: Source of the draws, on CPU.
    """
    weights = torch.tensor([config.everything, config.tracks, config.bars, config.block])
    jobs = torch.multinomial(weights, n_clips, replacement=True, generator=generator).tolist()
    masks = torch.zeros(n_clips, n_tracks, n_bars)
    for mask, job in zip(masks, jobs, strict=True):
        if job == 1 and n_tracks > 1:
            mask[_some(n_tracks, n_tracks - 1, generator)] = 1
        elif job == 2 and n_bars > 1:
            given = _draw(1, n_bars, generator)
            if _draw(0, 2, generator):
                mask[:, :given] = 1
            else:
                mask[:, n_bars - given :] = 1
        elif job == 3:
            first = _draw(0, n_bars, generator)
            last = _draw(first + 1, n_bars + 1, generator)
            mask[:] = 1
            mask[_some(n_tracks, n_tracks, generator), first:last] = 0
    return masks


def _draw(low: int, high: int, generator: torch.Generator) -> int:
    """One whole number in [low, high)."""
    return int(torch.randint(low, high, (), generator=generator))


def _some(n: int, most: int, generator: torch.Generator) -> Tensor:
    """Between one and `most` of the numbers 0 to n - 1, without repeats."""
    return torch.randperm(n, generator=generator)[: _draw(1, most + 1, generator)]
