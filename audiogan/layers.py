"""Layers that know nothing of music: convolutions as matrix products, layers of scaled weights, resampling.

A grid is a tensor `(..., bar, timestep, pitch, channel)` with the channel last, so that cutting it into kernel-sized
patches is a reshape and a convolution whose stride equals its kernel is one matrix product: the same values as the
convolution of torch, faster on CPU. Kernels and strides are `(bar, timestep, pitch)`; there is no padding. Also here:
the truncated-normal start (nothing beyond two standard deviations) and normalisation per channel of a grid. Last come
the layers of networks over `(batch, channel, ...)` with one or two axes of length: dense layers and convolutions whose
weights may be equalised, normalisation per position, the spread of a batch, and halving and doubling of an axis.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kernel = tuple[int, int, int]
NormKind = Literal["batch", "layer"]
LEAK = 0.2


def truncated_normal_(tensor: Tensor, std: float) -> Tensor:
    """Fill in place with a normal law cut at two standard deviations, and return the tensor.

    Args:
        tensor: Any shape.
        std: Standard deviation before the cut (0.88 of it remains).
    """
    return nn.init.trunc_normal_(tensor, std=std, a=-2.0 * std, b=2.0 * std)


def cut(grid: Tensor, kernel: Kernel, stride: Kernel) -> Tensor:
    """Return the patches a convolution sees, `(..., bar', timestep', pitch', kernel * channel)`.

    Args:
        grid: `(..., bar, timestep, pitch, channel)`.
        kernel: Size of a patch.
        stride: Distance between patches; equal to the kernel for tiles.
    """
    axes = grid.dim() - 4
    for axis in (2, 1, 0):
        if kernel[axis] == stride[axis]:
            grid = grid.unflatten(axes + axis, (-1, kernel[axis]))
        else:
            grid = _repeat_overlaps(grid, axes + axis, kernel[axis], stride[axis])
    order = [*range(axes), axes, axes + 2, axes + 4, axes + 1, axes + 3, axes + 5, axes + 6]
    return grid.permute(order).flatten(-4)


def _repeat_overlaps(grid: Tensor, axis: int, kernel: int, stride: int) -> Tensor:
    starts = torch.arange(0, grid.shape[axis] - kernel + 1, stride, device=grid.device)
    cells = (starts.unsqueeze(1) + torch.arange(kernel, device=grid.device)).flatten()
    # Not `Tensor.unfold`, whose gradient takes several times as long on CPU.
    return grid.index_select(axis, cells).unflatten(axis, (len(starts), kernel))


def lay(patches: Tensor, stride: Kernel) -> Tensor:
    """Return the grid on which patches are laid out, summed where they overlap: the adjoint of `cut`.

    Args:
        patches: `(..., bar', timestep', pitch', kernel bar, kernel timestep, kernel pitch, channel)`.
        stride: Distance between patches.
    """
    axes = patches.dim() - 7
    kernel = patches.shape[axes + 3 : axes + 6]
    order = [*range(axes), axes, axes + 3, axes + 1, axes + 4, axes + 2, axes + 5, axes + 6]
    grid = patches.permute(order)
    for axis in (2, 1, 0):
        here = axes + 2 * axis
        if kernel[axis] == stride[axis]:
            grid = grid.flatten(here, here + 1)
        else:
            grid = _lay_overlapping(grid, here, stride[axis])
    return grid


def _lay_overlapping(grid: Tensor, axis: int, stride: int) -> Tensor:
    n_patches, kernel = grid.shape[axis], grid.shape[axis + 1]
    shape = [*grid.shape[:axis], (n_patches - 1) * stride + kernel, *grid.shape[axis + 2 :]]
    laid = grid.new_zeros(shape)
    for tap in range(kernel):
        place = slice(tap, tap + (n_patches - 1) * stride + 1, stride)
        laid[(slice(None),) * axis + (place,)] += grid.select(axis + 1, tap)
    return laid


class GridConv(nn.Module):
    """Convolution of a grid, `(..., bar, timestep, pitch, in)` to `(..., bar', timestep', pitch', out)`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Size of a patch.
        stride: Distance between patches; the kernel when left out.
        std: Standard deviation of the truncated-normal start; biases start at 0.
        n_tracks: When given, one kernel per track, and the grid has a leading axis of that length (or 1, when
            every track sees the same grid); the output always has the full axis.
    """

    inputs_first = True  # of the axes of `weight`; read where a weight is to be seen as a matrix

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Kernel,
        stride: Kernel | None = None,
        *,
        std: float,
        n_tracks: int | None = None,
    ) -> None:
        super().__init__()
        lead = () if n_tracks is None else (n_tracks,)
        self.kernel, self.stride, self.n_tracks = kernel, stride or kernel, n_tracks
        self.weight = nn.Parameter(truncated_normal_(torch.empty(*lead, *kernel, in_channels, out_channels), std))
        self.bias = nn.Parameter(torch.zeros(*lead, out_channels))

    def forward(self, grid: Tensor) -> Tensor:
        """Return the convolution of a grid."""
        patches = cut(grid, self.kernel, self.stride)
        if self.n_tracks is None:
            return F.linear(patches, self.weight.flatten(0, 3).t(), self.bias)
        weight = self.weight.flatten(1, 4)  # (track, kernel * in, out)
        if len(patches) == 1:  # one product for all tracks
            together = patches[0] @ weight.transpose(0, 1).flatten(1) + self.bias.flatten()
            return together.unflatten(-1, (self.n_tracks, -1)).movedim(-2, 0)
        rows = torch.baddbmm(self.bias.unsqueeze(1), patches.flatten(1, -2), weight)
        return rows.unflatten(1, patches.shape[1:-1])


def grid_stack(
    widths: Sequence[int],
    kernels: Sequence[Kernel],
    strides: Sequence[Kernel] | None = None,
    *,
    std: float,
    n_tracks: int | None = None,
) -> nn.Sequential:
    """Return convolutions of a grid, each followed by a leaky ReLU (0.2).

    Args:
        widths: Channels of the input and of every layer.
        kernels: One for each layer.
        strides: One for each layer; the kernels when left out.
        std: Standard deviation of the truncated-normal start.
        n_tracks: When given, every layer has one kernel per track, see `GridConv`.
    """
    layers: list[nn.Module] = []
    for n_in, n_out, kernel, stride in zip(widths[:-1], widths[1:], kernels, strides or kernels, strict=True):
        layers += [GridConv(n_in, n_out, kernel, stride, std=std, n_tracks=n_tracks), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers)


class GridConvTranspose(nn.Module):
    """Transposed convolution of a grid, `(..., bar', timestep', pitch', in)` to `(..., bar, timestep, pitch, out)`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Size of a patch.
        stride: Distance between patches; the kernel when left out.
        std: Standard deviation of the truncated-normal start; biases start at 0.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Kernel, stride: Kernel | None = None, *, std: float
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride or kernel
        self.weight = nn.Parameter(truncated_normal_(torch.empty(in_channels, *kernel, out_channels), std))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    @property
    def tiles(self) -> bool:
        """Whether patches neither overlap nor leave gaps, so that whatever acts per cell may act on patches."""
        return self.kernel == self.stride

    def patches(self, grid: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Return the patches before they are laid out, `(..., bar', timestep', pitch', *kernel, out)`, bias added.

        Args:
            grid: `(..., bar', timestep', pitch', in)`.
            scale: `(out,)`, multiplies weight and bias.
            shift: `(out,)`, added to the scaled bias; goes with `scale`.
        """
        weight, bias = self.weight, self.bias
        if scale is not None and shift is not None:
            weight, bias = weight * scale, bias * scale + shift
        rows = F.linear(grid, weight.flatten(1).t(), bias.repeat(math.prod(self.kernel)))
        return rows.unflatten(-1, (*self.kernel, -1))

    def forward(self, grid: Tensor) -> Tensor:
        """Return the transposed convolution of a grid."""
        if self.tiles:
            return lay(self.patches(grid), self.stride)
        rows = F.linear(grid, self.weight.flatten(1).t()).unflatten(-1, (*self.kernel, -1))
        return lay(rows, self.stride) + self.bias


class GridNorm(nn.Module):
    """Normalisation of `(batch, ..., channel)` with one gain and one bias per channel.

    Args:
        n_channels: Channels of the input.
        kind: `batch`: each channel over everything else in the batch (arXiv 1502.03167), running statistics when not
            training. `layer`: each example over all its cells and channels (arXiv 1607.06450).
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n_channels: int, kind: NormKind = "batch", *, eps: float, momentum: float) -> None:
        super().__init__()
        self.kind, self.eps, self.momentum = kind, eps, momentum
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))
        if kind == "batch":
            self.register_buffer("running_mean", torch.zeros(n_channels))
            self.register_buffer("running_var", torch.ones(n_channels))

    @property
    def foldable(self) -> bool:
        """Whether the norm is now a fixed scale and shift per channel."""
        return self.kind == "batch" and not self.training

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return the fixed scale and shift, each `(channel,)`, of a batch norm that is not training."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, grid: Tensor) -> Tensor:
        """Return the normalised grid, of the same shape."""
        if self.kind == "layer":
            return F.layer_norm(grid, grid.shape[1:], eps=self.eps) * self.weight + self.bias
        # This view is a channels-last image to torch, whose kernel for those needs no copy.
        image = grid.reshape(1, -1, 1, grid.shape[-1]).permute(0, 3, 1, 2)
        normed = F.batch_norm(
            image,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
        return normed.permute(0, 2, 3, 1).reshape(grid.shape)


class GridGrow(nn.Module):
    """Transposed convolution, normalisation and ReLU: the step by which the classic generators unfold a grid.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Size of a patch.
        stride: Distance between patches; the kernel when left out.
        std: Standard deviation of the truncated-normal start.
        norm: The normalisation of `out_channels` channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Kernel,
        stride: Kernel | None = None,
        *,
        std: float,
        norm: GridNorm,
    ) -> None:
        super().__init__()
        self.conv = GridConvTranspose(in_channels, out_channels, kernel, stride, std=std)
        self.norm = norm

    def patches(self, grid: Tensor) -> Tensor:
        """Return the finished patches before they are laid out, `(batch, bar', timestep', pitch', *kernel, out)`."""
        assert self.conv.tiles, "patches that overlap are not finished before they are summed"
        if self.norm.foldable:
            return F.relu(self.conv.patches(grid, *self.norm.affine()))
        return F.relu(self.norm(self.conv.patches(grid)), inplace=True)

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grown grid, `(batch, bar, timestep, pitch, out)`."""
        if self.conv.tiles:
            return lay(self.patches(grid), self.conv.stride)
        return F.relu(self.norm(self.conv(grid)), inplace=True)


class GridShrink(nn.Module):
    """Convolution, normalisation and leaky ReLU: the mirror of `GridGrow`, used by encoders.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Size of a patch.
        stride: Distance between patches; the kernel when left out.
        std: Standard deviation of the truncated-normal start.
        norm: The normalisation of `out_channels` channels.
        slope: Slope of the leaky ReLU below 0.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Kernel,
        stride: Kernel | None = None,
        *,
        std: float,
        norm: GridNorm,
        slope: float,
    ) -> None:
        super().__init__()
        self.conv = GridConv(in_channels, out_channels, kernel, stride, std=std)
        self.norm = norm
        self.slope = slope

    def forward(self, grid: Tensor) -> Tensor:
        """Return the shrunk grid, `(batch, bar', timestep', pitch', out)`."""
        return F.leaky_relu(self.norm(self.conv(grid)), self.slope)


# ---- layers over (batch, channel, ...)


class Scaled(nn.Module):
    """Dense layer or convolution with bias whose start is normal, of variance gain² / fan-in.

    Args:
        n_in: Channels of the input.
        n_out: Channels of the output.
        kernel: `()` for a dense layer; one or two sizes for a convolution.
        gain: Root of 2 before a leaky ReLU (arXiv 1502.01852); 0 for a branch that begins silent.
        equalised: Keep the weights at variance 1 and scale them when used (arXiv 1710.10196, 4.1), so that one rate of
            Adam suits every layer.
        padded: Keep the length (odd kernels); else only whole windows count.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: Sequence[int] = (),
        *,
        gain: float = math.sqrt(2.0),
        equalised: bool = False,
        padded: bool = True,
    ) -> None:
        super().__init__()
        std = gain / math.sqrt(n_in * math.prod(kernel))
        self.scale = std if equalised else 1.0
        self.weight = nn.Parameter(torch.randn(n_out, n_in, *kernel) * (1.0 if equalised else std))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.padding = tuple(size // 2 if padded else 0 for size in kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(batch, n_out, ...)` of `(batch, n_in, ...)`."""
        weight = self.weight if self.scale == 1.0 else self.weight * self.scale
        if not self.padding:
            return F.linear(x, weight, self.bias)
        return (F.conv1d if len(self.padding) == 1 else F.conv2d)(x, weight, self.bias, padding=self.padding)


def pixel_norm(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale the channels of `(batch, channel, ...)` to root mean square 1 at every position (arXiv 1710.10196, 4.2)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + eps)


def batch_deviation(x: Tensor, eps: float = 1e-6) -> Tensor:
    """Return how far `(batch, ...)` spreads over the batch, the mean over all features, zero-dimensional."""
    return (x.var(dim=0, correction=0) + eps).sqrt().mean()


def halve(x: Tensor, axis: int) -> Tensor:
    """Return every second position along an axis, the first included, after the filter [1, 2, 1] / 4; ends repeat."""
    n = x.shape[axis]
    padded = torch.cat([x.narrow(axis, 0, 1), x, x.narrow(axis, n - 1, 1)], dim=axis)
    index = [slice(None)] * x.dim()
    parts = []
    for start in range(3):
        index[axis] = slice(start, start + n, 2)
        parts.append(padded[tuple(index)])
    return 0.25 * (parts[0] + parts[2]) + 0.5 * parts[1]


def double(x: Tensor, axis: int, length: int) -> Tensor:
    """Return each position twice along an axis, filtered by [1, 2, 1] / 4 and cut to `length`, that or one less."""
    n = x.shape[axis]
    before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, n - 1)], dim=axis)
    after = torch.cat([x.narrow(axis, 1, n - 1), x.narrow(axis, n - 1, 1)], dim=axis)
    pair = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], dim=axis + 1)
    return pair.flatten(axis, axis + 1).narrow(axis, 0, length)
