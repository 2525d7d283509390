"""Play the usual game: one generator from z against one discriminator, with the tools of the craft as options.

Every option is off unless named; what each is for, and where it comes from, is told in `audiogan/ENGINE.md`. Options
with memory (buffer of past fakes, automatic gamma) are extras of the game, saved in every checkpoint. Left out: several
generators or discriminators; such a game is written from `Phase` like the ones of the pipelines.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from audiogan.adversarial.adaptive import Adaptive
from audiogan.adversarial.autogamma import AutoGamma, AutoGammaConfig
from audiogan.adversarial.game import Batch, Game, Moment, OptimizerConfig, Phase, Repeats, Stateful
from audiogan.adversarial.noise import add_noise
from audiogan.adversarial.objective import (
    Objective,
    discriminator_loss,
    feature_matching,
    generator_loss,
    wgan_drift,
)
from audiogan.adversarial.penalty import clip_weights, dragan, r1_r2, wgan_gp
from audiogan.adversarial.replay import Replay
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.slopes import PenaltyImpl, Slope, TestedSlope, approximate_slope, exact_slope
from audiogan.adversarial.unrolled import unrolled

AugmentCall = Callable[[Tensor, Moment, str], Tensor]
Judge = Callable[..., Tensor]
Mean = Callable[[Tensor], Tensor]


class LatentGameConfig(BaseModel):
    """Options of the usual game: one generator from z, one discriminator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Objective = Field(default="rpgan", description="Loss of both players.")
    drift: float = Field(
        default=0.0, ge=0.0, description="Weight of the squared real logits (arXiv 1710.10196: 0.001)."
    )
    r1: Schedule = Field(default=Schedule(start=0.0), description="Gamma of the gradient penalty at reals; 0 for none.")
    r2: Schedule = Field(default=Schedule(start=0.0), description="Gamma of the gradient penalty at fakes; 0 for none.")
    wgan_gp: float = Field(default=0.0, ge=0.0, description="Weight of the penalty between real and fake; 10 is usual.")
    dragan: float = Field(default=0.0, ge=0.0, description="Weight of the penalty around reals; 10 is usual.")
    clip: float = Field(
        default=0.0, ge=0.0, description="Bound on every weight of the discriminator; 0.01 with wgan, 0 for none."
    )
    penalty_interval: int = Field(
        default=1, ge=1, description="Steps between penalties; the weight is multiplied to match."
    )
    penalty_impl: PenaltyImpl = Field(
        default="exact", description="How slopes are measured; approx for r1 and r2 only."
    )
    auto_gamma: AutoGammaConfig | None = Field(
        default=None, description="Find the weight of r1 and r2 by itself; null for no."
    )
    instance_noise: Schedule = Field(default=Schedule(start=0.0), description="Standard deviation added to D's inputs.")
    replay: int = Field(default=0, ge=0, description="Past fakes to keep and show D again; 0 for none, 50 is usual.")
    feature_matching: float = Field(
        default=0.0, ge=0.0, description="Weight, for G, of the distance of mean activations of D; 0 for none."
    )
    unrolled: int = Field(default=0, ge=0, le=10, description="Steps of D that G looks ahead; 0 for none.")
    unrolled_rate: float = Field(default=0.1, gt=0.0, description="Step size of the steps that G looks ahead.")
    discriminator_repeats: int | Repeats = Field(default=1, description="Moves of D for each move of G.")

    @model_validator(mode="after")
    def _check(self) -> "LatentGameConfig":
        if self.penalty_impl == "approx" and (self.wgan_gp or self.dragan):
            raise ValueError("penalty_impl 'approx' with wgan_gp or dragan; expected 'exact' or 'func'")
        if self.auto_gamma is not None and self.r1.start <= 0.0:
            raise ValueError(f"auto_gamma with r1 {self.r1.start}; expected an r1 above 0 to begin with")
        if self.auto_gamma is not None and self.objective == "wgan":
            raise ValueError("auto_gamma with objective 'wgan', whose loss has no scale; expected another objective")
        return self


