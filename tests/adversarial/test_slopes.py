"""Three ways to the slope of a discriminator, against slopes that are known."""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from audiogan.adversarial import slopes
from audiogan.adversarial.penalty import dragan, r1_r2, wgan_gp
from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.slopes import Slope, TestedSlope, approximate_slope, exact_slope, func_slope

WEIGHT = torch.tensor([3.0, 4.0])  # norm 5


def linear(examples: Tensor) -> Tensor:
    return examples @ WEIGHT


def half_square(examples: Tensor) -> Tensor:
    """Its gradient is the example itself."""
    return 0.5 * examples.square().sum(1, keepdim=True)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def smooth(dropout: float = 0.0, *, spectral: bool = False) -> nn.Sequential:
    with seeded(0, "modules"):
        first = nn.Linear(2, 8)
        normed = spectral_norm(first) if spectral else first
        return nn.Sequential(normed, nn.SiLU(), nn.Dropout(dropout), nn.Linear(8, 1))


@pytest.mark.parametrize("slope", [exact_slope, func_slope])
def test_slopes_of_known_discriminators(slope: Slope) -> None:
    logits, squared = slope(linear, draw(3, 2))
    assert logits.tolist() == linear(draw(3, 2)).tolist()
    assert squared.tolist() == [25.0, 25.0, 25.0]
    assert slope(half_square, torch.tensor([[1.0, 2.0], [0.0, 3.0]]))[1].tolist() == [5.0, 9.0]


def test_the_estimate_is_the_squared_slope_along_the_draw() -> None:
    draws = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    _, squared = approximate_slope(linear, torch.zeros(3, 2), draws)
    assert squared.tolist() == pytest.approx([9.0, 16.0, 49.0], rel=1e-4)


def test_the_estimate_is_right_on_average() -> None:
    _, squared = approximate_slope(linear, torch.zeros(20_000, 2), draw(20_000, 2))
    assert squared.mean().item() == pytest.approx(25.0, rel=0.04)


def test_the_estimate_stays_in_float32_under_autocast() -> None:
    module, examples = nn.Linear(2, 1), draw(4, 2)
    alone = approximate_slope(module, examples, draw(4, 2, seed=1))[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module(examples).dtype == torch.bfloat16
        logits, squared = approximate_slope(module, examples, draw(4, 2, seed=1))
    assert logits.dtype == torch.float32
    assert torch.equal(squared, alone)


@pytest.mark.parametrize("spectral", [False, True])
def test_func_moves_the_weights_as_exact_does(spectral: bool) -> None:
    found = []
    for slope in (exact_slope, func_slope):
        module = smooth(spectral=spectral)
        logits, squared = slope(module, draw(6, 2))
        (logits.mean() + squared.mean()).backward()
        found.append(torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None]))
    assert found[0].norm() > 0.01
    assert torch.allclose(*found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("slope", [func_slope, exact_slope])
def test_penalties_take_the_slope_they_are_given(slope: Slope) -> None:
    calls = []

    def counted(judge: slopes.Discriminator, examples: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(len(examples))
        return slope(judge, examples)

    real, fake = draw(3, 2), draw(3, 2, seed=1)
    real_logits, fake_logits, terms = r1_r2(linear, linear, real, fake, 2.0, 1.0, counted)
    assert torch.equal(real_logits, linear(real))
    assert torch.equal(fake_logits, linear(fake))
    assert {name: term.item() for name, term in terms.items()} == {"r1": 25.0, "r2": 12.5}
    assert wgan_gp(linear, real, fake, torch.rand(3), 10.0, counted).item() == pytest.approx(160.0, rel=1e-5)
    assert dragan(linear, real, torch.rand(3, 2), 10.0, counted).item() == pytest.approx(160.0, rel=1e-5)
    assert calls == [3, 3, 3, 3]
    assert r1_r2(linear, linear, real, fake, 0.0, 0.0, counted)[2] == {}
    assert len(calls) == 4


# ---- the test at the first step


def test_a_slope_that_passes_its_test_is_used_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    module = smooth()
    tested = TestedSlope(module)
    with caplog.at_level(logging.WARNING):
        assert torch.allclose(tested(module, draw(4, 2))[1], exact_slope(module, draw(4, 2))[1])
    assert tested.error is not None
    assert tested.error < 1e-5
    assert not caplog.messages


def test_a_slope_that_fails_its_test_is_replaced_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slopes, "func_slope", lambda judge, x: (judge(x), 1.01 * exact_slope(judge, x)[1]))
    module = smooth()
    tested = TestedSlope(module)
    with caplog.at_level(logging.WARNING):
        found = [tested(module, draw(4, 2))[1] for _ in range(3)]
    assert all(torch.equal(each, exact_slope(module, draw(4, 2))[1]) for each in found)
    assert len(caplog.messages) == 1
    assert "exact ones are used" in caplog.text


def test_a_discriminator_that_func_cannot_take_is_measured_exactly(caplog: pytest.LogCaptureFixture) -> None:
    module = smooth()

    class Same(torch.autograd.Function):
        """Identity written in the way that torch.func refuses."""

        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *slopes: Tensor) -> Tensor:
            return slopes[0]

    def old(examples: Tensor) -> Tensor:
        return Same.apply(module(examples))  # type: ignore[return-value]

    tested = TestedSlope(module)
    with caplog.at_level(logging.WARNING):
        squared = [tested(old, draw(4, 2))[1] for _ in range(2)][1]
    assert len(caplog.messages) == 1
    assert "impossible here" in caplog.text
    assert torch.equal(squared, exact_slope(module, draw(4, 2))[1])


def test_the_test_leaves_draws_and_buffers_alone() -> None:
    module, twin = smooth(0.5, spectral=True), smooth(0.5, spectral=True)
    with seeded(0, "dropout"):
        TestedSlope(module)(module, draw(4, 2))
        after = torch.rand(1)
    with seeded(0, "dropout"):
        func_slope(twin, draw(4, 2))
        assert torch.equal(after, torch.rand(1))
    pairs = list(zip(module.buffers(), twin.buffers(), strict=True))
    assert pairs
    assert all(torch.equal(one, other) for one, other in pairs)
