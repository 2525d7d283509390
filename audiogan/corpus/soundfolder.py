"""Any folder of sounds as notes: every sound file once, with the labels that a table or its name gives it.

A table is a CSV with a header, or a JSON object from file names to labels; its file names are compared with the files
found and never opened. What has no label gets its pitch by ear, from `pitchtrack`. Long recordings without a label are
cut into notes.
"""

import csv
import io
import math
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiogan.corpus import audio
from audiogan.corpus.gate import escape, open_checked
from audiogan.corpus.limits import refuse
from audiogan.corpus.names import safe_stem
from audiogan.corpus.notes import Note, hz_of, level, pitch_of, without_lead
from audiogan.corpus.pitchname import parse_pitch
from audiogan.corpus.pitchtrack import Estimate, cut_notes, estimate_pitch, has_tracker
from audiogan.corpus.strict_json import parse_json
from audiogan.corpus.tuning import measure_tuning

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf"})
TABLES = ("notes.csv", "notes.json")
TABLE_BYTES = 64_000_000
LONGEST_SECONDS = 3600.0
DISAGREEMENT_CENTS = 50.0
_SINGLE_SHARE = 1.5
_STABLE = 0.7


class SoundFile(NamedTuple):
    """A sound file and what is known about it before it is read.

    Args:
        path: The file.
        root: Folder that links must not leave.
        instrument: Name inside its source.
        pitch: MIDI pitch, `None` if it has to be estimated.
        velocity: 0 to 1, NaN where nobody knows.
        is_checked: Whether the pitch may be compared with an estimate.
    """

    path: str
    root: str
    instrument: str
    pitch: float | None = None
    velocity: float = math.nan
    is_checked: bool = True


class Ears(NamedTuple):
    """How notes are made of sounds: the recipe's settings."""

    sample_rate: int
    seconds: float
    min_seconds: float = 0.05
    min_confidence: float = 0.7
    check_pitch: bool = True
    tune: bool = True


class Heard(NamedTuple):
    """A note, and by how many cents an estimate disagrees with its label (NaN where nobody listened)."""

    note: Note
    disagreement: float = math.nan


# ---- finding


def list_sounds(folder: Path, *, table: str = "", middle_c: int = 4) -> list[SoundFile]:
    """List the sound files below a folder, with their labels, sorted by the bytes of their names.

    Args:
        folder: Where to look, or a single file.
        table: Name of the table inside the folder; empty for `notes.csv` or `notes.json` where there is one.
        middle_c: Octave that names give to MIDI pitch 60.

    Raises:
        CorpusError: `missing` for the folder or a named table; as `open_checked`; `bad_config` for a broken table.
    """
    if not folder.exists():
        refuse("missing", f"{escape(folder)}: no such folder; expected a folder of sounds")
    root = folder if folder.is_dir() else folder.parent
    found = list(_walk(root, os.path.realpath(root))) if folder.is_dir() else [folder]
    labels = _read_table(root, table) if folder.is_dir() else {}
    return [_labelled(path, root, labels, middle_c) for path in found]


def _walk(folder: Path, root: str, seen: set[tuple[int, int]] | None = None) -> Iterator[Path]:
    try:
        if seen is None:
            status = os.stat(folder)
            seen = {(status.st_dev, status.st_ino)}
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        refuse("unreadable", f"{escape(folder)}: {error.strerror}; expected a folder that can be listed")
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            status = entry.stat()
        except OSError:
            continue  # a dangling link
        real = os.path.realpath(entry.path)
        if (status.st_dev, status.st_ino) in seen or os.path.commonpath([root, real]) != root:
            continue
        is_folder = stat.S_ISDIR(status.st_mode)
        if is_folder or Path(entry.name).suffix.lower() in SUFFIXES:
            seen.add((status.st_dev, status.st_ino))
            if is_folder:
                yield from _walk(Path(entry.path), root, seen)
            else:
                yield Path(entry.path)


def _labelled(path: Path, root: Path, labels: Mapping[str, Mapping[str, Any]], middle_c: int) -> SoundFile:
    inside = path.relative_to(root)
    label = labels.get(inside.as_posix(), {})
    named = parse_pitch(path.stem, middle_c)
    pitch = label.get("pitch", named.pitch if named else None)
    velocity = label.get("velocity", named.velocity if named else None)
    where = inside.parent.as_posix() if inside.parent != Path() else (named.rest if named else "")
    instrument = safe_stem(str(label.get("instrument") or where.replace("/", "-") or "sounds"))
    return SoundFile(
        os.fspath(path), os.fspath(root), instrument, pitch, math.nan if velocity is None else float(velocity)
    )


# ---- tables


