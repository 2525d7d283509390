"""Find the weight of R1 and R2 by itself.

No rule is published for the weight with relativistic pairs, and one copied from another discriminator can be a hundred
times off. So, our own rule, not ablated yet: at one early step the weight is set so that the penalties are a given
share of the adversarial loss; from then on it is halved when they come to exceed that loss by far, and doubled when D
tells nearly every pair apart. The result is a factor on the gammas of the recipe, whose schedules go on.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

logger = logging.getLogger(__name__)

Mean = Callable[[Tensor], Tensor]


class AutoGammaConfig(BaseModel):
    """When the factor is found, and when it is changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int = Field(default=200, ge=2, description="Step at whose end the factor is set, from the half before it.")
    share: float = Field(default=0.15, gt=0.0, description="Penalties over adversarial loss aimed at.")
    least: float = Field(default=0.01, gt=0.0, description="Smallest gamma at reals that is allowed.")
    most: float = Field(default=200.0, gt=0.0, description="Largest gamma at reals that is allowed.")
    window: int = Field(default=500, ge=1, description="Moves of D between looks at the guards, which take their mean.")
    too_strong: float = Field(
        default=5.0, gt=0.0, description="Halve when penalties over adversarial loss exceed this."
    )
    too_weak: float = Field(default=0.9, gt=0.0, lt=1.0, description="Double when the mean sign of pairs exceeds this.")


class AutoGamma:
    """The factor and the means that it follows.

    Args:
        config: When and how.
        mean: Average of a tensor over processes, so that all take the same decision.
    """

    def __init__(self, config: AutoGammaConfig | None = None, *, mean: Mean = lambda values: values) -> None:
        self.config = config or AutoGammaConfig()
        self.mean = mean
        self.factor = 1.0
        self.found = False
        self._clear()

    def _clear(self) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64)  # adversarial, penalties at the present factor, pair sign
        self.n_moves = 0
        self.n_due = 0

    def note(self, step: int, gamma: float, adversarial: Tensor, penalty: Tensor | None, pair_sign: Tensor) -> None:
        """Take in one move of D, and change the factor when it is time.

        Args:
            step: Number of the step, from 0.
            gamma: The recipe's gamma at reals now, without the factor; above 0.
            adversarial: Loss of D, zero-dimensional.
            penalty: R1 and R2 of this move as they would be at every step, factor included; None when none was due.
            pair_sign: Mean sign of real minus fake.
        """
        config = self.config
        zero = torch.zeros_like(adversarial)
        values = [adversarial, zero if penalty is None else penalty, pair_sign]
        now = torch.stack([value.detach().double() for value in values])
        self.sums = self.sums.to(now.device) + now
        self.n_moves += 1
        self.n_due += penalty is not None
        if not self.found and step + 1 == config.step // 2:
            self._clear()  # the first losses are those of untrained players
        elif not self.found and step + 1 >= config.step and self.n_due:
            adversarial_mean, penalty_mean, _ = self._means()
            if penalty_mean > 0.0:
                self._set(config.share * adversarial_mean / penalty_mean, gamma, step)
                self.found = True
        elif self.found and self.n_moves >= config.window and self.n_due:
            self._guard(gamma, step)

    def _guard(self, gamma: float, step: int) -> None:
        adversarial, penalty, sign = self._means()
        if penalty > self.config.too_strong * adversarial:
            self._set(0.5, gamma, step)
        elif sign > self.config.too_weak:
            self._set(2.0, gamma, step)
        self._clear()

    def _means(self) -> tuple[float, float, float]:
        """Return the means since the last look; penalties over the moves that had one."""
        counts = torch.tensor([self.n_moves, self.n_due, self.n_moves], dtype=torch.float64)
        adversarial, penalty, sign = self.mean(self.sums / counts.to(self.sums.device)).tolist()
        return adversarial, penalty, sign

    def _set(self, change: float, gamma: float, step: int) -> None:
        least, most = self.config.least / gamma, self.config.most / gamma
        self.factor = min(most, max(least, change * self.factor))
        logger.info("step %d: gamma at reals is now %.3g", step, self.factor * gamma)
        self._clear()

    def state(self) -> dict[str, Any]:
        """Return the factor and the means so far."""
        counts = {"n_moves": self.n_moves, "n_due": self.n_due}
        return {"factor": self.factor, "found": self.found, "sums": self.sums} | counts

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.factor, self.found, self.sums = float(state["factor"]), bool(state["found"]), state["sums"].clone()
        self.n_moves, self.n_due = int(state["n_moves"]), int(state["n_due"])
