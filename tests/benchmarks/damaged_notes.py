"""Notes that are damaged in known ways, and the rows of the evaluation of notes before and after (see `damaged`).

The notes are made once and sounded; what is changed is the sound, or which timbre is asked for. The rows are those of
sets, of the network that hears notes, and of the tuning of these very notes; for velocity the model is asked again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly

import audiogan
from audiogan.corpus.audio import resample
from audiogan.corpus.notes import hz_of
from audiogan.evaluation.audit import Material
from audiogan.evaluation.distances import Neighbours
from audiogan.pipeline import Model
from audiogan.pipelines.waveform import listening
from audiogan.pipelines.waveform.auditing import (
    Heard,
    disguise,
    hear,
    hear_notes,
    views_of,
    without_twins,
)
from audiogan.pipelines.waveform.comparison import Row
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.dataset import Notes
from audiogan.pipelines.waveform.encoder import TimbreEncoder
from audiogan.pipelines.waveform.evaluation import scaler_of, set_rows, untrained
from audiogan.pipelines.waveform.hearing import hearing_rows
from audiogan.pipelines.waveform.held_out import find
from audiogan.pipelines.waveform.intonation import judges
from audiogan.pipelines.waveform.listening import Judged, _tuning, velocity_rows
from audiogan.pipelines.waveform.measuring import Measures, _checked, _quietly, measure, measure_made, rms_db, sound
from audiogan.pipelines.waveform.note_net import N_FEATURES, embed
from audiogan.pipelines.waveform.timbre_vector import NAMES, describe
from audiogan.pipelines.waveform.voice import Played, make_planes
from tests.benchmarks.damaged import CHANCE, Damage, Outcome, Reading, copies_read, judge, limits_of, planted

Waveform = NDArray[np.float32]
Rng = np.random.Generator
Change = Callable[[Sequence[Waveform], int, Rng], list[Waveform]]
NOISE_DB = -30.0
N_TUNED = 160
FEW = 0.02
FORTY_CENTS = (43, 44)  # fewer samples for more: 39.8 cents up
N_LEARNT, N_HELD_OUT = 400, 240
ONE_VELOCITY = 0.8


def with_noise(waveforms: Sequence[Waveform], rate: int, rng: Rng) -> list[Waveform]:
    """Add white noise 30 dB below the root mean square of each note."""
    return [
        (one + rng.standard_normal(len(one)) * np.sqrt(np.mean(one**2)) * 10 ** (NOISE_DB / 20)).astype(np.float32)
        for one in waveforms
    ]


def forty_cents_up(waveforms: Sequence[Waveform], rate: int, rng: Rng) -> list[Waveform]:
    """Play every note 39.8 cents higher (and 2 % shorter, with silence after it)."""
    higher = (resample_poly(one, *FORTY_CENTS).astype(np.float32) for one in waveforms)
    return [np.pad(one, (0, len(old) - len(one))) for old, one in zip(waveforms, higher, strict=True)]


def _few(n: int, rng: Rng) -> list[int]:
    return rng.choice(n, max(1, round(FEW * n)), replace=False).tolist()


def some_silent(waveforms: Sequence[Waveform], rate: int, rng: Rng) -> list[Waveform]:
    """Silence one note of fifty."""
    changed = list(waveforms)
    for place in _few(len(changed), rng):
        changed[place] = np.zeros_like(changed[place])
    return changed


def some_clicks(waveforms: Sequence[Waveform], rate: int, rng: Rng) -> list[Waveform]:
    """Put a click of one millisecond, at full scale, into one note of fifty, half a second after its beginning."""
    changed = list(waveforms)
    for place in _few(len(changed), rng):
        one = changed[place].copy()
        one[rate // 2 : rate // 2 + rate // 1000] = np.abs(one).max()
        changed[place] = one
    return changed


SOUNDS: dict[Damage, Change] = {
    Damage("white noise at -30 dB", ("kernel_distance · timbre vector", "kernel_distance · note_net")): with_noise,
    Damage("every pitch 40 cents up", ("in_tune · *",)): forty_cents_up,
    Damage("2 % of the notes silent", ("broken_notes · *",)): some_silent,
    Damage("a click in 2 % of the notes", ("broken_notes · *",)): some_clicks,
}
TIMBRES: dict[Damage, float] = {
    Damage("a family of timbres missing (a fifth)", ("recall · *", "coverage · *", "ndb · note_net, held*")): 0.2,
    Damage("half of the modes, others repeated", ("recall · *", "coverage · *", "diversity · *")): 0.5,
}
"""The share of notes whose timbres are taken from the others instead."""
SAME_VELOCITY = Damage("velocity is not heeded", ("velocity_brightness · *",))
PLAIN = Damage("1 % copies, as they sound", ("hard copies · audit",))
DISGUISED = Damage("1 % copies, in disguise", ("hard copies · audit",))


# ---- measuring


def measured(waveforms: Sequence[Waveform], pitches: Sequence[float], rate: int) -> Measures:
    """Describe sounds as the evaluation describes notes; the first ones are judged by their tuning."""
    vectors, features, levels, faults = [], [], [], []
    tunings = {name: [] for name in judges()}
    for number, (waveform, pitch) in enumerate(zip(waveforms, pitches, strict=True)):
        whole, is_faulty = _checked(waveform)
        faults.append(is_faulty)
        vectors.append(_quietly(describe, whole, rate, hz_of(pitch)))
        levels.append(rms_db(whole))
        features.append(embed(whole, rate))
        if number < N_TUNED:
            for name, judge_of in judges().items():
                tunings[name].append(judge_of(whole, rate, hz_of(pitch)))
    table, heard = np.array(vectors).reshape(-1, len(NAMES)), np.array(features).reshape(-1, N_FEATURES)
    return Measures(table, np.array(levels), np.array(faults, dtype=bool), tunings, heard)


def sounded(model: Model, notes: Sequence[Played]) -> list[Waveform]:
    """Let a model make notes and sound them as the evaluation does."""
    found = []
    for first in range(0, len(notes), 32):
        some = notes[first : first + 32]
        planes = make_planes(model, some).numpy()
        found += [sound(model.config, one, note.pitch) for one, note in zip(planes, some, strict=True)]
    return found


@dataclass(frozen=True, eq=False)
class Bench:
    """What notes are compared with.

    Args:
        asked: The questions of the evaluation.
        real: The tuning of real notes by judge.
    """

    asked: Judged
    real: dict[str, list]

    @classmethod
    def of(cls, asked: Judged) -> "Bench":
        """Measure the real notes."""
        held = asked.held
        chosen = slice(0, N_TUNED)
        pitches = held.pitch[: len(held.planes)][chosen]
        return cls(asked, measure(asked.model.config, held.planes[chosen], pitches, judges()).tunings)

    @property
    def pitches(self) -> list[float]:
        """What was asked for."""
        return [note.pitch for note in self.asked.made_notes]

    def read(self, made: Measures) -> list[Reading]:
        """Return the rows of the evaluation with these notes in place of the model's."""
        asked = replace(self.asked)
        vars(asked).update(made_notes=self.asked.made_notes, poor_made=self.asked.poor_made, made=made)
        rows = [*set_rows(asked, lambda *_: None), *hearing_rows(asked)]
        for name, found in made.tunings.items():
            rows += _tuning(f"asked pitch, {name}", found, self.real[name], [], asked.held.groups)
        return readings(rows)


