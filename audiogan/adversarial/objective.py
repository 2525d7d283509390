"""Turn logits for real and fake examples into the loss of either player.

With r = D(x), f = D(G(z)) and s = softplus, the table of losses: minimax and non-saturating (arXiv 1406.2661), hinge
(arXiv 1705.02894), least squares (arXiv 1611.04076), Wasserstein (arXiv 1701.07875) and relativistic pairs (arXiv
1807.00734). Beside it a term for G alone, feature matching. Means are over the batch and over every logit of an
example. Losses are computed in float32.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Objective = Literal["rpgan", "nonsaturating", "minimax", "hinge", "lsgan", "wgan"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


def discriminator_loss(name: Objective, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the loss that D minimises, zero-dimensional float32.

    Args:
        name: `rpgan` s(-(r-f)); `nonsaturating` and `minimax` s(-r) + s(f); `hinge` relu(1-r) + relu(1+f);
            `lsgan` (r-1)²/2 + f²/2; `wgan` f - r.
        real_logits: `(batch, ...)`; for `rpgan` item i is paired with fake item i, which must carry the same label.
        fake_logits: The same shape.
    """
    assert real_logits.shape == fake_logits.shape, (real_logits.shape, fake_logits.shape)
    real, fake = real_logits.float(), fake_logits.float()
    match name:
        case "rpgan":
            return F.softplus(fake - real).mean()
        case "nonsaturating" | "minimax":
            return F.softplus(-real).mean() + F.softplus(fake).mean()
        case "hinge":
            return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()
        case "lsgan":
            return 0.5 * (real - 1.0).square().mean() + 0.5 * fake.square().mean()
        case "wgan":
            return fake.mean() - real.mean()
    raise AssertionError(f"objective {name!r}; expected one of {OBJECTIVES}")


def generator_loss(name: Objective, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    """Return the loss that G minimises, zero-dimensional float32.

    Args:
        name: `rpgan` s(-(f-r)); `nonsaturating` s(-f); `minimax` -s(f); `hinge` and `wgan` -f; `lsgan` (f-1)²/2.
        real_logits: `(batch, ...)`, read by `rpgan` only; None otherwise.
        fake_logits: `(batch, ...)`.
    """
    fake = fake_logits.float()
    match name:
        case "rpgan":
            assert real_logits is not None, "rpgan compares fakes with reals"
            assert real_logits.shape == fake_logits.shape, (real_logits.shape, fake_logits.shape)
            return F.softplus(real_logits.float() - fake).mean()
        case "nonsaturating":
            return F.softplus(-fake).mean()
        case "minimax":
            return -F.softplus(fake).mean()
        case "hinge" | "wgan":
            return -fake.mean()
        case "lsgan":
            return 0.5 * (fake - 1.0).square().mean()
    raise AssertionError(f"objective {name!r}; expected one of {OBJECTIVES}")


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
