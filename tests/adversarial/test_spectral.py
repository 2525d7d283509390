"""Spectral normalisation and frozen blocks."""

import pytest
import torch
from torch import nn

from audiogan.adversarial.freeze import freeze_first
from audiogan.adversarial.spectral import normalise_spectrally
from audiogan.errors import RecipeError


def test_the_largest_singular_value_becomes_one() -> None:
    module = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0, 4.0], [1.0, 0.0]]))
    stack = nn.Sequential(module)
    normalise_spectrally(stack)
    for _ in range(20):
        stack(torch.zeros(1, 2))
    torch.testing.assert_close(module.weight.detach(), torch.tensor([[0.0, 1.0], [0.25, 0.0]]))


def test_convolutions_are_normalised_too_and_activations_left_alone() -> None:
    module = nn.Sequential(nn.Conv1d(1, 2, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(4, 1))
    normalise_spectrally(module)
    names = {name.partition(".")[0] for name, _ in module.named_buffers()}
    assert names == {"0", "3"}


def test_nothing_to_normalise_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="no layer"):
        normalise_spectrally(nn.Sequential(nn.ReLU()))


def test_the_first_blocks_stand_still() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 1))
    freeze_first(module, 2)
    assert {name for name, value in module.named_parameters() if not value.requires_grad} == {
        "0.weight",
        "0.bias",
        "2.weight",
        "2.bias",
    }


def test_none_may_stand_still_and_all_may_not() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    freeze_first(module, 0)
    assert all(value.requires_grad for value in module.parameters())
    with pytest.raises(RecipeError, match="freeze 2 blocks of 2; expected fewer"):
        freeze_first(module, 2)
