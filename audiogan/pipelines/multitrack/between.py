"""The way between clips through codes: clips as codes with corrections, what lies between them, and where both sound.

A code says most of a clip but not all; what it leaves out is found by decoding it, kept as a correction of the logits
and faded out on the way, so that the ends of the way are the clips themselves (the idea of high-fidelity GAN inversion,
arXiv 2109.06590). Far from both clips codes may say too little; then the likeliest notes are let through.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiogan.corpus.score import Score
from audiogan.errors import UnsupportedError
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.config import Config
from audiogan.pipelines.multitrack.editing import count_bars, on_grid
from audiogan.pipelines.multitrack.filling import decode_clips, encode_clips, notes_of
from audiogan.pipelines.multitrack.home import exact_move, moved
from audiogan.pipelines.multitrack.networks import on_sphere
from audiogan.representation.pianoroll import draw
from audiogan.representation.rollnotes import RollNotes, cut

MARGIN = 1.0
"""How far beyond the threshold a correction moves a logit that decoding got wrong."""

LEAST = 1e-3
"""How far above the threshold the last of the notes comes to lie that are let through."""

THINNEST = 0.5
"""Onsets in a bar between two clips, at least, as a share of those of the clip with fewer."""


class Way:
    """A clip as codes with the corrections that make their decoding exact; one row per window of the model's bars.

    Args:
        model: Trained networks.
        score: The clip.
        n_bars: How many of its bars.
        to_home: Bring it to the model's home key first.
    """

    def __init__(self, model: Model, score: Score, n_bars: int, *, to_home: bool = False) -> None:
        config: Config = model.config
        self.n_bars = n_bars
        notes = on_grid(score, config, n_bars)
        self.moved_by = exact_move(notes, config) if to_home else 0
        n_windows = -(-n_bars // config.n_bars)
        grid = replace(config.grid, n_bars=n_windows * config.n_bars)
        # Drawn as one piece, so that a note held over the edge of a window stays one note.
        planes = draw(moved(notes, self.moved_by, config), grid, len(config.roles))
        windows = torch.from_numpy(planes).unflatten(2, (n_windows, config.n_bars)).permute(2, 0, 1, 3, 4, 5)
        rolls = windows[:, :2]
        self.codes = encode_clips(model.modules, rolls)
        logits, velocity, timing = decode_clips(model.modules, self.codes)
        is_cell = rolls > 0.5
        wrong = (logits > 0) != is_cell
        self.logits = torch.where(wrong, torch.where(is_cell, MARGIN, -MARGIN) - logits, 0.0)
        loudest, row = windows[:, 2].max(dim=-1)  # (window, track, bar, timestep)
        struck = loudest > 0
        self.velocity = torch.where(struck, loudest - velocity, 0.0)
        told = windows[:, 3].gather(-1, row.unsqueeze(-1)).squeeze(-1)
        self.timing = torch.where(struck, told - timing, 0.0)
        self.n_onsets = is_cell[:, 0].sum(dim=(1, 3, 4))  # (window, bar)
        self.sounds = is_cell.any(dim=1).any(dim=-1).any(dim=-1)  # (window, track, bar)


def bars_of_both(first: Score, second: Score, config: Config) -> int:
    """Count the bars up to the last one in which both clips have notes for the model's tracks.

    Raises:
        UnsupportedError: There is no such bar, or a metre that the model lacks.
    """
    sounds = [_sounding_bars(score, config) for score in (first, second)]
    n_bars = min(map(len, sounds))
    both = np.flatnonzero(sounds[0][:n_bars] & sounds[1][:n_bars])
    if not len(both):
        names = ", ".join(role.name for role in config.roles)
        raise UnsupportedError(f"no bar in which both clips have notes for {names}; expected one or more")
    return int(both[-1]) + 1


def _sounding_bars(score: Score, config: Config) -> NDArray[np.bool_]:
    """Which bars hold notes of the model's tracks, `(bar,)`."""
    n_bars, n_timesteps = count_bars(score, config), config.grid.n_timesteps
    notes = on_grid(score, config, n_bars)
    sounds = np.zeros(n_bars, dtype=bool)
    for first, last in set(zip(notes.start // n_timesteps, (notes.end - 1) // n_timesteps, strict=True)):
        sounds[first : last + 1] = True
    return sounds


def between(model: Model, first: Way, second: Way, share: float) -> RollNotes:
    """Return the clip at `share` in [0, 1] of the way between two of equal length; 0 and 1 are the clips themselves."""
    codes = on_sphere((1 - share) * first.codes + share * second.codes)
    # On the way each correction fades out before the middle, where the codes speak alone.
    fading = [(first, max(0.0, 1 - 2 * share)), (second, max(0.0, 2 * share - 1))]
    logits, velocity, timing = decoded(model, codes, fading)
    if 0 < share < 1:
        logits = fuller(logits, first, second)
    return traced(logits, velocity, timing, first.n_bars, model.config)


def decoded(model: Model, codes: Tensor, corrections: Sequence[tuple[Way, float]]) -> tuple[Tensor, Tensor, Tensor]:
    """Decode codes with weighted corrections: logits, velocity and timing, as `networks.Decoder` gives them."""
    logits, velocity, timing = decode_clips(model.modules, codes)
    for way, weight in corrections:
        logits = logits + weight * way.logits
        velocity, timing = velocity + weight * way.velocity, timing + weight * way.timing
    return logits, velocity, timing


def fuller(logits: Tensor, first: Way, second: Way) -> Tensor:
    """Lower the threshold of the bars that hold too little: both clips sound there, and the way between hardly does.

    Args:
        logits: `(window, 2, track, bar, timestep, pitch)`; a cell sounds above 0.
        first, second: The ends of the way; only tracks that sound in one of them are touched.

    Returns:
        Logits with at least `THINNEST` of the onsets of the thinner clip, and at least one, in each such bar.
    """
    logits = logits.clone()
    both = first.sounds.any(dim=1) & second.sounds.any(dim=1)
    wanted = (THINNEST * torch.minimum(first.n_onsets, second.n_onsets)).ceil().long().clamp(min=1)
    for window, bar in (both & ((logits[:, 0] > 0).sum(dim=(1, 3, 4)) < wanted)).nonzero().tolist():
        heard = (first.sounds | second.sounds)[window, :, bar].nonzero()[:, 0]
        cells = logits[window, :, heard, bar]  # (2, track, timestep, pitch)
        likeliest = cells[0].flatten().topk(int(wanted[window, bar])).values
        logits[window, :, heard, bar] = cells - likeliest[-1] + LEAST
    return logits


def traced(logits: Tensor, velocity: Tensor, timing: Tensor, n_bars: int, config: Config) -> RollNotes:
    """Lay decoded windows end to end and read the notes of the first bars."""
    shape = logits.shape  # (window, 2, track, bar, timestep, pitch): windows become more bars of one clip
    long = logits.permute(1, 2, 0, 3, 4, 5).reshape(1, 2, shape[2], -1, *shape[4:])
    flat = [part.transpose(0, 1).reshape(1, shape[2], -1, shape[4]) for part in (velocity, timing)]
    (notes,) = notes_of(long, *flat)
    return cut(notes, 0, n_bars * config.grid.n_timesteps)
