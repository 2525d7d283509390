"""Noise on what D sees."""

from typing import Any

import pytest
import torch

from audiogan.adversarial.game import Moment
from audiogan.adversarial.noise import add_noise


def moment(**options: Any) -> Moment:
    return Moment(**({"step": 3, "share": 0.3, "n_seen": 30, "phase": "discriminator"} | options))


def test_noise_has_the_strength_asked_for_around_the_example() -> None:
    noisy = add_noise(torch.full((5000, 2), 7.0), 0.3, moment(), "real")
    assert noisy.mean().item() == pytest.approx(7.0, abs=0.02)
    assert noisy.std().item() == pytest.approx(0.3, rel=0.05)


def test_reals_and_fakes_get_noise_of_their_own_and_views_of_one_move_the_same() -> None:
    zeros = torch.zeros(4, 2)
    real = add_noise(zeros, 1.0, moment(), "real")
    assert torch.equal(real, add_noise(zeros, 1.0, moment(), "real"))
    assert not torch.equal(real, add_noise(zeros, 1.0, moment(), "fake"))
    assert not torch.equal(real, add_noise(zeros, 1.0, moment(step=4), "real"))


def test_no_noise_is_the_example_itself() -> None:
    examples = torch.zeros(4, 2)
    assert add_noise(examples, 0.0, moment(), "real") is examples


def test_processes_add_the_rows_of_one_global_draw() -> None:
    whole = add_noise(torch.zeros(6, 2), 0.5, moment(), "real")
    assert torch.equal(add_noise(torch.zeros(2, 2), 0.5, moment(rank=1, world=3), "real"), whole[1::3])
