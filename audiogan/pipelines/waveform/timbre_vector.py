"""A note as a vector of hand-made descriptors, by which sets of notes are compared.

No network stands behind it, least of all one that was trained with the model. Level is left out and pitch is known:
cepstra of log-mel spectra over attack, sustain and decay, the shape of the spectrum, the partials against what lies
between them, the envelope, and vibrato.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.tuning import spectrum_of
from audiogan.evaluation.distances import Scaler
from audiogan.pipelines.waveform.descriptors import (
    ENVELOPE,
    FLOOR_DB,
    NAN,
    PARTIALS,
    SHAPE,
    Array,
    Spectra,
    cepstra,
    envelope_facts,
    envelope_of,
    log_mel,
    partial_facts,
    partials_of,
    parts_of,
    shape_of,
    spectra_of,
    vibrato_cents,
)

N_MEANS, N_SPREADS = 12, 6
PARTS = ("attack", "sustain", "decay")
NAMES: tuple[str, ...] = (
    *(f"cepstrum_{i}_{part}" for part in PARTS for i in range(1, N_MEANS + 1)),
    *(f"cepstrum_{i}_spread_{part}" for part in PARTS for i in range(1, N_SPREADS + 1)),
    *(f"{name}_{kind}" for kind in ("mean", "spread") for name in SHAPE),
    *PARTIALS,
    *ENVELOPE,
    "vibrato",
)
"""What stands at each place of a vector."""
FARTHEST = 8.0


def place_of(name: str) -> int:
    """Return where a descriptor stands in a vector."""
    return NAMES.index(name)


def describe(waveform: NDArray[np.floating], sample_rate: int, hz: float) -> Array:
    """Return the vector of a note, `(len(NAMES),)`; all NaN for silence.

    Args:
        waveform: `(time,)`, finite.
        sample_rate: In Hz.
        hz: Its pitch, true within half a semitone.
    """
    envelope = envelope_of(waveform, sample_rate, hz)
    if envelope is None:
        return np.full(len(NAMES), NAN)
    spectra = spectra_of(waveform, sample_rate)
    steady = spectrum_of(np.asarray(waveform, dtype=np.float32), sample_rate)
    partials = partials_of(steady, hz)
    strongest = int(partials.rank[np.argmax(partials.magnitude)]) if len(partials.rank) else 1
    values = [
        *_cepstral(spectra, parts_of(envelope)),
        *_shape(spectra, envelope.first * envelope.hop_seconds, envelope.last * envelope.hop_seconds),
        *partial_facts(steady, hz),
        *envelope_facts(envelope),
        vibrato_cents(waveform, sample_rate, hz, strongest),
    ]
    return np.array(values, dtype=np.float64)


def _span(spectra: Spectra, start: float, end: float) -> slice:
    """Frames between two times, one at least."""
    first = min(int(start / spectra.hop_seconds), len(spectra.power) - 1)
    return slice(first, max(first + 1, int(np.ceil(end / spectra.hop_seconds))))


def _cepstral(spectra: Spectra, parts: Sequence[tuple[float, float]]) -> list[float]:
    values = cepstra(log_mel(spectra), N_MEANS)
    chosen = [values[_span(spectra, *part)] for part in parts]
    means = [float(value) for part in chosen for value in part.mean(axis=0)]
    return means + [float(value) for part in chosen for value in part[:, :N_SPREADS].std(axis=0)]


def _shape(spectra: Spectra, start: float, end: float) -> list[float]:
    span = _span(spectra, start, end)
    values, weight = shape_of(spectra)[span], np.sqrt(spectra.power[span].sum(axis=1)) + 1e-12
    mean = np.average(values, axis=0, weights=weight)
    return [*mean, *np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weight))]


def scaled(vectors: Array, scaler: Scaler) -> Array:
    """Return vectors `(note, descriptor)` as robust z-scores; silence lies as far away as anything can.

    Example:
        >>> from audiogan.evaluation.distances import Scaler
        >>> scaled(np.array([[2.0], [np.nan]]), Scaler(np.array([1.0]), np.array([0.5]))).tolist()
        [[2.0], [8.0]]
    """
    silent = np.isnan(vectors).all(axis=1, keepdims=True)
    return np.where(silent, FARTHEST, scaler.transform(vectors))


def mel_distance(first: Array, second: Array) -> float:
    """Return the mean difference of two `(frame, band)` log-mel spectra in dB; the shorter one ends in silence."""
    size = max(len(first), len(second))
    a: Array = np.pad(first, ((0, size - len(first)), (0, 0)), constant_values=FLOOR_DB)
    b: Array = np.pad(second, ((0, size - len(second)), (0, 0)), constant_values=FLOOR_DB)
    heard = np.maximum(a, b) > FLOOR_DB + 1  # both silent is no success
    return float(np.mean(np.abs(a - b), where=heard)) if heard.any() else 0.0
