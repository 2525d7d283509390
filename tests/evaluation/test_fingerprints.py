"""Fingerprints keep their limits, say how far they can be trusted, and a damaged file is told in one line."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from audiogan.errors import CheckpointError
from audiogan.evaluation.audit import half_of_nearest
from audiogan.evaluation.fingerprints import FILE, Fingerprints, calibrate, load, save

RULES = {"view": lambda held_out, planted: half_of_nearest(held_out)}


def held_out(n: int = 400) -> dict[str, np.ndarray]:
    return {"view": np.random.default_rng(0).uniform(10, 30, n)}


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    marks = Fingerprints("notes", {"bits": np.arange(6, dtype=np.uint8)}, {"view": 5.0}, {"n_items": 6})
    save(marks, tmp_path / FILE)
    again = load(tmp_path / FILE)
    assert (again.kind, again.limits, again.facts) == ("notes", {"view": 5.0}, {"n_items": 6})
    np.testing.assert_array_equal(again.arrays["bits"], np.arange(6))


def test_copies_that_lie_near_give_power_and_the_limit_is_half_of_the_nearest() -> None:
    limits, facts = calibrate(held_out(), {"view": np.full(50, 2.0)}, RULES)
    assert limits["view"] == pytest.approx(0.5 * held_out()["view"].min())
    assert facts["verdict"] == "has power"
    assert facts["planted_copies_found"]["value"] == 1
    assert facts["held_out_items_flagged"] == 0


@pytest.mark.parametrize(
    ("near", "n_held_out"), [(np.r_[np.full(40, 2.0), np.full(10, 9.0)], 400), (np.full(50, 2.0), 150)]
)
def test_lost_copies_and_few_held_out_items_leave_no_power(near: np.ndarray, n_held_out: int) -> None:
    assert calibrate(held_out(n_held_out), {"view": near}, RULES)[1]["verdict"] == "no power"


def test_held_out_items_that_are_flagged_leave_no_power() -> None:
    leaked = {"view": np.r_[held_out()["view"], np.geomspace(0.01, 5, 30)]}
    facts = calibrate(leaked, {"view": np.full(50, 0.0)}, RULES)[1]
    assert facts["held_out_items_flagged"] > 0
    everyone = {"view": np.geomspace(1e-6, 1, 400)}  # each half has something far below the other's nearest
    assert (
        calibrate(everyone, {"view": np.full(50, 0.0)}, {"view": lambda values, _: float(np.median(values))})[1][
            "verdict"
        ]
        == "no power"
    )


def test_nothing_held_out_sets_no_limit() -> None:
    limits, facts = calibrate({"view": np.zeros(0)}, {"view": np.zeros(3)}, RULES)
    assert (limits, facts["verdict"]) == ({}, "no power")


def test_one_view_is_enough() -> None:
    marks = Fingerprints("clips", {}, {"a": 1.0, "b": -2.0})
    near = marks.too_near({"a": np.array([0.5, 3.0, 3.0]), "b": np.array([0.0, -2.0, -1.0])})
    assert near.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ({}, "another version"),
        ({"audiogan": "[1]"}, "another version"),
        ({"audiogan": "{"}, "expected the fingerprints"),
        ({"audiogan": '{"schema": "audiogan/fingerprints/1", "kind": "notes"}'}, "without kind, limits and facts"),
    ],
)
def test_a_head_of_others_is_refused(tmp_path: Path, head: dict[str, str], told: str) -> None:
    save_file({"bits": np.zeros(3, np.uint8)}, tmp_path / FILE, head)
    with pytest.raises(CheckpointError, match=told):
        load(tmp_path / FILE)


def test_damaged_and_infinite_marks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"fingerprints\.safetensors: .*expected the fingerprints"):
        load(tmp_path / FILE)
    (tmp_path / FILE).write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError, match="expected the fingerprints of a model"):
        load(tmp_path / FILE)
    save(Fingerprints("notes", {"middle": np.array([np.inf], np.float32)}, {}, {}), tmp_path / FILE)
    with pytest.raises(CheckpointError, match="not finite"):
        load(tmp_path / FILE)
