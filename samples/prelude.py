"""Write `samples/prelude.mid`: the Prelude of Johann Sebastian Bach's Suite No. 1 for cello alone, BWV 1007.

Run `python samples/prelude.py` in a checkout to write the file again; equal code gives equal bytes. The composition
(about 1720) is in the public domain; it is entered here bar by bar as we read it, with dynamics of our own.

A bar is sixteen sixteenths, written as words: `G2 D3 B3` are notes of one sixteenth each, `D4:3` lasts three, and notes
joined by `+` sound together. `(...) x2` plays a half bar twice.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from audiogan.corpus import midi
from audiogan.corpus.score import Key, Metre, Note, Notes, Score, Tempo, Track

RESOLUTION = 480
SIXTEENTH = RESOLUTION // 4
BAR = 16
QPM = 72
CELLO = 42
TEXT = "J. S. Bach, BWV 1007, Prelude; entered for audiogan, CC0 1.0"
FILE = Path(__file__).parent / "prelude.mid"
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SIGNS = {"#": 1, "b": -1, "": 0}

# How loud each bar begins, as a MIDI velocity, and its notes.
BARS = (
    # Over the open G string: tonic, subdominant, dominant, tonic.
    (72, "(G2 D3 B3 A3 B3 D3 B3 D3) x2"),
    (72, "(G2 E3 C4 B3 C4 E3 C4 E3) x2"),
    (76, "(G2 F#3 C4 B3 C4 F#3 C4 F#3) x2"),
    (72, "G2 G3 B3 A3 B3 G3 B3 G3 G2 G3 B3 A3 B3 G3 B3 F#3"),
    # To D major.
    (68, "G2 E3 B3 A3 B3 G3 F#3 G3 E3 G3 F#3 G3 B2 D3 C#3 B2"),
    (72, "(C#3 G3 A3 G3 A3 G3 A3 G3) x2"),
    (76, "F#3 A3 D4 C#4 D4 A3 G3 A3 F#3 A3 G3 A3 D3 F#3 E3 D3"),
    (64, "(E2 B2 G3 F#3 G3 B2 G3 B2) x2"),
    (68, "E2 C#3 D3 E3 D3 C#3 B2 A2 G3 F#3 E3 D4 C#4 B3 A3 G3"),
    (76, "F#3 E3 D3 D4 A3 D4 F#3 A3 D3 E3 F#3 A3 G3 F#3 E3 D3"),
    # Through A minor and back to G.
    (80, "G#3 D3 F3 E3 F3 D3 G#3 D3 B3 D3 F3 E3 F3 D3 G#3 D3"),
    (72, "C3 E3 A3 B3 C4 A3 E3 D3 C3 E3 A3 B3 C4 A3 F#3 E3"),
    (80, "(D#3 F#3 D#3 F#3 A3 F#3 A3 F#3) x2"),
    (72, "G3 F#3 E3 G3 F#3 G3 A3 F#3 G3 F#3 E3 D3 C3 B2 A2 G2"),
    (64, "(F#2 C3 D3 C3 D3 C3 D3 C3) x2"),
    (68, "(G2 B2 F3 E3 F3 B2 F3 B2) x2"),
    (64, "(G2 C3 E3 D3 E3 C3 E3 C3) x2"),
    (72, "(G2 F#3 C4 B3 C4 F#3 C4 F#3) x2"),
    (72, "G2 D3 B3 A3 B3 G3 F#3 E3 D3 C3 B2 A2 G2 F#2 E2 D2"),
    # Down to the lowest string, and a halt on the dominant.
    (68, "(C#2 A2 E3 F#3 G3 E3 F#3 G3) x2"),
    (72, "(C2 A2 D3 E3 F#3 D3 E3 F#3) x2"),
    (80, "C2 A2 D3 F#3 A3 C#4 D4:3 A2 B2 C3 D3 E3 F#3 G3"),
    # Scales over the dominant.
    (72, "A3 F#3 D3 E3 F#3 G3 A3 B3 C4 A3 F#3 G3 A3 B3 C4 D4"),
    (84, "Eb4 D4 C#4 D4 D4 C4 B3 C4 C4 A3 F#3 E3 D3 A2 B2 C3"),
    (72, "D2 A2 D3 F#3 A3 B3 C4 A3 B3 G3 D3 C3 B2 G2 A2 B2"),
    (76, "D2 G2 B2 D3 G3 A3 B3 G3 C#4 Bb3 A3 Bb3 Bb3 A3 G#3 A3"),
    (72, "A3 G3 F#3 G3 G3 E3 C#3 B2 A2 C#3 E3 G3 A3 C#4 D4 C#4"),
    (76, "D4 A3 F#3 E3 F#3 A3 D3 F#3 A2 D3 C#3 B2 A2 G2 F#2 E2"),
    (72, "D2:2 C4 B3 A3 G3 F#3 E3 D3 C4 B3 A3 G3 F#3 E3 D3"),
    (72, "C3 B3 A3 G3 F#3 E3 D3 C3 B2 A3 G3 F#3 E3 D3 C3 B2"),
    # Against the open A string.
    (64, "A2 G3 F#3 E3 F#3 A3 D3 A3 E3 A3 F#3 A3 G3 A3 E3 A3"),
    (64, "F#3 A3 D3 A3 G3 A3 E3 A3 F#3 A3 D3 A3 G3 A3 E3 A3"),
    (68, "F#3 A3 D3 A3 E3 A3 F#3 A3 G3 A3 A3 A3 B3 A3 D3 A3"),
    (76, "A3 A3 B3 A3 C4 A3 D3 A3 B3 A3 C4 A3 D4 A3 B3 A3"),
    (80, "C4 A3 B3 A3 C4 A3 A3 A3 B3 A3 A3 A3 B3 A3 G3 A3"),
    (72, "A3 A3 G3 A3 A3 A3 F#3 A3 G3 A3 F#3 A3 G3 A3 E3 A3"),
    # Up by semitones over the open D string.
    (64, "F#3 A3 D3 E3 F3 D3 F#3 D3 G3 D3 G#3 D3 A3 D3 Bb3 D3"),
    (76, "B3 D3 C4 D3 C#4 D3 D4 D3 Eb4 D3 E4 D3 F4 D3 F#4 D3"),
    (96, "(G4 B3 D3 B3 G4 B3 G4 B3) x2"),
    (92, "(G4 A3 D3 A3 G4 A3 G4 A3) x2"),
    (92, "(F#4 C4 D3 C4 F#4 C4 F#4 C4) x2"),
    (100, "G2+B3+G4:16"),
)


def compose() -> Score:
    """Return the piece as a score of one track."""
    notes = [note for number, (velocity, bar) in enumerate(BARS) for note in _notes(number * BAR, bar, velocity)]
    cello = Track(Notes.from_list(notes), CELLO, name="cello")
    return Score(RESOLUTION, (cello,), (Tempo(0, QPM),), (Metre(0, 4, 4),), (Key(0, 1, False),))


def words_of(bar: str) -> list[tuple[list[int], int]]:
    """Read a bar: the pitches that sound together and their length in sixteenths, one after the other."""
    half = re.fullmatch(r"\((.*)\) x2", bar)
    words = 2 * half[1].split() if half else bar.split()
    read = []
    for word in words:
        names, _, length = word.partition(":")
        read.append(([pitch_of(name) for name in names.split("+")], int(length or 1)))
    return read


def pitch_of(name: str) -> int:
    """Return the MIDI number of a name such as C#4 (middle C is C4, 60)."""
    match = re.fullmatch(r"([A-G])([#b]?)(\d)", name)
    assert match, name
    return STEPS[match[1]] + SIGNS[match[2]] + 12 * (int(match[3]) + 1)


def main() -> None:
    """Write the file."""
    midi.write(compose(), FILE, text=TEXT)


def _notes(first: int, bar: str, velocity: int) -> Iterator[Note]:
    """Play a bar: the first note of each half bar leads, the first of each beat follows, the others lie below."""
    place = 0
    for pitches, length in words_of(bar):
        below = 0 if place % 8 == 0 else 8 if place % 4 == 0 else 14
        onset, offset = ((first + at) * SIXTEENTH for at in (place, place + length))
        for pitch in pitches:
            yield Note(onset, offset, pitch, velocity - below)
        place += length
    assert place == BAR, f"bar {first // BAR + 1} is not full: {place} sixteenths"


if __name__ == "__main__":
    main()
