"""What the model's own sound lacks against a recording, carried along with its timbre.

A point in the space says what a model can say of an instrument; the rest, the difference of its planes from those of
the recording, is kept coarsely in time and added again whenever the timbre sounds. Partials keep their number at other
pitches, and the difference of amplitudes fades with the distance: between notes of 20 real instruments it brings planes
nearer to the other note's by a quarter when they lie within four semitones, by a fifth within sixteen, and beyond two
octaves a full difference would do harm. What is no amplitude is taken as the recording has it: where a model plays a
partial weakly, its deviations are noise, which would sound once the partial is made loud.

Several recordings of one instrument make one group. Between two of them their differences are blended by pitch and
nothing fades: on 288 notes of 23 instruments of a font that the model never saw, between two others 4 to 9 semitones
away on either side, that left 55 to 66 % of the error of the planes, where the better one alone left 65 to 75 %. What
is no amplitude comes from the nearest.
"""

import base64
import binascii
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

N_KNOTS = 64
DEVIATIONS = 1
FADE_SEMITONES = 24.0
AUDIBLE = 0.2  # of an amplitude plane above silence: -60 dB
STEP = 1 / 63  # of a plane, which spans -1 to 1, so that every difference can be written
TAIL_FRAMES = 8
MOST_DETAILS = 32
NEARER = 0.5
N_PLANES = 3
_KEYS = frozenset({"pitch", "weight", "values"})
_MORE_KEYS = frozenset({"group"})


