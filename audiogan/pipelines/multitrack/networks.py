"""The networks behind every verb: cells to codes, codes to cells, and a generator over codes.

A clip is a grid of cells, one bar of one track each. The **encoder** gives a cell a code, the **decoder** writes the
cell a code stands for, and the **generator** fills in the codes of hidden cells from z and the codes of known ones: new
clips (all hidden), continuations (later bars hidden), accompaniments (tracks hidden) and refills (any block) are one
task with different masks. Adversarial learning on the codes of an autoencoder follows ARAE (arXiv 1706.04223); the two
views of a cell, rhythm first and pitch first, are MuseGAN's private streams (arXiv 1709.06298); residual blocks without
normalisation that begin as the identity follow R3GAN (arXiv 2501.05441). Codes lie on a sphere (root mean square 1 per
cell), so they are bounded without a prior term. The classic networks live in `classic`.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.layers import batch_deviation
from audiogan.pipelines.multitrack.classic import build_classic
from audiogan.pipelines.multitrack.config import CellsConfig, Config
from audiogan.pipelines.multitrack.harmony import HarmonyDiscriminator, pitched_tracks
from audiogan.representation.tonality import MOVES

LEAK = 0.2
# Share of cells that hold an onset is far below one half: start the output there.
PITCHED_BIAS, DRUM_BIAS = -5.0, -3.0
NEVER = -30.0


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2."""
    return F.leaky_relu(x, LEAK)


def on_sphere(codes: Tensor) -> Tensor:
    """Scale codes `(..., code)` to root mean square 1."""
    return codes * torch.rsqrt(codes.square().mean(dim=-1, keepdim=True) + 1e-6)