class _LatentTerms:
    """The loss terms of both players of the z-to-x game."""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        z_dim: int,
        config: LatentGameConfig,
        augment: AugmentCall | None,
        adaptive: Adaptive | None,
        real: str,
        mean: Mean,
    ) -> None:
        self.generator = modules["generator"]
        self.discriminator = modules["discriminator"]
        self.learning = {name for name, value in self.discriminator.named_parameters() if value.requires_grad}
        self.z_dim = z_dim
        self.config = config
        self.augment = augment
        self.adaptive = adaptive
        self.real = real
        self.replay = Replay(config.replay) if config.replay else None
        self.auto_gamma = None if config.auto_gamma is None else AutoGamma(config.auto_gamma, mean=mean)
        self.tested = TestedSlope(self.discriminator)

    def extras(self) -> dict[str, Stateful]:
        """Return what has memory."""
        found = {"replay": self.replay, "auto_gamma": self.auto_gamma, "adaptive": self.adaptive}
        return {name: extra for name, extra in found.items() if extra is not None}

    def watch(self, moment: Moment) -> dict[str, float]:
        """Return what changes by itself."""
        found = {}
        if self.auto_gamma is not None:
            found["gamma"] = self.auto_gamma.factor * self.config.r1.at(moment.span_share)
        if self.adaptive is not None:
            found["augment"] = float(self.adaptive.probability)
        return found

    def fake(self, batch: Batch, moment: Moment) -> Tensor:
        real = batch[self.real]
        z = moment.normal("z", len(real), self.z_dim).to(real.device)
        return self.generator(z, batch["label"]) if "label" in batch else self.generator(z)

    def shown(self, examples: Tensor, moment: Moment, stream: str) -> Tensor:
        """Return examples as D is shown them."""
        if self.augment is not None:
            examples = self.augment(examples, moment, stream)
        return add_noise(examples, self.config.instance_noise.at(moment.span_share), moment, stream)

    def logits(self, batch: Batch, moment: Moment, stream: str, judge: Judge | None = None) -> Judge:
        """Return D as seen by the penalties: a function of the example before any augmentation."""
        judge = judge or self.discriminator

        def judged(examples: Tensor) -> Tensor:
            examples = self.shown(examples, moment, stream)
            return judge(examples, batch["label"]) if "label" in batch else judge(examples)

        return judged

    def slope(self, moment: Moment) -> Slope | None:
        """Return how slopes are measured; None for the exact way."""
        match self.config.penalty_impl:
            case "exact":
                return None
            case "func":
                return self.tested
            case "approx":

                def estimate(judge: Judge, examples: Tensor) -> tuple[Tensor, Tensor]:
                    return approximate_slope(judge, examples, moment.normal("slope", *examples.shape).to(examples))

                return estimate

    def discriminator_terms(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        config, real = self.config, batch[self.real]
        with torch.no_grad():
            fake = self.fake(batch, moment)
        if self.replay is not None:
            assert "label" not in batch, "a past fake would be shown with the label of another"
            fake = self.replay.exchange(fake, moment)
        judge_real, judge_fake = self.logits(batch, moment, "real"), self.logits(batch, moment, "fake")
        due = moment.step % config.penalty_interval == 0
        factor = due * config.penalty_interval * (1.0 if self.auto_gamma is None else self.auto_gamma.factor)
        gamma1, gamma2 = (factor * gamma.at(moment.span_share) for gamma in (config.r1, config.r2))
        slope = self.slope(moment)
        real_logits, fake_logits, terms = r1_r2(judge_real, judge_fake, real, fake, gamma1, gamma2, slope)
        terms["adversarial"] = discriminator_loss(config.objective, real_logits, fake_logits)
        if config.drift:
            terms["drift"] = wgan_drift(real_logits, config.drift)
        if due:
            terms |= self.unit_penalties(judge_real, real, fake, moment, slope or exact_slope)
        terms["pair_sign"] = (real_logits.detach() - fake_logits.detach()).sign().mean()
        self.note(moment, terms, real_logits, fake_logits)
        return terms

    def unit_penalties(
        self, judge: Judge, real: Tensor, fake: Tensor, moment: Moment, slope: Slope
    ) -> dict[str, Tensor]:
        """Return the penalties that want slopes of 1."""
        config, terms = self.config, {}
        if config.wgan_gp:
            alpha = moment.uniform("penalty", len(real)).to(real.device)
            weight = config.wgan_gp * config.penalty_interval
            terms["wgan_gp"] = wgan_gp(judge, real, fake, alpha, weight, slope)
        if config.dragan:
            draws = moment.uniform("penalty", *real.shape).to(real.device)
            terms["dragan"] = dragan(judge, real, draws, config.dragan * config.penalty_interval, slope)
        return terms

    def note(self, moment: Moment, terms: Mapping[str, Tensor], real_logits: Tensor, fake_logits: Tensor) -> None:
        """Let what adapts take in the outcome of a move of D."""
        if self.adaptive is not None:
            self.adaptive.note(real_logits, fake_logits, moment.world)
        if self.auto_gamma is not None:
            found = [terms[name].detach() for name in ("r1", "r2") if name in terms]
            penalty = sum(found[1:], found[0]) / self.config.penalty_interval if found else None
            gamma = self.config.r1.at(moment.span_share)
            self.auto_gamma.note(moment.step, gamma, terms["adversarial"], penalty, terms["pair_sign"])

    def generator_terms(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        config, real = self.config, batch[self.real]
        fake = self.fake(batch, moment)
        judge = self.foreseen(batch, fake, moment) if config.unrolled else None
        real_logits = None
        if config.objective == "rpgan":
            # Only a D that looks ahead lets the gradient of G through its verdict on reals.
            with torch.set_grad_enabled(config.unrolled > 0):
                real_logits = self.logits(batch, moment, "real", judge)(real)
        fake_logits = self.logits(batch, moment, "fake", judge)(fake)
        terms = {"adversarial": generator_loss(config.objective, real_logits, fake_logits)}
        if config.feature_matching:
            with torch.no_grad():
                wanted = self.features(batch, self.shown(real, moment, "real"))
            found = self.features(batch, self.shown(fake, moment, "fake"))
            terms["features"] = config.feature_matching * feature_matching(wanted, found)
        return terms

    def foreseen(self, batch: Batch, fake: Tensor, moment: Moment) -> Judge:
        """Return D after the steps that it would make on this batch."""

        def loss_of(judge: Judge) -> Tensor:
            real_logits = self.logits(batch, moment, "real", judge)(batch[self.real])
            return discriminator_loss(
                self.config.objective, real_logits, self.logits(batch, moment, "fake", judge)(fake)
            )

        config = self.config
        return unrolled(self.discriminator, self.learning, loss_of, config.unrolled, config.unrolled_rate)

    def features(self, batch: Batch, examples: Tensor) -> Sequence[Tensor]:
        look = self.discriminator.features
        assert callable(look)
        return look(examples, batch["label"]) if "label" in batch else look(examples)


def latent_game(
    modules: Mapping[str, nn.Module],
    *,
    z_dim: int,
    config: LatentGameConfig | None = None,
    generator_optimizer: OptimizerConfig | None = None,
    discriminator_optimizer: OptimizerConfig | None = None,
    augment: AugmentCall | None = None,
    adaptive: Adaptive | None = None,
    real: str = "real",
    mean: Mean = lambda values: values,
) -> Game:
    """Return the game of one generator from z against one discriminator.

    Args:
        modules: `generator` from z `(batch, z_dim)` to examples, `discriminator` from examples to logits `(batch,)` or
            `(batch, 1)`. When the batch holds `label`, both are called with it as second argument. For feature matching
            D has a method `features` with the same arguments that returns activations, `(batch, ...)` each.
        z_dim: Size of z; z is standard normal.
        config: Objective, penalties and repeats.
        generator_optimizer: Optimiser of G.
        discriminator_optimizer: Optimiser of D.
        augment: Applied to whatever D sees; gradients of penalties are taken before it.
        adaptive: What `augment` takes its probability from; it is shown the logits.
        real: Name of the examples in the batch.
        mean: Average of a tensor over processes.
    """
    config = config or LatentGameConfig()
    _check_discriminator(modules["discriminator"], config)
    terms = _LatentTerms(modules, z_dim, config, augment, adaptive, real, mean)
    discriminator = Phase(
        name="discriminator",
        modules=("discriminator",),
        terms=terms.discriminator_terms,
        optimizer=discriminator_optimizer or OptimizerConfig(),
        repeats=config.discriminator_repeats,
    )
    if config.clip:
        discriminator = replace(discriminator, after_move=lambda: clip_weights(modules["discriminator"], config.clip))
    generator = Phase(
        name="generator",
        modules=("generator",),
        terms=terms.generator_terms,
        optimizer=generator_optimizer or OptimizerConfig(),
    )
    return Game(
        phases=(discriminator, generator), extras=terms.extras(), averaged={"generator": 0.0}, watch=terms.watch
    )


def _check_discriminator(discriminator: nn.Module, config: LatentGameConfig) -> None:
    assert not config.feature_matching or hasattr(discriminator, "features"), "feature matching needs D.features"
    if config.penalty_impl == "approx":
        drops = any(isinstance(layer, nn.Dropout) and layer.p > 0.0 for layer in discriminator.modules())
        moves = next(discriminator.buffers(), None) is not None
        assert not drops and not moves, "approx compares two calls of D: no dropout, no buffers"
