"""What can be measured of one note with a known pitch: its spectrum, envelope, partials and vibrato.

Plain estimators on a waveform, each with its unit, after the audio descriptors of Peeters et al. (2011). Nothing is
learnt and nothing is downloaded. What cannot be measured, as in silence, is NaN.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.tuning import Spectrum

Array = NDArray[np.float64]
WINDOW_SECONDS = 0.046
N_BANDS = 40
LOWEST_HZ, HIGHEST_HZ = 30.0, 16_000.0
FLOOR_DB = -80.0
LEAST_POWER = 1e-9  # of a bin, against the loudest: what integers of 16 bits leave
HEARD_DB = -40.0
ENVELOPE_SECONDS = 0.005
LEAST_ATTACK_SECONDS = 0.06
ROLLOFF = 0.85
N_PARTIALS = 12
LEAST_PARTIAL = 10 ** (-50 / 20)
VIBRATO_HZ = (3.0, 9.0)
NAN = float("nan")


class Spectra(NamedTuple):
    """Power of every frame and bin, `(frame, bin)`; the frequency of each bin in Hz; seconds between frames."""

    power: Array
    hz: Array
    hop_seconds: float


def spectra_of(waveform: NDArray[np.floating], sample_rate: int) -> Spectra:
    """Return power spectra of a waveform `(time,)`: Hann windows of about 46 ms, a quarter of that apart."""
    n_fft = 1 << round(np.log2(WINDOW_SECONDS * sample_rate))
    hop = n_fft // 4
    padded = np.pad(np.asarray(waveform, dtype=np.float32), (n_fft // 2, n_fft))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(n_fft).astype(np.float32))) ** 2
    hz = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    return Spectra(power.astype(np.float64), hz, hop / sample_rate)


# ---- spectrum


@lru_cache(maxsize=4)
def mel_filters(n_bins: int, top_hz: float) -> Array:
    """Return triangles `(band, bin)` of area 1, even on the mel scale of O'Shaughnessy (1987)."""
    hz = np.linspace(0.0, top_hz, n_bins)
    lowest, highest = (2595 * math.log10(1 + end / 700) for end in (LOWEST_HZ, min(HIGHEST_HZ, top_hz)))
    edges = 700 * (10 ** (np.linspace(lowest, highest, N_BANDS + 2) / 2595) - 1)
    # a band narrower than two bins would miss them all
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    half = np.maximum(np.minimum(middle - low, high - middle), hz[1])
    triangles = np.maximum(0.0, 1 - np.abs(hz - middle[:, None]) / half[:, None])
    return triangles / triangles.sum(axis=1, keepdims=True)


def log_mel(spectra: Spectra) -> Array:
    """Return `(frame, band)` levels in dB below the loudest, -80 at least."""
    bands = spectra.power @ mel_filters(spectra.power.shape[1], float(spectra.hz[-1])).T
    loudest = bands.max(initial=0.0)
    if loudest <= 0:
        return np.full(bands.shape, FLOOR_DB)
    return np.maximum(10 * np.log10(np.maximum(bands / loudest, 1e-12)), FLOOR_DB)


def cepstra(mel_db: Array, n_values: int) -> Array:
    """Return `(frame, n_values)` cepstra (orthonormal DCT-II of the bands) from the first: level is left out."""
    n_bands = mel_db.shape[1]
    angle = np.pi / n_bands * (np.arange(n_bands) + 0.5)
    return mel_db @ np.cos(angle[:, None] * np.arange(1, n_values + 1)) * np.sqrt(2 / n_bands)


SHAPE = ("centroid", "spread", "rolloff", "flatness")


def shape_of(spectra: Spectra) -> Array:
    """Return `(frame, 4)`: centroid, spread and 85 % roll-off in octaves above 1 Hz, and flatness in dB.

    Above the frequencies of the bands nothing counts, so that sounds of several rates can be compared.
    """
    inside = (spectra.hz >= LOWEST_HZ) & (spectra.hz <= HIGHEST_HZ)
    power, hz = spectra.power[:, inside], spectra.hz[inside]
    power = power + LEAST_POWER * power.max(initial=1e-12)
    total = power.sum(axis=1)
    centroid = power @ hz / total
    spread = np.sqrt(np.maximum(power @ hz**2 / total - centroid**2, 1.0))
    place = (np.cumsum(power, axis=1) < ROLLOFF * total[:, None]).sum(axis=1)
    rolloff = hz[np.minimum(place, len(hz) - 1)]
    flatness = 10 * np.log10(np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1))
    return np.stack([np.log2(centroid), np.log2(spread), np.log2(rolloff), flatness], axis=1)


# ---- envelope


