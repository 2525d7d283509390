"""Keep averaged copies of modules, with a half-life counted in examples.

An exponential moving average whose half-life is capped at a share of the examples seen since its start, so that the
average forgets the random beginning (the ramp of arXiv 2006.06676). Buffers are copied, not averaged. The weight of
an update is a pure function of the step, so nothing but the averaged tensors needs saving. A length that is chosen
after training comes from other averages, see `audiogan.adversarial.posthoc`.
"""

import copy
from collections.abc import Mapping

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from audiogan.adversarial.posthoc import PosthocConfig


class AveragesConfig(BaseModel):
    """How long an average remembers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    half_life: float = Field(default=500_000.0, ge=0.0, description="Examples after which an old weight counts half.")
    ramp: float | None = Field(
        default=0.05, gt=0.0, description="Cap of the half-life as a share of the examples seen; null for none."
    )
    posthoc: PosthocConfig | None = Field(
        default=None, description="Keep what is needed to choose the length after training; null for no."
    )


def decay(n_since: float, n_batch: int, config: AveragesConfig) -> float:
    """Return the weight that the old average keeps in one update, in [0, 1].

    Args:
        n_since: Examples seen since the average started; 0 or less gives 0, a plain copy.
        n_batch: Examples per step.
        config: Half-life and ramp.

    Example:
        >>> decay(1e9, 1000, AveragesConfig(half_life=1000.0, ramp=None))
        0.5
    """
    half_life = config.half_life if config.ramp is None else min(config.half_life, config.ramp * n_since)
    return 0.5 ** (n_batch / half_life) if n_since > 0.0 and half_life > 0.0 else 0.0


class Averages:
    """Averaged copies of some modules.

    Args:
        modules: The live modules, on their device.
        starts: Names of those to average, each with the share of the budget at which its average starts; until then the
            copy equals the live module.
        config: Half-life and ramp.
    """

    def __init__(self, modules: Mapping[str, nn.Module], starts: Mapping[str, float], config: AveragesConfig) -> None:
        self.config = config
        self.starts = dict(starts)
        self.copies = {name: copy.deepcopy(modules[name]).eval().requires_grad_(requires_grad=False) for name in starts}
        self._live = {name: modules[name] for name in starts}
        self.pair()

    def pair(self) -> None:
        """Look up the tensors of copies and live modules again, after parameters were given other memory."""
        self._pairs = {name: _pair(copied, self._live[name]) for name, copied in self.copies.items()}

    @torch.no_grad()
    def update(self, n_seen: int, n_batch: int, n_budget: int) -> None:
        """Move every average towards its live module.

        Args:
            n_seen: Examples seen, this step included.
            n_batch: Examples per step.
            n_budget: Examples in the whole budget.
        """
        for name, (floats, live_floats, others, live_others) in self._pairs.items():
            kept = decay(n_seen - self.starts[name] * n_budget, n_batch, self.config)
            if floats:
                get_ema_multi_avg_fn(kept)(floats, live_floats, 0)
            for old, live in zip(others, live_others, strict=True):
                old.copy_(live)

    def __getitem__(self, name: str) -> nn.Module:
        """Return one averaged copy, in evaluation mode and without gradients."""
        return self.copies[name]


def _pair(copied: nn.Module, live: nn.Module) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """Return parameters and buffers of the copy, each with its live counterpart."""
    parameters = [item.detach() for item in copied.parameters()]
    live_parameters = [item.detach() for item in live.parameters()]
    return parameters, live_parameters, list(copied.buffers()), list(live.buffers())
