"""The part of a note that can go round: where it lies, and how its end is joined to its beginning without a click.

A loop is a whole number of periods inside the stable part of the note. Before its end the sound is blended into what
precedes its beginning, so the last sample of the loop leads on to the first. Notes that die away have no loop.
"""

from typing import NamedTuple

import numpy as np

from audiogan.pipelines.waveform.sound import Waveform, rise
from audiogan.representation.sustain import STABLE_FROM, STABLE_TO

BLEND_SHARE = 0.3  # of the loop
FRAME_SECONDS = 0.05
STEADY_DB_PER_SECOND = 8.0  # a note that loses more dies away
AUDIBLE_DB = -50.0


class Loop(NamedTuple):
    """First sample of a loop and the one after its last."""

    first: int
    stop: int


def find_loop(waveform: Waveform, sample_rate: int, hz: float) -> Loop | None:
    """Return the loop of a note, or None where it dies away or is too short to have one.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
        hz: Its fundamental frequency.
    """
    sounding = waveform[: sounding_length(waveform, sample_rate)]
    first, last = (round(share * len(sounding)) for share in (STABLE_FROM, STABLE_TO))
    period = sample_rate / hz
    n_periods = int((last - first) / period)
    if n_periods < 4 or not is_steady(sounding, sample_rate):
        return None
    # Among the last few numbers of periods the one that is nearest to whole samples.
    tried = range(max(4, n_periods - 40), n_periods + 1)
    best = min(tried, key=lambda n: (round(abs(n * period - round(n * period)), 3), -n))
    return Loop(first, first + round(best * period))


def sounding_length(waveform: Waveform, sample_rate: int) -> int:
    """Return the samples of a note before only silence is left, 50 dB below its loudest 50 ms."""
    levels = levels_db(waveform, sample_rate)
    heard = np.flatnonzero(levels > levels.max() + AUDIBLE_DB)
    return min(len(waveform), round((int(heard[-1]) + 1) * FRAME_SECONDS * sample_rate)) if len(heard) else 0


def is_steady(waveform: Waveform, sample_rate: int) -> bool:
    """Whether the stable part of a note `(time,)` is heard and loses less than 8 dB a second."""
    levels = levels_db(waveform, sample_rate)
    first, last = (round(share * len(levels)) for share in (STABLE_FROM, STABLE_TO))
    part = levels[first:last]
    if len(part) < 2 or part.max() < levels.max() + AUDIBLE_DB or levels.max() < AUDIBLE_DB:
        return False
    seconds = np.arange(len(part)) * FRAME_SECONDS
    return bool(abs(np.polyfit(seconds, part, 1)[0]) < STEADY_DB_PER_SECOND)


def levels_db(waveform: Waveform, sample_rate: int) -> np.ndarray:
    """Return root mean squares of 50 ms frames in dB of full scale, `(frame,)`, -120 at least."""
    size = max(1, round(FRAME_SECONDS * sample_rate))
    n_frames = max(1, len(waveform) // size)
    frames = np.resize(waveform, n_frames * size).reshape(n_frames, size).astype(np.float64)
    return 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)


def blended(waveform: Waveform, loop: Loop) -> Waveform:
    """Return the waveform, the end of its loop blended into what comes before the loop's beginning.

    The gains add up to 1 where both sides are alike, and by the measured likeness to equal power where they are not.

    Args:
        waveform: `(time,)`.
        loop: Inside it.
    """
    n = min(loop.first, round(BLEND_SHARE * (loop.stop - loop.first)))
    old = waveform[loop.stop - n : loop.stop].astype(np.float64)
    new = waveform[loop.first - n : loop.first].astype(np.float64)
    power = np.sqrt((old @ old) * (new @ new))
    likeness = float(np.clip(old @ new / power, 0.0, 1.0)) if power > 0 else 1.0
    up = rise(n).astype(np.float64)
    level = 1 / np.sqrt(up**2 + (1 - up) ** 2 + 2 * likeness * up * (1 - up))
    joined = waveform.copy()
    joined[loop.stop - n : loop.stop] = level * ((1 - up) * old + up * new)
    return joined


def held(waveform: Waveform, sample_rate: int, hz: float, n_samples: int) -> Waveform:
    """Return a note of `n_samples`, `(time,)`: cut, or going round in its loop; one without a loop ends in silence.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
        hz: Its fundamental frequency.
        n_samples: Wanted.
    """
    if n_samples <= round(STABLE_TO * sounding_length(waveform, sample_rate)):
        return waveform[:n_samples]
    loop = find_loop(waveform, sample_rate, hz)
    if loop is None:
        return np.pad(waveform[:n_samples], (0, max(0, n_samples - len(waveform))))
    place = np.arange(n_samples)
    size = loop.stop - loop.first
    place = np.where(place < loop.stop, place, loop.first + (place - loop.first) % size)
    return blended(waveform, loop)[place]