@dataclass(frozen=True, eq=False)
class Detail:
    """A difference of planes.

    Args:
        values: `(3, row, 1 + knot)` int8 in steps of 1/63, knots even over the frames: differences of amplitudes (plane
            0) and noise bands (2), deviations (1) and the head (column 0) as they are.
        pitch: MIDI pitch of the recording.
        weight: How much of its group sounds, 0 to 1, the same for all of a group.
        group: Number of the set of recordings that it belongs to, 0 and up.
    """

    values: NDArray[np.int8] = field(repr=False)
    pitch: float
    weight: float = 1.0
    group: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values, exact; the numbers as base64 text."""
        text = base64.b64encode(self.values.tobytes()).decode("ascii")
        return {"pitch": self.pitch, "weight": self.weight, "group": self.group, "values": text}


class Share(NamedTuple):
    """How much of a detail sounds at a pitch: of its differences, and of what it keeps as it is."""

    detail: Detail
    added: float
    kept: float


def groups_of(details: Sequence[Detail]) -> list[list[Detail]]:
    """Return details group by group, each from low to high."""
    ordered = sorted(details, key=lambda detail: (detail.group, detail.pitch))
    return [list(group) for _, group in groupby(ordered, key=lambda detail: detail.group)]


def total_weight(details: Sequence[Detail]) -> float:
    """Return how much all groups weigh together."""
    return sum(group[0].weight for group in groups_of(details))


def shares_at(details: Sequence[Detail], pitch: float) -> list[Share]:
    """Return what sounds of the details at a MIDI pitch: of every group the two around it, or the one at its end.

    Example:
        >>> values = np.zeros((3, 1, 1 + N_KNOTS), np.int8)
        >>> low, high = Detail(values, 60.0), Detail(values, 64.0)
        >>> [(share.detail.pitch, share.added, share.kept) for share in shares_at([high, low], 63.0)]
        [(60.0, 0.25, 0.0), (64.0, 0.75, 1.0)]
    """
    shares = []
    for group in groups_of(details):
        place = bisect_right([detail.pitch for detail in group], pitch)
        if 0 < place < len(group):
            low, high = group[place - 1 : place + 1]
            part = (pitch - low.pitch) / (high.pitch - low.pitch)
            shares.append(Share(low, low.weight * (1 - part), low.weight * float(part < NEARER)))
            shares.append(Share(high, high.weight * part, high.weight * float(part >= NEARER)))
        else:
            (only,) = group[:1] if place == 0 else group[-1:]
            fade = math.exp(-abs(pitch - only.pitch) / FADE_SEMITONES)
            shares.append(Share(only, only.weight * fade, only.weight))
    return shares


def detail_of(made: Tensor, wanted: Tensor, pitch: float, last_frame: int) -> Detail:
    """Return what planes lack.

    Deviations and the head of a partial are the recording's where it can be heard there, else the model's.

    Args:
        made: `(3, row, 1 + frame)` `harmonic` planes of the model, at the pitch and timbre of the recording.
        wanted: Those of the recording.
        pitch: MIDI, 0 to 127; beyond it counts as the nearest.
        last_frame: Where the recording was let go; from there on the difference stays as it was shortly before.
    """
    loud = (wanted[0, :, 1:].mean(dim=-1, keepdim=True) + 1).clamp(min=0)  # (row, 1), 0 to 2
    trust = (loud / AUDIBLE).clamp(max=1.0)
    blended = torch.lerp(made, wanted, trust)
    apart = wanted - made
    apart[DEVIATIONS] = blended[DEVIATIONS]
    frames = apart[..., 1:].clone()
    last = min(max(0, last_frame), frames.shape[-1] - 1)
    frames[..., last + 1 :] = frames[..., max(0, last - TAIL_FRAMES) : last + 1].mean(dim=-1, keepdim=True)
    knots = F.adaptive_avg_pool1d(frames.flatten(0, 1), N_KNOTS).unflatten(0, frames.shape[:2])
    values = (torch.cat([blended[..., :1], knots], dim=-1) / STEP).round().clamp(-127, 127)
    return Detail(values.to(torch.int8).numpy(), min(max(pitch, 0.0), 127.0))


def with_details(planes: Tensor, details: Sequence[Detail], pitch: float, mask: Tensor) -> Tensor:
    """Return planes with details, by their weights; differences count less at pitches far from their own.

    Args:
        planes: `(3, row, 1 + frame)` of the model.
        details: The weights of their groups sum to 1 at most.
        pitch: MIDI, of the note.
        mask: `(3, row, 1)`, 1 where cells mean something, else 0.
    """
    if not details:
        return planes
    added, kept = planes.clone(), planes * (1.0 - total_weight(details))
    for share in shares_at(details, pitch):
        values = STEP * torch.from_numpy(share.detail.values.astype(np.float32))
        fine = F.interpolate(values[..., 1:], size=planes.shape[-1] - 1, mode="linear", align_corners=False)
        values = torch.cat([values[..., :1], fine], dim=-1)
        kept = kept + share.kept * values
        added = added + share.added * values
    changed = torch.cat([kept[..., :1], added[..., 1:]], dim=-1)
    changed[DEVIATIONS] = kept[DEVIATIONS]
    return torch.where(mask > 0.5, changed.clamp(-1.0, 1.0), planes)


def mixed(first: Sequence[Detail], second: Sequence[Detail], share: float) -> tuple[Detail, ...]:
    """Return the details at `share` in [0, 1] of the way from one timbre to another.

    Of more than `MOST_DETAILS` the lightest groups are left out, the weightiest of all stays.
    """
    n_groups = 1 + max((detail.group for detail in first), default=-1)
    weighted = [
        replace(detail, weight=detail.weight * part, group=detail.group + later)
        for details, part, later in ((first, 1 - share, 0), (second, share, n_groups))
        for detail in details
        if detail.weight * part > 0
    ]
    kept: list[Detail] = []
    for group in sorted(groups_of(weighted), key=lambda group: -group[0].weight):
        if not kept or len(kept) + len(group) <= MOST_DETAILS:
            kept += group
    numbers = {group: number for number, group in enumerate(sorted({detail.group for detail in kept}))}
    return tuple(replace(detail, group=numbers[detail.group]) for detail in kept)


def parse_details(found: object) -> tuple[Detail, ...]:
    """Read the details of a timbre, of unknown origin.

    Raises:
        ValueError: What was expected.
    """
    if not isinstance(found, list) or len(found) > MOST_DETAILS:
        raise ValueError(f"details; expected a list of at most {MOST_DETAILS}")
    details = tuple(parse_detail(one, number) for number, one in enumerate(found))
    for group in groups_of(details):
        if len({detail.weight for detail in group}) > 1 or len({detail.pitch for detail in group}) < len(group):
            raise ValueError("details of a group; expected one weight, and pitches that differ")
    if total_weight(details) > 1 + 1e-6:
        raise ValueError("weights of the details; expected at most 1 together")
    return details


def parse_detail(found: object, number: int = 0) -> Detail:
    """Read what `as_json` gave, of unknown origin.

    Args:
        found: What the file holds.
        number: The group of a detail that names none.

    Raises:
        ValueError: What was expected.
    """
    if not isinstance(found, Mapping) or set(found) - _MORE_KEYS != _KEYS:
        raise ValueError(f"a detail; expected an object with {', '.join(sorted(_KEYS))}")
    pitch, weight, text, group = found["pitch"], found["weight"], found["values"], found.get("group", number)
    if not _is_number(pitch, 0, 127) or not _is_number(weight, 0, 1):
        raise ValueError("pitch and weight of a detail; expected 0 to 127 and 0 to 1")
    if type(group) is not int or not 0 <= group < MOST_DETAILS:
        raise ValueError(f"group of a detail; expected a whole number from 0 to {MOST_DETAILS - 1}")
    try:
        values = np.frombuffer(base64.b64decode(text if isinstance(text, str) else "?", validate=True), np.int8)
    except (binascii.Error, ValueError):
        raise ValueError("values of a detail; expected base64 text") from None
    rows, odd = divmod(len(values), N_PLANES * (1 + N_KNOTS))
    if odd or not rows:
        raise ValueError(f"{len(values)} values of a detail; expected whole rows of {N_PLANES} x {1 + N_KNOTS}")
    return Detail(values.reshape(N_PLANES, rows, 1 + N_KNOTS).copy(), float(pitch), float(weight), group)


def _is_number(value: object, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high  # pyright: ignore[reportOperatorIssue]
