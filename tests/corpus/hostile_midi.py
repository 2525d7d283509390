"""MIDI files that a corpus of strangers may hold: each made in code, each with what the reader must say to it."""

import random
import struct
from collections.abc import Callable
from typing import NamedTuple


def number(value: int) -> bytes:
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))


def event(delta: int, *content: int) -> bytes:
    return number(delta) + bytes(content)


def meta(delta: int, kind: int, content: bytes = b"") -> bytes:
    return number(delta) + bytes((0xFF, kind)) + number(len(content)) + content


END = meta(0, 0x2F)


def chunk(body: bytes, name: bytes = b"MTrk", size: int | None = None) -> bytes:
    return name + struct.pack(">I", len(body) if size is None else size) + body


def track(*events: bytes, end: bytes = END) -> bytes:
    return chunk(b"".join(events) + end)


def header(n_tracks: int = 1, kind: int = 1, division: int = 480, extra: bytes = b"") -> bytes:
    return b"MThd" + struct.pack(">IHHH", 6 + len(extra), kind, n_tracks, division) + extra


def note(pitch: int = 60, length: int = 480, delta: int = 0, velocity: int = 90, channel: int = 0) -> bytes:
    return event(delta, 0x90 | channel, pitch, velocity) + event(length, 0x80 | channel, pitch, 0)


NOTES = b"".join(note(60 + step) for step in range(8))
PLAIN = header() + track(NOTES)


class Case(NamedTuple):
    """`expected`: codes that are right as a refusal; empty when it must load with `n_notes` and these `warnings`."""

    name: str
    data: Callable[[], bytes]
    expected: frozenset[str] = frozenset()
    n_notes: int = 8
    warnings: tuple[str, ...] = ()


def _refused(name: str, data: Callable[[], bytes] | bytes, *codes: str) -> Case:
    return Case(name, (lambda: data) if isinstance(data, bytes) else data, frozenset(codes))


def _loads(name: str, data: Callable[[], bytes] | bytes, n_notes: int = 8, warnings: tuple[str, ...] = ()) -> Case:
    return Case(name, (lambda: data) if isinstance(data, bytes) else data, frozenset(), n_notes, warnings)


