"""Fill hidden cells of a piece of any length with a generator of fixed length.

A window of the model's bars slides over the piece by half its length. What lies in the window, given or filled
before, is known; the rest is made to fit it. So new bars always answer the bars before them, and no silent bar is put
between windows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiogan.adversarial.game import seed_of
from audiogan.pipelines.multitrack.config import Config
from audiogan.pipelines.multitrack.home import moved, moves_home
from audiogan.pipelines.multitrack.networks import Decoder, Generator
from audiogan.representation.pianoroll import draw
from audiogan.representation.rollnotes import RollNotes, cut, join
from audiogan.representation.tracing import trace_clips

CHUNK, NEW_CHUNK = 8, 32
"""Clips per pass through the networks, given ones and new ones; fixed, since the last bits of a sum depend on the size
of a batch. New clips are often made by the hundred, and small passes cost more a clip."""


@dataclass(frozen=True)
class Sketch:
    """A piece on the grid with cells to fill.

    Args:
        notes: What is known, in timesteps from the first bar.
        hidden: `(track, bar)` bool; cells to fill.
    """

    notes: RollNotes
    hidden: NDArray[np.bool_]

    @property
    def n_bars(self) -> int:
        """Bars of the piece."""
        return self.hidden.shape[1]


def shift(notes: RollNotes, steps: int) -> RollNotes:
    """Move notes by timesteps."""
    role, start, end, *rest = notes.columns
    return RollNotes.from_columns((role, start + steps, end + steps, *rest))


def z_for(z_dim: int, seed: int, stream: str, number: int, *more: object) -> Tensor:
    """Draw z of one clip, `(z,)`; a pure function of its arguments."""
    generator = torch.Generator().manual_seed(seed_of(seed, stream, number, *more))
    return torch.randn(z_dim, generator=generator)


def rolls_of(notes: Sequence[RollNotes], config: Config) -> Tensor:
    """Draw clips as `(batch, 2, track, bar, timestep, pitch)` float32."""
    planes = [draw(clip, config.grid, len(config.roles))[:2] for clip in notes]
    return torch.from_numpy(np.stack(planes))


def in_chunks(n: int, size: int = CHUNK) -> list[slice]:
    """Cut n items into runs of `size`."""
    return [slice(first, first + size) for first in range(0, n, size)]


def padded(tensor: Tensor, size: int = CHUNK) -> Tensor:
    """Repeat the last row up to `size` rows."""
    missing = size - len(tensor)
    return tensor if missing == 0 else torch.cat([tensor, tensor[-1:].expand(missing, *tensor.shape[1:])])


def encode_clips(modules: Mapping[str, nn.Module], rolls: Tensor) -> Tensor:
    """Encode `(batch, 2, track, bar, timestep, pitch)` to codes `(batch, track, bar, code)`."""
    device = next(modules["encoder"].parameters()).device
    codes = [modules["encoder"](padded(rolls[run]).to(device))[: len(rolls[run])] for run in in_chunks(len(rolls))]
    return torch.cat(codes).cpu()


def decode_clips(modules: Mapping[str, nn.Module], codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decode codes to logits, velocity and timing; shapes as in `networks.Decoder`."""
    device = next(modules["decoder"].parameters()).device
    parts = []
    for run in in_chunks(len(codes)):
        decoded = modules["decoder"](padded(codes[run]).to(device))
        parts.append([part[: len(codes[run])].cpu() for part in decoded])
    logits, velocity, timing = (torch.cat(list(column)) for column in zip(*parts, strict=True))
    return logits, velocity, timing


def generate_codes(modules: Mapping[str, nn.Module], z: Tensor, known: Tensor, mask: Tensor) -> Tensor:
    """Fill hidden codes; shapes as in `networks.Generator`."""
    device = next(modules["generator"].parameters()).device
    parts = []
    for run in in_chunks(len(z), NEW_CHUNK):
        given = (padded(tensor[run], NEW_CHUNK).to(device) for tensor in (z, known, mask))
        made = modules["generator"](*given)
        parts.append(made[: len(z[run])].cpu())
    return torch.cat(parts)


def notes_of(logits: Tensor, velocity: Tensor, timing: Tensor) -> list[RollNotes]:
    """Write what decoded clips play: a cell sounds where its logit is above 0."""
    return _traced(logits > 0, velocity, timing)


