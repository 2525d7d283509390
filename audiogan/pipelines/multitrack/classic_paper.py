"""The three models of the AAAI-18 paper (arXiv 1709.06298): composer, jamming and hybrid.

A temporal generator turns the varying parts of z into one vector per bar; a bar generator turns the vectors of one
bar, with the fixed parts of z, into that bar: one bar generator for all tracks (composer) or one per track (jamming,
hybrid). The discriminator reads bars, then the phrase. Grids are `(batch, bar, timestep, pitch, channel)`; shapes in
comments are those of 4 bars x 96 timesteps x 84 pitches. Where this differs from the released code: bars of a batch
share one batch norm call instead of one call per bar, and the phrase discriminator compares the four bars (the code cut
each bar's features into pieces and compared those, so it never saw two bars); the number of parameters is the same.
"""

import torch
from torch import Tensor, nn

from audiogan.layers import GridConv, GridConvTranspose, GridGrow, GridNorm, GridShrink, Kernel, grid_stack
from audiogan.pipelines.multitrack.binary import sounding
from audiogan.pipelines.multitrack.classic_config import SEMITONES, ClassicConfig, bar_growth, halving, latents

PAPER_STD = 0.02
GROWTH_WIDTHS = (512, 256, 256, 128, 128)
ENCODER_WIDTH = 16
PIECE = 128


def _norm(n_channels: int, config: ClassicConfig) -> GridNorm:
    return GridNorm(n_channels, config.norm, eps=1e-5, momentum=0.1)


def _grow(config: ClassicConfig, n_in: int, n_out: int, kernel: Kernel, stride: Kernel | None = None) -> GridGrow:
    return GridGrow(n_in, n_out, kernel, stride, std=PAPER_STD, norm=_norm(n_out, config))


