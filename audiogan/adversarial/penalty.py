"""Turn the gradient of a discriminator with respect to its input into a penalty.

R1 and R2 (arXiv 1801.04406), WGAN-GP (arXiv 1704.00028) and DRAGAN (arXiv 1705.07215), by double backward unless
another way to measure the slope is given (`audiogan.adversarial.slopes`). Norms are sums over every dimension of one
example, computed in float32; an example is what D gets before augmentation. A discriminator with batch norm mixes
examples, so these gradients would not be per example: do not use one.
"""

import torch
from torch import Tensor, nn

from audiogan.adversarial.slopes import Discriminator, Slope, Verdict, exact_slope, logits_of, squared_gradient


def zero_centred(logits: Tensor, examples: Tensor, gamma: float) -> Tensor:
    """Return gamma/2 · E[squared gradient norm], zero-dimensional: R1 at reals, R2 at fakes.

    Args:
        logits: `(batch, ...)`, computed from `examples`.
        examples: `(batch, ...)` that required gradients before the forward pass.
        gamma: Weight, 0 or more.
    """
    return 0.5 * gamma * squared_gradient(logits, examples).mean()


def r1_r2(
    judge_real: Discriminator,
    judge_fake: Discriminator,
    real: Tensor,
    fake: Tensor,
    gamma1: float,
    gamma2: float,
    slope: Slope | None = None,
) -> tuple[Verdict, Verdict, dict[str, Tensor]]:
    """Return the verdicts on reals and fakes and the penalties asked for, with one forward pass on each side.

    Args:
        judge_real: D for reals, a function of the example before augmentation.
        judge_fake: D for fakes; the same function unless the two sides draw different augmentations.
        real: `(batch, ...)`.
        fake: `(batch, ...)`; gradients do not reach G.
        gamma1: Weight at reals; 0 leaves `r1` out.
        gamma2: Weight at fakes; 0 leaves `r2` out.
        slope: Another way to measure slopes; None for double backward after both forward passes.
    """
    if slope is not None:
        on_real, terms = _with_slope(slope, judge_real, real, "r1", gamma1)
        on_fake, fake_terms = _with_slope(slope, judge_fake, fake, "r2", gamma2)
        return on_real, on_fake, terms | fake_terms
    real, fake = real.detach().requires_grad_(gamma1 > 0.0), fake.detach().requires_grad_(gamma2 > 0.0)
    on_real, on_fake = judge_real(real), judge_fake(fake)
    terms = {}
    if gamma1 > 0.0:
        terms["r1"] = zero_centred(logits_of(on_real), real, gamma1)
    if gamma2 > 0.0:
        terms["r2"] = zero_centred(logits_of(on_fake), fake, gamma2)
    return on_real, on_fake, terms


def _with_slope(
    slope: Slope, judge: Discriminator, examples: Tensor, name: str, gamma: float
) -> tuple[Verdict, dict[str, Tensor]]:
    if gamma <= 0.0:
        return judge(examples.detach()), {}
    verdict, squared = slope(judge, examples)
    return verdict, {name: 0.5 * gamma * squared.mean()}


def unit_centred(discriminator: Discriminator, examples: Tensor, weight: float, slope: Slope = exact_slope) -> Tensor:
    """Return weight · E[(gradient norm - 1)²] at the given examples, zero-dimensional.

    Args:
        discriminator: D.
        examples: `(batch, ...)`, where the gradient is taken.
        weight: 10 in both papers that use it.
        slope: How to measure the slope; not by an estimate, whose root is biased.
    """
    _, squared = slope(discriminator, examples)
    # The root has an infinite slope at zero, where a D that ignores its input begins.
    norm = (squared + 1e-8).sqrt()
    return weight * (norm - 1.0).square().mean()


def wgan_gp(
    discriminator: Discriminator,
    real: Tensor,
    fake: Tensor,
    alpha: Tensor,
    weight: float = 10.0,
    slope: Slope = exact_slope,
) -> Tensor:
    """Return the two-sided penalty on the lines from fakes to reals, zero-dimensional (arXiv 1704.00028, eq. 3).

    Args:
        discriminator: D.
        real: `(batch, ...)`.
        fake: `(batch, ...)`.
        alpha: `(batch,)` in [0, 1], one draw per example: 1 is the real one.
        weight: 10 in the paper.
        slope: How to measure the slope, see `unit_centred`.
    """
    alpha = alpha.reshape(-1, *[1] * (real.dim() - 1)).to(real.dtype)
    return unit_centred(discriminator, fake + alpha * (real - fake), weight, slope)


def dragan(
    discriminator: Discriminator, real: Tensor, draws: Tensor, weight: float = 10.0, slope: Slope = exact_slope
) -> Tensor:
    """Return the penalty in a neighbourhood of the reals, zero-dimensional (arXiv 1705.07215).

    Args:
        discriminator: D.
        real: `(batch, ...)`.
        draws: The same shape, uniform in [0, 1]; scaled by half the standard deviation of the batch.
        weight: 10 in the paper.
        slope: How to measure the slope, see `unit_centred`.
    """
    return unit_centred(discriminator, real + 0.5 * real.std() * draws.to(real.dtype), weight, slope)


@torch.no_grad()
def clip_weights(module: nn.Module, limit: float) -> None:
    """Clamp every parameter to [-limit, limit] in place (arXiv 1701.07875, algorithm 1).

    Args:
        module: The discriminator.
        limit: 0.01 in the paper.
    """
    for parameter in module.parameters():
        parameter.clamp_(-limit, limit)
