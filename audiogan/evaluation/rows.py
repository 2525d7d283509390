"""The rows of a report: one shape for the figures of every pipeline."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

IN_WORDS = {
    "kad": "kernel distance",
    "frechet": "Fréchet distance",
    "fd_inf": "Fréchet distance of endless sets",
    "fd_inf_r2": "R² of the Fréchet line",
    "ndb": "bins filled differently",
    "eb": "empty bars",
    "up": "pitches per bar",
    "upc": "pitch classes per bar",
    "qn": "qualified notes",
    "pp": "polyphony",
    "dp": "drum hits on sixteenths",
    "dp8": "drum hits on eighths",
    "frag": "notes of one step",
    "td": "tonal distance of tracks",
}
"""Metrics whose names are not words already."""


def in_words(metric: str) -> str:
    """Return the name of a metric for readers.

    Example:
        >>> in_words("eb"), in_words("in_tune")
        ('empty bars', 'in tune')
    """
    return IN_WORDS.get(metric) or metric.replace("_", " ")


@dataclass(frozen=True)
class ReportRow:
    """One number and its company; NaN stands for what does not exist.

    Args:
        metric, form, column: What is measured, in which form, and on what (a track, a pair, a judge).
        value, low, high: Of the model, with its 95 % interval.
        n: Items of the model that were counted.
        real, real_low, real_high, n_real: The same of held-out real items.
        floor: What real items reach against real items: `gap` is 0 there.
        ceiling: What an untrained model reaches: `gap` is 1 there.
        gap: 0 like real, 1 like untrained. Where `real` is no floor but a goal (empty bars, say), floor, ceiling and
            gap are of the distance from it.
        split: The real items.
        embedding, embedding_sha256: What turns items into vectors, empty where nothing does; the hash of its
            weights, or of the names and scales of hand-made features.
        seed: Of items and resamples.
        passes: As good as real, or good enough; None where that cannot be said.
        counted: Whether the row is among those that the verdict counts.
        note: What else has to be known.
    """

    metric: str
    form: str
    column: str
    value: float
    low: float
    high: float
    n: int
    real: float
    real_low: float
    real_high: float
    n_real: int
    floor: float
    ceiling: float
    gap: float
    split: str
    embedding: str
    embedding_sha256: str
    seed: int
    passes: bool | None
    counted: bool = True
    note: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether it is counted and has a verdict."""
        return self.counted and self.passes is not None

    def to_json(self) -> dict[str, Any]:
        """Return the row for JSON: None instead of NaN."""
        return {name: _known(value) for name, value in asdict(self).items()}


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Embedding:
    """What turns items into vectors, and the hash by which two of them can be told apart."""

    name: str
    sha256: str


def embedding_of(name: str, features: Sequence[str], arrays: Mapping[str, Any]) -> Embedding:
    """Return a hand-made embedding: its hash is that of the names of its features and of the arrays that scale them.

    Args:
        name: Of the embedding.
        features: Their names, in order.
        arrays: Numbers by name.

    Example:
        >>> embedding_of("two", ["a", "b"], {"spread": [1.0, 2.0]}).sha256[:8]
        'd90e82c9'
    """
    digest = hashlib.sha256(json.dumps([name, *features]).encode())
    for key, values in sorted(arrays.items()):
        digest.update(key.encode() + np.ascontiguousarray(values, dtype="<f8").tobytes())
    return Embedding(name, digest.hexdigest())


def summary(rows: Sequence[ReportRow]) -> tuple[int, int]:
    """Return how many rows pass, and how many are judged."""
    judged = [row for row in rows if row.is_judged]
    return sum(row.passes is True for row in judged), len(judged)
