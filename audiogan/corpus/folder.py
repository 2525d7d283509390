"""Walk a folder of songs: every candidate file once, in the same order on every machine, never outside the folder.

Hidden files are passed over, links are followed only while they stay inside the folder, a folder or file that can be
reached by two names is taken once. Files that are neither named nor made like music are left alone without a word.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from audiogan.corpus.gate import kind_of, read_head
from audiogan.corpus.limits import refuse
from audiogan.corpus.names import escape
from audiogan.errors import CorpusError

MIDI_SUFFIXES = frozenset({".mid", ".midi", ".kar", ".smf", ".rmi"})
ROLL_SUFFIXES = frozenset({".npz"})
WAD_SUFFIXES = frozenset({".wad"})
_KIND_OF_SUFFIX = dict.fromkeys(MIDI_SUFFIXES, "midi") | dict.fromkeys(ROLL_SUFFIXES, "rolls")
_KIND_OF_SUFFIX |= dict.fromkeys(WAD_SUFFIXES, "wad")
_KINDS = frozenset(_KIND_OF_SUFFIX.values())


class Found(NamedTuple):
    """A file worth reading (`refusal` is `None`) or one that is refused unread; `kind` is `midi`, `rolls` or `wad`."""

    path: Path
    kind: str
    refusal: CorpusError | None = None


def _entries(folder: bytes) -> list[os.DirEntry[bytes]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_inside(path: bytes, root: bytes) -> bool:
    return os.path.commonpath([os.path.realpath(path), root]) == root


def _refused(path: bytes, reason: str, fact: str) -> Found:
    shown = Path(os.fsdecode(path))
    try:
        refuse(reason, f"{escape(shown)}: {fact}")
    except CorpusError as error:
        return Found(shown, _KIND_OF_SUFFIX.get(shown.suffix.lower(), "midi"), error)


def _judge(entry: os.DirEntry[bytes], root: bytes) -> Found | None:
    """Say what to do with one name that is not a folder."""
    path = Path(os.fsdecode(entry.path))
    expected = _KIND_OF_SUFFIX.get(path.suffix.lower())
    if entry.name.startswith(b"._"):
        return _refused(entry.path, "not_midi", "a resource fork; expected MIDI") if expected else None
    if entry.name.startswith(b"."):
        return None
    try:
        if expected is None and not entry.is_file():
            return None  # a pipe, a socket or a dangling link that does not claim to be music
        kind = kind_of(read_head(path, root=os.fsdecode(root)))
    except (CorpusError, OSError) as error:
        if expected is None:
            return None
        reason = (
            error if isinstance(error, CorpusError) else CorpusError(f"{escape(path)}: {error.strerror}", "unreadable")
        )
        return Found(path, expected, reason)
    if kind in _KINDS and (expected is not None or kind == "midi"):
        return Found(path, kind)
    if expected is None:
        return None
    if kind == "pickle":
        return _refused(entry.path, "unsafe_pickle", "a pickle; it would run code when opened")
    return _refused(entry.path, "not_midi", f"content is not {expected}, whatever the name")


def walk_folder(folder: Path) -> Iterator[Found]:
    """Go through a folder and the folders in it, by the bytes of their names.

    Args:
        folder: An existing folder, or a single file.

    Raises:
        CorpusError: `missing`, `unreadable`, `not_a_file` for `folder` itself.
    """
    root = os.path.realpath(os.fsencode(folder))
    try:
        status = os.stat(root)
    except OSError as error:
        refuse("missing", f"{escape(folder)}: {error.strerror}; expected a folder of songs")
    if not stat.S_ISDIR(status.st_mode):
        yield Found(folder, kind_of(read_head(folder)) if stat.S_ISREG(status.st_mode) else "midi")
        return
    seen = {(status.st_dev, status.st_ino)}
    yield from _walk(os.fsencode(folder), root, seen)


def _walk(folder: bytes, root: bytes, seen: set[tuple[int, int]]) -> Iterator[Found]:
    try:
        entries = _entries(folder)
    except OSError as error:
        yield _refused(folder, "unreadable", f"{error.strerror}; expected a folder that can be listed")
        return
    for entry in entries:
        if entry.name.startswith(b".") and not entry.name.startswith(b"._"):
            continue
        try:
            status = os.stat(entry.path)
        except OSError:  # dangling link, loop, or gone: the gate names the reason
            found = _judge(entry, root)
            if found is not None:
                yield found
            continue
        if entry.is_symlink() and not _is_inside(entry.path, root):
            if stat.S_ISDIR(status.st_mode) or Path(os.fsdecode(entry.path)).suffix.lower() in _KIND_OF_SUFFIX:
                yield _refused(entry.path, "unsafe_path", "the link leads out of the folder")
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        if stat.S_ISDIR(status.st_mode):
            seen.add((status.st_dev, status.st_ino))
            yield from _walk(entry.path, root, seen)
            continue
        found = _judge(entry, root)
        if found is not None:
            seen.add((status.st_dev, status.st_ino))
            yield found
