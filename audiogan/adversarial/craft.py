"""The tools of the craft as options: one section that every game takes over, so that all games offer the same.

A game's own section inherits from `CraftConfig`; what a recipe leaves out is off, or decided by the game where the type
allows null. Sources, and when to use what, are told in `audiogan/ENGINE.md`; `audiogan.adversarial.duel` plays with
these options. Left out: rates of the players (two time scales), which belong to the optimisers, and what is a matter
of networks.
"""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from audiogan.adversarial.augment import AugmentConfig
from audiogan.adversarial.autogamma import AutoGammaConfig
from audiogan.adversarial.game import Repeats
from audiogan.adversarial.objective import Objective
from audiogan.adversarial.projected import ProjectedConfig
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.slopes import PenaltyImpl
from audiogan.errors import RecipeError


class CraftConfig(BaseModel):
    """Options of a game of one generator against one discriminator D."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Objective | None = Field(default=None, description="Loss of both players; null for the game's own.")
    r1: Schedule | None = Field(default=None, description="Gamma of the penalty at reals; null for the game's own.")
    r2: Schedule | None = Field(default=None, description="Gamma of the penalty at fakes; null for the game's own.")
    wgan_gp: float = Field(default=0.0, ge=0.0, description="Weight of the penalty between real and fake; 10 is usual.")
    dragan: float = Field(default=0.0, ge=0.0, description="Weight of the penalty around reals; 10 is usual.")
    drift: float = Field(default=0.0, ge=0.0, description="Weight of the squared real logits; 0.001 with wgan_gp.")
    clip: float = Field(
        default=0.0, ge=0.0, description="Bound on every weight of D; 0.01 with plain wgan, 0 for none."
    )
    penalty_interval: int | None = Field(
        default=None, ge=1, description="Steps between penalties, whose weight grows to match; null for the game's own."
    )
    penalty_impl: PenaltyImpl = Field(
        default="exact", description="How slopes are measured; approx for r1 and r2 only."
    )
    auto_gamma: AutoGammaConfig | None = Field(
        default=None, description="Find the weight of r1 and r2 by itself, beginning from theirs; null for no."
    )
    spectral: bool = Field(default=False, description="Bound the slope of every layer of D, for use without penalties.")
    discriminator_repeats: int | Repeats = Field(default=1, description="Moves of D for each move of G.")
    unrolled: int = Field(default=0, ge=0, le=10, description="Steps of D that G looks ahead; 0 for none.")
    unrolled_rate: float = Field(default=0.1, gt=0.0, description="Step size of the steps that G looks ahead.")
    feature_matching: float = Field(
        default=0.0, ge=0.0, description="Weight, for G, of the distance of mean activations of D; 0 for none."
    )
    instance_noise: Schedule = Field(default=Schedule(start=0.0), description="Standard deviation added to D's inputs.")
    replay: int = Field(default=0, ge=0, description="Past fakes to keep and show D again; 0 for none, 50 is usual.")
    augment: AugmentConfig = Field(default=AugmentConfig(), description="How often D is shown changed examples.")
    freeze: int = Field(default=0, ge=0, description="Blocks of D next to its input that stand still, with --init.")
    projected: ProjectedConfig | None = Field(
        default=None, description="Let D look through a trained network that stands still; null for a D of its own."
    )

    @model_validator(mode="after")
    def _check_craft(self) -> Self:
        for name in ("r1", "r2", "instance_noise"):
            wanted: Schedule | None = getattr(self, name)
            if wanted is not None and min(wanted.start, wanted.start if wanted.end is None else wanted.end) < 0.0:
                raise ValueError(f"{name} goes below 0; expected 0 or more")
        repeats = self.discriminator_repeats
        if isinstance(repeats, int) and repeats < 1:
            raise RecipeError(f"`discriminator_repeats: {repeats}` in game; expected 1 or more.")
        if self.penalty_impl == "approx" and (self.wgan_gp or self.dragan):
            raise ValueError("penalty_impl 'approx' with wgan_gp or dragan; expected 'exact' or 'func'")
        if self.penalty_impl == "approx" and self.spectral:
            raise ValueError("penalty_impl 'approx' with spectral, which moves D; expected 'exact' or 'func'")
        if self.projected is not None and self.freeze:
            raise ValueError("projected and freeze: heads on a frozen network are new; expected one of them")
        if self.spectral and self.clip:
            raise ValueError("spectral and clip both bound the weights of D; expected one of them")
        if self.auto_gamma is not None and self.r1 is not None and self.r1.start <= 0.0:
            raise ValueError(f"auto_gamma with r1 {self.r1.start}; expected an r1 above 0 to begin with")
        if self.auto_gamma is not None and self.objective == "wgan":
            raise ValueError("auto_gamma with objective 'wgan', whose loss has no scale; expected another objective")
        return self

    def named(self) -> list[str]:
        """Return the names of the tools that are not as their class has them."""
        own = type(self).model_fields
        return [name for name in CraftConfig.model_fields if getattr(self, name) != own[name].default]
