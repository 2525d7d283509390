"""The training game of GANSynth (arXiv 1902.08710): Wasserstein loss, gradient penalty, heads for the key, growth.

L_D = E[D(fake)] - E[D(real)] + 10 gradient penalty + 0.001 E[D(real)²] + 10 CE(key | real), and L_G = -E[D(fake)] +
10 CE(key | fake); fakes are asked for the keys of the batch, so that keys are as frequent as in the data. Real planes
are blended as coarse as the generator's are at the time. The reference forgets Adam's moments at every stage; here they
are carried over unless `restart_adam` is set. The other tools of `CraftConfig` are off unless named.
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from audiogan.adversarial.augment import AugmentConfig
from audiogan.adversarial.craft import CraftConfig
from audiogan.adversarial.duel import Contest, Duel, ready
from audiogan.adversarial.game import Batch, Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.objective import Objective
from audiogan.adversarial.schedule import Schedule
from audiogan.errors import RecipeError
from audiogan.pipelines.waveform.augment import gap
from audiogan.pipelines.waveform.classic import ClassicDiscriminator, ClassicGenerator
from audiogan.pipelines.waveform.encoder import pitch_loss
from audiogan.pipelines.waveform.progressive import GrowthConfig, blend
from audiogan.pipelines.waveform.residual import Judged

NONE = Schedule(start=0.0)
CLASSIC_ADAM = OptimizerConfig(lr=Schedule(start=8e-4), betas=(0.0, 0.99))


class ClassicGameConfig(CraftConfig):
    """Options of the classic game; the defaults are GANSynth's."""

    objective: Objective | None = Field(default="wgan", description="Loss of both players.")
    r1: Schedule | None = Field(default=NONE, description="Gamma of the penalty at reals; 0 for none.")
    r2: Schedule | None = Field(default=NONE, description="Gamma of the penalty at fakes; 0 for none.")
    wgan_gp: float = Field(default=10.0, ge=0.0, description="Weight of the gradient penalty.")
    drift: float = Field(default=0.001, ge=0.0, description="Weight of the squared real logits.")
    augment: AugmentConfig = Field(default=AugmentConfig(), description="How often D is shown planes with a gap.")
    generator_pitch: float = Field(default=10.0, ge=0.0, description="Weight of the key of fakes, for G.")
    discriminator_pitch: float = Field(default=10.0, ge=0.0, description="Weight of the key of reals, for D.")
    progressive: bool = Field(default=True, description="Grow stage by stage; else the full size from the start.")
    growth: GrowthConfig = Field(default=GrowthConfig(), description="How the budget is dealt to the stages.")
    restart_adam: bool = Field(default=False, description="Forget Adam's moments at every stage, as the reference.")

    @model_validator(mode="after")
    def _check(self) -> "ClassicGameConfig":
        if self.projected is not None:
            raise RecipeError("`projected` in game.classic, for which no trained network is at hand; expected null")
        bound = self.wgan_gp or self.clip or self.dragan or self.spectral or (self.r1 or NONE).start
        if self.objective == "wgan" and not bound:
            raise RecipeError(
                "`objective: wgan` in game.classic with wgan_gp 0 and clip 0; expected one of them above 0"
            )
        if self.progressive and self.penalty_impl == "func":
            # Its test at the first step would say nothing of the blocks that come later.
            raise RecipeError("`penalty_impl: func` with progressive networks; expected exact, or progressive: false")
        if self.progressive and self.replay:
            raise RecipeError("`replay` with progressive networks, whose past fakes are coarser; expected 0")
        return self


class _Judging(nn.Module):
    """D as the game calls it: planes and how far the networks have grown → `Judged`."""

    def __init__(self, discriminator: ClassicDiscriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, planes: Tensor, progress: float | None = None) -> Judged:
        return self.discriminator(planes, progress=progress)


