"""What timbre does in the making: a held-out note made again from its h, and the way from one instrument to another."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from audiogan.corpus.notes import hz_of
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.comparison import Row, mean_of, row
from audiogan.pipelines.waveform.descriptors import NAN, Array, log_mel, spectra_of
from audiogan.pipelines.waveform.encoding import Example, detailed
from audiogan.pipelines.waveform.held_out import HeldOut
from audiogan.pipelines.waveform.ladder import ladder
from audiogan.pipelines.waveform.listening import Judged, codes_of, found_row
from audiogan.pipelines.waveform.measuring import measure_made, sound
from audiogan.pipelines.waveform.obedience import Retrieval, retrieval, retrieval_among, way_of
from audiogan.pipelines.waveform.timbre import Timbre, dims_of, z_for
from audiogan.pipelines.waveform.timbre_vector import describe, mel_distance, place_of, scaled
from audiogan.pipelines.waveform.voice import Played, make_planes, represent

N_REBUILT, N_WAYS, N_RUNGS = 48, 12, 9
ENOUGH_STEP, ENOUGH_SMOOTH = 2.0, 0.8
SMOOTH = ("centroid_mean", "temporal_centroid")

# ---- making a recording again


def reconstruction_rows(asked: Judged) -> list[Row]:
    """Make held-out notes from their h, pitch and velocity; beside it the representation's own round trip."""
    codes, poor_codes = codes_of(asked.model, asked.held), codes_of(asked.poor, asked.held)
    if codes is None or poor_codes is None:
        return []
    k = min(asked.at_most(N_REBUILT, 8), len(codes))
    real, trip = _originals(asked, k)
    made = [_rebuilt(asked, model, h, k) for model, h in ((asked.model, codes), (asked.poor, poor_codes))]
    groups = asked.held.groups[:k]
    beside = _neighbours(asked.held, k)
    rows = []
    for form, i in (("log-mel, dB", 0), ("timbre vector", 1)):
        ours, poor, again = (_apart(asked, real, other, i) for other in (made[0], made[1], trip))
        neighbour = _apart(asked, [real[a] for a in beside[0]], [real[b] for b in beside[1]], i) if beside[0] else None
        enough = NAN if neighbour is None else float(neighbour.mean())
        note = "real: the representation's round trip"
        note += "" if neighbour is None else f"; the nearest other note of the instrument: {enough:.3g}"
        rows.append(
            row(
                "reconstruction", form, mean_of(ours, groups), mean_of(again, groups), float(poor.mean()),
                larger_is_better=False, enough=enough, n=k, n_real=k, note=note,
            )
        )  # fmt: skip
    return [*rows, _identity_row(asked, made[0], made[1], k)]


Taken = list[tuple[Array, Array]]
"""Log-mel spectrum and vector of each note."""


def _taken(asked: Judged, waveform: NDArray[np.float32], pitch: float) -> tuple[Array, Array]:
    rate = asked.model.config.sample_rate
    return log_mel(spectra_of(waveform, rate)), describe(waveform, rate, hz_of(pitch))


@torch.no_grad()
def _originals(asked: Judged, k: int) -> tuple[Taken, Taken]:
    """The first k real notes, and the same encoded and sounded once more."""
    config, real, trip = asked.model.config, [], []
    for planes, pitch in zip(asked.held.planes[:k], asked.held.pitch[:k].tolist(), strict=True):
        waveform = sound(config, planes, pitch)
        again = represent(config).encode(torch.from_numpy(waveform)[None], torch.tensor([hz_of(pitch)]))
        real.append(_taken(asked, waveform, pitch))
        trip.append(_taken(asked, sound(config, again[0].numpy(), pitch), pitch))
    return real, trip


def _rebuilt(asked: Judged, model: Model, codes: Array, k: int) -> Taken:
    z_dim = dims_of(model)[0]
    held = asked.held
    notes = [
        Played(
            Timbre(codes[i].astype(np.float32), z_for(z_dim, asked.seed, "reconstruction", i)),
            asked.into_range(held.pitch[i]),
            float(np.clip(held.velocity[i], 0, 1)),
        )
        for i in range(k)
    ]
    planes = make_planes(model, notes).numpy()
    return [
        _taken(asked, sound(model.config, made, note.pitch), note.pitch)
        for made, note in zip(planes, notes, strict=True)
    ]


def _apart(asked: Judged, first: Taken, second: Taken, view: int) -> Array:
    """Distance of pairs: of log-mel spectra in dB (view 0), or root mean square of scaled vectors (view 1)."""
    if view == 0:
        return np.array([mel_distance(a[0], b[0]) for a, b in zip(first, second, strict=True)])
    a, b = (scaled(np.stack([one[1] for one in taken]), asked.scaler) for taken in (first, second))
    return np.sqrt(((a - b) ** 2).mean(axis=1))


def _neighbours(held: HeldOut, k: int) -> tuple[list[int], list[int]]:
    """Pairs of places: each of the first k notes, and the nearest in pitch and velocity of its instrument."""
    pairs: tuple[list[int], list[int]] = ([], [])
    apart = np.abs(held.pitch[:k, None] - held.pitch[:k]) + 4 * np.abs(held.velocity[:k, None] - held.velocity[:k])
    apart[held.instrument[:k, None] != held.instrument[:k]] = np.inf
    np.fill_diagonal(apart, np.inf)
    for place in np.flatnonzero(np.isfinite(apart.min(axis=1))).tolist():
        pairs[0].append(place)
        pairs[1].append(int(apart[place].argmin()))
    return pairs


