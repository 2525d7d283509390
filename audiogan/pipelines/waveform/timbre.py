"""A point in the space of sounds: drawn, saved, read back, and the way between two of them.

h says which instrument, z what h leaves open; a timbre without h is free, and z alone decides. One taken from a
recording also carries what the model's own sound lacks against it (see `detail`). Files are small strict JSON and hold
no code. Between two timbres z moves on the sphere (slerp) and h on a line, as in training.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from audiogan.adversarial.game import seed_of
from audiogan.corpus.files import write_whole
from audiogan.corpus.gate import open_checked
from audiogan.corpus.limits import LIMITS, refuse
from audiogan.corpus.names import clean_text, escape
from audiogan.corpus.strict_json import parse_json
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.detail import Detail, mixed, parse_details
from audiogan.pipelines.waveform.encoder import TimbreEncoder
from audiogan.representation.base import HarmonicConfig

SCHEMA = "audiogan/timbre/1"
NARROW = 1e-4  # rad: below, the sphere is flat
LARGEST = 1e3
_KEYS = frozenset({"schema", "model", "name", "h", "z"})
_MORE_KEYS = frozenset({"details"})
Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Timbre:
    """A point in the space.

    Args:
        h: `(timbre_dim,)` of an instrument; None for a free timbre.
        z: `(z_dim,)`.
        name: For people.
        model: Hash of the weights it belongs to; empty where that is not known.
        details: What the model's own sound lacks against recordings.
    """

    h: Values | None = field(repr=False)
    z: Values = field(repr=False)
    name: str = ""
    model: str = ""
    details: tuple[Detail, ...] = field(default=(), repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values, exact."""
        h = None if self.h is None else [float(value) for value in self.h]
        found = {
            "schema": SCHEMA,
            "model": self.model,
            "name": self.name,
            "h": h,
            "z": [float(value) for value in self.z],
        }
        return found | ({"details": [detail.as_json() for detail in self.details]} if self.details else {})


# ---- drawing


def z_for(z_dim: int, seed: int, stream: str, *more: object) -> Values:
    """Draw z, `(z_dim,)` standard normal; a pure function of its arguments."""
    generator = torch.Generator().manual_seed(seed_of(seed, stream, *more))
    return torch.randn(z_dim, generator=generator).numpy()


def dims_of(model: Model) -> tuple[int, int]:
    """Return (z_dim, timbre_dim) of a model; timbre_dim is 0 where it knows no timbre."""
    network = model.config.network
    return network.z_dim, network.timbre_dim


def free_timbre(model: Model, seed: int, number: int = 0, *, temperature: float = 1.0) -> Timbre:
    """Draw a timbre without h.

    Args:
        model: Trained networks.
        seed, number: The same two give the same timbre.
        temperature: What z is multiplied by.
    """
    z = z_for(dims_of(model)[0], seed, "free", number)
    return Timbre(None, (z * np.float32(temperature)).astype(np.float32), f"free {seed}-{number}", model.sha256)


@torch.no_grad()
def random_timbre(model: Model, seed: int, number: int = 0, *, temperature: float = 1.0) -> Timbre:
    """Draw a timbre: h from the mixture fitted to the training notes, and z; without an encoder z alone.

    Args:
        model: Trained networks.
        seed, number: The same two give the same timbre.
        temperature: What z, and the way of h from the middle of its part of the mixture, are multiplied by.
    """
    z_dim, timbre_dim = dims_of(model)
    encoder = model.modules.get("encoder")
    if not isinstance(encoder, TimbreEncoder):
        return free_timbre(model, seed, number, temperature=temperature)
    generator = torch.Generator().manual_seed(seed_of(seed, "random timbre", number))
    part, normal = torch.rand(1, generator=generator), torch.randn(1, timbre_dim, generator=generator)
    h = encoder.mixture.sample(part, normal * temperature)[0].cpu().numpy()
    z = z_for(z_dim, seed, "timbre", number) * np.float32(temperature)
    return Timbre(h, z.astype(np.float32), f"random {seed}-{number}", model.sha256)


# ---- between two


