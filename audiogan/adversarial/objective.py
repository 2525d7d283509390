"""Turn logits for real and fake examples into the loss of either player.

One function per loss, with r = D(x), f = D(G(z)) and s = softplus: minimax and non-saturating (arXiv 1406.2661), with
one-sided label smoothing (arXiv 1606.03498), hinge (arXiv 1705.02894), least squares (arXiv 1611.04076), Wasserstein
(arXiv 1701.07875) and relativistic pairs (arXiv 1807.00734). Beside them a term for G alone, feature matching. Means
are over the batch and over every logit of an example. Losses are computed in float32.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import AfterValidator
from torch import Tensor

Losses = tuple[Tensor, Tensor]
"""What D and what G minimises, zero-dimensional."""
SMOOTH = 0.9
"""What `smoothed` asks of reals in place of 1 (arXiv 1606.03498, section 3.4)."""


def rpgan(real: Tensor, fake: Tensor) -> Losses:
    """Relativistic pairs: s(-(r-f)) and s(-(f-r)); item i is paired with item i, which must carry the same label."""
    return F.softplus(fake - real).mean(), F.softplus(real - fake).mean()


def nonsaturating(real: Tensor, fake: Tensor) -> Losses:
    """Return s(-r) + s(f) and s(-f)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean(), F.softplus(-fake).mean()


def minimax(real: Tensor, fake: Tensor) -> Losses:
    """Return s(-r) + s(f) and -s(f)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean(), -F.softplus(fake).mean()


def smoothed(real: Tensor, fake: Tensor) -> Losses:
    """Return 0.9 s(-r) + 0.1 s(r) + s(f) and s(-f): D is asked to be 90 % sure of reals."""
    on_real = SMOOTH * F.softplus(-real) + (1.0 - SMOOTH) * F.softplus(real)
    return on_real.mean() + F.softplus(fake).mean(), F.softplus(-fake).mean()


def hinge(real: Tensor, fake: Tensor) -> Losses:
    """Return relu(1-r) + relu(1+f) and -f."""
    return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean(), -fake.mean()


def lsgan(real: Tensor, fake: Tensor) -> Losses:
    """Return (r-1)²/2 + f²/2 and (f-1)²/2."""
    return 0.5 * (real - 1.0).square().mean() + 0.5 * fake.square().mean(), 0.5 * (fake - 1.0).square().mean()


def wgan(real: Tensor, fake: Tensor) -> Losses:
    """Return f - r and -f."""
    return fake.mean() - real.mean(), -fake.mean()


LOSSES = (rpgan, nonsaturating, minimax, smoothed, hinge, lsgan, wgan)
OBJECTIVES: dict[str, Callable[[Tensor, Tensor], Losses]] = {loss.__name__: loss for loss in LOSSES}
RELATIVISTIC = ("rpgan",)
"""Losses in which G, too, reads the verdict on reals, and which compare within pairs."""


def _known(name: str) -> str:
    if name not in OBJECTIVES:
        raise ValueError(f"objective {name!r}; expected one of {', '.join(OBJECTIVES)}")
    return name


Objective = Annotated[str, AfterValidator(_known)]


def discriminator_loss(name: Objective, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the loss that D minimises, zero-dimensional float32.

    Args:
        name: One of `OBJECTIVES`.
        real_logits: `(batch, ...)`.
        fake_logits: The same shape.
    """
    assert real_logits.shape == fake_logits.shape, (real_logits.shape, fake_logits.shape)
    return OBJECTIVES[name](real_logits.float(), fake_logits.float())[0]


def generator_loss(name: Objective, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    """Return the loss that G minimises, zero-dimensional float32.

    Args:
        name: One of `OBJECTIVES`.
        real_logits: `(batch, ...)`, read by relativistic losses only; None otherwise.
        fake_logits: `(batch, ...)`.
    """
    fake = fake_logits.float()
    if name not in RELATIVISTIC:
        return OBJECTIVES[name](fake, fake)[1]  # its half for G reads no reals
    assert real_logits is not None, f"{name} compares fakes with reals"
    assert real_logits.shape == fake_logits.shape, (real_logits.shape, fake_logits.shape)
    return OBJECTIVES[name](real_logits.float(), fake)[1]


def wgan_drift(real_logits: Tensor, weight: float) -> Tensor:
    """Return weight · E[r²], which keeps Wasserstein logits near zero (arXiv 1710.10196, appendix A.1).

    Args:
        real_logits: `(batch, ...)`.
        weight: 0.001 in the paper.
    """
    return weight * real_logits.float().square().mean()


def feature_matching(real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
    """Return the squared distance of mean features, the mean over layers, zero-dimensional (arXiv 1606.03498, 3.1).

    Args:
        real_features: Activations of D for reals, `(batch, ...)` per layer; gradients are not wanted there.
        fake_features: Activations for fakes, of the same shapes but for the batch.
    """
    assert len(real_features) == len(fake_features) > 0, (len(real_features), len(fake_features))
    distances = [
        (fake.float().mean(0) - real.detach().float().mean(0)).square().sum()
        for real, fake in zip(real_features, fake_features, strict=True)
    ]
    return torch.stack(distances).mean()
