"""Save and restore everything a run needs, whole or not at all, without pickle.

A checkpoint is a folder of safetensors and JSON that is staged under a temporary name, closed by a manifest of sha256
sums, synced and renamed; a folder under its final name is therefore complete. Loading takes the newest whose sums
hold and sets damaged ones aside. The small form for sharing is in `model`.
"""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from audiogan.adversarial.disk import (
    MAX_HEADER_BYTES,
    Tensors,
    json_bytes,
    parse_json,
    parse_tensors,
    read_limited,
    sync_folder,
    tensor_bytes,
    write_atomically,
    write_synced,
)
from audiogan.errors import CheckpointError, OutputError

logger = logging.getLogger(__name__)

SCHEMA = 2
MAX_FILES = 256


class ManifestEntry(BaseModel):
    """One file of a checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", description="Plain file name.")
    size: int = Field(ge=0, description="Bytes.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Sum of the content.")


class Manifest(BaseModel):
    """All files of a checkpoint; written last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: int = Field(alias="schema", description="Version of the layout.")
    step: int = Field(ge=0, description="Steps done.")
    files: list[ManifestEntry] = Field(max_length=MAX_FILES, description="Every other file of the folder.")


@dataclass(frozen=True)
class Checkpoint:
    """The content of one checkpoint.

    Args:
        step: Steps done.
        state: Numbers and strings: counters, pins, versions.
        tensors: File stem, for example `generator`, to named tensors on CPU.
        recipe: The resolved recipe.
    """

    step: int
    state: dict[str, Any]
    tensors: Mapping[str, Tensors]
    recipe: Mapping[str, Any] = field(default_factory=dict)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `folder/step-XXXXXXXX`, whole or not at all, and return it.

    Args:
        folder: The run's `checkpoints`, created when missing.
        checkpoint: What to write.

    Raises:
        CheckpointError: A value is NaN or infinite.
        OSError: The disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{checkpoint.step:08d}"
    if final.exists():
        # Runs repeat exactly, so a complete checkpoint of this step already says the same.
        return final
    staged = folder / f".tmp-{final.name}-{os.getpid()}"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    try:
        files = []
        for name, data in _contents(checkpoint):
            write_synced(staged / name, data)
            files.append({"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        write_synced(staged / "manifest.json", json_bytes({"schema": SCHEMA, "step": checkpoint.step, "files": files}))
        sync_folder(staged)
        staged.rename(final)
        sync_folder(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return final


def _contents(checkpoint: Checkpoint) -> Iterator[tuple[str, bytes]]:
    for stem, tensors in checkpoint.tensors.items():
        yield f"{stem}.safetensors", tensor_bytes(stem, tensors)
    yield "recipe.json", json_bytes(checkpoint.recipe)
    yield "state.json", json_bytes(checkpoint.state | {"step": checkpoint.step})


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return a checkpoint after comparing every file with the manifest.

    Args:
        folder: One `step-XXXXXXXX`.

    Raises:
        CheckpointError: A file is missing, damaged or of a newer schema.
    """
    schema, listed = _manifest(folder)
    files = {name: (folder / name, data) for name, data in _verified(folder, listed)}
    tensors = {
        name.removesuffix(".safetensors"): parse_tensors(path, data)
        for name, (path, data) in files.items()
        if name.endswith(".safetensors")
    }
    state, recipe = parse_json(*files["state.json"]), parse_json(*files["recipe.json"])
    for version in range(schema, SCHEMA):
        state = MIGRATIONS[version](state)
    return Checkpoint(step=int(state["step"]), state=state, tensors=tensors, recipe=recipe)


def _from_1(state: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 knows portions of a batch; the first checkpoints of schema 1 knew neither rollbacks nor scores."""
    pins = {"portions": 1} | state.get("pins", {})
    return {"rollbacks": 0, "standing": {}} | state | {"pins": pins}


MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}


def _manifest(folder: Path) -> tuple[int, Manifest]:
    """Return the schema of a checkpoint and the list of its files."""
    path = folder / "manifest.json"
    manifest = parse_json(path, read_limited(path, MAX_HEADER_BYTES))
    check_schema(folder, manifest.get("schema"))
    try:
        listed = Manifest.model_validate(manifest)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {error.errors()[0]['msg']}; the manifest is damaged") from error
    if not {"state.json", "recipe.json"} <= {entry.name for entry in listed.files}:
        raise CheckpointError(
            f"{path}: lists {len(listed.files)} files; expected state.json and recipe.json among them"
        )
    return listed.schema_, listed


def _verified(folder: Path, listed: Manifest) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every file that the manifest lists, each equal to its sum."""
    for entry in listed.files:
        data = read_limited(folder / entry.name, entry.size)
        if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise CheckpointError(f"{folder / entry.name}: does not match the manifest; the file is damaged")
        yield entry.name, data


def check_schema(folder: Path, found: object, newest: int = SCHEMA) -> None:
    """Return if this version can read the schema.

    Args:
        folder: Whose, for the message.
        found: Value of `schema` in its JSON.
        newest: The one that this version writes.

    Raises:
        CheckpointError: Newer than this version, or no number.
    """
    if not isinstance(found, int) or not 1 <= found <= newest:
        raise CheckpointError(f"{folder}: schema {found}; this version reads 1 to {newest}", "schema")


def model_tensors(checkpoint: Checkpoint) -> dict[str, dict[str, Tensor]]:
    """Return the weights of each module by name, the averaged ones where there are some.

    Args:
        checkpoint: Of a training run.
    """
    found = {name: dict(tensors) for name, tensors in checkpoint.tensors.items() if is_module(name)}
    for key, tensor in checkpoint.tensors["ema"].items():
        name, _, rest = key.partition(".")
        found[name][rest] = tensor
    return found


def is_module(stem: str) -> bool:
    """Return whether the file of that stem holds a module rather than what belongs to the run.

    Args:
        stem: File name without its ending.
    """
    return stem not in ("ema", "extra") and not stem.startswith("optimizer-")


class Store:
    """The checkpoints of one run folder: the last few and the best.

    Args:
        run_folder: The run; checkpoints go to its `checkpoints`.
        keep: How many of the newest to keep.
    """

    def __init__(self, run_folder: Path, keep: int = 3) -> None:
        self.folder = run_folder / "checkpoints"
        self.best_file = run_folder / "best.json"
        self.keep = keep

    def steps(self) -> list[int]:
        """Return the steps of all checkpoints under a final name, oldest first.

        Raises:
            OutputError: The folder cannot be read.
        """
        try:
            names = [path.name for path in self.folder.glob("step-*")]
        except OSError as error:
            told = f"{self.folder}: cannot be read: {error.strerror or error}; expected a readable folder"
            raise OutputError(told) from error
        return sorted(int(name[5:]) for name in names if re.fullmatch(r"step-\d{8,}", name))

    def path(self, step: int) -> Path:
        """Return the folder of the checkpoint of a step.

        Args:
            step: Steps done.
        """
        return self.folder / f"step-{step:08d}"

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, drop old ones and return its folder.

        Args:
            checkpoint: What to write.

        Raises:
            CheckpointError: A value is NaN or infinite.
            OSError: The disk refuses.
        """
        path = write_checkpoint(self.folder, checkpoint)
        self.prune()
        return path

    def best(self) -> dict[str, Any] | None:
        """Return step, metric and value of the best checkpoint, or None."""
        try:
            return parse_json(self.best_file, self.best_file.read_bytes())
        except (OSError, CheckpointError):
            return None

    def mark_best(self, step: int, metric: str, value: float) -> None:
        """Name the best checkpoint, which is kept however old it gets.

        Args:
            step: Its step.
            metric: What was measured; lower is better.
            value: The value.
        """
        write_atomically(self.best_file, json_bytes({"step": step, "metric": metric, "value": value}))

    def prune(self) -> None:
        """Remove all but the newest and the best, and what dead processes left half done; a failure is logged.

        To be called only by the process that holds the folder, and not while it writes.
        """
        kept = set(self.steps()[-self.keep :]) | {(self.best() or {}).get("step")}
        doomed = [self.path(step) for step in self.steps() if step not in kept]
        for path in doomed:
            # Out of the final name first, so that a half-removed folder is never taken for a checkpoint.
            self._tolerating(lambda path=path: path.rename(path.with_name(f".tmp-gone-{path.name}")))
        for path in [*self.folder.glob(".tmp-*"), *self.best_file.parent.glob(".tmp-*")]:
            self._tolerating(lambda path=path: shutil.rmtree(path) if path.is_dir() else path.unlink())

    def _tolerating(self, remove: Callable[[], object]) -> None:
        try:
            remove()
        except OSError as error:
            logger.warning("%s: an old checkpoint is not removed: %s", self.folder, error)

    def load_newest(self, *, set_aside: bool = True) -> Checkpoint | None:
        """Return the newest checkpoint that holds, or None where there never was one.

        Args:
            set_aside: Whether to rename damaged ones to `.bad`.

        Raises:
            CheckpointError: There are checkpoints, and none holds.
        """
        damaged = []
        for step in reversed(self.steps()):
            try:
                return read_checkpoint(self.path(step))
            except CheckpointError as error:
                if error.reason == "schema":
                    raise
                logger.warning("%s; falling back to the one before", error)
                damaged.append(str(error))
                if set_aside:
                    self._set_aside(self.path(step))
        if damaged or any(self.folder.glob("*.bad*")):
            found = damaged[0] if damaged else "only damaged ones are left"
            raise CheckpointError(f"{self.folder}: no usable checkpoint: {found}; start afresh in another folder")
        return None

    def _set_aside(self, path: Path) -> None:
        bad = path.with_name(f"{path.name}.bad")
        number = 1
        while bad.exists():
            bad, number = path.with_name(f"{path.name}.bad{number}"), number + 1
        path.rename(bad)


def check_same_run(
    found: Mapping[str, Any], own: Mapping[str, Any], where: str, *, accepts_other_corpus: bool = False
) -> None:
    """Refuse the state of another run; warn where only exactness is lost.

    Args:
        found: State in the checkpoint.
        own: State that this run would write.
        where: The checkpoint, for messages.
        accepts_other_corpus: Whether another corpus is a warning only.

    Raises:
        CheckpointError: Another seed, batch size or corpus.
    """
    for key in ("seed", "batch_size"):
        if found.get(key) != own[key]:
            raise CheckpointError(f"{where}: {key} {found.get(key)}, the recipe says {own[key]}; they must agree")
    before, now = found.get("examples", {}), own["examples"]
    known = before.get("fingerprint") and now["fingerprint"]
    if before.get("count") != now["count"] or (known and before != now):
        counts = before.get("count"), now["count"]
        told = "as many examples" if counts[0] == counts[1] else f"{counts[0]} examples, now {counts[1]}"
        message = f"{where}: the corpus has changed since ({told})"
        if not accepts_other_corpus:
            raise CheckpointError(message, "corpus_changed")
        logger.warning("%s; the order of examples is new from here", message)
    if found.get("pins") != own["pins"]:
        logger.warning("%s: made on %s, now %s; last digits may differ", where, found.get("pins"), own["pins"])
    if found.get("n_steps") != own["n_steps"]:
        logger.warning("%s: planned %s steps, now %s; schedules jump", where, found.get("n_steps"), own["n_steps"])


def restore(module: nn.Module, tensors: Tensors, where: str) -> None:
    """Load weights into a module, every name and shape being equal.

    Args:
        module: Changed in place.
        tensors: By name, as `module.state_dict()` has them.
        where: File and module, for the message.

    Raises:
        CheckpointError: A name is missing or unknown, or a shape differs.
    """
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unknown:
        raise CheckpointError(
            f"{where}: lacks {missing[:3]} and has unknown {unknown[:3]}; expected the names of this model"
        )
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            found, expected = tuple(tensors[name].shape), tuple(tensor.shape)
            raise CheckpointError(f"{where}: {name} has shape {found}; expected {expected}")
    module.load_state_dict(dict(tensors))
