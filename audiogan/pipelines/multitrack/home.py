"""Pieces on their way to the home key, where the model writes, and back to their own.

The key is that of the known notes around what is to be filled. A piece without any gets one drawn from the keys of the
songs that the model learnt from.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from audiogan.adversarial.game import seed_of
from audiogan.pipelines.multitrack.config import Config
from audiogan.pipelines.multitrack.dataset import Clips
from audiogan.pipelines.multitrack.networks import Generator
from audiogan.representation.rollnotes import RollNotes
from audiogan.representation.tonality import MOVES, home_move, key_of, move_home, transposed, weights_of

REACH = 8
"""Bars before and after a hidden one whose notes tell its key."""


def drums_of(config: Config) -> NDArray[np.bool_]:
    """Which tracks are drums, `(track,)`."""
    return np.array([role.is_drum for role in config.roles])


def moved(notes: RollNotes, by: int, config: Config) -> RollNotes:
    """Transpose the pitched tracks of `notes` by semitones, folded into the rows of the grid."""
    return transposed(notes, by, drums_of(config), config.n_pitches)


def move_of(notes: RollNotes, config: Config) -> int:
    """Semitones from the key of `notes` to the home key; 0 where nothing has a key or the model knows no home."""
    return home_move(weights_of(notes, drums_of(config), config.lowest_pitch)) if config.home_key else 0


def is_in_key(notes: RollNotes, key: tuple[int, bool], config: Config) -> bool:
    """Whether notes are in the key, as their pitch classes tell."""
    return key_of(weights_of(notes, drums_of(config), config.lowest_pitch)) == key


def exact_move(notes: RollNotes, config: Config) -> int:
    """As `move_of`, but 0 where a note would leave the grid, for a way back that loses nothing."""
    by = move_of(notes, config)
    rows = notes.row[~drums_of(config)[notes.role]].astype(np.int64) + by
    return by if len(rows) and rows.min() >= 0 and rows.max() < config.n_pitches else 0


def moves_home(
    generator: nn.Module,
    config: Config,
    pieces: Sequence[tuple[RollNotes, NDArray[np.bool_]]],
    *,
    seeds: Sequence[tuple[object, ...]],
    seed: int,
) -> list[int]:
    """Semitones that each piece is moved by to come home.

    Args:
        generator: Knows the keys of its songs.
        config: Grid and tracks.
        pieces: Known notes and hidden cells `(track, bar)` of each.
        seeds: What makes the draw of each piece its own, besides `seed`.
        seed: Seed of the call.
    """
    assert isinstance(generator, Generator)
    if not config.home_key:
        return [0] * len(pieces)
    is_drum = drums_of(config)
    made = []
    for (notes, hidden), own in zip(pieces, seeds, strict=True):
        pitched = notes.where(~is_drum[notes.role])
        near = pitched.where(_near(hidden)[np.minimum(pitched.start // config.grid.n_timesteps, hidden.shape[1] - 1)])
        telling = near if len(near) else pitched
        made.append(move_of(telling, config) if len(telling) else _drawn(generator, seed, own))
    return made


def _near(hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bars within reach of a hidden one, `(bar,)`."""
    bars = hidden.any(axis=0).astype(np.float64)
    return np.convolve(bars, np.ones(2 * REACH + 1))[REACH : REACH + bars.size] > 0


def _drawn(generator: Generator, seed: int, own: tuple[object, ...]) -> int:
    weights = generator.key_weights.cpu()
    draw = torch.Generator().manual_seed(seed_of(seed, "key", *own))
    return MOVES[int(torch.multinomial(weights, 1, generator=draw))]


def learn_keys(generator: nn.Module, config: Config, clips: Clips, *, n_clips: int = 1024) -> None:
    """Set the generator's `key_weights` to the shares of the moves home among training clips."""
    assert isinstance(generator, Generator)
    chosen = np.linspace(0, len(clips) - 1, min(n_clips, len(clips))).astype(int)
    is_drum = drums_of(config)
    keys = [key_of(weights_of(clips.notes_of(number), is_drum, config.lowest_pitch)) for number in chosen.tolist()]
    moves = [move_home(key) - MOVES.start for key in keys if key is not None]
    if moves:  # drums alone have no key
        shares = np.bincount(moves, minlength=len(MOVES)) / len(moves)
        generator.key_weights.copy_(torch.from_numpy(shares))