class Envelope(NamedTuple):
    """Level over time: `rms` `(frame,)`, seconds between frames, and which frames are heard, first and last + 1."""

    rms: Array
    hop_seconds: float
    first: int
    last: int

    @property
    def top(self) -> int:
        """First frame at nine tenths of the largest level: the end of the attack."""
        return int(np.argmax(self.rms >= 0.9 * self.rms.max()))


def envelope_of(waveform: NDArray[np.floating], sample_rate: int, hz: float) -> Envelope | None:
    """Return the level of a note of pitch `hz` every 5 ms, over whole periods, 10 ms or more; None for silence."""
    hop = max(1, round(ENVELOPE_SECONDS * sample_rate))
    width = round(np.ceil(2 * ENVELOPE_SECONDS * hz) / hz * sample_rate)
    total = np.cumsum(np.pad(np.asarray(waveform, dtype=np.float64) ** 2, (width // 2 + 1, width)))
    starts = np.arange(0, len(waveform), hop)
    rms = np.sqrt(np.maximum(total[starts + width] - total[starts], 0) / width)
    if rms.max(initial=0.0) < 1e-5:
        return None
    heard = np.flatnonzero(rms >= rms.max() * 10 ** (HEARD_DB / 20))
    return Envelope(rms, hop / sample_rate, int(heard[0]), int(heard[-1]) + 1)


ENVELOPE = ("log_attack", "temporal_centroid", "decay_slope", "duration")


def envelope_facts(envelope: Envelope) -> tuple[float, float, float, float]:
    """Return what an envelope tells.

    Returns:
        Time from a tenth to nine tenths of the largest level (log10 of s), temporal centroid (s after the onset), slope
        after the largest level (dB/s), and the time above a hundredth of it (s).
    """
    rms, hop = envelope.rms, envelope.hop_seconds
    begin = int(np.argmax(rms >= 0.1 * rms.max()))
    attack = max(envelope.top - begin, 1) * hop
    heard = rms[envelope.first : envelope.last]
    centroid = float(np.arange(len(heard)) @ heard / heard.sum()) * hop
    peak = int(np.argmax(rms))
    tail = 20 * np.log10(np.maximum(rms[peak : envelope.last], 1e-9))
    slope = float(np.polyfit(np.arange(len(tail)) * hop, tail, 1)[0]) if len(tail) > 2 else 0.0
    return float(np.log10(attack)), centroid, slope, len(heard) * hop


def parts_of(envelope: Envelope) -> tuple[tuple[float, float], ...]:
    """Return where attack (60 ms at least), sustain and decay lie, in s; the last two halve what is heard after it."""
    start, end = envelope.first * envelope.hop_seconds, envelope.last * envelope.hop_seconds
    split = min(max(envelope.top * envelope.hop_seconds, start + LEAST_ATTACK_SECONDS), end)
    middle = (split + end) / 2
    return (start, split), (split, middle), (middle, end)


# ---- partials


class Partials(NamedTuple):
    """Partials that were found: rank, frequency in Hz, magnitude, `(partial,)` each; and the stretch B."""

    rank: Array
    hz: Array
    magnitude: Array
    stretch: float


def partials_of(spectrum: Spectrum, hz: float) -> Partials:
    """Follow the partials of a pitch upwards, each looked for where a stiff string would have it.

    Args:
        spectrum: Of the steady part of a note.
        hz: Its pitch, true within half a semitone.
    """
    found: list[tuple[float, float, float]] = []
    base, stretch = hz, 0.0
    loudest = float(spectrum.magnitude.max(initial=0.0))
    for rank in range(1, N_PARTIALS + 1):
        place = rank * base * np.sqrt(1 + stretch * rank**2)
        if place * 1.04 >= spectrum.top_hz or loudest <= 0:
            break
        peak = _peak(spectrum, place, min(0.035 * place, 0.4 * hz))
        if peak is not None and peak[1] > LEAST_PARTIAL * loudest:
            found.append((float(rank), *peak))
            base, stretch = _stiff(np.array(found), base)
    table = np.array(found).reshape(-1, 3)
    return Partials(table[:, 0], table[:, 1], table[:, 2], stretch)


def _peak(spectrum: Spectrum, hz: float, room: float) -> tuple[float, float] | None:
    """Frequency and magnitude of the highest peak near a frequency, by a parabola through its logarithm."""
    first, last = int((hz - room) / spectrum.hz_per_bin), int((hz + room) / spectrum.hz_per_bin) + 2
    part = spectrum.magnitude[first:last]
    place = int(np.argmax(part)) if len(part) > 2 else 0
    if not 0 < place < len(part) - 1 or part[place - 1 : place + 2].min() <= 0:
        return None
    low, middle, high = np.log(part[place - 1 : place + 2])
    bend = low - 2 * middle + high
    offset = 0.5 * (low - high) / bend if bend < 0 else 0.0
    return (first + place + offset) * spectrum.hz_per_bin, float(np.exp(middle - 0.25 * (low - high) * offset))


def _stiff(found: Array, base: float) -> tuple[float, float]:
    """Fit f_k = k f0 (1 + B k²)^½ (Fletcher 1964) to (rank, Hz, magnitude); B only where three partials speak."""
    rank, hz, magnitude = found.T
    if len(rank) < 3:
        return float(np.average(hz / rank, weights=magnitude)) if len(rank) else base, 0.0
    slope, start = np.polyfit(rank**2, (hz / rank) ** 2, 1, w=np.sqrt(magnitude))
    if start <= 0 or slope <= 0:
        return float(np.average(hz / rank, weights=magnitude)), 0.0
    return float(np.sqrt(start)), float(min(slope / start, 0.02))


PARTIALS = ("inharmonicity", "odd_even", "noise_level")


def partial_facts(spectrum: Spectrum, hz: float) -> tuple[float, float, float]:
    """Return what the partials tell.

    Returns:
        log10(B + 1e-6) of the stretch B; energy of the odd partials from the third against the even ones (dB, within
        ± 40); energy between the partials, as far as the twelfth, against all of it (dB, -80 at least).
    """
    partials = partials_of(spectrum, hz)
    if not len(partials.rank):
        return NAN, NAN, 0.0
    energy = partials.magnitude**2
    odd = energy[(partials.rank % 2 == 1) & (partials.rank > 1)].sum()
    even = energy[partials.rank % 2 == 0].sum()
    floor = 1e-4 * energy.sum()
    ratio = 10 * np.log10((odd + floor) / (even + floor))
    return float(np.log10(partials.stretch + 1e-6)), float(np.clip(ratio, -40, 40)), _noise_db(spectrum, hz, partials)


def _noise_db(spectrum: Spectrum, hz: float, partials: Partials) -> float:
    base = float(np.average(partials.hz / partials.rank / np.sqrt(1 + partials.stretch * partials.rank**2)))
    rank = np.arange(1, N_PARTIALS + 1)
    places = rank * base * np.sqrt(1 + partials.stretch * rank**2)
    last = int(min(places[-1] + 0.5 * hz, spectrum.top_hz) / spectrum.hz_per_bin)
    bins = np.arange(last) * spectrum.hz_per_bin
    power = spectrum.magnitude[:last] ** 2
    nearest = places[np.abs(bins[:, None] - places).argmin(axis=1)]
    room = np.clip(0.03 * nearest, 8 * spectrum.hz_per_bin, 0.36 * hz)
    counted = bins > 0.5 * hz
    total = power[counted].sum()
    between = power[counted & (np.abs(bins - nearest) > room)].sum()
    return float(max(10 * np.log10(between / total), FLOOR_DB)) if total > 0 and between > 0 else FLOOR_DB


def vibrato_cents(waveform: NDArray[np.floating], sample_rate: int, hz: float, rank: int = 1) -> float:
    """Return how far the pitch of a note swings to either side at 3 to 9 times a second, in cents; 0 for a short one.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
        hz: Its pitch.
        rank: The partial to follow; the strongest is the best.
    """
    carrier = rank * hz
    time = np.arange(len(waveform)) / sample_rate
    moved = np.asarray(waveform, dtype=np.float64) * np.exp(-2j * np.pi * carrier * time)
    width = max(round(max(4 / hz, 0.02) * sample_rate), 8)  # four periods: the neighbours fall on zeros of the window
    hop = max(1, round(ENVELOPE_SECONDS * sample_rate))
    if len(moved) <= width:
        return 0.0
    track = np.lib.stride_tricks.sliding_window_view(moved, width)[::hop] @ np.hanning(width + 1)[:-1]
    level = np.abs(track)
    strong = np.flatnonzero(level > 10 ** (-30 / 20) * level.max(initial=0.0))
    if not len(strong) or (strong[-1] - strong[0]) * hop / sample_rate < 0.5:
        return 0.0
    skip = round(0.1 * sample_rate / hop)  # the attack
    phase = np.unwrap(np.angle(track[strong[0] + skip : strong[-1] + 1]))
    cents = 1200 * np.log2(np.maximum(1 + np.diff(phase) * sample_rate / (2 * np.pi * hop * carrier), 0.5))
    window = np.hanning(len(cents))
    size = 8 * len(cents)
    swing = 2 * np.abs(np.fft.rfft((cents - np.median(cents)) * window, size)) / window.sum()
    rate = np.fft.rfftfreq(size, hop / sample_rate)
    inside = (rate >= VIBRATO_HZ[0]) & (rate <= VIBRATO_HZ[1])
    return float(min(swing[inside].max(initial=0.0), 100.0))
