"""A quicker way through the tracks of an ordinary MIDI file than stepping from event to event.

Nearly all bytes of a song belong to channel events with two data bytes. The few bytes that may begin anything else are
marked for the whole file at once; `leap` jumps from mark to mark and takes what lies between for such events, which
`audiogan.corpus.columns` proves afterwards, again for the whole file. A doubt is a refusal that nobody gets to read:
`audiogan.corpus.walk` then walks the file step by step, and only that walk decides what is wrong with it.
"""

from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from audiogan.corpus.columns import HIGH_BYTES, LONGEST_NUMBER, META, decode_number
from audiogan.corpus.events import END, NO_MORE, ONE, ONES, SINGLE, TWO, Edit, TrackWalker
from audiogan.corpus.limits import refuse

_LOW_BYTES = 3  # below 128 in an event with two data bytes: the end of its delta and the data
_BYTES_PER_MARK = 16  # where marks are denser, steps are quicker


def find_marks(data: bytes, ranges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Find, in each range of bytes, the positions of all bytes from 192 up but for 224 to 239, the pitch bends.

    Raises:
        CorpusError: There are too many.
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    marks = np.flatnonzero((raw >= 0xC0) & (raw & 0xF0 != 0xE0))
    if len(marks) * _BYTES_PER_MARK > len(data):
        _doubt("one byte in a few is marked")
    bounds = marks.searchsorted(ranges).tolist()
    positions = marks.tolist()
    return [positions[first:last] for first, last in bounds]


def leap(walker: TrackWalker, start: int, end: int, marks: Sequence[int]) -> list[Edit]:
    """Go through the track at bytes `start` to `end` as `walker.walk` does; only `walker.totals` proves it right.

    Raises:
        CorpusError: Anything is unusual.
    """
    walker.begin_track()
    data = walker.data
    edits: list[Edit] = []
    position = counted = start
    n_low, running = 0, SINGLE
    for mark in marks:
        if mark < counted:  # inside an event that lies behind
            continue
        n_low += len(data[counted:mark].translate(None, HIGH_BYTES))
        counted = mark
        if n_low % _LOW_BYTES == 0:  # the delta of one more event with two data bytes
            continue
        begin = _begin_of_delta(data, position, mark)
        if begin > position:
            running = _add_twos(walker, position, begin, running)
        if data[mark] < 0xF0:
            position, edit = _add_ones(walker, begin, mark, end), None
            running = ONE
        elif data[mark] == META:
            position, edit = _add_meta(walker, begin, mark, end)
        else:
            position, edit = walker.exclusive(begin, end)
            running = SINGLE
        if edit is not None:
            edits.append(edit)
        if data[mark] == META and data[mark + 1] == END:
            return edits
        counted, n_low = position, 0
    if position < end:
        _add_twos(walker, position, end, running)
    return [*edits, Edit(end, end, b"\x00" + NO_MORE)]


def _begin_of_delta(data: bytes, position: int, mark: int) -> int:
    """Where the delta in front of a status at `mark` begins, not before `position`."""
    begin = mark - 1
    while begin > position and data[begin - 1] >= 0x80 and mark - begin <= LONGEST_NUMBER:
        begin -= 1
    if data[mark - 1] >= 0x80 or mark - begin > LONGEST_NUMBER:
        _doubt("status without a delta")
    return begin


def _add_twos(walker: TrackWalker, start: int, stop: int, running: int) -> int:
    if running != TWO:
        walker.expect_status(start)
    walker.add_stretch(TWO, start, stop)
    return TWO


def _add_ones(walker: TrackWalker, begin: int, mark: int, end: int) -> int:
    match = ONES.match(walker.data, begin, end)
    stop = begin if match is None else match.end()
    if stop == begin:
        _doubt("data byte above 127")
    if stop == mark + 2:  # one program change: cheaper by itself
        walker.add_single(decode_number(walker.data[begin:mark]))
    else:
        walker.add_stretch(ONE, begin, stop)
    return stop


def _add_meta(walker: TrackWalker, begin: int, mark: int, end: int) -> tuple[int, Edit | None]:
    data = walker.data
    if mark + 2 >= end or data[mark + 1] >= 0x80:
        _doubt("meta event without type or length")
    size, payload = data[mark + 2], mark + 3
    if size >= 0x80:
        size, payload = walker.number(mark + 2, end)
    walker.add_single(decode_number(data[begin:mark]))
    return walker.meta_event(mark, data[mark + 1], payload, size, end)


def _doubt(why: str) -> NoReturn:
    refuse("bad_event", why)
