"""A piece of music played by generated notes: tempo map, velocities, overlaps, several timbres.

Equal notes are made once. Every note is held as long as the piece says and keeps its release; notes are added as they
are, never levelled one by one, and one gain at the end brings the whole to its peak. Drums are left out, and pitches
outside the trained range are played octaves away; the facts say how many. A sustain pedal is part of the notes where
the file was read with it.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.adversarial.game import seed_of
from audiogan.corpus.limits import refuse
from audiogan.corpus.score import Score, Track
from audiogan.errors import UsageError
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.sound import Sound, Waveform, check_rate, levelled, velocity_gain
from audiogan.pipelines.waveform.synthesis import rate_warnings
from audiogan.pipelines.waveform.timbre import Timbre, along, check_timbre
from audiogan.pipelines.waveform.voice import LONGEST, RELEASE_SECONDS, Played, Voice, into_range, make_planes

DEFAULT_QPM = 120.0
LONGEST_PIECE = 3600.0
GRAIN = 32  # places between two timbres: finer steps are not heard
_NOTES_AT_ONCE = 256  # whose planes are kept together


class _Event(NamedTuple):
    """One note of the piece: when, how long, in seconds, and the key of the sound that plays it."""

    onset: float
    seconds: float
    sound: "_Key"


class _Key(NamedTuple):
    """What makes notes equal: place in the chain of timbres (in 1/32), pitch as played, velocity 1 to 127."""

    place: int
    pitch: int
    velocity: int


class _Way(NamedTuple):
    """How a piece goes through its timbres: how many tracks and timbres, seconds from one to the next, its end."""

    n_tracks: int
    n_timbres: int
    glide: float | None
    end: float


def seconds_of(score: Score, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return when ticks are reached, in seconds, under the tempo map of a piece.

    Args:
        score: Before its first tempo it goes at 120 quarter notes per minute.
        ticks: `(...)`.
    """
    changes = {0: DEFAULT_QPM} | {tempo.tick: tempo.qpm for tempo in score.tempos}
    starts = np.array(sorted(changes), dtype=np.int64)
    pace = np.array([60.0 / (changes[tick] * score.resolution) for tick in starts.tolist()])
    reached = np.concatenate([[0.0], np.cumsum(np.diff(starts) * pace[:-1])])
    part = np.searchsorted(starts, ticks, side="right") - 1
    return (reached[part] + (ticks - starts[part]) * pace[part]).astype(np.float64)


def render(
    model: Model,
    score: Score,
    timbres: Sequence[Timbre],
    *,
    glide: float | None = None,
    seed: int = 0,
    sample_rate: int | None = None,
) -> Sound:
    """Play a piece.

    With one timbre it plays everything. With several and no `glide` each track gets one, in turn; where only one track
    sounds, the piece moves evenly from the first timbre to the last.

    Args:
        model: Trained networks.
        score: The piece; notes that a pedal holds must be long already, see `corpus.midi.read(apply_pedal=True)`.
        timbres: One or more.
        glide: Seconds from each timbre to the next, for all tracks; after the last comes the first.
        seed: Of the noise.
        sample_rate: Hz, 16,000 to 48,000; None for the model's own.

    Raises:
        UsageError: No timbre, or a number out of range.
        CorpusError: `no_notes`, `too_long`; a timbre of another model.
    """
    config: Config = model.config
    _check(model, timbres, glide)
    voice = Voice(config, check_rate(sample_rate, config.sample_rate))
    tracks = [track for track in score.tracks if not track.is_drum and len(track.notes)]
    if not tracks:
        told = f"{score.n_notes} notes of drums and none of a pitch"
        refuse("no_notes", f"{told}; expected a track that is no drums")
    ends = [float(seconds_of(score, track.notes.offset).max()) for track in tracks]
    end = max(ends)
    if end > LONGEST_PIECE:
        refuse("too_long", f"a piece of {end:.0f} s; expected at most {LONGEST_PIECE:.0f} s")
    way = _Way(len(tracks), len(timbres), glide, end)
    transposed = Counter[int]()
    events: list[_Event] = []
    for number, track in enumerate(tracks):
        events += _events(score, track, config, lambda onset, n=number: _place_of(n, onset, way), transposed)
    mix = np.zeros(math.ceil((end + RELEASE_SECONDS) * voice.sample_rate) + 1, dtype=np.float32)
    n_sounds = _play(model, voice, timbres, events, mix, seed)
    facts = _facts(score, events, n_sounds, transposed, config, voice.sample_rate)
    facts |= {"timbres": [timbre.as_json() for timbre in timbres], "glide": glide, "seed": seed}
    return Sound(levelled(mix), voice.sample_rate, facts | {"seconds": round(len(mix) / voice.sample_rate, 4)})


