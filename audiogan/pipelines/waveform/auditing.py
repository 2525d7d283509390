"""Copies among notes: how near one sounds to another of its pitch, and how a copyist would disguise a note.

Two views: log-mel spectra of twelve segments that grow with time, level left out, at the best shift within 50 ms, and
the timbre vector. Notes are
compared with notes within a semitone and a half, the bands moved so that partials meet; a note far from all others in
pitch is near none. Nearness by nature is kept out by holding out whole instruments: two neighbouring keys or two
velocities of one instrument are alike without being copies, so both lie on the same side, and what a new note is
allowed is how near the nearest note of *another* instrument comes. Programs of SoundFonts share recordings, which are
twins across the split: a held-out note as near as a disguise lies is taken out, and their share is told.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from audiogan.corpus.audio import resample
from audiogan.corpus.notes import hz_of
from audiogan.errors import UnsupportedError
from audiogan.evaluation.audit import Audit, Material, Near, Pair, View, audit, half_of_nearest
from audiogan.evaluation.distances import fit_scaler
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.dataset import Notes
from audiogan.pipelines.waveform.descriptors import Array
from audiogan.pipelines.waveform.timbre import random_timbre
from audiogan.pipelines.waveform.timbre_vector import NAMES, describe, scaled
from audiogan.pipelines.waveform.voice import Played, into_range, make_planes, represent

MEL, TIMBRE = "log-mel in dB", "timbre vector"
RATE = 16_000  # at which notes are listened to
N_BANDS, LOWEST_HZ, HIGHEST_HZ = 64, 30.0, 7_600.0
N_FFT, HOP = 1024, 200
SPREAD = (1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9)  # of a band over its neighbours: 10 cents then move no partial far
EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
"""Seconds: noise is never the same twice, and only its mean over a time can be compared."""
SHIFTS = (0.0, -0.05, -0.025, 0.025, 0.05)
FLOOR_DB = -30.0  # below the loudest band: under it a background at -40 dB of the note hides what is there
STEPS_PER_DB = 4
KEY_STEP = 3
CENTS, GAIN_DB, SHIFT_SECONDS, BACKGROUND_DB = 10.0, 3.0, 0.02, -40.0
N_DISGUISES, TWIN_SHARE = 100, 95
CHUNK = 32
Waveform = NDArray[np.float32]
Sounding = Callable[[int], Waveform]
"""From a sample rate to the sound `(time,)`."""


@dataclass(frozen=True, eq=False)
class Heard:
    """A note as the audit hears it.

    Args:
        mel: `(shift, segment, band)` levels in quarters of a dB above 30 dB below the loudest, 0 to 120; the first is
            not shifted.
        pitch: MIDI.
        vector: `(descriptor,)`; empty where only log-mel spectra are compared.
        sound: Makes the note sound again, for disguises and for ears.
        name: What it is: instrument and pitch of a training note, number of a new one.
    """

    mel: NDArray[np.uint8]
    pitch: float
    vector: Array
    sound: Sounding
    name: str = ""

    @property
    def key(self) -> int:
        """The middle of the three semitones that it is compared within."""
        return key_of(self.pitch)


def key_of(pitch: float) -> int:
    """Return the nearest key that is a multiple of three.

    Example:
        >>> key_of(58.6), key_of(60.4), key_of(61.6)
        (60, 60, 63)
    """
    return KEY_STEP * math.floor(pitch / KEY_STEP + 0.5)


# ---- hearing


@lru_cache(maxsize=256)
def _filters(semitones: float) -> NDArray[np.float32]:
    """Triangles `(band, bin)`, even on the mel scale, each spread over its neighbours, moved up by some semitones."""
    hz = np.fft.rfftfreq(N_FFT, 1 / RATE) / 2 ** (semitones / 12)
    lowest, highest = (2595 * math.log10(1 + end / 700) for end in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(lowest, highest, N_BANDS + 2) / 2595) - 1)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    half = np.maximum(np.minimum(middle - low, high - middle), 2 * hz[1])  # a narrower band would miss all bins
    triangles = np.maximum(0.0, 1 - np.abs(hz - middle[:, None]) / half[:, None])
    triangles /= np.maximum(triangles.sum(axis=1, keepdims=True), 1e-9)
    wide = np.pad(triangles, ((len(SPREAD) // 2,) * 2, (0, 0)))
    spread = [share * wide[place : place + N_BANDS] for place, share in enumerate(SPREAD)]
    return np.sum(spread, axis=0).astype(np.float32)


def log_mel(waveform: NDArray[np.floating], pitch: float) -> NDArray[np.uint8]:
    """Return `(shift, segment, band)` levels as `Heard.mel` holds them; zeros for silence.

    Args:
        waveform: `(time,)` at 16 kHz, finite.
        pitch: MIDI; the bands are moved by what it lies away from its key.
    """
    n_samples = round(EDGES[-1] * RATE)
    padded = np.pad(np.asarray(waveform[:n_samples], dtype=np.float32), N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT).astype(np.float32))) ** 2
    bands = power @ _filters(round(pitch - key_of(pitch), 2)).T
    time = np.arange(len(bands)) * HOP / RATE
    total = np.concatenate([np.zeros((1, N_BANDS)), np.cumsum(bands, axis=0, dtype=np.float64)])
    mel = np.zeros((len(SHIFTS), len(EDGES) - 1, N_BANDS))
    for place, shift in enumerate(SHIFTS):
        edges = np.searchsorted(time, np.array(EDGES) + shift)
        mel[place] = np.diff(total[edges], axis=0) / np.maximum(np.diff(edges), 1)[:, None]
    loudest = mel.max(axis=(1, 2), initial=0.0, keepdims=True)
    level = np.maximum(10 * np.log10(np.maximum(mel / np.maximum(loudest, 1e-20), 1e-9)), FLOOR_DB) - FLOOR_DB
    return np.round(level * STEPS_PER_DB).astype(np.uint8)


def hear(config: Config, sounding: Sounding, pitch: float, name: str = "", *, with_vector: bool = True) -> Heard:
    """Listen to one note.

    Args:
        config: The model's.
        sounding: Makes it sound.
        pitch: MIDI.
        name: What it is.
        with_vector: Whether its timbre vector is measured too.
    """
    vector = np.zeros(0)
    if with_vector:
        with np.errstate(all="ignore"):  # numbers that overflow in a broken note
            vector = describe(_finite(sounding(config.sample_rate)), config.sample_rate, hz_of(pitch))
        vector = vector if np.isfinite(vector).any() else np.full(len(NAMES), np.nan)
    return Heard(log_mel(_finite(sounding(RATE)), pitch), pitch, vector, sounding, name)


def _finite(waveform: Waveform) -> Waveform:
    return np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)


@torch.no_grad()
def sounded(config: Config, planes: Callable[[], NDArray], pitch: float, rate: int) -> Waveform:
    """Return the waveform `(time,)` of planes at any rate."""
    note = torch.from_numpy(np.asarray(planes(), dtype=np.float32))[None]
    hz = torch.tensor([hz_of(pitch)], dtype=torch.float32)
    try:
        return represent(config).decode(note, hz, sample_rate=rate)[0].numpy()
    except UnsupportedError:  # spectrograms have one rate
        return resample(represent(config).decode(note, hz)[0].numpy(), config.sample_rate, rate)


def hear_notes(
    config: Config, notes: Notes, places: Iterable[int] | None = None, *, with_vector: bool = True
) -> list[Heard]:
    """Listen to notes of a prepared corpus, all or some."""
    chosen = range(len(notes)) if places is None else places
    heard = []
    for place in chosen:
        pitch = float(notes.pitch[place])
        planes = partial(_planes_of, notes, place)
        name = f"{notes.instruments[notes.instrument[place]]} at {pitch:.1f}"
        heard.append(hear(config, partial(sounded, config, planes, pitch), pitch, name, with_vector=with_vector))
    return heard


def _planes_of(notes: Notes, place: int) -> NDArray:
    return np.asarray(notes.planes[notes.rows[[place]]])[0]


def hear_made(
    model: Model, pitches: Sequence[float], velocities: Sequence[float], *, seed: int, with_vector: bool = True
) -> list[Heard]:
    """Let a model make one note of a new timbre for each pitch, and listen to them.

    Args:
        model: Trained networks.
        pitches: MIDI, moved by octaves into the trained range.
        velocities: 0 to 1.
        seed: The same seed makes the same notes.
        with_vector: As for `hear`.
    """
    heard = []
    for first in range(0, len(pitches), CHUNK):
        notes = [
            Played(
                random_timbre(model, seed, number),
                pitches[number] + 12 * into_range(pitches[number], model.config),
                float(np.clip(velocities[number], 0.0, 1.0)),
            )
            for number in range(first, min(first + CHUNK, len(pitches)))
        ]
        for number, (note, planes) in enumerate(zip(notes, make_planes(model, notes).numpy(), strict=True), first):
            kept = partial(np.array, planes, dtype=np.float16)
            sounding = partial(sounded, model.config, kept, note.pitch)
            heard.append(hear(model.config, sounding, note.pitch, f"note {number}", with_vector=with_vector))
    return heard


# ---- views


def nearest_by_mel(notes: Sequence[Heard], references: Sequence[Heard]) -> Near:
    """Find for each note the reference of its key with the smallest root mean square difference in dB, best shift."""
    return _by_key(notes, references, _mel_distances)


def _by_key(
    notes: Sequence[Heard],
    references: Sequence[Heard],
    distances: Callable[[Sequence[Heard], Sequence[Heard]], Array],
) -> Near:
    """The nearest of those of its key; as far as can be where there is none."""
    keys, theirs = np.array([one.key for one in notes]), np.array([one.key for one in references])
    found = Near(np.full(len(notes), -FLOOR_DB), np.zeros(len(notes), np.int64))
    for key in np.unique(keys):
        mine, others = np.flatnonzero(keys == key), np.flatnonzero(theirs == key)
        if len(others):
            table = distances(
                [notes[place] for place in mine.tolist()], [references[place] for place in others.tolist()]
            )
            best = table.argmin(axis=1)
            found.distance[mine] = np.minimum(table[np.arange(len(mine)), best], -FLOOR_DB)
            found.reference[mine] = others[best]
    return found


def _mel_distances(notes: Sequence[Heard], references: Sequence[Heard]) -> Array:
    theirs = np.array([one.mel[0].ravel() for one in references], dtype=np.float32)
    squared, best = (theirs**2).sum(axis=1), np.full((len(notes), len(references)), np.inf)
    for shift in range(len(SHIFTS)):
        mine = np.array([one.mel[shift].ravel() for one in notes], dtype=np.float32)
        best = np.minimum(best, (mine**2).sum(axis=1)[:, None] + squared - 2 * mine @ theirs.T)
    return np.sqrt(np.maximum(best, 0.0) / theirs.shape[1]) / STEPS_PER_DB


def views_of(learnt: Sequence[Heard]) -> list[View[Heard]]:
    """Return the views on notes: log-mel, and where it is known the timbre vector on the scale of training notes."""
    views = [View(MEL, nearest_by_mel, half_of_nearest)]
    if not all(len(one.vector) for one in learnt):
        return views
    scaler = fit_scaler(np.array([one.vector for one in learnt]))

    def table(notes: Sequence[Heard], references: Sequence[Heard]) -> Array:
        mine, theirs = (scaled(np.array([one.vector for one in some]), scaler) for some in (notes, references))
        squared = (mine**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1) - 2 * mine @ theirs.T
        return np.sqrt(np.maximum(squared, 0.0))

    def by_timbre(notes: Sequence[Heard], references: Sequence[Heard]) -> Near:
        return _by_key(notes, references, table)

    return [*views, View(TIMBRE, by_timbre, half_of_nearest)]


# ---- a copyist


def disguise(config: Config, note: Heard, rng: np.random.Generator) -> Heard:
    """Return a note up to 10 cents, 3 dB and 20 ms away, with noise 40 dB below it."""
    cents, gain_db, seconds = (rng.uniform(-most, most) for most in (CENTS, GAIN_DB, SHIFT_SECONDS))
    seed = int(rng.integers(1 << 32))

    def changed(rate: int) -> Waveform:
        waveform = note.sound(rate).astype(np.float64)
        time = np.arange(len(waveform)) * 2 ** (cents / 1200) - seconds * rate
        moved = np.interp(time, np.arange(len(waveform)), waveform, left=0.0, right=0.0)
        rms = float(np.sqrt(np.mean(moved**2)))
        noise = np.random.default_rng(seed).standard_normal(len(moved)) * rms * 10 ** (BACKGROUND_DB / 20)
        return ((moved + noise) * 10 ** (gain_db / 20)).astype(np.float32)

    return hear(config, changed, note.pitch, f"{note.name}, disguised", with_vector=bool(len(note.vector)))


# ---- audit


class Cleaned(NamedTuple):
    """Held-out notes without those that are training notes too, how many those were, and the distance that tells."""

    kept: list[int]
    n_twins: int
    limit_db: float


def without_twins(
    config: Config, learnt: Sequence[Heard], held_out: Sequence[Heard], *, seed: int = 0, n_disguises: int = N_DISGUISES
) -> Cleaned:
    """Leave out held-out notes that lie as near to a training note as 95 % of that note's disguises would.

    Args:
        config: The model's.
        learnt: Training notes.
        held_out: Notes of instruments that were held out.
        seed: Of the disguises.
        n_disguises: Training notes to disguise, by which the distance is found.
    """
    if not learnt or not held_out:
        return Cleaned(list(range(len(held_out))), 0, 0.0)
    rng = np.random.default_rng(seed)
    chosen = [learnt[place] for place in rng.integers(len(learnt), size=min(n_disguises, len(learnt))).tolist()]
    apart = [float(_mel_distances([disguise(config, one, rng)], [one])[0, 0]) for one in chosen]
    limit = float(np.percentile(apart, TWIN_SHARE))
    distances = nearest_by_mel(held_out, learnt).distance
    kept = np.flatnonzero(distances > limit).tolist()
    return Cleaned(kept, len(held_out) - len(kept), limit)


def audit_notes(config: Config, material: Material[Heard], *, seed: int = 0) -> Audit:
    """Audit notes for copies of training notes.

    Args:
        config: The model's.
        material: All training notes, held-out ones and generated ones, with the instruments of the first two.
        seed: Of halves and plants.
    """
    return audit(material, views_of(material.learnt), partial(disguise, config), seed=seed)


def audit_model(
    model: Model, learnt: Notes, held_out: Notes, *, count: int, seed: int = 0, with_vector: bool = True
) -> tuple[Audit, Material[Heard], int]:
    """Audit a model whose prepared corpus is at hand; new notes are made at pitches and velocities of held-out ones.

    Args:
        model: Trained networks.
        learnt: All training notes.
        held_out: Notes of instruments that were held out; twins of training notes are left out.
        count: Notes to make.
        seed: Of notes, halves and plants.
        with_vector: Whether the timbre vector is a second view, which takes three times as long.

    Returns:
        What was found, the material it was found in (for `closest_pairs`), and how many twins were left out.
    """
    listen = partial(hear_notes, model.config, with_vector=with_vector)
    known, honest = listen(learnt), listen(held_out)
    order = np.random.default_rng(seed).permutation(-(-count // len(honest)) * len(honest))[:count] % len(honest)
    pitches, velocities = (values[order].astype(float).tolist() for values in (held_out.pitch, held_out.velocity))
    made = hear_made(model, pitches, velocities, seed=seed, with_vector=with_vector)
    cleaned = without_twins(model.config, known, honest, seed=seed)
    groups = learnt.instrument.tolist(), held_out.instrument.tolist()
    material = only(Material(known, honest, made, *groups), cleaned.kept)
    return audit_notes(model.config, material, seed=seed), material, cleaned.n_twins


def closest_pairs(found: Audit, material: Material[Heard]) -> list[tuple[Pair, Heard, Heard]]:
    """Return the nearest pairs with the generated and the training note of each, to hear (`sound`) and to see."""
    return [(pair, material.made[pair.made], material.learnt[pair.learnt]) for pair in found.pairs]


def only(material: Material[Heard], kept: Sequence[int]) -> Material[Heard]:
    """Return the material with these held-out notes alone."""
    groups = material.held_out_groups
    return material._replace(
        held_out=[material.held_out[place] for place in kept],
        held_out_groups=None if groups is None else [groups[place] for place in kept],
    )


def without_vectors(notes: Sequence[Heard]) -> list[Heard]:
    """Return notes that are compared by log-mel spectra alone."""
    return [replace(one, vector=np.zeros(0)) for one in notes]
