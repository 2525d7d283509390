"""From a recording to a timbre: the encoder's answer, and refinement of it until the model plays that very note.

The pitch is given, told by the name, or estimated. A recording of several notes, where swift-f0 is there to find them,
gives the mean of their timbres, and so do several recordings of one instrument. `refine` moves h and z by gradient
against the planes of the note (the first step of pivotal tuning, arXiv 2106.05744); the head, which holds phases, does
not count. What the model's own sound then still lacks goes with the timbre as its details, one per register.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from audiogan.corpus.audio import Recording, resample
from audiogan.corpus.notes import hz_of, level, pitch_of, without_lead
from audiogan.corpus.pitchname import parse_pitch
from audiogan.corpus.pitchtrack import cut_notes, estimate_pitch, has_tracker
from audiogan.corpus.tuning import measure_tuning
from audiogan.errors import CorpusError, UnsupportedError
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.detail import detail_of
from audiogan.pipelines.waveform.encoder import TimbreEncoder, on_sphere
from audiogan.pipelines.waveform.lengthening import frame_levels_db
from audiogan.pipelines.waveform.pitchcurve import follow_pitch
from audiogan.pipelines.waveform.residual import Generator
from audiogan.pipelines.waveform.sound import Waveform
from audiogan.pipelines.waveform.style import StyleGenerator
from audiogan.pipelines.waveform.timbre import Timbre, dims_of, z_for
from audiogan.pipelines.waveform.voice import Played, check_pitch, make_planes, represent
from audiogan.representation.harmonic import Harmonic

REFINE_STEPS = 60
REFINE_RATE = 0.02
PRIOR = 1e-3
VELOCITY = 0.8
MOST_NOTES = 16
MOST_REGISTERS = 12
MIN_SECONDS = 0.1
LET_GO_DB = -40.0  # under its loudest frame, a recording counts as over
HELD_SECONDS, HELD_DB = 0.2, -20.0  # if so long before its end it was louder than this, it was let go
ONE_NOTE_SEMITONES = 0.5  # what lies within is one note, or one note again
CONFIRMED_SECONDS, CONFIRMED_PERIODS = 0.3, 16.0  # of a note, so that its partials must confirm its pitch
_SILENCE = 1e-3


class Example(NamedTuple):
    """A note as the networks take it: planes `(1, plane, row, frame)`, MIDI pitch `(1,)`, how much it counts."""

    planes: Tensor
    pitch: Tensor
    weight: float


def timbre_of(
    model: Model,
    recording: Recording,
    *,
    pitch: float | None = None,
    name: str = "",
    refine: bool = False,
    seed: int = 0,
) -> Timbre:
    """Return the timbre of a recording.

    Args:
        model: Trained networks with an encoder.
        recording: One note, or a melody.
        pitch: MIDI; None to take it from the name or to estimate it.
        name: Of the file; `violin_C4` says the pitch.
        refine: Move h and z until the model plays the (longest) note as closely as it can; takes seconds.
        seed: Of z.

    Raises:
        UnsupportedError: A model without an encoder.
        CorpusError: `silent`, `no_pitch`.
        UsageError: A pitch that is none.
    """
    require_encoder(model)
    shown = PurePath(name).stem or "recording"
    examples = _examples(model.config, recording, _known_pitch(pitch, shown), shown)
    return timbre_from(model, examples, name=shown, refine=refine, seed=seed)


def timbre_of_several(
    model: Model,
    recordings: Mapping[str, Recording],
    *,
    pitches: Mapping[str, float] | None = None,
    name: str = "",
    refine: bool = False,
    seed: int = 0,
    on_refusal: Callable[[str, CorpusError], None] | None = None,
) -> Timbre:
    """Return the timbre of several recordings of one instrument, which knows more of its registers than one tells.

    Args:
        model: Trained networks with an encoder.
        recordings: By file name, which may say the pitch; else it is estimated.
        pitches: MIDI, by file name, where they are known otherwise.
        name: Of the timbre, for people.
        refine, seed: As `timbre_of`.
        on_refusal: Called with the name of a recording that is refused, while the others go on; None: raise.

    Raises:
        UnsupportedError: A model without an encoder.
        CorpusError: `silent`, `no_pitch`; `empty` where none is left.
    """
    require_encoder(model)
    examples: list[Example] = []
    for file_name, recording in recordings.items():
        stem = PurePath(file_name).stem
        try:
            pitch = _known_pitch((pitches or {}).get(file_name), stem)
            examples += _examples(model.config, recording, pitch, stem)
        except CorpusError as error:
            if on_refusal is None:
                raise
            on_refusal(file_name, error)
    if not examples:
        raise CorpusError(f"{name or 'timbre'}: no recording that can be used; expected one or more", "empty")
    return timbre_from(model, examples, name=name or "recordings", refine=refine, seed=seed)


def require_encoder(model: Model) -> TimbreEncoder:
    """Return the encoder of a model.

    Raises:
        UnsupportedError: It has none.
    """
    encoder = model.modules.get("encoder")
    if not isinstance(encoder, TimbreEncoder):
        variant = model.config.network.variant
        raise UnsupportedError(f"a timbre from a recording needs an encoder, which a {variant} model has not")
    return encoder


def timbre_from(model: Model, examples: Sequence[Example], *, name: str, refine: bool = False, seed: int = 0) -> Timbre:
    """Return the timbre of one instrument's notes: the mean of their timbres, and what the model lacks at each pitch.

    Args:
        model: Trained networks with an encoder.
        examples: One or more.
        name: For people.
        refine: Move h and z towards the note that counts most.
        seed: Of z.
    """
    encoder = require_encoder(model)
    like = encoder.mixture.mean
    with torch.no_grad():
        h = torch.cat([encoder(one.planes.to(like), one.pitch.to(like)) for one in examples])
        weight = torch.tensor([one.weight for one in examples]).to(h)
        h = on_sphere((weight[:, None] * h).sum(0) / weight.sum())
    z = z_for(dims_of(model)[0], seed, "timbre of")
    timbre = Timbre(h.cpu().numpy(), z, name, model.sha256)
    surest = max(examples, key=lambda one: one.weight)
    return detailed(model, refined(model, timbre, surest) if refine else timbre, spread(examples))


def spread(examples: Sequence[Example], n_most: int = MOST_REGISTERS) -> list[Example]:
    """Return notes of different pitches, evenly over their range: of each pitch the one that counts most.

    A note that counts less than half of the weightiest is left out: too short, or of a doubtful pitch.
    """
    least = 0.5 * max(one.weight for one in examples)
    chosen: list[Example] = []
    for one in sorted(examples, key=lambda one: -one.weight):
        apart = all(abs(float(one.pitch - other.pitch)) >= ONE_NOTE_SEMITONES for other in chosen)
        if one.weight >= least and apart:
            chosen.append(one)
    chosen.sort(key=lambda one: float(one.pitch))
    places = np.linspace(0, len(chosen) - 1, min(n_most, len(chosen))).round().astype(int)
    return [chosen[place] for place in places.tolist()]


def _known_pitch(pitch: float | None, stem: str) -> float | None:
    if pitch is not None:
        return check_pitch(pitch)
    told = parse_pitch(stem) if stem else None
    return None if told is None else float(told.pitch)


def _examples(config: Config, recording: Recording, pitch: float | None, source: str) -> list[Example]:
    waveform, rate = recording.waveform, recording.sample_rate
    if pitch is not None:
        return [_example(config, waveform, rate, pitch, source, told=True)]
    if has_tracker():
        spans = cut_notes(waveform, rate, min_seconds=MIN_SECONDS)
        spans = sorted(spans, key=lambda span: span.first - span.last)[:MOST_NOTES]
        pitches = [pitch_of(span.estimate.hz) for span in spans]
        if len(spans) > 1 and max(pitches) - min(pitches) > ONE_NOTE_SEMITONES:
            return [
                _example(config, waveform[span.first : span.last], rate, pitch_of(span.estimate.hz), source)._replace(
                    weight=span.estimate.confidence * (span.last - span.first) / rate
                )
                for span in spans
            ]
        found = estimate_pitch(waveform, rate)
        if found is None:
            raise CorpusError(
                f"{source}: no pitch was heard; expected one, or its name in the name of the file (flute-C4.wav)",
                "no_pitch",
            )
        return [_example(config, waveform, rate, pitch_of(found.hz), source)]
    curve = follow_pitch(waveform, rate)
    return [_example(config, waveform, rate, pitch_of(float(np.median(curve.hz[curve.voiced]))), source)]


def _example(
    config: Config, waveform: Waveform, sample_rate: int, pitch: float, source: str, *, told: bool = False
) -> Example:
    """One note at the model's rate and length, at the pitch that its partials say, within half a semitone.

    A pitch that was told and that no partials of a note long enough confirm is refused: it is noise, or another note.
    """
    sound = without_lead(resample(waveform, sample_rate, config.sample_rate), config.sample_rate)
    note, _ = level(sound, config.n_samples, source, silence=_SILENCE)
    measured = measure_tuning(note, config.sample_rate, hz_of(pitch))
    least = max(CONFIRMED_SECONDS, CONFIRMED_PERIODS / hz_of(pitch)) * config.sample_rate
    if told and measured is None and len(sound) >= least:
        fact = f"no partials within half a semitone of the pitch it is said to have, MIDI {pitch:g}"
        raise CorpusError(f"{source}: {fact}; expected a pitched note and its true pitch", "no_pitch")
    played = pitch + (measured[0] / 100 if measured else 0.0)
    planes = represent(config).encode(torch.from_numpy(note)[None], torch.tensor([hz_of(played)]))
    if not torch.isfinite(planes).all():
        raise CorpusError(f"{source}: its planes are not finite; expected an ordinary note", "nonfinite")
    return Example(planes, torch.tensor([played], dtype=torch.float32), 1.0)


@torch.no_grad()
def detailed(model: Model, timbre: Timbre, examples: Sequence[Example]) -> Timbre:
    """Return a timbre with what the model's own sound lacks against notes; as it was where planes are no partials.

    Args:
        model: Trained networks.
        timbre: With h.
        examples: Notes of one instrument, of different pitches.
    """
    representation = represent(model.config)
    if not isinstance(representation, Harmonic):
        return timbre
    low, high = model.config.lowest_pitch, model.config.highest_pitch
    bare, pitches = replace(timbre, details=()), [float(one.pitch) for one in examples]
    made = make_planes(model, [Played(bare, min(max(pitch, low), high), VELOCITY) for pitch in pitches])
    details = [
        detail_of(own, one.planes[0], pitch, _last_frame(one.planes[0], representation.times))
        for own, one, pitch in zip(made, examples, pitches, strict=True)
    ]
    return replace(timbre, details=tuple(details))


def _last_frame(planes: Tensor, times: Tensor) -> int:
    """The frame at which a note was let go; of one that died away by itself, slower than 100 dB/s, the last of all."""
    levels = frame_levels_db(planes)
    last = int((levels > levels.max() + LET_GO_DB).nonzero()[-1])
    before = int(torch.searchsorted(times, times[last] - HELD_SECONDS))
    return last if levels[before] > levels.max() + HELD_DB else len(levels)


def refined(model: Model, timbre: Timbre, example: Example, *, n_steps: int = REFINE_STEPS) -> Timbre:
    """Return a timbre moved until the generator's planes come near those of a note; never further than it was.

    Args:
        model: Trained networks.
        timbre: Where to begin; with h.
        example: The note.
        n_steps: Of Adam, at a rate that falls to 0.
    """
    generator = model.modules["generator"]
    assert isinstance(generator, Generator | StyleGenerator), "a model with an encoder has one of these"
    assert timbre.h is not None, "an encoder gives h"
    device = torch.device(model.device)
    pitch, first = example.pitch.to(device), int(generator.plan.head)
    wanted = generator.sheet.enter(example.planes.to(device), pitch)[..., first:]
    n_cells = generator.sheet.mask(pitch).sum() * wanted.shape[-1]
    start = [torch.from_numpy(np.array(part)).to(device)[None] for part in (timbre.h, timbre.z)]
    h, z, velocity = (part.clone().requires_grad_() for part in (*start, torch.tensor([VELOCITY], device=device)))

    def distance() -> Tensor:
        made = generator.draw(z, on_sphere(h), pitch, velocity.clamp(0, 1))[..., first:]
        return (made - wanted).abs().sum() / n_cells

    least, best_h, best_z = math.inf, start[0], start[1]
    with torch.enable_grad():
        optimizer = torch.optim.Adam([h, z, velocity], lr=REFINE_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        for _ in range(n_steps):
            now = distance()
            if now.item() < least:
                least, best_h, best_z = now.item(), on_sphere(h.detach().clone()), z.detach().clone()
            optimizer.zero_grad()
            (now + PRIOR * z.square().mean()).backward()
            optimizer.step()
            schedule.step()
    return replace(timbre, h=best_h[0].cpu().numpy(), z=best_z[0].cpu().numpy())