def readings(rows: Sequence[Row]) -> list[Reading]:
    """Return rows in the common shape."""
    larger = (*Neighbours._fields, "diversity", "in_tune")
    return [
        Reading(f"{row.metric} · {row.form}", row.value, row.low, row.high, row.floor, row.passes, row.metric in larger)
        for row in rows
    ]


# ---- timbres


@torch.no_grad()
def parts_of(model: Model, notes: Sequence[Played]) -> NDArray[np.int64] | None:
    """Return `(note,)` the part of the mixture that each timbre is of; None for a model without one."""
    encoder = model.modules.get("encoder")
    if not isinstance(encoder, TimbreEncoder):
        return None
    h = torch.tensor(np.array([note.timbre.h for note in notes]), device=model.device)
    return encoder.mixture.shares(h).argmax(dim=1).cpu().numpy()


def family(parts: NDArray[np.int64], means: NDArray[np.floating], share: float) -> NDArray[np.bool_]:
    """Mark the notes of the most frequent part and of those nearest to it, until they are a share of all.

    Args:
        parts: `(note,)`.
        means: `(part, timbre)`.
        share: Of all notes, at least.
    """
    counts = np.bincount(parts, minlength=len(means))
    order = np.argsort(np.linalg.norm(means - means[counts.argmax()], axis=1), kind="stable")
    n_parts = int(np.searchsorted(np.cumsum(counts[order]), share * len(parts))) + 1
    return np.isin(parts, order[:n_parts])


def without_family(bench: Bench, waveforms: Sequence[Waveform], share: float, rng: Rng) -> list[Waveform] | None:
    """Give the notes of a family, at their pitches and velocities, the timbres of other notes."""
    model, notes = bench.asked.model, bench.asked.made_notes
    parts, encoder = parts_of(model, notes), model.modules.get("encoder")
    if parts is None or not isinstance(encoder, TimbreEncoder):
        return None
    missing = family(parts, encoder.mixture.mean.cpu().numpy(), share)
    kept = np.flatnonzero(~missing)
    places = np.flatnonzero(missing).tolist()
    given = [notes[place]._replace(timbre=notes[int(rng.choice(kept))].timbre) for place in places]
    changed = list(waveforms)
    for place, waveform in zip(places, sounded(model, given), strict=True):
        changed[place] = waveform
    return changed


