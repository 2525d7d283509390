"""Prepared corpora, kept between runs.

A recipe's corpus is turned into tensors once. The name of its cache folder depends on the corpus and model sections,
on this version, and on the files as they are, so a changed song or setting never meets a stale cache. A folder appears
under its name when it is complete. Until then it has a name of its own and belongs to one process at a time; what a
stopped preparation left there is continued by pipelines that say they can, and thrown away by the others.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
HOW = ("spread_by",)
"""Settings of a corpus section that change who prepares, and nothing of what comes out."""
_log = logging.getLogger(__name__)


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
    """Return a hash of the names, sizes and times of all files below a folder, or of a single file.

    Raises:
        CorpusError: There is no such folder.
    """
    if not folder.exists():
        raise CorpusError(
            f"{escape(folder)}: no such folder; expected the one that holds what to learn from", "missing"
        )
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
        pipeline: The recipe's own. If it has `RESUMES_PREPARE = True`, its `prepare` goes on where one that was stopped
            left off in the same folder.
        jobs: Processes that read files; None for one per core.
        overwrite: Make them again.
        progress: Called with files done and their number.

    Raises:
        CorpusError: The folder is missing or nothing in it can be used.
        OutputError: The cache folder cannot be written.
    """
    values = recipe.resolved()
    prints = [fingerprint(Path(folder)) for folder in folders_of(values["corpus"])]
    corpus = {name: value for name, value in values["corpus"].items() if name not in HOW}
    key = recipes.digest([__version__, values["pipeline"], corpus, values["model"], prints])
    cache = cache_root() / f"{recipe.pipeline}-{key[:20]}"
    staged = cache.with_name(f".{cache.name}.part")
    while overwrite or not (cache / SUMMARY).is_file():
        with _claimed(staged) as is_ours:
            # Another process may have finished while this one waited; then there is nothing left to do.
            if is_ours and (overwrite or not (cache / SUMMARY).is_file()):
                facts = _make(recipe, pipeline, cache, staged, jobs, overwrite, progress)
                return Prepared(cache, facts, reused=False)
            if is_ours:
                shutil.rmtree(staged, ignore_errors=True)
    return Prepared(cache, json.loads((cache / SUMMARY).read_text(encoding="utf-8")), reused=True)


def _make(
    recipe: Recipe,
    pipeline: Pipeline,
    cache: Path,
    staged: Path,
    jobs: int | None,
    overwrite: bool,
    progress: Progress | None,
) -> Mapping[str, Any]:
    """Fill the staging folder, give it its name and return the summary."""
    keeps = bool(getattr(pipeline, "RESUMES_PREPARE", False))
    try:
        if overwrite or not keeps:
            _empty(staged)
        corpus, config = recipe.section("corpus"), recipe.section("model")
        summary = pipeline.prepare(corpus, config, staged, jobs=jobs, progress=progress)
        facts = summary if isinstance(summary, dict) else summary.as_json()
        write_json(staged / SUMMARY, facts)
        shutil.rmtree(cache, ignore_errors=True)
        staged.replace(cache)
    except OSError as error:
        raise _unwritable(cache, error) from None
    finally:
        if not keeps:
            shutil.rmtree(staged, ignore_errors=True)
    return facts


@contextmanager
def _claimed(staged: Path) -> Iterator[bool]:
    """Hold a staging folder, made if missing, against other processes; wait for one that holds it now.

    The lock lies on the folder itself, so nothing has to be cleaned up. Where folders cannot be locked nobody waits.

    Yields:
        Whether the folder still has its name: who held it may have finished it or thrown it away.
    """
    try:
        staged.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(staged.parent, error) from None
    if not hasattr(os, "O_DIRECTORY"):  # no such system lets a folder be opened
        yield True
        return
    try:
        descriptor = os.open(staged, os.O_RDONLY)
    except FileNotFoundError:  # finished by another process in this moment
        yield False
        return
    try:
        _lock(descriptor, staged)
        yield staged.is_dir() and os.path.samestat(os.fstat(descriptor), staged.stat())
    finally:
        os.close(descriptor)


def _lock(descriptor: int, staged: Path) -> None:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _log.warning("%s: another process prepares the same corpus; waiting for it", escape(staged))
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a network drive without locks
        _log.warning("%s: cannot be locked; do not prepare the same corpus twice at once", escape(staged))


def _empty(folder: Path) -> None:
    """Remove what an earlier preparation left."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _unwritable(place: Path, error: OSError) -> OutputError:
    return OutputError(f"{escape(place)}: {error.strerror or error}; expected a cache folder that can be written")
