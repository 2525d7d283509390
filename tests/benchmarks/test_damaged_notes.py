"""Each damage to notes is done as told, and the metric that ought to catch it does, on a few tones."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from audiogan.corpus.notes import hz_of
from audiogan.evaluation import audit
from audiogan.evaluation.distances import fit_scaler
from audiogan.pipelines.waveform import listening
from audiogan.pipelines.waveform.intonation import by_comb
from audiogan.pipelines.waveform.listening import Judged
from audiogan.pipelines.waveform.measuring import Measures
from audiogan.pipelines.waveform.note_net import N_FEATURES
from audiogan.pipelines.waveform.timbre_vector import NAMES
from audiogan.pipelines.waveform.voice import Played
from tests.benchmarks import damaged_notes
from tests.benchmarks.damaged import Reading, judge
from tests.benchmarks.damaged_notes import (
    ONE_VELOCITY,
    SOUNDS,
    Bench,
    copied,
    family,
    forty_cents_up,
    measured,
    same_velocity,
    some_clicks,
    some_silent,
    with_noise,
)
from tests.pipelines.waveform.test_auditing import EAR, note

RATE = 16_000
N_GROUPS = 8


def tone(pitch: float, brightness: float = 0.5, seconds: float = 1.0) -> np.ndarray:
    """Return a decaying tone of eight partials."""
    time = np.arange(round(seconds * RATE)) / RATE
    partials = [brightness**k * np.sin(2 * np.pi * k * hz_of(pitch) * time) for k in range(1, 9)]
    return (0.3 * np.sum(partials, axis=0) * np.exp(-2 * time)).astype(np.float32)


PITCHES = [57.0, 60.0, 64.0, 67.0]
TONES = [tone(pitch) for pitch in PITCHES]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_noise_lies_thirty_db_below() -> None:
    for before, after in zip(TONES, with_noise(TONES, RATE, rng()), strict=True):
        power = np.mean((after - before) ** 2) / np.mean(before**2)
        assert 10 * np.log10(power) == pytest.approx(-30, abs=0.2)


def test_forty_cents_are_heard_as_forty_cents() -> None:
    for pitch, before, after in zip(PITCHES, TONES, forty_cents_up(TONES, RATE, rng()), strict=True):
        assert len(after) == len(before)
        own, higher = (by_comb(one, RATE, hz_of(pitch)) for one in (before, after))
        assert own is not None
        assert higher is not None
        assert own.is_in_tune
        assert not higher.is_in_tune
        assert higher.cents == pytest.approx(39.8, abs=2)


def test_silence_is_broken_and_a_click_is_there() -> None:
    silent = some_silent(TONES, RATE, rng())
    assert [not one.any() for one in silent].count(True) == 1
    clicked = some_clicks(TONES, RATE, rng())
    places = [place for place, (a, b) in enumerate(zip(TONES, clicked, strict=True)) if not np.array_equal(a, b)]
    assert len(places) == 1
    assert np.abs(np.diff(clicked[places[0]])).max() > 2 * np.abs(np.diff(TONES[places[0]])).max()


def test_measures_tell_silence_and_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damaged_notes, "judges", lambda: {"comb": by_comb})
    found = measured([*TONES[:2], np.zeros(RATE, dtype=np.float32)], PITCHES[:3], RATE)
    assert found.is_faulty.tolist() == [False, False, True]
    assert [one is not None and one.is_in_tune for one in found.tunings["comb"][:2]] == [True, True]
    assert found.vectors.shape == (3, len(NAMES))
    assert found.features.shape == (3, N_FEATURES)


def test_a_family_is_the_most_frequent_part_and_its_neighbours() -> None:
    means = np.array([[0.0], [1.0], [10.0]])
    parts = np.array([0] * 3 + [1] * 2 + [2] * 5)
    assert family(parts, means, 0.2).tolist() == [False] * 5 + [True] * 5
    assert family(parts, means, 0.6).tolist() == [False] * 3 + [True] * 7


# ---- rows


def sets(n: int, seed: int, *, kinds: int = N_GROUPS, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors and features of notes of some kinds that lie apart."""
    own = np.random.default_rng(seed)
    middle = np.random.default_rng(99).standard_normal((N_GROUPS, 6)) * 3
    hidden = middle[np.arange(n) % kinds] + own.standard_normal((n, 6)) + shift
    mix = np.random.default_rng(98)
    return hidden @ mix.standard_normal((6, len(NAMES))), np.maximum(hidden @ mix.standard_normal((6, N_FEATURES)), 0)


