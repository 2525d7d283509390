"""Losses of tiny logits, worked out by hand."""

import math

import pytest
import torch
from pydantic import ValidationError

from audiogan.adversarial.craft import CraftConfig
from audiogan.adversarial.objective import (
    OBJECTIVES,
    Objective,
    discriminator_loss,
    feature_matching,
    generator_loss,
    wgan_drift,
)

LOG2 = math.log(2.0)


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def logits(*values: float) -> torch.Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rpgan", softplus(-3.0)),
        ("nonsaturating", softplus(-2.0) + softplus(-1.0)),
        ("minimax", softplus(-2.0) + softplus(-1.0)),
        ("smoothed", 0.9 * softplus(-2.0) + 0.1 * softplus(2.0) + softplus(-1.0)),
        ("hinge", 0.0),
        ("lsgan", 0.5 + 0.5),
        ("wgan", -3.0),
    ],
)
def test_discriminator_loss_of_one_pair(name: Objective, expected: float) -> None:
    assert discriminator_loss(name, logits(2.0), logits(-1.0)).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rpgan", softplus(3.0)),
        ("nonsaturating", softplus(1.0)),
        ("minimax", -softplus(-1.0)),
        ("smoothed", softplus(1.0)),
        ("hinge", 1.0),
        ("lsgan", 2.0),
        ("wgan", 1.0),
    ],
)
def test_generator_loss_of_one_pair(name: Objective, expected: float) -> None:
    assert generator_loss(name, logits(2.0), logits(-1.0)).item() == pytest.approx(expected, rel=1e-6)


def test_hinge_counts_only_what_is_within_the_margin() -> None:
    loss = discriminator_loss("hinge", logits(0.5, 3.0), logits(-0.5, 1.0))
    assert loss.item() == pytest.approx((0.5 + 0.0) / 2 + (0.5 + 2.0) / 2)


def test_rpgan_compares_within_pairs() -> None:
    paired = discriminator_loss("rpgan", logits(5.0, -5.0), logits(5.0, -5.0))
    crossed = discriminator_loss("rpgan", logits(5.0, -5.0), logits(-5.0, 5.0))
    assert paired.item() == pytest.approx(LOG2)
    assert crossed.item() == pytest.approx((softplus(-10.0) + softplus(10.0)) / 2)


def test_smoothed_labels_leave_a_sure_discriminator_worse_off() -> None:
    """The best verdict on reals is the one that says 90 %: log(0.9 / 0.1)."""
    logit = torch.tensor([math.log(9.0)], requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator_loss("smoothed", logit, logits(0.0)), logit)
    assert slope.item() == pytest.approx(0.0, abs=1e-6)


def test_an_unknown_loss_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match="'logistic'; expected one of rpgan, nonsaturating, minimax, smoothed"):
        CraftConfig(objective="logistic")


def test_logits_of_unequal_shape_are_a_bug() -> None:
    with pytest.raises(AssertionError):
        discriminator_loss("rpgan", torch.zeros(2, 1), torch.zeros(2))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_are_float32_whatever_the_logits(name: Objective) -> None:
    half = torch.zeros(3, dtype=torch.bfloat16)
    assert discriminator_loss(name, half, half).dtype == torch.float32
    assert generator_loss(name, half, half).dtype == torch.float32


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_player_pulls_the_fake_logit_its_way(name: Objective) -> None:
    fake = torch.zeros(1, requires_grad=True)
    (down,) = torch.autograd.grad(discriminator_loss(name, torch.zeros(1), fake + 0.5), fake)
    (up,) = torch.autograd.grad(generator_loss(name, torch.zeros(1), fake + 0.5), fake)
    assert down > 0.0
    assert up < 0.0


def test_only_the_relativistic_generator_needs_reals() -> None:
    assert generator_loss("hinge", None, logits(1.0)).item() == -1.0
    with pytest.raises(AssertionError):
        generator_loss("rpgan", None, logits(1.0))


def test_drift_is_the_weighted_mean_square() -> None:
    assert wgan_drift(logits(1.0, 3.0), 0.001).item() == pytest.approx(0.005)


def test_feature_matching_compares_means_over_the_batch() -> None:
    real = [torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.zeros(2, 1)]
    fake = [torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([[-3.0], [3.0]])]
    # Means (2, 0) against (0, 1) are 5 apart; in the second layer they agree.
    assert feature_matching(real, fake).item() == pytest.approx((5.0 + 0.0) / 2)


def test_feature_matching_moves_fakes_only() -> None:
    real, fake = (torch.ones(2, 1, requires_grad=True) for _ in range(2))
    feature_matching([real], [2.0 * fake]).backward()
    assert real.grad is None
    assert fake.grad is not None
