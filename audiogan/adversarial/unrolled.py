"""Look ahead: a module as it will be after some steps of gradient descent on a loss.

Unrolled GANs (arXiv 1611.02163, equations 4 to 8): G is judged by the discriminator that will have answered it, and
its gradient passes through those answers, which takes away the profit of a mode that D would only have to notice. Steps
of plain gradient descent on one batch; nothing of the module changes. Costs about one D step with double backward each.
"""

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn
from torch.func import functional_call

Judge = Callable[..., Tensor]


def unrolled(
    module: nn.Module, learning: Collection[str], loss_of: Callable[[Judge], Tensor], n_steps: int, rate: float
) -> Judge:
    """Return the module as it will be, differentiable with respect to whatever the loss depends on.

    Args:
        module: What learns; its buffers are copied.
        learning: Names of the parameters that move.
        loss_of: From the module in its present state, a function of its inputs, to its loss, zero-dimensional.
        n_steps: Steps of gradient descent; 0 for the module as it is.
        rate: Step size.
    """
    weights = {name: value.detach().requires_grad_() for name, value in module.named_parameters() if name in learning}
    buffers = {name: value.clone() for name, value in module.named_buffers()}

    def judge_with(weights: dict[str, Tensor]) -> Judge:
        return lambda *inputs: functional_call(module, weights | buffers, inputs)

    for _ in range(n_steps):
        loss, movers = loss_of(judge_with(weights)), list(weights.values())
        # Not every weight has a say in the loss: heads for something else, blocks that have not grown yet.
        slopes = torch.autograd.grad(loss, movers, create_graph=True, allow_unused=True, materialize_grads=True)
        weights = {name: value - rate * slope for (name, value), slope in zip(weights.items(), slopes, strict=True)}
    return judge_with(weights)
