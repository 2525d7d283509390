"""What an evaluation found, as the blocks of a card: rows of figures, agreement, and the copy audit.

Both pipelines report in JSON of their own; here their names meet in one row. What is not a number becomes null.
"""

from collections.abc import Mapping
from typing import Any

from audiogan.evaluation.provenance import UNKNOWN

VERDICTS = ("pass", "warn", "fail", "no power", "not judged", "not made")
EMBEDDINGS = ("score_desc", "timbre vector")
"""What `column` or `form` says where a figure is a distance between sets of vectors."""
_FIGURES = ("value", "low", "high", "floor", "floor_low", "floor_high", "ceiling", "gap")
_MAX_TEXT = 20_000
_MAX_COUNT = 1 << 53
_MAX_FIGURE = 1e300
_MAX_PAIRS = 20


def row_of(found: object, seed: object = UNKNOWN, split: str = UNKNOWN) -> dict[str, Any] | None:
    """Return a row of a card; None for what is none.

    Args:
        found: A row as `evaluate` or an earlier card has it.
        seed: Of the evaluation.
        split: The music it was compared with.
    """
    if not isinstance(found, Mapping) or not isinstance(found.get("metric"), str):
        return None
    form, column = _text(found, "form"), _text(found, "column")
    row: dict[str, Any] = {"metric": found["metric"][:_MAX_TEXT], "form": form, "column": column}
    row |= {name: _figure(found.get(name)) for name in _FIGURES}
    for name, other in (("real", "reference"), ("real_low", "reference_low"), ("real_high", "reference_high")):
        row[name] = _figure(found.get(name, found.get(other)))
    row["n"] = count_of(found.get("n"))
    row["n_real"] = count_of(found.get("n_real", found.get("n_reference")))
    passes = found.get("passes")
    embedding = _text(found, "embedding") or next((name for name in EMBEDDINGS if name in (form, column)), "none")
    row |= {"passes": passes if isinstance(passes, bool) else None, "note": _text(found, "note")}
    return row | {
        "split": _text(found, "split") or split,
        "embedding": embedding,
        "embedding_sha256": _text(found, "embedding_sha256"),
        "counted": found.get("counted") is not False,
        "seed": count_of(found.get("seed", seed)),
    }


def rule_of(found: object) -> dict[str, Any] | None:
    """Return a rule of the audit; None for what is none."""
    if not isinstance(found, Mapping) or found.get("verdict") not in VERDICTS or not isinstance(found.get("name"), str):
        return None
    figures = {name: _figure(found.get(name)) for name in ("value", "low", "high")}
    return {"name": _text(found, "name"), **figures, "n": count_of(found.get("n")), "verdict": found["verdict"]}


def audit_of(found: Mapping[str, Any], seed: object = UNKNOWN) -> dict[str, Any]:
    """Return the audit block of a card.

    Args:
        found: What `audiogan.evaluation.audit.Audit.as_json` returned.
        seed: Of the evaluation.
    """
    copies, pairs, limits = found.get("copies"), found.get("pairs"), found.get("limits")
    verdict = found.get("verdict")
    return {
        "verdict": verdict if verdict in VERDICTS else "not made",
        "in_words": _text(found, "in_words") or UNKNOWN,
        "rules": [rule for rule in map(rule_of, _list(found.get("rules"))) if rule is not None],
        "controls": [control for control in map(_control, _list(found.get("controls"))) if control is not None],
        "limits": {str(key): value for key, value in _pairs(limits) if _figure(value) is not None},
        "n_made": count_of(found.get("n_made")),
        "n_held_out": count_of(found.get("n_held_out")),
        "n_learnt": count_of(found.get("n_learnt")),
        "n_copies": len(copies) if isinstance(copies, list | tuple) else count_of(found.get("n_copies")),
        "pairs": [dict(pair) for pair in _list(pairs)[:_MAX_PAIRS] if isinstance(pair, Mapping)],
        "seed": count_of(found.get("seed", seed)),
    }


def measures_of(measured: Mapping[str, Any], name: str, command: str, reference: str, split: str) -> dict[str, Any]:
    """Return a block of measures of a card.

    Args:
        measured: The JSON of `audiogan evaluate`.
        name: Of the block.
        command: That measured.
        reference: What real music it was compared with.
        split: Of that music: `test`, `valid` or `unknown`.
    """
    seed, copying = measured.get("seed"), measured.get("copying")
    rows = [row for row in (row_of(one, seed, split) for one in _list(measured.get("rows"))) if row is not None]
    return {
        "name": name,
        "command": command,
        "reference": reference,
        "n": count_of(measured.get("n_generated")),
        "seed": count_of(seed),
        "passed": count_of(measured.get("passed")),
        "judged": count_of(measured.get("judged")),
        "rows": rows,
        "listening": [dict(one) for one in _list(measured.get("listening")) if isinstance(one, Mapping)],
        "copying": dict(copying) if isinstance(copying, Mapping) else None,
    }


def count_of(value: object) -> int | str:
    """Return a count, or `unknown` for what is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return UNKNOWN
    return value if 0 <= value <= _MAX_COUNT else UNKNOWN


def _control(found: object) -> dict[str, Any] | None:
    if not isinstance(found, Mapping) or not isinstance(found.get("name"), str):
        return None
    return {
        "name": _text(found, "name"),
        "n_held": count_of(found.get("n_held")),
        "n_draws": count_of(found.get("n_draws")),
    }


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _figure(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -_MAX_FIGURE <= value <= _MAX_FIGURE else None


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _pairs(value: object) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []
