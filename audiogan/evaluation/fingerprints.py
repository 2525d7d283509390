"""What a model keeps of its corpus so that copies can be told where the corpus is not at hand: marks, not music.

A pipeline turns every training item into marks, hashes or a few signs from which nothing can be sounded again, and
says how near new items come to them. Limits come from held-out items, and two controls say whether they can be trusted,
as in `audit`: training items in disguise must be found, and held-out ones must pass. Whoever holds the file can tell
whether an item that he has is one of the corpus; that is its purpose. It is written as safetensors, no pickle.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.files import write_whole
from audiogan.corpus.names import escape
from audiogan.errors import CheckpointError
from audiogan.evaluation.audit import FOUND_SHARE, LEAST_HELD_OUT, N_DRAWS
from audiogan.evaluation.intervals import Interval, clopper_pearson

FILE = "fingerprints.safetensors"
SCHEMA = "audiogan/fingerprints/1"
MAX_BYTES = 256 * 2**20
EQUAL, NO_CLIP = "equal to another", "without a clip of the model's length and metre"
LEFT_OUT = (EQUAL, NO_CLIP)  # why an owner's files are not compared though they could be read
LEAST_FOUND = FOUND_SHARE
MOST_FALSE = 0.01
_HEAD = "audiogan"
Array = NDArray[np.float64]
Distances = Mapping[str, Array]
Limit = Callable[[Array, Array], float]
Layout = Mapping[str, tuple[str, tuple[int | str, ...]]]


@dataclass(frozen=True)
class Fingerprints:
    """Marks of a corpus.

    Args:
        kind: What was marked: `clips` or `notes`.
        arrays: The marks, as the pipeline reads them; whole numbers or 32-bit floats.
        limits: By view, the distance at which an item counts as too near; empty where nothing was held out to set it.
            A view whose limit is below 0 counts what is shared, as a negative number.
        facts: JSON-able: `n_items`, `bits_per_item`, how far the marks can be trusted, and more.
        path: Where they were read, for messages.
    """

    kind: str
    arrays: Mapping[str, NDArray]
    limits: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)
    path: str = FILE

    @property
    def has_power(self) -> bool:
        """Whether disguised copies were found and held-out items passed when the marks were made."""
        return self.facts.get("verdict") == "has power"

    def too_near(self, distances: Distances) -> NDArray[np.bool_]:
        """Return `(item,)` whether any view has an item at or within its limit; smaller is nearer."""
        return np.any([distances[name] <= limit for name, limit in self.limits.items()], axis=0)


def calibrate(
    held_out: Distances,
    planted: Distances,
    rules: Mapping[str, Limit],
    *,
    most_false: float = MOST_FALSE,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return limits, and how far they can be trusted.

    Args:
        held_out: By view, distances of items that the model never saw.
        planted: The same of training items in disguise.
        rules: By view, distances of honest items and of disguised ones → limit.
        most_false: The largest share of held-out items that may be flagged; a false alarm costs one more draw.
        seed: Of the halves.

    Returns:
        The limits, and JSON-able facts: the share of disguised copies found with its 95 % interval, and the share of
        held-out items flagged, where one half of either sets the limits and the other is judged; and the verdict.
    """
    n_held_out, n_planted = (len(next(iter(values.values()), ())) for values in (held_out, planted))
    if min(n_held_out, n_planted) < 2:
        return {}, {"verdict": "no power", "n_held_out": n_held_out}
    setting, judged = ({name: values[first::2] for name, values in planted.items()} for first in (0, 1))
    limits = {name: rule(held_out[name], setting[name]) for name, rule in rules.items()}
    share = clopper_pearson(int(_flagged(judged, limits).sum()), len(next(iter(judged.values()))))
    rng, n_false, n_judged = np.random.default_rng(seed), 0, 0
    for _ in range(N_DRAWS):
        order = rng.permutation(n_held_out)
        own = {name: rule(held_out[name][order[::2]], setting[name]) for name, rule in rules.items()}
        others = {name: values[order[1::2]] for name, values in held_out.items()}
        n_false, n_judged = n_false + int(_flagged(others, own).sum()), n_judged + n_held_out // 2
    false = n_false / n_judged
    holds = share.value >= LEAST_FOUND and false <= most_false and n_held_out >= LEAST_HELD_OUT
    return limits, {
        "verdict": "has power" if holds else "no power",
        "n_held_out": n_held_out,
        "planted_copies_found": _shown(share),
        "n_planted": len(next(iter(judged.values()))),
        "held_out_items_flagged": round(false, 5),
    }


