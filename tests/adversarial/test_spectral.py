"""Spectral normalisation and frozen blocks."""

import copy

import pytest
import torch
from torch import nn

from audiogan.adversarial.freeze import children_of, freeze_first
from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.spectral import bake, normalise_spectrally
from audiogan.errors import RecipeError
from audiogan.layers import GridConv, Scaled


def test_the_largest_singular_value_becomes_one() -> None:
    module = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0, 4.0], [1.0, 0.0]]))
    stack = nn.Sequential(module)
    normalise_spectrally(stack)
    for _ in range(20):
        stack(torch.zeros(1, 2))
    torch.testing.assert_close(module.weight.detach(), torch.tensor([[0.0, 1.0], [0.25, 0.0]]))


def test_a_weight_that_its_layer_scales_is_not_scaled_twice() -> None:
    """An equalised layer of gain 1 and 4 inputs halves its weights when used; used they have norm 1 all the same."""
    with seeded(0, "modules"):
        layer = Scaled(4, 3, gain=1.0, equalised=True)
    normalise_spectrally(nn.Sequential(layer))
    for _ in range(50):
        layer(torch.eye(4))
    made = layer(torch.eye(4)) - layer.bias
    assert torch.linalg.matrix_norm(made, 2).item() == pytest.approx(1.0, abs=1e-4)


def test_kernels_of_tracks_are_normalised_one_by_one() -> None:
    with seeded(0, "modules"):
        conv = GridConv(2, 3, (1, 2, 1), std=1.0, n_tracks=2)
        with torch.no_grad():
            conv.weight[1] *= 100.0
    normalise_spectrally(nn.Sequential(conv))
    found = [conv.weight for _ in range(50)]  # each look is one more iteration
    norms = [torch.linalg.matrix_norm(one.flatten(0, 3), 2).item() for one in found[-1]]
    assert norms == pytest.approx([1.0, 1.0], abs=1e-3)


def test_a_silent_layer_is_drawn_anew_and_the_same_each_time() -> None:
    found = []
    for _ in range(2):
        layer = nn.Linear(3, 2)
        nn.init.zeros_(layer.weight)
        normalise_spectrally(nn.Sequential(layer))
        found.append(layer.weight.detach())
        assert torch.linalg.matrix_norm(found[-1], 2).item() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(*found)


def test_baked_weights_have_plain_names_and_the_same_values() -> None:
    module = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(4, 1))
    names = set(module.state_dict())
    normalise_spectrally(module)
    copied = copy.deepcopy(module).eval()
    x = torch.ones(1, 1, 4)
    before = copied(x)
    bake(copied)
    assert set(copied.state_dict()) == names
    assert torch.equal(copied(x), before)
    fresh = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(4, 1))
    fresh.load_state_dict(copied.state_dict())
    assert torch.equal(fresh(x), before)
    bake(fresh)  # nothing to do


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
    freeze_first(children_of(module), 2)
    assert {name for name, value in module.named_parameters() if not value.requires_grad} == {
        "0.weight",
        "0.bias",
        "2.weight",
        "2.bias",
    }


def test_none_may_stand_still_and_all_may_not() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    freeze_first(children_of(module), 0)
    assert all(value.requires_grad for value in module.parameters())
    with pytest.raises(RecipeError, match="freeze 2 blocks of 2; expected fewer"):
        freeze_first(children_of(module), 2)
