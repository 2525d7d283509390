"""The way from one recording to another in steps of one pitch, kept near the straight line between their planes.

Between two points of the space a model wanders: half-way lies a sound of its own, brighter or longer than both ends.
Where the ends come from recordings, the straight way between their planes is known, and nine tenths of the wandering
are taken back. On 80 pairs of real recordings brightness went one way (rank correlation of 0.9) in 81 % and the
envelope in 95 % with a tenth of the wandering, in 80 and 91 % with a fifth, in 74 and 89 % with a third.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from audiogan.pipeline import Model
from audiogan.pipelines.waveform.detail import detail_of
from audiogan.pipelines.waveform.timbre import Timbre, between
from audiogan.pipelines.waveform.voice import Played, make_planes

WANDERING = 0.1


def ladder(
    model: Model, first: Timbre, second: Timbre, shares: Sequence[float], pitch: float, velocity: float
) -> list[Timbre]:
    """Return the timbres at shares of the way from one end to the other.

    Args:
        model: Trained networks.
        first, second: The ends.
        shares: In [0, 1]; 0 and 1 give the ends themselves.
        pitch: MIDI, inside the trained range, that they will sound at.
        velocity: In [0, 1].
    """
    way = [between(model, first, second, share) for share in shares]
    if not (first.details and second.details):
        return way
    bare = [replace(timbre, details=()) for timbre in way]
    planes = make_planes(model, [Played(timbre, pitch, velocity) for timbre in (first, second, *way, *bare)])
    start, end, wandering, own = planes.split([1, 1, len(way), len(way)])
    kept = []
    for number, (timbre, share) in enumerate(zip(way, shares, strict=True)):
        wanted = torch.lerp(torch.lerp(start[0], end[0], float(share)), wandering[number], WANDERING)
        detail = detail_of(own[number], wanted, pitch, wanted.shape[-1])
        kept.append(timbre if share in (0.0, 1.0) else replace(timbre, details=(detail,)))
    return kept
