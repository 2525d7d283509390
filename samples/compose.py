"""Compose the small corpus in `samples/corpus`: twelve short multitrack pieces, ours or from public-domain tunes.

Run `python samples/compose.py` in a checkout to write the files again; equal code gives equal bytes. Each piece is a
chord per bar, a groove and, for some, a melody; the five tracks are drums, bass, piano, guitar and strings.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audiogan.corpus import midi
from audiogan.corpus.score import Key, Metre, Note, Notes, Score, Tempo, Track

RESOLUTION = 480
FOLDER = Path(__file__).parent / "corpus"
LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
QUALITIES = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
    "dim": (0, 3, 6),
}
KICK, SNARE, CLOSED, OPEN, RIDE, CRASH, LOW_TOM = 36, 38, 42, 46, 51, 49, 43

# One character per sixteenth of a bar: x a hit, X an accent, . nothing.
DRUMS = {
    "rock": {KICK: "X.....x.X.x.....", SNARE: "....X.......X...", CLOSED: "x.x.x.x.x.x.x.x."},
    "disco": {
        KICK: "X...X...X...X...",
        SNARE: "....X.......X...",
        CLOSED: "x...x...x...x...",
        OPEN: "..x...x...x...x.",
    },
    "ballad": {KICK: "X.........x.....", SNARE: "........X.......", CLOSED: "x.x.x.x.x.x.x.x."},
    "funk": {KICK: "X..x..x...x..x..", SNARE: "....X..x.x..X..x", CLOSED: "xxxxxxxxxxxxxx.x", OPEN: "..............x."},
    "shuffle": {KICK: "X.......X.......", SNARE: "....X.......X...", RIDE: "x...x..xx...x..x"},
    "bossa": {KICK: "X.....xxX.....xx", SNARE: "x..x..x...x..x..", CLOSED: "xxxxxxxxxxxxxxxx"},
    "march": {KICK: "X.......X.......", SNARE: "x.xxx.x.x.xxx.x.", LOW_TOM: "....x.......x..."},
    "waltz": {KICK: "X...........", SNARE: "....x...x...", CLOSED: "x...x...x..."},
}
# r root, t third, f fifth, o octave; upper case holds until the next note.
BASS = {
    "roots": "R.......R.......",
    "eighths": "r.r.r.r.r.r.f.f.",
    "walk": "R...T...F...O...",
    "octaves": "r.o.r.o.r.o.r.o.",
    "syncopated": "R..r..F...r.O...",
    "funk": "r..ro.r...f.o.r.",
    "waltz": "R.......F...",
}
COMPS = {
    "whole": "H...............",
    "halves": "H.......H.......",
    "quarters": "x...x...x...x...",
    "offbeats": "..x...x...x...x.",
    "charleston": "H.....x.........",
    "strum": "H...x.x...x.x.x.",
    "arpeggio": "0.1.2.1.0.1.2.1.",
    "sixteenths": "0123210101232101",
    "waltz": "....x...x...",
    "waltz arpeggio": "0.1.2.3.2.1.",
    "pad": "H...............",
    "none": "",
}


@dataclass(frozen=True)
class Piece:
    """What a piece is made of; patterns are names in the tables above, `melody` is `pitch:beats` words."""

    title: str
    qpm: float
    sharps: int
    chords: str
    drums: str
    bass: str
    piano: str
    guitar: str
    strings: str
    melody: str = ""
    melody_track: str = "piano"
    is_minor: bool = False
    beats_per_bar: int = 4
    repeats: int = 2


PIECES = (
    Piece(
        "morning_walk",
        112,
        0,
        "C G Am F C G F G",
        "rock",
        "eighths",
        "none",
        "strum",
        "pad",
        "E5:1 G5:.5 E5:.5 D5:1 C5:1 | D5:1 B4:1 G4:2 | C5:1 E5:.5 C5:.5 A4:1 B4:1 | C5:1.5 A4:.5 F4:2 |"
        "E5:1 G5:.5 A5:.5 G5:1 E5:1 | D5:.5 E5:.5 D5:1 B4:2 | A4:1 C5:1 F5:1 E5:.5 D5:.5 | D5:2 B4:1 R:1",
    ),
    Piece(
        "ode_to_joy",
        120,
        2,
        "D A D A D A D D A A A A D A D D",
        "march",
        "walk",
        "quarters",
        "halves",
        "none",
        "F#4:1 F#4:1 G4:1 A4:1 | A4:1 G4:1 F#4:1 E4:1 | D4:1 D4:1 E4:1 F#4:1 | F#4:1.5 E4:.5 E4:2 |"
        "F#4:1 F#4:1 G4:1 A4:1 | A4:1 G4:1 F#4:1 E4:1 | D4:1 D4:1 E4:1 F#4:1 | E4:1.5 D4:.5 D4:2 |"
        "E4:1 E4:1 F#4:1 D4:1 | E4:1 F#4:.5 G4:.5 F#4:1 D4:1 | E4:1 F#4:.5 G4:.5 F#4:1 E4:1 | D4:1 E4:1 A3:2 |"
        "F#4:1 F#4:1 G4:1 A4:1 | A4:1 G4:1 F#4:1 E4:1 | D4:1 D4:1 E4:1 F#4:1 | E4:1.5 D4:.5 D4:2",
        "strings",
        repeats=1,
    ),
    Piece(
        "frere_jacques",
        126,
        -1,
        "F F F F F F F F",
        "disco",
        "octaves",
        "offbeats",
        "arpeggio",
        "none",
        "F4:1 G4:1 A4:1 F4:1 | F4:1 G4:1 A4:1 F4:1 | A4:1 Bb4:1 C5:2 | A4:1 Bb4:1 C5:2 |"
        "C5:.5 D5:.5 C5:.5 Bb4:.5 A4:1 F4:1 | C5:.5 D5:.5 C5:.5 Bb4:.5 A4:1 F4:1 | F4:1 C4:1 F4:2 | F4:1 C4:1 F4:2",
        "strings",
    ),
    Piece(
        "twinkle",
        144,
        0,
        "C C F C F C G C C F C G C F C G C C F C F C G C",
        "ballad",
        "roots",
        "none",
        "arpeggio",
        "pad",
        "C5:2 C5:2 | G5:2 G5:2 | A5:2 A5:2 | G5:4 | F5:2 F5:2 | E5:2 E5:2 | D5:2 D5:2 | C5:4 |"
        "G5:2 G5:2 | F5:2 F5:2 | E5:2 E5:2 | D5:4 | G5:2 G5:2 | F5:2 F5:2 | E5:2 E5:2 | D5:4 |"
        "C5:2 C5:2 | G5:2 G5:2 | A5:2 A5:2 | G5:4 | F5:2 F5:2 | E5:2 E5:2 | D5:2 D5:2 | C5:4",
        repeats=1,
    ),
    Piece(
        "saints",
        168,
        -1,
        "F F F F F F C C F F Bb Bb F C F F",
        "shuffle",
        "walk",
        "charleston",
        "quarters",
        "none",
        "R:1 F4:1 A4:1 Bb4:1 | C5:4 | R:1 F4:1 A4:1 Bb4:1 | C5:4 | R:1 F4:1 A4:1 Bb4:1 | C5:2 A4:2 | F4:2 A4:2 | G4:4 |"
        "R:1 A4:1 A4:1 G4:1 | F4:3 F4:1 | A4:2 C5:1 C5:1 | C5:1 Bb4:3 | R:1 A4:1 Bb4:2 | C5:2 A4:2 | F4:2 G4:2 | F4:4",
        "strings",
    ),
    Piece(
        "greensleeves",
        108,
        1,
        "Em Em G D D Em C B7 B7 Em G D D C B7 Em",
        "waltz",
        "waltz",
        "waltz",
        "waltz arpeggio",
        "none",
        "R:2 E4:1 | G4:2 A4:1 | B4:1.5 C#5:.5 B4:1 | A4:2 F#4:1 | D4:1.5 E4:.5 F#4:1 | G4:2 E4:1 | E4:1.5 D#4:.5 E4:1 |"
        "F#4:2 D#4:1 | B3:2 E4:1 | G4:2 A4:1 | B4:1.5 C#5:.5 B4:1 | A4:2 F#4:1 | D4:1.5 E4:.5 F#4:1 |"
        "G4:1.5 F#4:.5 E4:1 | D#4:1.5 C#4:.5 D#4:1 | E4:3",
        "strings",
        is_minor=True,
        beats_per_bar=3,
    ),
    Piece(
        "night_train",
        132,
        1,
        "Em Em C D Em Em C B7",
        "rock",
        "octaves",
        "offbeats",
        "sixteenths",
        "pad",
        is_minor=True,
        repeats=3,
    ),
    Piece(
        "paper_boats",
        76,
        -3,
        "Ebmaj7 Cm7 Abmaj7 Bb7 Ebmaj7 Gm7 Abmaj7 Bb7",
        "ballad",
        "roots",
        "arpeggio",
        "whole",
        "pad",
    ),
    Piece(
        "corner_shop",
        104,
        -2,
        "Gm7 C7 Gm7 C7 Ebmaj7 D7 Gm7 Gm7",
        "funk",
        "funk",
        "charleston",
        "offbeats",
        "none",
        is_minor=True,
        repeats=3,
    ),
    Piece(
        "rio_window",
        138,
        0,
        "Dm7 G7 Cmaj7 Cmaj7 Fmaj7 Bdim E7 Am7",
        "bossa",
        "syncopated",
        "charleston",
        "strum",
        "pad",
    ),
    Piece(
        "glass_stairs",
        124,
        3,
        "F#m D A E F#m D Bm E",
        "disco",
        "octaves",
        "sixteenths",
        "offbeats",
        "halves",
        repeats=3,
    ),
    Piece("harvest", 92, 1, "G D Em C G D C C Am C G D Am C D D", "rock", "eighths", "halves", "strum", "pad"),
)


def compose(piece: Piece) -> Score:
    """Return a piece as a score of five tracks."""
    dice = random.Random(piece.title)
    chords = piece.chords.split() * piece.repeats
    melody = list(_melody(piece, len(chords)))
    comps = {
        name: list(_comp(getattr(piece, name), chords, low, dice, piece))
        for name, low in (("piano", 58), ("guitar", 52), ("strings", 55))
    }
    if melody:
        comps[piece.melody_track] = melody
    tracks = (
        Track(Notes.from_list(list(_drums(piece, len(chords), dice))), 0, is_drum=True, name="drums"),
        Track(Notes.from_list(list(_bass(piece, chords, dice))), 33, name="bass"),
        Track(Notes.from_list(comps["piano"]), 0, name="piano"),
        Track(Notes.from_list(comps["guitar"]), 25, name="guitar"),
        Track(Notes.from_list(comps["strings"]), 48, name="strings"),
    )
    kept = tuple(track for track in tracks if len(track.notes))
    metre = Metre(0, piece.beats_per_bar, 4)
    return Score(RESOLUTION, kept, (Tempo(0, piece.qpm),), (metre,), (Key(0, piece.sharps, piece.is_minor),))


def parse_pitch(text: str) -> int:
    """Return the MIDI number of a name such as C#4 (middle C is C4, 60)."""
    match = re.fullmatch(r"([A-G])([#b]?)(-?\d)", text)
    assert match, text
    return LETTERS[match[1]] + {"#": 1, "b": -1, "": 0}[match[2]] + 12 * (int(match[3]) + 1)


