"""MIDI files as `Score`, in and out: read through the gate with symusic, written by `audiogan.corpus.smf`.

The only module that imports symusic and pretty_midi. symusic always gets bytes that have passed `check_midi`, never a
path. Notes pair first-in first-out per channel and pitch inside a track chunk, a note that is never ended closes at
the end of its track, stray note-offs are ignored, and a note without length lasts one tick. Tracks without notes are
left out.
"""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from symusic.core import ScoreTick

from audiogan.corpus.files import write_whole
from audiogan.corpus.gate import AnyPath, escape, open_checked
from audiogan.corpus.limits import LIMITS, Limits, refuse
from audiogan.corpus.names import clean_text
from audiogan.corpus.score import Key, Metre, Note, Notes, Score, Tempo, Track
from audiogan.corpus.smf import as_written, encode
from audiogan.corpus.walk import CheckedMidi, check_midi, open_notes_closed, seconds_at
from audiogan.errors import OutputError

if TYPE_CHECKING:
    import pretty_midi


@dataclass(frozen=True)
class Decoded:
    """What a MIDI file holds.

    Args:
        score: The piece.
        warnings: Reason codes of what was tolerated, sorted.
        n_zero_length: Notes that ended on the tick they began.
        seconds: End of the last note.
    """

    score: Score
    warnings: tuple[str, ...]
    n_zero_length: int
    seconds: float


def _load(checked: CheckedMidi, source: str) -> ScoreTick:
    try:
        loaded = ScoreTick.from_midi(checked.data)
        if loaded.note_num() < checked.n_onsets:  # symusic leaves out notes that never end
            loaded = ScoreTick.from_midi(open_notes_closed(checked.data))
    except (RuntimeError, ValueError, OverflowError) as error:
        refuse("corrupt", f"{source}: the MIDI reader stopped ({escape(str(error))}); expected a readable file")
    if loaded.note_num() != checked.n_onsets:
        refuse("corrupt", f"{source}: {loaded.note_num():,} of {checked.n_onsets:,} notes were read; expected all")
    return loaded


def _pedalled(offset: NDArray[np.int64], table: dict[str, Any], pedals: dict[str, Any]) -> NDArray[np.int64]:
    """Hold notes that end under the sustain pedal until it is released or the same pitch starts again."""
    down = pedals["time"].astype(np.int64)
    up = down + pedals["duration"]
    if not len(down):
        return offset
    span = np.searchsorted(down, offset, side="right") - 1
    held = np.where((span >= 0) & (offset < up[span]), up[span], offset)
    onset, pitch = table["time"].astype(np.int64), table["pitch"]
    order = np.lexsort((onset, pitch))
    following = np.full(len(onset), np.iinfo(np.int64).max)
    same = pitch[order][1:] == pitch[order][:-1]
    following[order[:-1][same]] = onset[order][1:][same]
    return np.maximum(offset, np.minimum(held, following))


def _read_tracks(loaded: ScoreTick, apply_pedal: bool) -> tuple[tuple[Track, ...], int, int]:
    """The tracks that hold notes, the number of notes without length, and the last offset."""
    tracks = [track for track in loaded.tracks if len(track.notes)]
    tables = [track.notes.numpy() for track in tracks]
    sizes = [len(table["time"]) for table in tables]
    onset, duration, pitch, velocity = (
        np.concatenate([table[name] for table in tables], dtype=np.int64)
        for name in ("time", "duration", "pitch", "velocity")
    )
    is_flat = duration == 0
    offset = onset + duration + is_flat
    if apply_pedal:
        parts = zip(np.split(offset, np.cumsum(sizes)[:-1]), tables, tracks, strict=True)
        offset = np.concatenate([_pedalled(part, table, track.pedals.numpy()) for part, table, track in parts])
    notes = Notes.of_tracks((onset, offset, pitch, velocity), sizes)
    read = tuple(
        Track(its_notes, int(track.program), bool(track.is_drum), clean_text(track.name))
        for its_notes, track in zip(notes, tracks, strict=True)
    )
    return read, int(np.count_nonzero(is_flat)), int(offset.max())


def _changes(loaded: ScoreTick) -> tuple[tuple[Tempo, ...], tuple[Metre, ...], tuple[Key, ...]]:
    tempo, metre, key = (
        {name: column.tolist() for name, column in events.numpy().items()}
        for events in (loaded.tempos, loaded.time_signatures, loaded.key_signatures)
    )
    tempos = {tick: Tempo(tick, 60e6 / pace) for tick, pace in zip(tempo["time"], tempo["mspq"], strict=True)}
    metres = {
        tick: Metre(tick, *ratio)
        for tick, *ratio in zip(metre["time"], metre["numerator"], metre["denominator"], strict=True)
    }
    keys = {
        tick: Key(tick, sharps, bool(mode))
        for tick, sharps, mode in zip(key["time"], key["key"], key["tonality"], strict=True)
    }
    return (
        tuple(tempos[tick] for tick in sorted(tempos)),
        tuple(metres[tick] for tick in sorted(metres)),
        tuple(keys[tick] for tick in sorted(keys)),
    )