def _identity_row(asked: Judged, made: Taken, poor: Taken, k: int) -> Row:
    """Is what was made again nearest to a note of its instrument, its own recording left out?"""
    held = asked.held
    numbers = held.instrument[:k], held.pitch[:k]

    def look(vectors: Array) -> Retrieval:
        return retrieval_among(vectors, *numbers, asked.real, held.instrument, held.pitch, without_self=True)

    found, beside = (look(scaled(np.stack([one[1] for one in taken]), asked.scaler)) for taken in (made, poor))
    groups = held.groups[:k]
    return found_row(
        "reconstruction_retrieval", "timbre vector", found, groups, look(asked.real[:k]), groups, beside, "retrieval"
    )


# ---- between two


def way_rows(asked: Judged) -> list[Row]:
    """Go from one held-out instrument to another in nine sounds of one pitch: ends at home, even, and all one way."""
    pairs = _pairs(asked)
    if not pairs:
        return []
    found = [_ways(asked, model, pairs) for model in (asked.model, asked.poor)]
    rows = [
        row(
            f"way_{name}", "rank correlation", mean_of(found[0][0][:, 2 + i]),
            ceiling=mean_of(found[1][0][:, 2 + i]).value, enough=ENOUGH_SMOOTH, larger_is_better=True, n=len(pairs),
        )
        for i, name in enumerate(("brightness", "envelope"))
    ]  # fmt: skip
    for i, metric in enumerate(("way_largest_step", "way_length")):
        value, ceiling = mean_of(found[0][0][:, i]), mean_of(found[1][0][:, i]).value
        form = ("against the mean step", "against the straight way")[i]
        rows.append(
            row(metric, form, value, ceiling=ceiling, larger_is_better=False, enough=ENOUGH_STEP, n=len(pairs),
                note="1 is ideal")
        )  # fmt: skip
    ends = [ends for _, ends in found]
    if ends[0] is not None and ends[1] is not None:
        places = [place for pair in pairs for place in pair]
        groups, k = asked.held.instrument[places], len(asked.held.planes)
        real = retrieval(asked.real[:k], asked.held.instrument[:k], asked.held.pitch[:k])
        rows.append(
            found_row("way_ends_at_home", "timbre vector", ends[0], groups.tolist(), real, asked.held.groups[:k],
                       ends[1], "retrieval")
        )  # fmt: skip
    return rows


def _pairs(asked: Judged) -> list[tuple[int, int]]:
    """Places of notes of two instruments each, as near in pitch as they come."""
    held, k = asked.held, len(asked.held.planes)
    numbers = np.unique(held.instrument[:k])
    every = [(a, b) for place, a in enumerate(numbers) for b in numbers[place + 1 :]]
    order = np.random.default_rng(asked.seed).permutation(len(every))[: asked.at_most(N_WAYS, 2)]
    pairs = []
    for number in order:
        first, second = (np.flatnonzero(held.instrument[:k] == side) for side in every[number])
        apart = np.abs(held.pitch[first][:, None] - held.pitch[second])
        a, b = np.unravel_index(int(apart.argmin()), apart.shape)
        pairs.append((int(first[a]), int(second[b])))
    return pairs


def _end(model: Model, held: HeldOut, codes: Array | None, place: int, z: NDArray[np.float32]) -> Timbre:
    """The timbre of a held-out note, as a user's recording gives it: with what the model's own sound lacks."""
    if codes is None:
        return Timbre(None, z)
    planes = torch.from_numpy(held.planes[place].astype(np.float32))[None]
    example = Example(planes, torch.tensor([float(held.pitch[place])]), 1.0)
    return detailed(model, Timbre(codes[place].astype(np.float32), z), [example])


def _ways(asked: Judged, model: Model, pairs: Sequence[tuple[int, int]]) -> tuple[Array, Retrieval | None]:
    """Return `(pair, 4)` facts of the ladders, and whether ends are nearest to their own instrument."""
    held, columns = asked.held, (place_of(SMOOTH[0]), place_of(SMOOTH[1]))
    codes, z_dim = codes_of(model, held), dims_of(model)[0]
    facts, ends = [], []
    for number, pair in enumerate(pairs):
        z = [z_for(z_dim, asked.seed, "way", number, end if codes is None else 0) for end in range(2)]
        first, second = (_end(model, held, codes, place, z[end]) for end, place in enumerate(pair))
        pitch = asked.into_range(float(held.pitch[list(pair)].mean().round()))
        way = ladder(model, first, second, np.linspace(0, 1, N_RUNGS).tolist(), pitch, 0.8)
        notes = [Played(timbre, pitch, 0.8) for timbre in way]
        vectors = scaled(measure_made(model, notes).vectors, asked.scaler)
        found = way_of(vectors, columns)
        facts.append((found.largest, found.length, *found.monotone))
        ends += [vectors[0], vectors[-1]]
    if codes is None:
        return np.array(facts), None
    places = np.array(pairs).reshape(-1)
    found = retrieval_among(
        np.stack(ends), held.instrument[places], held.pitch[places], asked.real, held.instrument, held.pitch,
        without_self=False,
    )  # fmt: skip
    return np.array(facts), found
