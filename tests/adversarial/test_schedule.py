"""Schedules and budgets."""

import itertools
import time
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from audiogan.adversarial import budget
from audiogan.adversarial.budget import fit_steps, parse_budget
from audiogan.adversarial.schedule import Schedule, cosine, linear, warm_up


class Holder(BaseModel):
    rate: Schedule


def test_a_number_or_a_mapping_makes_a_schedule() -> None:
    assert Holder.model_validate({"rate": 0.5}).rate.at(0.9) == 0.5
    falling = Holder.model_validate({"rate": {"start": 1, "end": 0, "shape": "linear"}}).rate
    assert [falling.at(share) for share in (0.0, 0.25, 1.0)] == [1.0, 0.75, 0.0]


def test_known_points_of_the_curves() -> None:
    assert linear(0.5, 1.0, 3.0) == 2.0
    assert [round(cosine(share, 2.0, 0.0), 12) for share in (0.0, 1 / 3, 0.5, 1.0)] == [2.0, 1.5, 1.0, 0.0]
    assert [warm_up(share, 0.1) for share in (0.0, 0.05, 0.1, 1.0)] == [0.0, 0.5, 1.0, 1.0]


def test_warm_up_multiplies_and_until_ends_early() -> None:
    schedule = Schedule(start=4.0, end=0.0, shape="linear", warm_up=0.1, until=0.5)
    assert schedule.at(0.05) == pytest.approx(0.5 * 3.6)
    assert schedule.at(0.25) == pytest.approx(2.0)
    assert schedule.at(0.75) == 0.0


@pytest.mark.parametrize(
    "value",
    [
        {"start": 1.0, "end": 2.0},
        {"start": 1.0, "shape": "linear"},
        {"start": float("nan")},
        {"start": 1.0, "warm_up": 2.0},
        {"start": 1.0, "slope": 2.0},
        {"start": 1.0, "end": 0.0, "shape": "cosine", "until": 0.0},
        True,
    ],
)
def test_a_schedule_that_means_nothing_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Schedule.model_validate(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2000 steps", (2000.0, "steps")),
        ("2_000_000 examples", (2e6, "examples")),
        ("0.5 minutes", (0.5, "minutes")),
        ("1 step", (1.0, "steps")),
    ],
)
def test_budgets(text: str, expected: tuple[float, str]) -> None:
    assert parse_budget(text) == expected


@pytest.mark.parametrize(
    "text", ["", "2000", "steps", "-1 steps", "0 minutes", "nan steps", "inf minutes", "3 parsecs"]
)
def test_a_budget_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number above 0"):
        parse_budget(text)


def test_minutes_weigh_each_part_of_the_budget_by_its_own_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(budget, "time", type("Clock", (), {"monotonic": staticmethod(lambda: now[0])}))
    starts = []

    def rehearse(start: int) -> Iterator[None]:
        starts.append(start)
        for number in itertools.count():
            # The first steps are slow everywhere and must not count.
            now[0] += 5.0 if number < 2 else (0.01 if start < 400_000 else 0.1)
            yield

    steps = fit_steps(600.0, [0.0, 0.4, 1.0], rehearse, lambda value: value)
    spent = now[0]
    assert starts == [1007, 401_007]
    assert steps == pytest.approx((600.0 - spent) / (0.4 * 0.01 + 0.6 * 0.1), rel=1e-3)
    assert spent < 20.0 + 0.03 * 600.0


@pytest.mark.parametrize("interval", [2, 4, 8, 16])
def test_what_is_due_at_some_steps_only_is_met_while_warming_up(interval: int) -> None:
    """Its first time may take minutes, where it has to be compiled."""
    starts: list[int] = []

    def rehearse(start: int) -> Iterator[None]:
        starts.append(start)
        yield from itertools.repeat(None, 3)
        time.sleep(0.01)
        yield

    fit_steps(1e-9, [0.0, 0.05, 0.4, 1.0], rehearse, lambda value: value)
    assert len(starts) == 3
    assert all(any((start + n) % interval == 0 for n in range(budget.WARMING_STEPS)) for start in starts)


def test_a_real_clock_fits_at_least_one_step() -> None:
    def slow(_: int) -> Iterator[None]:
        while True:
            time.sleep(0.002)
            yield

    assert fit_steps(0.01, [0.0, 1.0], slow, lambda value: value) >= 1
