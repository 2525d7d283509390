"""Marks of training notes that hold no sound: 192 signs each, of features drawn at random.

A note's log-mel spectrum, as `coarse` tells it, is projected on directions drawn at random, and of each projection
one bit is kept: above or below the middle of the corpus (random hyperplanes, Charikar 2002). A note in disguise differs
in few bits, other notes in many; the limit finds 19 of 20 disguises, and what it costs honest notes is told. The marks
are sorted by key and bits, so that neither the order of the corpus nor what belongs to one instrument is kept. The best
linear guess of a spectrum from its bits is as far from it as the nearest note of another instrument; no partial, phase
or noise of the note can be had back.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.audio import resample
from audiogan.evaluation.audit import Near, half_of_nearest
from audiogan.evaluation.fingerprints import Array, Fingerprints, Layout, calibrate, expect
from audiogan.pipeline import Sound
from audiogan.pipelines.waveform.auditing import (
    PARTIALS,
    Heard,
    disguise,
    hear_notes,
    nearest_by_partials,
    without_twins,
)
from audiogan.pipelines.waveform.coarse import EDGES, N_BANDS, RATE, key_of, log_mel
from audiogan.pipelines.waveform.config import Config, CorpusConfig
from audiogan.pipelines.waveform.dataset import Notes, open_dataset
from audiogan.pipelines.waveform.held_out import spread_over

KIND = "notes"
BITS = "different bits"
N_BITS = 192
FOUND_SHARE, MOST_FALSE = 0.95, 0.2  # a false alarm costs one more draw
MEMBER_BITS = 2.0
MOST_NOTES, N_HELD_OUT, N_PLANTED = 20_000, 1000, 200
_SEED = 20_260
LAYOUT: Layout = {
    "keys": ("uint8", ("note",)),
    "bits": ("uint8", ("note", N_BITS // 8)),
    "middle": ("float32", (N_BITS,)),
}
Bits = NDArray[np.bool_]


def limit_of(_held_out: Array, planted: Array) -> float:
    """Return the most bits by which 19 of 20 disguised copies differ; what it costs honest notes is told.

    Example:
        >>> limit_of(np.zeros(0), np.array([1.0, 2.0, 5.0]))
        5.0
    """
    return float(np.quantile(planted, FOUND_SHARE, method="higher"))


@lru_cache(maxsize=1)
def _directions() -> NDArray[np.float32]:
    """`(feature, bit)`, always the same; each adds up to nothing over the bands, so that level is left out."""
    drawn = np.random.default_rng(_SEED).standard_normal((len(EDGES) - 1, N_BANDS, N_BITS))
    drawn -= drawn.mean(axis=(0, 1))
    return drawn.reshape(-1, N_BITS).astype(np.float32)


def projected(mel: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return `(..., bit)` projections of log-mel spectra `(..., segment, band)`."""
    return mel.reshape(*mel.shape[:-2], -1).astype(np.float32) @ _directions()


def nearest_bits(mels: Sequence[NDArray[np.uint8]], pitches: Sequence[float], arrays: Mapping[str, NDArray]) -> Array:
    """Return how many bits each note differs by from the nearest note of its key, at the best shift: `(note,)`.

    Args:
        mels: `(shift, segment, band)` each, as `Heard.mel`.
        pitches: MIDI.
        arrays: Marks: `keys`, `bits` and `middle`.
    """
    known = np.unpackbits(arrays["bits"], axis=1)[:, :N_BITS].astype(np.float32)
    found = np.full(len(mels), float(N_BITS))
    for place, (mel, pitch) in enumerate(zip(mels, pitches, strict=True)):
        others = known[arrays["keys"] == _stored(key_of(pitch))]
        if len(others):
            own = (projected(mel) > arrays["middle"]).astype(np.float32)  # (shift, bit)
            equal = own @ others.T + (1 - own) @ (1 - others).T
            found[place] = N_BITS - float(equal.max())
    return found


def _stored(key: int) -> int:
    return int(np.clip(key, 0, 255))


# ---- comparing


