"""From planes to figures: sound notes one by one, describe each, and keep no waveform.

Notes are judged as the representation sounds them, before any level, edge or release of the player, real and generated
ones alike.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from audiogan.corpus.notes import PEAK, hz_of
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.descriptors import Array
from audiogan.pipelines.waveform.intonation import Judge, Tuning
from audiogan.pipelines.waveform.note_net import N_FEATURES, embed
from audiogan.pipelines.waveform.timbre_vector import NAMES, describe
from audiogan.pipelines.waveform.voice import Played, make_planes, represent

SILENT_PEAK = 1e-3
LOUDEST_DC = 0.01
CHUNK = 32


class Measures(NamedTuple):
    """What is kept of notes.

    Args:
        vectors: `(note, descriptor)`.
        rms_db: `(note,)` level in dB of the note with its peak at `PEAK`, over the time it is heard.
        is_faulty: `(note,)`: silent, not finite, or with a mean beyond 0.01.
        tunings: By judge, one for each note; None where the judge cannot tell.
        features: `(note, 128)` of the network that hears notes; no rows unless they were asked for.
    """

    vectors: Array
    rms_db: Array
    is_faulty: NDArray[np.bool_]
    tunings: dict[str, list[Tuning | None]]
    features: Array


@torch.no_grad()
def sound(config: Config, planes: NDArray[np.floating], pitch: float) -> NDArray[np.float32]:
    """Return the waveform `(time,)` of one note.

    Args:
        config: The model's.
        planes: `(plane, row, frame)`.
        pitch: MIDI.
    """
    note = torch.from_numpy(np.asarray(planes, dtype=np.float32))[None]
    return represent(config).decode(note, torch.tensor([hz_of(pitch)], dtype=torch.float32))[0].numpy()


def measure(
    config: Config,
    planes: NDArray[np.floating],
    pitch: NDArray[np.floating],
    judges: dict[str, Judge] | None = None,
    *,
    with_features: bool = False,
) -> Measures:
    """Sound and describe notes.

    Args:
        config: The model's.
        planes: `(note, plane, row, frame)`.
        pitch: `(note,)` MIDI.
        judges: Of the tuning, by name; without them nobody judges it.
        with_features: Let `note_net` hear them too.
    """
    return _gathered(config, zip(planes, pitch.tolist(), strict=True), judges or {}, with_features)


def measure_made(
    model: Model, notes: Sequence[Played], judges: dict[str, Judge] | None = None, *, with_features: bool = False
) -> Measures:
    """Let a model make notes, then sound and describe them."""
    return _gathered(model.config, _made(model, notes), judges or {}, with_features)


def features_of(config: Config, planes: NDArray[np.floating], pitch: NDArray[np.floating]) -> Array:
    """Sound notes and let `note_net` hear them, no more.

    Args:
        config: The model's.
        planes: `(note, plane, row, frame)`.
        pitch: `(note,)` MIDI.

    Returns:
        `(note, 128)`.
    """
    found = [
        embed(_checked(sound(config, note, hz))[0], config.sample_rate)
        for note, hz in zip(planes, pitch.tolist(), strict=True)
    ]
    return np.array(found).reshape(-1, N_FEATURES)


def _made(model: Model, notes: Sequence[Played]) -> Iterator[tuple[NDArray[np.float32], float]]:
    for first in range(0, len(notes), CHUNK):
        some = notes[first : first + CHUNK]
        for planes, note in zip(make_planes(model, some).numpy(), some, strict=True):
            yield planes, note.pitch


def _gathered(
    config: Config,
    notes: "Iterator[tuple[NDArray, float]] | zip[tuple[NDArray, float]]",
    judges: dict[str, Judge],
    with_features: bool,
) -> Measures:
    vectors: list[Array] = []
    features: list[Array] = []
    levels: list[float] = []
    faults: list[bool] = []
    tunings: dict[str, list[Tuning | None]] = {name: [] for name in judges}
    for planes, pitch in notes:
        waveform = sound(config, planes, pitch)
        whole, is_faulty = _checked(waveform)
        faults.append(is_faulty)
        vectors.append(_quietly(describe, whole, config.sample_rate, hz_of(pitch)))
        levels.append(rms_db(whole))
        if with_features:
            features.append(embed(whole, config.sample_rate))
        for name, judge in judges.items():
            tunings[name].append(judge(whole, config.sample_rate, hz_of(pitch)))
    table = np.array(vectors).reshape(-1, len(NAMES))
    heard = np.array(features).reshape(-1, N_FEATURES)
    return Measures(table, np.array(levels), np.array(faults, dtype=bool), tunings, heard)


def _quietly(function: Callable[..., Array], *values: object) -> Array:
    """Numbers that overflow in a broken note become NaN, and the note is counted as far from all others."""
    with np.errstate(all="ignore"):
        vector = function(*values)
    return vector if np.isfinite(vector).any() else np.full(len(vector), np.nan)


def _checked(waveform: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Return a finite waveform within full scale, and whether it was broken."""
    finite = np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)
    peak = float(np.abs(finite).max(initial=0.0))
    is_faulty = not np.isfinite(waveform).all() or peak < SILENT_PEAK
    if peak < SILENT_PEAK:
        return np.zeros_like(finite), True
    levelled = (finite * np.float32(PEAK / peak)).astype(np.float32)
    return levelled, is_faulty or abs(float(levelled.mean(dtype=np.float64))) > LOUDEST_DC


def rms_db(waveform: NDArray[np.floating]) -> float:
    """Return the level in dB of what lies within 40 dB of the peak; -120 for silence."""
    size = np.abs(waveform)
    heard = np.flatnonzero(size > 0.01 * size.max(initial=0.0))
    if not len(heard):
        return -120.0
    part = np.asarray(waveform[heard[0] : heard[-1] + 1], dtype=np.float64)
    return float(10 * np.log10(np.mean(part**2) + 1e-12))
