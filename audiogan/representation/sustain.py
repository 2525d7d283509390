"""Notes longer or shorter than they were made: the stable part again and again, and a release.

The stable part lies between two fixed shares of the note. Beyond its end the tracks are read backwards and forwards
through it, so that nothing jumps, and each of them goes on getting quieter as it did there. Onset and attack stay.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from audiogan.representation.framing import interpolate
from audiogan.representation.tracks import Tracks

STABLE_FROM, STABLE_TO = 0.35, 0.65  # shares of the note
LEAST_LEVEL = 1.0e-5
FADE_DB = 60.0


def reading_place(at: Tensor, first: float, last: float) -> Tensor:
    """Return where to read for each time: the time itself up to `last`, then back to `first`, forth, and so on.

    Args:
        at: `(point,)` seconds.
        first, last: Ends of the stable part, seconds.

    Example:
        >>> reading_place(torch.tensor([0.5, 2.0, 2.5, 3.5]), 1.0, 2.0).tolist()
        [0.5, 2.0, 1.5, 1.5]
    """
    span = last - first
    beyond = torch.remainder(at - last, 2 * span)
    return torch.where(at <= last, at, last - span + (beyond - span).abs())


def decay(levels: Tensor, times: Tensor) -> Tensor:
    """Return the slope of the logarithm of levels, `(batch, 1, row)` per second, never above 0.

    Args:
        levels: `(batch, frame, row)`.
        times: `(frame,)` seconds.
    """
    log_level = levels.double().clamp(min=LEAST_LEVEL).log()
    centred = (times - times.mean())[:, None]
    slope = (centred * log_level).sum(1, keepdim=True) / centred.square().sum().clamp(min=1e-12)
    return slope.clamp(max=0)


def extend(tracks: Tracks, seconds: float) -> Tracks:
    """Return tracks of another length.

    Args:
        tracks: Of a note as it was made.
        seconds: Time of the last frame.
    """
    length = float(tracks.times[-1])
    first, last = STABLE_FROM * length, STABLE_TO * length
    if seconds <= last:
        return tracks
    step = float(tracks.steps[-1])
    begin = tracks.times[tracks.times <= last]
    n_more = math.ceil((seconds - float(begin[-1])) / step)
    more = begin[-1] + step * torch.arange(1, n_more + 1, device=begin.device, dtype=torch.float64)
    times = torch.cat((begin, more))
    place = reading_place(times, first, last)
    stable = (tracks.times >= first) & (tracks.times <= last)

    def longer(levels: Tensor) -> Tensor:
        slope = decay(levels[:, stable], tracks.times[stable])
        late = (times - place)[:, None]
        return (interpolate(levels.double(), tracks.times, place) * (slope * late).exp()).to(levels.dtype)

    return replace(
        tracks,
        times=times,
        amplitude=longer(tracks.amplitude),
        deviation=interpolate(tracks.deviation, tracks.times, place),
        noise=longer(tracks.noise),
    )


def fade(n_samples: int, sample_rate: int, *, held: float, release: float) -> Tensor:
    """Return the gain of a note that is let go, `(time,)`: 1, then 60 dB down within `release` and on to 0.

    Args:
        n_samples: Length.
        sample_rate: Hz.
        held, release: Seconds.

    Example:
        >>> fade(4, 2, held=1.0, release=1.0)[:2].tolist()
        [1.0, 1.0]
    """
    late = (torch.arange(n_samples, dtype=torch.float64) / sample_rate - held).clamp(min=0)
    share = (late / max(release, 1 / sample_rate)).clamp(max=1)
    return (torch.exp(-share * (FADE_DB / 20 * math.log(10))) * (1 - share)).float()
