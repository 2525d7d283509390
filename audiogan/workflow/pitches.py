"""Pitches and velocities as people write them: `60`, `C4`, `60.5`, `48-72`, `C3-C5`, `60,64,67`."""

import re
from collections.abc import Sequence

from audiogan.errors import UsageError

Pitches = float | str | Sequence[float | str]

LOWEST, HIGHEST = 0.0, 127.0
MOST = 128
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
_KEY = re.compile(r"([A-Ga-g])([#♯b♭]?)(-1|\d)")
_NUMBER = re.compile(r"\d{1,3}(\.\d+)?")
_ONE = r"(?:[A-Ga-g][#♯b♭]?(?:-1|\d)|\d{1,3}(?:\.\d+)?)"
_RANGE = re.compile(rf"({_ONE})\s*-\s*({_ONE})")


def read_pitch(text: float | str) -> float:
    """Return the MIDI pitch that a number or a name means; C4 is 60.

    Raises:
        UsageError: Neither, or outside 0 to 127.

    Example:
        >>> read_pitch("C4"), read_pitch("Bb-1"), read_pitch("60.5"), read_pitch(72)
        (60.0, 10.0, 60.5, 72.0)
    """
    written = str(text).strip()
    key = _KEY.fullmatch(written)
    if key:
        pitch = float(12 * (int(key[3]) + 1) + _STEPS[key[1].upper()] + _SIGNS[key[2]])
    elif _NUMBER.fullmatch(written):
        pitch = float(written)
    else:
        raise UsageError(f"pitch {written!r}; expected MIDI 0 to 127 or a name, for example 60, 60.5 or C4")
    if not LOWEST <= pitch <= HIGHEST:
        raise UsageError(f"pitch {written!r}; expected MIDI 0 to 127, where C4 is 60")
    return pitch


def read_pitches(pitches: Pitches | None, count: int | None) -> list[float] | None:
    """Return one pitch per note.

    Args:
        pitches: One, several (`"60,64,67"`), or a range (`"48-72"`, also `"C3-C5"`); None for none in particular.
        count: Notes; None for one per pitch that is named. Several pitches are taken in turn; a range has every key,
            or with fewer notes than keys, keys spread evenly from its lowest to its highest.

    Raises:
        UsageError: Not pitches.

    Example:
        >>> read_pitches("48-60", 3), read_pitches("C4-D4", None), read_pitches("60,64", 3)
        ([48.0, 54.0, 60.0], [60.0, 61.0, 62.0], [60.0, 64.0, 60.0])
    """
    if pitches is None:
        return None
    one = str(pitches) if isinstance(pitches, str | int | float) else None
    found = _RANGE.fullmatch(one.strip()) if one else None
    if found:
        return _range(read_pitch(found[1]), read_pitch(found[2]), str(one), count)
    parts = one.split(",") if one is not None else list(pitches) if isinstance(pitches, Sequence) else []
    if not 1 <= len(parts) <= MOST:
        raise UsageError(f"{len(parts)} pitches; expected 1 to {MOST}")
    values = [read_pitch(part) for part in parts]
    return [values[number % len(values)] for number in range(count or len(values))]


def _range(low: float, high: float, text: str, count: int | None) -> list[float]:
    if low > high:
        raise UsageError(f"pitch {text!r}; expected the lower end first, for example 48-72")
    keys = [low + step for step in range(int(high - low) + 1)]
    if count is None or count >= len(keys):
        return [keys[number % len(keys)] for number in range(count or len(keys))]
    return [keys[round(number * (len(keys) - 1) / max(count - 1, 1))] for number in range(count)]


def read_velocity(velocity: float | None) -> float | None:
    """Return a velocity in 0 to 1; above 1 it is taken as MIDI's 1 to 127.

    Raises:
        UsageError: Not above 0, or above 127.

    Example:
        >>> read_velocity(0.5), read_velocity(127)
        (0.5, 1.0)
    """
    if velocity is None:
        return None
    if not 0 < velocity <= 127:
        raise UsageError(f"velocity {velocity:g}; expected above 0 up to 1, or a MIDI velocity up to 127")
    return velocity if velocity <= 1 else velocity / 127
