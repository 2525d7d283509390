"""What note_net says of sets of notes: equal sets are at the floor, others are caught, small ones are refused."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from audiogan.evaluation.distances import Scaler
from audiogan.pipelines.waveform.comparison import Row
from audiogan.pipelines.waveform.dataset import Notes
from audiogan.pipelines.waveform.hearing import answer_rows, bin_rows, hearing_rows, overlap_rows
from audiogan.pipelines.waveform.held_out import take
from audiogan.pipelines.waveform.listening import Judged
from audiogan.pipelines.waveform.note_net import N_FEATURES
from audiogan.pipelines.waveform.timbre_vector import NAMES
from tests.pipelines.waveform.instruments import CONFIG, model_of, write_cache

N_INSTRUMENTS, EACH = 12, 42
N = N_INSTRUMENTS * EACH


def features(seed: int, n: int = N) -> np.ndarray:
    """Return `(note, 128)` values above 0 with a few directions that matter."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).random((6, N_FEATURES))
    return np.maximum(rng.standard_normal((n, 6)) @ mix + 0.3 * rng.standard_normal((n, N_FEATURES)), 0)


def vectors(seed: int, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, len(NAMES)))


def asked(made: np.ndarray, *, described: np.ndarray | None = None, n_real: int = N, n_learnt: int = 500) -> Judged:
    """Questions about sets of features alone."""
    groups = (np.arange(n_real) % N_INSTRUMENTS).tolist()
    held = SimpleNamespace(
        features=features(0, n_real), groups=groups, pitch=np.full(n_real, 60.0), vectors=vectors(0, n_real),
        learnt_features=features(1, n_learnt),
    )  # fmt: skip
    sets = [
        SimpleNamespace(features=made, vectors=vectors(2) if described is None else described),
        SimpleNamespace(features=3 + features(3, 256), vectors=4 + vectors(3, 256)),
    ]
    notes = [SimpleNamespace(pitch=60.0)] * len(made)
    facts = {"held": held, "made": sets[0], "poor_made": sets[1], "made_notes": notes, "seed": 0}
    return cast("Judged", SimpleNamespace(**facts))


def by_key(rows: list[Row]) -> dict[tuple[str, str], Row]:
    return {(one.metric, one.form): one for one in rows}


@pytest.fixture(scope="module")
def equal() -> dict[tuple[str, str], Row]:
    return by_key(hearing_rows(asked(features(4))))


def test_equal_sets_are_at_the_floor(equal: dict[tuple[str, str], Row]) -> None:
    for metric in ("kernel_distance", "frechet", "precision", "recall", "coverage"):
        found = equal[metric, "note_net"]
        assert found.passes or metric == "frechet", metric
        assert abs(found.gap) < 0.1, metric
    assert equal["ndb", "note_net, held-out notes"].passes
    assert equal["ndb", "note_net, held-out notes"].value < 0.15
    assert equal["overlap_area", "timbre vector, log_attack"].value > 0.9
    assert equal["overlap_area", "timbre vector, log_attack"].passes
    for one in equal.values():
        if one.value == one.value:
            assert one.low <= one.value <= one.high
            assert math.isfinite(one.floor)
            assert math.isfinite(one.ceiling)
            assert one.n == N


def test_a_shifted_and_a_collapsed_set_are_caught() -> None:
    shifted = by_key(hearing_rows(asked(features(4) + 0.5, described=vectors(2) + 1.5)))
    for key in (
        ("kernel_distance", "note_net"),
        ("frechet", "note_net"),
        ("ndb", "note_net, held-out notes"),
        ("overlap_area", "timbre vector, log_attack"),
    ):
        assert shifted[key].passes is False, key
        assert shifted[key].gap > 0.02, key
    one_only = np.repeat(features(4, 1), N, axis=0)
    collapsed = by_key(hearing_rows(asked(one_only + 0.001 * features(5))))
    assert collapsed["recall", "note_net"].passes is False
    assert collapsed["coverage", "note_net"].passes is False
    assert collapsed["ndb", "note_net, held-out notes"].value > 0.35
    assert collapsed["inception_score", "note_net, family"].value == pytest.approx(1, abs=0.01)


def test_too_few_notes_are_refused_and_told() -> None:
    few = by_key(hearing_rows(asked(features(4), n_real=120, n_learnt=100)))
    for key, needed in (
        (("frechet", "note_net"), 129),
        (("fd_inf", "note_net"), 645),
        (("ndb", "note_net, held-out notes"), 250),
        (("inception_score", "note_net, family"), 80),
    ):
        assert math.isnan(few[key].value), key
        assert few[key].passes is None, key
        assert "refused" in few[key].note, key
        assert f"{needed} are needed" in few[key].note, key
    assert math.isfinite(few["kernel_distance", "note_net"].value)
    eight = by_key(overlap_rows(asked(features(4, 8), described=vectors(2, 8))))
    assert "16 are needed" in eight["overlap_area", "timbre vector, duration"].note


def test_an_overlap_that_an_untrained_model_reaches_is_not_judged() -> None:
    one = asked(features(4))
    one.poor_made.vectors[:] = vectors(0, 256)  # real notes themselves
    found = by_key(overlap_rows(one))["overlap_area", "timbre vector, duration"]
    assert found.passes is None
    assert "untrained model does as well" in found.note


def test_bins_against_training_notes_are_told_and_not_judged() -> None:
    rows = by_key(bin_rows(asked(features(4))))
    papers = rows["ndb", "note_net, training notes (paper form)"]
    assert papers.passes is None
    assert papers.value < 0.15


def test_pitch_is_counted_where_the_network_knows_it() -> None:
    one = asked(features(4))
    one.held.pitch[:] = 130.0
    rows = by_key(answer_rows(one))
    assert "refused: 0 items" in rows["pitch_accuracy", "note_net, within a semitone (paper form)"].note


def test_real_notes_of_a_model_that_knows_nothing(tmp_path: Path) -> None:
    cache = write_cache(tmp_path)
    held = take(Notes(cache, "test"), CONFIG, n_planes=24, n_described=24, learnt=Notes(cache, "train"))
    model = model_of(tmp_path)
    scaler = Scaler(np.zeros(len(NAMES)), np.ones(len(NAMES)))
    rows = by_key(hearing_rows(Judged(model, model, held, scaler, 0, 24)))
    pitch = rows["pitch_accuracy", "note_net, within a semitone (paper form)"]
    assert pitch.floor > 0.8
    assert pitch.value < 0.5
    assert pitch.passes is False
    assert rows["pitch_entropy", "note_net, nats (paper form)"].floor < 1.5
    assert rows["kernel_distance", "note_net"].passes is False
