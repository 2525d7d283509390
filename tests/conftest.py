"""Fixtures shared by all tests: small scores and sounds, files made of them, and pipelines simple enough to predict."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audiogan.corpus.score import Key, Metre, Note, Notes, Score, Tempo, Track
from audiogan.pipeline import Model

os.environ.setdefault("OMP_NUM_THREADS", "1")


def make_score(n_bars: int = 2, seed: int = 0) -> Score:
    """Return drums, bass and piano over `n_bars` bars of 4/4; `seed` moves the pitches."""
    beat, bars = 480, range(n_bars)
    drums = [
        Note((4 * bar + beat_) * beat, (4 * bar + beat_) * beat + 120, 36 + 2 * (beat_ % 2), 100)
        for bar in bars
        for beat_ in range(4)
    ]
    bass = [Note(4 * bar * beat, 4 * (bar + 1) * beat - 20, 40 + (bar + seed) % 5, 90) for bar in bars]
    piano = [
        Note(4 * bar * beat, 4 * bar * beat + 2 * beat, 60 + pitch + seed % 12, 80)
        for bar in bars
        for pitch in (0, 4, 7)
    ]
    return Score(
        beat,
        (
            Track(Notes.from_list(drums), 0, is_drum=True, name="drums"),
            Track(Notes.from_list(bass), 33, name="bass"),
            Track(Notes.from_list(piano), 0, name="piano"),
        ),
        (Tempo(0, 100.0),),
        (Metre(0, 4, 4),),
        (Key(0, 0, False),),
    )


@pytest.fixture
def score() -> Score:
    """Two bars for drums, bass and piano."""
    return make_score()


@pytest.fixture
def score_of() -> Callable[..., Score]:
    """The function behind `score`: `score_of(n_bars, seed)`."""
    return make_score


@pytest.fixture
def clip(tmp_path: Path, score: Score) -> Path:
    """A MIDI file of `score`."""
    from audiogan.corpus import midi

    path = tmp_path / "my clip.mid"
    midi.write(score, path)
    return path


@pytest.fixture
def calls() -> list[tuple[str, dict[str, Any]]]:
    """What the fake pipeline was asked for."""
    return []


@pytest.fixture
def fake_model(calls: list[tuple[str, dict[str, Any]]]) -> Model:
    """A model whose verbs answer at once and write down what they were asked."""

    def note(verb: str, count: int, seed: int, options: dict[str, Any]) -> list[Score]:
        calls.append((verb, options | {"count": count, "seed": seed}))
        return [make_score(seed=seed + number) for number in range(count)]

    def generate(model: Model, *, count: int, seed: int, **options: Any) -> list[Score]:
        return note("generate", count, seed, options)

    def interpolate(model: Model, first: Score, second: Score, *, steps: int, seed: int) -> list[Score]:
        return note("interpolate", steps, seed, {"first": first, "second": second})

    def with_clip(verb: str) -> Callable[..., list[Score]]:
        def make(model: Model, given: Score, *, count: int, seed: int, **options: Any) -> list[Score]:
            return note(verb, count, seed, options | {"score": given})

        return make

    verbs: Sequence[str] = ("continue_clip", "accompany", "infill", "vary")
    pipeline: Any = SimpleNamespace(
        generate=generate, interpolate=interpolate, **{verb: with_clip(verb) for verb in verbs}
    )
    return Model({}, None, {}, Path("fake"), "fake", "ab" * 32, "multitrack", "cpu", pipeline)


def make_tone(hz: float = 440.0, seconds: float = 0.5, sample_rate: int = 16000) -> np.ndarray:
    """Return a sine `(time,)` at half of full scale."""
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * sample_rate)) / sample_rate)).astype(np.float32)


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """A WAV file of a sine of half a second, named after its pitch."""
    from audiogan.corpus import audio

    path = tmp_path / "tone_A4.wav"
    audio.write(make_tone()[None], 16000, path)
    return path


@dataclass(frozen=True)
class FakeSound:
    """What the fake pipeline of sounds makes."""

    waveform: np.ndarray
    sample_rate: int = 16000
    facts: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def fake_sound_model(calls: list[tuple[str, dict[str, Any]]]) -> Model:
    """A model of sounds whose verbs answer at once and write down what they were asked; a timbre is a text."""
    from audiogan.corpus import audio
    from audiogan.errors import CorpusError, UnsupportedError

    def note(pitch: float, timbre: str) -> FakeSound:
        sound = make_tone(440 * 2 ** ((pitch - 69) / 12))
        return FakeSound(sound, facts={"pitch": pitch, "timbre": {"name": timbre}, "warnings": []})

    def generate(model: Model, *, count: int, seed: int, device: str, **options: Any) -> list[FakeSound]:
        calls.append(("generate", options | {"count": count, "seed": seed}))
        pitches = options.get("pitches") or [60.0]
        return [note(pitches[number % len(pitches)], f"free {seed}-{number}") for number in range(count)]

    def interpolate(model: Model, first: str, second: str, *, steps: int, seed: int, **more: Any) -> list[FakeSound]:
        calls.append(("interpolate", more | {"first": first, "second": second, "steps": steps}))
        return [note(more.get("pitch", 60.0), f"{first} {step} {second}") for step in range(steps)]

    def transfer(model: Model, source: Any, timbre: str, *, seed: int) -> FakeSound:
        calls.append(("transfer", {"seconds": source.seconds, "timbre": timbre, "seed": seed}))
        return FakeSound(source.waveform, source.sample_rate)

    def render(model: Model, score: Score, timbres: list[str], *, seed: int, **options: Any) -> FakeSound:
        calls.append(("render", options | {"n_tracks": len(score.tracks), "timbres": timbres, "seed": seed}))
        return FakeSound(make_tone(), facts={"warnings": ["8 notes of drums left out"]})

    def timbre_of(model: Model, recording: Any, *, name: str, seed: int, refine: bool = False) -> str:
        return f"of {name}{' closely' if refine else ''}"

    def timbre_of_several(model: Model, recordings: dict[str, Any], *, name: str, on_refusal: Any, **more: Any) -> str:
        calls.append(("timbre_of_several", {"recordings": list(recordings), "pitches": more["pitches"]}))
        if not recordings:
            raise CorpusError(f"{name}: no recording that can be used; expected one or more", "empty")
        return f"of {name}"

    def write_instrument(model: Model, timbre: str, folder: Path, *, seed: int, progress: Any) -> dict[str, Any]:
        (folder / "samples").mkdir()
        audio.write(make_tone()[None], 16000, folder / "samples" / "c4.wav")
        (folder / "mine.sfz").write_text(timbre)
        return {"timbre": timbre}

    def refuse(*_: Any, **__: Any) -> None:
        raise UnsupportedError("this model makes sounds")

    pipeline: Any = SimpleNamespace(
        generate=generate, interpolate=interpolate, transfer=transfer, render=render, timbre_of=timbre_of,
        timbre_of_several=timbre_of_several,
        random_timbre=lambda model, seed, number: f"random {seed}-{number}",
        load_timbre=lambda path, model: f"saved {path.name}",
        write_instrument=write_instrument, accompany=refuse, continue_clip=refuse, infill=refuse, vary=refuse,
        write=lambda sound, path, comment=None: audio.write(
            sound.waveform[None], sound.sample_rate, path, encoding="int24", comment=comment
        ),
    )  # fmt: skip
    return Model({}, None, {}, Path("tones"), "tones", "cd" * 32, "waveform", "cpu", pipeline)
