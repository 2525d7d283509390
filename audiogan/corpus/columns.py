"""Numbers, meta events and columns of channel events: the parts of a MIDI file below its event order."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

META = 0xFF


class ChannelColumns(NamedTuple):
    """Channel events in file order, each column `(event,)`: ticks since the one before, last byte's position, bytes."""

    delta: NDArray[np.int64]
    stop: NDArray[np.int64]
    status: NDArray[np.uint8]
    first: NDArray[np.uint8]
    last: NDArray[np.uint8]

    @property
    def is_onset(self) -> NDArray[np.bool_]:
        """`(event,)`: note-on with a velocity above 0."""
        return (self.status & 0xF0 == 0x90) & (self.last > 0)


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
    value = 0
    for byte in raw:
        value = value << 7 | byte & 0x7F
    return value


def channel_columns(stretches: bytes, n_data: int) -> ChannelColumns:
    """Cut stretches of whole channel events into columns.

    Args:
        stretches: One event or more with `n_data` data bytes each, the first with a status byte.
        n_data: 1 or 2.
    """
    raw = np.frombuffer(stretches, dtype=np.uint8)
    low = np.flatnonzero(raw < 0x80).reshape(-1, n_data + 1)  # per event: end of delta, then the data bytes
    delta_end, stop = low[:, 0].copy(), low[:, n_data].copy()
    n_more = delta_end.copy()  # continuation bytes
    n_more[1:] -= stop[:-1] + 1
    delta = raw.take(delta_end).astype(np.int64)
    for place in (1, 2, 3):
        longer = np.flatnonzero(n_more >= place)
        if not len(longer):
            break
        delta[longer] += (raw.take(delta_end.take(longer) - place) & np.int64(0x7F)) << (7 * place)
    stated = np.flatnonzero(low[:, 1] - delta_end > 1)
    n_events = np.diff(np.append(stated, len(low)))  # under each status byte
    status = np.repeat(raw.take(delta_end.take(stated) + 1), n_events)
    return ChannelColumns(delta, stop, status, raw.take(low[:, 1]), raw.take(stop))
