"""See and hear a score without other programs: a picture of its notes and a plain synthetic sound.

Both are sketches for judging a clip at a glance. The picture is an RGB image with one coloured lane per track, written
as PNG by hand (a PNG is three chunks around zlib data). The sound adds a few decaying partials per note and shaped
random bursts for drums; it does not imitate instruments. Both are pure functions: the same score gives the same bytes.
"""

import struct
import zlib
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Metre, Note, Score, Track

SAMPLE_RATE = 22050
MAX_SECONDS = 600.0
COLOURS = (
    (214, 69, 65),
    (31, 119, 180),
    (44, 160, 44),
    (255, 127, 14),
    (148, 103, 189),
    (140, 86, 75),
    (23, 160, 160),
)

_BACKGROUND, _LANE, _BAR, _BEAT = (255, 255, 255), (246, 246, 248), (190, 190, 200), (226, 226, 232)
_N_PARTIALS = 4
_TAIL_SECONDS = 0.15


def picture(score: Score, *, width: int = 960, lane_height: int = 64) -> bytes:
    """Draw a pianoroll, one lane per track with notes, and return it as PNG.

    Args:
        score: The piece.
        width: In pixels.
        lane_height: Of one track, in pixels.

    Returns:
        An 8-bit RGB PNG file.
    """
    tracks = [track for track in score.tracks if len(track.notes)]
    n_ticks = max(score.n_ticks, 1)
    image = np.empty((max(len(tracks), 1) * lane_height, width, 3), dtype=np.uint8)
    image[:] = _BACKGROUND
    for lane, track in enumerate(tracks):
        rows = image[lane * lane_height : (lane + 1) * lane_height]
        if lane % 2:
            rows[:] = _LANE
        _draw_grid(rows, score, n_ticks)
        _draw_notes(rows, track, n_ticks, COLOURS[lane % len(COLOURS)])
    return png(image)


def png(image: NDArray[np.uint8]) -> bytes:
    """Encode an image `(height, width, 3)` of 8-bit RGB as a PNG file (RFC 2083, filter 0)."""
    height, width, n_channels = image.shape
    assert n_channels == 3, "an RGB image"
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def sound(score: Score, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """Play a score with plain tones.

    Args:
        score: The piece; what lies beyond ten minutes is left out.
        sample_rate: In Hz.

    Returns:
        `(1, time)` in [-1, 1]; the loudest sample is 0.9, or 0 for a score without notes.
    """
    ticks, times = _tempo_map(score)
    end = min(float(np.interp(score.n_ticks, ticks, times)), MAX_SECONDS) + _TAIL_SECONDS
    waveform = np.zeros(int(end * sample_rate) + 1)
    for track in score.tracks:
        onsets = np.interp(track.notes.onset, ticks, times)
        offsets = np.interp(track.notes.offset, ticks, times)
        for note, onset, offset in zip(track.notes, onsets, offsets, strict=True):
            start = int(onset * sample_rate)
            if start >= len(waveform):
                continue
            tone = _hit(note, sample_rate) if track.is_drum else _tone(note, float(offset - onset), sample_rate)
            tone = tone[: len(waveform) - start]
            waveform[start : start + len(tone)] += tone
    peak = np.abs(waveform).max()
    return (waveform * (0.9 / peak if peak else 0.0)).astype(np.float32)[None]


def _tempo_map(score: Score) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ticks and their seconds at every tempo change and at the end: time is linear in between."""
    changes = {0: 120.0} | {change.tick: change.qpm for change in score.tempos}
    ticks = [*sorted(changes), max(score.n_ticks, *changes) + 1]
    lengths = [(after - tick) * 60.0 / changes[tick] / score.resolution for tick, after in pairwise(ticks)]
    return np.array(ticks, dtype=float), np.concatenate([[0.0], np.cumsum(lengths)])


def _tone(note: Note, duration_seconds: float, sample_rate: int) -> NDArray[np.float64]:
    frequency_hz = 440.0 * 2.0 ** ((note.pitch - 69) / 12)
    release = int(0.05 * sample_rate)
    n_samples = int(duration_seconds * sample_rate) + release
    time = np.arange(n_samples) / sample_rate
    tone = np.zeros(n_samples)
    for partial in range(1, _N_PARTIALS + 1):
        if partial * frequency_hz < sample_rate / 2:
            # Higher partials are softer and die away sooner, as on a struck string.
            tone += np.exp(-1.5 * partial * time) * np.sin(2 * np.pi * partial * frequency_hz * time) / partial**1.5
    tone[: min(n_samples, 64)] *= np.linspace(0.0, 1.0, min(n_samples, 64))
    tone[-release:] *= np.linspace(1.0, 0.0, release)
    return tone * (note.velocity / 127.0)


def _hit(note: Note, sample_rate: int) -> NDArray[np.float64]:
    """Make a drum: a falling sine for kick and toms, a burst of random samples for the rest."""
    is_skin = note.pitch in {35, 36, 41, 43, 45, 47, 48, 50}
    is_long = note.pitch in {46, 49, 51, 52, 55, 57, 59}
    time = np.arange(int((0.15 if is_skin or is_long else 0.06) * sample_rate)) / sample_rate
    if is_skin:
        pitch_hz = 55.0 if note.pitch in {35, 36} else 90.0
        burst = np.sin(2 * np.pi * pitch_hz * (time + 0.03 * (1 - np.exp(-time / 0.02))))
    else:
        burst = 0.4 * np.random.default_rng(note.pitch).uniform(-1.0, 1.0, len(time))
    return burst * np.exp(-time * (14.0 if is_long else 30.0)) * (note.velocity / 127.0)


def _draw_grid(rows: NDArray[np.uint8], score: Score, n_ticks: int) -> None:
    width = rows.shape[1]
    metres = list(score.metres) or [Metre(0, 4, 4)]
    ends = [*(metre.tick for metre in metres[1:]), n_ticks]
    for metre, end in zip(metres, ends, strict=True):
        bar = max(1, score.resolution * 4 * metre.numerator // metre.denominator)
        steps = [(score.resolution, _BEAT), (bar, _BAR)]
        for step, colour in steps:
            if (end - metre.tick) // step <= width // 4:  # lines closer than four pixels only darken the picture
                rows[:, np.arange(metre.tick, min(end, n_ticks), step) * width // n_ticks] = colour
    rows[-1] = _BAR


def _draw_notes(rows: NDArray[np.uint8], track: Track, n_ticks: int, colour: tuple[int, int, int]) -> None:
    height, width = rows.shape[0] - 4, rows.shape[1]
    pitches = track.notes.pitch
    low = min(int(pitches.min()), int(pitches.max()) - 11)
    n_pitches = int(pitches.max()) - low + 1
    thickness = max(2, height // n_pitches)
    for note in track.notes:
        top = 1 + (height - thickness) * (n_pitches - 1 - (note.pitch - low)) // max(n_pitches - 1, 1)
        left = note.onset * width // n_ticks
        right = max(left + 2, note.offset * width // n_ticks - 1)
        shade = 0.35 + 0.65 * note.velocity / 127  # a soft note is pale
        rows[top : top + thickness, left:right] = [round(255 - shade * (255 - part)) for part in colour]
