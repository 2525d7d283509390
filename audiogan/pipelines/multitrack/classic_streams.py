"""The discriminator of MuseGAN v3 and BinaryMuseGAN: three streams that read a clip as a roll, as harmony, as rhythm.

The main stream reads the roll with private branches per track; the chroma stream sound per beat and pitch class; the
onset stream where sound begins and ends. Each gives one vector per bar; pairs of neighbouring bars are scored.
No normalisation: a gradient penalty needs examples that do not mix. Shapes in comments are those of 4 bars x 48
timesteps x 84 pitches. In the published size of v3 it has 1,365,841 parameters, and 1,366,865 when its last layer
reads all pairs together, as that of BinaryMuseGAN does.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.layers import LEAK, GridConv, grid_stack
from audiogan.pipelines.multitrack.classic_config import SEMITONES, ClassicConfig, tiling


class StreamWidths(NamedTuple):
    """Channels of the discriminator's streams.

    Args:
        private: The two layers of each private branch.
        chroma: The chroma stream.
        onset: The onset and offset stream.
    """

    private: tuple[int, int]
    chroma: tuple[int, int]
    onset: tuple[int, int, int]


class StreamsDiscriminator(nn.Module):
    """Score clips, `(batch, track, bar, timestep, pitch)` to `(batch,)`, by the roll, its chroma and its onsets.

    Args:
        config: The model.
        widths: Channels of the streams.
        own_track: Whether a private branch sees its own track only, or all tracks.
        std: Standard deviation of the start.
    """

    def __init__(self, config: ClassicConfig, widths: StreamWidths, *, own_track: bool, std: float) -> None:
        super().__init__()
        tiles = tiling(config)
        self.beat_resolution = config.beat_resolution
        self.main = MainStream(config, widths.private, own_track=own_track, std=std) if config.main_stream else None
        self.chroma = self.onset = None
        n_streams = 256 if config.main_stream else 0
        if config.chroma_stream:
            first, second = widths.chroma
            kernels = [(1, 1, SEMITONES), (1, tiles.beats, 1)]
            self.chroma = grid_stack([config.n_tracks, first, second], kernels, std=std)
            n_streams += second
        if config.onset_stream:
            kernels = [(1, tiles.fine, 1), (1, tiles.parts, 1), (1, tiles.beats, 1)]
            self.onset = grid_stack([config.n_tracks, *widths.onset], kernels, std=std)
            n_streams += widths.onset[-1]
        self.pairs = GridConv(n_streams, 512, (min(2, config.n_bars), 1, 1), (1, 1, 1), std=std)
        self.joined = config.joins_pairs
        n_last = 512 * (max(1, config.n_bars - 1) if self.joined else 1)
        self.last = GridConv(n_last, 1, (1, 1, 1), std=std)

    def forward(self, rolls: Tensor) -> Tensor:
        """Return one logit per clip, `(batch,)`."""
        grid = rolls.permute(0, 2, 3, 4, 1)  # (batch, 4, 48, 84, track)
        streams = []
        if self.main is not None:
            streams.append(self.main(rolls))
        if self.chroma is not None:
            streams.append(self.chroma(chroma_of(grid, self.beat_resolution)))
        if self.onset is not None:
            streams.append(self.onset(onsets_of(grid)))
        pairs = F.leaky_relu(self.pairs(torch.cat(streams, -1)), LEAK)  # (batch, 3, 1, 1, 512)
        if self.joined:
            pairs = pairs.flatten(1)[:, None, None, None, :]
        return self.last(pairs).flatten(1).mean(1)


class MainStream(nn.Module):
    """Read the roll itself: private branches per track, merged, then shared, to `(batch, bar, 1, 1, 256)`.

    Args:
        config: The model.
        widths: The two layers of each private branch.
        own_track: Whether a branch sees its own track only, or all tracks.
        std: Standard deviation of the start.
    """

    def __init__(self, config: ClassicConfig, widths: tuple[int, int], *, own_track: bool, std: float) -> None:
        super().__init__()
        tiles, n_tracks = tiling(config), config.n_tracks
        self.own_track = own_track
        n_in = 1 if own_track else n_tracks
        octave, fine = (1, 1, SEMITONES), (1, tiles.fine, 1)
        both = config.order == "both"
        self.pitch_time = self.time_pitch = None
        if config.order != "time_pitch":
            self.pitch_time = grid_stack([n_in, *widths], [octave, fine], std=std, n_tracks=n_tracks)
        if config.order != "pitch_time":
            self.time_pitch = grid_stack([n_in, *widths], [fine, octave], std=std, n_tracks=n_tracks)
        self.merged = grid_stack([widths[1] * (2 if both else 1), 64], [(1, 1, 1)], std=std, n_tracks=n_tracks)
        self.shared = grid_stack(
            [64 * n_tracks, 128, 256],
            [tiles.part_kernel, tiles.beat_kernel],
            [tiles.part_stride, tiles.beat_kernel],
            std=std,
        )

    def forward(self, rolls: Tensor) -> Tensor:
        """Return the stream of `(batch, track, bar, timestep, pitch)`."""
        # The track leads, either the branch's own or one grid for all branches with the tracks as channels.
        grid = rolls.transpose(0, 1).unsqueeze(-1) if self.own_track else rolls.permute(0, 2, 3, 4, 1).unsqueeze(0)
        branches = [branch(grid) for branch in (self.pitch_time, self.time_pitch) if branch is not None]
        merged = self.merged(torch.cat(branches, -1) if len(branches) > 1 else branches[0])
        return self.shared(merged.movedim(0, -2).flatten(-2))  # (batch, 4, 16, 7, 64 * track) to (batch, 4, 1, 1, 256)


def chroma_of(grid: Tensor, beat_resolution: int) -> Tensor:
    """Return sound per beat and pitch class, `(batch, bar, beat, 12, track)`.

    Args:
        grid: `(batch, bar, timestep, pitch, track)`.
        beat_resolution: Timesteps of a beat.
    """
    return grid.unflatten(3, (-1, SEMITONES)).unflatten(2, (-1, beat_resolution)).sum((3, 4))


def onsets_of(grid: Tensor) -> Tensor:
    """Return the change of sound since the timestep before, `(batch, bar, timestep, 1, track)`.

    The change is summed over pitch; before each bar's first step lies 0, as in the original.

    Args:
        grid: `(batch, bar, timestep, pitch, track)`.
    """
    heights = grid.sum(3, keepdim=True)
    return heights - F.pad(heights[:, :, :-1], (0, 0, 0, 0, 1, 0))
