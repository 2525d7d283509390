"""Measure the slope of a discriminator at its inputs in one of three ways.

All give the verdict and the squared gradient norm of each example, differentiable with respect to D. `exact` is double
backward; `func` is the same by `torch.func.grad`, used only if a test at the first step finds its gradients equal to
those of `exact`, and it may be compiled: D and its gradient at what it is shown, not the way back through augmentation.
`approx` compares two forward passes, (D(x + sigma e) - D(x))² / sigma² with normal e, whose mean over e is the squared
norm. `approx` computes in float32 and needs a small sigma: in 16 bits the difference drowns in rounding.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from audiogan.adversarial.compiling import Compilable

logger = logging.getLogger(__name__)

Verdict = Any
"""What a discriminator says: logits `(batch, ...)`, or a named tuple of tensors one of which is called `logits`."""
Discriminator = Callable[[Tensor], Verdict]
Slope = Callable[[Discriminator, Tensor], tuple[Verdict, Tensor]]
PenaltyImpl = Literal["exact", "func", "approx"]
PENALTY_IMPLS: tuple[PenaltyImpl, ...] = get_args(PenaltyImpl)

SIGMA = 0.01
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Side:
    """A discriminator as penalties see it, a function of the example before augmentation and noise.

    Args:
        judge: D, called with what it is shown and the conditions.
        shown: From examples to what D is shown; returns its input where nothing is changed.
        conditions: Of these examples.
    """

    judge: Callable[..., Verdict]
    shown: Callable[[Tensor], Tensor]
    conditions: tuple[Any, ...] = ()

    def __call__(self, examples: Tensor) -> Verdict:
        """Return the verdict on examples `(batch, ...)`."""
        return self.judge(self.shown(examples), *self.conditions)


def logits_of(verdict: Verdict) -> Tensor:
    """Return the logits `(batch, ...)` of what a discriminator says."""
    return verdict if isinstance(verdict, Tensor) else verdict.logits


def squared_gradient(logits: Tensor, examples: Tensor) -> Tensor:
    """Return the squared norm of each example's gradient, `(batch,)` float32, differentiable.

    Args:
        logits: `(batch, ...)`, computed from `examples`.
        examples: `(batch, ...)` that required gradients before the forward pass.
    """
    (gradient,) = torch.autograd.grad(logits.float().sum(), examples, create_graph=True)
    return gradient.float().square().flatten(1).sum(1)


def exact_slope(discriminator: Discriminator, examples: Tensor) -> tuple[Verdict, Tensor]:
    """Return the verdict and squared gradient norms `(batch,)` by double backward.

    Args:
        discriminator: D; must not mix examples.
        examples: `(batch, ...)`; gradients do not reach what made them.
    """
    examples = examples.detach().requires_grad_()
    verdict = discriminator(examples)
    return verdict, squared_gradient(logits_of(verdict), examples)


def func_slope(discriminator: Discriminator, examples: Tensor) -> tuple[Verdict, Tensor]:
    """Return the verdict and squared gradient norms by `torch.func.grad`, in one forward pass.

    Args:
        discriminator: D; must not mix examples and must not keep what it computes.
        examples: `(batch, ...)`; gradients do not reach what made them.
    """
    verdict, gradient = verdict_and_gradient(discriminator, examples.detach())
    return verdict, gradient.float().square().flatten(1).sum(1)


def verdict_and_gradient(
    discriminator: Callable[..., Verdict], examples: Tensor, *conditions: Any
) -> tuple[Verdict, Tensor]:
    """Return the verdict and the gradient of the summed logits, of the shape of the examples, in one forward pass.

    Args:
        discriminator: D; must not mix examples and must not keep what it computes.
        examples: `(batch, ...)`, without gradients.
        conditions: What D is told besides.
    """

    def summed(inputs: Tensor) -> tuple[Tensor, Verdict]:
        verdict = discriminator(inputs, *conditions)
        return logits_of(verdict).float().sum(), verdict

    gradient, verdict = torch.func.grad(summed, has_aux=True)(examples)
    return verdict, gradient


def compilable_slope(side: Side, examples: Tensor, steep: Callable[..., Any]) -> tuple[Verdict, Tensor]:
    """Return what `func_slope` returns, where D and its gradient are one function that may be compiled.

    Args:
        side: D with its conditions, and how examples are changed before D sees them.
        examples: `(batch, ...)`; gradients do not reach what made them.
        steep: `verdict_and_gradient` of the side's D, from what D is shown and the conditions.
    """
    examples = examples.detach().requires_grad_()
    with torch.enable_grad():
        shown = side.shown(examples)
    verdict, gradient = steep(shown.detach(), *side.conditions)
    if shown is not examples:
        (gradient,) = torch.autograd.grad(shown, examples, gradient.to(shown.dtype), create_graph=True)
    return verdict, gradient.float().square().flatten(1).sum(1)


def approximate_slope(
    discriminator: Discriminator, examples: Tensor, draws: Tensor, sigma: float = SIGMA
) -> tuple[Verdict, Tensor]:
    """Return the verdict and estimated squared gradient norms by two forward passes in float32, no double backward.

    Args:
        discriminator: D; the same function in both calls: no dropout, no buffers that move.
        examples: `(batch, ...)`; gradients do not reach what made them.
        draws: Standard normal, of the same shape.
        sigma: Length of the step; above 0.01 the estimate of a steep D is too large.
    """
    examples = examples.detach().float()
    with torch.autocast(examples.device.type, enabled=False):
        verdict = discriminator(examples)
        difference = logits_of(discriminator(examples + sigma * draws)) - logits_of(verdict)
    difference = difference.flatten(1).sum(1) if difference.dim() > 1 else difference
    return verdict, (difference / sigma).square()


class TestedSlope:
    """`func_slope`, or `exact_slope` where the first call finds that they differ.

    Args:
        module: The discriminator, whose gradients are compared and whose buffers the comparison leaves alone.
    """

    __test__ = False  # pytest collects by name

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.error: float | None = None
        self.steep = Compilable("slope", partial(verdict_and_gradient, module), module)

    def __call__(self, discriminator: Discriminator, examples: Tensor) -> tuple[Verdict, Tensor]:
        """Return the verdict and squared gradient norms, see `func_slope`."""
        if self.error is None:
            self.error, reason = self._compare(discriminator, examples)
            if self.error > TOLERANCE:
                logger.warning("penalties by torch.func %s; exact ones are used", reason)
        if self.error > TOLERANCE:
            return exact_slope(discriminator, examples)
        if self.steep.is_on and isinstance(discriminator, Side) and discriminator.judge is self.module:
            return compilable_slope(discriminator, examples, self.steep)
        return func_slope(discriminator, examples)

    def _compare(self, discriminator: Discriminator, examples: Tensor) -> tuple[float, str]:
        """Return the relative difference of the gradients that both ways give the module, in a number and in words."""
        exact = self._gradients(exact_slope, discriminator, examples)
        try:
            found = self._gradients(func_slope, discriminator, examples)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            return math.inf, f"are impossible here ({str(error).splitlines()[0]})"
        difference = float((found - exact).norm() / exact.norm().clamp_min(1e-12))
        difference = math.inf if math.isnan(difference) else difference
        return difference, f"move the weights otherwise than exact ones (relative difference {difference:.1e})"

    def _gradients(self, slope: Slope, discriminator: Discriminator, examples: Tensor) -> Tensor:
        """Return the gradient of logits and slopes for all weights in one row, with draws and buffers put back."""
        buffers = list(self.module.buffers())
        kept = [buffer.clone() for buffer in buffers]
        devices = [examples.device] if examples.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            verdict, squared = slope(discriminator, examples)
        weights = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(logits_of(verdict).float().mean() + squared.mean(), weights, allow_unused=True)
        for buffer, value in zip(buffers, kept, strict=True):
            buffer.copy_(value)
        return torch.cat([torch.zeros(1), *(each.flatten().cpu() for each in found if each is not None)])
