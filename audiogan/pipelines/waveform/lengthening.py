"""Notes that were let go before their planes end, made to hold.

A model that learnt from short recordings makes notes that end early, with silence up to the length of its planes, and
silence cannot be held. Such a note is read backwards and forwards through the stable part of what sounds, as
`audiogan.representation.sustain` does with whole notes. Notes that die away by themselves stay as they are.
"""

import numpy as np
import torch
from torch import Tensor

from audiogan.pipelines.waveform.looping import AUDIBLE_DB, STEADY_DB_PER_SECOND
from audiogan.representation.harmonic import Harmonic
from audiogan.representation.sustain import STABLE_FROM, STABLE_TO, reading_place
from audiogan.representation.tracks import AMPLITUDE_POWER, NOISE_POWER

WHOLE_SHARE = 0.9  # a note that sounds for longer than this is held as it is
LEAST_FRAMES = 4
STEADY_BELOW_PEAK_DB = 30.0


def lengthened(planes: Tensor, representation: Harmonic) -> Tensor:
    """Return planes of a note that sounds to their end if it held before it was let go, else the same planes.

    Args:
        planes: `(3, row, 1 + frame)`.
        representation: What they mean.
    """
    times = representation.times
    levels = frame_levels_db(planes)
    heard = (levels > levels.max() + AUDIBLE_DB).nonzero()[:, 0]
    end = float(times[heard[-1]]) if len(heard) else 0.0
    if levels.max() < AUDIBLE_DB or end >= WHOLE_SHARE * float(times[-1]):
        return planes
    first, last = STABLE_FROM * end, STABLE_TO * end
    stable = (times >= first) & (times <= last)
    if int(stable.sum()) < LEAST_FRAMES or levels[stable].min() < levels.max() - STEADY_BELOW_PEAK_DB:
        return planes
    slope = np.polyfit(times[stable].numpy(), levels[stable].numpy(), 1)[0]
    if abs(slope) > STEADY_DB_PER_SECOND:
        return planes
    place = reading_place(times, first, last)
    frame = torch.searchsorted(times, place).clamp(max=len(times) - 1)
    return torch.cat((planes[..., :1], planes[..., 1:][..., frame]), dim=-1)


def frame_levels_db(planes: Tensor) -> Tensor:
    """Return how loud each frame is, `(frame,)` float64 dB, -120 at least.

    Args:
        planes: `(3, row, 1 + frame)`.
    """
    amplitude, _, noise = ((planes[..., 1:].double().clamp(-1, 1) + 1) / 2).unbind(0)
    power = (amplitude ** (2 / AMPLITUDE_POWER)).sum(0) / 2 + (noise ** (2 / NOISE_POWER)).mean(0)
    return 10 * torch.log10(power + 1e-12)
