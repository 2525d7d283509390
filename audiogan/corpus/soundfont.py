"""Notes rendered from a SoundFont: General MIDI instruments in the ranges that real ones have.

A short MIDI file plays one program, a slot per note; midirenderer (an optional extra) turns it into sound at 48 kHz,
which is folded to one channel and resampled with soxr: rendering straight at a low rate aliases. Reverb and chorus are
off. Quiet notes are rendered again on several channels at once, which the synthesiser adds up exactly, because the
renderer's 16 bits would leave them in noise. Fonts are read through the gate, never shipped.
"""

import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from audiogan.corpus import audio
from audiogan.corpus.audio import Waveform
from audiogan.corpus.gate import AnyPath, escape, open_checked, read_head
from audiogan.corpus.limits import refuse
from audiogan.corpus.names import safe_stem
from audiogan.corpus.programs import PITCHED
from audiogan.errors import UnsupportedError

RENDER_RATE = 48_000
FONT_BYTES = 512_000_000
VELOCITIES = (25, 50, 75, 100, 127)
NOTES_PER_RENDER = 12
SILENCE = 2e-4
"""Peak below which a rendered note counts as silent: about -74 dBFS, since renderers leave much headroom."""


# Fonts made from the same recordings are one family: held-out notes of one would be known from another.
_FAMILIES = {
    "fluidr3": "FluidR3",
    "fluid_r3": "FluidR3",
    "musescore_general": "FluidR3",
    "generaluser": "GeneralUser",
    "timgm6mb": "TimGM6mb",
    "a320u": "A320U",
    "sf_gmbank": "GMbank",
}
# (family, program, key) whose recording is out of tune: +21 to +45 cents by two detectors.
FAULTY = frozenset({("GeneralUser", 40, 84)})

_TICKS_PER_SECOND = 960  # 480 per beat at the 120 beats per minute that a file without a tempo has
_TAIL_SECONDS = 1.0
_GAP_SECONDS = 0.02
_QUIET, _WANTED_PEAK = 0.05, 0.4
_CHANNELS = [channel for channel in range(16) if channel != 9]
_SUM_TOLERANCE = 0.05


class Slot(NamedTuple):
    """A note to render: MIDI key and velocity, and the channels that play it at once."""

    key: int
    velocity: int
    n_channels: int = 1


def family_of(name: str) -> str:
    """Return the family of a source by its file name or given family name.

    Example:
        >>> family_of("/usr/share/sounds/sf2/FluidR3_GM.sf2"), family_of("FluidR3Mono_GM"), family_of("my/oboe.sf2")
        ('FluidR3', 'FluidR3', 'oboe')
    """
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    stem = re.sub(r"\.sf[23]$", "", last, flags=re.IGNORECASE)
    known = (family for start, family in _FAMILIES.items() if stem.lower().startswith(start))
    return next(known, safe_stem(stem))


def keys_of(program: int, lowest: int, highest: int, family: str, step: int = 1) -> list[int]:
    """Return the keys of a program inside a range of MIDI pitches, without those known to be out of tune."""
    instrument = PITCHED[program]
    keys = range(max(lowest, instrument.lowest), min(highest, instrument.highest) + 1)
    return [key for key in keys if key % step == 0 and (family, program, key) not in FAULTY]


def read_font(path: AnyPath) -> bytes:
    """Read a SoundFont through the gate.

    Raises:
        CorpusError: As `open_checked`; `bad_format` for anything else than an .sf2 file.
    """
    data = open_checked(path, max_bytes=FONT_BYTES)
    shown = escape(os.fsdecode(path))
    _check_magic(data, shown)
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data) + 1:
        refuse("truncated", f"{shown}: {len(data):,} of {size + 8:,} bytes; expected a whole SoundFont")
    return data


def check_font(path: AnyPath) -> None:
    """Look at the first bytes of a SoundFont, before anything is rendered.

    Raises:
        CorpusError: As `read_head`; `bad_format` for anything else than an .sf2 file.
    """
    _check_magic(read_head(path), escape(os.fsdecode(path)))


def _check_magic(head: bytes, shown: str) -> None:
    if head[:4] != b"RIFF" or head[8:12] != b"sfbk":
        refuse("bad_format", f"{shown}: not a SoundFont; expected an .sf2 file (.sf3 is not read)")


def require_renderer() -> None:
    """Find midirenderer.

    Raises:
        UnsupportedError: It is not installed.
    """
    try:
        import midirenderer  # noqa: F401
    except ImportError:
        raise UnsupportedError(
            "SoundFonts are rendered with midirenderer, which is not installed; run: pip install audiogan[soundfont]",
            "missing_extra",
        ) from None


