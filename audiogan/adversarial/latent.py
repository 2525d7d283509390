"""Play the usual game: one generator from z against one discriminator, with the tools of the craft as options.

Every option is off unless named; what each is for, and where it comes from, is told in `audiogan/ENGINE.md`. Left out:
several generators or discriminators; such a game is written from `Phase` and `Duel` like the ones of the pipelines.
"""

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from audiogan.adversarial.augment import Transform
from audiogan.adversarial.compiling import Compilable
from audiogan.adversarial.craft import CraftConfig
from audiogan.adversarial.duel import Contest, Duel, ready
from audiogan.adversarial.freeze import children_of
from audiogan.adversarial.game import Batch, Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.objective import Objective
from audiogan.adversarial.projected import ProjectedDiscriminator
from audiogan.adversarial.schedule import Schedule
from audiogan.errors import RecipeError


class LatentGameConfig(CraftConfig):
    """Options of the usual game: one generator from z, one discriminator."""

    objective: Objective | None = Field(default="rpgan", description="Loss of both players.")
    r1: Schedule | None = Field(default=Schedule(start=0.0), description="Gamma of the penalty at reals; 0 for none.")
    r2: Schedule | None = Field(default=Schedule(start=0.0), description="Gamma of the penalty at fakes; 0 for none.")


class _LatentTerms:
    """The loss terms of both players of the z-to-x game."""

    def __init__(
        self, generator: nn.Module, duel: Duel, z_dim: int, gammas: tuple[Schedule | None, Schedule | None], real: str
    ) -> None:
        self.duel, self.z_dim, self.real = duel, z_dim, real
        self.generate = Compilable("generator", generator, generator)
        first, second = gammas
        self.first, self.second = first or Schedule(start=0.0), second or Schedule(start=0.0)

    def contest(self, batch: Batch, moment: Moment) -> Contest:
        """Return reals and as many fakes, with the labels if there are any."""
        real = batch[self.real]
        z = moment.normal("z", len(real), self.z_dim).to(real.device, non_blocking=True)
        conditions = (batch["label"],) if "label" in batch else ()
        return Contest(real, self.generate(z, *conditions), conditions)

    def watch(self, moment: Moment) -> dict[str, float]:
        """Return what changes by itself."""
        return self.duel.watch(self.first.at(moment.span_share))

    def discriminator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Return the terms of D."""
        with torch.no_grad():
            contest = self.contest(batch, moment)
        return self.duel.discriminator(contest, moment, self.first, self.second)[0]

    def generator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Return the terms of G."""
        return self.duel.generator(self.contest(batch, moment), moment)[0]


def latent_game(
    modules: Mapping[str, nn.Module],
    *,
    z_dim: int,
    config: LatentGameConfig | None = None,
    generator_optimizer: OptimizerConfig | None = None,
    discriminator_optimizer: OptimizerConfig | None = None,
    transforms: Sequence[Transform] = (),
    real: str = "real",
) -> Game:
    """Return the game of one generator from z against one discriminator.

    Args:
        modules: `generator` from z `(batch, z_dim)` to examples, `discriminator` from examples to logits `(batch,)` or
            `(batch, 1)`. When the batch holds `label`, both are called with it as second argument. For feature matching
            D has a method `features` with the same arguments that returns activations, `(batch, ...)` each. With
            `projected` D is a `ProjectedDiscriminator`, which the caller makes from features of his own.
        z_dim: Size of z; z is standard normal.
        config: Objective, penalties and the other tools.
        generator_optimizer: Optimiser of G.
        discriminator_optimizer: Optimiser of D.
        transforms: What `config.augment` applies to whatever D sees; gradients of penalties are taken before it.
        real: Name of the examples in the batch.

    Raises:
        RecipeError: The discriminator does not go with the tools.
    """
    config, discriminator = config or LatentGameConfig(), modules["discriminator"]
    look = getattr(discriminator, "features", None)
    assert not config.feature_matching or look is not None, "feature matching needs D.features"
    if config.projected is not None and not isinstance(discriminator, ProjectedDiscriminator):
        raise RecipeError("`projected` with a discriminator of its own; expected a ProjectedDiscriminator")
    ready(config, discriminator, children_of(discriminator))
    duel = Duel(config, discriminator, transforms=transforms, look=look)
    terms = _LatentTerms(modules["generator"], duel, z_dim, (config.r1, config.r2), real)
    optimizer = generator_optimizer or OptimizerConfig()
    phases = (
        duel.phase(terms.discriminator, discriminator_optimizer or OptimizerConfig()),
        Phase("generator", ("generator",), terms.generator, optimizer),
    )
    compilable = (terms.generate, *duel.compilable())
    return Game(phases, duel.extras(), {"generator": 0.0}, terms.watch, compilable)
