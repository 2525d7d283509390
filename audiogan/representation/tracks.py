"""A note as tracks of partials and noise bands in physical units, and the planes that hold it for a network.

`harmonic` planes are `(3, row, 1 + frame)`. Column 0 is the head: what is true of the whole note. Planes are scaled so
that small errors do small damage: amplitudes are stored as a power below 1, not in decibels, deviations and offsets as
roots, and phases as cosine and sine, whose length says how much the phase matters.

| plane | head (column 0) | frames (columns 1 and up) |
|---|---|---|
| 0 | row 0: tuning in semitones; row k - 1: root of the offset of partial k, full at 0.45·f0 | amplitude |
| 1 | cosine of the initial phase | deviation of the frequency until the next frame |
| 2 | sine of the initial phase | noise bands |
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

MAX_OFFSET = 0.45  # of f0; further away a partial belongs to its neighbour
AMPLITUDE_POWER = 0.35
NOISE_POWER = 0.35
DEVIATION_POWER = 2.0
OFFSET_POWER = 2.0
CYCLES = 0.5  # largest deviation of any partial, cycles until the next frame
GLIDE = 0.02  # and of partial k, besides, of its frequency
LOUD_PHASE_DB = -60.0  # quieter partials shrink their cosine and sine
IN_TUNE = 0.03  # partials further than this share from k·f0 do not speak for the pitch


@dataclass(frozen=True, eq=False)
class Tracks:
    """A batch of notes of any pitch.

    Args:
        times: `(frame,)` float64 seconds.
        amplitude: `(batch, frame, partial)`, of full scale.
        deviation: `(batch, frame, partial)` Hz, added to the frequency from this frame until the next.
        offset: `(batch, partial)`; partial k lies at (k + offset)·f0.
        phase: `(batch, partial)` radians at time 0.
        noise: `(batch, frame, band)`, standard deviation of the white noise as loud as the band.
        tuning: `(batch,)` semitones from the pitch asked for to the pitch that was played.
    """

    times: Tensor
    amplitude: Tensor
    deviation: Tensor
    offset: Tensor
    phase: Tensor
    noise: Tensor
    tuning: Tensor

    @property
    def _batched(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """All but the times."""
        return (self.amplitude, self.deviation, self.offset, self.phase, self.noise, self.tuning)

    def first(self, n_partials: int) -> "Tracks":
        """Return the same without the partials above the `n_partials`-th."""
        return replace(
            self,
            amplitude=self.amplitude[..., :n_partials],
            deviation=self.deviation[..., :n_partials],
            offset=self.offset[..., :n_partials],
            phase=self.phase[..., :n_partials],
        )

    def note(self, index: int) -> "Tracks":
        """Return the note at a place of the batch, as a batch of one."""
        return Tracks(self.times, *(part[index : index + 1] for part in self._batched))

    @property
    def steps(self) -> Tensor:
        """Seconds from each frame to the next, `(frame,)`; the last one repeats."""
        steps = torch.diff(self.times)
        return torch.cat((steps, steps[-1:]))


def largest_deviation(times: Tensor, f0: Tensor, n_partials: int) -> Tensor:
    """Return the deviation in Hz that fills plane 1, `(batch, frame, partial)` float64.

    Args:
        times: `(frame,)` seconds.
        f0: `(batch,)` Hz.
        n_partials: Partials.
    """
    steps = torch.diff(times)
    cycles = CYCLES / torch.cat((steps, steps[-1:]))
    glide = GLIDE * f0.double()[:, None] * torch.arange(1, n_partials + 1, device=f0.device)
    return torch.hypot(cycles[None, :, None], glide[:, None, :])


def signed_power(value: Tensor, power: float) -> Tensor:
    """Return a power of the absolute value with the sign of the value.

    Example:
        >>> signed_power(torch.tensor([-0.5, 2.0]), 2).tolist()
        [-0.25, 4.0]
    """
    return value.sign() * value.abs() ** power


def to_planes(tracks: Tracks, f0: Tensor) -> Tensor:
    """Return `(batch, 3, row, 1 + frame)` float32 in [-1, 1].

    Args:
        tracks: With as many bands as partials.
        f0: `(batch,)` Hz.
    """
    amplitude = 2 * tracks.amplitude.clamp(0, 1) ** AMPLITUDE_POWER - 1
    share = (tracks.deviation / largest_deviation(tracks.times, f0, tracks.offset.shape[-1])).clamp(-1, 1)
    deviation = signed_power(share, 1 / DEVIATION_POWER)
    noise = 2 * tracks.noise.clamp(0, 1) ** NOISE_POWER - 1
    offset = signed_power((tracks.offset / MAX_OFFSET).clamp(-1, 1), 1 / OFFSET_POWER)
    offset = torch.cat((tracks.tuning.clamp(-1, 1)[:, None], offset[:, 1:]), dim=1)
    peak = tracks.amplitude.amax(dim=1).clamp(min=1e-9)
    radius = (peak * 10 ** (-LOUD_PHASE_DB / 20)).clamp(max=1)
    head = torch.stack((offset, radius * tracks.phase.cos(), radius * tracks.phase.sin()), dim=1)
    frames = torch.stack((amplitude, deviation, noise), dim=1).transpose(2, 3)
    return torch.cat((head[..., None].float(), frames.float()), dim=-1)


def from_planes(planes: Tensor, f0: Tensor, times: Tensor) -> Tracks:
    """Return the tracks that planes stand for.

    Args:
        planes: `(batch, 3, row, 1 + frame)`; values outside [-1, 1] count as -1 or 1.
        f0: `(batch,)` Hz.
        times: `(frame,)` float64 seconds.
    """
    planes = planes.clamp(-1, 1)
    head = planes[..., 0]
    amplitude, deviation, noise = planes[..., 1:].transpose(2, 3).unbind(1)
    largest = largest_deviation(times, f0, planes.shape[2])
    return Tracks(
        times,
        amplitude=((amplitude + 1) / 2) ** (1 / AMPLITUDE_POWER),
        deviation=signed_power(deviation.double(), DEVIATION_POWER) * largest,
        offset=torch.nn.functional.pad(signed_power(head[:, 0, 1:], OFFSET_POWER) * MAX_OFFSET, (1, 0)),
        phase=torch.atan2(head[:, 2], head[:, 1]),
        noise=((noise + 1) / 2) ** (1 / NOISE_POWER),
        tuning=head[:, 0, 0],
    )


def common_detuning(tracks: Tracks, f0: Tensor) -> Tensor:
    """Return how far the partials lie from multiples of `f0` as a whole, `(batch,)`, as a share of `f0`.

    The mean of (frequency / k - f0) over time and partials, weighted by energy / k², because low partials speak for the
    pitch (Moore, Glasberg and Peters 1985); partials whose offset makes them no
    harmonics of `f0` do not count.

    Args:
        tracks: Any.
        f0: `(batch,)` Hz.
    """
    k = torch.arange(1, tracks.offset.shape[-1] + 1, device=f0.device)
    share = (tracks.offset[:, None] + tracks.deviation / f0.double()[:, None, None]) / k
    energy = tracks.amplitude.double().square() * tracks.steps[:, None]
    weight = energy / k.square()
    mean = (weight * share).sum(1) / weight.sum(1).clamp(min=1e-30)
    weight = weight.sum(1) * ((tracks.offset / k).abs() < IN_TUNE)
    return (weight * mean).sum(1) / weight.sum(1).clamp(min=1e-30)


def tune(tracks: Tracks, f0: Tensor) -> Tracks:
    """Return the tracks without their common detuning, so that the note sounds at `f0`; vibrato and glides stay.

    Args:
        tracks: Any.
        f0: `(batch,)` Hz.
    """
    detuning = common_detuning(tracks, f0)
    k = torch.arange(1, tracks.offset.shape[-1] + 1, device=f0.device)
    return replace(tracks, offset=tracks.offset - detuning[:, None] * k)


def frequency_ratio(semitones: Tensor) -> Tensor:
    """Return the ratio of frequencies of an interval, float64.

    Example:
        >>> frequency_ratio(torch.tensor([12.0])).tolist()
        [2.0]
    """
    return torch.exp(semitones.double() * (math.log(2) / 12))
