"""The songs inside a WAD file (Doom engine): its lumps that are MIDI, each handed on as bytes for the MIDI gate.

The directory and every lump are checked against the size of the file before they are read; lumps in the game's own
MUS format are left out. Format: header of magic, lump count and directory position, directory entries of position,
size and an eight-byte name, all little-endian.
"""

import os
import struct
from typing import NamedTuple

from audiogan.corpus.gate import AnyPath, open_regular
from audiogan.corpus.limits import LIMITS, Limits, refuse
from audiogan.corpus.names import escape

_HEADER, _ENTRY = struct.Struct("<4sii"), struct.Struct("<ii8s")
_MIDI_MAGIC = b"MThd"


class Lump(NamedTuple):
    """A MIDI file inside a WAD; `name` is made of letters, digits and `-_[]`, unique within its file."""

    name: str
    data: bytes


def _read_at(descriptor: int, position: int, size: int) -> bytes:
    os.lseek(descriptor, position, os.SEEK_SET)
    parts, left = [], size
    while left:
        part = os.read(descriptor, left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _lump_name(raw: bytes) -> str:
    """Display form of a lump name without the characters that our song paths use."""
    text = raw.split(b"\0")[0].decode("latin-1")
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_[]") else "_" for c in text) or "unnamed"


def _directory(descriptor: int, size: int, shown: str, limits: Limits) -> list[tuple[int, int, bytes]]:
    header = _read_at(descriptor, 0, _HEADER.size)
    if len(header) < _HEADER.size or header[:4] not in (b"IWAD", b"PWAD"):
        refuse("bad_header", f"{shown}: starts with {header[:4]!r}; expected IWAD or PWAD")
    _, n_lumps, start = _HEADER.unpack(header)
    if n_lumps < 0 or start < 0:
        refuse("bad_header", f"{shown}: {n_lumps} lumps listed at byte {start}; expected numbers of 0 or more")
    if n_lumps > limits.wad_lumps:
        refuse("too_large", f"{shown}: {n_lumps:,} lumps; expected at most {limits.wad_lumps:,}")
    if start + n_lumps * _ENTRY.size > size:
        refuse("truncated", f"{shown}: directory of {n_lumps:,} lumps at byte {start:,}; the file has {size:,} bytes")
    return list(_ENTRY.iter_unpack(_read_at(descriptor, start, n_lumps * _ENTRY.size)))


def read_songs(path: AnyPath, *, root: AnyPath | None = None, limits: Limits = LIMITS) -> list[Lump]:
    """Read every lump of a WAD file that starts like a MIDI file, in the order of the directory.

    Lumps that lie outside the file are left out; of lumps with one name each gets a number. What the lumps hold has not
    passed the MIDI gate yet.

    Raises:
        CorpusError: As `open_checked`; `bad_header`, `too_large`, `truncated` for the directory; `no_notes` without
            MIDI lumps.
    """
    descriptor, status, shown = open_regular(path, root)
    try:
        size = status.st_size
        if size == 0:
            refuse("empty_file", f"{shown}: 0 bytes; expected a WAD file")
        if size > limits.wad_bytes:
            refuse("too_large", f"{shown}: {size:,} bytes; expected at most {limits.wad_bytes:,}")
        songs: list[Lump] = []
        seen: dict[str, int] = {}
        total = 0
        for position, lump_size, raw in _directory(descriptor, size, shown, limits):
            if position < 0 or lump_size < len(_MIDI_MAGIC) or position + lump_size > size:
                continue
            if _read_at(descriptor, position, len(_MIDI_MAGIC)) != _MIDI_MAGIC:
                continue
            total += lump_size
            if total > size:  # lumps may overlap: the sum of what is read stays below the file
                refuse("bad_header", f"{shown}: lumps add up to more than the file's {size:,} bytes")
            name = _lump_name(raw)
            seen[name] = seen.get(name, 0) + 1
            unique = name if seen[name] == 1 else f"{name}-{seen[name]}"
            songs.append(Lump(unique, _read_at(descriptor, position, min(lump_size, limits.midi_bytes + 1))))
        if not songs:
            refuse("no_notes", f"{shown}: no MIDI lump; expected at least one")
        return songs
    except OSError as error:
        refuse("unreadable", f"{shown}: {escape(error.strerror or 'read error')}")
    finally:
        os.close(descriptor)


def read_song(path: AnyPath, name: str, *, root: AnyPath | None = None) -> bytes:
    """Read one MIDI lump by the name that `read_songs` gave it.

    Raises:
        CorpusError: As `read_songs`, and `missing`.
    """
    for lump in read_songs(path, root=root):
        if lump.name == name:
            return lump.data
    return refuse("missing", f"{escape(os.fsdecode(path))}#{escape(name)}: no such MIDI lump in the WAD file")
