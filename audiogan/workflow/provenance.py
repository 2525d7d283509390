"""The card of a model: what it learnt from, how, and with what, so that others may trust and repeat it.

Folders of this computer are left out; songs are named by file and hash, with their licence, origin and split.
"""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiogan import recipe as recipes
from audiogan.recipe import Recipe
from audiogan.version import __version__
from audiogan.workflow.model import CARD, WEIGHTS, load_card, sha256_of


def provenance(
    recipe: Recipe, summary: Mapping[str, Any], folder: Path, step: int, modules: Mapping[str, Any], init: object
) -> dict[str, Any]:
    """Return the card of a model that has just been written.

    Args:
        recipe: What the run was told.
        summary: What `prepare` took of the corpus.
        folder: Where the model lies.
        step: Steps done.
        modules: The networks in it, by name.
        init: The model that the run began with, if any.
    """
    import torch

    resolved = _without_folders(recipe.resolved())
    licences = sorted(summary.get("licences", {}))
    return {
        "audiogan": __version__,
        "pipeline": recipe.pipeline,
        "recipe": Path(recipe.source).stem,
        "recipe_sha256": recipes.digest(resolved),
        "resolved": resolved,
        "seed": recipe.seed,
        "steps": step,
        "n_seen": step * resolved["train"]["batch_size"],
        "licences_of_the_songs": licences or ["unknown"],
        "weights_sha256": sha256_of(folder / WEIGHTS),
        "parameters": {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "parent": None if init is None else _parent(Path(str(init))),
        "summary": dict(summary),
    }


def _parent(folder: Path) -> dict[str, Any]:
    """What the card of the model begun with says, without its list of songs."""
    place = folder / "model" if (folder / "model" / WEIGHTS).is_file() else folder
    known = load_card(place / CARD)
    kept = ("recipe", "recipe_sha256", "resolved", "seed", "steps", "n_seen", "weights_sha256", "parent")
    return {"name": place.parent.name if place.name == "model" else place.name} | {
        key: known[key] for key in kept if key in known
    }


def _without_folders(values: dict[str, Any]) -> dict[str, Any]:
    corpus = {key: value for key, value in values["corpus"].items() if key not in {"folder", "sources"}}
    corpus["sources"] = [
        {key: value for key, value in source.items() if key != "folder"}
        for source in values["corpus"].get("sources", [])
    ]
    return values | {"corpus": corpus}