def parse_chord(text: str) -> tuple[int, tuple[int, ...]]:
    """Return the root (0–11) and the intervals of a chord such as F#m7."""
    match = re.fullmatch(r"([A-G])([#b]?)(.*)", text)
    assert match, text
    return (LETTERS[match[1]] + {"#": 1, "b": -1, "": 0}[match[2]]) % 12, QUALITIES[match[3]]


def main() -> None:
    """Write every piece into the corpus folder."""
    FOLDER.mkdir(exist_ok=True)
    for number, piece in enumerate(PIECES, 1):
        text = f"{piece.title.replace('_', ' ')}; audiogan sample corpus, CC0 1.0"
        midi.write(compose(piece), FOLDER / f"{number:02d}_{piece.title}.mid", text=text)


def _bar(piece: Piece) -> int:
    return piece.beats_per_bar * RESOLUTION


def _steps(pattern: str, bar: int, n_bars: int) -> Iterator[tuple[int, str, int]]:
    """Yield the tick, the character and the ticks until the next character of every event in a bar."""
    step = bar // len(pattern) if pattern else 0
    places = [place for place, character in enumerate(pattern) if character != "."]
    for place, following in zip(places, [*places[1:], len(pattern)], strict=False):
        yield n_bars * bar + place * step, pattern[place], (following - place) * step