def _riff(content: bytes, size: int | None = None) -> bytes:
    body = b"RMID" + b"data" + struct.pack("<I", len(content) if size is None else size) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _random_bytes(n_bytes: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(n_bytes)


LONG_REST = event(2**28 - 1, 0xB0, 7, 100)
METRE, KEY, TEMPO = 0x58, 0x59, 0x51

CASES: tuple[Case, ...] = (
    # Not MIDI at all.
    _refused("empty", b"", "empty_file"),
    _refused("random", lambda: b"\x00" + _random_bytes(4096, 1), "not_midi"),
    _refused("text", b"This is not a song.\n" * 50, "not_midi"),
    _refused("archive", b"PK\x03\x04" + b"\0" * 64, "not_midi"),
    _refused("page", b"<!doctype html><title>404</title>", "not_midi"),
    _refused("one byte", b"M", "not_midi"),
    _refused("riff sound", b"RIFF\x24\0\0\0WAVEfmt ", "not_midi"),
    # Cut short.
    _refused("cut in the header", PLAIN[:10], "truncated"),
    _refused("header only", header(), "truncated"),
    _refused("header without tracks", header(0), "no_notes"),
    _refused("cut in a chunk name", PLAIN[:17], "truncated"),
    _refused("cut in a track", PLAIN[:40], "truncated"),
    _refused("cut in a number", header() + chunk(note() + b"\x81"), "truncated"),
    _refused("cut in an event", header() + chunk(note() + b"\x00\x90\x3c"), "truncated"),
    _refused("cut in a meta event", header() + chunk(note() + b"\x00\xff\x03\x20ab"), "truncated"),
    # Headers that lie.
    _loads("more tracks declared", header(9) + track(NOTES), warnings=("bad_header",)),
    _loads("65,535 tracks declared", header(65_535) + track(NOTES), warnings=("bad_header",)),
    _loads("fewer tracks declared", header(1) + track(NOTES) + track(note()), 9, ("bad_header",)),
    _loads("format 0 with two tracks", header(2, 0) + track(NOTES) + track(note()), 9, ("bad_header",)),
    _refused("chunk of 4 GB declared", header() + chunk(NOTES + END, size=2**32 - 1), "truncated"),
    _refused("chunk ends early", header() + chunk(NOTES + END, size=30) + b"\0" * 8, "truncated", "bad_event"),
    _refused("text of 256 MB declared", header() + track(NOTES, b"\x00\xff\x01\xff\xff\xff\x7fab"), "truncated"),
    _refused("exclusive of 256 MB declared", header() + track(NOTES, b"\x00\xf0\xff\xff\xff\x7fab"), "truncated"),
    _refused("header of 2 bytes", b"MThd" + struct.pack(">IH", 2, 1) + track(NOTES), "bad_header"),
    _refused("header of 4 GB", b"MThd" + struct.pack(">IHHH", 2**32 - 1, 1, 1, 480) + track(NOTES), "truncated"),
    _refused("unknown format", header(1, 7) + track(NOTES), "bad_header"),
    _refused("patterns", header(1, 2) + track(NOTES), "type2"),
    # Division.
    _refused("no ticks", header(division=0) + track(NOTES), "bad_division"),
    _refused("time code", header(division=0xE728) + track(NOTES), "smpte_division"),
    _refused("time code without ticks", header(division=0xE700) + track(NOTES), "bad_division"),
    _refused("impossible time code", header(division=0x8001) + track(NOTES), "bad_division"),
    # Time bombs.
    _refused("slow tempo", header() + track(meta(0, TEMPO, b"\xff\xff\xff"), note(length=480 * 900)), "too_long"),
    _refused("one tick a beat", header(division=1) + track(note(length=100_000)), "too_long"),
    _refused("long rest", header() + track(NOTES, LONG_REST), "too_long"),
    _refused("ticks beyond 31 bits", header(division=32_767) + track(LONG_REST * 9, NOTES), "too_long"),
    _refused("ticks beyond 63 bits", lambda: header(division=32_767) + track(LONG_REST * 200_000, NOTES), "too_long"),
    _refused(
        "ticks beyond 31 bits at a gallop",
        header(division=32_767) + track(meta(0, TEMPO, b"\0\x17\x70"), LONG_REST * 9, NOTES),
        "too_long",
    ),
    _refused("rests between texts", header() + track(meta(2**28 - 1, 1, b"x") * 4, NOTES), "too_long"),
    # Size bombs.
    _refused(
        "masses of notes", lambda: header() + track(event(0, 0x90, 60, 1), b"\0\x3c\1" * 500_000), "too_many_events"
    ),
    _refused(
        "masses of tempos", lambda: header() + track(meta(1, TEMPO, b"\7\xa1\x20") * 20_001, NOTES), "too_many_events"
    ),
    _refused("masses of tracks", lambda: header(1_025) + track(note()) * 1_025, "too_many_tracks"),
    _refused("17 MB", lambda: header() + track(NOTES, meta(0, 0x7F, b"\0" * 17_000_000)), "too_large"),
    # Illegal events.
    _refused("data without a status", header() + track(b"\0\x3c\x40", NOTES), "bad_event"),
    _refused("data after an exclusive", header() + track(note(), b"\0\xf0\1\xf7\0\x3c\x40", NOTES), "bad_event"),
    _refused("running status over a track", header(2) + track(NOTES) + track(b"\0\x3c\x40"), "bad_event"),
    _refused("only programs", header() + track(event(0, 0xC0, 1), b"\0\x3c\x40\0\x3c\x40"), "no_notes"),
    _refused("data above 127", header() + track(b"\0\x90\x3c\xc8", NOTES), "bad_event"),
    _refused("program above 127", header() + track(b"\0\xc0\x80", NOTES), "bad_event"),
    _refused("system message", header() + track(b"\0\xf2\1\2", NOTES), "bad_event"),
    _refused("real-time message", header() + track(b"\0\xf8", NOTES), "bad_event"),
    _refused("meta type above 127", header() + track(b"\0\xff\x80\0", NOTES), "bad_event"),
    _refused("delta of five bytes", header() + track(b"\x81\x81\x81\x81\1\x90\x3c\x40", NOTES), "bad_event"),
    _refused("length of five bytes", header() + track(b"\0\xff\1\x81\x81\x81\x81\1", NOTES), "bad_event"),
    _loads("tempo of two bytes", header() + track(meta(0, TEMPO, b"\7\xa1"), NOTES), warnings=("bad_event",)),
    _loads("tempo 0", header() + track(meta(0, TEMPO, b"\0\0\0"), NOTES), warnings=("bad_tempo",)),
    _loads("tempo of 60 million", header() + track(meta(0, TEMPO, b"\0\0\1"), NOTES), warnings=("bad_tempo",)),
    _loads("text of 1 MB", header() + track(meta(0, 1, b"la" * 500_000), NOTES), warnings=("bad_event",)),
    _loads("name of 1 MB", header() + track(meta(0, 3, b"\xe9" * 1_000_000), NOTES), warnings=("bad_event",)),
    # Notes that are none, or odd.
    _refused("only texts", header() + track(meta(0, 3, b"name"), meta(0, TEMPO, b"\7\xa1\x20")), "no_notes"),
    _refused("only controllers", header() + track(event(0, 0xB0, 7, 100)), "no_notes"),
    _refused("only note-offs", header() + track(event(0, 0x80, 60, 0), event(9, 0x90, 60, 0)), "no_notes"),
    _loads(
        "never ended", header() + track(event(0, 0x90, 60, 90), event(480, 0x90, 62, 90), event(480, 0xB0, 7, 1)), 2
    ),
    _loads("no length", header() + track(note(length=0), NOTES), 9),
    _loads("overlapping", header() + track(event(0, 0x90, 60, 90), event(9, 0x90, 60, 80), note(60), NOTES), 11),
    _loads("stray note-offs", header() + track(event(0, 0x80, 60, 0), NOTES, event(0, 0x80, 1, 0))),
    _loads("same tick off and on", header() + track(note(length=10), note(length=10)), 2),
    # Legal, but often refused by others.
    _loads("no end of track", header() + track(NOTES, end=b"")),
    _loads("events after the end", header() + track(NOTES, END, NOTES)),
    _loads("end of track with content", header() + track(NOTES, end=meta(0, 0x2F, b"x"))),
    _loads("name in no encoding", header() + track(meta(0, 3, b"\xff\xfe\x80 lead"), NOTES)),
    _loads("name with controls", header() + track(meta(0, 3, b"\x1b[31m\0\n../../x"), NOTES)),
    _loads("impossible key", header() + track(meta(0, KEY, b"\x63\0"), NOTES), warnings=("bad_event",)),
    _loads("impossible mode", header() + track(meta(0, KEY, b"\0\xff"), NOTES), warnings=("bad_event",)),
    _loads("impossible metre", header() + track(meta(0, METRE, b"\0\2\x18\x08"), NOTES), warnings=("bad_event",)),
    _loads("metre over 2^200", header() + track(meta(0, METRE, b"\4\xc8\x18\x08"), NOTES), warnings=("bad_event",)),
    _loads("metre of two bytes", header() + track(meta(0, METRE, b"\3\2"), NOTES)),
    _loads("key of one byte", header() + track(meta(0, KEY, b"\0"), NOTES), warnings=("bad_event",)),
    _loads("unknown chunks", header(1) + chunk(b"junk", b"XFIH") + track(NOTES) + chunk(b"more", b"XFKM")),
    _loads("junk behind", PLAIN + b"\0" * 5),
    _loads("long junk behind", PLAIN + b"<?xml version='1.0'?>", warnings=("bad_header",)),
    _loads("longer header", header(extra=b"\1\2\3\4") + track(NOTES)),
    _loads("running status", header() + track(event(0, 0x90, 60, 90), *[b"\x60\x3c\0\0\x3c\x5a"] * 7, b"\1\x3c\0")),
    _loads(
        "running status over a meta event",
        header() + track(event(0, 0x90, 60, 90), meta(0, 1, b"la"), b"\x60\x3c\0"),
        1,
    ),
    _loads(
        "running program over a meta event", header() + track(event(0, 0xC0, 5), meta(0, 1, b"\xc5"), b"\0\6", NOTES)
    ),
    _loads(
        "aftertouch between notes",
        header() + track(note(), event(0, 0xD0, 5), b"\1\6", b"\1\7", note(), b"\1\x3c\0"),
        2,
    ),
    _loads(
        "longest numbers", header(division=32_767) + track(b"\x80\x80\x80\0\x90\x3c\x5a\x80\x80\x81\0\x80\x3c\0"), 1
    ),
    _loads("exclusive", header() + track(b"\0\xf0\5\x7e\x7f\x09\x01\xf7", NOTES)),
    _loads("exclusive without its end", header() + track(b"\0\xf0\3\x41\x42\x43", NOTES)),
    _loads("exclusive with two ends", header() + track(b"\0\xf0\4\x41\xf7\x42\xf7", NOTES)),
    _loads("escape", header() + track(b"\0\xf7\3\x90\x3c\x40", NOTES)),
    _loads("fastest tempo", header() + track(meta(0, TEMPO, b"\0\x17\x70"), NOTES)),
    _loads("slowest tempo", header() + track(meta(0, TEMPO, b"\xff\xff\xff"), NOTES)),
    _loads("one tick a beat, short", header(division=1) + track(NOTES.replace(b"\x83\x60", b"\1")), 8),
    _loads("channel 16, pitch 127", header() + track(note(127, channel=15, velocity=127), note(0, velocity=1)), 2),
    _loads("empty tracks", header(3) + track() + track(NOTES) + track()),
    _loads("track without a byte", header(2) + chunk(b"") + track(NOTES)),
    _loads("lyrics", header() + track(*[meta(1, 5, b"la") for _ in range(500)], NOTES)),
    _loads("format 0", header(1, 0) + track(NOTES, note(channel=9)), 9),
    # Containers.
    _loads("riff", _riff(PLAIN), warnings=("rmid",)),
    _refused("riff without data", b"RIFF\x04\0\0\0RMID", "rmid"),
    _refused("riff that lies", _riff(PLAIN, 10**9), "truncated"),
    _refused("riff around nothing", _riff(b""), "not_midi"),
    _refused("riff around riff", _riff(_riff(PLAIN)), "not_midi"),
)
