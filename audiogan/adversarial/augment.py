"""Decide when and how strongly to augment what a discriminator sees; a pipeline supplies the transforms.

Each transform is applied to each example with a probability that is fixed (arXiv 2006.10738 with probability 1),
scheduled over the budget or adaptive (`audiogan.adversarial.adaptive`). Reals and fakes pass through the same
transforms, so that the augmentation does not leak into what G produces (arXiv 2006.06676); transforms must therefore
be differentiable with respect to the example.
"""

from collections.abc import Callable, Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from audiogan.adversarial.adaptive import Adaptive, AdaptiveConfig
from audiogan.adversarial.game import Moment
from audiogan.adversarial.schedule import Schedule

Transform = Callable[[Tensor, Tensor], Tensor]


class AugmentConfig(BaseModel):
    """How strongly to augment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: Schedule = Field(
        default=Schedule(start=0.0),
        description="Probability of each transform for each example, in [0, 1].",
    )
    adaptive: AdaptiveConfig | None = Field(
        default=None, description="Let the probability follow what D knows by heart, instead of a schedule."
    )

    @model_validator(mode="after")
    def _check(self) -> "AugmentConfig":
        ends = (self.probability.start, self.probability.end or 0.0)
        if not all(0.0 <= value <= 1.0 for value in ends):
            raise ValueError(f"augmentation probability from {ends[0]} to {ends[1]}; expected values in [0, 1]")
        if self.adaptive is not None and any(ends):
            raise ValueError("probability and adaptive are two ways to say how often; expected one of them")
        return self


class Augment:
    """Apply each transform to a random part of the batch.

    Args:
        config: How strongly.
        transforms: Each takes examples `(batch, ...)` and uniform draws `(batch, n_draws)` in [0, 1) and returns
            examples of the same shape.
        n_draws: Random numbers per example that a transform gets.
        adaptive: Gives the probability in place of the schedule.
    """

    def __init__(
        self,
        config: AugmentConfig,
        transforms: Sequence[Transform],
        n_draws: int = 4,
        adaptive: Adaptive | None = None,
    ) -> None:
        self.config = config
        self.adaptive = adaptive
        self.transforms = tuple(transforms)
        self.n_draws = n_draws

    def probability(self, moment: Moment) -> float | Tensor:
        """Return the probability of each transform at this moment, in [0, 1]; adaptive ones as a tensor.

        Args:
            moment: When.
        """
        if self.adaptive is not None:
            return self.adaptive.probability
        return self.config.probability.at(moment.share)

    def __call__(self, examples: Tensor, moment: Moment, stream: str = "real") -> Tensor:
        """Return the examples, some of them transformed, in the same shape.

        Args:
            examples: `(batch, ...)`.
            moment: When; gives the draws.
            stream: Name that keeps the draws for reals and fakes apart.
        """
        probability = self.probability(moment)
        if isinstance(probability, Tensor):
            probability = probability.to(examples.device)
        elif probability <= 0.0:
            return examples
        columns = (self.n_draws + 1) * len(self.transforms)
        draws = moment.uniform(f"augment-{stream}", len(examples), columns).to(examples.device, non_blocking=True)
        for transform, own in zip(self.transforms, draws.split(self.n_draws + 1, dim=1), strict=True):
            chosen = (own[:, 0] < probability).reshape(-1, *[1] * (examples.dim() - 1))
            examples = torch.where(chosen, transform(examples, own[:, 1:]), examples)
        return examples
