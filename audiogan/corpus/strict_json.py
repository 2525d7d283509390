"""Read JSON that others wrote: bounded size and depth, no duplicate keys, no NaN or Infinity."""

import json
import re
from typing import Any

from audiogan.corpus.limits import LIMITS, refuse

_MAX_DEPTH = 64
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _depth(text: str) -> int:
    """Deepest nesting of brackets outside strings."""
    deepest = level = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        level += 1 if bracket in "[{" else -1
        deepest = max(deepest, level)
    return deepest


def parse_json(data: bytes, source: str, *, max_bytes: int = LIMITS.json_bytes) -> dict[str, Any]:
    """Parse one JSON object.

    Raises:
        CorpusError: `too_large`, `bad_config`.
    """
    if len(data) > max_bytes:
        refuse("too_large", f"{source}: more than {max_bytes:,} bytes of JSON; expected no more")
    try:
        text = data.decode("utf-8")
        if _depth(text) > _MAX_DEPTH:
            refuse("bad_config", f"{source}: JSON nested deeper than {_MAX_DEPTH}")
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        refuse("bad_config", f"{source}: JSON cannot be parsed ({error}); expected one object")
    if not isinstance(found, dict):
        refuse("bad_config", f"{source}: JSON holds a {type(found).__name__}; expected one object")
    return found