def slerp(first: Values, second: Values, share: float) -> Values:
    """Return the point at `share` in [0, 1] of the way from one z to another: angle and length both move evenly.

    Args:
        first, second: `(z_dim,)`; nearly parallel or opposite ones, and 0, are joined by a line.
        share: 0 gives the first, 1 the second.

    Example:
        >>> slerp(np.float32([1, 0]), np.float32([0, 2]), 0.5).round(3).tolist()
        [1.061, 1.061]
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if min(lengths) > 0:
        cosine = float(np.clip(a @ b / (lengths[0] * lengths[1]), -1.0, 1.0))
        angle = math.acos(cosine)
        if NARROW < angle < math.pi - NARROW:
            way = math.sin((1 - share) * angle) * a / lengths[0] + math.sin(share * angle) * b / lengths[1]
            length = (1 - share) * lengths[0] + share * lengths[1]
            return (way / math.sin(angle) * length).astype(np.float32)
    return ((1 - share) * a + share * b).astype(np.float32)


def between(model: Model, first: Timbre, second: Timbre, share: float) -> Timbre:
    """Return the timbre at `share` in [0, 1] of the way; an end without h counts as the model's own null.

    Args:
        model: Trained networks.
        first, second: The ends.
        share: 0 and 1 give the ends themselves.
    """
    if share <= 0 or share >= 1:
        return first if share <= 0 else second
    h = None
    if first.h is not None or second.h is not None:
        a, b = (_null(model) if end.h is None else end.h for end in (first, second))
        h = ((1 - share) * a + share * b).astype(np.float32)
    name = f"{first.name} to {second.name}, {share:.3f}"
    return Timbre(h, slerp(first.z, second.z, share), name, first.model, mixed(first.details, second.details, share))


def _null(model: Model) -> Values:
    """The h that stands for none."""
    null = model.modules["generator"].get_parameter("conditions.null")
    return null.detach().cpu().numpy()


def along(model: Model, timbres: Sequence[Timbre], place: float) -> Timbre:
    """Return the timbre at a place of a chain: 0 is the first, 1 the second, 1.5 half-way from there to the third.

    Args:
        model: Trained networks.
        timbres: One or more; the chain is a ring, after the last comes the first.
        place: 0 or more.
    """
    leg = int(place)
    return between(model, timbres[leg % len(timbres)], timbres[(leg + 1) % len(timbres)], place - leg)


# ---- files


def save_timbre(timbre: Timbre, path: Path) -> None:
    """Write a timbre as JSON, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    write_whole(path, (json.dumps(timbre.as_json(), allow_nan=False) + "\n").encode("utf-8"))


def load_timbre(path: Path, model: Model | None = None) -> Timbre:
    """Read what `save_timbre` wrote, or the timbre among the facts of a sound, as in the JSON beside its file.

    Args:
        path: The file.
        model: Refuse timbres of other models; None takes any.

    Raises:
        CorpusError: `bad_config`, `too_large`, or as `open_checked`.
    """
    source = escape(path)
    found = parse_json(open_checked(path, max_bytes=LIMITS.json_bytes), source)
    timbre = _parsed(_inner(found), source)
    if model is not None:
        check_timbre(timbre, model, source)
    return timbre


def _inner(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The timbre of a sound's facts, or of the only sound of a manifest; else all that was found."""
    files = found.get("files")
    told = [found] if not isinstance(files, list) else [file for file in files if isinstance(file, dict)]
    timbres = [one["timbre"] for one in told if isinstance(one.get("timbre"), dict)]
    return timbres[0] if len(timbres) == 1 else found


def check_timbre(timbre: Timbre, model: Model, source: str = "timbre") -> None:
    """Refuse a timbre that does not belong to a model.

    Args:
        timbre: Any.
        model: Trained networks.
        source: What to call it in a refusal.

    Raises:
        CorpusError: `bad_config`: other sizes, or made with other weights.
    """
    z_dim, timbre_dim = dims_of(model)
    n_h = timbre_dim if timbre.h is None else len(timbre.h)
    if (len(timbre.z), n_h) != (z_dim, timbre_dim):
        refuse("bad_config", f"{source}: z of {len(timbre.z)} and h of {n_h}; expected {z_dim} and {timbre_dim}")
    representation = model.config.representation
    n_rows = representation.n_rows if isinstance(representation, HarmonicConfig) else 0
    if any(detail.values.shape[1] != n_rows for detail in timbre.details):
        refuse("bad_config", f"{source}: details of another size; expected {n_rows} rows")
    if timbre.model and model.sha256 and timbre.model != model.sha256:
        name = model.name or "this model"
        refuse("bad_config", f"{source}: saved with other weights ({timbre.model[:12]}); expected those of {name}")


def _parsed(found: Mapping[str, Any], source: str) -> Timbre:
    def fail(fact: str) -> NoReturn:
        refuse("bad_config", f"{source}: {fact}")

    if found.get("schema") != SCHEMA:
        fail(f"no timbre; expected a JSON object with schema {SCHEMA}")
    if set(found) - _MORE_KEYS != _KEYS:
        odd = ", ".join(sorted(map(escape, (set(found) - _MORE_KEYS) ^ _KEYS)))
        fail(f"keys missing or unknown ({odd}); expected {', '.join(sorted(_KEYS))}")
    if not isinstance(found["name"], str) or not isinstance(found["model"], str):
        fail("name and model; expected texts")
    h = None if found["h"] is None else _values(found["h"], "h", fail)
    try:
        details = parse_details(found.get("details", []))
    except ValueError as error:
        fail(str(error))
    z = _values(found["z"], "z", fail)
    return Timbre(h, z, escape(clean_text(found["name"])), found["model"][:64], details)


def _values(found: object, name: str, fail: Any) -> Values:
    numbers = found if isinstance(found, list) else []
    if not 1 <= len(numbers) <= 4096 or not all(type(value) in (int, float) for value in numbers):
        fail(f"{name}; expected 1 to 4096 numbers")
    if not all(abs(value) <= LARGEST for value in numbers):
        fail(f"{name}: not finite or beyond {LARGEST:g}; expected ordinary numbers")
    return np.array(numbers, dtype=np.float32)
