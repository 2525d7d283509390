"""The exact frequency of a note whose key is known, and whether an estimated pitch is an octave off: by harmonic combs.

A comb adds up the spectrum at the multiples of a candidate. Within half a semitone of a known key the best candidate is
the tuning of the note. Between a candidate, its half and its double the multiples that only one of them has decide:
detectors of pitch err by octaves on organs, mallets and low strings.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.audio import Waveform

_SKIP_SECONDS, _SPAN_SECONDS = 0.04, 1.5
_N_PARTIALS = 8
_STEP_CENTS = 2.0
_BAND_CENTS = 50.0
_LOBE_BINS = 6  # main lobe of the window after padding, one side
_HALF_ROOM = 0.03  # half width of a partial's neighbourhood, in units of its own frequency
_LEAST_CLARITY = 0.4
_HEARD = 0.01
_ODD_HALVES, _ODD_ABSENT, _LOW_PARTIAL = 0.3, 0.03, 0.25
_LOWEST_HZ = 20.0


class Spectrum(NamedTuple):
    """Magnitudes of the steady part of a note: `(bin,)`, and hertz per bin."""

    magnitude: NDArray[np.float64]
    hz_per_bin: float

    def peak(self, hz: float, room: float = _HALF_ROOM) -> float:
        """Return the largest magnitude near a frequency."""
        first = int((hz * (1 - room)) / self.hz_per_bin)
        last = int(np.ceil(hz * (1 + room) / self.hz_per_bin)) + 1
        return float(self.magnitude[first:last].max(initial=0))

    @property
    def top_hz(self) -> float:
        """Highest frequency that is looked at."""
        return 0.95 * self.hz_per_bin * (len(self.magnitude) - 1)


def spectrum_of(waveform: Waveform, sample_rate: int) -> Spectrum:
    """Take the spectrum of up to 1.5 s after the attack, Hann window, padded to twice its length or more."""
    size = np.abs(waveform)
    heard = np.flatnonzero(size > _HEARD * size.max(initial=0))
    start, end = (int(heard[0]), int(heard[-1]) + 1) if len(heard) else (0, len(waveform))
    skip, span = round(_SKIP_SECONDS * sample_rate), round(_SPAN_SECONDS * sample_rate)
    latest = max(min(start + skip, end - 1), end - span)  # a swell is loudest where nothing is left after it
    first = max(0, min(int(np.argmax(size)) + skip, latest))
    part = waveform[first : min(end, first + span)].astype(np.float64)
    n_fft = 1 << (2 * max(len(part), 64) - 1).bit_length()
    magnitude = np.abs(np.fft.rfft(part * np.hanning(len(part)), n_fft))
    return Spectrum(magnitude, sample_rate / n_fft)


def measure_tuning(
    waveform: Waveform, sample_rate: int, hz: float, *, within_cents: float = 50.0
) -> tuple[float, float] | None:
    """Measure how far a note lies from the frequency it should have.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
        hz: Frequency of its key.
        within_cents: Farthest it may lie away.

    Returns:
        Cents, and the share of the comb's energy in the whole sound from 0 to 1; `None` where the comb finds no clear
        maximum inside the range.
    """
    spectrum = spectrum_of(waveform, sample_rate)
    ranks = np.arange(1, _N_PARTIALS + 1)
    ranks = ranks[ranks * hz * 1.03 < spectrum.top_hz]
    if not len(ranks):
        return None
    clarity = _clarity(spectrum, hz)
    if clarity < _LEAST_CLARITY:
        return None
    cents = np.arange(-within_cents - 10, within_cents + 10 + _STEP_CENTS, _STEP_CENTS)
    places = hz * 2 ** (cents[:, None] / 1200) * ranks / spectrum.hz_per_bin  # (candidate, partial)
    found = np.interp(places, np.arange(len(spectrum.magnitude)), np.sqrt(spectrum.magnitude))
    score = (found / np.sqrt(ranks)).sum(axis=1)
    best = float(cents[int(np.argmax(score))])
    for _ in range(2):  # vibrato spreads a partial over a band, whose middle is the pitch
        best = _centroid(spectrum, hz, ranks, best)
    return (best, clarity) if abs(best) <= within_cents else None


def _centroid(spectrum: Spectrum, hz: float, ranks: NDArray[np.int64], cents: float) -> float:
    """Mean place in cents of the energy around the partials, weighted by that energy."""
    total = moment = 0.0
    for rank in ranks:
        low, high = (rank * hz * 2 ** ((cents + side * _BAND_CENTS) / 1200) for side in (-1, 1))
        reach = max(high - low, 2 * _LOBE_BINS * spectrum.hz_per_bin) / 2
        middle = (low + high) / 2
        bins = np.arange(
            max(0, int((middle - reach) / spectrum.hz_per_bin)) + 1, int((middle + reach) / spectrum.hz_per_bin)
        )
        power = spectrum.magnitude[bins] ** 2
        total += float(power.sum())
        moment += float((power * 1200 * np.log2(bins * spectrum.hz_per_bin / (rank * hz))).sum())
    return moment / total if total > 0 else cents


def _clarity(spectrum: Spectrum, hz: float) -> float:
    """Share of the energy near the first multiples of `hz`, of all energy as far as they reach; noise has 0.2."""
    last = int((_N_PARTIALS + 0.5) * hz / spectrum.hz_per_bin) + 1
    power = spectrum.magnitude[:last] ** 2
    bins = np.arange(len(power)) * spectrum.hz_per_bin / hz
    near = np.abs(bins - np.round(bins)) < np.clip(_HALF_ROOM * np.round(bins), 0.05, 0.15)
    heard = bins > 0.5
    total = float(power[heard].sum())
    return float(power[heard & near].sum()) / total if total > 0 else 0.0


def check_octave(waveform: Waveform, sample_rate: int, hz: float) -> float:
    """Return `hz`, its half, third, quarter or double, whichever the partials speak for.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
        hz: An estimate that may be an octave off.
    """
    spectrum = spectrum_of(waveform, sample_rate)
    n_partials = max(1, min(_N_PARTIALS, int(spectrum.top_hz / hz)))
    whole = np.array([spectrum.peak(rank * hz) for rank in range(1, n_partials + 1)])
    halves = np.array([spectrum.peak((rank - 0.5) * hz) for rank in range(1, n_partials + 1)])
    if not whole.any():
        return hz
    for part in (4, 3, 2):  # a strong component where only a lower fundamental can be
        if hz / part > _LOWEST_HZ and spectrum.peak(hz / part) > _LOW_PARTIAL * whole.max():
            return hz / part
    # A single stray component between the multiples is noise; partials of a lower note are several.
    if np.sum(halves > 0.05 * whole.max()) >= 2 and halves.sum() > _ODD_HALVES * whole.sum() and hz / 2 > _LOWEST_HZ:
        return hz / 2
    odd, even = whole[0::2], whole[1::2]
    if len(even) >= 1 and odd.sum() < _ODD_ABSENT * even.sum() and 2 * hz < spectrum.top_hz:
        return 2 * hz
    return hz
