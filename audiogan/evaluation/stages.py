"""An evaluation in stages: what is finished is stored, and a stopped evaluation goes on where it was.

Each stage's result lies in the report folder as `.evaluation/STAGE.json`, with a key made of all that it depends on:
the model, the options, the version of the program. A result with another key, or one that cannot be read, is made
anew. Also a result just made is taken from its stored form, so that a report is the same however often it was stopped.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from audiogan.corpus.files import write_whole
from audiogan.corpus.names import escape
from audiogan.errors import OutputError
from audiogan.version import __version__

FOLDER = ".evaluation"
_DONE = ".evaluation-done"
_HUNDRED = 100
_AS_TEXT = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants")

Tell = Callable[[int, int], None]
"""Called with how many items are done and how many there are."""


@dataclass(frozen=True)
class Stage:
    """One part of an evaluation.

    Args:
        name: Lower case letters; names its file too.
        make: Does the work; called with what tells its progress and with the results of earlier stages by name.
        kind: Type of the result: a dataclass, a list of them, or plain values.
        share: How long it takes beside the others.
    """

    name: str
    make: Callable[[Tell, Mapping[str, Any]], Any]
    kind: Any
    share: float = 1.0


def run_stages(
    stages: Sequence[Stage], report: Path | None, depends_on: Mapping[str, Any], progress: Tell | None = None
) -> dict[str, Any]:
    """Do the stages one after the other, those that are stored already left out, and return their results by name.

    Args:
        stages: In order.
        report: The folder that the results are stored in; None to store none.
        depends_on: JSON-able: what the results follow from, the version of the program aside.
        progress: Called with per cent done and 100.

    Raises:
        OutputError: The folder cannot be written to.
    """
    whole = sum(stage.share for stage in stages)
    folder = None if report is None else _opened(report)
    results: dict[str, Any] = {}
    before, told = 0.0, -1

    def tell(share: float) -> None:
        nonlocal told
        per_cent = int(_HUNDRED * share / whole + 1e-9)
        if progress is not None and per_cent != told:
            told = per_cent
            progress(per_cent, _HUNDRED)

    for stage in stages:
        key = _key(stage.name, depends_on)
        path = None if folder is None else folder / f"{stage.name}.json"
        found = _stored(path, key, stage.kind)
        if found is None:

            def inside(done: int, of: int, begun: float = before, share: float = stage.share) -> None:
                tell(begun + share * min(done / max(of, 1), 1.0))

            text = _packed(key, stage.make(inside, results), stage.kind)
            if path is not None:
                write_whole(path, text)
            found = _unpacked(text, stage.kind)
        results[stage.name] = found[1]
        before += stage.share
        tell(before)
    return results


def is_unfinished(report: Path) -> bool:
    """Whether an evaluation was stopped in this folder."""
    return (report / FOLDER).is_dir()


def forget(report: Path) -> None:
    """Drop what a stopped evaluation has stored in a folder.

    Raises:
        OutputError: It cannot be dropped.
    """
    try:
        if is_unfinished(report):
            # Renamed first: a store of which half is gone would be taken for one that is half full.
            shutil.rmtree(report / _DONE, ignore_errors=True)
            (report / FOLDER).rename(report / _DONE)
        shutil.rmtree(report / _DONE, ignore_errors=True)
    except OSError as error:
        raise _unwritable(report, error) from None


def publish(report: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a finished report, each whole, then drop the stored stages.

    Until the stages are dropped, the same command goes on and writes the same files again.

    Args:
        report: The folder.
        files: By name, in the order in which they appear.

    Raises:
        OutputError: The folder cannot be written to.
    """
    for name, data in files.items():
        write_whole(report / name, data)
    forget(report)


def check_writable(report: Path) -> None:
    """Make the folder of a report, and see before the work that it can be written to.

    Args:
        report: Folder of the report.

    Raises:
        OutputError: It cannot be made or written to.
    """
    try:
        report.mkdir(parents=True, exist_ok=True)
        if not is_unfinished(report):
            (report / FOLDER).mkdir()
            (report / FOLDER).rmdir()
    except OSError as error:
        raise _unwritable(report, error) from None


def _opened(report: Path) -> Path:
    try:
        (report / FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(report, error) from None
    return report / FOLDER


def _unwritable(report: Path, error: OSError) -> OutputError:
    return OutputError(f"{escape(report)}: {error.strerror or error}; expected a folder that can be written to")


def _key(stage: str, depends_on: Mapping[str, Any]) -> str:
    facts = {"stage": stage, "audiogan": __version__, **depends_on}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _adapter(kind: Any) -> TypeAdapter[Any]:
    pair: Any = tuple
    try:
        return TypeAdapter(pair[str, kind], config=_AS_TEXT)
    except PydanticSchemaGenerationError as error:
        raise AssertionError(f"a stage's kind must be plain data: {kind}") from error


def _packed(key: str, result: Any, kind: Any) -> bytes:
    return _adapter(kind).dump_json((key, result), fallback=lambda value: value.item())  # numbers of numpy


def _unpacked(text: bytes, kind: Any) -> tuple[str, Any]:
    return _adapter(kind).validate_json(text)


def _stored(path: Path | None, key: str, kind: Any) -> tuple[str, Any] | None:
    """Return key and result of a stored stage; None where there is none of this key."""
    if path is None:
        return None
    try:
        found = _unpacked(path.read_bytes(), kind)
    except (OSError, ValidationError):
        return None
    return found if found[0] == key else None