def decode(data: bytes, source: str = "MIDI data", *, apply_pedal: bool = False, limits: Limits = LIMITS) -> Decoded:
    """Read the bytes of a MIDI file.

    Args:
        data: The whole file.
        source: What to call it in a refusal.
        apply_pedal: Lengthen notes that end while the sustain pedal (controller 64) is down.
        limits: Caps of the gate.

    Raises:
        CorpusError: Any code of `check_midi`, or `corrupt`.
    """
    checked = check_midi(data, source, limits=limits)
    loaded = _load(checked, source)
    tracks, n_flat, n_ticks = _read_tracks(loaded, apply_pedal)
    score = Score(checked.resolution, tracks, *_changes(loaded))
    paces = [(tempo.tick, round(60e6 / tempo.qpm)) for tempo in score.tempos]
    return Decoded(score, checked.warnings, n_flat, seconds_at(n_ticks, paces, score.resolution))


def parse(data: bytes, source: str = "MIDI data", *, apply_pedal: bool = False) -> tuple[Score, tuple[str, ...]]:
    """Read the bytes of a MIDI file: the score and the reason codes of what was tolerated.

    Raises:
        CorpusError: Any code of `check_midi`, or `corrupt`.
    """
    decoded = decode(data, source, apply_pedal=apply_pedal)
    return decoded.score, decoded.warnings


def read_with_warnings(
    path: AnyPath, *, root: AnyPath | None = None, apply_pedal: bool = False
) -> tuple[Score, tuple[str, ...]]:
    """Read a MIDI file through the gate: the score and the reason codes of what was tolerated.

    Raises:
        CorpusError: Any code of `open_checked` or `parse`.
    """
    return parse(open_checked(path, root=root), escape(os.fsdecode(path)), apply_pedal=apply_pedal)


def read(path: AnyPath, *, root: AnyPath | None = None, apply_pedal: bool = False) -> Score:
    """Read a MIDI file through the gate.

    Raises:
        CorpusError: Any code of `open_checked` or `parse`.
    """
    return read_with_warnings(path, root=root, apply_pedal=apply_pedal)[0]


def write(score: Score, path: str | os.PathLike[str], *, text: str | None = None) -> None:
    """Write a score as a MIDI file of format 1, 480 ticks per beat; the file appears complete or not at all.

    The file is read back and compared with `as_written(score)` before it gets its name.

    Args:
        text: Text event at tick 0, for example what generated the file.

    Raises:
        OutputError: The score does not fit a MIDI file, or the place cannot be written.
    """
    expected = as_written(score)

    def check(staged: Path) -> None:
        if expected.n_notes and read(staged) != expected:
            raise OutputError(f"{escape(path)}: the written file reads back differently; nothing was kept", "verify")

    write_whole(Path(path), encode(score, [] if text is None else [text]), check)


def to_pretty_midi(score: Score) -> "pretty_midi.PrettyMIDI":
    """Turn a score into a `pretty_midi.PrettyMIDI`, by way of the file that `write` would write."""
    import pretty_midi

    return pretty_midi.PrettyMIDI(io.BytesIO(encode(score)), charset="utf-8")


def _key_of(number: int) -> tuple[int, bool]:
    """Sharps and mode of a pretty_midi key number: 0–11 C major upwards, 12–23 C minor upwards."""
    is_minor = number >= 12
    sharps = (number % 12 + 3 * is_minor) * 7 % 12  # a minor key has the signature of the major key a third above
    return (sharps - 12 if sharps > 6 else sharps), is_minor


def from_pretty_midi(midi: "pretty_midi.PrettyMIDI") -> Score:
    """Turn a `pretty_midi.PrettyMIDI` into a score at its own resolution; notes last one tick at least."""

    def tick(seconds: float) -> int:
        return int(midi.time_to_tick(seconds))

    tracks = []
    for instrument in midi.instruments:
        rows = [(tick(n.start), max(tick(n.end), tick(n.start) + 1), n.pitch, n.velocity) for n in instrument.notes]
        notes = Notes.from_list([Note(*row) for row in rows])
        tracks.append(Track(notes, instrument.program, instrument.is_drum, instrument.name))
    times, speeds = midi.get_tempo_changes()
    tempos = {tick(time): Tempo(tick(time), float(speed)) for time, speed in zip(times, speeds, strict=True)}
    metres = {tick(m.time): Metre(tick(m.time), m.numerator, m.denominator) for m in midi.time_signature_changes}
    keys = {tick(k.time): Key(tick(k.time), *_key_of(k.key_number)) for k in midi.key_signature_changes}
    return Score(
        int(midi.resolution), tuple(tracks), tuple(tempos.values()), tuple(metres.values()), tuple(keys.values())
    )
