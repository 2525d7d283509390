"""The door every foreign file passes: decide whether it may be read at all, and name the reason when it may not.

`open_checked` turns a path into bytes (name, kind of file, place, size), `sniff` says what bytes are by their first
ones, and `check_midi` walks a MIDI file before any library sees it. Either a normal form comes out or a `CorpusError`
whose `reason` is one code of `audiogan.corpus.limits.REASONS`. Nothing here decodes audio.
"""

import errno
import os
import stat
from pathlib import Path

from audiogan.corpus.limits import LIMITS, REASONS, Limits, refuse
from audiogan.corpus.names import escape, is_odd
from audiogan.corpus.walk import CheckedMidi, check_midi

__all__ = [
    "LIMITS",
    "REASONS",
    "AnyPath",
    "CheckedMidi",
    "Limits",
    "check_midi",
    "escape",
    "kind_of",
    "name_warnings",
    "open_checked",
    "open_regular",
    "read_head",
    "sniff",
]

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_ERRNO_REASON = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.ELOOP: "symlink_loop",
    errno.EACCES: "unreadable",
    errno.EPERM: "unreadable",
    errno.ENAMETOOLONG: "bad_name",
    errno.ENXIO: "not_a_file",
    errno.EISDIR: "not_a_file",
}
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
_OPEN_FLAGS |= getattr(os, "O_BINARY", 0)
_HEAD_BYTES = 16


def _refuse_os(error: OSError, shown: str) -> None:
    reason = _ERRNO_REASON.get(error.errno or 0, "unreadable")
    refuse(reason, f"{shown}: {error.strerror or 'cannot be opened'}; expected a readable regular file")


def _check_place(path: str, root: AnyPath, shown: str) -> None:
    inside = os.path.realpath(os.fsdecode(root))
    real = os.path.realpath(path)
    if os.path.commonpath([inside, real]) != inside:
        refuse("unsafe_path", f"{shown}: the link leads out of its folder; expected a file inside {escape(inside)}")


def open_regular(path: AnyPath, root: AnyPath | None) -> tuple[int, os.stat_result, str]:
    """Open a regular file for reading: its descriptor, which the caller closes, its status and its name for display.

    Raises:
        CorpusError: `missing`, `unreadable`, `symlink_loop`, `not_a_file`, `unsafe_path`, `bad_name`.
    """
    name, shown = os.fsdecode(path), escape(os.fsdecode(path))
    if "\0" in name:
        refuse("bad_name", f"{shown}: the name holds a NUL character")
    try:
        kind = os.stat(name).st_mode
        if not stat.S_ISREG(kind):
            refuse("not_a_file", f"{shown}: not a regular file; expected a file, no folder, pipe, device or socket")
        if root is not None:
            _check_place(name, root, shown)
        descriptor = os.open(name, _OPEN_FLAGS)
    except OSError as error:
        _refuse_os(error, shown)
        raise AssertionError from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):  # swapped between stat and open
        os.close(descriptor)
        refuse("not_a_file", f"{shown}: not a regular file; expected a file, no folder, pipe, device or socket")
    return descriptor, status, shown


def open_checked(path: AnyPath, *, root: AnyPath | None = None, max_bytes: int = LIMITS.midi_bytes) -> bytes:
    """Read a whole regular file of at most `max_bytes`.

    Args:
        path: The file; the name may be any bytes.
        root: Folder that links must not leave; `None` allows any target.
        max_bytes: Size cap.

    Raises:
        CorpusError: `missing`, `unreadable`, `symlink_loop`, `not_a_file`, `unsafe_path`, `bad_name`, `empty_file`,
            `too_large`.
    """
    descriptor, status, shown = open_regular(path, root)
    with open(descriptor, "rb") as file:
        if status.st_size == 0:
            refuse("empty_file", f"{shown}: 0 bytes; expected a file with content")
        if status.st_size > max_bytes:
            refuse("too_large", f"{shown}: {status.st_size:,} bytes; expected at most {max_bytes:,}")
        try:
            data = file.read(max_bytes + 1)
        except OSError as error:
            _refuse_os(error, shown)
            raise AssertionError from error
    if not data:
        refuse("empty_file", f"{shown}: 0 bytes; expected a file with content")
    if len(data) > max_bytes:  # grew after fstat
        refuse("too_large", f"{shown}: more than {max_bytes:,} bytes; expected at most that")
    return data


def read_head(path: AnyPath, *, root: AnyPath | None = None) -> bytes:
    """Read the first bytes of a regular file, enough to tell its kind.

    Raises:
        CorpusError: As `open_checked`, without `too_large`.
    """
    descriptor, status, shown = open_regular(path, root)
    with open(descriptor, "rb") as file:
        if status.st_size == 0:
            refuse("empty_file", f"{shown}: 0 bytes; expected a file with content")
        try:
            return file.read(_HEAD_BYTES)
        except OSError as error:
            _refuse_os(error, shown)
            raise AssertionError from error


def kind_of(head: bytes) -> str:
    """Kind of content by its first bytes: `midi`, `audio`, `rolls`, `wad`, `pickle` or `other`."""
    if head[:4] == b"MThd" or (head[:4] == b"RIFF" and head[8:12] == b"RMID"):
        return "midi"
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "audio"
    if head[:4] in (b"fLaC", b"OggS", b"FORM", b".snd", b"caff") or head[:3] == b"ID3":
        return "audio"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:  # MPEG audio layer III frame
        return "audio"
    if head[:6] == b"\x93NUMPY" or head[:4] == b"PK\x03\x04":
        return "rolls"
    if head[:4] in (b"IWAD", b"PWAD"):
        return "wad"
    if len(head) > 1 and head[0] == 0x80 and head[1] in (2, 3, 4, 5):
        return "pickle"
    return "other"


def sniff(path: AnyPath, *, root: AnyPath | None = None) -> str:
    """Kind of a file by its first bytes, whatever its suffix: see `kind_of`.

    Raises:
        CorpusError: As `read_head`.
    """
    return kind_of(read_head(path, root=root))


def name_warnings(path: AnyPath) -> tuple[str, ...]:
    """`("bad_name",)` for a file name that can only be shown escaped, else nothing."""
    return ("bad_name",) if is_odd(Path(os.fsdecode(path)).name) else ()
