"""New notes, and the way from one timbre to another.

A note is asked for by pitch (between keys, too), velocity and duration; what is not said is spread over the trained
range or the model's own. Every draw depends on the seed and the number of the note alone, never on how many are made.
`render`, `transfer` and `instrument` hold the verbs that take a piece, a recording or a whole keyboard.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from audiogan.adversarial.game import seed_of
from audiogan.errors import UnsupportedError, UsageError
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.ladder import ladder
from audiogan.pipelines.waveform.loudness import equally_loud
from audiogan.pipelines.waveform.network_config import ClassicConfig
from audiogan.pipelines.waveform.sound import Sound, check_rate, levelled, velocity_gain
from audiogan.pipelines.waveform.timbre import Timbre, check_timbre, random_timbre
from audiogan.pipelines.waveform.voice import (
    Played,
    Voice,
    check_duration,
    check_pitch,
    check_velocity,
    into_range,
    make_planes,
)

DEFAULT_VELOCITY = 0.8
GOLDEN = 0.6180339887498949
MOST_NOTES, MOST_STEPS = 100_000, 1000


def generate(
    model: Model,
    *,
    count: int | None = None,
    first: int = 0,
    seed: int,
    pitches: Sequence[float] | None = None,
    velocity: float | None = None,
    duration: float | None = None,
    sample_rate: int | None = None,
    timbre: Timbre | None = None,
    temperature: float = 1.0,
    device: str | None = None,
) -> list[Sound]:
    """Make new notes.

    Args:
        model: Trained networks.
        count: Notes; None for one of each pitch.
        first: Number of the first note, to make many notes group by group.
        seed: The same seed makes the same notes, whatever `count` and `first`.
        pitches: MIDI, not only whole, taken in turn; None spreads notes over the trained range.
        velocity: 0 to 1, for level and timbre; None for 0.8.
        duration: Seconds from the onset to the release; None for the model's own length.
        sample_rate: Hz, 16,000 to 48,000; None for the model's own.
        timbre: One for all notes; None for a new, random one each.
        temperature: 0 to 2; how far new timbres lie from the middle, see `random_timbre`.
        device: Where the networks are; they are not moved.

    Raises:
        UsageError: A number out of range.
        CorpusError: A timbre of another model.
    """
    del device  # the model is already where it should be
    config: Config = model.config
    count = (1 if pitches is None else len(pitches)) if count is None else count
    if not 1 <= count <= MOST_NOTES:
        raise UsageError(f"{count} notes; expected 1 to {MOST_NOTES}")
    if not 0 <= temperature <= 2:
        raise UsageError(f"temperature {temperature:g}; expected 0 to 2")
    if pitches is not None and not len(pitches):
        raise UsageError("no pitches; expected one or more, such as 60")
    if timbre is not None:
        check_timbre(timbre, model)
    velocity = check_velocity(DEFAULT_VELOCITY if velocity is None else velocity)
    voice = Voice(config, check_rate(sample_rate, config.sample_rate))
    asked = [check_pitch(p) for p in pitches] if pitches is not None else None
    made = []
    for number in range(first, first + count):
        wanted = asked[number % len(asked)] if asked else _spread(config, seed, number)
        own = random_timbre(model, seed, number, temperature=temperature) if timbre is None else timbre
        made.append((wanted, Played(own, wanted + 12 * into_range(wanted, config), velocity)))
    sounds = []
    duration = check_duration(duration)
    for number, planes in enumerate(make_planes(model, [note for _, note in made]), first):
        wanted, note = made[number - first]
        waveform = voice.note(planes, note.pitch, duration, seed=seed_of(seed, "noise", number))
        facts = note_facts(config, wanted, note, voice.sample_rate) | {"seed": seed, "number": number}
        sounds.append(_sound(levelled(waveform) * np.float32(velocity_gain(velocity)), voice.sample_rate, facts))
    return sounds


def _spread(config: Config, seed: int, number: int) -> float:
    """A key for each number, so that any first few are spread over the range: golden-ratio steps from a drawn start."""
    start = np.random.default_rng(seed_of(seed, "pitches")).random()
    return float(config.lowest_pitch + int((start + GOLDEN * number) % 1.0 * config.n_pitches))


def _sound(waveform: np.ndarray, sample_rate: int, facts: dict[str, Any]) -> Sound:
    return Sound(waveform.astype(np.float32), sample_rate, facts | {"seconds": round(len(waveform) / sample_rate, 4)})


def note_facts(config: Config, wanted: float, note: Played, sample_rate: int) -> dict[str, Any]:
    """Return what is known of a note: pitches, velocity, timbre and what could not be had as asked.

    Args:
        config: Of the model.
        wanted: Pitch asked for.
        note: As it is played.
        sample_rate: Hz, of the sound.
    """
    warnings = []
    if note.pitch != wanted:
        low, high = config.lowest_pitch, config.highest_pitch
        warnings.append(f"pitch {wanted:g} is outside the trained range {low}-{high}, played at {note.pitch:g}")
    if isinstance(config.network, ClassicConfig) and note.pitch != round(note.pitch):
        warnings.append(
            f"pitch {note.pitch:g} is between keys, which a classic model cannot play, it plays the nearest"
        )
    return {
        "pitch": note.pitch,
        "asked_pitch": wanted,
        "velocity": round(note.velocity, 4),
        "timbre": note.timbre.as_json(),
        "warnings": warnings + rate_warnings(config, sample_rate),
    }


def rate_warnings(config: Config, sample_rate: int) -> list[str]:
    """Return a warning where a sound is written at a higher rate than its model learnt at."""
    if sample_rate <= config.sample_rate:
        return []
    return [f"the model learnt at {config.sample_rate} Hz: nothing sounds above {config.sample_rate // 2} Hz"]


def interpolate(
    model: Model,
    first: Timbre,
    second: Timbre,
    *,
    steps: int = 5,
    seed: int = 0,
    pitch: float | None = None,
    velocity: float | None = None,
    duration: float | None = None,
    sample_rate: int | None = None,
) -> list[Sound]:
    """Go from one timbre to another in `steps` notes of one pitch and loudness, ends included.

    Args:
        model: Trained networks.
        first, second: The ends.
        steps: Notes to make, 2 or more.
        seed: Of the noise.
        pitch: MIDI; None for the key half-way between the recordings that the ends were taken from, or without
            recordings 60, or the middle of a trained range that does not hold 60.
        velocity, duration, sample_rate: As `generate` takes them.

    Raises:
        UsageError: A number out of range.
        CorpusError: A timbre of another model.
    """
    config: Config = model.config
    if not 2 <= steps <= MOST_STEPS:
        raise UsageError(f"{steps} steps; expected 2 to {MOST_STEPS}, since both ends are among them")
    for end in (first, second):
        check_timbre(end, model)
    wanted = check_pitch(_common_pitch(config, first, second) if pitch is None else pitch)
    played = wanted + 12 * into_range(wanted, config)
    velocity = check_velocity(DEFAULT_VELOCITY if velocity is None else velocity)
    duration = check_duration(duration)
    voice = Voice(config, check_rate(sample_rate, config.sample_rate))
    shares = [step / (steps - 1) for step in range(steps)]
    notes = [Played(timbre, played, velocity) for timbre in ladder(model, first, second, shares, played, velocity)]
    noise = seed_of(seed, "noise", 0)  # the same for all: only the timbre moves
    made = [voice.note(planes, played, duration, seed=noise) for planes in make_planes(model, notes)]
    gain = np.float32(velocity_gain(velocity))
    return [
        _sound(
            waveform * gain,
            voice.sample_rate,
            note_facts(config, wanted, note, voice.sample_rate) | {"seed": seed, "share": share},
        )
        for share, note, waveform in zip(shares, notes, equally_loud(made, voice.sample_rate), strict=True)
    ]


def _common_pitch(config: Config, *timbres: Timbre) -> float:
    known = [np.mean([detail.pitch for detail in timbre.details]) for timbre in timbres if timbre.details]
    return float(np.mean(known).round()) if known else _middle(config)


def _middle(config: Config) -> float:
    low, high = config.lowest_pitch, config.highest_pitch
    return 60.0 if low <= 60 <= high else float((low + high) // 2)


# ---- verbs of other pipelines


def _refuse(verb: str) -> NoReturn:
    raise UnsupportedError(f"{verb} works on the notes of a MIDI clip; this model makes sounds, use a multitrack model")


def continue_clip(*_: object, **__: object) -> NoReturn:
    """Refuse: a model of sounds writes no music.

    Raises:
        UnsupportedError: Always.
    """
    _refuse("continue")


def accompany(*_: object, **__: object) -> NoReturn:
    """Refuse, as `continue_clip`.

    Raises:
        UnsupportedError: Always.
    """
    _refuse("accompany")


def infill(*_: object, **__: object) -> NoReturn:
    """Refuse, as `continue_clip`.

    Raises:
        UnsupportedError: Always.
    """
    _refuse("infill")


def vary(*_: object, **__: object) -> NoReturn:
    """Refuse, as `continue_clip`.

    Raises:
        UnsupportedError: Always.
    """
    _refuse("vary")
