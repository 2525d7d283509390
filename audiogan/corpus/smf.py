"""Lay a `Score` out as the bytes of a Standard MIDI File: format 1, 480 ticks per beat.

The first track chunk holds tempo map, metres, keys and texts; every track of the score follows in a chunk of its own.
Drums go to channel 10, pitched tracks to one of the other 15 channels each; only when there are more does a channel
serve several tracks: those with the same program, then those that never sound at the same time, with a program change
in front of the notes. On one tick every note-off stands before every note-on. Equal scores give equal bytes.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.columns import encode_number, meta
from audiogan.corpus.names import clean_text
from audiogan.corpus.score import Key, Metre, Notes, Score, Tempo, Track
from audiogan.errors import OutputError

RESOLUTION = 480
DRUM_CHANNEL = 9
_PITCHED_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15)
_TEXT, _NAME, _END, _TEMPO, _METRE, _KEY = 0x01, 0x03, 0x2F, 0x51, 0x58, 0x59
_LARGEST_PACE = 2**24 - 1  # microseconds per quarter note in three bytes
_META_RANK, _OFF_RANK, _PROGRAM_RANK, _ON_RANK = 0, 1, 2, 3

_Event = tuple[int, int, bytes]  # tick, rank on the tick, bytes


def rescale_ticks(ticks: NDArray[np.int64], resolution: int, target: int = RESOLUTION) -> NDArray[np.int64]:
    """Move ticks from one resolution to another, exactly where possible, else rounded half up.

    Example:
        >>> rescale_ticks(np.array([0, 5, 12]), 12).tolist()
        [0, 200, 480]
    """
    return (2 * ticks * target + resolution) // (2 * resolution)


def in_file_order(notes: Notes) -> Notes:
    """Pair onsets and offsets of each pitch first-in first-out, as every reader of the file will.

    Notes of one pitch that lie inside each other cannot be told apart in a MIDI file: the earlier onset gets the
    earlier offset. All other notes stay as they are.
    """
    onset_order = np.lexsort((notes.onset, notes.pitch))
    offset_order = np.lexsort((notes.offset, notes.pitch))
    return Notes(
        notes.onset[onset_order], notes.offset[offset_order], notes.pitch[onset_order], notes.velocity[onset_order]
    )


def rescale(score: Score, target: int = RESOLUTION) -> Score:
    """Bring a score to `target` ticks per beat, with changes that fall together reduced to the last one."""

    def moved(tick: int) -> int:
        return int(rescale_ticks(np.array([tick], dtype=np.int64), score.resolution, target)[0])

    def track_moved(track: Track) -> Track:
        onset = rescale_ticks(track.notes.onset, score.resolution, target)
        offset = np.maximum(rescale_ticks(track.notes.offset, score.resolution, target), onset + 1)
        return replace(track, notes=Notes(onset, offset, track.notes.pitch, track.notes.velocity))

    if score.resolution == target:
        return score
    return Score(
        target,
        tuple(track_moved(track) for track in score.tracks),
        tuple({moved(t.tick): t._replace(tick=moved(t.tick)) for t in score.tempos}.values()),
        tuple({moved(m.tick): m._replace(tick=moved(m.tick)) for m in score.metres}.values()),
        tuple({moved(k.tick): k._replace(tick=moved(k.tick)) for k in score.keys}.values()),
    )


def as_written(score: Score) -> Score:
    """The score that a reader of the written file gets: 480 ticks, tempo and metre from tick 0, no empty tracks."""
    score = rescale(score)
    tempos = score.tempos if score.tempos and score.tempos[0].tick == 0 else (Tempo(0, 120.0), *score.tempos)
    metres = score.metres if score.metres and score.metres[0].tick == 0 else (Metre(0, 4, 4), *score.metres)
    return Score(
        RESOLUTION,
        tuple(
            replace(track, notes=in_file_order(track.notes), name=clean_text(track.name))
            for track in score.tracks
            if len(track.notes)
        ),
        tuple(Tempo(tempo.tick, 60e6 / _pace(tempo)) for tempo in tempos),
        metres,
        score.keys,
    )


def _pace(tempo: Tempo) -> int:
    pace = round(60e6 / tempo.qpm) if tempo.qpm > 0 else 0
    if not 6_000 <= pace <= _LARGEST_PACE:
        raise OutputError(f"tempo {tempo.qpm:g} at tick {tempo.tick}: a MIDI file holds 3.58 to 10,000 qpm", "tempo")
    return pace


def _metre(metre: Metre) -> bytes:
    power = metre.denominator.bit_length() - 1
    if not (1 <= metre.numerator <= 255 and 0 <= power <= 7 and metre.denominator == 1 << power):
        found = f"metre {metre.numerator}/{metre.denominator} at tick {metre.tick}"
        raise OutputError(f"{found}: a MIDI file holds 1 to 255 over a power of two up to 128", "metre")
    return meta(_METRE, bytes((metre.numerator, power, 24, 8)))


def _key(key: Key) -> bytes:
    assert -7 <= key.sharps <= 7, f"{key.sharps} sharps"
    return meta(_KEY, struct.pack("bB", key.sharps, key.is_minor))


def _chunk(events: Iterable[_Event]) -> bytes:
    parts, now = [], 0
    for tick, _, content in sorted(events, key=lambda event: event[:2]):
        parts += [encode_number(tick - now), content]
        now = tick
    body = b"".join([*parts, b"\x00", meta(_END, b"")])
    return b"MTrk" + struct.pack(">I", len(body)) + body


def _conductor(score: Score, texts: Sequence[str]) -> bytes:
    events: list[_Event] = [(0, _META_RANK, meta(_TEXT, text.encode("utf-8"))) for text in texts]
    events += [(metre.tick, _META_RANK, _metre(metre)) for metre in score.metres]
    events += [(key.tick, _META_RANK, _key(key)) for key in score.keys]
    events += [(tempo.tick, _META_RANK, meta(_TEMPO, _pace(tempo).to_bytes(3, "big"))) for tempo in score.tempos]
    return _chunk(events)


def _track(track: Track, channel: int, is_shared: bool) -> bytes:
    notes = track.notes
    events: list[_Event] = [(0, _META_RANK, meta(_NAME, track.name.encode("utf-8")))] if track.name else []
    if not is_shared:
        events.append((0, _PROGRAM_RANK, bytes((0xC0 | channel, track.program))))
    on, off = 0x90 | channel, 0x80 | channel
    for onset, offset, pitch, velocity in notes:
        events.append((offset, _OFF_RANK, bytes((off, pitch, 0))))
        events.append((onset, _ON_RANK, bytes((on, pitch, velocity))))
    if is_shared:
        program = bytes((0xC0 | channel, track.program))
        events += [(onset, _PROGRAM_RANK, program) for onset in sorted(set(notes.onset.tolist()))]
    return _chunk(events)


def _sound_together(first: Notes, second: Notes) -> bool:
    """Whether any note of one starts or sounds while a note of the other does."""
    onset = np.concatenate([first.onset, second.onset])
    offset = np.concatenate([first.offset, second.offset])
    owner = np.repeat([0, 1], [len(first), len(second)])
    order = np.argsort(onset, kind="stable")
    ends = np.stack([np.where(owner[order] == side, offset[order], 0) for side in (0, 1)])
    latest = np.maximum.accumulate(ends, axis=1)
    still_sounds = latest[1 - owner[order], np.arange(len(order))] > onset[order]
    return bool(still_sounds.any() or np.isin(first.onset, second.onset).any())


def _fits(track: Track, others: list[Track]) -> bool:
    return all(other.program == track.program or not _sound_together(track.notes, other.notes) for other in others)


def assign_channels(tracks: Sequence[Track]) -> tuple[list[int], set[int]]:
    """Give every track a channel; the second value names the channels that change their program along the way.

    Raises:
        OutputError: More instruments sound at the same time than MIDI has channels.
    """
    pitched = [number for number, track in enumerate(tracks) if not track.is_drum]
    channels = [DRUM_CHANNEL] * len(tracks)
    if len(pitched) <= len(_PITCHED_CHANNELS):
        for number, channel in zip(pitched, _PITCHED_CHANNELS, strict=False):
            channels[number] = channel
        return channels, set()
    users: dict[int, list[Track]] = {channel: [] for channel in _PITCHED_CHANNELS}
    for number in pitched:
        track = tracks[number]
        same = (c for c, others in users.items() if others and all(o.program == track.program for o in others))
        free = (c for c, others in users.items() if not others)
        apart = (c for c, others in users.items() if _fits(track, others))
        channel = next((c for choice in (same, free, apart) for c in choice), None)
        if channel is None:
            raise OutputError(
                f"{len(pitched)} pitched tracks: more than {len(_PITCHED_CHANNELS)} programs sound at the same time; "
                f"merge some before writing MIDI",
                "too_many_channels",
            )
        users[channel].append(track)
        channels[number] = channel
    return channels, {c for c, others in users.items() if len({track.program for track in others}) > 1}


def encode(score: Score, texts: Sequence[str] = ()) -> bytes:
    """Lay out a score as a MIDI file of format 1.

    Args:
        score: Any resolution; written at 480 ticks per beat.
        texts: Text events for tick 0.

    Raises:
        OutputError: A tempo, a metre or the number of instruments does not fit a MIDI file.
    """
    written = as_written(score)
    channels, shared = assign_channels(written.tracks)
    chunks = [_conductor(written, texts)]
    chunks += [
        _track(track, channel, channel in shared) for track, channel in zip(written.tracks, channels, strict=True)
    ]
    return b"MThd" + struct.pack(">IHHH", 6, 1, len(chunks), RESOLUTION) + b"".join(chunks)
