"""The controller of augmentation, step by step."""

import pytest
import torch

from audiogan.adversarial.adaptive import Adaptive, AdaptiveConfig


def signs(positive: int, of: int = 10) -> torch.Tensor:
    """Logits of which so many are above 0: mean sign 2 · positive / of - 1."""
    return torch.tensor([5.0] * positive + [-0.1] * (of - positive))


def adaptive(**options: float) -> Adaptive:
    return Adaptive(AdaptiveConfig.model_validate({"interval": 2, "ramp": 100.0} | options))


def test_it_rises_above_the_target_and_falls_below_it() -> None:
    control = adaptive()
    seen = []
    for positive in (10, 10, 9, 9, 7, 7, 7, 7):  # mean signs 1, 0.8, 0.4, 0.4 against 0.6
        control.note(signs(positive), signs(0))
        seen.append(round(control.probability.item(), 6))
    # Every second move by 20 examples of 100.
    assert seen == [0.0, 0.2, 0.2, 0.4, 0.4, 0.2, 0.2, 0.0]


def test_it_stays_between_nothing_and_the_most() -> None:
    control = adaptive(most=0.3)
    for _ in range(6):
        control.note(signs(10), signs(0))
    assert control.probability.item() == pytest.approx(0.3)
    for _ in range(6):
        control.note(signs(0), signs(0))
    assert control.probability.item() == 0.0


def test_it_waits_at_the_target_itself() -> None:
    control = adaptive(target=0.0, start=0.5)
    for _ in range(4):
        control.note(signs(5), signs(0))
    assert control.probability.item() == 0.5


def test_pairs_have_no_zero_of_their_own() -> None:
    """All logits are above 0, and D tells no pair apart: only the pair form sees that."""
    alone, pairs = adaptive(start=0.5), Adaptive(adaptive(start=0.5).config, pairs=True)
    for control in (alone, pairs):
        for _ in range(2):
            control.note(signs(10) + 1.0, signs(10) + 1.0)
    assert [alone.probability.item(), pairs.probability.item()] == pytest.approx([0.7, 0.3])


def test_all_processes_decide_alike() -> None:
    """The mean over processes rules, and their examples count together."""
    control = Adaptive(adaptive(start=0.5).config, mean=lambda values: torch.zeros_like(values))
    for _ in range(2):
        control.note(signs(10), signs(0), world=2)
    assert control.probability.item() == pytest.approx(0.5 - 40 / 100)


def test_it_continues_where_it_was() -> None:
    straight, first = adaptive(), adaptive()
    for control in (straight, first):
        control.note(signs(10), signs(0))
    second = adaptive()
    second.load_state(first.state())
    for control in (straight, second):
        control.note(signs(8), signs(0))
    assert second.probability.item() == straight.probability.item() == pytest.approx(0.2)