class ConvolutionTemporal(nn.Module):
    """Unfold one vector to one per bar, `(batch, size)` to `(batch, bar, size)`, by two transposed convolutions.

    Args:
        config: The model.
        size: Length of the vectors.
    """

    def __init__(self, config: ClassicConfig, size: int) -> None:
        super().__init__()
        self.pairs = _grow(config, size, 1024, (2, 1, 1))
        self.bars = _grow(config, 1024, size, (config.n_bars - 1, 1, 1), (1, 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        """Return the vectors of all bars."""
        return self.bars(self.pairs(z[:, None, None, None, :]))[:, :, 0, 0]


class RecurrentTemporal(nn.Module):
    """Turn one fresh vector per bar into one that knows the bars before, `(batch, bar * size)` to `(batch, bar, size)`.

    Args:
        config: The model.
        size: Length of the vectors.
    """

    def __init__(self, config: ClassicConfig, size: int) -> None:
        super().__init__()
        self.n_bars = config.n_bars
        self.lstm = nn.LSTM(size, size, batch_first=True)

    def forward(self, z: Tensor) -> Tensor:
        """Return the vectors of all bars."""
        return self.lstm(z.unflatten(1, (self.n_bars, -1)))[0]


class BarEncoder(nn.Module):
    """Encode the given track, `(batch, bar, timestep, pitch)`, bar by bar, by seven convolutions of 16 channels.

    Args:
        config: The model.
    """

    def __init__(self, config: ClassicConfig) -> None:
        super().__init__()
        times = [(1, time, 1) for time in reversed(bar_growth(config.n_timesteps))]
        kernels: list[Kernel] = [(1, 1, SEMITONES), (1, 1, config.n_pitches // SEMITONES), *times]
        self.layers = nn.ModuleList(
            GridShrink(n_in, ENCODER_WIDTH, kernel, std=PAPER_STD, norm=_norm(ENCODER_WIDTH, config), slope=0.2)
            for n_in, kernel in zip([1, *[ENCODER_WIDTH] * 6], kernels, strict=True)
        )

    def forward(self, given: Tensor) -> list[Tensor]:
        """Return the grids of the seven layers, largest first."""
        grid, grids = given.unsqueeze(-1), []
        for layer in self.layers:
            grid = layer(grid)
            grids.append(grid)
        return grids


class BarGenerator(nn.Module):
    """Grow bars from their vectors, `(batch, bar, z_dim)` to logits `(batch, bar, timestep, pitch, n_out)`.

    Args:
        config: The model.
        n_out: Tracks that this generator makes.
    """

    def __init__(self, config: ClassicConfig, n_out: int) -> None:
        super().__init__()
        skip = ENCODER_WIDTH if config.given_track is not None else 0
        octaves = config.n_pitches // SEMITONES
        self.first = _grow(config, config.z_dim, 1024, (1, 1, 1))
        kernels: list[Kernel] = [*[(1, time, 1) for time in bar_growth(config.n_timesteps)], (1, 1, octaves)]
        widths = [512, *GROWTH_WIDTHS, 64]
        self.layers = nn.ModuleList(
            _grow(config, n_in + skip, width, kernel)
            for n_in, width, kernel in zip(widths[:-1], widths[1:], kernels, strict=True)
        )
        self.last = GridConvTranspose(64 + skip, n_out, (1, 1, SEMITONES), std=PAPER_STD)

    def forward(self, z: Tensor, given: list[Tensor] | None = None) -> Tensor:
        """Return the logits of all bars; `given` are the grids of `BarEncoder`."""
        grid = self.first(z[:, :, None, None, :])  # (batch, bar, 1, 1, 1024)
        grid = grid.reshape(*z.shape[:2], 2, 1, 512)
        skips = given[::-1] if given is not None else []
        for index, layer in enumerate([*self.layers, self.last]):
            grid = layer(torch.cat([grid, skips[index]], -1) if skips else grid)
        return grid  # (batch, bar, 96, 84, n_out)


class PaperGenerator(nn.Module):
    """Generate all tracks that are not given, `(batch, track, bar, timestep, pitch)`, from z `(batch, z_size)`.

    Args:
        config: The model.
    """

    def __init__(self, config: ClassicConfig) -> None:
        super().__init__()
        self.config = config
        self.parts = latents(config)
        n_tracks = len(config.generated_tracks)
        temporal = ConvolutionTemporal if config.temporal == "convolution" else RecurrentTemporal
        own = n_tracks if config.edition == "paper" and self.parts.track_varying else 0
        # As released, one temporal generator serves the shared part and every track; as drawn, each has its own.
        n_temporal = own + 1 if self.parts.shared_varying or (self.parts.track_varying and not own) else own
        size = self.parts.shared_varying or self.parts.track_varying
        self.temporal = nn.ModuleList(temporal(config, size) for _ in range(n_temporal))
        if config.variant == "composer":
            self.bars = nn.ModuleList([BarGenerator(config, n_tracks)])
        else:
            self.bars = nn.ModuleList(BarGenerator(config, 1) for _ in range(n_tracks))

    def forward(
        self,
        z: Tensor,
        given: list[Tensor] | None = None,
        slope: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return rolls in [-1, 1]; exactly -1 or 1 with binary neurons.

        Args:
            z: `(batch, z_size)`: shared varying, shared fixed, then the tracks' varying and the tracks' fixed parts.
            given: The grids of the encoded given track, when the model has one.
            slope: Of the binary neurons' backward pass.
            generator: Draws of stochastic neurons.
        """
        vectors = self.bar_vectors(z)
        logits = torch.cat([bars(z_bar, given) for bars, z_bar in zip(self.bars, vectors, strict=True)], -1)
        rolls = sounding(logits, self.config.output_neuron, self.config.low, slope, generator)
        return rolls.permute(0, 4, 1, 2, 3)

    def bar_vectors(self, z: Tensor) -> list[Tensor]:
        """Return what each bar generator gets, `(batch, bar, z_dim)` each.

        Args:
            z: `(batch, z_size)`.
        """
        config, parts = self.config, self.parts
        varying = config.n_bars if config.temporal == "recurrent" else 1
        n_tracks = len(config.generated_tracks)
        sizes = [parts.shared_varying * varying, parts.shared_fixed]
        sizes += [parts.track_varying * varying] * n_tracks + [parts.track_fixed] * n_tracks
        shared_varying, shared_fixed, *rest = z.split(sizes, 1)
        shared = self._over_bars(shared_varying, shared_fixed, 0)
        if config.variant == "composer":
            return [torch.cat(shared, -1)]
        tracks = []
        for track, (track_varying, track_fixed) in enumerate(zip(rest[:n_tracks], rest[n_tracks:], strict=True)):
            which = len(self.temporal) - n_tracks + track if config.edition == "paper" else 0
            tracks.append(torch.cat([*shared, *self._over_bars(track_varying, track_fixed, which)], -1))
        return tracks

    def _over_bars(self, varying: Tensor, fixed: Tensor, which: int) -> list[Tensor]:
        grown = [self.temporal[which](varying)] if varying.shape[1] else []
        return [*grown, fixed.unsqueeze(1).expand(-1, self.config.n_bars, -1)]


class PhraseDiscriminator(nn.Module):
    """Score clips, `(batch, track, bar, timestep, pitch)` to `(batch,)`, or `(batch, track)` with one D per track.

    Args:
        config: The model.
    """

    def __init__(self, config: ClassicConfig) -> None:
        super().__init__()
        self.per_track = config.one_judge_per_track
        lead = config.n_tracks if self.per_track else None
        quarter = config.n_timesteps // 4
        first = halving(quarter, 4)
        middle = (quarter - first) // 2 + 1
        second = halving(middle, 3)
        kernels: list[Kernel] = [(1, 1, SEMITONES), (1, 1, config.n_pitches // SEMITONES), (1, 2, 1), (1, 2, 1)]
        self.bars = grid_stack(
            [1 if self.per_track else config.n_tracks, 128, 128, 128, 128, 256, 512],
            [*kernels, (1, first, 1), (1, second, 1)],
            [*kernels, (1, 2, 1), (1, 2, 1)],
            std=PAPER_STD,
            n_tracks=lead,
        )
        self.several = config.n_bars > 1
        if self.several:
            gaps = config.n_bars - 1
            self.phrase = grid_stack(
                [PIECE, 512, 128, 1024],
                [(2, 1, 1), (gaps, 1, 1), (1, 1, 1)],
                [(1, 1, 1), (gaps, 1, 1), (1, 1, 1)],
                std=PAPER_STD,
                n_tracks=lead,
            )
        else:
            n_features = 512 * ((middle - second) // 2 + 1)
            self.phrase = grid_stack([n_features, 1024], [(1, 1, 1)], std=PAPER_STD, n_tracks=lead)
        self.last = GridConv(1024, 1, (1, 1, 1), std=PAPER_STD, n_tracks=lead)

    def forward(self, rolls: Tensor) -> Tensor:
        """Return one logit per clip, or per clip and track."""
        # One network per track: the track leads. One for all: the tracks are the channels.
        grid = rolls.transpose(0, 1).unsqueeze(-1) if self.per_track else rolls.permute(0, 2, 3, 4, 1)
        bars = self.bars(grid).flatten(-3)  # (..., bar, 5 * 512)
        # Every piece of 128 features is compared with the same piece of the other bars.
        pieces = bars.unflatten(-1, (-1, PIECE)) if self.several else bars.unsqueeze(-2)
        logits = self.last(self.phrase(pieces.unsqueeze(-2)))  # (..., 1, pieces, 1, 1)
        logits = logits.flatten(-4).mean(-1)
        return logits.transpose(0, 1) if self.per_track else logits