def measures(vectors: np.ndarray, features: np.ndarray) -> Measures:
    return Measures(vectors, np.zeros(len(vectors)), np.zeros(len(vectors), dtype=bool), {}, features)


@pytest.fixture(scope="module")
def bench() -> Bench:
    n = 120
    vectors, features = sets(n, 0)
    held: Any = SimpleNamespace(
        features=features, vectors=vectors, groups=(np.arange(n) // 2 % 40).tolist(), pitch=np.full(n, 60.0),
        learnt=np.zeros((0, len(NAMES))), learnt_features=np.zeros((0, N_FEATURES)),
    )  # fmt: skip
    nothing = cast("Any", None)
    asked = Judged(nothing, nothing, held, fit_scaler(vectors), 0, n)
    notes = [Played(nothing, 60.0, 0.5)] * n
    vars(asked).update(made_notes=notes, poor_made=measures(*sets(40, 5, shift=9.0)))
    return Bench(asked, {})


def test_missing_modes_are_caught_by_recall_and_coverage(bench: Bench) -> None:
    half = next(damage for damage in damaged_notes.TIMBRES if damage.name.startswith("half"))
    found = judge(half, bench.read(measures(*sets(120, 1))), bench.read(measures(*sets(120, 2, kinds=4))))
    names = {move.name for move in found.caught_by}
    assert {"coverage · timbre vector", "coverage · note_net"} <= names


def test_noise_is_caught_by_the_kernel_distance(bench: Bench) -> None:
    noise = next(iter(SOUNDS))
    found = judge(noise, bench.read(measures(*sets(120, 1))), bench.read(measures(*sets(120, 2, shift=1.0))))
    assert {move.name for move in found.caught_by} == set(noise.ought)


def test_the_deaf_model_plays_one_velocity(monkeypatch: pytest.MonkeyPatch) -> None:
    played = []

    def make(model: object, notes: list[Played]) -> list[float]:
        played.append([note.velocity for note in notes])
        return played[-1]

    def rows(asked: object) -> list[float]:
        return listening.measure_made(
            cast("Any", None), [Played(cast("Any", None), 60.0, level) for level in (0.2, 1.0)]
        )  # type: ignore[return-value]

    monkeypatch.setattr(damaged_notes, "measure_made", make)
    monkeypatch.setattr(listening, "measure_made", make)
    monkeypatch.setattr(damaged_notes, "velocity_rows", rows)
    monkeypatch.setattr(
        damaged_notes,
        "readings",
        lambda made: [Reading("velocity_brightness · x", made[1] - made[0], 0.7, 0.9, 0.8, passes=made[1] > made[0])],
    )
    assert same_velocity(cast("Any", None)).is_caught
    assert played == [[0.2, 1.0], [ONE_VELOCITY] * 2]


def test_planted_notes_are_caught_in_disguise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("N_DRAWS", "ENOUGH_DRAWS"):  # of the control, which has its own tests
        monkeypatch.setattr(audit, name, 2)
    made = [note(seed).sound(EAR.sample_rate) for seed in range(3000, 3020)]
    learnt, honest = ([note(seed) for seed in range(first, first + 10)] for first in (0, 2000))
    found = copied(EAR, made, [60.0] * len(made), learnt, honest, seed=0, only=[damaged_notes.DISGUISED.name])
    assert [one.is_caught for one in found] == [True]
