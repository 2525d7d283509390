"""The weight that finds itself, with answers worked out by hand."""

import logging
from typing import Any

import pytest
import torch

from audiogan.adversarial.autogamma import AutoGamma, AutoGammaConfig


def auto(**options: Any) -> AutoGamma:
    return AutoGamma(AutoGammaConfig.model_validate({"step": 4, "window": 3} | options))


def note(control: AutoGamma, step: int, loss: float, penalty: float | None, sign: float = 0.0) -> float:
    """Tell of a move whose penalty at factor 1 is given, and return the factor afterwards."""
    found = None if penalty is None else torch.tensor(control.factor * penalty)
    control.note(step, 10.0, torch.tensor(loss), found, torch.tensor(sign))
    return control.factor


def test_the_penalty_becomes_its_share_of_the_loss() -> None:
    control = auto()
    # The first two losses are not counted; the mean of 1 and 3 is, and so is the mean penalty of 5.
    assert [note(control, step, loss, 5.0) for step, loss in enumerate((90.0, 90.0, 1.0, 3.0))][:3] == [1.0] * 3
    assert control.factor == pytest.approx(0.15 * 2.0 / 5.0)


def test_lazy_penalties_count_where_they_are_due() -> None:
    control = auto()
    for step in range(4):
        note(control, step, 1.0, 5.0 if step % 2 == 0 else None)
    assert control.factor == pytest.approx(0.15 * 1.0 / 5.0)


def test_it_waits_for_a_penalty() -> None:
    control = auto()
    assert [note(control, step, 1.0, None) for step in range(5)] == [1.0] * 5
    assert note(control, 5, 1.0, 0.15) == pytest.approx(1.0)
    assert control.found


@pytest.mark.parametrize(("penalty", "gamma"), [(1e-9, 200.0), (1e9, 0.01)])
def test_gamma_stays_within_its_bounds(penalty: float, gamma: float) -> None:
    control = auto()
    for step in range(4):
        note(control, step, 1.0, penalty)
    assert 10.0 * control.factor == pytest.approx(gamma)


def settled(**options: Any) -> AutoGamma:
    """A control whose factor has come out as 1."""
    control = auto(**options)
    for step in range(4):
        note(control, step, 1.0, 0.15)
    assert control.factor == pytest.approx(1.0)
    return control


def test_penalties_that_rule_are_halved_once_a_window() -> None:
    control = settled()
    assert [note(control, step, 1.0, 5.1) for step in (4, 5, 6)] == pytest.approx([1.0, 1.0, 0.5])
    # Now 2.55 times the loss.
    assert [note(control, step, 1.0, 5.1) for step in (7, 8, 9)] == pytest.approx([0.5] * 3)


def test_a_discriminator_that_tells_all_apart_is_held_harder() -> None:
    control = settled()
    assert [note(control, step, 1.0, 0.1, sign=0.95) for step in range(4, 10)] == pytest.approx(
        [1.0, 1.0, 2.0, 2.0, 2.0, 4.0]
    )
    assert [note(control, step, 1.0, 0.1, sign=0.85) for step in range(10, 13)] == pytest.approx([4.0] * 3)


def test_all_processes_decide_alike() -> None:
    control = AutoGamma(AutoGammaConfig(step=4), mean=lambda values: torch.tensor([2.0, 5.0, 0.0], dtype=torch.float64))
    for step in range(4):
        note(control, step, 99.0, 99.0)
    assert control.factor == pytest.approx(0.15 * 2.0 / 5.0)


def test_each_change_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        control = settled()
        for step in (4, 5, 6):
            note(control, step, 1.0, 5.1)
    assert caplog.messages == ["step 3: gamma at reals is now 10", "step 6: gamma at reals is now 5"]


def test_it_continues_where_it_was() -> None:
    straight, first = auto(), auto()
    for control in (straight, first):
        for step in range(3):
            note(control, step, 1.0 + step, 2.0)
    second = auto()
    second.load_state(first.state())
    assert note(straight, 3, 5.0, 1.0) == note(second, 3, 5.0, 1.0) == pytest.approx(0.15 * 4.0 / 1.5)
    third = auto()
    third.load_state(second.state())
    assert third.found
