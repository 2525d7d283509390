"""A second discriminator that hears harmony alone: which pitch classes sound together, beat by beat.

MuseGAN's third discriminator read a clip as a roll, as harmony and as rhythm (see `classic_streams`). Codes hide
harmony deeper than rhythm: whether two tracks agree can only be told from the pitches that their codes stand for. So
codes are decoded as far as their chroma, softly, and a small convolution along the beats judges it. Harmony is the same
in every key: each pair of clips is turned by a random number of semitones, and some tracks are kept from view, so that
songs cannot be known by heart.

What such judges overlook slowly can be told G outright: how far apart the tracks of a pair sound, on average over a
batch, real and fake (feature matching, arXiv 1606.03498, section 3.1, with the tonal distance as the feature).
"""

from itertools import combinations
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.pipelines.multitrack.config import CellsConfig, Config
from audiogan.representation.tonality import TONAL_POINTS

if TYPE_CHECKING:
    from audiogan.pipelines.multitrack.networks import Decoder

N_CLASSES = 12
LEAK = 0.2
SOUNDING = 0.05
"""Chroma, summed over the classes, at which a track half counts as sounding in a beat."""


def pitched_tracks(config: Config) -> list[int]:
    """Numbers of the tracks that have harmony."""
    return [number for number, role in enumerate(config.roles) if not role.is_drum]


def chroma_of(decoder: "Decoder", codes: Tensor, lowest_pitch: int) -> Tensor:
    """How much of each pitch class sounds in each beat.

    Args:
        decoder: Codes to cells.
        codes: `(batch, track, bar, code)`, all tracks.
        lowest_pitch: MIDI pitch of row 0.

    Returns:
        `(batch, pitched track, beat, 12)`, ln(1 + mean number of sounding notes); beats of all bars in a row.
    """
    tracks, rows = decoder.layout.kinds["pitched"]
    logits, _ = decoder.kinds["pitched"](codes[:, tracks])
    onset, sustain = logits.sigmoid().unbind(1)  # (batch, track, bar, timestep, row)
    sounding = (onset + sustain - onset * sustain).unflatten(3, (decoder.layout.n_beats, -1)).mean(dim=4)
    classes = torch.tensor([(lowest_pitch + row) % N_CLASSES for row in rows], device=codes.device)
    folded = sounding @ F.one_hot(classes, N_CLASSES).to(sounding.dtype)
    return folded.log1p().flatten(2, 3)


class HarmonyDiscriminator(nn.Module):
    """Chroma and what is seen of it → one logit per beat."""

    def __init__(self, config: Config, network: CellsConfig) -> None:
        super().__init__()
        n_tracks, width = len(pitched_tracks(config)), network.harmony_width
        self.n_bars = config.n_bars
        self.enter = nn.Conv1d(n_tracks * (N_CLASSES + 1), width, 1)
        self.near = nn.Conv1d(width, width, 3, padding=1)
        self.far = nn.Conv1d(width, width, 5, padding=2)
        self.out = nn.Conv1d(width, 1, 1)

    def forward(self, chroma: Tensor, mask: Tensor) -> Tensor:
        """Judge chroma `(batch, track, beat, 12)`.

        Args:
            chroma: As `chroma_of` gives it, 0 where it is not to look.
            mask: `(batch, track, bar)`: 1 known, 0 filled in, -1 out of sight.

        Returns:
            Logits `(batch, beat)`.
        """
        by_beat = mask.repeat_interleave(chroma.shape[2] // self.n_bars, dim=2).unsqueeze(-1)
        x = torch.cat([chroma, by_beat], dim=-1).permute(0, 1, 3, 2).flatten(1, 2)  # (batch, track * 13, beat)
        x = self.enter(x)
        x = x + self.near(F.leaky_relu(x, LEAK))
        x = x + self.far(F.leaky_relu(x, LEAK))
        return self.out(F.leaky_relu(x, LEAK)).squeeze(1)


def turned(chroma: Tensor, by: Tensor) -> Tensor:
    """Transpose chroma `(batch, track, beat, 12)` by semitones `(batch,)`."""
    classes = (torch.arange(N_CLASSES, device=chroma.device) - by.unsqueeze(1)) % N_CLASSES
    return chroma.gather(-1, classes[:, None, None].expand_as(chroma))


def tonal_centroids(chroma: Tensor) -> Tensor:
    """Place `(..., 12)` chroma on the circles of fifths, minor and major thirds: `(..., 6)`; silence at 0."""
    points = torch.from_numpy(TONAL_POINTS).to(chroma)
    return (chroma @ points) / chroma.sum(dim=-1, keepdim=True).clamp_min(1e-6)


def tonal_distances(chroma: Tensor) -> Tensor:
    """Mean distance of the tonal centroids of each pair of tracks, over the beats of a batch in which both sound.

    Args:
        chroma: `(batch, track, beat, 12)` as `chroma_of` gives it.

    Returns:
        `(pair,)`, 0 for the same harmony; pairs in the order of `itertools.combinations`.
    """
    total = chroma.sum(dim=-1)
    sounds = total / (total + SOUNDING)
    centroids = tonal_centroids(chroma)
    distances = []
    for first, second in combinations(range(chroma.shape[1]), 2):
        both = sounds[:, first] * sounds[:, second]
        squared = (centroids[:, first] - centroids[:, second]).square().sum(dim=-1)
        distances.append(((squared + 1e-8).sqrt() * both).sum() / both.sum().clamp_min(1e-6))
    return torch.stack(distances) if distances else chroma.new_zeros(0)
