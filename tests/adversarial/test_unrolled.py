"""Looking ahead, against steps made in earnest."""

import copy

import torch
from torch import Tensor, nn

from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.spectral import normalise_spectrally
from audiogan.adversarial.unrolled import Judge, unrolled

INPUTS = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))


def small() -> nn.Sequential:
    with seeded(0, "modules"):
        return nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1))


def loss_of(judge: Judge) -> Tensor:
    return (judge(INPUTS) - 1.0).square().mean()


def test_the_module_that_will_be_is_the_one_that_gradient_descent_makes() -> None:
    module = small()
    ahead = unrolled(module, dict(module.named_parameters()), loss_of, 3, 0.2)
    real = copy.deepcopy(module)
    optimizer = torch.optim.SGD(real.parameters(), lr=0.2)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(real).backward()
        optimizer.step()
    assert torch.allclose(ahead(INPUTS), real(INPUTS), atol=1e-6)
    assert not torch.allclose(ahead(INPUTS), module(INPUTS), atol=1e-2)


def test_no_steps_leave_it_as_it_is() -> None:
    module = small()
    assert torch.equal(unrolled(module, [], loss_of, 0, 0.2)(INPUTS), module(INPUTS))


def test_only_what_learns_moves() -> None:
    module = small()
    ahead = unrolled(module, ["2.bias"], loss_of, 1, 0.5)
    difference = ahead(INPUTS) - module(INPUTS)
    # The bias moves by rate · 2 · mean(1 - logit).
    assert torch.allclose(difference, (1.0 - module(INPUTS)).mean().expand(5, 1), atol=1e-6)


def test_the_gradient_passes_through_the_steps() -> None:
    """One weight w, loss w·x: a step gives w - rate·x, so its verdict on x has the slope w - 2·rate·x."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 3.0)
    x = torch.tensor([[2.0]], requires_grad=True)
    ahead = unrolled(module, ["weight"], lambda judge: judge(x).sum(), 1, 0.1)
    (slope,) = torch.autograd.grad(ahead(x).sum(), x)
    torch.testing.assert_close(slope, torch.tensor([[3.0 - 2 * 0.1 * 2.0]]))


def test_weights_gradients_and_buffers_stay_as_they_are_even_when_held_still() -> None:
    module = small()
    normalise_spectrally(module)
    module.requires_grad_(requires_grad=False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    unrolled(module, [name for name, _ in module.named_parameters()], loss_of, 2, 0.2)(INPUTS)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(value.grad is None and not value.requires_grad for value in module.parameters())
