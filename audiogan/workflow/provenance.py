"""The card of a model: what it learnt from, how, and with what, so that others may trust and repeat it.

Folders of this computer are left out; files are named by name and hash, with their licence, origin and split. What is
known only when a run begins, the recipe's name and the model begun with, is kept beside the run until the card is
written, so that a run that was stopped and resumed gets the card of one that was left alone, but for what it took.
"""

import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from audiogan import recipe as recipes
from audiogan.corpus.names import escape
from audiogan.evaluation.older_cards import parent_of, ranges_of, representation_of
from audiogan.evaluation.provenance import MAX_BYTES, MAX_LISTED, UNKNOWN, Card, Parent, list_hash, validated
from audiogan.pipeline import Model
from audiogan.recipe import Recipe
from audiogan.version import __version__
from audiogan.workflow.cache import Prepared, folders_of
from audiogan.workflow.cards import read_card, write_card
from audiogan.workflow.contents import INDEX
from audiogan.workflow.effort import effort_of
from audiogan.workflow.model import WEIGHTS, sha256_of

ORIGIN = "origin.json"
RENDERER = "midirenderer"
MAX_MESSAGES = 100
"""Refusals of one reason that a card quotes; all of them are counted."""
_SEP = re.escape(os.sep)
_MAX_TEXT = 20_000


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
    prepared: Prepared,
    folder: Path,
    step: int,
    modules: Mapping[str, Any],
) -> Card:
    """Return the card of a model that has just been written.

    Args:
        recipe: What the run was told.
        began: What `origin` returned at the start of the run.
        prepared: The corpus.
        folder: Where the model lies, in the run's folder.
        step: Steps done.
        modules: The networks in it, by name.
    """
    resolved = _without_folders(recipe.resolved())
    config, settings = resolved["model"], resolved["train"]
    corpus = _corpus(recipe, prepared)
    values = {
        "name": folder.resolve().parent.name,
        "title": f"Trained by the recipe {began['recipe']}",
        "corpus": corpus,
        "data": _data_path(config, corpus),
        "recipe": {"name": str(began["recipe"]), "resolved": resolved, "sha256": recipes.digest(resolved)}
        | _programs(),
        "training": {
            "seeds": [recipe.seed],
            "steps": step,
            "n_seen": step * settings["batch_size"],
            "budget": str(settings["budget"]),
            "parent": _parent_block(began["parent"]),
            "effort": effort_of(folder.parent).model_dump(mode="json"),
        },
        "model": {
            "pipeline": recipe.pipeline,
            "weights_sha256": sha256_of(folder / WEIGHTS),
            "parameters": {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()},
            "averages": json.dumps(settings.get("averages", UNKNOWN)),
            "average_width": None,
            "config": config,
        }
        | ranges_of(config),
    }
    return _within_bounds(validated(values, escape(folder / "card.json")))


