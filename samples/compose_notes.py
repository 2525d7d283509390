"""Synthesise the small corpus of notes in `samples/corpus/notes`: five instruments of our own, nine pitches each.

Run `python samples/compose_notes.py` in a checkout to write the files again; equal code gives equal bytes. A note is a
sum of partials with an envelope each, and a little noise where the instrument breathes or is struck.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus import audio

FOLDER = Path(__file__).parent / "corpus" / "notes"
SAMPLE_RATE = 16_000
SECONDS = 0.9
PITCHES = range(48, 75, 3)
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class Voice(NamedTuple):
    """An instrument.

    Args:
        tilt: Amplitude of partial k is k^-tilt.
        even: What even partials are multiplied by: 0 for a stopped pipe.
        stretch: Partial k lies at k · sqrt(1 + stretch · k²).
        attack, decay: Seconds; without decay the note is held.
        noise: Level of breath or stroke.
        is_struck: The noise dies away at once.
    """

    tilt: float
    even: float
    stretch: float
    attack: float
    decay: float
    noise: float
    is_struck: bool


VOICES = {
    "bell": Voice(0.7, 1.0, 0.004, 0.002, 0.5, 0.02, True),
    "bow": Voice(1.0, 1.0, 0.0, 0.08, 0.0, 0.004, False),
    "flute": Voice(2.2, 0.6, 0.0, 0.05, 0.0, 0.01, False),
    "pluck": Voice(1.2, 1.0, 0.0001, 0.003, 0.3, 0.05, True),
    "reed": Voice(0.9, 0.08, 0.0, 0.03, 0.0, 0.005, False),
}


def name_of(pitch: int) -> str:
    """Return a MIDI pitch as a file name writes it: 60 is C4."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def synthesise(voice: Voice, pitch: int, seed: int) -> NDArray[np.float64]:
    """Return a note, `(time,)`, its peak at 0.8."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    ranks = np.arange(1, 40)
    stretched = ranks * np.sqrt(1 + voice.stretch * ranks**2)
    kept = stretched * f0 < 0.45 * SAMPLE_RATE
    ranks, hz = ranks[kept], (stretched * f0)[kept]
    size = ranks**-voice.tilt * np.where(ranks % 2 == 0, voice.even, 1.0)
    fall = np.exp(-time * ranks[:, None] ** 0.5 / voice.decay) if voice.decay else np.ones((len(ranks), len(time)))
    phase = rng.uniform(0, 2 * np.pi, len(ranks))
    tone = (size[:, None] * fall * np.sin(2 * np.pi * hz[:, None] * time + phase[:, None])).sum(axis=0)
    hiss = rng.standard_normal(len(time)) * voice.noise * (np.exp(-time / 0.03) if voice.is_struck else 1.0)
    release = np.clip((SECONDS - time) / 0.06, 0, 1)
    sound = (tone / np.abs(tone).max() + hiss) * np.clip(time / voice.attack, 0, 1) * release
    return 0.8 * sound / np.abs(sound).max()


def main() -> None:
    """Write all notes."""
    for number, (name, voice) in enumerate(sorted(VOICES.items())):
        folder = FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        for pitch in PITCHES:
            sound = synthesise(voice, pitch, seed=1000 * number + pitch)
            audio.write(sound[None], SAMPLE_RATE, folder / f"{name}_{name_of(pitch)}.wav", dither_seed=pitch)


if __name__ == "__main__":
    main()
