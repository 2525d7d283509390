"""The pitch that a file name tells: `C4`, `Bb3`, `A#2`, `060`, `_60_`, and NSynth's `-060-100`."""

import re
from typing import NamedTuple

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"": 0, "#": 1, "s": 1, "♯": 1, "b": -1, "♭": -1}
# A letter stands alone, or as a capital after a small letter (FluteD5); `C-1` only where no name goes before the minus.
_NOTE = re.compile(r"(?:(?<![A-Za-z0-9#])|(?<=[a-z])(?=[A-G]))([A-Ga-g])([#♯♭sb]?)(-1|\d)(?![0-9A-Za-z])")
_NSYNTH = re.compile(r"(?:^|[-_])(\d{3})-(\d{3})$")
_NUMBER = re.compile(r"(?<![0-9A-Za-z.])(\d{2,3})(?![0-9A-Za-z])")
_LOWEST_NUMBER = 12
_LOWEST_SHORT_NUMBER = 21  # two digits: below the piano, they count takes


class NamedPitch(NamedTuple):
    """What a name tells: MIDI pitch, velocity from 0 to 1 where it is told, and the name without them."""

    pitch: int
    velocity: float | None
    rest: str


def parse_pitch(stem: str, middle_c: int = 4) -> NamedPitch | None:
    """Find the pitch in the name of a file.

    Args:
        stem: Name without folder and suffix.
        middle_c: Octave number of MIDI pitch 60: 4 in science, 3 with some makers.

    Returns:
        `None` where no pitch is told, or several could be meant.

    Example:
        >>> parse_pitch("violin_Bb3_soft")
        NamedPitch(pitch=58, velocity=None, rest='violin_soft')
        >>> parse_pitch("bass_synthetic_033-022-050").pitch
        22
        >>> parse_pitch("take 01") is None
        True
    """
    found = _NSYNTH.search(stem)
    if found and int(found[1]) <= 127 and 1 <= int(found[2]) <= 127:
        return NamedPitch(int(found[1]), int(found[2]) / 127, stem[: found.start()])
    notes = list(_NOTE.finditer(stem))
    if notes:
        return _of_notes(notes, stem, middle_c)
    numbers = [match for match in _NUMBER.finditer(stem) if _is_key(match[1])]
    if len({match[1] for match in numbers}) != 1:
        return None
    return NamedPitch(int(numbers[0][1]), None, _without(stem, numbers[0]))


def _of_notes(notes: list[re.Match[str]], stem: str, middle_c: int) -> NamedPitch | None:
    pitches = {_pitch(match, middle_c) for match in notes}
    last = notes[-1]
    pitch = _pitch(last, middle_c)
    return NamedPitch(pitch, None, _without(stem, last)) if len(pitches) == 1 and 0 <= pitch <= 127 else None


def _pitch(match: re.Match[str], middle_c: int) -> int:
    letter, sign, octave = match.groups()
    return 60 + 12 * (int(octave) - middle_c) + _STEPS[letter.upper()] + _SIGNS[sign]


def _is_key(digits: str) -> bool:
    lowest = _LOWEST_NUMBER if len(digits) == 3 else _LOWEST_SHORT_NUMBER
    return lowest <= int(digits) <= 127


def _without(stem: str, match: re.Match[str]) -> str:
    rest = stem[: match.start()] + stem[match.end() :]
    return re.sub(r"([-_ .])[-_ .]+", r"\1", rest).strip("-_ .")
