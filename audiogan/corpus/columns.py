"""Numbers, meta events and columns of channel events: the parts of a MIDI file below its event order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.limits import refuse

META = 0xFF
NOTE_ON = 0x90
HIGH_BYTES = bytes(range(0x80, 0x100))
LONGEST_NUMBER = 4


class ChannelColumns(NamedTuple):
    """Channel events in file order, as far as they can be told apart without looking at each.

    Args:
        ticks: `(stretch,)`: sum of the deltas in each stretch.
        states: `(state,)`: status bytes in the order of the file.
        stated: `(state,)`: the event that each of them is written in; it holds for those behind, too.
        low: `(event, 1 + n_data)`: last byte of the delta, data bytes.
    """

    ticks: NDArray[np.int64]
    states: NDArray[np.uint8]
    stated: NDArray[np.int64]
    low: NDArray[np.uint8]

    @property
    def status(self) -> NDArray[np.uint8]:
        """`(event,)`: status byte of each event, written or running."""
        return np.repeat(self.states, np.diff(self.stated, append=len(self.low)))

    @property
    def n_onsets(self) -> int:
        """Note-on events with a velocity above 0, where the events have two data bytes."""
        n_loud = np.add.reduceat(self.low[:, 2] > 0, self.stated, dtype=np.int64)
        return int(n_loud[self.states & 0xF0 == NOTE_ON].sum())


def encode_number(value: int) -> bytes:
    """Write a variable-length number of a MIDI file: 7 bits a byte, the highest first, 0 to 2^28 - 1.

    Example:
        >>> encode_number(200).hex()
        '8148'
    """
    assert 0 <= value < 1 << 28, f"{value} does not fit a variable-length number"
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))


def meta(kind: int, content: bytes) -> bytes:
    """Write a meta event without its delta."""
    return bytes((META, kind)) + encode_number(len(content)) + content


def decode_number(raw: bytes) -> int:
    """Read a variable-length number; the inverse of `encode_number`."""
    if len(raw) == 1:  # nearly always
        return raw[0] & 0x7F
    value = 0
    for byte in raw:
        value = value << 7 | byte & 0x7F
    return value


def channel_columns(stretches: Sequence[bytes], n_data: int) -> ChannelColumns:
    """Cut stretches of channel events into columns, and prove on the way that they are nothing else.

    An event is a delta, perhaps a status byte, and data bytes, so all its bytes below 128 are the end of the delta and
    the data. Counting those in front of a byte above 127 tells what that byte is: in front of the end of a delta it
    belongs to the delta, in front of the first data byte it is a status, and anywhere else it has no place.

    Args:
        stretches: One event or more with `n_data` data bytes each, the first of all with a status byte.
        n_data: 1 or 2.

    Raises:
        CorpusError: `bad_event` where a stretch is not a row of whole events.
    """
    joined = b"".join(stretches)
    raw = np.frombuffer(joined, dtype=np.uint8)
    n_low = n_data + 1  # bytes below 128 in an event
    high = np.flatnonzero(raw >= 0x80)
    n_before = high - np.arange(len(high))  # bytes below 128 in front
    event = n_before // n_low
    place = n_before - event * n_low
    at = np.flatnonzero(place)
    states, stated = raw.take(high.take(at)), event.take(at)
    _expect(len(at) > 0 and int(stated[0]) == 0 and int(place.max()) == 1, "status without a place")
    _expect(bool((stated[1:] > stated[:-1]).all()), "two status bytes")
    _expect(bool(((states & 0xE0 == 0xC0) == (n_data == 1)).all()) and int(states.max()) < 0xF0, "another status")

    stops = np.fromiter(map(len, stretches), dtype=np.int64, count=len(stretches)).cumsum()
    bounds, n_left = np.divmod(stops - high.searchsorted(stops), n_low)
    _expect(not n_left.any() and int(raw.take(stops - 1).max()) < 0x80, "a stretch ends inside an event")
    bounds = np.concatenate(([0], bounds))
    low = np.frombuffer(joined.translate(None, HIGH_BYTES), dtype=np.uint8).reshape(-1, n_low)
    ticks = np.add.reduceat(low[:, 0], bounds[:-1], dtype=np.int64)
    at = np.flatnonzero(place == 0)  # few: most deltas have one byte
    if len(at):
        ticks += _sum_high_digits(raw.take(high.take(at)), event.take(at), bounds)
    return ChannelColumns(ticks, states, stated, low)


def _sum_high_digits(
    digit: NDArray[np.uint8], event: NDArray[np.int64], bounds: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sum up what the bytes in front of the last one add to deltas, between bounds given as numbers of events.

    `digit` and `event` are `(digit,)`: the byte and the event it belongs to.
    """
    shift = np.full(len(digit), 7)
    for distance in range(1, LONGEST_NUMBER):
        is_same = event[distance:] == event[:-distance]
        if not is_same.any():
            break
        _expect(distance + 1 < LONGEST_NUMBER, "number of more than four bytes")
        shift[:-distance] += 7 * is_same
    sums = np.concatenate(([0], np.cumsum((digit & np.int64(0x7F)) << shift)))
    return np.diff(sums[event.searchsorted(bounds)])


def _expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        refuse("bad_event", f"{otherwise} in channel events")
