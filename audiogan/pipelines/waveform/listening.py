"""Does a model do what it is told? Tuning and velocity of its notes, and what its encoder hears in real ones.

Each question lets the model make the notes that it needs, and sets beside them what real notes and what an
untrained model score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from audiogan.evaluation.distances import NOTHING, Scaler
from audiogan.evaluation.intervals import Interval, bootstrap_weights, clopper_pearson, percentiles, sum_by_group
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.comparison import Row, mean_of, row
from audiogan.pipelines.waveform.descriptors import NAN, Array
from audiogan.pipelines.waveform.encoder import TimbreEncoder
from audiogan.pipelines.waveform.held_out import HeldOut
from audiogan.pipelines.waveform.intonation import Tuning, judges
from audiogan.pipelines.waveform.measuring import Measures, measure, measure_made
from audiogan.pipelines.waveform.obedience import (
    Leak,
    Retrieval,
    pitch_leak,
    retrieval,
    velocity_obeyed,
)
from audiogan.pipelines.waveform.timbre import random_timbre
from audiogan.pipelines.waveform.timbre_vector import place_of, scaled
from audiogan.pipelines.waveform.voice import Played

N_POOR = 256
N_TUNED, N_POOR_TUNED, N_REAL_TUNED = 160, 48, 160
N_VELOCITIES, N_VELOCITY_TIMBRES = 5, 24
FAR_SEMITONES = 4.0
ENOUGH_IN_TUNE, ENOUGH_OCTAVES, ENOUGH_LEAK = 0.95, 0.02, 0.1


@dataclass(frozen=True, eq=False)
class Judged:
    """What all questions are asked of.

    Args:
        model, poor: The model, and the same networks untrained.
        held: Real notes.
        scaler: Of the vectors.
        seed: The same seed makes the same notes.
        count: Notes of the whole evaluation, which bounds each question.
    """

    model: Model
    poor: Model
    held: HeldOut
    scaler: Scaler
    seed: int
    count: int

    def at_most(self, n: int, least: int = 4) -> int:
        """Return a number of items that suits `count`."""
        return max(least, min(n, self.count // 4))

    def into_range(self, pitch: float) -> float:
        """Return a pitch the model was trained on, nearest to one."""
        return float(np.clip(pitch, self.model.config.lowest_pitch, self.model.config.highest_pitch))

    @cached_property
    def real(self) -> Array:
        """`(note, descriptor)` of real notes, scaled."""
        return scaled(self.held.vectors, self.scaler)

    @cached_property
    def made_notes(self) -> list[Played]:
        """`count` notes of random timbres, at pitches and velocities of real notes."""
        return self._notes(self.model, self.count)

    @cached_property
    def made(self) -> Measures:
        """What `made_notes` sound like, made once for all questions about sets."""
        return measure_made(self.model, self.made_notes, with_features=True)

    @cached_property
    def poor_made(self) -> Measures:
        """The first of the same of the untrained model, `N_POOR` at most."""
        return measure_made(self.poor, self._notes(self.poor, min(self.count, N_POOR)), with_features=True)

    def _notes(self, model: Model, n_notes: int) -> list[Played]:
        held, rng = self.held, np.random.default_rng(self.seed)
        turns = -(-n_notes // len(held))
        chosen = np.concatenate([rng.permutation(len(held)) for _ in range(turns)])[:n_notes]
        return [
            Played(
                random_timbre(model, self.seed, number),
                self.into_range(float(held.pitch[place])),
                float(np.clip(held.velocity[place], 0.0, 1.0)),
            )
            for number, place in enumerate(chosen.tolist())
        ]


# ---- tuning


def tuning_rows(asked: Judged) -> list[Row]:
    """Ask for keys and quarter-tones over the whole range, and let every judge say whether they came."""
    low, high = asked.model.config.lowest_pitch, asked.model.config.highest_pitch
    each = max(2, asked.at_most(N_TUNED, 8) // 2)
    keys = np.unique(np.linspace(low, high, min(each, high - low + 1)).round())
    asks = {"keys": keys, "quarter-tones": keys[:-1] + 0.5 if len(keys) > 1 else keys + 0.5}
    chosen = slice(0, N_REAL_TUNED)
    held = asked.held
    pitches = held.pitch[: len(held.planes)][chosen]
    heard = measure(asked.model.config, held.planes[chosen], pitches, judges()).tunings
    rows = []
    for form, pitch in asks.items():
        made = measure_made(asked.model, _notes(asked.model, pitch, asked.seed), judges()).tunings
        few = pitch[np.unique(np.linspace(0, len(pitch) - 1, min(N_POOR_TUNED, len(pitch))).astype(int))]
        poor = measure_made(asked.poor, _notes(asked.poor, few, asked.seed), judges()).tunings
        for judge, found in made.items():
            rows += _tuning(f"{form}, {judge}", found, heard[judge], poor[judge], held.groups)
    return rows


def _notes(model: Model, pitches: Array, seed: int) -> list[Played]:
    return [Played(random_timbre(model, seed, i), float(pitch), 0.8) for i, pitch in enumerate(pitches)]


def _tuning(
    form: str,
    made: Sequence[Tuning | None],
    real: Sequence[Tuning | None],
    poor: Sequence[Tuning | None],
    instruments: Sequence[int],
) -> list[Row]:
    told = [one for one in made if one is not None]
    if not told:
        return []
    rows = []
    for metric, larger, enough in (("is_in_tune", True, ENOUGH_IN_TUNE), ("is_octave_off", False, ENOUGH_OCTAVES)):
        ours = clopper_pearson(sum(getattr(one, metric) for one in told), len(told))
        reals, poors = (np.array([NAN if one is None else getattr(one, metric) for one in x]) for x in (real, poor))
        n_real = int(np.isfinite(reals).sum())
        rows.append(
            row(
                {"is_in_tune": "in_tune", "is_octave_off": "octave_errors"}[metric], form, ours,
                mean_of(reals, instruments[: len(reals)]), mean_of(poors).value,
                larger_is_better=larger, enough=enough, n=len(told), n_real=n_real,
            )
        )  # fmt: skip
    return rows


# ---- velocity


def velocity_rows(asked: Judged) -> list[Row]:
    """Play one note of each of several timbres at rising velocities: does it become brighter?

    The level is not asked for: planes are of levelled notes, and it is our own gain that makes them louder.
    """
    held = asked.held
    low, high = np.percentile(held.velocity, [5, 95])
    low, high = (low, high) if high - low > 0.2 else (0.2, 1.0)
    ours, poor = (_velocity(asked, model, np.linspace(low, high, N_VELOCITIES)) for model in (asked.model, asked.poor))
    same_note = held.instrument * 1000 + held.pitch.round().astype(np.int64)
    real, notes = velocity_obeyed(held.velocity, held.vectors[:, place_of("centroid_mean")], same_note)
    return [
        row(
            "velocity_brightness", "rank correlation", mean_of(ours), mean_of(real, (notes // 1000).tolist()),
            mean_of(poor).value, larger_is_better=True, n=len(ours), n_real=len(real),
            note="" if len(real) else "no real note at three velocities",
        )
    ]  # fmt: skip


def _velocity(asked: Judged, model: Model, velocities: Array) -> Array:
    """Rank correlation of velocity with brightness, by timbre."""
    n = asked.at_most(N_VELOCITY_TIMBRES)
    pitches = np.random.default_rng(asked.seed).choice(asked.held.pitch, n)
    timbres = [random_timbre(model, asked.seed, i) for i in range(n)]
    notes = [
        Played(timbre, asked.into_range(pitch), float(velocity))
        for timbre, pitch in zip(timbres, pitches, strict=True)
        for velocity in velocities
    ]
    made = measure_made(model, notes)
    velocity, group = np.tile(velocities, n), np.repeat(np.arange(n), len(velocities))
    return velocity_obeyed(velocity, made.vectors[:, place_of("centroid_mean")], group)[0]


# ---- the encoder


def encoder_rows(asked: Judged) -> list[Row]:
    """Encode held-out notes: does h find other notes of its instrument, and does it give the pitch away?"""
    ours, poor = (codes_of(model, asked.held) for model in (asked.model, asked.poor))
    if ours is None or poor is None:
        return []
    held, k = asked.held, len(ours)
    instrument, pitch, groups = held.instrument[:k], held.pitch[:k], held.groups[:k]
    rows = []
    for form, far in (("any other note", 0.0), (f"{FAR_SEMITONES:g} semitones away or more", FAR_SEMITONES)):
        found, beside, by_vector = (
            retrieval(codes, instrument, pitch, least_semitones=far) for codes in (ours, poor, asked.real[:k])
        )
        rows.append(
            found_row("timbre_retrieval", f"h, {form}", found, groups, by_vector, groups, beside, "timbre vector")
        )
    for form, within in (("within instruments", True), ("across instruments", False)):
        if len(set(groups)) >= 2:
            leaks = [pitch_leak(codes, pitch, instrument, within=within) for codes in (ours, poor)]
            rows.append(
                row(
                    "pitch_leak", form, _leak(leaks[0], groups, asked.seed), NOTHING, leaks[1].share,
                    larger_is_better=False, enough=ENOUGH_LEAK, is_judged=within, n=k,
                    note="R² of a linear probe on instruments new to it",
                )
            )  # fmt: skip
    return rows


@torch.no_grad()
def codes_of(model: Model, held: HeldOut) -> Array | None:
    """Return h of the held-out notes with planes, `(note, timbre)`; None for a model without an encoder."""
    encoder = model.modules.get("encoder")
    if not isinstance(encoder, TimbreEncoder):
        return None
    codes = []
    for first in range(0, len(held.planes), 32):
        planes = torch.from_numpy(held.planes[first : first + 32].astype(np.float32)).to(model.device)
        pitch = torch.from_numpy(held.pitch[first : first + len(planes)].astype(np.float32)).to(model.device)
        codes.append(encoder(planes, pitch).float().cpu().numpy())
    return np.concatenate(codes).astype(np.float64)


def found_row(
    metric: str,
    form: str,
    found: Retrieval,
    groups: Sequence[int],
    real: Retrieval,
    real_groups: Sequence[int],
    poor: Retrieval,
    by: str,
) -> Row:
    """Share of hits; three times chance, and more than an untrained model, is enough."""
    value, floor = mean_of(found.hit, groups), mean_of(real.hit, real_groups)
    chance, ceiling = mean_of(found.chance).value, mean_of(poor.hit).value
    enough = min(1.0, max(3 * chance, ceiling + 1e-9)) if np.isfinite(chance) else NAN
    counts = (int(np.isfinite(found.hit).sum()), int(np.isfinite(real.hit).sum()))
    return row(
        metric, form, value, floor, ceiling, larger_is_better=True, n=counts[0], n_real=counts[1],
        enough=enough, note=f"chance {chance:.3f}; real: {by} of real notes",
    )  # fmt: skip


def _leak(leak: Leak, groups: Sequence[int], seed: int) -> Interval:
    sums = sum_by_group(np.stack([leak.left, leak.total], axis=1), groups)
    draws = bootstrap_weights(len(sums), 1000, seed) @ sums
    low, high = percentiles(1 - draws[:, 0] / np.maximum(draws[:, 1], 1e-12))
    return Interval(leak.share, float(low), float(high))