# ---- outcomes


def judged(bench: Bench, only: Sequence[str]) -> Iterator[Outcome]:
    """Damage the notes in every way that needs no training notes."""
    asked, wanted = bench.asked, tuple(only)
    rate = asked.model.config.sample_rate
    waveforms = sounded(asked.model, asked.made_notes)
    before = bench.read(measured(waveforms, bench.pitches, rate))

    def after(damaged: Sequence[Waveform]) -> list[Reading]:
        return bench.read(measured(damaged, bench.pitches, rate))

    if CHANCE.startswith(wanted):
        others = replace(asked, seed=asked.seed + 1)
        again = [note._replace(timbre=other.timbre)
                 for note, other in zip(asked.made_notes, others.made_notes, strict=True)]  # fmt: skip
        yield judge(Damage(CHANCE, ()), before, after(sounded(asked.model, again)))
    for damage, change in SOUNDS.items():
        if damage.name.startswith(wanted):
            yield judge(damage, before, after(change(waveforms, rate, np.random.default_rng(asked.seed))))
    for damage, share in TIMBRES.items():
        if damage.name.startswith(wanted):
            changed = without_family(bench, waveforms, share, np.random.default_rng(asked.seed))
            if changed is not None:
                yield judge(damage, before, after(changed))
    if SAME_VELOCITY.name.startswith(wanted):
        yield same_velocity(asked)


def same_velocity(asked: Judged) -> Outcome:
    """Ask a model that plays every note with one velocity whether it heeds velocity."""

    def deaf(model: Model, notes: Sequence[Played], *more: object, **options: bool) -> Measures:
        return measure_made(model, [note._replace(velocity=ONE_VELOCITY) for note in notes], *more, **options)  # type: ignore[arg-type]

    before = readings(velocity_rows(asked))
    with mock.patch.object(listening, "measure_made", deaf):
        return judge(SAME_VELOCITY, before, readings(velocity_rows(asked)))


def copied(
    config: Config,
    waveforms: Sequence[Waveform],
    pitches: Sequence[float],
    learnt: Sequence[Heard],
    honest: Sequence[Heard],
    *,
    seed: int,
    only: Sequence[str] = ("",),
) -> Iterator[Outcome]:
    """Plant copies of training notes, one in a hundred.

    Args:
        config: The model's.
        waveforms, pitches: Of a good model.
        learnt: Training notes.
        honest: Held-out notes of other instruments; one half sets the limits, the other must pass.
        seed: Of the plants.
        only: What the names of the damages begin with.
    """
    made = [
        hear(config, partial(_at, waveform, config.sample_rate), pitch, with_vector=False)
        for waveform, pitch in zip(waveforms, pitches, strict=True)
    ]
    views = views_of(learnt)  # without the timbre vector, which notes were heard without
    limits = limits_of(honest[::2], learnt, views)

    def read(notes: Sequence[Heard]) -> list[Reading]:
        return copies_read(Material(learnt, honest[1::2], notes), views, partial(disguise, config), limits, seed)[0]

    before = read(made)
    for damage in (PLAIN, DISGUISED):
        if damage.name.startswith(tuple(only)):
            rng = np.random.default_rng(seed)
            chosen = [learnt[place] for place in rng.choice(len(learnt), max(1, len(made) // 100), False).tolist()]
            copies = chosen if damage is PLAIN else [disguise(config, note, rng) for note in chosen]
            yield judge(damage, before, read(planted(made, copies, rng)))


def _at(waveform: Waveform, rate: int, wanted: int) -> Waveform:
    return resample(waveform, rate, wanted)


def outcomes(name: str, count: int, corpus: Path | None, seed: int, only: Sequence[str]) -> Iterator[Outcome]:
    """Damage the notes of a model in every way."""
    model = audiogan.load(name, device="cpu")
    held = find(model, None, count=count)
    asked = Judged(model, untrained(model, seed), held, scaler_of(held), seed, count)
    bench = Bench.of(asked)
    yield from judged(bench, only)
    if corpus is not None and any(damage.name.startswith(tuple(only)) for damage in (PLAIN, DISGUISED)):
        learnt, honest = (
            _some(model.config, Notes(corpus, split), n) for split, n in (("train", N_LEARNT), ("test", N_HELD_OUT))
        )
        kept = without_twins(model.config, learnt, honest, seed=seed).kept
        waveforms = sounded(model, asked.made_notes)
        honest = [honest[place] for place in kept]
        yield from copied(model.config, waveforms, bench.pitches, learnt, honest, seed=seed, only=only)


def _some(config: Config, notes: Notes, n: int) -> list[Heard]:
    """Evenly chosen notes of a split."""
    places = np.unique(np.linspace(0, len(notes) - 1, min(n, len(notes))).astype(int)).tolist()
    return hear_notes(config, notes, places, with_vector=False)
