"""Melodies of one voice whose notes are known, joined from recorded notes or rendered from a SoundFont.

    python -m tests.benchmarks.phrases NOTES OUT [--font FONT] [--phrases 3] [--seed 0]

NOTES holds a folder per instrument, sounds anywhere in it, named by their pitch: `cello/C3.mp3`. Every instrument gives
phrases in three styles: detached, legato (crossfades and glides instead of attacks, where the instrument holds a note),
and expressive (both, with vibrato). The SoundFont's phrases have vibrato and slides by pitch bends. OUT gets a WAV per
phrase and a JSON file with its notes: an onset is where the note alone rises to -20 dB of its peak, or the middle of a
crossfade. A name whose pitch the detector does not confirm is left out, since libraries mislabel octaves.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from audiogan.corpus import audio
from audiogan.corpus.audio import Recording
from audiogan.corpus.notes import hz_of, pitch_of, without_lead
from audiogan.corpus.pitchname import parse_pitch
from audiogan.corpus.pitchtrack import estimate_pitch
from audiogan.corpus.tuning import measure_tuning
from audiogan.errors import CorpusError

RATE = 44_100
STYLES = ("detached", "legato", "expressive")
N_NOTES = 9
LOWEST, HIGHEST = 31.0, 90.0
MOST_SAMPLES = 16
FARTHEST_SHIFT = 2.0
ONSET_DB, LEAD_DB = -20.0, -30.0
HOLDS_DB = -12.0
FONT_PROGRAMS = (24, 40, 42, 56, 57, 60, 65, 68, 71, 73)
BEND_RANGE = 2.0
_TICKS = 960  # a second: 480 per beat at 120 beats per minute

Waveform = NDArray[np.float32]


class Sample(NamedTuple):
    """A recorded note: MIDI pitch as measured, `(time,)` at `RATE` from its onset, and whether it holds its level."""

    pitch: float
    waveform: Waveform
    holds: bool


class Note(NamedTuple):
    """A note of a phrase: seconds, MIDI pitch as it sounds, level in dB, joined to the one before, vibrato in cents."""

    onset: float
    seconds: float
    pitch: float
    level_db: float = 0.0
    is_joined: bool = False
    vibrato: float = 0.0


# ---- recorded notes


def samples_of(folder: Path) -> list[Sample]:
    """Read the notes of an instrument whose names tell the pitch that is heard in them."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".wav", ".mp3", ".flac", ".ogg"})
    named = [(told.pitch, path) for path in paths if (told := parse_pitch(path.stem)) is not None]
    named = sorted((pitch, path) for pitch, path in named if LOWEST <= pitch <= HIGHEST)
    samples = []
    for place in np.unique(np.linspace(0, len(named) - 1, min(len(named), MOST_SAMPLES)).round()).astype(int).tolist():
        pitch, path = named[place]
        sound = _from_onset(audio.read(path, RATE).waveform[: 6 * RATE])
        heard = estimate_pitch(sound[: 2 * RATE], RATE)
        if heard is not None and abs(pitch_of(heard.hz) - pitch) < 0.5:
            tuning = measure_tuning(sound[:RATE], RATE, hz_of(pitch))
            samples.append(Sample(pitch + (tuning[0] / 100 if tuning else 0.0), sound, _holds(sound)))
    return samples


def _rise(sound: NDArray[np.floating], rate: int, db: float) -> float:
    """Seconds to where the level over 10 ms first comes within `db` of its peak."""
    size = rate // 100
    power = np.convolve(sound.astype(np.float64) ** 2, np.ones(size) / size, mode="same")
    return float(np.argmax(power > power.max() * 10 ** (db / 10))) / rate


