"""How much of a file is read at most, and the closed list of reasons for refusing one.

Every reader of foreign files takes its caps from `LIMITS`, so one table says what a hostile file can cost. Each value
can be replaced (`dataclasses.replace(LIMITS, n_notes=...)`) and handed to the reader that should use it.
"""

from dataclasses import dataclass, fields
from typing import NoReturn

from audiogan.errors import CorpusError


@dataclass(frozen=True)
class Limits:
    """Caps on what one file may hold or cost.

    Args:
        midi_bytes: Size of a MIDI file.
        n_tracks: MIDI track chunks, or tracks of a pianoroll file.
        n_notes: Notes in one piece.
        n_tempos: Tempo changes in one piece.
        n_ticks: Ticks from the start to the end of a piece; one more no longer fits 32 signed bits.
        text_bytes: One text inside a MIDI file; the rest is cut off.
        qpm: Fastest believable tempo in quarter notes per minute; faster ones are ignored.
        seconds: Length of a piece or recording.
        audio_bytes: Size of an audio file.
        n_channels: Channels of an audio file.
        lowest_rate, highest_rate: Believable sample rates of an audio file in Hz.
        loudest: Largest sample in an audio file, where full scale is 1.
        riff_chunks: Chunks of a WAV file that are looked at.
        rolls_bytes: Size of an `.npz` or `.npy` file of one song.
        array_bytes: Size of one array once unpacked.
        dense_bytes: Size of a dense `.npy` array read through a memory map.
        archive_members: Members of a zip archive.
        archive_ratio: Unpacked over packed size, enforced above `archive_floor` bytes.
        archive_floor: Unpacked size below which the ratio does not matter.
        wad_bytes: Size of a WAD file.
        wad_lumps: Directory entries of a WAD file.
        json_bytes: Size of a JSON file.
        worker_bytes: Address space a reading process may add to what it started with.
        worker_seconds: Wall time one file may take in a reading process.
    """

    midi_bytes: int = 16_000_000
    n_tracks: int = 1_024
    n_notes: int = 500_000
    n_tempos: int = 20_000
    n_ticks: int = 2**31 - 1
    text_bytes: int = 65_536
    qpm: float = 10_000.0
    seconds: float = 4 * 3600.0
    audio_bytes: int = 2_000_000_000
    n_channels: int = 16
    lowest_rate: int = 4_000
    highest_rate: int = 384_000
    loudest: float = 8.0
    riff_chunks: int = 1_000
    rolls_bytes: int = 64_000_000
    array_bytes: int = 64_000_000
    dense_bytes: int = 64_000_000_000
    archive_members: int = 10_000
    archive_ratio: float = 100.0
    archive_floor: int = 64_000_000
    wad_bytes: int = 512_000_000
    wad_lumps: int = 65_536
    json_bytes: int = 1_000_000
    worker_bytes: int = 2 * 1024**3
    worker_seconds: float = 60.0

    def table(self) -> dict[str, float]:
        """Every cap by name, for display."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


LIMITS = Limits()

REASONS: dict[str, str] = {
    "bad_channels": "channel count is 0 or above the cap",
    "bad_config": "configuration cannot be parsed or does not fit",
    "bad_division": "MIDI ticks per beat are 0 or an impossible time code",
    "bad_event": "illegal MIDI event",
    "bad_format": "sample or array format that is not decoded",
    "bad_header": "header contradicts its format or itself",
    "bad_name": "file name cannot be carried safely",
    "bad_rate": "sample rate is 0, absurdly low or absurdly high",
    "bad_tempo": "impossible tempo, ignored",
    "clipped": "many samples at full scale",
    "corrupt": "content breaks while it is decoded",
    "decompression_bomb": "small file with huge content",
    "empty_audio": "good header without frames",
    "empty_file": "no bytes",
    "missing": "no such file",
    "no_notes": "no note survives reading",
    "no_pitch": "no pitch can be told",
    "nonfinite": "NaN, infinity or absurd magnitude",
    "not_a_file": "folder, pipe, device or socket",
    "not_audio": "content is not a known kind of audio",
    "not_midi": "content is not MIDI",
    "polyphonic": "more than one voice at a time",
    "rmid": "MIDI inside a RIFF container, unwrapped",
    "silent": "nothing above the noise floor",
    "smpte_division": "time-code division without beats",
    "symlink_loop": "link to itself",
    "too_large": "over the size cap, or would expand beyond it",
    "too_long": "over the longest length",
    "too_many_events": "over the note or tempo cap",
    "too_many_tracks": "over the track cap",
    "too_short": "below the shortest useful length",
    "truncated": "ends before its own declarations do",
    "type2": "MIDI format 2, independent patterns",
    "unreadable": "permission denied or read error",
    "unsafe_path": "name or link that would leave its folder",
    "unsafe_pickle": "would run code when opened",
    "unsafe_yaml": "YAML tags that build objects",
}


def refuse(reason: str, fact: str) -> NoReturn:
    """Raise the refusal of a file: `fact` says what was found and what was expected.

    Raises:
        CorpusError: Always, with `reason` out of `REASONS`.
    """
    assert reason in REASONS, f"unknown reason code {reason}"
    raise CorpusError(fact, reason)