def _silent(layer: nn.Linear | nn.Conv1d) -> None:
    """Zero a layer, so that its branch adds nothing at first."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Residual(nn.Module):
    """x + two dense layers of x, over the last axis."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, inner), nn.Linear(inner, width)
        _silent(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """Change `(..., width)`."""
        return x + self.second(activate(self.first(activate(x))))


# ---- cells and codes


class CellEncoder(nn.Module):
    """One kind of cells → codes; the same weights for every bar, a shift of features for every track."""

    def __init__(self, config: CellsConfig, n_tracks: int, n_beats: int, n_rows: int, beat_resolution: int) -> None:
        super().__init__()
        self.beat_resolution = beat_resolution
        width = n_beats * config.beat_width
        n_line = 8
        self.step = nn.Linear(2 * n_rows, config.step_width)
        self.beat = nn.Linear(beat_resolution * config.step_width, config.beat_width)
        self.line = nn.Linear(2 * n_beats * beat_resolution, n_line)
        self.rows = nn.Linear(n_line * n_rows, width)
        self.track = nn.Parameter(torch.randn(n_tracks, 1, width))
        self.blocks = nn.ModuleList(Residual(width, width // 2) for _ in range(config.cell_depth))
        self.out = nn.Linear(width, config.code_dim)

    def forward(self, cells: Tensor) -> Tensor:
        """Encode cells `(batch, 2, track, bar, timestep, row)` to `(batch, track, bar, code)` of any length."""
        _, _, _, _, n_timesteps, n_rows = cells.shape
        by_step = cells.permute(0, 2, 3, 4, 1, 5).flatten(-2)  # (batch, track, bar, timestep, 2 row)
        beats = activate(self.step(by_step)).unflatten(3, (-1, self.beat_resolution)).flatten(-2)
        rhythm_first = self.beat(beats).flatten(-2)  # (batch, track, bar, beat * width)
        by_row = cells.permute(0, 2, 3, 5, 1, 4).reshape(*by_step.shape[:3], n_rows, 2 * n_timesteps)
        pitch_first = self.rows(activate(self.line(by_row)).flatten(-2))  # (batch, track, bar, beat * width)
        x = rhythm_first + pitch_first + self.track
        for block in self.blocks:
            x = block(x)
        return self.out(activate(x))


class StepMix(nn.Module):
    """Residual convolution along the timesteps of a cell, `(..., timestep, width)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(width, width, 5, padding=2), nn.Conv1d(width, width, 1)
        _silent(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """Change `(cell, timestep, width)`."""
        y = self.second(activate(self.first(activate(x.transpose(-1, -2)))))
        return x + y.transpose(-1, -2)


class CellDecoder(nn.Module):
    """Codes → one kind of cells: a sum of voices, each a rhythm times a pitch profile, plus a head per timestep."""

    def __init__(
        self, config: CellsConfig, n_tracks: int, n_beats: int, n_rows: int, beat_resolution: int, bias: float
    ) -> None:
        super().__init__()
        self.n_voices, self.n_rows, self.n_beats = config.n_voices, n_rows, n_beats
        width = n_beats * config.beat_width
        self.enter = nn.Linear(config.code_dim, width)
        self.track = nn.Parameter(torch.randn(n_tracks, 1, width))
        self.blocks = nn.ModuleList(Residual(width, width // 2) for _ in range(config.cell_depth))
        self.profile = nn.Sequential(
            nn.Linear(width, config.beat_width),
            nn.LeakyReLU(LEAK),
            nn.Linear(config.beat_width, config.n_voices * n_rows),
        )
        self.beat = nn.Linear(config.beat_width, beat_resolution * config.step_width)
        self.steps = StepMix(config.step_width)
        self.rhythm = nn.Linear(config.step_width, 2 * config.n_voices)
        self.step = nn.Linear(config.step_width, 2 * n_rows)
        self.expression = nn.Linear(config.step_width, 2)
        self.bias = nn.Parameter(torch.full((2, 1, n_rows), bias))
        _silent(self.step)
        _silent(self.expression)

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Decode `(batch, track, bar, code)`.

        Returns:
            Logits `(batch, 2, track, bar, timestep, row)` of onset and sustain, and `(batch, track, bar, timestep,
            2)`, from which velocity and timing are made.
        """
        x = self.enter(codes) + self.track
        for block in self.blocks:
            x = block(x)
        x = activate(x)  # (batch, track, bar, beat * width)
        profiles = self.profile(x).unflatten(-1, (self.n_voices, self.n_rows))
        beats = x.unflatten(-1, (self.n_beats, -1))
        steps = self.beat(beats).unflatten(-1, (-1, self.steps.first.in_channels)).flatten(3, 4)
        steps = activate(self.steps(steps.flatten(0, 2)))  # (cell, timestep, width), a cell for each track and bar
        # A linear layer lays planes out within a timestep, so both planes of a cell are one product without a copy.
        rhythms = self.rhythm(steps).view(len(steps), -1, self.n_voices)  # (cell, timestep * plane, voice)
        by_step = self.step(steps).view(len(steps), -1, self.n_rows)  # (cell, timestep * plane, row)
        logits = by_step.baddbmm_(rhythms, profiles.flatten(0, 2)).unflatten(1, (-1, 2))
        logits += self.bias.transpose(0, 1)  # (cell, timestep, plane, row)
        logits, expression = (part.unflatten(0, x.shape[:3]) for part in (logits, self.expression(steps)))
        return logits.permute(0, 4, 1, 2, 3, 5), expression


class Layout(nn.Module):
    """Where drums and pitched tracks lie in a roll; drums use only the rows of their classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        grid = config.grid
        drums = [number for number, track in enumerate(config.tracks) if track.is_drum]
        pitched = [number for number, track in enumerate(config.tracks) if not track.is_drum]
        drum_rows = [pitch - grid.lowest_pitch for pitch in grid.drum_pitches]
        self.n_pitches = grid.n_pitches
        self.n_beats = grid.n_timesteps // grid.beat_resolution
        self.beat_resolution = grid.beat_resolution
        self.kinds = {
            kind: (tracks, rows)
            for kind, tracks, rows in (("drums", drums, drum_rows), ("pitched", pitched, list(range(grid.n_pitches))))
            if tracks
        }
        order = [track for tracks, _ in self.kinds.values() for track in tracks]
        self.order = [order.index(track) for track in range(len(order))]

    def split(self, roll: Tensor) -> dict[str, Tensor]:
        """Cut `(batch, plane, track, bar, timestep, pitch)` into kinds, each with its own tracks and rows."""
        return {
            kind: roll[:, :, tracks] if len(rows) == self.n_pitches else roll[:, :, tracks][..., rows]
            for kind, (tracks, rows) in self.kinds.items()
        }

    def place(self, parts: Mapping[str, Tensor], roll: Tensor) -> None:
        """Write kinds, cut as `split` does, into a roll in place; of drums onsets only, since a hit has no length."""
        for kind, part in parts.items():
            tracks, rows = self.kinds[kind]
            for number, track in enumerate(tracks):
                if kind == "drums":
                    roll[:, 0, track, ..., rows] = part[:, 0, number]
                else:
                    roll[:, :, track] = part[:, :, number]

    def join(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """Put tracks of the kinds back into the order of the roll."""
        return torch.cat(list(parts), dim=axis).index_select(axis, torch.tensor(self.order, device=parts[0].device))


class Encoder(nn.Module):
    """Roll → codes."""

    layout: "Layout"

    def __init__(self, config: Config, network: CellsConfig) -> None:
        super().__init__()
        self.layout = layout = Layout(config)
        self.kinds = nn.ModuleDict(
            {
                kind: CellEncoder(network, len(tracks), layout.n_beats, len(rows), layout.beat_resolution)
                for kind, (tracks, rows) in layout.kinds.items()
            }
        )

    def forward(self, roll: Tensor) -> Tensor:
        """Encode onsets and sustains `(batch, 2, track, bar, timestep, pitch)` to `(batch, track, bar, code)`."""
        return self.of_kinds({kind: part.to(torch.float32) for kind, part in self.layout.split(roll).items()})

    def of_kinds(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Encode what `Layout.split` makes of a roll."""
        codes = [encoder(parts[kind]) for kind, encoder in self.kinds.items()]
        return on_sphere(self.layout.join(codes, axis=1))


class Decoder(nn.Module):
    """Codes → logits of the roll, velocity and timing."""

    layout: "Layout"

    def __init__(self, config: Config, network: CellsConfig) -> None:
        super().__init__()
        self.layout = layout = Layout(config)
        self.kinds = nn.ModuleDict(
            {
                kind: CellDecoder(
                    network,
                    len(tracks),
                    layout.n_beats,
                    len(rows),
                    layout.beat_resolution,
                    DRUM_BIAS if kind == "drums" else PITCHED_BIAS,
                )
                for kind, (tracks, rows) in layout.kinds.items()
            }
        )

    def by_kind(self, codes: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Decode `(batch, track, bar, code)`.

        Returns:
            Logits per kind of track, as `Layout.split` cuts a roll; velocity `(batch, track, bar, timestep)` in [0, 1];
            timing, the same shape, in timesteps, [-0.5, 0.5].
        """
        decoded = {kind: decoder(codes[:, self.layout.kinds[kind][0]]) for kind, decoder in self.kinds.items()}
        expression = self.layout.join([part for _, part in decoded.values()], axis=1)
        velocity, timing = expression[..., 0].sigmoid(), 0.5 * expression[..., 1].tanh()
        return {kind: logits for kind, (logits, _) in decoded.items()}, velocity, timing

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decode codes `(batch, track, bar, code)`.

        Returns:
            Logits `(batch, 2, track, bar, timestep, pitch)`; velocity and timing as `by_kind` gives them.
        """
        parts, velocity, timing = self.by_kind(codes)
        roll = codes.new_full((len(codes), 2, *velocity.shape[1:], self.layout.n_pitches), NEVER)
        self.layout.place(parts, roll)
        return roll, velocity, timing


# ---- game over the codes


class BarMix(nn.Module):
    """A block for each bar by itself, then one that sees all bars, `(batch, bar, width)`."""

    def __init__(self, width: int, n_bars: int) -> None:
        super().__init__()
        self.alone = Residual(width, width)
        self.together = Residual(n_bars * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Change `(batch, bar, width)`."""
        x = self.alone(x)
        return self.together(x.flatten(1)).view_as(x)


def by_bar(codes: Tensor, mask: Tensor) -> Tensor:
    """Lay codes and mask `(batch, track, bar)` out as `(batch, bar, track * (code + 1))`."""
    return torch.cat([codes, mask.unsqueeze(-1)], dim=-1).transpose(1, 2).flatten(2)


class Generator(nn.Module):
    """z, known codes and a mask → all codes; known ones pass through unchanged."""

    def __init__(self, network: CellsConfig, n_tracks: int, n_bars: int) -> None:
        super().__init__()
        self.n_bars, self.n_tracks = n_bars, n_tracks
        self.z_clip_dim, self.z_bar_dim = network.z_clip_dim, network.z_bar_dim
        width = network.width
        self.enter = nn.Linear(network.z_clip_dim + network.z_bar_dim + n_tracks * (network.code_dim + 1), width)
        self.bar = nn.Parameter(torch.zeros(n_bars, width))
        self.blocks = nn.ModuleList(BarMix(width, n_bars) for _ in range(network.depth))
        self.out = nn.Linear(width, n_tracks * network.code_dim)
        self.code_dim = network.code_dim
        # What is added to the logits of cells made from its codes; see `calibration`. Planes onset and sustain.
        self.calibration: Tensor
        self.register_buffer("calibration", torch.zeros(2, n_tracks))
        # How often songs were moved home by each number of semitones; see `home`.
        self.key_weights: Tensor
        self.register_buffer("key_weights", torch.full((len(MOVES),), 1 / len(MOVES)))

    @property
    def z_dim(self) -> int:
        """Values in z."""
        return self.z_clip_dim + self.n_bars * self.z_bar_dim

    def forward(self, z: Tensor, known: Tensor, mask: Tensor) -> Tensor:
        """Fill in hidden codes.

        Args:
            z: `(batch, z)`, normal.
            known: `(batch, track, bar, code)`; hidden cells are not looked at.
            mask: `(batch, track, bar)`, 1 where a cell is known.

        Returns:
            `(batch, track, bar, code)`.
        """
        keep = mask.unsqueeze(-1)
        for_clip = z[:, : self.z_clip_dim].unsqueeze(1).expand(-1, self.n_bars, -1)
        for_bar = z[:, self.z_clip_dim :].unflatten(1, (self.n_bars, self.z_bar_dim))
        x = self.enter(torch.cat([for_clip, for_bar, by_bar(known * keep, mask)], dim=-1)) + self.bar
        for block in self.blocks:
            x = block(x)
        made = self.out(activate(x)).unflatten(-1, (self.n_tracks, -1)).transpose(1, 2)
        return torch.where(keep > 0.5, known, on_sphere(made))


class Discriminator(nn.Module):
    """Codes and mask → one logit per clip."""

    def __init__(self, network: CellsConfig, n_tracks: int, n_bars: int) -> None:
        super().__init__()
        width = network.width
        self.enter = nn.Linear(n_tracks * (network.code_dim + 1), width)
        self.bar = nn.Parameter(torch.zeros(n_bars, width))
        self.blocks = nn.ModuleList(BarMix(width, n_bars) for _ in range(network.depth))
        self.spread = network.spread  # the deviation of the batch (arXiv 1710.10196, section 3), one feature more
        self.out = nn.Linear(n_bars * width + self.spread, 1)

    def forward(self, codes: Tensor, mask: Tensor) -> Tensor:
        """Judge codes `(batch, track, bar, code)`.

        Args:
            codes: 0 where D is not to look.
            mask: `(batch, track, bar)`: 1 known, 0 filled in, -1 out of sight.

        Returns:
            Logits `(batch,)`.
        """
        x = self.enter(by_bar(codes, mask)) + self.bar
        for block in self.blocks:
            x = block(x)
        x = x.flatten(1)
        if self.spread:
            x = torch.cat([x, batch_deviation(x).expand(len(x), 1)], dim=1)
        return self.out(activate(x)).squeeze(1)


def build(config: Config) -> dict[str, nn.Module]:
    """Build the networks of a recipe: encoder, decoder, generator and discriminators, or the classic ones."""
    network = config.network
    if not isinstance(network, CellsConfig):
        return build_classic(network)
    n_tracks = len(config.tracks)
    modules: dict[str, nn.Module] = {
        "encoder": Encoder(config, network),
        "decoder": Decoder(config, network),
        "generator": Generator(network, n_tracks, config.n_bars),
        "discriminator": Discriminator(network, n_tracks, config.n_bars),
    }
    if network.harmony_width and len(pitched_tracks(config)) > 1:
        modules["harmony"] = HarmonyDiscriminator(config, network)
    return modules


def load_modules(tensors: Mapping[str, Mapping[str, Tensor]], config: Config) -> dict[str, nn.Module]:
    """Build the networks that `tensors` holds weights for, in evaluation mode.

    Args:
        tensors: Weights by module name.
        config: What they were trained as.
    """
    modules = build(config)
    loaded = {}
    for name, weights in tensors.items():
        modules[name].load_state_dict(dict(weights))
        loaded[name] = modules[name].eval().requires_grad_(False)
    return loaded
