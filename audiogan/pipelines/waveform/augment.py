"""What a discriminator of notes may be shown instead of a note: another colour, another envelope, or a gap.

A few thousand notes are known by heart after some dozen epochs, and a discriminator that knows them has nothing left to
say. The same change of a real and a fake note leaves both as real or fake as they were (arXiv 2006.06676, 2006.10738).
Nothing is turned over or moved in pitch: notes have a beginning and a label. All changes are differentiable and work on
normalised planes.
"""

import math

import torch
from torch import Tensor

from audiogan.adversarial.augment import Transform
from audiogan.pipelines.waveform.plan import Sheet
from audiogan.representation.tracks import AMPLITUDE_POWER

N_WAVES = 4
"""Half waves that a random curve is made of, from the slowest."""
COLOUR_DB, ENVELOPE_DB = 6.0, 4.0
"""Standard deviation of a curve."""
WIDEST_GAP = 0.25
"""Share of the rows, and of the frames, that a gap covers at most."""
N_DRAWS = 2 * N_WAVES
LOG_STEP = 0.1
"""Standard deviation of a curve on a logarithmic plane that spans -1 to 1."""


def curve(draws: Tensor, length: int) -> Tensor:
    """Return smooth random curves `(batch, length)` of mean 0 and standard deviation about 1.

    Args:
        draws: `(batch, 4)` uniform in [0, 1): the heights of half a wave, one, one and a half, and two.
        length: Points.
    """
    place = (torch.arange(length, device=draws.device) + 0.5) / length
    order = torch.arange(1, draws.shape[1] + 1, device=draws.device)
    waves = (math.pi * order[:, None] * place.sqrt()).cos()  # finer where a note or a spectrum begins
    heights = (2.0 * draws - 1.0) * math.sqrt(6.0 / draws.shape[1])
    return heights.to(waves) @ waves


def transforms_of(sheet: Sheet, kind: str) -> tuple[Transform, ...]:
    """Return the changes for planes as `sheet` normalises them: colour, envelope, gap.

    Args:
        sheet: Of the generator; its scale is read at every call.
        kind: Of the representation. Planes of `complex_stft` hold no magnitude, and get gaps alone.
    """
    if kind == "complex_stft":
        return (gap,)
    louder = _louder_partials if sheet.plan.head else _louder_cells

    def colour(normal: Tensor, draws: Tensor) -> Tensor:
        curves = [curve(part, normal.shape[2]).unsqueeze(-1) for part in draws.split(N_WAVES, dim=1)]
        return louder(sheet, normal, [COLOUR_DB * one for one in curves])

    def envelope(normal: Tensor, draws: Tensor) -> Tensor:
        along = ENVELOPE_DB * curve(draws[:, :N_WAVES], normal.shape[3]).unsqueeze(1)
        return louder(sheet, normal, [along, along])

    return colour, envelope, gap


def _louder_partials(sheet: Sheet, normal: Tensor, gains_db: list[Tensor]) -> Tensor:
    """Amplitudes and noise louder by curves in dB that fit `(batch, row, frame)`; the head and deviations stay."""
    made = list(normal.unbind(1))
    for plane, gain in zip((0, 2), gains_db, strict=True):
        scale, shift = sheet.scale[plane], sheet.shift[plane]
        power = ((made[plane] - shift) / scale + 1.0).clamp(min=0.0) * 10.0 ** (AMPLITUDE_POWER * gain / 20.0)
        changed = (power.clamp(max=2.0) - 1.0) * scale + shift
        made[plane] = torch.cat([made[plane][..., :1], changed[..., 1:]], dim=-1)
    return torch.stack(made, dim=1)


def _louder_cells(sheet: Sheet, normal: Tensor, gains_db: list[Tensor]) -> Tensor:
    """Magnitudes of a spectrogram, which are logarithmic, higher by a curve."""
    raised = normal[:, 0] + sheet.scale[0] * LOG_STEP * gains_db[0] / COLOUR_DB
    return torch.cat([raised.unsqueeze(1), normal[:, 1:]], dim=1)


def gap(normal: Tensor, draws: Tensor) -> Tensor:
    """Return planes `(batch, plane, row, frame)` with a block of rows and frames at 0, which is no cell's silence.

    Args:
        normal: Normalised planes.
        draws: `(batch, 4 or more)` uniform in [0, 1): places and sizes.
    """
    inside = torch.ones(normal.shape[0], 1, 1, 1, dtype=torch.bool, device=normal.device)
    for axis, (place, size) in zip((2, 3), ((0, 1), (2, 3)), strict=True):
        n = normal.shape[axis]
        width = draws[:, size] * WIDEST_GAP * n
        first = draws[:, place] * (n - width)
        at = torch.arange(n, device=normal.device)
        hit = (at >= first[:, None]) & (at < (first + width)[:, None])
        inside = inside & hit.view(len(normal), *(n if axis == i else 1 for i in (1, 2, 3)))
    return normal.masked_fill(inside, 0.0)
