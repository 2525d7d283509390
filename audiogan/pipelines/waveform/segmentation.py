"""A melody cut into notes: where the sound sets in, where the spectrum jumps up, and where the pitch leaves the note.

Begins come from three witnesses, merged so that one attack makes one note: the pitch curve says that there is another
note, the spectrum (onsets by flux) and the level say when it began. A tracker is sure of a low note 50 ms after it
began, and of a breathy one before it can be heard.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.audio import resample
from audiogan.corpus.pitchtrack import TRACK_RATE, find_onsets
from audiogan.errors import CorpusError
from audiogan.pipelines.waveform.sound import Waveform

HOP_SECONDS = 0.01
_LEAVES_CENTS, _LEAVES_FRAMES, _HELD_FRAMES = 80.0, 4, 30
_SHORTEST_FRAMES, _GAP_FRAMES = 5, 3
_BEGINS_DB, _BACK_FRAMES, _FORTH_FRAMES = 20.0, 12, 10
_DIP_DB, _ALONE_DB, _RISE_FRAMES = 3.0, 9.0, 8
_ATTACK_FRAMES, _SCOOP_FRAMES = 8, 10
_LEVEL_SECONDS = 0.02
_N_PARTIALS, _PARTIAL_SECONDS, _SETTLED_FRAMES = 6, 0.04, 4
_FLOOR_DB = -100.0

Array = NDArray[np.float64]


class Heard(NamedTuple):
    """A note of a melody: first frame, the one after its last, its MIDI pitch, and whether an attack was heard."""

    first: int
    stop: int
    pitch: float
    has_attack: bool = True


def notes_of(hz: Array, voiced: NDArray[np.bool_], waveform: Waveform, sample_rate: int) -> list[Heard]:
    """Cut a melody into notes, in order and not overlapping.

    Args:
        hz: `(frame,)` every 10 ms, joined over gaps.
        voiced: `(frame,)`.
        waveform: `(time,)`.
        sample_rate: In Hz.

    Raises:
        CorpusError: `no_pitch`: no note of 50 ms or more.
    """
    semitones = 12 * np.log2(hz / 440.0)
    sound = resample(waveform, sample_rate, TRACK_RATE).astype(np.float64)
    levels = levels_of(sound, len(hz))
    onsets = {round(time / HOP_SECONDS) for time in find_onsets(waveform, sample_rate).tolist()}
    found: list[Heard] = []
    for first, stop in _runs(voiced):
        begins = _begins(semitones, levels, first, stop, onsets)
        begins = _earlier(_without_scoop(begins, first), hz, sound, first, stop)
        for (a, has_attack), (b, _) in pairwise([(first, True), *begins, (stop, True)]):
            if b - a < _SHORTEST_FRAMES:
                continue
            least = found[-1].stop if found else 0
            begin = _sounding_from(levels, a, b, least) if a == first else a
            found.append(Heard(begin, b, 69 + float(np.median(semitones[a:b])), has_attack))
    if not found:
        raise CorpusError("no note of 50 ms or more was heard; expected a melody of one voice", "no_pitch")
    return found


def levels_of(sound: Array, n_frames: int) -> Array:
    """Return root mean squares over 20 ms, every 10 ms, `(n_frames,)` dB, -100 at least; frame i is centred at i.

    Args:
        sound: `(time,)` at `TRACK_RATE`.
        n_frames: How many.
    """
    hop, size = round(HOP_SECONDS * TRACK_RATE), round(_LEVEL_SECONDS * TRACK_RATE)
    total = np.cumsum(np.pad(sound**2, (size // 2 + 1, size // 2 + n_frames * hop)))
    starts = np.arange(n_frames) * hop
    power = np.maximum(total[starts + size] - total[starts], 0) / size
    return 10 * np.log10(power + 10 ** (_FLOOR_DB / 10))


def _runs(voiced: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First frames and ends of voiced stretches; gaps of up to 30 ms belong to them."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(np.int8), [0]])))
    runs: list[tuple[int, int]] = []
    for first, stop in edges.reshape(-1, 2).tolist():
        if runs and first - runs[-1][1] <= _GAP_FRAMES:
            runs[-1] = (runs[-1][0], stop)
        else:
            runs.append((first, stop))
    return runs


def _sounding_from(levels: Array, first: int, stop: int, least: int) -> int:
    """Where a note that the tracker heard from `first` begins: it comes within 20 dB of its top there."""
    wanted = levels[first:stop].max() - _BEGINS_DB
    begin = first
    while begin < min(first + _FORTH_FRAMES, stop - _SHORTEST_FRAMES) and levels[begin] < wanted:
        begin += 1
    if begin > first:
        return begin if levels[begin] >= wanted else first  # a long swell begins where it is heard
    while begin > max(least, first - _BACK_FRAMES) and levels[begin - 1] >= wanted:
        begin -= 1
    window = levels[begin : first + 1]
    lowest = begin + int(np.argmin(window))  # a dip parts it from what rang before
    return lowest if window[0] > levels[lowest] + _DIP_DB else begin


def _begins(semitones: Array, levels: Array, first: int, stop: int, onsets: set[int]) -> list[tuple[int, bool]]:
    """Frames inside a stretch at which another note begins, and whether an attack was heard there."""
    begins: list[tuple[int, bool]] = []
    begin, away = first, 0
    for frame in range(first + 1, stop):
        held = float(np.median(semitones[max(begin, frame - _HELD_FRAMES) : max(begin + 1, frame - away)]))
        away = away + 1 if abs(semitones[frame] - held) * 100 > _LEAVES_CENTS else 0
        if away >= _LEAVES_FRAMES:
            begin, away, was_heard = frame - _LEAVES_FRAMES + 1, 0, False
            if begins and begin - begins[-1][0] < _ATTACK_FRAMES:  # the attack was heard before the pitch
                begin, was_heard = begins.pop()
            begins.append((begin, was_heard))
        elif frame - begin >= _SHORTEST_FRAMES and _is_attack(levels, begin, frame, stop, is_onset=frame in onsets):
            begin, away = frame, 0
            begins.append((begin, True))
    return [(begin, was_heard) for begin, was_heard in begins if stop - begin >= _SHORTEST_FRAMES]


def _without_scoop(begins: list[tuple[int, bool]], first: int) -> list[tuple[int, bool]]:
    """The same without a change of pitch inside an attack, which belongs to the note that it leads to."""
    is_scoop = bool(begins) and not begins[0][1] and begins[0][0] - first <= _SCOOP_FRAMES
    return begins[1:] if is_scoop else begins


def _earlier(begins: list[tuple[int, bool]], hz: Array, sound: Array, first: int, stop: int) -> list[tuple[int, bool]]:
    """The same with changes of pitch where the new partials begin: trackers hold on to what still rings."""
    moved: list[tuple[int, bool]] = []
    least = first
    for (begin, has_attack), (end, _) in pairwise([*begins, (stop, True)]):
        place = begin
        if not has_attack:
            new = float(np.median(hz[begin:end]))
            place = _speaks_from(sound, new, begin, max(least + _SHORTEST_FRAMES, begin - _BACK_FRAMES))
        moved.append((place, has_attack))
        least = place
    return moved


def _speaks_from(sound: Array, hz: float, begin: int, earliest: int) -> int:
    """The frame before `begin` from which the partials of a pitch stay within 6 dB of what they become; or `begin`."""
    frames = np.arange(earliest, begin + _SETTLED_FRAMES + 1)
    ranks = np.arange(1, _N_PARTIALS + 1)
    ranks = ranks[ranks * hz < 0.45 * TRACK_RATE]
    size, hop = round(_PARTIAL_SECONDS * TRACK_RATE), round(HOP_SECONDS * TRACK_RATE)
    if begin <= earliest or not len(ranks):
        return begin
    places = (frames * hop)[:, None] + np.arange(size) - size // 2
    inside = (places >= 0) & (places < len(sound))
    windows = np.where(inside, sound[places.clip(0, len(sound) - 1)], 0.0) * np.hanning(size)
    waves = np.exp(-2j * np.pi * hz / TRACK_RATE * np.arange(size)[:, None] * ranks)
    power = (np.abs(windows @ waves) ** 2).sum(axis=1)
    weak = np.flatnonzero(power[: begin - earliest] < power[-1] / 4)
    return earliest + int(weak[-1]) + 1 if len(weak) else begin


def _is_attack(levels: Array, begin: int, frame: int, stop: int, *, is_onset: bool) -> bool:
    """Whether the level fell and rises again at a frame: a little where the spectrum jumps, far where it does not."""
    if not is_onset and (levels[frame] <= levels[frame - 1] or levels[frame - 2] < levels[frame - 1]):
        return False
    earliest = max(begin, frame - _RISE_FRAMES)
    lowest = earliest + int(np.argmin(levels[earliest : frame + 1]))
    dip, top = float(levels[lowest]), float(levels[begin : lowest + 1].max())
    after = float(levels[frame : min(stop, frame + _RISE_FRAMES)].max())
    wanted = _DIP_DB if is_onset else _ALONE_DB
    return top - dip >= wanted and after - dip >= wanted