def render(
    font: bytes, program: int, slots: Sequence[Slot], *, seconds: float, source: str = "SoundFont"
) -> list[Waveform]:
    """Render notes of one program, each from the same moment to the same moment.

    Args:
        font: The whole file.
        program: General MIDI program.
        slots: Notes, one after the other.
        seconds: How long each is held and kept.
        source: What to call the font in a refusal.

    Returns:
        One `(time,)` float32 waveform per note at `RENDER_RATE`, at the level of one channel.

    Raises:
        CorpusError: `corrupt` when the renderer refuses the font.
        UnsupportedError: midirenderer is not installed.
    """
    require_renderer()
    import midirenderer

    slot_seconds = seconds + _TAIL_SECONDS
    try:
        wav = midirenderer.render_wave_from(font, _midi(program, slots, seconds, slot_seconds))
    except (ValueError, RuntimeError) as error:
        refuse("corrupt", f"{source}: midirenderer cannot play it ({str(error)[:100]}); expected a working .sf2 file")
    played = audio.parse(wav, source, allow_silence=True)
    assert played.sample_rate == RENDER_RATE, f"midirenderer renders at {played.sample_rate} Hz"
    n_kept = round(seconds * RENDER_RATE)
    starts = [round(place * slot_seconds * RENDER_RATE) for place in range(len(slots))]
    return [
        played.waveform[start : start + n_kept] / np.float32(slot.n_channels)
        for start, slot in zip(starts, slots, strict=True)
    ]


def render_clean(
    font: bytes, program: int, keys: Sequence[tuple[int, int]], *, seconds: float, source: str = "SoundFont"
) -> Iterator[Waveform]:
    """Render notes, quiet ones a second time on several channels, so that 16 bits hold them; see `render`.

    Args:
        keys: MIDI key and velocity of each note.
    """
    first = render(font, program, [Slot(*key) for key in keys], seconds=seconds, source=source)
    peaks = [float(np.abs(waveform).max()) for waveform in first]
    quiet = [number for number, peak in enumerate(peaks) if SILENCE < peak < _QUIET]
    slots = [Slot(*keys[number], min(len(_CHANNELS), int(_WANTED_PEAK / peaks[number]))) for number in quiet]
    again = dict(zip(quiet, render(font, program, slots, seconds=seconds, source=source), strict=True)) if slots else {}
    for number, waveform in enumerate(first):
        louder = again.get(number, waveform)
        # Where voices were stolen the sum is not the note; a difference of 5 % cannot be rounding at these levels.
        is_same = abs(float(np.abs(louder).max()) - peaks[number]) < _SUM_TOLERANCE * peaks[number] + 1e-4
        yield louder if is_same else waveform


def is_clipped(waveform: Waveform) -> bool:
    """Whether a rendered note ran into full scale: three samples in a row at the limit of 16 bits."""
    at_limit = np.abs(waveform) >= 32766 / 32768
    return bool((at_limit[2:] & at_limit[1:-1] & at_limit[:-2]).any())


def _number(value: int) -> bytes:
    """Return a MIDI variable-length number."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | (value & 0x7F))
    return bytes(reversed(groups))


def _midi(program: int, slots: Sequence[Slot], seconds: float, slot_seconds: float) -> bytes:
    """Lay the notes out as a MIDI file; a last event that does nothing makes the renderer finish the last slot."""
    events: list[tuple[int, bytes]] = []
    for channel in _CHANNELS[: max(slot.n_channels for slot in slots)]:
        setup = [(91, 0), (93, 0), (7, 100)]  # reverb, chorus, volume
        events += [(0, bytes((0xB0 | channel, *pair))) for pair in setup]
        events.append((0, bytes((0xC0 | channel, program))))
    for place, slot in enumerate(slots):
        start = round(place * slot_seconds * _TICKS_PER_SECOND)
        off = start + round(seconds * _TICKS_PER_SECOND)
        end = start + round((slot_seconds - _GAP_SECONDS) * _TICKS_PER_SECOND)
        for channel in _CHANNELS[: slot.n_channels]:
            events.append((start, bytes((0x90 | channel, slot.key, slot.velocity))))
            events.append((off, bytes((0x80 | channel, slot.key, 0))))
            events.append((end, bytes((0xB0 | channel, 120, 0))))  # all sound off: no tail in the next slot
    events.append((round(len(slots) * slot_seconds * _TICKS_PER_SECOND), bytes((0xB0, 1, 0))))
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + _chunk(events)


def _chunk(events: Iterable[tuple[int, bytes]]) -> bytes:
    parts, now = [], 0
    for tick, event in sorted(events, key=lambda pair: pair[0]):
        parts += [_number(tick - now), event]
        now = tick
    body = b"".join([*parts, b"\x00\xff\x2f\x00"])
    return b"MTrk" + struct.pack(">I", len(body)) + body
