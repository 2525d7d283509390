"""Augmentation by schedule and by controller."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from audiogan.adversarial.adaptive import Adaptive, AdaptiveConfig
from audiogan.adversarial.augment import Augment, AugmentConfig
from audiogan.adversarial.game import Moment
from audiogan.adversarial.schedule import Schedule


def moment(**options: Any) -> Moment:
    return Moment(**({"step": 3, "share": 0.3, "n_seen": 30, "seed": 0, "phase": "generator"} | options))


def test_augmentation_touches_the_scheduled_part_of_the_batch() -> None:
    config = AugmentConfig(probability=Schedule(start=0.0, end=0.5, shape="linear"))
    augment = Augment(config, [lambda x, _: x + 1.0, lambda x, _: x + 10.0])
    zeros = torch.zeros(4000, 1)
    assert augment(zeros, moment(share=0.0)) is zeros
    changed = augment(zeros, moment(share=1.0))
    assert set(changed.unique().tolist()) == {0.0, 1.0, 10.0, 11.0}
    assert (changed % 2 == 1).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(changed, augment(zeros, moment(share=1.0)))
    assert not torch.equal(changed, augment(zeros, moment(share=1.0), "fake"))


def test_transforms_get_draws_of_their_own() -> None:
    seen = []

    def note(x: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        seen.append(draws)
        return x

    Augment(AugmentConfig(probability=Schedule(start=1.0)), [note, note], n_draws=3)(torch.zeros(5, 2), moment())
    assert [draws.shape for draws in seen] == [(5, 3), (5, 3)]
    assert not torch.equal(*seen)


def test_a_probability_above_one_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"expected values in \[0, 1\]"):
        AugmentConfig(probability=Schedule(start=1.5))


def test_an_adaptive_probability_takes_the_place_of_the_schedule() -> None:
    adaptive = Adaptive(AdaptiveConfig(start=0.5))
    augment = Augment(AugmentConfig(), [lambda x, _: x + 1.0], adaptive=adaptive)
    assert augment(torch.zeros(4000, 1), moment()).mean().item() == pytest.approx(0.5, abs=0.05)
    adaptive.probability = torch.tensor(0.0)
    assert augment(torch.zeros(10, 1), moment()).sum().item() == 0.0
