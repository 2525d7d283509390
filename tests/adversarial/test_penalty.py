"""Penalties of discriminators whose gradient is known."""

import pytest
import torch
from torch import nn

from audiogan.adversarial.penalty import clip_weights, dragan, r1_r2, unit_centred, wgan_gp
from audiogan.adversarial.slopes import squared_gradient

WEIGHT = torch.tensor([3.0, 4.0])  # norm 5


def linear(examples: torch.Tensor) -> torch.Tensor:
    return examples @ WEIGHT


def quadratic(examples: torch.Tensor) -> torch.Tensor:
    """Its gradient is the example itself."""
    return 0.5 * examples.square().sum(1, keepdim=True)


def test_r1_and_r2_of_a_linear_discriminator_are_half_gamma_times_its_squared_norm() -> None:
    real, fake = torch.randn(5, 2), torch.randn(5, 2)
    real_logits, fake_logits, terms = r1_r2(linear, linear, real, fake, 2.0, 0.5)
    assert terms["r1"].item() == pytest.approx(0.5 * 2.0 * 25.0)
    assert terms["r2"].item() == pytest.approx(0.5 * 0.5 * 25.0)
    assert torch.equal(real_logits, linear(real))
    assert torch.equal(fake_logits, linear(fake))


def test_r1_is_the_mean_over_examples_of_the_sum_over_dimensions() -> None:
    real = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    _, _, terms = r1_r2(quadratic, quadratic, real, real, 1.0, 0.0)
    assert terms["r1"].item() == pytest.approx(0.5 * (5.0 + 9.0) / 2)
    assert "r2" not in terms


def test_gamma_zero_asks_for_no_gradient() -> None:
    _, _, terms = r1_r2(linear, linear, torch.randn(2, 2), torch.randn(2, 2), 0.0, 0.0)
    assert terms == {}


def test_r1_moves_the_weights_of_the_discriminator() -> None:
    discriminator = nn.Linear(2, 1)
    _, _, terms = r1_r2(discriminator, discriminator, torch.randn(3, 2), torch.randn(3, 2), 2.0, 0.0)
    terms["r1"].backward()
    # gamma/2 |w|² has the slope gamma w.
    assert discriminator.weight.grad is not None
    assert torch.allclose(discriminator.weight.grad, 2.0 * discriminator.weight.detach())


def test_the_gradient_penalty_does_not_reach_the_generator() -> None:
    source = torch.randn(3, 2, requires_grad=True)
    _, fake_logits, terms = r1_r2(quadratic, quadratic, torch.randn(3, 2), 2.0 * source, 0.0, 1.0)
    (fake_logits.sum() + terms["r2"]).backward()
    assert source.grad is None


def test_one_sided_examples_give_one_norm_each() -> None:
    examples = torch.tensor([[1.0, 0.0], [0.0, 2.0]], requires_grad=True)
    assert squared_gradient(quadratic(examples), examples).tolist() == [1.0, 4.0]


def test_wgan_gp_of_a_linear_discriminator_is_known_wherever_it_is_taken() -> None:
    value = wgan_gp(linear, torch.randn(4, 2), torch.randn(4, 2), torch.rand(4), weight=10.0)
    assert value.item() == pytest.approx(10.0 * (5.0 - 1.0) ** 2, rel=1e-5)


@pytest.mark.parametrize(("alpha", "norm"), [(1.0, 2.0), (0.0, 6.0), (0.5, 4.0)])
def test_wgan_gp_takes_one_point_per_example_on_the_line(alpha: float, norm: float) -> None:
    real, fake = torch.tensor([[2.0, 0.0]]), torch.tensor([[6.0, 0.0]])
    value = wgan_gp(quadratic, real, fake, torch.tensor([alpha]), weight=1.0)
    assert value.item() == pytest.approx((norm - 1.0) ** 2, rel=1e-5)


def test_two_sided_penalty_is_finite_where_the_discriminator_ignores_its_input() -> None:
    discriminator = nn.Linear(2, 1)
    nn.init.zeros_(discriminator.weight)
    value = unit_centred(discriminator, torch.randn(3, 2), 10.0)
    value.backward()
    assert value.item() == pytest.approx(10.0 * (1.0 - 1e-4) ** 2)
    assert discriminator.weight.grad is not None
    assert torch.isfinite(discriminator.weight.grad).all()


def test_dragan_stays_within_half_a_deviation_of_the_reals() -> None:
    real = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    value = dragan(quadratic, real, torch.ones(4, 2), weight=1.0)
    shift = 0.5 * real.std()
    expected = ((real + shift).norm(dim=1) - 1.0).square().mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert dragan(quadratic, real, torch.zeros(4, 2), weight=1.0).item() == pytest.approx(0.0, abs=1e-8)


def test_clipping_bounds_every_weight_and_leaves_small_ones() -> None:
    module = nn.Linear(2, 1)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.5, -0.005]]))
    clip_weights(module, 0.01)
    assert module.weight.tolist() == [[pytest.approx(0.01), pytest.approx(-0.005)]]
