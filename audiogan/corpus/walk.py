"""Walk a MIDI file chunk by chunk and event by event before any library reads it.

The walk proves that every event lies inside its chunk, adds up the ticks and seconds in whole numbers and float64,
counts what could balloon, and hands on bytes that a strict reader accepts: a 14-byte header, no container, no alien
chunks, no impossible key, metre or tempo, no foreign text encodings. Everything it drops is replaced by an empty text
at the same time, so no other event moves. Notes are never touched. Source of the format: Standard MIDI Files 1.0
(RP-001).

The events themselves are walked in `audiogan.corpus.events`, those of ordinary files in the leaps of
`audiogan.corpus.leaps`.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from audiogan.corpus.events import Edit, Totals, TrackWalker, open_notes
from audiogan.corpus.leaps import find_marks, leap
from audiogan.corpus.limits import LIMITS, Limits, refuse
from audiogan.errors import CorpusError

_SMPTE_RATES = (-24, -25, -29, -30)


@dataclass(frozen=True)
class CheckedMidi:
    """A MIDI file that passed the walk.

    Args:
        data: The file as a strict reader wants it; the same object as the input when nothing had to change.
        warnings: Reason codes of what was tolerated or dropped, sorted.
        resolution: Ticks per beat.
        n_tracks: Track chunks.
        n_onsets: Note-on events with a velocity above 0.
        n_ticks: Ticks up to the last event.
        seconds: The same under the tempo map.
    """

    data: bytes
    warnings: tuple[str, ...]
    resolution: int
    n_tracks: int
    n_onsets: int
    n_ticks: int
    seconds: float


@dataclass(frozen=True)
class _Chunks:
    """Header fields and the byte range of every track's events."""

    format: int
    resolution: int
    ranges: list[tuple[int, int]]
    is_plain: bool  # the file holds nothing but a 14-byte header and these chunks


class _Passed(NamedTuple):
    """What the events of a file came to: replacements for each track, sums, reason codes of what was tolerated."""

    edits: list[list[Edit]]
    totals: Totals
    warnings: set[str]


def _unwrap(data: bytes, source: str) -> bytes:
    """Take MIDI out of a RIFF container (RMID)."""
    position, end = 12, min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    while position + 8 <= end:
        name, size = struct.unpack_from("<4sI", data, position)
        position += 8
        if name == b"data":
            if position + size > len(data):
                there = f"{len(data) - position:,} are there"
                refuse("truncated", f"{source}: RIFF data chunk of {size:,} bytes; expected them all, {there}")
            return data[position : position + size]
        position += size + size % 2
    return refuse("rmid", f"{source}: RIFF container without a data chunk; expected MIDI inside")


def _read_header(data: bytes, source: str) -> tuple[int, int, int, int]:
    """Format, declared tracks, resolution and the position after the header chunk."""
    if data[:4] != b"MThd":
        refuse("not_midi", f"{source}: starts with {data[:4]!r}; expected MThd")
    if len(data) < 14:
        refuse("truncated", f"{source}: {len(data)} bytes; expected 14 or more, a MIDI header")
    size, kind, n_declared, division = struct.unpack_from(">IHHH", data, 4)
    if size < 6:
        refuse("bad_header", f"{source}: header of {size} bytes; expected 6 or more")
    if 8 + size > len(data):
        refuse("truncated", f"{source}: header of {size:,} bytes; expected them all, {len(data) - 8:,} are there")
    if kind == 2:
        refuse("type2", f"{source}: MIDI format 2; expected 0 or 1")
    if kind > 2:
        refuse("bad_header", f"{source}: MIDI format {kind}; expected 0 or 1")
    if division & 0x8000:
        rate, per_frame = (division >> 8) - 256, division & 0xFF
        reason = "smpte_division" if rate in _SMPTE_RATES and per_frame else "bad_division"
        refuse(reason, f"{source}: time-code division {rate}/{per_frame}; expected ticks per beat")
    if division == 0:
        refuse("bad_division", f"{source}: 0 ticks per beat; expected 1 to 32767")
    return kind, n_declared, division, 8 + size


def _find_chunks(data: bytes, source: str, limits: Limits, warnings: set[str]) -> _Chunks:
    kind, n_declared, resolution, position = _read_header(data, source)
    ranges: list[tuple[int, int]] = []
    is_plain = position == 14
    while position + 8 <= len(data):
        name, size = struct.unpack_from(">4sI", data, position)
        position += 8
        is_track = name == b"MTrk"
        if position + size > len(data):
            if not is_track and ranges and len(ranges) >= n_declared:  # junk after the last track
                is_plain, position = False, len(data)
                warnings.add("bad_header")
                break
            there = f"{len(data) - position:,} are there"
            refuse("truncated", f"{source}: chunk {name!r} of {size:,} bytes; expected them all, {there}")
        if is_track:
            ranges.append((position, position + size))
            if len(ranges) > limits.n_tracks:
                refuse("too_many_tracks", f"{source}: more than {limits.n_tracks:,} tracks; expected at most that")
        else:
            is_plain = False
        position += size
    if position != len(data):
        is_plain = False
    if not ranges:
        reason = "truncated" if n_declared else "no_notes"
        refuse(reason, f"{source}: {n_declared} tracks declared, none there; expected at least one")
    if len(ranges) != n_declared or (kind == 0 and len(ranges) > 1):
        warnings.add("bad_header")
        is_plain = False
    return _Chunks(kind if len(ranges) == 1 else 1, resolution, ranges, is_plain)


