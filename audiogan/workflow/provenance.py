"""The card of a model: what it learnt from, how, and with what, so that others may trust and repeat it.

Folders of this computer are left out; songs are named by file and hash, with their licence, origin and split. What is
known only when a run begins, the recipe's name and the model begun with, is kept beside the run until the card is
written, so that a run that was stopped and resumed gets the card of one that was left alone.
"""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiogan import recipe as recipes
from audiogan.corpus.names import escape
from audiogan.pipeline import Model
from audiogan.recipe import Recipe
from audiogan.version import __version__
from audiogan.workflow.cache import folders_of
from audiogan.workflow.model import WEIGHTS, sha256_of

ORIGIN = "origin.json"
_SEP = re.escape(os.sep)


def origin(recipe: Recipe, parent: Model | None) -> dict[str, Any]:
    """Return what a run began with: the recipe's name, and what is known of the model it goes on from.

    Args:
        recipe: As it was given, not the copy beside the run.
        parent: The model begun with, if any.
    """
    return {"recipe": Path(recipe.source).stem, "parent": None if parent is None else _parent(parent)}


def provenance(
    recipe: Recipe,
    began: Mapping[str, Any],
    summary: Mapping[str, Any],
    folder: Path,
    step: int,
    modules: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the card of a model that has just been written.

    Args:
        recipe: What the run was told.
        began: What `origin` returned at the start of the run.
        summary: What `prepare` took of the corpus.
        folder: Where the model lies.
        step: Steps done.
        modules: The networks in it, by name.
    """
    import torch

    resolved = _without_folders(recipe.resolved())
    licences = sorted(summary.get("licences", {}))
    return {
        "audiogan": __version__,
        "pipeline": recipe.pipeline,
        "recipe": began["recipe"],
        "recipe_sha256": recipes.digest(resolved),
        "resolved": resolved,
        "seed": recipe.seed,
        "steps": step,
        "n_seen": step * resolved["train"]["batch_size"],
        "licences_of_the_songs": licences or ["unknown"],
        "weights_sha256": sha256_of(folder / WEIGHTS),
        "parameters": {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "parent": began["parent"],
        "summary": _with_names_only(dict(summary), [Path(place) for place in folders_of(recipe.resolved()["corpus"])]),
    }


def _parent(model: Model) -> dict[str, Any]:
    """What the card of the model begun with says, without its list of songs."""
    kept = ("recipe", "recipe_sha256", "resolved", "seed", "steps", "n_seen", "parent")
    known = {key: model.card[key] for key in kept if key in model.card}
    return {"name": model.name, "weights_sha256": model.sha256} | known


def _with_names_only(value: Any, folders: Sequence[Path]) -> Any:
    """Cut the folders off the paths that messages begin with; nobody else needs to know where songs lie."""
    if isinstance(value, str):
        for folder in folders:
            # From above the corpus folder, whose own name may stand alone; a colon ends the path.
            top = folder.parent if folder.parent.name else folder
            value = re.sub(rf"{re.escape(escape(top))}{_SEP}(?:[^:{_SEP}]*{_SEP})*", "", value)
        return value
    if isinstance(value, Mapping):
        return {key: _with_names_only(inner, folders) for key, inner in value.items()}
    return [_with_names_only(inner, folders) for inner in value] if isinstance(value, list | tuple) else value


def _without_folders(values: dict[str, Any]) -> dict[str, Any]:
    corpus = {key: value for key, value in values["corpus"].items() if key not in {"folder", "sources"}}
    corpus["sources"] = [
        {key: value for key, value in source.items() if key != "folder"}
        for source in values["corpus"].get("sources", [])
    ]
    return values | {"corpus": corpus}
