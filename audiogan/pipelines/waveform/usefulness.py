"""Are generated notes of use as data? Held-out instruments have to be told apart, and some have few recordings.

The timbre of an instrument is taken from two of its recordings at most, of those whose planes are kept, and the model
plays it at other pitches, as a musician would who has no more of it: once with all that a timbre carries, and once
without the details of the recordings, which shows what the model itself has learnt. Half of the other recordings teach,
half test; an instrument that is thinned out keeps the recordings from which its timbre was taken.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from audiogan.evaluation.usefulness import Labelled, Use, usefulness
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.encoding import Example, timbre_from
from audiogan.pipelines.waveform.held_out import HeldOut
from audiogan.pipelines.waveform.listening import Judged, codes_of
from audiogan.pipelines.waveform.measuring import measure_made
from audiogan.pipelines.waveform.timbre_vector import scaled
from audiogan.pipelines.waveform.voice import Played

N_MADE = 24
MOST_GIVEN = 2
LEAST_RECORDINGS = 12
AROUND_SEMITONES = 7.0


def usefulness_of_notes(asked: Judged) -> tuple[Use, ...]:
    """Ask whether generated notes teach what recordings teach.

    Args:
        asked: Model and held-out notes.

    Returns:
        The answers; none for a model without an encoder, or where fewer than two instruments have twelve notes.
    """
    held, model = asked.held, asked.model
    if codes_of(model, held) is None:
        return ()
    given = _given(held)
    if len(given) < 2:
        return ()
    taught, tested, kept = _parted(held, given, np.random.default_rng(asked.seed))
    learnt, other = (
        Labelled(asked.real[places], held.instrument[places], held.instrument[places]) for places in (taught, tested)
    )
    found: list[Use] = []
    for form, details in (("as played", True), ("without details", False)):
        made = _made(asked, given, details=details)
        found += [replace(use, form=form) for use in usefulness(learnt, other, made, kept, seed=asked.seed)]
    return tuple(found)


def _made(asked: Judged, given: dict[int, NDArray[np.int64]], *, details: bool) -> Labelled:
    """Notes of all instruments, from their few recordings."""
    rng = np.random.default_rng(asked.seed)
    notes = [_played(asked.model, asked.held, places, rng, details=details) for places in given.values()]
    vectors = measure_made(asked.model, [note for own in notes for note in own]).vectors
    names = np.repeat(list(given), [len(own) for own in notes])
    return Labelled(scaled(vectors, asked.scaler), names, names)


def _given(held: HeldOut) -> dict[int, NDArray[np.int64]]:
    """By instrument with enough recordings, the places of the few whose planes are at hand."""
    names, counts = np.unique(held.instrument, return_counts=True)
    found = {}
    for name in names[counts >= LEAST_RECORDINGS].tolist():
        places = np.flatnonzero(held.instrument[: len(held.planes)] == name)[:MOST_GIVEN]
        if len(places):
            found[name] = places
    return found


def _played(
    model: Model, held: HeldOut, places: NDArray[np.int64], rng: np.random.Generator, *, details: bool
) -> list[Played]:
    """Notes of the timbre of some recordings, near to their pitches and at their velocities."""
    examples = [
        Example(
            torch.from_numpy(np.asarray(held.planes[place], dtype=np.float32))[None],
            torch.tensor([held.pitch[place]], dtype=torch.float32),
            1.0,
        )
        for place in places.tolist()
    ]
    timbre = timbre_from(model, examples, name="given")
    timbre = timbre if details else replace(timbre, details=())
    low, high = model.config.lowest_pitch, model.config.highest_pitch
    near = rng.choice(places, N_MADE)
    pitch = np.clip(held.pitch[near] + rng.uniform(-AROUND_SEMITONES, AROUND_SEMITONES, N_MADE).round(), low, high)
    velocity = np.clip(held.velocity[near], 0.0, 1.0)
    return [Played(timbre, float(p), float(v)) for p, v in zip(pitch, velocity, strict=True)]


def _parted(
    held: HeldOut, given: dict[int, NDArray[np.int64]], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Places to learn from (the given ones first), places to test, and which of the former are given."""
    known = np.concatenate(list(given.values()))
    taught, tested = [known], []
    for name, places in given.items():
        others = rng.permutation(np.setdiff1d(np.flatnonzero(held.instrument == name), places))
        taught.append(others[: len(others) // 2])
        tested.append(others[len(others) // 2 :])
    learnt = np.concatenate(taught)
    return learnt, np.concatenate(tested), np.arange(len(learnt)) < len(known)
