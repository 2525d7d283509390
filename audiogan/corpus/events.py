"""The events of MIDI tracks: where each one lies, when it happens, and which ones have to be replaced.

`TrackWalker` steps through the tracks of one file. Stretches of channel events are matched by one regular expression,
and measured afterwards for the whole file at once: in events with two data bytes every third byte below 128 ends a
delta. Only meta and system exclusive events are looked at one by one. Ordinary files are spared the steps:
`audiogan.corpus.leaps` fills the same rows.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np

from audiogan.corpus.columns import META, NOTE_ON, ChannelColumns, channel_columns, decode_number, meta
from audiogan.corpus.limits import Limits, refuse

# A row of the walk is a single event or a stretch of channel events with this many data bytes.
SINGLE, ONE, TWO = 0, 1, 2
# An event is a delta (up to three continuation bytes, one last byte), perhaps a status byte, and its data bytes.
# Possessive quantifiers: no backtracking, so time and memory stay linear on any input.
_DELTA = rb"[\x80-\xff]{0,3}+[\x00-\x7f]"
_ONES = rb"(?:" + _DELTA + rb"[\xc0-\xdf]?+[\x00-\x7f])*+"
_TWOS = rb"(?:" + _DELTA + rb"[\x80-\xbf\xe0-\xef]?+[\x00-\x7f][\x00-\x7f])*+"
_NUMBER = re.compile(_DELTA)
ONES = re.compile(_ONES)
# What follows: stretches of events with one, two and one data bytes, then the start of a meta event: delta, type,
# length. The first stretch is possible under a running status with one data byte only.
_REST = rb"(" + _TWOS + rb")(" + _ONES + rb")(?:(" + _DELTA + rb")\xff([\x00-\x7f])(" + _DELTA + rb"))?+"
_NEXT = re.compile(rb"()" + _REST)
_NEXT_AFTER_ONES = re.compile(rb"(" + _ONES + rb")" + _REST)
_ORDER = (ONE, TWO, ONE)
_END_TYPE = b"\x2f"
_SYSEX, _ESCAPE = 0xF0, 0xF7
_NAME, _LAST_TEXT, END, _TEMPO, _METRE, _KEY = 0x03, 0x0F, 0x2F, 0x51, 0x58, 0x59
_LARGEST_METRE_POWER = 7  # 1/128
_NOTHING, NO_MORE = b"\xff\x01\x00", b"\xff\x2f\x00"  # an empty text, end of track


class Edit(NamedTuple):
    """Replace the bytes from `start` up to `stop`."""

    start: int
    stop: int
    replacement: bytes


@dataclass(frozen=True)
class Totals:
    """Sums over all tracks of one file; `tempos` are (tick, microseconds per quarter note)."""

    n_ticks: int
    n_onsets: int
    tempos: list[tuple[int, int]]


class TrackWalker:
    """Walk the tracks of one file in order, then add everything up.

    Args:
        data: The whole file.
        source: What to call it in a refusal.
        limits: Caps.
        warnings: Reason codes of what was tolerated are added here.
    """

    def __init__(self, data: bytes, source: str, limits: Limits, warnings: set[str]) -> None:
        self.data, self.source, self.limits, self.warnings = data, source, limits, warnings
        # One row per stretch or single event: the kind of stretch, or SINGLE with its own delta.
        self.row_kind: list[int] = []
        self.row_delta: list[int] = []
        self.first_rows: list[int] = []
        self.stretches: dict[int, list[bytes]] = {ONE: [], TWO: []}
        self.tempo_rows: list[tuple[int, int]] = []

    def walk(self, start: int, end: int) -> list[Edit]:
        """Step through the events of the track at bytes `start` to `end`; return what has to be replaced.

        Raises:
            CorpusError: `bad_event`, `truncated`, `too_many_events`.
        """
        self.begin_track()
        edits: list[Edit] = []
        position, running = start, SINGLE
        while position < end:
            match = (_NEXT_AFTER_ONES if running == ONE else _NEXT).match(self.data, position, end)
            assert match is not None, "every part of the pattern may be empty"
            for kind, stop in zip(_ORDER, match.regs[1:4], strict=False):
                if stop[1] > position:
                    if running != kind:
                        self.expect_status(position)
                    self.add_stretch(kind, position, stop[1])
                    position, running = stop[1], kind
            if position == end:
                break
            delta, kind, size = match.group(4, 5, 6)
            if kind is None and match.end() > match.start():
                continue
            if kind is None:
                position, edit = self.exclusive(position, end)
                running = SINGLE
            else:
                self.add_single(decode_number(delta))
                position, edit = self.meta_event(position + len(delta), kind[0], match.end(), decode_number(size), end)
            if edit is not None:
                edits.append(edit)
            if kind == _END_TYPE:
                return edits
        return [*edits, Edit(end, end, b"\x00" + NO_MORE)]

    def begin_track(self) -> None:
        """What is added from here on belongs to the next track."""
        self.first_rows.append(len(self.row_kind))

    def add_stretch(self, kind: int, start: int, stop: int) -> None:
        """Add a row for the channel events at bytes `start` to `stop`, all of one kind."""
        self.row_kind.append(kind)
        self.row_delta.append(0)
        self.stretches[kind].append(self.data[start:stop])

    def add_single(self, delta: int) -> None:
        """Add a row for one event of another kind, `delta` ticks after the row before."""
        self.row_kind.append(SINGLE)
        self.row_delta.append(delta)

    def expect_status(self, position: int) -> None:
        """Refuse a stretch whose first event relies on a running status that is not there."""
        at = position + 1 if self.data[position] < 0x80 else self.number(position, len(self.data))[1]
        if at == len(self.data) or self.data[at] < 0x80:
            self._refuse_event(at, len(self.data))

    def number(self, position: int, end: int) -> tuple[int, int]:
        """Variable-length number at `position` and where it ends."""
        match = _NUMBER.match(self.data, position, end)
        if match is None:
            reason = "truncated" if end - position < 4 else "bad_event"
            refuse(reason, f"{self.source}: byte {position:,}: number without an end; expected at most four bytes")
        return decode_number(match.group()), match.end()

    def _expect_room(self, at: int, size: int, payload: int, end: int) -> None:
        if payload + size > end:
            told = f"event of {size:,} bytes; expected them all, {end - payload:,} are there"
            refuse("truncated", f"{self.source}: byte {at:,}: {told}")

    def exclusive(self, position: int, end: int) -> tuple[int, Edit | None]:
        """End of the system exclusive event at `position`; anything that does not end in its one F7 is taken out."""
        delta, at = self.number(position, end)
        if at == end or self.data[at] not in (_SYSEX, _ESCAPE):
            self._refuse_event(at, end)
        self.add_single(delta)
        size, payload = self.number(at + 1, end)
        self._expect_room(at, size, payload, end)
        stop = payload + size
        is_plain = self.data[at] == _SYSEX and self.data.find(b"\xf7", payload, stop) == stop - 1 >= payload
        return stop, None if is_plain else Edit(at, stop, _NOTHING)

    def meta_event(self, at: int, kind: int, payload: int, size: int, end: int) -> tuple[int, Edit | None]:
        """End of the meta event at byte `at` with the content at `payload`, and its replacement if it needs one."""
        self._expect_room(at, size, payload, end)
        stop = payload + size
        if kind == END:
            return end, None if stop == end and not size else Edit(at, end, NO_MORE)
        if kind in _META_CLEANERS:
            replacement = _META_CLEANERS[kind](self, self.data[payload:stop])
        elif kind <= _LAST_TEXT and size > self.limits.text_bytes:
            replacement = meta(kind, self._cut(self.data[payload:stop]))
        else:
            return stop, None
        return stop, None if replacement is None else Edit(at, stop, replacement)

    def _refuse_event(self, at: int, end: int) -> NoReturn:
        """Refuse the event whose status byte should be at byte `at`."""
        where = f"{self.source}: byte {at:,}"
        status = self.data[at] if at < end else -1
        if 0 <= status < 0x80:
            refuse("bad_event", f"{where}: data byte {status} without a status; expected a status byte")
        if status == META and at + 1 < end and self.data[at + 1] > 0x7F:
            refuse("bad_event", f"{where}: meta event of type {self.data[at + 1]}; expected at most 127")
        if at + 3 > end:
            refuse("truncated", f"{where}: the track ends inside an event; expected a whole one")
        if status == META:
            refuse("bad_event", f"{where}: length of a meta event without an end; expected at most four bytes")
        if status > _SYSEX:
            refuse("bad_event", f"{where}: status {status:#x}; expected a channel, meta or exclusive event")
        refuse("bad_event", f"{where}: data byte above 127 in a channel event; expected at most 127")

    def _cut(self, text: bytes) -> bytes:
        self.warnings.add("bad_event")
        return text[: self.limits.text_bytes]

    def _clean_name(self, text: bytes) -> bytes | None:
        if len(text) > self.limits.text_bytes:
            text = self._cut(text)
        elif text.isascii():
            return None
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            # At most two bytes for one of Latin-1, so a long name shrinks below the cap.
            return meta(_NAME, text[: self.limits.text_bytes // 2].decode("latin-1").encode("utf-8"))
        return meta(_NAME, text)

    def _clean_tempo(self, content: bytes) -> bytes | None:
        if len(content) != 3:
            self.warnings.add("bad_event")
            return _NOTHING
        pace = int.from_bytes(content, "big")
        if pace * self.limits.qpm < 60_000_000:
            self.warnings.add("bad_tempo")
            return _NOTHING
        self.tempo_rows.append((len(self.row_kind) - 1, pace))
        if len(self.tempo_rows) > self.limits.n_tempos:
            told = f"more than {self.limits.n_tempos:,} tempo changes; expected at most that"
            refuse("too_many_events", f"{self.source}: {told}")
        return None

    def _clean_metre(self, content: bytes) -> bytes | None:
        if len(content) < 2 or content[0] == 0 or content[1] > _LARGEST_METRE_POWER:
            self.warnings.add("bad_event")
            return _NOTHING
        return None if len(content) == 4 else meta(_METRE, content[:2] + b"\x18\x08")

    def _clean_key(self, content: bytes) -> bytes | None:
        if len(content) < 2 or not -7 <= (content[0] + 128) % 256 - 128 <= 7 or content[1] > 1:
            self.warnings.add("bad_event")
            return _NOTHING
        return None if len(content) == 2 else meta(_KEY, content[:2])

    def totals(self) -> Totals:
        """Add up ticks, notes and tempo changes of the tracks walked so far."""
        kinds = np.array(self.row_kind, dtype=np.int64)
        deltas = np.array(self.row_delta, dtype=np.int64)
        n_onsets = 0
        for kind, stretches in self.stretches.items():
            if not stretches:
                continue
            columns = channel_columns(stretches, kind)
            deltas[kinds == kind] = columns.ticks
            if kind == TWO:
                n_onsets = columns.n_onsets
        ticks = np.concatenate([[0], np.cumsum(deltas)])  # in front of every row, over all tracks
        bounds = np.array([*self.first_rows, len(kinds)])
        starts = ticks[bounds]
        rows = np.array([row for row, _ in self.tempo_rows], dtype=np.int64)
        tempo_ticks = ticks[rows + 1] - starts[np.searchsorted(bounds, rows, side="right") - 1]
        tempos = list(zip(tempo_ticks.tolist(), (pace for _, pace in self.tempo_rows), strict=True))
        return Totals(int(np.diff(starts).max()), n_onsets, tempos)

    def columns(self) -> ChannelColumns | None:
        """All channel events with two data bytes, in file order; `None` if there are none."""
        return channel_columns(self.stretches[TWO], TWO) if self.stretches[TWO] else None


_META_CLEANERS = {
    _NAME: TrackWalker._clean_name,
    _TEMPO: TrackWalker._clean_tempo,
    _METRE: TrackWalker._clean_metre,
    _KEY: TrackWalker._clean_key,
}


def open_notes(walker: TrackWalker) -> list[tuple[int, int]]:
    """Channel and pitch of every note that is started and never ended in the one track that was walked."""
    columns = walker.columns()
    if columns is None:
        return []
    open_count: Counter[tuple[int, int]] = Counter()
    for status, (_, pitch, velocity) in zip(columns.status.tolist(), columns.low.tolist(), strict=True):
        if status & 0xF0 == NOTE_ON and velocity:
            open_count[status & 0x0F, pitch] += 1
        elif status & 0xE0 == 0x80 and open_count[status & 0x0F, pitch]:
            open_count[status & 0x0F, pitch] -= 1
    return list(open_count.elements())
