"""Copies among notes: how near one sounds to another of its pitch, and how a copyist would disguise a note.

The view that judges is of partials over time (`partials`), in which a disguised copy lies much nearer than any other
recording; the timbre vector may be a second one. Marks use a coarser view that any sound has: log-mel spectra of twelve
segments, level left out, at the best shift within 50 ms, the bands moved so that partials meet. Notes are compared with
notes within a semitone and a half; a note far from all others in pitch is near none. Nearness by nature is kept out by
holding out whole instruments: two neighbouring keys or two velocities of one instrument are alike without being copies,
so both lie on the same side, and what a new note is allowed is how near the nearest note of *another* instrument comes.
Programs of SoundFonts share recordings, which are twins across the split: a held-out note nearly as near as a disguise
lies is taken out, and their number is told.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
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
from audiogan.pipelines.waveform.coarse import FLOOR_DB, KEY_STEP, RATE, key_of, log_mel, mel_apart
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.dataset import Notes
from audiogan.pipelines.waveform.descriptors import Array
from audiogan.pipelines.waveform.partials import Levels, levels_of_planes, levels_of_sound, partials_apart
from audiogan.pipelines.waveform.timbre import random_timbre
from audiogan.pipelines.waveform.timbre_vector import NAMES, describe, scaled
from audiogan.pipelines.waveform.voice import Played, into_range, make_planes, represent
from audiogan.representation.harmonic import Harmonic

PARTIALS, MEL, TIMBRE = "partials in dB", "log-mel in dB", "timbre vector"
SEMITONES = 1.5
CENTS, GAIN_DB, SHIFT_SECONDS, BACKGROUND_DB = 10.0, 3.0, 0.02, -40.0
N_DISGUISES, TWIN_SHARE, TWIN_MARGIN = 200, 97.5, 2.0
CHUNK = 32
Waveform = NDArray[np.float32]
Sounding = Callable[[int], Waveform]
"""From a sample rate to the sound `(time,)`."""


@dataclass(frozen=True, eq=False)
class Heard:
    """A note as the audit hears it, listened to when it is first asked for.

    Args:
        config: The model's.
        pitch: MIDI.
        sound: Makes the note sound again, for disguises and for ears.
        name: What it is: instrument and pitch of a training note, number of a new one.
        vector: `(descriptor,)`; empty where the timbre vector is not compared.
        planes: Its planes `(plane, row, frame)`; None where only the sound is known.
    """

    config: Config
    pitch: float
    sound: Sounding
    name: str = ""
    vector: Array = field(default_factory=lambda: np.zeros(0))
    planes: Callable[[], NDArray] | None = None

    @cached_property
    def mel(self) -> NDArray[np.uint8]:
        """`(shift, segment, band)` levels in quarters of a dB above 30 dB below the loudest; the first not shifted."""
        return log_mel(_finite(self.sound(RATE)), self.pitch)

    @cached_property
    def partials(self) -> Levels:
        """`(shift, segment, partial)` levels, as `partials` tells."""
        if self.planes is not None and isinstance(represent(self.config), Harmonic):
            return levels_of_planes(self.config, self.planes(), self.pitch)
        return levels_of_sound(self.config, _finite(self.sound(self.config.sample_rate)), self.pitch)

    @property
    def key(self) -> int:
        """The middle of the three semitones that it is compared within."""
        return key_of(self.pitch)


# ---- hearing


def hear(
    config: Config,
    sounding: Sounding,
    pitch: float,
    name: str = "",
    *,
    with_vector: bool = True,
    planes: Callable[[], NDArray] | None = None,
) -> Heard:
    """Listen to one note.

    Args:
        config: The model's.
        sounding: Makes it sound.
        pitch: MIDI.
        name: What it is.
        with_vector: Whether its timbre vector is measured too.
        planes: Its planes, where they are known.
    """
    vector = np.zeros(0)
    if with_vector:
        with np.errstate(all="ignore"):  # numbers that overflow in a broken note
            vector = describe(_finite(sounding(config.sample_rate)), config.sample_rate, hz_of(pitch))
        vector = vector if np.isfinite(vector).any() else np.full(len(NAMES), np.nan)
    return Heard(config, pitch, sounding, name, vector, planes)


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
        sounding = partial(sounded, config, planes, pitch)
        heard.append(hear(config, sounding, pitch, name, with_vector=with_vector, planes=planes))
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
            name = f"note {number}"
            heard.append(hear(model.config, sounding, note.pitch, name, with_vector=with_vector, planes=kept))
    return heard


# ---- views


def nearest_by_partials(notes: Sequence[Heard], references: Sequence[Heard]) -> Near:
    """Find for each note the reference within a semitone and a half whose partials are nearest."""
    return _by_pitch(notes, references, _partials_table)


def _partials_table(notes: Sequence[Heard], references: Sequence[Heard]) -> Array:
    return partials_apart(*(np.array([one.partials for one in some]) for some in (notes, references)))


def _mel_table(notes: Sequence[Heard], references: Sequence[Heard]) -> Array:
    return mel_apart(*(np.array([one.mel for one in some]) for some in (notes, references)))


def nearest_by_mel(notes: Sequence[Heard], references: Sequence[Heard]) -> Near:
    """Find for each note the reference of its key with the smallest root mean square difference in dB, best shift."""
    return _by_pitch(notes, references, _mel_table, same_key=True)


def _by_pitch(
    notes: Sequence[Heard],
    references: Sequence[Heard],
    distances: Callable[[Sequence[Heard], Sequence[Heard]], Array],
    *,
    same_key: bool = False,
) -> Near:
    """The nearest of those within a semitone and a half, or of those of its key; as far as can be if there is none."""
    keys = np.array([one.key for one in notes])
    pitch, theirs = (np.array([one.pitch for one in some]) for some in (notes, references))
    their_keys = np.array([one.key for one in references])
    found = Near(np.full(len(notes), -FLOOR_DB), np.zeros(len(notes), np.int64))
    for key in np.unique(keys):
        mine = np.flatnonzero(keys == key)
        others = np.flatnonzero(np.abs(their_keys - key) <= (0 if same_key else KEY_STEP))
        if not len(others):
            continue
        table = distances([notes[place] for place in mine.tolist()], [references[place] for place in others.tolist()])
        if not same_key:
            table = np.where(np.abs(pitch[mine][:, None] - theirs[others]) <= SEMITONES, table, np.inf)
        best = table.argmin(axis=1)
        found.distance[mine] = np.minimum(table[np.arange(len(mine)), best], -FLOOR_DB)
        found.reference[mine] = others[best]
    return found


def views_of(learnt: Sequence[Heard]) -> list[View[Heard]]:
    """Return the views on notes: partials, and where it is known the timbre vector on the scale of training notes."""
    views = [View(PARTIALS, nearest_by_partials, half_of_nearest)]
    if not all(len(one.vector) for one in learnt):
        return views
    scaler = fit_scaler(np.array([one.vector for one in learnt]))

    def table(notes: Sequence[Heard], references: Sequence[Heard]) -> Array:
        mine, theirs = (scaled(np.array([one.vector for one in some]), scaler) for some in (notes, references))
        squared = (mine**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1) - 2 * mine @ theirs.T
        return np.sqrt(np.maximum(squared, 0.0))

    def by_timbre(notes: Sequence[Heard], references: Sequence[Heard]) -> Near:
        return _by_pitch(notes, references, table)

    return [*views, View(TIMBRE, by_timbre, half_of_nearest)]


def coarse_view() -> View[Heard]:
    """Return the log-mel view, whose limit older fingerprints tell."""
    return View(MEL, nearest_by_mel, half_of_nearest)


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
    """Leave out held-out notes that lie within twice the distance within which 97.5 % of disguises lie of their notes.

    The limit of an audit is half of the smallest honest distance, and nine of ten disguised copies have to be found in
    nearly every draw of twenty; a held-out note that is nearer would blind it, and is taken to be the same recording.
    Disguises of training notes alone set the distance, never generated notes.

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
    apart = [float(_partials_table([disguise(config, one, rng)], [one])[0, 0]) for one in chosen]
    limit = TWIN_MARGIN * float(np.percentile(apart, TWIN_SHARE))
    distances = nearest_by_partials(held_out, learnt).distance
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


