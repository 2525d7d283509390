"""The header of a WAV file, checked before a library sees it, and the header of those we write ourselves.

Chunk sizes are compared with the bytes there are; sample format, rate and channels are judged by what the header says.
Sizes that lie are told, never believed. Source: Microsoft RIFF (1991) and WAVEFORMATEXTENSIBLE.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.limits import LIMITS, refuse
from audiogan.corpus.names import clean_text

_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_BITS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64), _ALAW: (8,), _ULAW: (8,)}
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # what programs write when they do not know the length yet


@dataclass(frozen=True)
class CheckedWav:
    """What the walk over the chunks found: codes of what was tolerated, and whether there is any sample at all."""

    warnings: tuple[str, ...] = ()
    is_empty: bool = False


def check_rate(rate: int, source: str) -> None:
    """Refuse a sample rate that no recording has.

    Raises:
        CorpusError: `bad_rate`.
    """
    if not LIMITS.lowest_rate <= rate <= LIMITS.highest_rate:
        refuse("bad_rate", f"{source}: {rate:,} Hz; expected {LIMITS.lowest_rate:,} to {LIMITS.highest_rate:,}")


def check_channels(n_channels: int, source: str) -> None:
    """Refuse a number of channels that no recording has.

    Raises:
        CorpusError: `bad_channels`.
    """
    if not 1 <= n_channels <= LIMITS.n_channels:
        refuse("bad_channels", f"{source}: {n_channels} channels; expected 1 to {LIMITS.n_channels}")


def check_wav(data: bytes, source: str) -> CheckedWav:
    """Walk the chunks of a RIFF file; other formats pass unseen.

    Raises:
        CorpusError: `bad_header`, `bad_format`, `bad_rate`, `bad_channels`, `truncated`.
    """
    if data[:4] not in (b"RIFF", b"RF64"):
        return CheckedWav()
    warnings = set[str]()
    if data[:4] == b"RIFF" and len(data) >= 8:
        (size,) = struct.unpack_from("<I", data, 4)
        if size + 8 not in (len(data), len(data) - 1, len(data) + 1) and size not in _UNKNOWN_SIZES:
            warnings.add("truncated" if size + 8 > len(data) else "bad_header")
    place, align = 12, 0
    for _ in range(LIMITS.riff_chunks):
        if place + 8 > len(data):
            break
        name, size = struct.unpack_from("<4sI", data, place)
        place += 8
        if name == b"fmt ":
            if place + min(size, 16) > len(data):
                refuse("truncated", f"{source}: ends inside its format; expected a whole file")
            align = _check_format(data[place : place + size], source)
        elif name == b"data":
            if not align:
                refuse("bad_header", f"{source}: samples before their format; expected a fmt chunk first")
            left = len(data) - place
            if size > left and size != 0xFFFFFFFF:
                warnings.add("truncated")
            return CheckedWav(tuple(sorted(warnings)), is_empty=min(size, left) < align)
        place += size + size % 2
    if not align:
        refuse("truncated", f"{source}: ends before its format; expected a fmt chunk")
    return CheckedWav(tuple(sorted(warnings)), is_empty=True)


def _check_format(chunk: bytes, source: str) -> int:
    if len(chunk) < 16:
        refuse("bad_header", f"{source}: fmt chunk of {len(chunk)} bytes; expected 16 or more")
    tag, n_channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != _GUID_TAIL:
            refuse("bad_format", f"{source}: unknown sample format; expected PCM or float")
        (tag,) = struct.unpack_from("<H", chunk, 24)
    check_channels(n_channels, source)
    check_rate(rate, source)
    if tag not in _BITS or bits not in _BITS[tag]:
        refuse("bad_format", f"{source}: format {tag} with {bits} bits; expected PCM of 8 to 32 or float of 32 or 64")
    if align != n_channels * bits // 8:
        told = f"frames of {align} bytes for {n_channels} channels of {bits} bits"
        refuse("bad_header", f"{source}: {told}; expected {n_channels * bits // 8}")
    return align


def float_wav(samples: NDArray[np.float32], sample_rate: int) -> bytes:
    """Lay samples out as a WAV file of 32-bit floats.

    Args:
        samples: `(time, channel)`, little endian.
        sample_rate: In Hz.
    """
    n_frames, n_channels = samples.shape
    align = 4 * n_channels
    form = struct.pack("<HHIIHHH", _FLOAT, n_channels, sample_rate, sample_rate * align, align, 32, 0)
    body = samples.tobytes()
    chunks = b"".join(
        name + struct.pack("<I", len(content)) + content
        for name, content in ((b"fmt ", form), (b"fact", struct.pack("<I", n_frames)), (b"data", body))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def with_comment(data: bytes, comment: str | None) -> bytes:
    """Put a comment behind the samples of a WAV file, as the entry ICMT of an INFO list.

    Args:
        data: A whole file of our own.
        comment: At most 256 characters of it are kept; None for no comment.
    """
    if comment is None:
        return data
    text = clean_text(comment).encode("utf-8") + b"\0"
    entry = b"ICMT" + struct.pack("<I", len(text)) + text + b"\0" * (len(text) % 2)
    data += b"\0" * (len(data) % 2)
    whole = data + b"LIST" + struct.pack("<I", 4 + len(entry)) + b"INFO" + entry
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]
