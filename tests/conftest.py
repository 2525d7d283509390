"""Fixtures shared by all tests: small scores, files made of them, and a pipeline simple enough to predict."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
