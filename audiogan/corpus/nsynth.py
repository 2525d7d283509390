"""The notes of an NSynth folder (arXiv 1704.01279): `examples.json` beside `audio/`, or the same layout made by others.

Instruments are chosen by the names of source and family, never by their numbers, which have been mistaken before. Names
in the JSON are checked before they become part of a path.
"""

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiogan.corpus.gate import escape, open_checked
from audiogan.corpus.notes import NoteRefusal
from audiogan.corpus.soundfolder import SoundFile
from audiogan.corpus.strict_json import parse_json

LISTING = "examples.json"
LISTING_BYTES = 1_000_000_000
_NAME = re.compile(r"\w[\w-]{0,150}", re.ASCII)


def list_notes(
    folder: Path, *, sources: Sequence[str] = (), families: Sequence[str] = ()
) -> tuple[list[SoundFile], list[NoteRefusal]]:
    """List the notes of a folder in the order of their names.

    Args:
        folder: Holds `examples.json` and `audio/`.
        sources: Names of `instrument_source_str` to take, such as `acoustic`; empty for all.
        families: Names of `instrument_family_str`, such as `string`; empty for all.

    Returns:
        The notes, and the entries that make no sense.

    Raises:
        CorpusError: As `open_checked` and `parse_json` for the listing.
    """
    path = folder / LISTING
    data = open_checked(path, root=folder, max_bytes=LISTING_BYTES)
    listing = parse_json(data, escape(path), max_bytes=LISTING_BYTES)
    sounds, refused = [], []
    for name, facts in sorted(listing.items()):
        fault = _fault(name, facts)
        if fault:
            refused.append(NoteRefusal(escape(name)[:200], "bad_config", f"{escape(path)}: {fault}"))
        elif _is_wanted(facts, sources, families):
            file = folder / "audio" / f"{name}.wav"
            velocity = float(facts["velocity"]) / 127 if "velocity" in facts else math.nan
            instrument = facts["instrument_str"]
            sounds.append(
                SoundFile(
                    os.fspath(file), os.fspath(folder), instrument, float(facts["pitch"]), velocity, is_checked=False
                )
            )
    return sounds, refused


def _fault(name: str, facts: Any) -> str | None:
    """Say what is wrong with an entry, if anything."""
    shown = escape(name)[:80]
    if not _NAME.fullmatch(name):
        return f"{shown!r} is no name of a note; expected letters, digits, - and _"
    if not isinstance(facts, dict):
        return f"{shown}: expected an object with pitch and instrument_str"
    for key, low in (("pitch", 0), ("velocity", 1)):
        value = facts.get(key, low)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= 127:
            return f"{shown}: {key} {str(value)[:20]}; expected {low} to 127"
    instrument = facts.get("instrument_str")
    if "pitch" not in facts or not isinstance(instrument, str) or not _NAME.fullmatch(instrument):
        return f"{shown}: expected pitch and instrument_str"
    return None


def _is_wanted(facts: dict[str, Any], sources: Sequence[str], families: Sequence[str]) -> bool:
    return (not sources or facts.get("instrument_source_str") in sources) and (
        not families or facts.get("instrument_family_str") in families
    )
