"""Binary neurons: outputs of exactly 0 or 1 that still pass a gradient back.

Forward, a deterministic neuron is 1 where σ(logit) > 0.5 and a stochastic one is 1 with probability σ(logit). Backward,
both act as σ(slope · logit): the sigmoid-adjusted straight-through estimator (arXiv 1308.3432, arXiv 1609.01704, and
BinaryMuseGAN, arXiv 1804.09399, section 3). A slope that grows while training brings that gradient closer to the
step it stands for. The plain estimator, whose gradient is 1, is left out.
"""

from typing import Literal

import torch
from torch import Tensor

Neuron = Literal["none", "deterministic", "stochastic"]


def straight_through(logits: Tensor, slope: float = 1.0) -> Tensor:
    """Return 1 where a logit is positive, else 0; the gradient is that of σ(slope · logit).

    Args:
        logits: Any shape, any real number.
        slope: Steepness of the sigmoid of the backward pass, above 0.
    """
    return _with_gradient((logits > 0.0).to(logits.dtype), logits, slope)


def bernoulli(logits: Tensor, slope: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Return 1 with probability σ(logit), else 0; the gradient is that of σ(slope · logit).

    Args:
        logits: Any shape, any real number.
        slope: Steepness of the sigmoid of the backward pass, above 0; the odds of the forward pass do not depend on it.
        generator: Source of the draws; a CPU generator serves any device.
    """
    device = logits.device if generator is None else generator.device
    draws = torch.rand(logits.shape, generator=generator, device=device).to(logits.device)
    return _with_gradient((torch.sigmoid(logits) > draws).to(logits.dtype), logits, slope)


def _with_gradient(hard: Tensor, logits: Tensor, slope: float) -> Tensor:
    if not logits.requires_grad:
        return hard
    soft = torch.sigmoid(slope * logits)
    # Added in this order, so that the forward value is exactly 0 or 1.
    return hard + (soft - soft.detach())


def sounding(
    logits: Tensor, neuron: Neuron, low: float, slope: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Return rolls in [low, 1] from logits: what a classic generator puts out.

    Args:
        logits: Any shape; above 0 sounds.
        neuron: `none` gives tanh or σ; the others exactly `low` or 1.
        low: Value of silence, -1 or 0.
        slope: Of the neuron's backward pass.
        generator: Draws of a stochastic neuron.
    """
    match neuron:
        case "deterministic":
            return low + (1.0 - low) * straight_through(logits, slope)
        case "stochastic":
            return low + (1.0 - low) * bernoulli(logits, slope, generator)
    return torch.sigmoid(logits) if low == 0.0 else torch.tanh(logits)