def audit_notes_of(
    model: Model,
    learnt: Notes,
    held_out: Sequence[Notes],
    wanted: Sequence[tuple[float, float]],
    *,
    seed: int = 0,
    with_vector: bool = False,
) -> tuple[Audit, Material[Heard], int]:
    """Audit a model whose prepared corpus is at hand.

    Args:
        model: Trained networks.
        learnt: All training notes.
        held_out: Notes of instruments that were held out, of one or more splits; twins of training notes are left out.
        wanted: Pitch (MIDI) and velocity (0 to 1) of each note to make: those of held-out notes.
        seed: Of notes, halves and plants.
        with_vector: Whether the timbre vector is a second view, which takes long.

    Returns:
        What was found, the material it was found in (for `closest_pairs`), and how many twins were left out.
    """
    listen = partial(hear_notes, model.config, with_vector=with_vector)
    known, honest = listen(learnt), [one for notes in held_out for one in listen(notes)]
    pitches, velocities = [one[0] for one in wanted], [one[1] for one in wanted]
    made = hear_made(model, pitches, velocities, seed=seed, with_vector=with_vector)
    cleaned = without_twins(model.config, known, honest, seed=seed)
    groups = learnt.instrument.tolist(), [one for notes in held_out for one in notes.instrument.tolist()]
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
    """Return notes that are compared by partials alone."""
    return [replace(one, vector=np.zeros(0)) for one in notes]
