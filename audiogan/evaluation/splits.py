"""Is a corpus, prepared once more, parted as it was when a model learnt from it?

A folder in which files were added, renamed or removed may be parted in another way; then items that the model was
trained on would be held out, and every figure would flatter it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiogan.corpus.names import escape
from audiogan.errors import CorpusError

TAKEN = "corpus.json"
"""What a run took of its corpus, in its folder."""
MOST_BYTES = 1 << 28


def check_parted_as_before(run: Path, key: str, now: Sequence[Mapping[str, Any]], *, by: str = "name") -> None:
    """Refuse a corpus of which something is held out that was trained on before.

    Args:
        run: Folder of the run; without a record of its corpus there is nothing to check.
        key: Where the record lists the items: `songs` or `instruments`.
        now: The items with their `split`.
        by: What tells items apart: `name` or `sha256`.

    Raises:
        CorpusError: `corpus_changed`; or `bad_config`: the record cannot be read.
    """
    before = {one.get(by) for one in _taken(run / TAKEN, key) if one.get("split") == "train"}
    leaked = [one for one in now if one.get("split") != "train" and one.get(by) in before]
    if leaked:
        name = escape(str(leaked[0].get("name", "")))
        raise CorpusError(
            f"{escape(run)}: the corpus has changed since; {len(leaked)} of the {key} now held out were trained on, "
            f"{name} among them; expected the corpus of then, or a --reference folder",
            "corpus_changed",
        )


def _taken(path: Path, key: str) -> list[Mapping[str, Any]]:
    if not path.is_file():
        return []
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("too large")
        listed = json.loads(path.read_bytes())[key]
        return [one for one in listed if isinstance(one, Mapping)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise CorpusError(f"{escape(path)}: no list of {key}; expected what training wrote", "bad_config") from None