def _within_bounds(card: Card) -> Card:
    """Shorten the lists of a card that would be too large to be read again; what is left off is counted."""
    while len(card.as_bytes()) > MAX_BYTES and (card.corpus.files or card.corpus.instruments):
        corpus = card.corpus
        files, instruments = (listed[: len(listed) // 2] for listed in (corpus.files, corpus.instruments))
        left = int(corpus.n_files_not_listed) + len(corpus.files) - len(files)
        shorter = {"files": files, "instruments": instruments, "n_files_not_listed": left}
        card = card.model_copy(update={"corpus": corpus.model_copy(update=shorter)})
    return card


def note_average(folder: Path, width: float) -> None:
    """Write into a card that another average took the place of the usual one.

    Args:
        folder: Of the model, with its new weights.
        width: Of the average: its standard deviation as a share of the run.
    """
    card = read_card(folder) or Card()
    sums = {"weights_sha256": sha256_of(folder / WEIGHTS), "average_width": width}
    write_card(folder, card.model_copy(update={"model": card.model.model_copy(update=sums)}))


# ---- what it began with


def _parent(model: Model) -> dict[str, Any]:
    """What the card of the model begun with says, without its list of files."""
    card = model.card
    known: dict[str, Any] = {"name": escape(model.name), "weights_sha256": model.sha256}
    if card:
        recipe, training = card["recipe"], card["training"]
        known |= {"recipe": recipe["name"], "recipe_sha256": recipe["sha256"], "resolved": recipe["resolved"]}
        known |= {name: training[name] for name in ("seeds", "steps", "n_seen", "parent")}
    return known


def _parent_block(known: Any) -> dict[str, Any] | None:
    """Bring what the run kept of the model it began with into the form of today."""
    if not isinstance(known, Mapping):
        return None
    try:
        return Parent.model_validate_json(json.dumps(known)).model_dump(mode="json")
    except ValueError:  # of a run that an earlier version began
        return parent_of(known)


# ---- what it learnt from


def _corpus(recipe: Recipe, prepared: Prepared) -> dict[str, Any]:
    folders = [Path(place) for place in folders_of(recipe.resolved()["corpus"])]
    summary = _with_names_only(dict(prepared.summary), folders)
    sources = [_known(source, ("name", "kind", "family", "licence", "origin")) for source in summary.get("sources", ())]
    for source, found in zip(sources, summary.get("sources", ()), strict=True):
        source["n_notes"] = found.get("n_notes", UNKNOWN)
    files = list(_files(prepared, folders))
    refused = summary.get("refused", {})
    return {
        "sources": sources,
        "files": files[:MAX_LISTED],
        "n_files_not_listed": max(0, len(files) - MAX_LISTED),
        "list_sha256": list_hash((one["sha256"], one["name"]) for one in files) if files else UNKNOWN,
        "instruments": [
            _known(one, ("name", "split")) | {"n_notes": one.get("n_notes", UNKNOWN)}
            for one in summary.get("instruments", ())
        ][:MAX_LISTED],
        "totals": {name: n for name, n in summary.items() if name.startswith("n_") and isinstance(n, int)},
        "clips": dict(summary.get("n_clips", {})),
        "n_duplicates": summary.get("n_duplicates", UNKNOWN),
        "refused": {code: {"n": len(told), "messages": _cut(told)} for code, told in refused.items()},
        "warned": dict(summary.get("warned", {})),
        "licences": {name or UNKNOWN: n for name, n in summary.get("licences", {}).items()},
        "opt_out": [],  # nothing is left out by request; what is not wanted is not in the folder
    }


def _files(prepared: Prepared, folders: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield every file that was taken: songs, notes that are files of their own, and SoundFonts as a whole."""
    sources = prepared.summary.get("sources", [])
    index = prepared.folder / INDEX
    if not index.is_file():
        yield from (_file(song, song.get("name", ""), None) for song in prepared.summary.get("songs", ()))
        return
    for source, folder in zip(sources, folders, strict=False):
        if source.get("kind") == "soundfont":
            yield _file(source, source.get("name", ""), folder) | {"split": "by instrument"}
    with index.open(encoding="utf-8") as lines:
        for line in lines:
            found = json.loads(line)
            if "entry" in found:
                path = Path(found["entry"]["path"])
                yield _file(found["entry"], path.name, path)
            elif "note" in found and (note := found["note"]) and not _is_rendered(note, sources):
                number = note.get("source", 0)
                path = folders[number] / note["name"] if number < len(folders) else None
                yield _file(note, note["name"], path) | {"hash_of": "samples"}


def _is_rendered(note: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> bool:
    number = note.get("source", 0)
    return number < len(sources) and sources[number].get("kind") == "soundfont"


def _file(found: Mapping[str, Any], name: str, path: Path | None) -> dict[str, Any]:
    known = _known(found, ("licence", "origin", "author", "split")) | {"name": _short(name)}
    is_there = path is not None and path.is_file()
    size = path.stat().st_size if path is not None and is_there else UNKNOWN
    return known | {"sha256": found.get("sha256") or UNKNOWN, "bytes": size}


def _known(found: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    return {name: _short(str(found.get(name) or UNKNOWN)) for name in names}


def _cut(texts: Sequence[str]) -> list[str]:
    return [_short(text) for text in texts[:MAX_MESSAGES]]


def _short(text: str) -> str:
    return escape(text)[:_MAX_TEXT]


# ---- with what


def _data_path(config: Mapping[str, Any], corpus: Mapping[str, Any]) -> dict[str, Any]:
    fonts = [one for one in corpus["files"] if one["split"] == "by instrument"]
    sounds = "fitted to the training notes before training; its values are in the weights"
    return {
        "representation": representation_of(config),
        "normaliser": sounds if "representation" in config else "none",
        "renderer": f"{RENDERER} {_version(RENDERER)}" if fonts else "none",
        "fonts": [{"name": font["name"], "version": font["origin"], "sha256": font["sha256"]} for font in fonts],
    }


def _programs() -> dict[str, Any]:
    import torch

    return {
        "audiogan": __version__,
        "source_revision": source_revision(Path(__file__).parents[2]),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "libraries": {name: _version(name) for name in ("numpy", "soundfile", "soxr", "symusic")},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return UNKNOWN


def source_revision(checkout: Path) -> str:
    """Return the commit that a checkout is at, read from its git folder; `unknown` where there is none.

    Args:
        checkout: With `.git`; whether files differ from the commit is not looked at.
    """
    git = checkout / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="ascii").strip()
        name = head.removeprefix("ref: ")
        found = head
        if name != head:
            packed = git / "packed-refs"
            listed = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
            known = {ref: sha for sha, _, ref in (line.partition(" ") for line in listed)}
            found = (git / name).read_text(encoding="ascii").strip() if (git / name).is_file() else known.get(name, "")
    except (OSError, ValueError):
        return UNKNOWN
    return found if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", found) else UNKNOWN


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
    game, own = values.get("game", {}), {}
    if isinstance(projected := game.get("projected"), Mapping):
        own = {"projected": {**projected, "model": Path(str(projected["model"])).name}}  # its hash says which
    return values | {"corpus": corpus, "game": {**game, **own}}
