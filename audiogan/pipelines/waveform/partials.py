"""A note as levels of its partials over time, and how far two such notes lie apart.

A recording that was moved by some cents, made louder, or shifted a little keeps its partials: their levels against each
other, and how each grows and fades. Two recordings of one instrument already differ in them by more. Levels are means
over segments that grow with time, level left out, at the best of a few shifts; cells that are loud in either note count
by how loud they are, so that silence in both, of which notes with few partials have much, makes nobody alike. What no
planes of the `harmonic` representation hold is encoded for the purpose. Noise is not compared.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from audiogan.corpus.notes import hz_of
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.voice import represent
from audiogan.representation.base import HarmonicConfig
from audiogan.representation.harmonic import Harmonic
from audiogan.representation.tracks import AMPLITUDE_POWER

N_PARTIALS = 32
EDGES = (0.04, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.7, 0.9, 1.1, 1.35, 1.6, 2.0, 2.4, 2.8, 3.2, 3.6, 4.0)
"""Seconds; before them the best of a few shifts may still cut an attack elsewhere."""
SHIFTS = (0.0, -0.02, -0.01, 0.01, 0.02)
FLOOR_DB = -25.0  # below the loudest cell; with what is quieter, noise at -40 dB of the note has more of a say
STEPS_PER_DB = 4
Levels = NDArray[np.uint8]


def ear(config: Config) -> Harmonic:
    """Return the representation by which partials are found: the model's own if it is `harmonic`, else the default."""
    own = represent(config)
    if isinstance(own, Harmonic):
        return own
    return Harmonic(HarmonicConfig(), sample_rate=config.sample_rate, seconds=config.seconds)


def levels_of_planes(config: Config, planes: NDArray[np.floating], pitch: float) -> Levels:
    """Return `(shift, segment, partial)` in quarters of a dB above 25 dB below the loudest, 0 to 100.

    Args:
        config: Of a model with the `harmonic` representation.
        planes: `(3, row, 1 + frame)`; what is not finite counts as silence.
        pitch: MIDI.
    """
    heard = ear(config)
    kept = torch.from_numpy(np.nan_to_num(np.asarray(planes, dtype=np.float32), nan=-1.0))
    kept = heard.apply_mask(kept, torch.tensor(hz_of(pitch)))
    amplitude = ((kept[0, :N_PARTIALS, 1:].numpy().clip(-1, 1) + 1) / 2) ** (1 / AMPLITUDE_POWER)
    return _levels(amplitude.astype(np.float64) ** 2, heard.times.numpy())


def levels_of_sound(config: Config, waveform: NDArray[np.floating], pitch: float) -> Levels:
    """Return the same of a sound.

    Args:
        config: The model's.
        waveform: `(time,)` at the model's rate, finite.
        pitch: MIDI.
    """
    hz = torch.tensor([hz_of(pitch)], dtype=torch.float32)
    planes = ear(config).encode(torch.from_numpy(np.asarray(waveform, dtype=np.float32))[None], hz)[0]
    return levels_of_planes(config, planes.numpy(), pitch)


def _levels(power: NDArray[np.float64], times: NDArray[np.float64]) -> Levels:
    """Levels of `(partial, frame)` power."""
    steps = (power[:, 1:] + power[:, :-1]) / 2 * np.diff(times)
    total = np.concatenate([np.zeros((len(power), 1)), np.cumsum(steps, axis=1)], axis=1)
    mean = np.zeros((len(SHIFTS), len(EDGES) - 1, N_PARTIALS))
    for place, shift in enumerate(SHIFTS):
        edges = np.clip(np.array(EDGES) + shift, 0, times[-1])
        inside = np.array([np.interp(edges, times, one) for one in total])
        length = np.maximum(np.diff(edges), 1e-3)  # a note that ends before a segment is silent there
        mean[place, :, : len(power)] = (np.diff(inside, axis=1) / length).T
    loudest = mean.max(axis=(1, 2), keepdims=True)
    level = 10 * np.log10(np.maximum(mean / np.maximum(loudest, 1e-20), 1e-9))
    return np.round((np.maximum(level, FLOOR_DB) - FLOOR_DB) * STEPS_PER_DB).astype(np.uint8)


def partials_apart(notes: NDArray[np.uint8], references: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how far notes lie from others, `(note, reference)` in dB, 0 to 25, at the best shift of the note.

    The root of the mean squared difference of levels, each cell weighted by the sum of the squares of both its levels
    above the floor.

    Args:
        notes, references: `(note, shift, segment, partial)`; of the references the first shift is used.
    """
    theirs = _cells(references[:, 0])
    best = np.full((len(notes), len(references)), np.inf)
    for shift in range(notes.shape[1]):
        mine = _cells(notes[:, shift])
        # (a² + b²)(a - b)² is a⁴ + b⁴ + 2(ab)² - 2ab(a² + b²)
        mixed = mine**3 @ theirs.T + mine @ (theirs**3).T - mine**2 @ (theirs**2).T
        sums = (mine**4).sum(axis=1)[:, None] + (theirs**4).sum(axis=1) - 2 * mixed
        weight = (mine**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1)
        best = np.minimum(best, sums / np.maximum(weight, 1e-6))
    return np.sqrt(np.maximum(best, 0.0)) * -FLOOR_DB


def _cells(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(note, cell)` from 0 at the floor to 1."""
    return levels.reshape(len(levels), -1).astype(np.float32) / (-FLOOR_DB * STEPS_PER_DB)
