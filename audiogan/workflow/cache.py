"""Prepared corpora, kept between runs.

A recipe's corpus is turned into tensors once. The name of its cache folder depends on the corpus and model sections,
on this version, and on the files as they are, so a changed song or setting never meets a stale cache. A folder appears
under its name when it is complete.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiogan import recipe as recipes
from audiogan.corpus.names import escape
from audiogan.errors import CorpusError, OutputError
from audiogan.pipeline import Pipeline, Progress
from audiogan.recipe import Recipe
from audiogan.version import __version__
from audiogan.workflow.outputs import write_json

SUMMARY = "summary.json"


@dataclass(frozen=True)
class Prepared:
    """A corpus as tensors: the cache folder, what was taken and refused, and whether it was there before."""

    folder: Path
    summary: Mapping[str, Any]
    reused: bool

    @property
    def exit_code(self) -> int:
        """0 when every file was taken, 5 when some were refused."""
        return 5 if self.summary.get("refused") else 0

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {"folder": str(self.folder), "reused": self.reused, "summary": dict(self.summary)}


def cache_root() -> Path:
    """Return where prepared corpora are kept: `AUDIOGAN_CACHE`, else the user's cache folder."""
    own = os.environ.get("AUDIOGAN_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "audiogan"


def fingerprint(folder: Path) -> str:
    """Return a hash of the names, sizes and times of all files below a folder.

    Raises:
        CorpusError: There is no such folder.
    """
    if not folder.exists():
        raise CorpusError(f"{escape(folder)}: no such folder; expected the folder of your MIDI files", "missing")
    digest = hashlib.sha256()
    for path in sorted([folder, *folder.rglob("*")], key=os.fsencode):
        facts = path.lstat()
        if not path.is_dir():
            digest.update(os.fsencode(path.relative_to(folder)) + f"|{facts.st_size}|{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def folders_of(corpus: Mapping[str, Any]) -> list[str]:
    """Return the folders that a resolved corpus section names."""
    sources = [corpus, *corpus.get("sources", [])]
    return [source["folder"] for source in sources if source.get("folder")]


def fill(
    recipe: Recipe, pipeline: Pipeline, *, jobs: int | None, overwrite: bool, progress: Progress | None
) -> Prepared:
    """Return the tensors of a recipe's corpus, made now unless the cache has them.

    Args:
        recipe: Checked.
        pipeline: The recipe's own.
        jobs: Processes that read files; None for one per core.
        overwrite: Make them again.
        progress: Called with files done and their number.

    Raises:
        CorpusError: The folder is missing or nothing in it can be used.
        OutputError: The cache folder cannot be written.
    """
    corpus, config = recipe.section("corpus"), recipe.section("model")
    values = recipe.resolved()
    prints = [fingerprint(Path(folder)) for folder in folders_of(values["corpus"])]
    key = recipes.digest([__version__, values["pipeline"], values["corpus"], values["model"], prints])
    cache = cache_root() / f"{recipe.pipeline}-{key[:20]}"
    if (cache / SUMMARY).is_file() and not overwrite:
        return Prepared(cache, json.loads((cache / SUMMARY).read_text(encoding="utf-8")), reused=True)
    staged = cache.with_name(f".{cache.name}-{os.getpid()}")
    try:
        staged.mkdir(parents=True, exist_ok=True)
        summary = pipeline.prepare(corpus, config, staged, jobs=jobs, progress=progress)
        facts = summary if isinstance(summary, dict) else summary.as_json()
        write_json(staged / SUMMARY, facts)
        shutil.rmtree(cache, ignore_errors=True)
        staged.replace(cache)
    except OSError as error:
        raise OutputError(
            f"{escape(cache)}: {error.strerror or error}; expected a cache folder that can be written"
        ) from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Prepared(cache, facts, reused=False)