def _check(model: Model, timbres: Sequence[Timbre], glide: float | None) -> None:
    if not timbres:
        raise UsageError("render: no timbre; expected one or more")
    if glide is not None and not 0.01 <= glide <= LONGEST_PIECE:
        raise UsageError(f"glide {glide:g} s; expected 0.01 to {LONGEST_PIECE:g}")
    for timbre in timbres:
        check_timbre(timbre, model)


def _place_of(track: int, onset: float, way: _Way) -> int:
    """Return a place in the chain of timbres, in 1/32.

    Args:
        track: Number among the pitched ones.
        onset: Seconds.
        way: Through the timbres.
    """
    if way.n_timbres == 1:
        return 0
    if way.glide is not None:
        return round(GRAIN * onset / way.glide) % (GRAIN * way.n_timbres)
    if way.n_tracks > 1:
        return GRAIN * (track % way.n_timbres)
    return round(GRAIN * (way.n_timbres - 1) * onset / way.end)


def _events(
    score: Score, track: Track, config: Config, place: Callable[[float], int], transposed: Counter[int]
) -> list[_Event]:
    notes = track.notes
    onsets, offsets = seconds_of(score, notes.onset), seconds_of(score, notes.offset)
    octaves = {pitch: into_range(float(pitch), config) for pitch in set(notes.pitch.tolist())}
    events = []
    columns = (onsets.tolist(), offsets.tolist(), notes.pitch.tolist(), notes.velocity.tolist())
    for onset, offset, pitch, velocity in zip(*columns, strict=True):
        if octaves[pitch]:
            transposed[pitch] += 1
        key = _Key(place(onset), pitch + 12 * octaves[pitch], velocity)
        events.append(_Event(onset, min(LONGEST, max(offset - onset, 0.001)), key))
    return events


def _play(model: Model, voice: Voice, timbres: Sequence[Timbre], events: list[_Event], mix: Waveform, seed: int) -> int:
    """Add all notes to `mix`, each different sound made once, and return how many were made."""
    by_key: dict[_Key, list[_Event]] = {}
    for event in events:
        by_key.setdefault(event.sound, []).append(event)
    keys = sorted(by_key)
    at_place = {place: along(model, timbres, place / GRAIN) for place in {key.place for key in keys}}
    for first in range(0, len(keys), _NOTES_AT_ONCE):
        part = keys[first : first + _NOTES_AT_ONCE]
        planes = make_planes(model, [Played(at_place[key.place], float(key.pitch), key.velocity / 127) for key in part])
        for key, one in zip(part, planes, strict=True):
            longest = max(event.seconds for event in by_key[key])
            noise = seed_of(seed, "noise", *key)
            dry = voice.dry(one, float(key.pitch), longest + voice.release, seed=noise)
            dry = dry * np.float32(velocity_gain(key.velocity / 127))
            for event in by_key[key]:
                _add(mix, voice.let_go(dry, event.seconds), round(event.onset * voice.sample_rate))
    return len(keys)


def _add(mix: Waveform, waveform: Waveform, first: int) -> None:
    part = mix[first : first + len(waveform)]
    part += waveform[: len(part)]


def _facts(
    score: Score, events: list[_Event], n_sounds: int, transposed: Counter[int], config: Config, sample_rate: int
) -> dict[str, Any]:
    warnings = []
    n_drums = sum(len(track.notes) for track in score.tracks if track.is_drum)
    if n_drums:
        warnings.append(f"{n_drums} notes of drums left out: this model plays pitches")
    if transposed:
        low, high = config.lowest_pitch, config.highest_pitch
        warnings.append(
            f"{transposed.total()} notes outside the trained range {low}-{high} played octaves away: "
            f"pitches {', '.join(map(str, sorted(transposed)))}"
        )
    n_cut = sum(event.seconds >= LONGEST for event in events)
    if n_cut:
        warnings.append(f"{n_cut} notes end after {LONGEST:g} s")
    return {
        "n_notes": len(events),
        "n_sounds": n_sounds,
        "n_drums": n_drums,
        "transposed": {str(pitch): count for pitch, count in sorted(transposed.items())},
        "warnings": warnings + rate_warnings(config, sample_rate),
    }