def _leap_through(data: bytes, ranges: list[tuple[int, int]], source: str, limits: Limits) -> _Passed:
    """Go through an ordinary file; refuse any other, for reasons that mean nothing."""
    warnings: set[str] = set()
    walker = TrackWalker(data, source, limits, warnings)
    marks = find_marks(data, ranges)
    edits = [leap(walker, start, end, its_marks) for (start, end), its_marks in zip(ranges, marks, strict=True)]
    return _Passed(edits, walker.totals(), warnings)


def _step_through(data: bytes, ranges: list[tuple[int, int]], source: str, limits: Limits) -> _Passed:
    """Go through any file; what is refused here is refused for good."""
    warnings: set[str] = set()
    walker = TrackWalker(data, source, limits, warnings)
    edits = [walker.walk(start, end) for start, end in ranges]
    return _Passed(edits, walker.totals(), warnings)


def _go_through(data: bytes, ranges: list[tuple[int, int]], source: str, limits: Limits) -> _Passed:
    try:
        return _leap_through(data, ranges, source, limits)
    except CorpusError:  # perhaps a bad file, perhaps only an odd one
        return _step_through(data, ranges, source, limits)


def _rebuild(data: bytes, chunks: _Chunks, edits: list[list[Edit]]) -> bytes:
    if chunks.is_plain and not any(edits):
        return data
    parts = [b"MThd" + struct.pack(">IHHH", 6, chunks.format, len(chunks.ranges), chunks.resolution)]
    for (start, end), changes in zip(chunks.ranges, edits, strict=True):
        pieces, position = [], start
        for change in changes:
            pieces += [data[position : change.start], change.replacement]
            position = change.stop
        body = b"".join([*pieces, data[position:end]])
        parts += [b"MTrk", struct.pack(">I", len(body)), body]
    return b"".join(parts)


def seconds_at(tick: int, tempos: list[tuple[int, int]], resolution: int) -> float:
    """Turn a tick into seconds under a tempo map.

    Args:
        tick: 0 or more.
        tempos: (tick, microseconds per quarter note), in any order; the last one on a tick counts. Before: 120 qpm.
        resolution: Ticks per quarter note.
    """
    microseconds, since, pace = 0, 0, 500_000
    for change, new_pace in sorted(tempos, key=lambda tempo: tempo[0]):
        if change >= tick:
            break
        microseconds += (change - since) * pace
        since, pace = change, new_pace
    return (microseconds + (tick - since) * pace) / (1e6 * resolution)


def check_midi(data: bytes, source: str = "MIDI data", *, limits: Limits = LIMITS) -> CheckedMidi:
    """Walk a MIDI file and return it in the form a strict reader accepts.

    Args:
        data: The whole file.
        source: What to call it in a refusal.
        limits: Caps.

    Raises:
        CorpusError: `empty_file`, `too_large`, `not_midi`, `bad_header`, `bad_division`, `smpte_division`, `type2`,
            `truncated`, `bad_event`, `too_long`, `too_many_events`, `too_many_tracks`, `no_notes`, `rmid`.
    """
    warnings: set[str] = set()
    if not data:
        refuse("empty_file", f"{source}: 0 bytes; expected a MIDI file")
    if len(data) > limits.midi_bytes:
        refuse("too_large", f"{source}: {len(data):,} bytes; expected at most {limits.midi_bytes:,}")
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        data = _unwrap(data, source)
        warnings.add("rmid")
    chunks = _find_chunks(data, source, limits, warnings)
    passed = _go_through(data, chunks.ranges, source, limits)
    totals = passed.totals
    if totals.n_ticks > limits.n_ticks:
        refuse("too_long", f"{source}: {totals.n_ticks:,} ticks; expected at most {limits.n_ticks:,}")
    if totals.n_onsets > limits.n_notes:
        refuse("too_many_events", f"{source}: {totals.n_onsets:,} notes; expected at most {limits.n_notes:,}")
    seconds = seconds_at(totals.n_ticks, totals.tempos, chunks.resolution)
    if seconds > limits.seconds:
        refuse("too_long", f"{source}: {seconds:,.0f} seconds; expected at most {limits.seconds:,.0f}")
    if totals.n_onsets == 0:
        refuse("no_notes", f"{source}: no note-on event; expected at least one note")
    cleaned = _rebuild(data, chunks, passed.edits)
    return CheckedMidi(
        cleaned,
        tuple(sorted(warnings | passed.warnings)),
        chunks.resolution,
        len(chunks.ranges),
        totals.n_onsets,
        totals.n_ticks,
        seconds,
    )


def open_notes_closed(data: bytes) -> bytes:
    """End every note that is never ended, at the end of its track.

    Args:
        data: A file as `check_midi` returns it: 14-byte header, track chunks only, each with an end of track.
    """
    parts, position = [data[:14]], 14
    while position < len(data):
        size = struct.unpack_from(">I", data, position + 4)[0]
        start, position = position + 8, position + 8 + size
        walker = TrackWalker(data[start:position], "checked track", LIMITS, set())
        walker.walk(0, size)
        closing = b"".join(bytes((0x80 | channel, pitch, 64)) + b"\x00" for channel, pitch in open_notes(walker))
        body = data[start : position - 3] + closing + data[position - 3 : position]
        parts += [b"MTrk", struct.pack(">I", len(body)), body]
    return b"".join(parts)
