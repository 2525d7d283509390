"""The training game of the classic networks: a generator against a discriminator that moves several times per step.

The defaults are those of MuseGAN v3: Wasserstein loss with gradient penalty 10 (arXiv 1704.00028), five moves of D per
step and fifty in each of the first ten steps, Adam at 0.001 with betas 0.5 and 0.9, a neuron slope that rises from 1
to 5. The batch's `"roll"` is `(batch, plane, track, bar, timestep, pitch)`; onset and sustain together make the plane
that the classic networks know. No averages are kept: the originals keep none. The other tools of `CraftConfig` are off
unless named.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from audiogan.adversarial.augment import AugmentConfig
from audiogan.adversarial.craft import CraftConfig
from audiogan.adversarial.duel import Contest, Duel, activations, ready
from audiogan.adversarial.freeze import children_of
from audiogan.adversarial.game import Batch, Game, Moment, OptimizerConfig, Phase, Repeats
from audiogan.adversarial.objective import Objective
from audiogan.adversarial.schedule import Schedule, Share
from audiogan.errors import RecipeError
from audiogan.pipelines.multitrack.augment import ROLL_TRANSFORMS
from audiogan.pipelines.multitrack.classic import generate_rolls, rolls_of, z_from_uniform, z_size
from audiogan.pipelines.multitrack.classic_config import ClassicConfig

NONE = Schedule(start=0.0)
V3_ADAM = OptimizerConfig(lr=Schedule(start=1e-3), betas=(0.5, 0.9))


class SlopeConfig(BaseModel):
    """How the slope of the binary neurons' backward pass rises (arXiv 1609.01704)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float = Field(default=1.0, gt=0.0, description="Slope until `begin`.")
    end: float = Field(default=5.0, gt=0.0, description="Slope from `until` on; 5 in v3, 1.1 to the epochs in binary.")
    begin: Share = Field(
        default=0.2, description="Share of the budget at which the rise begins; step 10,000 of 50,000 in v3."
    )
    until: Share = Field(default=1.0, description="Share at which `end` is reached.")
    growth: Literal["linear", "geometric"] = Field(
        default="linear",
        description="linear: by equal amounts (v3). geometric: by equal factors, as 1.1 an epoch (binary).",
    )

    @model_validator(mode="after")
    def _check(self) -> "SlopeConfig":
        if self.until <= self.begin:
            raise RecipeError(f"`slope.until: {self.until}` in game; expected more than slope.begin {self.begin}.")
        return self

    def at(self, share: float) -> float:
        """Return the slope at a share of the budget.

        Args:
            share: Share spent, in [0, 1].

        Example:
            >>> SlopeConfig().at(0.6)
            3.0
        """
        gone = min(1.0, max(0.0, (share - self.begin) / (self.until - self.begin)))
        if self.growth == "geometric":
            return self.start * (self.end / self.start) ** gone
        return self.start + (self.end - self.start) * gone


class ClassicGameConfig(CraftConfig):
    """Options of the classic game. Defaults are those of MuseGAN v3."""

    objective: Objective | None = Field(default="wgan", description="Loss of both players.")
    r1: Schedule | None = Field(default=NONE, description="Gamma of the penalty at reals; 0 for none.")
    r2: Schedule | None = Field(default=NONE, description="Gamma of the penalty at fakes; 0 for none.")
    wgan_gp: float = Field(default=10.0, ge=0.0, description="Weight of the gradient penalty; 0 for none.")
    clip: float = Field(
        default=0.0, ge=0.0, description="Bound on every weight of D; 0.01 in binary's plain wgan, 0 for none."
    )
    discriminator_repeats: int | Repeats = Field(
        default=Repeats(usual=5, burst=50, burst_steps=10), description="Moves of D for each move of G, with a warm-up."
    )
    augment: AugmentConfig = Field(
        default=AugmentConfig(), description="How often D is shown rolls moved round in pitch or by bars."
    )
    slope: SlopeConfig = Field(default=SlopeConfig(), description="Slope of the binary neurons' backward pass.")
    stages: Literal["two_stage", "joint", "end_to_end"] = Field(
        default="two_stage",
        description="binary: first G alone, then only the refiner; or then G and refiner; or both from the start.",
    )
    first_stage: float = Field(
        default=0.5, gt=0.0, lt=1.0, description="binary: share of the budget that trains G alone."
    )
    generator_optimizer: OptimizerConfig = Field(
        default=V3_ADAM, description="Optimiser of G, its encoder and the refiner."
    )
    discriminator_optimizer: OptimizerConfig = Field(default=V3_ADAM, description="Optimiser of D.")

    @model_validator(mode="after")
    def _check(self) -> "ClassicGameConfig":
        if self.projected is not None:
            raise RecipeError("`projected` in game.classic, for which no trained network is at hand; expected null")
        bound = self.wgan_gp or self.clip or self.dragan or self.spectral or (self.r1 or NONE).start
        if self.objective == "wgan" and not bound:
            raise RecipeError("`objective: wgan` in game with wgan_gp 0 and clip 0; expected one of them above 0.")
        return self


