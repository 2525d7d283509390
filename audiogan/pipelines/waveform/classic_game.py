"""The training game of GANSynth (arXiv 1902.08710): Wasserstein loss, gradient penalty, heads for the key, growth.

L_D = E[D(fake)] - E[D(real)] + 10 gradient penalty + 0.001 E[D(real)²] + 10 CE(key | real), and L_G = -E[D(fake)] +
10 CE(key | fake); fakes are asked for the keys of the batch, so that keys are as frequent as in the data. Real planes
are blended as coarse as the generator's are at the time. The reference forgets Adam's moments at every stage; here they
are carried over unless `restart_adam` is set.
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from audiogan.adversarial.game import Batch, Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.objective import discriminator_loss, generator_loss, wgan_drift
from audiogan.adversarial.penalty import wgan_gp
from audiogan.adversarial.schedule import Schedule
from audiogan.pipelines.waveform.classic import ClassicDiscriminator, ClassicGenerator
from audiogan.pipelines.waveform.encoder import pitch_loss
from audiogan.pipelines.waveform.progressive import GrowthConfig, blend

CLASSIC_ADAM = OptimizerConfig(lr=Schedule(start=8e-4), betas=(0.0, 0.99))


class ClassicGameConfig(BaseModel):
    """Options of the classic game; the defaults are GANSynth's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wgan_gp: float = Field(default=10.0, ge=0.0, description="Weight of the gradient penalty.")
    drift: float = Field(default=0.001, ge=0.0, description="Weight of the squared real logits.")
    generator_pitch: float = Field(default=10.0, ge=0.0, description="Weight of the key of fakes, for G.")
    discriminator_pitch: float = Field(default=10.0, ge=0.0, description="Weight of the key of reals, for D.")
    progressive: bool = Field(default=True, description="Grow stage by stage; else the full size from the start.")
    growth: GrowthConfig = Field(default=GrowthConfig(), description="How the budget is dealt to the stages.")
    restart_adam: bool = Field(default=False, description="Forget Adam's moments at every stage, as the reference.")


class _ClassicTerms:
    """The loss terms of both players."""

    def __init__(self, modules: Mapping[str, nn.Module], options: ClassicGameConfig) -> None:
        generator, judge = modules["generator"], modules["discriminator"]
        assert isinstance(generator, ClassicGenerator)
        assert isinstance(judge, ClassicDiscriminator)
        self.generate, self.judge, self.options = generator, judge, options

    def progress(self, moment: Moment) -> float:
        """Return how far the networks have grown."""
        n_blocks = self.generate.n_blocks
        return self.options.growth.progress(moment.share, n_blocks) if self.options.progressive else n_blocks - 1.0

    def fake(self, batch: Batch, moment: Moment) -> Tensor:
        pitch = batch["pitch"]
        z = moment.normal("z", len(pitch), self.generate.z_dim).to(pitch.device)
        return self.generate(z, None, pitch, batch["velocity"], progress=self.progress(moment))

    def key_loss(self, logits: Tensor, pitch: Tensor) -> Tensor:
        return pitch_loss(logits, pitch.round(), self.generate.plan.pitches[0])

    def discriminator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """D's loss, gradient penalty, drift and the key of reals."""
        progress = self.progress(moment)
        with torch.no_grad():
            real, fake = blend(batch["planes"], self.generate.sizes, progress), self.fake(batch, moment)
        judged = self.judge(real, progress=progress)
        fake_logits = self.judge(fake, progress=progress).logits
        terms = {
            "adversarial": discriminator_loss("wgan", judged.logits, fake_logits),
            "pitch": self.options.discriminator_pitch * self.key_loss(judged.pitch, batch["pitch"]),
        }
        if self.options.drift:
            terms["drift"] = wgan_drift(judged.logits, self.options.drift)
        if self.options.wgan_gp:
            alpha = moment.uniform("penalty", len(real)).to(real.device)
            terms["wgan_gp"] = wgan_gp(
                lambda planes: self.judge(planes, progress=progress).logits, real, fake, alpha, self.options.wgan_gp
            )
        return terms

    def generator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """G's loss and the key of fakes."""
        judged = self.judge(self.fake(batch, moment), progress=self.progress(moment))
        return {
            "adversarial": generator_loss("wgan", None, judged.logits),
            "pitch": self.options.generator_pitch * self.key_loss(judged.pitch, batch["pitch"]),
        }


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
    """
    terms = _ClassicTerms(modules, options)
    players = (
        ("discriminator", terms.discriminator, discriminator_optimizer or CLASSIC_ADAM),
        ("generator", terms.generator, generator_optimizer or CLASSIC_ADAM),
    )
    spans = [(0.0, 1.0)]
    if options.progressive and options.restart_adam:
        spans = list(pairwise(options.growth.boundaries(terms.generate.n_blocks)))
    phases = [
        Phase(name if len(spans) == 1 else f"{name}-{number}", (name,), function, optimizer, span=span)
        for number, span in enumerate(spans)
        for name, function, optimizer in players
    ]
    watch = (lambda moment: {"progress": terms.progress(moment)}) if options.progressive else None
    return Game(phases=phases, averaged={"generator": 0.0}, watch=watch)