def _flagged(distances: Distances, limits: Mapping[str, float]) -> NDArray[np.bool_]:
    return np.any([distances[name] <= limit for name, limit in limits.items()], axis=0)


def _shown(share: Interval) -> dict[str, float]:
    return {name: round(value, 4) for name, value in share._asdict().items()}


def save(marks: Fingerprints, path: Path) -> None:
    """Write fingerprints, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    head = {"schema": SCHEMA, "kind": marks.kind, "limits": dict(marks.limits), "facts": dict(marks.facts)}
    arrays = {name: np.ascontiguousarray(values) for name, values in marks.arrays.items()}
    write_whole(path, to_bytes(arrays, {_HEAD: json.dumps(head, allow_nan=False)}))


def load(path: Path) -> Fingerprints:
    """Read fingerprints.

    Raises:
        CheckpointError: The file is missing, damaged, too large or of another version.
    """
    from safetensors import SafetensorError, safe_open

    shown = escape(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{shown}: over {MAX_BYTES} bytes; expected the fingerprints of a model", "too_large")
        with safe_open(str(path), "numpy") as file:
            head = json.loads((file.metadata() or {}).get(_HEAD, "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
        raise CheckpointError(f"{shown}: {reason}; expected the fingerprints of a model") from None
    return _checked(head, arrays, shown)


def _checked(head: Any, arrays: dict[str, NDArray], shown: str) -> Fingerprints:
    if not isinstance(head, dict) or head.get("schema") != SCHEMA:
        raise CheckpointError(f"{shown}: fingerprints of another version; expected {SCHEMA}")
    kind, limits, facts = head.get("kind"), head.get("limits"), head.get("facts")
    if not (isinstance(kind, str) and isinstance(limits, dict) and isinstance(facts, dict)):
        raise CheckpointError(f"{shown}: a head without kind, limits and facts; expected what training wrote")
    if not all(isinstance(limit, int | float) for limit in limits.values()):
        raise CheckpointError(f"{shown}: a head without kind, limits and facts; expected what training wrote")
    if any(values.dtype.kind == "f" and not np.isfinite(values).all() for values in arrays.values()):
        raise CheckpointError(f"{shown}: a mark is not finite; expected what training wrote")
    if not all(np.isfinite(limit) for limit in limits.values()):
        raise CheckpointError(f"{shown}: a limit is not finite; expected what training wrote")
    return Fingerprints(kind, arrays, {name: float(limit) for name, limit in limits.items()}, facts, shown)


def expect(marks: Fingerprints, kind: str, layout: Layout, views: Collection[str]) -> None:
    """Check that fingerprints are those of a pipeline.

    Args:
        marks: Loaded.
        kind: The pipeline's.
        layout: By name of an array its type and sizes; a word stands for a size that is the same wherever it occurs.
        views: Names that limits may have.

    Raises:
        CheckpointError: They are of another pipeline, or arrays are missing or of another shape.
    """
    if marks.kind != kind:
        found = escape(marks.kind)[:40]
        raise CheckpointError(f"{marks.path}: fingerprints of {found}; expected those of {kind}")
    sizes: dict[str, int] = {}
    for name, (dtype, shape) in layout.items():
        values = marks.arrays.get(name)
        fits = values is not None and values.dtype == dtype and values.ndim == len(shape)
        if (
            values is None
            or not fits
            or any(
                size != (sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted)
                for size, wanted in zip(values.shape, shape, strict=True)
            )
        ):
            raise CheckpointError(f"{marks.path}: no array {name!r} of {dtype} {shape}; expected what training wrote")
    if unknown := sorted(set(marks.limits) - set(views)):
        raise CheckpointError(
            f"{marks.path}: a limit of {escape(unknown[0])[:40]!r}; expected limits of {', '.join(map(repr, views))}"
        )
