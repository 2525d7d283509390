"""The key of music on the grid, and music moved into one key and back.

All twelve transpositions of a piece are the same music. A network that meets every piece in one key learns harmony
once, not twelve times; `home_move` finds the way there: to C major, or to A minor, which has the same scale. The key is
found as Krumhansl and Schmuckler did, by the correlation of a histogram of pitch classes with the profiles of 24 keys
(Krumhansl, Cognitive Foundations of Musical Pitch, 1990, ch. 4); the profiles are those that Albrecht and Shanahan
counted in 490 pieces (Music Perception 31, 2013, 59–67).
"""

import re

import numpy as np
from numpy.typing import NDArray

from audiogan.errors import UsageError
from audiogan.representation.pianoroll import merge
from audiogan.representation.rollnotes import RollNotes

MAJOR = np.array([0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081])
MINOR = np.array([0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052])
HOME = (0, 9)
"""Tonic of the major and of the minor key that music is moved to."""
MOVES = range(-5, 7)
"""Semitones that a piece may be moved by to come home: never further than half an octave."""


def _tonal_points() -> NDArray[np.float64]:
    angles = np.pi * np.arange(12)[:, None] * np.array([7 / 6, 3 / 2, 2 / 3])
    radii = np.array([1.0, 1.0, 0.5])
    return np.concatenate([radii * np.sin(angles), radii * np.cos(angles)], axis=1)


TONAL_POINTS = _tonal_points()
"""`(12, 6)` places of the pitch classes on the circles of fifths, minor thirds and major thirds with radii 1, 1 and 1/2
(Harte, Sandler and Gasser, Detecting Harmonic Change in Musical Audio, 2006, eq. 1)."""


def _keys() -> NDArray[np.float64]:
    """Return `(24, 12)`: normed profiles of the major keys from C up, then of the minor ones."""
    profiles = np.stack([np.roll(profile, tonic) for profile in (MAJOR, MINOR) for tonic in range(12)])
    profiles = profiles - profiles.mean(axis=1, keepdims=True)
    return profiles / np.linalg.norm(profiles, axis=1, keepdims=True)


_KEYS = _keys()


def key_of(weights: NDArray) -> tuple[int, bool] | None:
    """Estimate the key.

    Args:
        weights: `(12,)`, how long each pitch class sounds, from C up.

    Returns:
        Tonic as pitch class and whether the key is minor; None if nothing sounds or all classes sound alike.

    Example:
        >>> key_of(np.bincount([7, 9, 11, 0, 2, 4, 6, 7, 7, 11, 2], minlength=12))
        (7, False)
    """
    spread = weights - weights.mean()
    if not spread.any():
        return None
    best = int((_KEYS @ spread).argmax())
    return best % 12, best >= 12


def key_named(name: str) -> tuple[int, bool]:
    """Read a key as musicians write it: `C`, `F# major`, `Bb minor`, `Em`; major unless it says otherwise.

    Returns:
        Tonic as pitch class and whether the key is minor.

    Raises:
        UsageError: Not a key.

    Example:
        >>> key_named("Bbm"), key_named("F# major")
        ((10, True), (6, False))
    """
    found = re.fullmatch(r"([A-Ga-g])(#|b)?(?:\s*(m|min|minor|maj|major))?", name.strip())
    if found is None:
        raise UsageError(f"key {name!r}; expected a note and major or minor, for example C, F# minor or Bb")
    letter, accidental, mode = found.groups()
    tonic = "C D EF G A B".index(letter.upper()) + {"#": 1, "b": -1, None: 0}[accidental]
    return tonic % 12, mode in ("m", "min", "minor")


def sharps_of(key: tuple[int, bool]) -> int:
    """Sharps in the signature of a key, flats negative: -5 to 6."""
    tonic, minor = key
    fifths = 7 * (tonic + 3 * minor) % 12
    return fifths if fifths <= 6 else fifths - 12


def move_home(key: tuple[int, bool]) -> int:
    """Semitones from a key to the home key of its mode, in `MOVES`."""
    tonic, minor = key
    return (HOME[minor] - tonic - MOVES.start) % 12 + MOVES.start


def home_move(weights: NDArray) -> int:
    """Semitones from the key of `weights` (as in `key_of`) to the home key of its mode, in `MOVES`; 0 without a key."""
    key = key_of(weights)
    return 0 if key is None else move_home(key)


def weights_of(notes: RollNotes, is_drum: NDArray[np.bool_], lowest_pitch: int) -> NDArray[np.float64]:
    """Timesteps that each pitch class sounds, `(12,)`, drums left out.

    Args:
        notes: On the grid.
        is_drum: `(track,)`.
        lowest_pitch: MIDI pitch of row 0.
    """
    pitched = ~is_drum[notes.role]
    classes = (notes.row[pitched].astype(np.int64) + lowest_pitch) % 12
    return np.bincount(classes, (notes.end - notes.start)[pitched], minlength=12).astype(np.float64)


def transposed(notes: RollNotes, by: int, is_drum: NDArray[np.bool_], n_pitches: int) -> RollNotes:
    """Move the pitched tracks by semitones; a note that would leave the grid is folded back by octaves.

    Args:
        notes: On the grid.
        by: Semitones, up if positive.
        is_drum: `(track,)`.
        n_pitches: Rows of the grid, an octave or more.
    """
    if not by or not len(notes):
        return notes
    row = np.where(is_drum[notes.role], notes.row, notes.row + by)
    folded = np.where(row < 0, row % 12, row)
    top = n_pitches - 1
    folded = np.where(folded > top, top - (top - folded) % 12, folded)
    role, start, end, _, velocity, timing = notes.columns
    columns = (role, start, end, folded, velocity, timing)
    if (folded == row).all():
        return RollNotes.from_columns(columns, n_merged=notes.n_merged, n_folded=notes.n_folded)
    return merge(np.stack([column.astype(np.float64) for column in columns]), notes.n_folded)
