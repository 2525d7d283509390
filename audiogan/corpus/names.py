"""Foreign names and texts made fit for display and for paths of our own.

A file name is bytes; names found inside files (tracks, archive members) are display text and never paths. Everything
that reaches a log, a report or a terminal passes `escape` first.
"""

import os
import unicodedata

# Cc control, Cf format (direction marks, joiners), Cs lone surrogate, Co private, Cn unassigned, Zl/Zp line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(1, 10))})


def _escape_character(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that os.fsdecode could not decode
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape(name: str | bytes | os.PathLike[str]) -> str:
    r"""Show a name in one printable line: control, direction and undecodable characters as `\x..` or `\u....`.

    Example:
        >>> escape("song\x1b[31m.mid")
        'song\\x1b[31m.mid'
    """
    text = os.fsdecode(name)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape_character(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def is_odd(name: str | bytes | os.PathLike[str]) -> bool:
    """Whether a name has characters that cannot be shown as they are."""
    return escape(name) != os.fsdecode(name)


def decode_text(raw: bytes, n_characters: int = 256) -> str:
    """Decode a text found inside a file: UTF-8, else Latin-1; NULs removed, cut at `n_characters`."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return clean_text(text, n_characters)


def clean_text(text: str, n_characters: int = 256) -> str:
    """Make a text fit for a MIDI file and for display: encodable as UTF-8, without NULs, cut at `n_characters`."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")[:n_characters]


def safe_stem(name: str | bytes | os.PathLike[str], n_bytes: int = 100) -> str:
    """Turn any name into a file stem: letters, digits and `-_.`, no device name, no leading dot or dash.

    Example:
        >>> safe_stem("../../con: a*b")
        'con_a_b'
    """
    last = os.fsdecode(name).rpartition("/")[2]
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in last)
    while "__" in kept:
        kept = kept.replace("__", "_")
    kept = kept.lstrip("-._")[:n_bytes].rstrip("._") or "unnamed"
    return f"_{kept}"[:n_bytes].lstrip("_") + "_" if kept.split(".")[0].lower() in _DEVICES else kept