def _drums(piece: Piece, n_bars: int, dice: random.Random) -> Iterator[Note]:
    length = RESOLUTION // 4
    for bar in range(n_bars):
        fill = bar % 8 == 7 and piece.beats_per_bar == 4
        for pitch, pattern in DRUMS[piece.drums].items():
            for tick, character, _ in _steps(pattern, _bar(piece), bar):
                if fill and tick >= (bar + 1) * _bar(piece) - RESOLUTION:
                    continue
                yield Note(tick, tick + length, pitch, (104 if character == "X" else 76) + dice.randint(-6, 6))
        if fill:
            start = (bar + 1) * _bar(piece) - RESOLUTION
            for hit, pitch in enumerate((SNARE, SNARE, LOW_TOM, LOW_TOM)):
                yield Note(start + hit * length, start + (hit + 1) * length, pitch, 84 + 6 * hit)
        if bar % 8 == 0:
            yield Note(bar * _bar(piece), bar * _bar(piece) + length, CRASH, 100)


def _bass(piece: Piece, chords: list[str], dice: random.Random) -> Iterator[Note]:
    for bar, chord in enumerate(chords):
        root, intervals = parse_chord(chord)
        low = 28 + (root - 28) % 12
        shifts = {"r": 0, "t": intervals[1], "f": intervals[2], "o": 12}
        for tick, character, gap in _steps(BASS[piece.bass], _bar(piece), bar):
            length = gap if character.isupper() else RESOLUTION // 4
            pitch = low + shifts[character.lower()]
            yield Note(tick, tick + length - 10, pitch, 88 + dice.randint(-6, 6))


