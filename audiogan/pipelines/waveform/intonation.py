"""Is a note in tune? What two judges hear beside what was asked: harmonic combs, and swift-f0 where it is installed.

Judges err, most of all by octaves, so real notes always stand beside generated ones under the same judge. The comb
knows what was asked and covers all pitches; the tracker knows nothing and covers 46.9 to 2093 Hz.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.pitchtrack import estimate_pitch, has_tracker
from audiogan.corpus.tuning import check_octave, measure_tuning

IN_TUNE_CENTS = 20.0
COMB_CENTS = 60.0
OCTAVE_CENTS = 50.0
_JUMPS = np.array([-2400.0, -1902.0, -1200.0, 1200.0, 1902.0, 2400.0])
TRACKER_HZ = (46.9, 2093.0)


class Tuning(NamedTuple):
    """How far a note lies from what was asked, in cents (NaN: no clear pitch), and whether it is an octave off."""

    cents: float
    is_octave_off: bool

    @property
    def is_in_tune(self) -> bool:
        """Within 20 cents and in the right octave."""
        return abs(self.cents) <= IN_TUNE_CENTS and not self.is_octave_off


Judge = Callable[[NDArray[np.float32], int, float], Tuning | None]


def by_comb(waveform: NDArray[np.float32], sample_rate: int, hz: float) -> Tuning | None:
    """Judge a note `(time,)` by the combs of `corpus.tuning`, within 60 cents; the octave is judged apart."""
    is_off = check_octave(waveform, sample_rate, hz) != hz
    found = measure_tuning(waveform, sample_rate, hz, within_cents=COMB_CENTS)
    return Tuning(float("nan") if found is None else found[0], is_off)


def by_tracker(waveform: NDArray[np.float32], sample_rate: int, hz: float) -> Tuning | None:
    """Judge a note `(time,)` by swift-f0 without telling it what was asked; None outside its range.

    Raises:
        UnsupportedError: swift-f0 is not installed.
    """
    if not TRACKER_HZ[0] <= hz <= TRACKER_HZ[1]:
        return None
    found = estimate_pitch(waveform, sample_rate)
    return Tuning(float("nan"), False) if found is None else from_estimate(found.hz, hz)


def from_estimate(heard_hz: float, asked_hz: float) -> Tuning:
    """Compare an estimate with what was asked; octaves, twelfths and double octaves count as octave errors.

    Example:
        >>> from_estimate(880.0, 440.0)
        Tuning(cents=1200.0, is_octave_off=True)
    """
    cents = 1200 * float(np.log2(heard_hz / asked_hz))
    return Tuning(cents, bool((np.abs(cents - _JUMPS) <= OCTAVE_CENTS).any()))


def judges() -> dict[str, Judge]:
    """Return the judges at hand by name."""
    return {"comb": by_comb} | ({"swift-f0": by_tracker} if has_tracker() else {})
