"""A network that hears clips: 128 numbers of one, learnt from songs without labels, by which sets are compared.

A small network, trained once on the training songs of the shipped model (`roll_net_training`) to tell whether the
tracks of a clip belong together, whether its bars stand in order, and in which key it is. It takes any number of tracks
and bars and any metre: steps are read at twelve a beat, pitched tracks are heard alike and summed, and beats are read
one after the other. It is the second embedding beside the hand-made `score_desc`, and takes no part in any training.
Velocity and micro-timing it does not hear. It sees tracks of different songs and keys that clash more clearly than
`score_desc` does; the order of bars it did not learn (its card tells how often each answer is right).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiogan.corpus.score import Score
from audiogan.evaluation import pinned
from audiogan.pipelines.multitrack.grid import ClipGrid, NoteTable, tabulate

NAME = "roll_net"
SHA256 = "f044b7c813ccbc1571be3a37606ed55702289e9d384b5d002e977a4bdeb4d689"
SLOTS = 12
"""Steps a beat that it reads."""
N_PITCHES = 128
N_FEATURES = 128
N_KEYS = 24
WIDTH_SLOT, WIDTH_BEAT = 24, 64
CHUNK = 64


class Pile(nn.Module):
    """The beats of a track as vectors: first each step by its pitches, then the steps of a beat."""

    def __init__(self) -> None:
        super().__init__()
        self.slot = nn.Linear(2 * N_PITCHES, WIDTH_SLOT)
        self.beat = nn.Linear(SLOTS * WIDTH_SLOT, WIDTH_BEAT)

    def forward(self, roll: Tensor) -> Tensor:
        """Return `(batch, track, beat, 64)` of a roll `(batch, track, step, 2 * 128)`."""
        slots = torch.relu(self.slot(roll))
        return torch.relu(self.beat(slots.unflatten(2, (-1, SLOTS)).flatten(3)))


class RollNet(nn.Module):
    """Rolls in, 128 features and three answers out."""

    def __init__(self) -> None:
        super().__init__()
        self.pitched, self.drums = Pile(), Pile()
        self.merge = nn.Linear(3 * WIDTH_BEAT + 2, N_FEATURES)
        self.read = nn.GRU(N_FEATURES, N_FEATURES, batch_first=True)
        self.features = nn.Linear(2 * N_FEATURES, N_FEATURES)
        self.dropout = nn.Dropout(0.2)
        self.belongs, self.in_order = nn.Linear(N_FEATURES, 1), nn.Linear(N_FEATURES, 1)
        self.key = nn.Linear(N_FEATURES, N_KEYS)

    def embed(self, roll: Tensor, is_drum: Tensor, beats_per_bar: int) -> Tensor:
        """Return `(batch, 128)` features.

        Args:
            roll: `(batch, track, step, 2 * 128)` float, onsets before what sounds.
            is_drum: `(track,)` bool.
            beats_per_bar: Of the clip.
        """
        n_beats = roll.shape[2] // SLOTS
        nothing = roll.new_zeros(len(roll), 1, n_beats, WIDTH_BEAT)
        heard = torch.cat([self.pitched(roll[:, ~is_drum]), nothing], dim=1)
        drums = torch.cat([self.drums(roll[:, is_drum]), nothing], dim=1)
        place = torch.arange(n_beats) % beats_per_bar
        clock = torch.stack([place == 0, place / beats_per_bar], dim=1).float().expand(len(roll), -1, -1)
        together = torch.cat([heard.sum(dim=1), heard.amax(dim=1), drums.sum(dim=1), clock], dim=2)
        states = self.read(torch.relu(self.merge(together)))[0]  # (batch, beat, 128)
        return torch.relu(self.features(torch.cat([states.mean(dim=1), states[:, -1]], dim=1)))

    def forward(self, roll: Tensor, is_drum: Tensor, beats_per_bar: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits: do the tracks belong together, are the bars in order, which of 24 keys."""
        features = self.dropout(self.embed(roll, is_drum, beats_per_bar))
        return self.belongs(features)[:, 0], self.in_order(features)[:, 0], self.key(features)


def rolls_of(table: NoteTable, chosen: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int8]:
    """Return `(clip, track, step, 2, 128)` 0 or 1 of some clips: plane 0 onsets, plane 1 what sounds.

    Args:
        table: Notes of all clips, sorted by clip.
        chosen: Which clips.
    """
    grid = table.grid
    edges = np.searchsorted(table.clip, np.arange(table.n_clips + 1))
    rows = np.concatenate([np.arange(edges[i], edges[i + 1]) for i in chosen] or [np.zeros(0, np.int64)])
    place = np.repeat(np.arange(len(chosen)), [edges[i + 1] - edges[i] for i in chosen])
    start = table.start[rows] * SLOTS // grid.beat_resolution
    end = np.maximum(-(-table.end[rows] * SLOTS // grid.beat_resolution), start + 1)
    end = np.where(table.is_drum[rows], start + 1, end)  # a hit lasts a step, however long that is
    track, pitch = table.track[rows], table.pitch[rows]
    roll = np.zeros((len(chosen), len(grid.roles), grid.n_beats * SLOTS + 1, 2, N_PITCHES), dtype=np.int8)
    roll[place, track, start, 0, pitch] = 1
    sounds = np.zeros((*roll.shape[:3], N_PITCHES), dtype=np.int8)
    np.add.at(sounds, (place, track, start, pitch), 1)
    np.add.at(sounds, (place, track, end, pitch), -1)
    roll[:, :, :, 1] = np.cumsum(sounds, axis=2, dtype=np.int8) > 0
    return roll[:, :, :-1]


def drum_tracks(grid: ClipGrid) -> Tensor:
    """Return `(track,)` bool: which roles hold drums."""
    return torch.tensor([role in grid.drums for role in grid.roles])


@lru_cache(maxsize=1)
def roll_net() -> RollNet:
    """Return the network that came with the package.

    Raises:
        CorpusError, CheckpointError: Its weights are missing or are not the ones known here.
    """
    network = RollNet()
    pinned.load(NAME, network, SHA256)
    return network


@torch.no_grad()
def embed(clips: Sequence[Score], grid: ClipGrid) -> NDArray[np.float64]:
    """Return `(clip, 128)` features of clips whose track names are roles of the grid."""
    table, network = tabulate(clips, grid), roll_net()
    found = [np.zeros((0, N_FEATURES))]
    for first in range(0, len(clips), CHUNK):
        some = np.arange(first, min(first + CHUNK, len(clips)))
        roll = torch.from_numpy(rolls_of(table, some)).flatten(3).float()
        found.append(network.embed(roll, drum_tracks(grid), grid.beats_per_bar).double().numpy())
    return np.concatenate(found)
