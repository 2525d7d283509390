"""Put bytes on disk so that they are there or not, and read them back with suspicion.

Files are synced before they get their name, JSON and safetensors are checked before anything trusts them, and a run
folder belongs to one process at a time. There is no pickle anywhere.
"""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from audiogan.errors import AudioganError, CheckpointError, OutputError

MAX_HEADER_BYTES = 16 * 2**20
DTYPES = (
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

Tensors = Mapping[str, Tensor]


class FolderInUseError(AudioganError):
    """Another process trains in this folder (exit code 75)."""

    exit_code = 75


class DiskError(OutputError):
    """A disk that is full, over quota or failing, time and again (exit code 74)."""

    exit_code = 74


def output_error(what: str, error: OSError, advice: str) -> OutputError:
    """Return what to raise where a disk refuses: 74 for one that takes no more, 73 for a place that cannot be written.

    Args:
        what: The file and what failed.
        error: What the system said.
        advice: What is left to the user.
    """
    kind = DiskError if error.errno in FULL else OutputError
    return kind(f"{what}: {error.strerror or error}; {advice}")


def append(path: Path, line: str) -> None:
    """Append a line to a file, whole or not at all; the folder is made again if it has gone.

    Args:
        path: Created when missing.
        line: Ends with a newline.

    Raises:
        OSError: The disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        end, data = file.seek(0, os.SEEK_END), line.encode()
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(end)
            raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut.

    Args:
        folder: An existing folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it.

    Args:
        path: Overwritten if it exists.
        data: Whole content.
    """
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is either the old or the new one at every moment.

    Args:
        path: Overwritten if it exists.
        data: Whole content.
    """
    staged = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        write_synced(staged, data)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    sync_folder(path.parent)


def json_bytes(value: Any) -> bytes:
    """Return JSON text with sorted keys.

    Args:
        value: Mappings, lists, strings and finite numbers.

    Raises:
        CheckpointError: A number is not finite.
    """
    try:
        return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
    except ValueError as error:
        raise CheckpointError(f"state cannot be saved: {error}; expected finite numbers", "not_finite") from error


def tensor_bytes(name: str, tensors: Tensors) -> bytes:
    """Return tensors as safetensors, equal bytes for equal tensors.

    Args:
        name: What they are, for the message.
        tensors: Any device and memory format.

    Raises:
        CheckpointError: A value is NaN or infinite.
    """
    own, storages = {}, set()
    for key, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        if plain.is_floating_point() and not bool(torch.isfinite(plain).all()):
            raise CheckpointError(f"{name}: tensor {key} holds NaN or infinity and is not saved", "not_finite")
        # The format refuses tensors that share memory: tied weights are written twice.
        storage = plain.untyped_storage()
        shared = storage.data_ptr() in storages or storage.nbytes() != plain.numel() * plain.element_size()
        own[key] = plain.clone() if shared else plain
        storages.add(storage.data_ptr())
    return safetensors.torch.save(own)


def parse_tensors(path: Path, data: bytes) -> dict[str, Tensor]:
    """Return the tensors of safetensors bytes.

    Args:
        path: Where they come from, for the message.
        data: Whole file.

    Raises:
        CheckpointError: Not safetensors, an unexpected type, or a value that is not finite.
    """
    if len(data) < 8 or int.from_bytes(data[:8], "little") > min(MAX_HEADER_BYTES, len(data) - 8):
        raise CheckpointError(f"{path}: not a safetensors file; its header does not fit its {len(data)} bytes")
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from error
    for key, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise CheckpointError(f"{path}: tensor {key} has type {tensor.dtype}; expected one of {DTYPES}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: tensor {key} holds NaN or infinity; expected finite numbers", "not_finite")
    return tensors


def parse_json(path: Path, data: bytes) -> dict[str, Any]:
    """Return the mapping in JSON bytes.

    Args:
        path: Where they come from, for the message.
        data: Whole file.

    Raises:
        CheckpointError: Not JSON or not a mapping.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: found a {type(value).__name__}; expected a JSON mapping")
    return value


def read_limited(path: Path, limit: int) -> bytes:
    """Return a file's bytes, one more than `limit` at most."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read: {error.strerror or error}; the checkpoint is damaged"
        ) from error


@contextmanager
def locked(run_folder: Path) -> Iterator[None]:
    """Hold a run folder against other processes.

    Args:
        run_folder: Created when missing.

    Raises:
        FolderInUseError: Another process holds it.
        OutputError: The folder cannot be written.
    """
    path = run_folder / "run.lock"
    try:
        run_folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise OutputError(
            f"{run_folder}: cannot be written: {error.strerror or error}; expected a writable folder"
        ) from error
    with file:
        try:
            # The kernel drops a record lock with its process, however it ends, and loader workers do not inherit it.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise FolderInUseError(
                f"{run_folder}: in use by {holder}; wait for it or choose another folder", "in_use"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
        file.truncate(0)
