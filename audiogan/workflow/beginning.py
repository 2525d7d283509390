"""What a run keeps of its beginning, so that it can begin again when it is killed before its first checkpoint.

`begin.json` beside the recipe names the model that the run began with and everything its corpus held. It stays on this
computer: neither the model's card nor the model has anything of it.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiogan.corpus.names import escape
from audiogan.errors import CheckpointError, RecipeError
from audiogan.recipe import Recipe
from audiogan.workflow.contents import Contents, contents_of, difference, fingerprint_of
from audiogan.workflow.outputs import write_json

logger = logging.getLogger(__name__)

BEGIN = "begin.json"
CORPUS_CHANGED = "corpus_changed"


def keep_beginning(run: Path, init: str | Path | None, prepared: Path) -> None:
    """Write what a run begins with.

    Args:
        run: Its folder.
        init: The model whose weights it begins with.
        prepared: The corpus in the cache.

    Raises:
        OutputError: The folder cannot be written.
    """
    place = None if init is None else str(Path(init).resolve() if Path(init).exists() else init)
    write_json(run / BEGIN, {"init": place, "contents": contents_of(prepared)})


def has_saved(run: Path) -> bool:
    """Return whether a run has ever saved a checkpoint, whole or damaged since.

    Args:
        run: Its folder.
    """
    return any(re.match(r"step-\d", path.name) for path in (run / "checkpoints").glob("step-*"))


def init_of(run: Path) -> str | None:
    """Return the model that a run began with, None where it began from nothing or is of an earlier version.

    Args:
        run: Its folder.
    """
    found = _beginning(run).get("init")
    return None if found is None else str(found)


def check_parent(run: Path, name: str, sha256: str, known: str | None) -> None:
    """Refuse a model that has changed since a run began with it.

    Args:
        run: The run's folder.
        name: The model.
        sha256: Of its weights now.
        known: Of its weights when the run began; None for unknown.

    Raises:
        CheckpointError: They differ.
    """
    if known is not None and sha256 != known:
        told = f"{escape(run)}: began with another model than {escape(name)} is now; expected the same weights"
        raise CheckpointError(f"{told}, since nothing was saved yet; start it again in another folder")


def fingerprint(prepared: Path) -> str:
    """Return a hash of what a prepared corpus holds; empty where that is not known.

    Args:
        prepared: Its folder in the cache.
    """
    return fingerprint_of(contents_of(prepared))


@contextmanager
def naming_changes(run: Path, prepared: Path) -> Iterator[None]:
    """Say in words how the corpus differs from the one that a run began with, where it refuses to go on for that.

    Args:
        run: The run's folder.
        prepared: The corpus in the cache.

    Raises:
        CheckpointError: As inside the block.
    """
    try:
        yield
    except CheckpointError as error:
        if error.reason != CORPUS_CHANGED:
            raise
        before: Contents = _beginning(run).get("contents") or {}
        told = difference(before, contents_of(prepared)) if before else "what it held before is not known"
        advice = "prepare it as before, or go on with --corpus-changed"
        raise CheckpointError(f"{error}: {told}; {advice}", CORPUS_CHANGED) from None


def must_agree(stored: Recipe, given: Recipe) -> None:
    """Refuse a recipe that differs from the one a run keeps.

    Args:
        stored: The run's own.
        given: Named on the command line.

    Raises:
        RecipeError: A section differs.
    """
    mine, theirs = stored.resolved(), given.resolved()
    for section, values in mine.items():
        if values != theirs[section]:
            raise RecipeError(
                f"{section} differs from {stored.source}; leave the recipe out to resume with the run's own"
            )


def tell_changes(now: Recipe, began: Recipe) -> None:
    """Warn where a run goes on with other settings of its game or optimiser than it began with.

    Args:
        now: With what the command line changes.
        began: The run's own.
    """
    mine, first = now.resolved(), began.resolved()
    changed = [name for name in ("model", "corpus", "game", "optimizer") if mine.get(name) != first.get(name)]
    if changed:
        told = f"{', '.join(changed)} changed on the command line"
        logger.warning(
            "%s: %s; the run is another from here on, and its recipe keeps the old words", began.source, told
        )


def refuse_frozen(recipe: Recipe) -> None:
    """Refuse blocks that stand still in a run that begins with random weights.

    Args:
        recipe: Of such a run.

    Raises:
        RecipeError: Its game freezes some.
    """
    count = _frozen(recipe.resolved()["game"])
    if count:
        told = f"`freeze: {count}` in game would hold blocks still that have learnt nothing; expected --init MODEL, too"
        raise RecipeError(f"{told}, or 0")


def _frozen(section: Mapping[str, Any]) -> int:
    """Return how many blocks a game freezes, itself or a game within it."""
    inner = [_frozen(value) for value in section.values() if isinstance(value, Mapping)]
    own = section.get("freeze")
    return max([*inner, own if isinstance(own, int) else 0])


def _beginning(run: Path) -> dict[str, Any]:
    try:
        found = json.loads((run / BEGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