def compare_fingerprints(config: Config, sounds: Sequence[Sound], marks: Fingerprints) -> dict[str, Array]:
    """Return by view how far each note lies from the nearest of the corpus, `(note,)`.

    Args:
        config: The model's.
        sounds: Notes as long as the model makes them by itself, with their pitch among the facts.
        marks: Of the corpus.

    Raises:
        CheckpointError: The marks are those of another pipeline, or damaged.
    """
    del config
    expect(marks, KIND, LAYOUT, (BITS,))
    mels = [log_mel(resample(one.waveform, one.sample_rate, RATE), float(one.facts["pitch"])) for one in sounds]
    return {BITS: nearest_bits(mels, [float(one.facts["pitch"]) for one in sounds], marks.arrays)}


def are_members(notes: Sequence[Heard], marks: Fingerprints) -> NDArray[np.bool_]:
    """Return `(note,)` whether notes that have been listened to are in the corpus themselves: two bits off at most."""
    return nearest_bits([one.mel for one in notes], [one.pitch for one in notes], marks.arrays) <= MEMBER_BITS


# ---- making


def take_fingerprints(cache: Path, config: Config, corpus: CorpusConfig, *, seed: int = 0) -> Fingerprints:
    """Mark the training notes of a prepared corpus, at most 20,000 of them, spread over all instruments.

    Args:
        cache: What `prepare` filled.
        config: The model's.
        corpus: The recipe's section.
        seed: Of the planted copies and the halves.
    """
    train, valid = (open_dataset(cache, config, corpus, split) for split in ("train", "valid"))
    hear = partial(hear_notes, config, with_vector=False)
    learnt = hear(train, sorted(spread_over(train.instrument, MOST_NOTES).tolist()))
    return mark(config, learnt, hear(valid, spread_over(valid.instrument, N_HELD_OUT).tolist()), train, seed=seed)


def mark(
    config: Config, learnt: Sequence[Heard], held_out: Sequence[Heard], train: Notes, *, seed: int = 0
) -> Fingerprints:
    """Mark notes that have been listened to.

    Args:
        config: The model's.
        learnt: Training notes.
        held_out: Notes of other instruments; twins of training notes are left out.
        train: Where the training notes come from.
        seed: Of the planted copies and the halves.
    """
    cleaned = without_twins(config, learnt, held_out, seed=seed)
    honest = [held_out[place] for place in cleaned.kept]
    arrays = arrays_of(learnt)
    rng = np.random.default_rng(seed)
    planted = [
        disguise(config, learnt[place], rng)
        for place in rng.integers(len(learnt), size=min(N_PLANTED, 2 * len(learnt))).tolist()
    ]
    to_honest, to_planted = (
        {BITS: nearest_bits([one.mel for one in notes], [one.pitch for one in notes], arrays)}
        for notes in (honest, planted)
    )
    limits, facts = calibrate(to_honest, to_planted, {BITS: limit_of}, most_false=MOST_FALSE, seed=seed)
    about: dict[str, Any] = {
        "n_items": len(learnt),
        "n_of_corpus": len(train),
        "bits_per_item": 8 + N_BITS,
        "twins_left_out": cleaned.n_twins,
    }
    if honest:
        near: Near = nearest_by_partials(honest, learnt)
        about["audit_limits"] = {PARTIALS: round(half_of_nearest(near.distance), 4)}
    return Fingerprints(KIND, arrays, limits, about | facts)


def arrays_of(learnt: Sequence[Heard]) -> dict[str, NDArray]:
    """Return the marks of notes: `keys` `(note,)`, `bits` `(note, byte)`, and `middle` `(bit,)` of the projections."""
    values = projected(np.array([one.mel[0] for one in learnt]))
    middle = np.median(values, axis=0).astype(np.float32)
    bits = np.packbits(values > middle, axis=1)
    keys = np.array([_stored(one.key) for one in learnt], np.uint8)
    order = np.lexsort((*bits.T, keys))
    return {"keys": keys[order], "bits": bits[order], "middle": middle}