class _ClassicTerms:
    """The loss terms of both players."""

    def __init__(self, modules: Mapping[str, nn.Module], options: ClassicGameConfig) -> None:
        generator, judge = modules["generator"], modules["discriminator"]
        assert isinstance(generator, ClassicGenerator)
        assert isinstance(judge, ClassicDiscriminator)
        self.generate, self.options = generator, options
        judging = _Judging(judge)
        self.duel = Duel(
            options, judging, objective="wgan", transforms=(gap,), look=lambda *shown: judging(*shown).features
        )

    def progress(self, moment: Moment) -> float:
        """Return how far the networks have grown."""
        n_blocks = self.generate.n_blocks
        return self.options.growth.progress(moment.share, n_blocks) if self.options.progressive else n_blocks - 1.0

    def fake(self, batch: Batch, moment: Moment) -> Tensor:
        pitch = batch["pitch"]
        z = moment.normal("z", len(pitch), self.generate.z_dim).to(pitch.device, non_blocking=True)
        return self.generate(z, None, pitch, batch["velocity"], progress=self.progress(moment))

    def contest(self, batch: Batch, moment: Moment) -> Contest:
        """Return real planes as coarse as the networks are, and fakes of the same keys."""
        progress = self.progress(moment)
        real = blend(batch["planes"], self.generate.sizes, progress)
        return Contest(real, self.fake(batch, moment), (progress,) if self.options.progressive else ())

    def key_loss(self, logits: Tensor, pitch: Tensor) -> Tensor:
        return pitch_loss(logits, pitch.round(), self.generate.plan.pitches[0])

    def discriminator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """D's loss, penalties, drift and the key of reals."""
        with torch.no_grad():
            contest = self.contest(batch, moment)
        options = self.options
        terms, on_real = self.duel.discriminator(contest, moment, options.r1 or NONE, options.r2 or NONE)
        terms["pitch"] = options.discriminator_pitch * self.key_loss(on_real.pitch, batch["pitch"])
        return terms

    def generator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """G's loss and the key of fakes."""
        terms, _, on_fake = self.duel.generator(self.contest(batch, moment), moment)
        terms["pitch"] = self.options.generator_pitch * self.key_loss(on_fake.pitch, batch["pitch"])
        return terms

    def watch(self, moment: Moment) -> dict[str, float]:
        """Return what changes by itself."""
        grown = {"progress": self.progress(moment)} if self.options.progressive else {}
        return grown | self.duel.watch((self.options.r1 or NONE).at(moment.span_share))


def blocks_of(judge: ClassicDiscriminator) -> list[list[nn.Module]]:
    """Return the modules of D from its input on: from the finest size down, then what judges."""
    inner = [
        [judge.from_image[block], judge.first[block - 1], judge.second[block - 1]]
        for block in range(judge.n_blocks - 1, 0, -1)
    ]
    return [*inner, [judge.from_image[0], judge.last, judge.whole, judge.logit, judge.pitch]]


def classic_game(
    modules: Mapping[str, nn.Module],
    options: ClassicGameConfig,
    generator_optimizer: OptimizerConfig | None = None,
    discriminator_optimizer: OptimizerConfig | None = None,
) -> Game:
    """Return the game of a classic model: D, then G, once each per step.

    Args:
        modules: What `networks.build` made for a classic network.
        options: Weights of the terms, and how the networks grow.
        generator_optimizer: Left out: Adam at 0.0008 with betas 0 and 0.99, as published.
        discriminator_optimizer: Left out: the same.

    Raises:
        RecipeError: A tool does not go with the networks.
    """
    judge = modules["discriminator"]
    assert isinstance(judge, ClassicDiscriminator)
    ready(options, judge, blocks_of(judge))
    terms = _ClassicTerms(modules, options)
    spans = [(0.0, 1.0)]
    if options.progressive and options.restart_adam:
        spans = list(pairwise(options.growth.boundaries(terms.generate.n_blocks)))
    phases = []
    for number, span in enumerate(spans):
        end = "" if len(spans) == 1 else f"-{number}"
        optimizers = (discriminator_optimizer or CLASSIC_ADAM, generator_optimizer or CLASSIC_ADAM)
        phases += [
            terms.duel.phase(terms.discriminator, optimizers[0], span=span, name=f"discriminator{end}"),
            Phase(f"generator{end}", ("generator",), terms.generator, optimizers[1], span=span),
        ]
    return Game(phases, terms.duel.extras(), {"generator": 0.0}, terms.watch, terms.duel.compilable())