class _Judging(nn.Module):
    """D as the game calls it; with one network per track an example is one track of one clip."""

    def __init__(self, discriminator: nn.Module, config: ClassicConfig) -> None:
        super().__init__()
        self.discriminator, self.config = discriminator, config

    def forward(self, rolls: Tensor) -> Tensor:
        if not self.config.one_judge_per_track:
            return self.discriminator(rolls)
        return self.discriminator(rolls.unflatten(0, (-1, self.config.n_tracks))).flatten()


class _ClassicTerms:
    """The loss terms of both players."""

    def __init__(self, modules: Mapping[str, nn.Module], config: ClassicConfig, options: ClassicGameConfig) -> None:
        self.modules = modules
        self.config = config
        self.options = options
        judging = _Judging(modules["discriminator"], config)
        inner = layers_of(modules["discriminator"])
        self.duel = Duel(
            options,
            judging,
            objective="wgan",
            transforms=ROLL_TRANSFORMS,
            look=lambda rolls: activations(inner, judging, rolls),
        )

    def refines(self, moment: Moment) -> bool:
        """Return whether the refiner runs at this moment; only a binary model has one."""
        return self.options.stages == "end_to_end" or moment.share >= self.options.first_stage

    def fake(self, real: Tensor, moment: Moment) -> Tensor:
        z = z_from_uniform(self.config, moment.uniform("z", len(real), z_size(self.config)))
        given = None if self.config.given_track is None else real[:, self.config.given_track]
        return generate_rolls(
            self.modules,
            self.config,
            z.to(real.device),
            given,
            refine=self.refines(moment),
            slope=self.options.slope.at(moment.share),
            generator=moment.generator(f"neurons-{moment.rank}"),
        )

    def examples(self, rolls: Tensor) -> Tensor:
        """Return what D calls an example: a clip, or with one network per track each track of each clip."""
        return rolls.flatten(0, 1) if self.config.one_judge_per_track else rolls

    def contest(self, batch: Batch, moment: Moment) -> Contest:
        """Return real examples and as many fakes."""
        clips = rolls_of(batch["roll"], self.config)
        return Contest(self.examples(clips), self.examples(self.fake(clips, moment)))

    def discriminator_terms(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        with torch.no_grad():
            contest = self.contest(batch, moment)
        return self.duel.discriminator(contest, moment, self.options.r1 or NONE, self.options.r2 or NONE)[0]

    def generator_terms(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        return self.duel.generator(self.contest(batch, moment), moment)[0]

    def watch(self, moment: Moment) -> dict[str, float]:
        """Return what changes by itself."""
        has_neurons = self.config.output_neuron != "none"
        slope = {"slope": self.options.slope.at(moment.share)} if has_neurons else {}
        return slope | self.duel.watch((self.options.r1 or NONE).at(moment.span_share))


def layers_of(judge: nn.Module) -> list[nn.Module]:
    """Return the layers of D with weights, without the last, which gives the logits."""
    layers = [module for module in judge.modules() if getattr(module, "weight", None) is not None]
    return layers[:-1]


def classic_game(modules: Mapping[str, nn.Module], config: ClassicConfig, options: ClassicGameConfig) -> Game:
    """Return the game of a classic model: D's phase, then the phases in which G and its helpers move.

    Args:
        modules: What `build_classic` returned for `config`.
        config: The model.
        options: Losses, ratio of moves, slope, stages and optimisers.

    Raises:
        RecipeError: A tool does not go with the networks.
    """
    ready(options, modules["discriminator"], children_of(modules["discriminator"]))
    terms = _ClassicTerms(modules, config, options)
    phases = [
        Phase(name, names, terms.generator_terms, options.generator_optimizer, span=span)
        for name, names, span in _moves_of_generator(config, options)
    ]
    discriminator = terms.duel.phase(terms.discriminator_terms, options.discriminator_optimizer)
    compilable = terms.duel.compilable()
    return Game((discriminator, *phases), terms.duel.extras(), watch=terms.watch, compilable=compilable)


def _moves_of_generator(
    config: ClassicConfig, options: ClassicGameConfig
) -> list[tuple[str, tuple[str, ...], tuple[float, float]]]:
    if config.variant != "binary":
        names = ("generator",) if config.given_track is None else ("generator", "encoder")
        return [("generator", names, (0.0, 1.0))]
    first = ("generator", ("generator",), (0.0, options.first_stage))
    match options.stages:
        case "two_stage":
            return [first, ("refiner", ("refiner",), (options.first_stage, 1.0))]
        case "joint":
            return [first, ("joint", ("generator", "refiner"), (options.first_stage, 1.0))]
    return [("generator", ("generator", "refiner"), (0.0, 1.0))]
