"""Write files so that they appear complete or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

from audiogan.corpus.names import escape
from audiogan.errors import OutputError


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows keeps no handle on folders
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes, check: Callable[[Path], None] | None = None) -> None:
    """Write `data` under a temporary name beside `path`, flush it to the disk, then rename it.

    Args:
        path: Final name; a file of that name is replaced.
        check: Called with the temporary file before it gets its final name; what it raises leaves `path` untouched.

    Raises:
        OutputError: The folder is missing, read-only or full.
    """
    # The stem is shortened so that names of 255 bytes still have a temporary one.
    staged = path.with_name(f".{os.getpid()}-{abs(hash(path.name)):x}.part")
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o644)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if check is not None:
                check(staged)
            os.replace(staged, path)
        finally:
            staged.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        shown = escape(path)
        raise OutputError(f"{shown}: {error.strerror or error}; expected a folder that can be written to") from error