def _read_table(root: Path, table: str) -> dict[str, dict[str, Any]]:
    names = [table] if table else [name for name in TABLES if (root / name).is_file()]
    if not names:
        return {}
    path = root / names[0]
    data, shown = open_checked(path, root=root, max_bytes=TABLE_BYTES), escape(path)
    if path.suffix.lower() == ".json":
        rows = parse_json(data, shown, max_bytes=TABLE_BYTES)
        return {name: _label(row, f"{shown}: {escape(name)}") for name, row in rows.items()}
    try:
        text = data.decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = {str(row.get("file") or ""): row for row in reader}
    except (UnicodeDecodeError, csv.Error) as error:
        refuse("bad_config", f"{shown}: not a table ({error}); expected CSV with the columns file, pitch and others")
    if "file" not in (reader.fieldnames or ()):
        refuse("bad_config", f"{shown}: no column `file`; expected file, pitch, velocity, instrument")
    return {name: _label(row, f"{shown}: {escape(name)}") for name, row in rows.items()}


def _label(row: Any, source: str) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        refuse("bad_config", f"{source}: {str(row)[:40]!r}; expected pitch, velocity, instrument")
    label: dict[str, Any] = {}
    if row.get("pitch") not in (None, ""):
        label["pitch"] = _pitch(row["pitch"], source)
    if row.get("velocity") not in (None, ""):
        velocity = _real(row["velocity"], source, 127.0)
        label["velocity"] = velocity if velocity <= 1 else velocity / 127
    if row.get("instrument") not in (None, ""):
        label["instrument"] = str(row["instrument"])[:200]
    return label


def _pitch(value: Any, source: str) -> float:
    try:
        float(value)
    except (TypeError, ValueError):
        named = parse_pitch(value) if isinstance(value, str) else None
        if named:
            return float(named.pitch)
    return _real(value, source, 127.0)


def _real(value: Any, source: str, most: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number <= most:
        refuse("bad_config", f"{source}: {str(value)[:40]!r}; expected a number from 0 to {most:g}")
    return number


# ---- reading


def read_sound(sound: SoundFile, ears: Ears, family: str) -> list[Heard]:
    """Read the notes of a sound file: one where its pitch is known or it is short, else as many as it holds.

    Raises:
        CorpusError: As `audio.read`; `no_notes` where no pitch could be heard with confidence.
        UnsupportedError: A pitch has to be estimated, and swift-f0 is not installed.
    """
    recording = audio.read(
        sound.path,
        ears.sample_rate,
        root=sound.root,
        max_seconds=LONGEST_SECONDS,
        min_seconds=ears.min_seconds,
    )
    return notes_of(recording, sound, ears, family)


def notes_of(recording: audio.Recording, sound: SoundFile, ears: Ears, family: str) -> list[Heard]:
    """Make notes of a recording; see `read_sound`."""
    shown, rate = escape(Path(sound.path).name), ears.sample_rate
    waveform = without_lead(recording.waveform, rate)

    def make(part: audio.Waveform, pitch: float, name: str, disagreement: float = math.nan) -> Heard:
        levelled, gain = level(part, round(ears.seconds * rate), name, silence=audio.SILENCE)
        note = Note(
            levelled, pitch, sound.velocity, gain, f"{family}/{sound.instrument}", family, name, recording.warnings
        )
        return Heard(note, disagreement)

    if sound.pitch is not None:
        head = waveform[: round(ears.seconds * rate)]
        pitch, disagreement = _listen(head, sound.pitch, ears, is_checked=sound.is_checked)
        return [make(waveform, pitch, shown, disagreement)]
    if recording.seconds <= _SINGLE_SHARE * ears.seconds:
        found = estimate_pitch(waveform, rate)
        if found is not None and _is_sure(found, ears):
            return [make(waveform, pitch_of(found.hz), shown)]
    spans = cut_notes(waveform, rate, min_seconds=max(ears.min_seconds, 0.1))
    sure = [span for span in spans if _is_sure(span.estimate, ears)]
    if not sure:
        fact = f"no pitch with a confidence of {ears.min_confidence:g}"
        refuse("no_notes", f"{shown}: {fact}; expected one voice, a note name like C4 in the file name, or a table")
    return [
        make(waveform[span.first : span.last], pitch_of(span.estimate.hz), f"{shown} at {span.first / rate:.2f} s")
        for span in sure
    ]


def _is_sure(found: Estimate, ears: Ears) -> bool:
    return found.confidence >= ears.min_confidence and found.stable >= _STABLE


def _listen(waveform: audio.Waveform, pitch: float, ears: Ears, *, is_checked: bool) -> tuple[float, float]:
    """Return the pitch with its measured tuning, and by how many cents an estimate disagrees with the label."""
    disagreement = math.nan
    if is_checked and ears.check_pitch and has_tracker():
        found = estimate_pitch(waveform, ears.sample_rate)
        if found is not None and _is_sure(found, ears):
            disagreement = 100 * (pitch_of(found.hz) - pitch)
    return tuned(waveform, ears.sample_rate, pitch) if ears.tune else pitch, disagreement


def tuned(waveform: audio.Waveform, sample_rate: int, pitch: float) -> float:
    """Return the pitch as it sounds, where that is clear and within 50 cents, else as it was."""
    measured = measure_tuning(waveform, sample_rate, hz_of(pitch))
    return pitch if measured is None or not np.isfinite(measured[0]) else pitch + measured[0] / 100
