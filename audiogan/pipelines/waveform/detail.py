"""What the model's own sound lacks against a recording, carried along with its timbre.

A point in the space says what a model can say of an instrument; the rest, the difference of its planes from those of
the recording, is kept coarsely in time and added again whenever the timbre sounds. Partials keep their number at other
pitches, and the difference of amplitudes fades with the distance: between notes of 20 real instruments it brings planes
nearer to the other note's by a quarter when they lie within four semitones, by a fifth within sixteen, and beyond two
octaves a full difference would do harm. What is no amplitude is taken as the recording has it: where a model plays a
partial weakly, its deviations are noise, which would sound once the partial is made loud.
"""

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

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
MOST_DETAILS = 16
N_PLANES = 3
_KEYS = frozenset({"pitch", "weight", "values"})


@dataclass(frozen=True, eq=False)
class Detail:
    """A difference of planes.

    Args:
        values: `(3, row, 1 + knot)` int8 in steps of 1/63, knots even over the frames: differences of amplitudes (plane
            0) and noise bands (2), deviations (1) and the head (column 0) as they are.
        pitch: MIDI pitch of the recording.
        weight: How much of it sounds, 0 to 1.
    """

    values: NDArray[np.int8] = field(repr=False)
    pitch: float
    weight: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values, exact; the numbers as base64 text."""
        text = base64.b64encode(self.values.tobytes()).decode("ascii")
        return {"pitch": self.pitch, "weight": self.weight, "values": text}


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
        details: Their weights sum to 1 at most.
        pitch: MIDI, of the note.
        mask: `(3, row, 1)`, 1 where cells mean something, else 0.
    """
    if not details:
        return planes
    added, kept = planes.clone(), planes * (1.0 - sum(detail.weight for detail in details))
    for detail in details:
        values = STEP * torch.from_numpy(detail.values.astype(np.float32))
        fine = F.interpolate(values[..., 1:], size=planes.shape[-1] - 1, mode="linear", align_corners=False)
        values = torch.cat([values[..., :1], fine], dim=-1)
        kept = kept + detail.weight * values
        added = added + detail.weight * math.exp(-abs(pitch - detail.pitch) / FADE_SEMITONES) * values
    changed = torch.cat([kept[..., :1], added[..., 1:]], dim=-1)
    changed[DEVIATIONS] = kept[DEVIATIONS]
    return torch.where(mask > 0.5, changed.clamp(-1.0, 1.0), planes)


def mixed(first: Sequence[Detail], second: Sequence[Detail], share: float) -> tuple[Detail, ...]:
    """Return the details at `share` in [0, 1] of the way from one timbre to another; at most 16, the weightiest."""
    weighted = [
        replace(detail, weight=detail.weight * part)
        for details, part in ((first, 1 - share), (second, share))
        for detail in details
        if detail.weight * part > 0
    ]
    return tuple(sorted(weighted, key=lambda detail: -detail.weight)[:MOST_DETAILS])


def parse_detail(found: object) -> Detail:
    """Read what `as_json` gave, of unknown origin.

    Raises:
        ValueError: What was expected.
    """
    if not isinstance(found, Mapping) or set(found) != _KEYS:
        raise ValueError(f"a detail; expected an object with {', '.join(sorted(_KEYS))}")
    pitch, weight, text = found["pitch"], found["weight"], found["values"]
    if not _is_number(pitch, 0, 127) or not _is_number(weight, 0, 1):
        raise ValueError("pitch and weight of a detail; expected 0 to 127 and 0 to 1")
    try:
        values = np.frombuffer(base64.b64decode(text if isinstance(text, str) else "?", validate=True), np.int8)
    except (binascii.Error, ValueError):
        raise ValueError("values of a detail; expected base64 text") from None
    rows, odd = divmod(len(values), N_PLANES * (1 + N_KNOTS))
    if odd or not rows:
        raise ValueError(f"{len(values)} values of a detail; expected whole rows of {N_PLANES} x {1 + N_KNOTS}")
    return Detail(values.reshape(N_PLANES, rows, 1 + N_KNOTS).copy(), float(pitch), float(weight))


def _is_number(value: object, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high  # pyright: ignore[reportOperatorIssue]