def sounding(modules: Mapping[str, nn.Module], codes: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decode codes to what sounds: `decode_clips` where logits are wanted for nothing else.

    Args:
        modules: Decoder.
        codes: `(batch, track, bar, code)`.
        offset: `(plane, track)`, added to the logits.

    Returns:
        Onsets and sustains `(batch, 2, track, bar, timestep, pitch)` bool; velocity and timing as in `decode_clips`.
    """
    decoder = modules["decoder"]
    assert isinstance(decoder, Decoder)
    layout, device = decoder.layout, next(decoder.parameters()).device
    limit = -offset.cpu().numpy()[:, :, None, None, None]
    cells, expression = [], []
    for run in in_chunks(len(codes), NEW_CHUNK):
        parts, *rest = decoder.by_kind(padded(codes[run], NEW_CHUNK).to(device))
        # Compared where they lie: rolls are laid out as bits, never as numbers.
        above = {kind: np.greater(part.cpu().numpy(), limit[:, layout.kinds[kind][0]]) for kind, part in parts.items()}
        roll = torch.zeros(NEW_CHUNK, 2, *rest[0].shape[1:], layout.n_pitches, dtype=torch.bool)
        layout.place({kind: torch.from_numpy(part) for kind, part in above.items()}, roll)
        cells.append(roll)
        expression.append(torch.stack(rest).cpu())
    velocity, timing = torch.cat(expression, dim=1)[:, : len(codes)]
    return torch.cat(cells)[: len(codes)], velocity, timing


def _traced(cells: Tensor, velocity: Tensor, timing: Tensor) -> list[RollNotes]:
    """Read notes out of what `sounding` gives."""
    onset, sustain = cells.flatten(3, 4).unbind(1)
    flat = (part.flatten(2, 3).numpy() for part in (velocity, timing))
    return trace_clips(onset.numpy(), sustain.numpy(), *flat)


@torch.no_grad()
def fill(
    modules: Mapping[str, nn.Module],
    config: Config,
    sketches: Sequence[Sketch],
    *,
    seeds: Sequence[tuple[object, ...]],
    seed: int,
    temperature: float = 1.0,
    move: int | None = None,
) -> list[RollNotes]:
    """Fill the hidden cells of every sketch; all sketches must have one length.

    Args:
        modules: Encoder, decoder and generator.
        config: Grid and tracks.
        sketches: Pieces with hidden cells.
        seeds: What makes each sketch's draws its own, besides `seed`.
        seed: Seed of the call.
        temperature: 0 to 2: scales z up to 1; above 1 codes get noise as well.
        move: Semitones from the key to write in to the home key; None for the key of the known notes.

    Returns:
        The new notes of each sketch, in timesteps from its first bar; known notes are not among them.
    """
    pieces = [(sketch.notes, sketch.hidden) for sketch in sketches]
    if move is None:
        moves = moves_home(modules["generator"], config, pieces, seeds=seeds, seed=seed)
    else:
        moves = [move] * len(sketches)
    home = [replace(sketch, notes=moved(sketch.notes, by, config)) for sketch, by in zip(sketches, moves, strict=True)]
    made = _fill_home(modules, config, home, seeds, seed, temperature)
    return [moved(notes, -by, config) for notes, by in zip(made, moves, strict=True)]


def _fill_home(
    modules: Mapping[str, nn.Module],
    config: Config,
    sketches: Sequence[Sketch],
    seeds: Sequence[tuple[object, ...]],
    seed: int,
    temperature: float,
) -> list[RollNotes]:
    """Fill sketches in the key that the model writes in."""
    made: list[list[RollNotes]] = [[] for _ in sketches]
    open_cells = [sketch.hidden.copy() for sketch in sketches]
    hidden_bars = np.any([sketch.hidden.any(axis=0) for sketch in sketches], axis=0)
    for first in window_starts(hidden_bars, config.n_bars):
        inside = slice(first, first + config.n_bars)
        if not any(cells[:, inside].any() for cells in open_cells):
            continue
        fresh = _fill_window(modules, config, sketches, open_cells, made, first, seeds, seed, temperature)
        for number, notes in enumerate(fresh):
            made[number].append(notes)
            open_cells[number][:, inside] = False
    return [join(parts) for parts in made]


def window_starts(hidden: NDArray[np.bool_], length: int) -> list[int]:
    """First bars of the windows that fill all hidden bars.

    A run that fits into a window lies in its middle, with known bars on both sides where there are any. A longer one is
    gone through by half windows, beginning with half a window of known bars before it.

    Args:
        hidden: `(bar,)`.
        length: Bars of a window.
    """
    last_start = max(0, len(hidden) - length)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hidden, [False]]).astype(int)))
    starts: list[int] = []
    for first, end in edges.reshape(-1, 2).tolist():
        if end - first <= length:
            starts.append(min(max(0, first - (length - (end - first)) // 2), last_start))
            continue
        half = max(1, length // 2)
        starts.append(min(max(0, first - half), last_start))
        while starts[-1] + length < end:
            starts.append(min(starts[-1] + half, last_start))
    return starts


def _fill_window(
    modules: Mapping[str, nn.Module],
    config: Config,
    sketches: Sequence[Sketch],
    open_cells: Sequence[NDArray[np.bool_]],
    made: Sequence[Sequence[RollNotes]],
    first: int,
    seeds: Sequence[tuple[object, ...]],
    seed: int,
    temperature: float,
) -> list[RollNotes]:
    """New notes of one window, in timesteps of the piece."""
    n_timesteps = config.grid.n_timesteps
    start, end = first * n_timesteps, (first + config.n_bars) * n_timesteps
    known_notes = [cut(join([s.notes, *parts]), start, end) for s, parts in zip(sketches, made, strict=True)]
    hidden = np.ones((len(sketches), len(config.roles), config.n_bars), dtype=bool)
    for number, cells in enumerate(open_cells):
        inside = cells[:, first : first + config.n_bars]
        hidden[number, :, : inside.shape[1]] = inside
    generator = modules["generator"]
    assert isinstance(generator, Generator)
    mask = torch.from_numpy(~hidden).to(torch.float32)
    if hidden.all():  # hidden cells are not looked at, so there is nothing to encode
        known = torch.zeros(*hidden.shape, generator.code_dim)
    else:
        known = encode_clips(modules, rolls_of(known_notes, config))
    z = torch.stack([z_for(generator.z_dim, seed, "z", first, *own) for own in seeds]) * min(temperature, 1.0)
    codes = generate_codes(modules, z, known, mask)
    if temperature > 1.0:
        noise = torch.stack([z_for(codes[0].numel(), seed, "heat", first, *own) for own in seeds])
        codes = codes + (temperature - 1.0) * noise.view_as(codes) * (1 - mask.unsqueeze(-1))
    fresh = []
    for number, notes in enumerate(_traced(*sounding(modules, codes, generator.calibration))):
        cells = open_cells[number][:, first : first + config.n_bars]
        bar = notes.start // n_timesteps
        inside = bar < cells.shape[1]
        wanted = inside & cells[notes.role, np.minimum(bar, cells.shape[1] - 1)]
        fresh.append(_up_to_known(shift(notes.where(wanted), start), sketches[number], n_timesteps))
    return fresh


def _up_to_known(notes: RollNotes, sketch: Sketch, n_timesteps: int) -> RollNotes:
    """Keep new notes out of known cells: cut where one begins, and not played before the bar line after one."""
    hidden = sketch.hidden
    # For each cell the bar in which the run of hidden cells that holds it ends.
    ends = np.empty(hidden.shape, dtype=np.int64)
    ends[:, -1] = hidden.shape[1]
    for bar in reversed(range(hidden.shape[1] - 1)):
        ends[:, bar] = np.where(hidden[:, bar + 1], ends[:, bar + 1], bar + 1)
    last = ends[notes.role, notes.start // n_timesteps] * n_timesteps
    role, start, end, row, velocity, timing = notes.columns
    bar = start // n_timesteps
    after_known = (start % n_timesteps == 0) & ((bar == 0) | ~hidden[role, np.maximum(bar - 1, 0)])
    timing = np.where(after_known, np.maximum(timing, 0), timing)
    return RollNotes.from_columns((role, start, np.minimum(end, last), row, velocity, timing))
