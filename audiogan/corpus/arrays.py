"""Read `.npy` and `.npz` files of others without pickle and without believing what they declare.

The header of an array is parsed here, its dtype has to be on an allow-list, and the product of its shape is checked
against the bytes that are there before anything is allocated. Archives are listed and checked before one member is
unpacked. Format: NumPy enhancement proposal 1, versions 1.0 to 3.0.
"""

import io
import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.gate import AnyPath, open_regular
from audiogan.corpus.limits import LIMITS, Limits, refuse
from audiogan.corpus.names import escape

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
_MOST_DIMENSIONS = 8
_HEADER = re.compile(
    r"\s*\{\s*'descr':\s*'(?P<descr>[^']*)',\s*'fortran_order':\s*(?P<order>True|False),"
    r"\s*'shape':\s*\((?P<shape>[0-9L, ]*)\),?\s*\}\s*"
)
_DTYPE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248])")
_STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class ArrayHeader:
    """What an array says about itself; `start` is the position of its first value."""

    dtype: np.dtype
    shape: tuple[int, ...]
    is_fortran: bool
    start: int

    @property
    def n_bytes(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize


def parse_header(data: bytes, source: str) -> ArrayHeader:
    """Parse the header of an `.npy` file from its first bytes.

    Raises:
        CorpusError: `unsafe_pickle`, `bad_header`, `bad_format`, `truncated`.
    """
    if data[:1] == b"\x80" or data[:2] in (b"(l", b"(d"):
        refuse("unsafe_pickle", f"{source}: a pickle; expected an array saved with numpy.save(allow_pickle=False)")
    if data[:6] != _MAGIC or len(data) < 12:
        refuse("bad_header", f"{source}: starts with {data[:6]!r}; expected the header of an array")
    wide = data[6] >= 2
    if data[6] not in (1, 2, 3):
        refuse("bad_header", f"{source}: array format {data[6]}; expected 1, 2 or 3")
    (size,) = struct.unpack_from("<I" if wide else "<H", data, 8)
    start = (12 if wide else 10) + size
    if size > _LONGEST_HEADER:
        refuse("bad_header", f"{source}: array header of {size:,} bytes; expected at most {_LONGEST_HEADER:,}")
    if start > len(data):
        refuse("truncated", f"{source}: array header of {size:,} bytes; {len(data):,} are there")
    text = data[start - size : start].decode("latin-1")
    match = _HEADER.fullmatch(text)
    if match is None or _DTYPE.fullmatch(match["descr"]) is None:
        if re.search(r"'[<>|=]?O[0-9]*'", text):
            refuse("unsafe_pickle", f"{source}: an array of Python objects; expected numbers")
        shown = escape(match["descr"] if match else text.strip()[:80])
        refuse("bad_format", f"{source}: array of type {shown}; expected booleans, integers or floats")
    shape = tuple(int(part.strip().rstrip("L")) for part in match["shape"].split(",") if part.strip(" L"))
    if len(shape) > _MOST_DIMENSIONS:
        refuse("bad_header", f"{source}: array of {len(shape)} dimensions; expected at most {_MOST_DIMENSIONS}")
    return ArrayHeader(np.dtype(match["descr"]), shape, match["order"] == "True", start)


def _check_size(header: ArrayHeader, n_bytes: int, cap: int, source: str) -> None:
    shape = " x ".join(str(size) for size in header.shape)
    if header.n_bytes > cap:
        refuse("too_large", f"{source}: array of {shape} takes {header.n_bytes:,} bytes; expected at most {cap:,}")
    if header.n_bytes > n_bytes:
        refuse("truncated", f"{source}: array of {shape} takes {header.n_bytes:,} bytes; {n_bytes:,} are there")
    if header.n_bytes < n_bytes:
        refuse("bad_header", f"{source}: array of {shape} takes {header.n_bytes:,} bytes; {n_bytes:,} are there")


def parse_array(data: bytes, source: str, *, limits: Limits = LIMITS) -> NDArray:
    """Read an array from the bytes of an `.npy` file; read-only.

    Raises:
        CorpusError: As `parse_header`, and `too_large`.
    """
    header = parse_header(data, source)
    _check_size(header, len(data) - header.start, limits.array_bytes, source)
    flat = np.frombuffer(data, header.dtype, math.prod(header.shape), header.start)
    return flat.reshape(header.shape, order="F" if header.is_fortran else "C")


def map_array(path: AnyPath, *, root: AnyPath | None = None, limits: Limits = LIMITS) -> NDArray:
    """Open an `.npy` file as a read-only memory map.

    Raises:
        CorpusError: As `open_checked` and `parse_array`.
    """
    descriptor, status, shown = open_regular(path, root)
    with open(descriptor, "rb") as file:
        if status.st_size == 0:
            refuse("empty_file", f"{shown}: 0 bytes; expected an array")
        header = parse_header(file.read(_LONGEST_HEADER + 12), shown)
        _check_size(header, status.st_size - header.start, limits.dense_bytes, shown)
        if 0 in header.shape:
            return np.zeros(header.shape, header.dtype)
        return np.memmap(
            file,
            dtype=header.dtype,
            mode="r",
            offset=header.start,
            shape=header.shape,
            order="F" if header.is_fortran else "C",
        )


class Archive:
    """The members of an `.npz` file, listed and checked; nothing is unpacked before it is asked for.

    Args:
        data: The whole file.
        source: What to call it in a refusal.
        limits: Caps.

    Raises:
        CorpusError: `corrupt`, `too_large`, `unsafe_path`, `bad_header`, `bad_format`, `decompression_bomb`.
    """

    def __init__(self, data: bytes, source: str, *, limits: Limits = LIMITS) -> None:
        self.source, self.limits = source, limits
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError) as error:
            refuse("corrupt", f"{source}: the archive cannot be listed ({escape(str(error))})")
        members = self._zip.infolist()
        if len(members) > limits.archive_members:
            refuse("too_large", f"{source}: {len(members):,} members; expected at most {limits.archive_members:,}")
        for member in members:
            self._check_member(member)
        self.members = {member.filename: member for member in members}
        if len(self.members) != len(members):
            refuse("bad_header", f"{source}: a member name appears twice; expected different names")
        total = sum(member.file_size for member in members)
        if total > limits.archive_floor and total > limits.archive_ratio * len(data):
            refuse("decompression_bomb", f"{source}: {len(data):,} bytes that unpack to {total:,}")

    def _check_member(self, member: zipfile.ZipInfo) -> None:
        name, shown = member.filename, escape(member.filename)
        if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
            refuse("unsafe_path", f"{self.source}: member {shown}; expected a plain name")
        if member.flag_bits & 0x1 or member.compress_type not in _STORED:
            refuse("bad_format", f"{self.source}: member {shown} is encrypted or packed in an unknown way")
        if member.file_size > self.limits.array_bytes:
            size, cap = member.file_size, self.limits.array_bytes
            refuse("too_large", f"{self.source}: member {shown} unpacks to {size:,} bytes; expected at most {cap:,}")

    def read(self, name: str) -> bytes:
        """Unpack one member.

        Raises:
            CorpusError: `missing`, `corrupt`, `decompression_bomb`.
        """
        member = self.members.get(name)
        if member is None:
            refuse("missing", f"{self.source}: no member {escape(name)}; has {len(self.members)} others")
        try:
            with self._zip.open(member) as file:
                content = file.read(member.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, struct.error) as error:
            refuse("corrupt", f"{self.source}: member {escape(name)} cannot be unpacked ({escape(str(error))})")
        if len(content) > member.file_size:
            refuse("decompression_bomb", f"{self.source}: member {escape(name)} holds more than it declares")
        return content

    def array(self, name: str) -> NDArray:
        """Unpack one array, named without its suffix; read-only.

        Raises:
            CorpusError: As `read` and `parse_array`.
        """
        return parse_array(self.read(f"{name}.npy"), f"{self.source}[{escape(name)}]", limits=self.limits)