def _from_onset(sound: Waveform) -> Waveform:
    """Without what comes before -30 dB, since breath and finger noise leave open where a note begins."""
    sound = without_lead(sound, RATE)
    first = round(_rise(sound[:RATE], RATE, LEAD_DB) * RATE)
    kept = sound[first:].copy()
    kept[: RATE // 300] *= np.linspace(0, 1, len(kept[: RATE // 300]), dtype=np.float32)
    return kept


def _rms(waveform: Waveform) -> float:
    return float(np.sqrt(np.mean(waveform.astype(np.float64) ** 2))) if len(waveform) else 0.0


def _holds(sound: Waveform) -> bool:
    early, late = (_rms(sound[round(a * RATE) : round((a + 0.1) * RATE)]) for a in (0.1, 0.9))
    return late > early * 10 ** (HOLDS_DB / 20)


def melody(samples: Sequence[Sample], style: str, rng: np.random.Generator) -> list[tuple[Note, Sample]]:
    """Walk up and down within 19 semitones, with repeated notes and lengths of 0.15 to 0.9 s."""
    pitches = np.array([sample.pitch for sample in samples])
    low = float(rng.choice(pitches[pitches <= max(pitches.min(), pitches.max() - 19)]))
    inside = [sample for sample in samples if low <= sample.pitch <= low + 19]
    can_join = all(sample.holds for sample in inside) and style != "detached"
    key, time, found = round(float(np.median([one.pitch for one in inside]))), 0.1, []
    for number in range(N_NOTES):
        sample = min(inside, key=lambda one: abs(one.pitch - key))
        pitch = sample.pitch + float(np.clip(round(key - sample.pitch), -FARTHEST_SHIFT, FARTHEST_SHIFT))
        seconds = float(rng.choice([0.15, 0.25, 0.35, 0.5, 0.9]))
        changes = bool(found) and abs(found[-1][0].pitch - pitch) > 0.5
        joined = can_join and changes and (style == "legato" or rng.random() < 0.5)
        wide = float(rng.uniform(20, 45)) if style == "expressive" and seconds > 0.4 else 0.0
        level = float(rng.uniform(-9, 0)) - 6 * abs(2 * number / (N_NOTES - 1) - 1)
        if joined:
            time = found[-1][0].onset + found[-1][0].seconds
        found.append((Note(time, seconds, pitch, level, joined, wide), sample))
        time += seconds + float(rng.uniform(0.03, 0.15))
        step = int(rng.choice([-5, -4, -3, -2, -2, -1, 0, 0, 1, 2, 2, 3, 4, 5]))
        key = int(np.clip(key + step, round(low), max(round(low), round(max(one.pitch for one in inside)))))
    return found


def perform(notes: Sequence[tuple[Note, Sample]]) -> tuple[Waveform, list[Note]]:
    """Return the sound of a melody `(time,)` and its notes, with onsets where each rises to -20 dB of its peak."""
    end = notes[-1][0].onset + notes[-1][0].seconds + 0.5
    mix, heard = np.zeros(round(end * RATE)), []
    for number, (note, sample) in enumerate(notes):
        follows = number + 1 < len(notes) and notes[number + 1][0].is_joined
        before = notes[number - 1][0].pitch if note.is_joined else note.pitch
        sound, skipped = _played(note, sample, before, follows)
        start = round((note.onset - (0.02 if note.is_joined else 0)) * RATE)
        mix[start : start + len(sound)] += sound[: len(mix) - start]
        late = 0.0 if skipped else _rise(sound, RATE, ONSET_DB)
        heard.append(note._replace(onset=note.onset + late, seconds=note.seconds - late))
    return (0.7 * mix / np.abs(mix).max()).astype(np.float32), heard


def _played(note: Note, sample: Sample, before: float, follows: bool) -> tuple[NDArray[np.float64], bool]:
    """One note, transposed, with vibrato and a glide from the pitch before, faded as it is joined."""
    n_samples = round((note.seconds + (0.04 if note.is_joined else 0.0) + (0.02 if follows else 0.03)) * RATE)
    time = np.arange(n_samples) / RATE
    cents = note.vibrato * np.sin(2 * np.pi * 5.5 * time) * np.clip((time - 0.15) / 0.2, 0, 1)
    cents += np.clip(100 * (before - note.pitch), -200, 200) * np.clip(1 - time / 0.05, 0, 1)
    ratio = 2 ** ((note.pitch - sample.pitch) / 12 + cents / 1200)
    first = 0.08 if note.is_joined else 0.0
    place = first * RATE + np.cumsum(ratio)
    sound = map_coordinates(sample.waveform.astype(np.float64), place[None], order=3, mode="constant")
    if note.is_joined:
        sound *= np.clip(time / 0.04, 0, 1)
    sound *= np.clip((n_samples / RATE - time) / (0.04 if follows else 0.03), 0, 1)
    return sound * 10 ** (note.level_db / 20) / max(float(np.abs(sound).max()), 1e-6), note.is_joined


# ---- SoundFonts


def render(font: bytes, program: int, lowest: int, highest: int, rng: np.random.Generator) -> tuple[Waveform, Any]:
    """Return a phrase of a General MIDI program with vibrato by pitch bends, its rate 48 kHz, and its notes."""
    import midirenderer

    middle, time, notes = (lowest + highest) // 2, 0.1, []
    key = middle
    for _ in range(N_NOTES):
        seconds = float(rng.choice([0.2, 0.3, 0.5, 0.9]))
        notes.append(Note(time, seconds, float(key), float(rng.integers(50, 120)), False, 25.0 * (seconds > 0.4)))
        time += seconds + float(rng.choice([0.0, 0.05, 0.1]))
        key = int(np.clip(key + rng.integers(-5, 6), max(lowest, middle - 9), min(highest, middle + 9)))

    def sound(some: Sequence[Note]) -> Recording:
        return audio.parse(midirenderer.render_wave_from(font, _midi(program, some)), "SoundFont")

    played = sound(notes)
    rate = played.sample_rate
    heard = []
    for note in notes:
        alone = sound([note]).waveform[: round((note.onset + note.seconds) * rate)]
        late = _rise(alone, rate, ONSET_DB) - note.onset
        heard.append(note._replace(onset=note.onset + late, seconds=note.seconds - late))
    return played.waveform[: round((time + 0.5) * rate)], heard


def _midi(program: int, notes: Sequence[Note]) -> bytes:
    from symusic import ControlChange, PitchBend, Score, Track
    from symusic import Note as Event

    score: Any = Score(480)
    track: Any = Track(program=program)
    for number in (91, 93):
        track.controls.append(ControlChange(0, number, 0))
    for note in notes:
        begin, length = round(note.onset * _TICKS), round(note.seconds * _TICKS)
        track.notes.append(Event(begin, length, round(note.pitch), round(note.level_db)))
        for at in np.arange(0, note.seconds, 0.01).tolist():
            cents = note.vibrato * np.sin(2 * np.pi * 5.5 * at) * min(1.0, max(0.0, (at - 0.15) / 0.2))
            cents -= 80 * max(0.0, 1 - at / 0.06) * (note.vibrato > 0)  # long notes are slid into
            track.pitch_bends.append(PitchBend(begin + round(at * _TICKS), round(8191 * cents / 100 / BEND_RANGE)))
    last = round((notes[-1].onset + notes[-1].seconds + 1) * _TICKS)
    track.controls.append(ControlChange(last, 1, 0))  # the renderer ends with the last event
    score.tracks.append(track)
    return score.dumps_midi()


# ---- files


def write(folder: Path, name: str, instrument: str, waveform: Waveform, rate: int, notes: Sequence[Note]) -> None:
    """Write a phrase and what is known of it."""
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{name}.wav", waveform, rate, subtype="PCM_16")
    rows = [{"onset": one.onset, "seconds": one.seconds, "pitch": one.pitch} for one in notes]
    (folder / f"{name}.json").write_text(json.dumps({"instrument": instrument, "notes": rows}))


def write_recorded(folder: Path, out: Path, n_phrases: int, rng: np.random.Generator) -> int:
    """Write the phrases of the instrument in a folder and return how many."""
    samples = samples_of(folder)
    if len(samples) < 3:
        return 0
    for number in range(n_phrases):
        style = STYLES[number % len(STYLES)]
        waveform, notes = perform(melody(samples, style, rng))
        write(out, f"{folder.name}_{number}_{style}", folder.name, waveform, RATE, notes)
    return n_phrases


def write_rendered(font: Path, out: Path, rng: np.random.Generator) -> int:
    """Write a phrase of each program in `FONT_PROGRAMS`."""
    from audiogan.corpus.programs import ACOUSTIC
    from audiogan.corpus.soundfont import RENDER_RATE, family_of, read_font

    data, family = read_font(font), family_of(str(font))
    for program in FONT_PROGRAMS:
        name, lowest, highest = ACOUSTIC[program]
        waveform, notes = render(data, program, lowest, highest, rng)
        write(out, f"{family}_{name}", f"{family}_{name}", waveform, RENDER_RATE, notes)
    return len(FONT_PROGRAMS)


def main() -> None:
    """Make phrases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--font", type=Path)
    parser.add_argument("--phrases", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    for folder in sorted(one for one in given.notes.iterdir() if one.is_dir()):
        try:
            n_written = write_recorded(folder, given.out, given.phrases, rng)
        except CorpusError as error:
            parser.error(str(error))
        sys.stdout.write(f"{folder.name}: {n_written} phrases\n")
    if given.font:
        sys.stdout.write(f"{given.font.name}: {write_rendered(given.font, given.out, rng)} phrases\n")


if __name__ == "__main__":
    main()