def _comp(name: str, chords: list[str], low: int, dice: random.Random, piece: Piece) -> Iterator[Note]:
    """Play the chords in a rhythm: H holds, x is short, a digit picks one voice."""
    for bar, chord in enumerate(chords):
        root, intervals = parse_chord(chord)
        voices = sorted(low + (root + interval - low) % 12 for interval in intervals)
        voices.append(voices[0] + 12)
        for tick, character, gap in _steps(COMPS[name], _bar(piece), bar):
            picked = [voices[int(character) % len(voices)]] if character.isdigit() else voices[: len(intervals)]
            length = RESOLUTION // 2 if character == "x" else gap
            for pitch in picked:
                yield Note(tick, tick + length - 10, pitch, 72 + dice.randint(-8, 8))


def _melody(piece: Piece, n_bars: int) -> Iterator[Note]:
    bars = [bar.split() for bar in piece.melody.split("|")] if piece.melody else []
    for bar in range(n_bars if bars else 0):
        tick = bar * _bar(piece)
        for word in bars[bar % len(bars)]:
            name, _, beats = word.partition(":")
            length = round(float(beats) * RESOLUTION)
            if name != "R":
                yield Note(tick, tick + length - 10, parse_pitch(name), 100 if tick % _bar(piece) == 0 else 90)
            tick += length
        assert tick == (bar + 1) * _bar(piece), f"{piece.title}: bar {bar + 1} is not full"


if __name__ == "__main__":
    main()
