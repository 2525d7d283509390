"""Grid layers equal torch's own convolutions and norms, and their gradients can be differentiated again."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.layers import (
    GridConv,
    GridConvTranspose,
    GridGrow,
    GridNorm,
    GridShrink,
    cut,
    grid_stack,
    lay,
    truncated_normal_,
)

KERNELS = [((1, 3, 1), None), ((1, 1, 4), None), ((2, 3, 2), None), ((1, 2, 3), (1, 2, 2)), ((2, 1, 1), (1, 1, 1))]


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def channels_first(grid: Tensor) -> Tensor:
    return grid.movedim(-1, 1)


def filled(layer: Any) -> Any:
    for index, parameter in enumerate(layer.parameters()):
        parameter.data = drawn(*parameter.shape, seed=10 + index)
    return layer


@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_conv_equals_conv3d(kernel, stride):
    layer = filled(GridConv(3, 5, kernel, stride, std=0.1))
    grid = drawn(2, 4, 6, 8 if kernel[2] != 3 else 7, 3)
    weight = layer.weight.permute(4, 3, 0, 1, 2)
    expected = F.conv3d(channels_first(grid), weight, layer.bias, stride or kernel)
    torch.testing.assert_close(channels_first(layer(grid)), expected, atol=6e-6, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_conv_transpose_equals_conv_transpose3d(kernel, stride):
    layer = filled(GridConvTranspose(3, 5, kernel, stride, std=0.1))
    grid = drawn(2, 2, 3, 4, 3)
    weight = layer.weight.permute(0, 4, 1, 2, 3)
    expected = F.conv_transpose3d(channels_first(grid), weight, layer.bias, stride or kernel)
    torch.testing.assert_close(channels_first(layer(grid)), expected, atol=6e-6, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_lay_is_the_adjoint_of_cut(kernel, stride):
    grid = drawn(2, 4, 6, 8 if kernel[2] != 3 else 7, 3)
    patches = cut(grid, kernel, stride or kernel)
    others = drawn(*patches.shape, seed=1)
    laid = lay(others.unflatten(-1, (*kernel, 3)), stride or kernel)
    assert laid.shape == grid.shape
    torch.testing.assert_close((patches * others).sum(), (grid * laid).sum(), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("n_leading", [1, 3])
def test_conv_per_track_equals_one_conv_per_track(n_leading):
    layer = filled(GridConv(2, 4, (1, 3, 1), std=0.1, n_tracks=3))
    grid = drawn(n_leading, 2, 1, 6, 5, 2)
    out = layer(grid)
    assert out.shape == (3, 2, 1, 2, 5, 4)
    for track in range(3):
        single = GridConv(2, 4, (1, 3, 1), std=0.1)
        single.weight.data, single.bias.data = layer.weight[track], layer.bias[track]
        torch.testing.assert_close(out[track], single(grid[track % n_leading]))


@pytest.mark.parametrize(("kernel", "stride"), [((1, 3, 1), None), ((1, 2, 3), (1, 2, 2))])
@pytest.mark.parametrize("n_tracks", [None, 2])
def test_conv_can_be_differentiated_twice(kernel, stride, n_tracks):
    layer = filled(GridConv(2, 3, kernel, stride, std=0.1, n_tracks=n_tracks)).double()
    grid = drawn(*(() if n_tracks is None else (n_tracks,)), 1, 1, 6, 7, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, (grid,))
    assert torch.autograd.gradgradcheck(layer, (grid,))


def test_batch_norm_equals_batch_norm_of_torch():
    ours, theirs = GridNorm(4, eps=1e-3, momentum=0.01), nn.BatchNorm3d(4, eps=1e-3, momentum=0.01)
    for norm in (ours, theirs):
        norm.weight.data, norm.bias.data = drawn(4, seed=1), drawn(4, seed=2)
    grid = 2.0 + 3.0 * drawn(3, 2, 3, 5, 4)
    for _ in range(2):
        expected = theirs(channels_first(grid))
        torch.testing.assert_close(channels_first(ours(grid)), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    for norm in (ours, theirs):
        norm.eval()
    torch.testing.assert_close(channels_first(ours(grid)), theirs(channels_first(grid)), atol=1e-5, rtol=1e-5)


def test_layer_norm_takes_each_example_over_all_its_cells():
    grid = 5.0 + 2.0 * drawn(3, 2, 3, 5, 4)
    examples = grid.flatten(1)
    expected = (examples - examples.mean(1, keepdim=True)) / examples.std(1, correction=0, keepdim=True)
    normed = GridNorm(4, "layer", eps=1e-9, momentum=0.1)(grid)
    torch.testing.assert_close(normed.flatten(1), expected, atol=1e-5, rtol=1e-5)


def test_layer_norm_has_no_running_statistics():
    assert not list(GridNorm(4, "layer", eps=1e-5, momentum=0.1).buffers())


@pytest.mark.parametrize(("kernel", "stride"), [((1, 3, 2), None), ((1, 2, 3), (1, 2, 2))])
@pytest.mark.parametrize("training", [True, False])
def test_grow_is_conv_norm_relu(kernel, stride, training):
    norm = GridNorm(4, eps=1e-3, momentum=0.01)
    layer = filled(GridGrow(3, 4, kernel, stride, std=0.1, norm=norm)).train(training)
    norm.running_mean.copy_(drawn(4, seed=3))
    norm.running_var.copy_(drawn(4, seed=4).square() + 0.5)
    grid = drawn(2, 1, 3, 4, 3)
    expected = F.relu(norm(layer.conv(grid)))
    torch.testing.assert_close(layer(grid), expected, atol=1e-5, rtol=1e-5)
    assert expected.count_nonzero() > 0


def test_grow_refuses_unfinished_patches():
    layer = GridGrow(1, 1, (1, 1, 3), (1, 1, 2), std=0.1, norm=GridNorm(1, eps=1e-3, momentum=0.01))
    with pytest.raises(AssertionError, match="overlap"):
        layer.patches(torch.zeros(1, 1, 1, 3, 1))


def test_shrink_is_conv_norm_leaky_relu():
    norm = GridNorm(4, eps=1e-3, momentum=0.01)
    layer = filled(GridShrink(3, 4, (1, 2, 1), std=0.1, norm=norm, slope=0.5))
    grid = drawn(2, 1, 4, 3, 3)
    normed = norm(layer.conv(grid))
    torch.testing.assert_close(layer(grid), torch.where(normed > 0.0, normed, 0.5 * normed))


def test_stack_alternates_convs_and_leaks():
    stack = filled(grid_stack([1, 2, 3], [(1, 2, 1), (1, 1, 2)], std=0.1))
    grid = drawn(2, 1, 4, 4, 1)
    first = F.leaky_relu(stack[0](grid), 0.2)
    torch.testing.assert_close(stack(grid), F.leaky_relu(stack[2](first), 0.2))
    assert stack(grid).min() < 0.0


def test_truncated_normal_keeps_within_two_deviations():
    values = truncated_normal_(torch.empty(20000), 0.05)
    assert values.abs().max() <= 0.1
    # A normal law cut at two deviations keeps 0.8796 of its spread.
    assert values.std().item() == pytest.approx(0.05 * 0.8796, rel=0.03)


def test_layers_start_truncated_with_zero_bias():
    for layer in (GridConv(8, 8, (1, 3, 1), std=0.02), GridConvTranspose(8, 8, (1, 3, 1), std=0.02)):
        assert 0.03 < layer.weight.abs().max() <= 0.04
        assert not layer.bias.any()
