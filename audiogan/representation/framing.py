"""Where the frames of a note lie in time, and values between them.

Frames are dense at the attack and sparse in the sustain: the step grows by a constant factor over the first frames and
is even from then on. All times are float64 seconds, so that the same frames serve every sample rate.
"""

import math

import torch
from torch import Tensor


def frame_times(n_frames: int, seconds: float, *, first_hop_seconds: float, grow_frames: int) -> Tensor:
    """Return the times of frames, `(frame,)` float64 seconds from 0 to `seconds`.

    Args:
        n_frames: At least 2.
        seconds: Time of the last frame.
        first_hop_seconds: Step after frame 0; where even steps would be shorter, all steps are even.
        grow_frames: Steps over which the step grows; 0 for even steps throughout.

    Example:
        >>> frame_times(5, 1.0, first_hop_seconds=0.1, grow_frames=0).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    n_steps = n_frames - 1
    even = seconds / n_steps
    if grow_frames == 0 or first_hop_seconds >= even:
        return torch.linspace(0, seconds, n_frames, dtype=torch.float64)
    exponent = (torch.arange(n_steps, dtype=torch.float64) / grow_frames).clamp(max=1)
    low = growth = 0.0
    high = math.log(seconds / first_hop_seconds)
    for _ in range(60):
        growth = (low + high) / 2
        if float(torch.exp(growth * exponent).sum()) * first_hop_seconds > seconds:
            high = growth
        else:
            low = growth
    times = torch.cumsum(torch.exp(growth * exponent), dim=0)
    return torch.nn.functional.pad(times * (seconds / times[-1]), (1, 0))


def interpolate(values: Tensor, times: Tensor, at: Tensor) -> Tensor:
    """Return values between frames, linearly; before the first and after the last frame they stay.

    Args:
        values: `(..., frame, row)`.
        times: `(frame,)` seconds, ascending.
        at: `(point,)` seconds.

    Returns:
        `(..., point, row)`, in the type of `values`.

    Example:
        >>> interpolate(torch.tensor([[0.0], [2.0]]), torch.tensor([0.0, 1.0]), torch.tensor([0.25, 3.0])).tolist()
        [[0.5], [2.0]]
    """
    before = (torch.searchsorted(times, at, right=True) - 1).clamp(0, len(times) - 2)
    share = ((at - times[before]) / (times[before + 1] - times[before])).clamp(0, 1)
    share = share[:, None].to(values.dtype)
    return torch.lerp(values[..., before, :], values[..., before + 1, :], share)


def interpolate_smoothly(values: Tensor, times: Tensor, at: Tensor, *, monotone: bool = False) -> Tensor:
    """Return values between frames by cubic pieces whose slopes agree at the frames.

    Kinks between straight pieces would sound as a comb of tones around every partial. Slopes are those of parabolas
    through three frames, or, if `monotone`, harmonic means (Fritsch and Butland 1984), so that nothing overshoots.

    Args:
        values: `(..., frame, row)`, at least 3 frames.
        times, at: As `interpolate` takes them.
        monotone: Stay between the values of the two frames.

    Returns:
        `(..., point, row)`, in the type of `values`.

    Example:
        >>> frames = torch.tensor([[0.0], [1.0], [4.0], [9.0]], dtype=torch.float64)
        >>> interpolate_smoothly(frames, torch.arange(4.0).double(), torch.tensor([1.5]).double()).tolist()
        [[2.25]]
    """
    steps = torch.diff(times)[:, None].to(values.dtype)
    secant = torch.diff(values, dim=-2) / steps
    left, right = secant[..., :-1, :], secant[..., 1:, :]
    before, after = steps[:-1], steps[1:]
    if monotone:
        near, far = 2 * after + before, after + 2 * before
        rising = left * right
        slope = torch.where(
            rising > 0, (near + far) * rising / (near * right + far * left + torch.where(rising > 0, 0.0, 1.0)), 0.0
        )
    else:
        slope = (before * right + after * left) / (before + after)
    slope = torch.cat((secant[..., :1, :], slope, secant[..., -1:, :]), dim=-2)
    index = (torch.searchsorted(times, at, right=True) - 1).clamp(0, len(times) - 2)
    step = steps[index]
    u = ((at - times[index])[:, None].to(values.dtype) / step).clamp(0, 1)
    first, last = values[..., index, :], values[..., index + 1, :]
    arch = u * (1 - u) * step
    bent = arch * ((1 - u) * slope[..., index, :] - u * slope[..., index + 1, :])
    return first + (last - first) * (u * u * (3 - 2 * u)) + bent
