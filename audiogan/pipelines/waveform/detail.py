"""What the model's own sound lacks against a recording, carried along with its timbre.

A point in the space says what a model can say of an instrument; the rest, the difference of its planes from those of
the recording, is kept coarsely in time and added again whenever the timbre sounds. Partials keep their number at other
pitches and the difference fades with the distance: on 590 pairs of notes of 20 real instruments, up to an octave
apart, planes come nearer to the other note's by 13 to 24 %, and beyond two octaves a full difference would do harm.
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

N_KNOTS = 32
KEPT_PLANES = (0, 2)  # amplitudes and noise bands; deviations and phases are those of one note
FADE_SEMITONES = 24.0
STEP = 0.01  # of a plane, which spans -1 to 1
TAIL_FRAMES = 8
MOST_DETAILS = 16
_KEYS = frozenset({"pitch", "weight", "values"})


@dataclass(frozen=True, eq=False)
class Detail:
    """A difference of planes.

    Args:
        values: `(plane, row, knot)` int8 in steps of 0.01: amplitudes and noise bands at knots even over the frames.
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

    Args:
        made: `(3, row, 1 + frame)` `harmonic` planes of the model, at the pitch and timbre of the recording.
        wanted: Those of the recording.
        pitch: MIDI.
        last_frame: Where the recording was let go; from there on the difference stays as it was shortly before.
    """
    apart = (wanted - made)[list(KEPT_PLANES), :, 1:].clone()
    last = min(max(0, last_frame), apart.shape[-1] - 1)
    tail = apart[..., max(0, last - TAIL_FRAMES) : last + 1].mean(dim=-1, keepdim=True)
    apart[..., last + 1 :] = tail
    knots = F.adaptive_avg_pool1d(apart.flatten(0, 1), N_KNOTS).unflatten(0, apart.shape[:2])
    return Detail((knots / STEP).round().clamp(-127, 127).to(torch.int8).numpy(), pitch)


def with_details(planes: Tensor, details: Sequence[Detail], pitch: float, mask: Tensor) -> Tensor:
    """Return planes with differences added, less of them at pitches far from their own.

    Args:
        planes: `(3, row, 1 + frame)` of the model.
        details: Added by their weights.
        pitch: MIDI, of the note.
        mask: `(3, row, 1)`, 1 where cells mean something, else 0.
    """
    if not details:
        return planes
    kept = list(KEPT_PLANES)
    added = planes.new_zeros(len(kept), planes.shape[1], N_KNOTS)
    for detail in details:
        share = detail.weight * math.exp(-abs(pitch - detail.pitch) / FADE_SEMITONES)
        added += share * STEP * torch.from_numpy(detail.values.astype(np.float32))
    fine = F.interpolate(added, size=planes.shape[-1] - 1, mode="linear", align_corners=False)
    changed = planes.clone()
    changed[kept, :, 1:] = (planes[kept, :, 1:] + fine * mask[kept]).clamp(-1.0, 1.0)
    return changed


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
    rows, odd = divmod(len(values), len(KEPT_PLANES) * N_KNOTS)
    if odd or not rows:
        raise ValueError(f"{len(values)} values of a detail; expected whole rows of {len(KEPT_PLANES)} x {N_KNOTS}")
    return Detail(values.reshape(len(KEPT_PLANES), rows, N_KNOTS).copy(), float(pitch), float(weight))


def _is_number(value: object, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high  # pyright: ignore[reportOperatorIssue]
