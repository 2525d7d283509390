"""Raise the strength of augmentation while the discriminator learns its examples by heart, and lower it otherwise.

Adaptive discriminator augmentation (arXiv 2006.06676, section 3.1): every few steps the sign of the logits of reals,
averaged, says how far D knows them; above the target the probability rises by a fixed amount, below it falls. Logits
of `rpgan` have no zero, so there the sign of real minus fake of each pair is taken instead; the published target was
tuned for the first form.
"""

from collections.abc import Callable
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

Mean = Callable[[Tensor], Tensor]


class AdaptiveConfig(BaseModel):
    """When and how fast to change the probability of augmentation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float = Field(default=0.0, ge=0.0, le=1.0, description="Probability at the beginning.")
    most: float = Field(default=0.8, gt=0.0, le=1.0, description="Probability never exceeded; leaks begin above 0.8.")
    target: float = Field(default=0.6, gt=-1.0, lt=1.0, description="Mean sign aimed at (arXiv 2006.06676: 0.6).")
    interval: int = Field(default=4, ge=1, description="Moves of D between changes (arXiv 2006.06676: 4).")
    ramp: float = Field(
        default=500_000.0, gt=0.0, description="Examples over which the probability can go from 0 to 1."
    )


class Adaptive:
    """The probability and what it follows.

    Args:
        config: When and how fast.
        pairs: Read the sign of real minus fake instead of the sign of real; with `rpgan`.
        mean: Average of a tensor over processes, so that all take the same decision.
    """

    def __init__(
        self, config: AdaptiveConfig | None = None, *, pairs: bool = False, mean: Mean = lambda values: values
    ) -> None:
        self.config = config or AdaptiveConfig()
        self.pairs = pairs
        self.mean = mean
        self.probability = torch.tensor(self.config.start)
        self.signs = torch.tensor(0.0)
        self.n_moves = 0
        self.n_examples = 0

    def note(self, real_logits: Tensor, fake_logits: Tensor, world: int = 1) -> None:
        """Take in the logits of one move of D, and change the probability when it is due.

        Args:
            real_logits: `(batch, ...)`, of reals as D was shown them.
            fake_logits: The same shape.
            world: Number of processes, each with as many.
        """
        config = self.config
        difference = real_logits - fake_logits if self.pairs else real_logits
        self.signs = self.signs.to(difference.device) + difference.detach().float().sign().mean()
        self.n_moves += 1
        self.n_examples += len(real_logits) * world
        if self.n_moves < config.interval:
            return
        sign = self.mean(self.signs / self.n_moves)
        step = torch.sign(sign - config.target) * (self.n_examples / config.ramp)
        # All on the device: the loop never waits for a number.
        self.probability = (self.probability.to(sign) + step).clamp(0.0, config.most)
        self.signs, self.n_moves, self.n_examples = torch.zeros_like(self.signs), 0, 0

    def state(self) -> dict[str, Any]:
        """Return the probability and what has come in since it last changed."""
        counts = {"n_moves": self.n_moves, "n_examples": self.n_examples}
        return {"probability": self.probability, "signs": self.signs} | counts

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.probability, self.signs = state["probability"].clone(), state["signs"].clone()
        self.n_moves, self.n_examples = int(state["n_moves"]), int(state["n_examples"])
