"""Angles: wrapped, unwrapped, and as advance per frame. Radians throughout."""

import math

import torch
from torch import Tensor


def wrap(phase: Tensor) -> Tensor:
    """Return angles moved into [-pi, pi).

    Example:
        >>> wrap(torch.tensor([0.0, 4.0], dtype=torch.float64)).round(decimals=3).tolist()
        [0.0, -2.283]
    """
    return torch.remainder(phase + math.pi, 2 * math.pi) - math.pi


def unwrap(phase: Tensor) -> Tensor:
    """Undo jumps of more than pi along the last axis, as `numpy.unwrap` does.

    Args:
        phase: `(..., frame)` radians.
    """
    step = torch.diff(phase)
    jump = wrap(step)
    jump = torch.where((jump == -math.pi) & (step > 0), torch.full_like(jump, math.pi), jump)
    correction = torch.where(step.abs() < math.pi, torch.zeros_like(step), jump - step)
    return phase + torch.nn.functional.pad(correction.cumsum(-1), (1, 0))


def instantaneous_frequency(phase: Tensor) -> Tensor:
    """Return the advance of the phase per frame.

    Args:
        phase: `(..., frame)` radians, wrapped or not.

    Returns:
        `(..., frame)` in units of pi radians, in [-1, 1); frame 0 holds the initial phase.

    Example:
        >>> instantaneous_frequency(torch.tensor([0.5, 1.0, 1.5]).double() * math.pi).tolist()
        [0.5, 0.5, 0.5]
    """
    first = wrap(phase[..., :1])
    return torch.cat((first, wrap(torch.diff(phase))), dim=-1) / math.pi
