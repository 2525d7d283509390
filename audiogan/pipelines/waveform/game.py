"""The training game of the waveform pipeline: pairs of equal pitch, and a timbre encoder that learns along.

Real and fake note of a pair share pitch and velocity, or their difference would decide (relativistic loss and penalties
of R3GAN, arXiv 2501.05441). Half of the fakes get a timbre h, of the real note or of another note of its instrument;
the discriminator is shown the other note's h, never that of the note it judges, so that copying one note does not pay.
The rest get none and must come from z; on some steps they get a point between two timbres instead, so that the way from
sound to sound is judged as well. The encoder moves with the generator, by the terms of `TimbreConfig`. The classic
networks bring their own game. All terms work on normalised planes, see `audiogan.pipelines.waveform.plan`.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from audiogan.adversarial.augment import Augment, AugmentConfig
from audiogan.adversarial.game import Batch, Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.objective import Objective, discriminator_loss, generator_loss
from audiogan.adversarial.penalty import r1_r2
from audiogan.adversarial.schedule import Schedule
from audiogan.pipelines.waveform.augment import N_DRAWS, transforms_of
from audiogan.pipelines.waveform.classic_game import ClassicGameConfig, classic_game
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.encoder import TimbreEncoder, divergence, info_nce, pitch_loss, reverse_gradient
from audiogan.pipelines.waveform.network_config import ClassicConfig, ResidualConfig, StyleConfig
from audiogan.pipelines.waveform.plan import Plan, midi_pitch
from audiogan.pipelines.waveform.residual import Discriminator, Generator, Judged
from audiogan.pipelines.waveform.style import StyleGenerator

STYLE_INTERVAL = 16
STYLE_GAMMA = 0.0002  # times values of an example over batch, as in arXiv 2006.06676


class TimbreConfig(BaseModel):
    """What the encoder learns by, each term with its weight; 0 leaves a term out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dropout: float = Field(default=0.5, ge=0.0, le=1.0, description="Share of fakes that get no timbre of a note.")
    free: Literal["null", "mixture"] = Field(
        default="null", description="What those get: a learned null, or a draw from the mixture fitted to h."
    )
    interpolation_interval: int = Field(
        default=4, ge=0, description="Steps between those on which they get a point between two timbres; 0 for never."
    )
    reconstruction: float = Field(default=1.0, ge=0.0, description="L1 of planes against the note whose pitch it has.")
    features: float = Field(default=2.0, ge=0.0, description="L1 of what D looks at, of fake against real.")
    consistency: float = Field(default=0.5, ge=0.0, description="Squared distance of the fake's own h from the given.")
    contrast: float = Field(default=0.1, ge=0.0, description="InfoNCE with another note of the instrument.")
    temperature: float = Field(default=0.1, gt=0.0, description="Of InfoNCE.")
    reversal: Schedule = Field(
        default=Schedule(start=0.1, end=1.0, shape="linear"), description="How strongly h hides the pitch."
    )
    divergence: float = Field(default=0.001, ge=0.0, description="Divergence of h from N(0, 1), value by value.")
    mixture_rate: float = Field(default=0.02, gt=0.0, le=1.0, description="How fast the mixture follows h.")


class GameConfig(BaseModel):
    """The recipe's `game:` section."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Objective | None = Field(
        default=None, description="Loss of both players; left out: rpgan, or nonsaturating for style."
    )
    r1: Schedule | None = Field(
        default=None,
        description="Gamma of the penalty at reals; left out: 10 to 1 for harmonic planes, by size for spectrograms, "
        "0.0002 times values over batch for style.",
    )
    r2: Schedule | None = Field(
        default=None, description="Gamma of the penalty at fakes; left out: as r1, or 0 for style."
    )
    penalty_interval: int | None = Field(
        default=None, ge=1, description="Steps between penalties; the weight grows to match. Left out: 1; 16 for style."
    )
    generator_pitch: float = Field(default=1.0, ge=0.0, description="Weight of the key of fakes, for G.")
    discriminator_pitch: float = Field(default=1.0, ge=0.0, description="Weight of the key of reals, for D.")
    augment: AugmentConfig = Field(
        default=AugmentConfig(),
        description="How often D is shown a pair in another colour, with another envelope, with a gap. "
        "Not for the classic networks.",
    )
    timbre: TimbreConfig = Field(default=TimbreConfig(), description="Terms of the timbre encoder.")
    classic: ClassicGameConfig = Field(default=ClassicGameConfig(), description="Game of the classic networks.")


class OptimizersConfig(BaseModel):
    """The recipe's `optimizer:` section; what is left out is chosen by the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: OptimizerConfig | None = Field(default=None, description="Of generator and encoder.")
    discriminator: OptimizerConfig | None = Field(default=None, description="Of D.")


def default_optimizer(network: ResidualConfig | StyleConfig) -> OptimizerConfig:
    """Return the optimiser of a network whose recipe names none (style: arXiv 1912.04958)."""
    if isinstance(network, StyleConfig):
        return OptimizerConfig(lr=Schedule(start=2.5e-3), betas=(0.0, 0.99))
    factor = min(2.0, max(0.5, 256 / network.max_width))
    return OptimizerConfig(
        lr=Schedule(start=2e-4 * factor, end=5e-5 * factor, shape="cosine", warm_up=0.02),
        betas=(0.0, 0.99),
        beta2=Schedule(start=0.9, end=0.99, shape="cosine"),
    )


def default_gamma(plan: Plan) -> Schedule:
    """Return the weight of R1 and of R2 for a plan: 10 for harmonic planes; 1, 10, 50 for 8, 64, 256 thousand cells."""
    start = 10.0 if plan.head else 10.0 * (plan.n_values / 65536) ** 1.13
    return Schedule(start=start, end=0.1 * start, shape="cosine")


class Pair(NamedTuple):
    """A batch of pairs, all tensors by row.

    Args:
        real: Normalised planes.
        fake: Normalised planes at the same pitch and velocity.
        pitch: `(batch,)` MIDI.
        h: `(batch, timbre)` that the fake was made with, where `kept`.
        own: `(batch, timbre)` of the real note.
        other: `(batch, timbre)` of another note of its instrument.
        kept: `(batch,)`, 1 where the fake has a timbre of its real note's instrument and D is told.
        judge: D, told pitch, velocity and the other note's timbre.
    """

    real: Tensor
    fake: Tensor
    pitch: Tensor
    h: Tensor
    own: Tensor
    other: Tensor
    kept: Tensor
    judge: Callable[[Tensor], Judged]


class _Terms:
    """The loss terms of both players."""

    def __init__(
        self, modules: Mapping[str, nn.Module], network: ResidualConfig | StyleConfig, game: GameConfig, kind: str
    ) -> None:
        generator, judge, encoder = (modules[name] for name in ("generator", "discriminator", "encoder"))
        assert isinstance(generator, Generator | StyleGenerator)
        assert isinstance(judge, Discriminator)
        assert isinstance(encoder, TimbreEncoder)
        self.generate, self.judge, self.encoder, self.game = generator, judge, encoder, game
        self.plan = generator.plan
        self.style = isinstance(network, StyleConfig)
        self.objective: Objective = game.objective or ("nonsaturating" if self.style else "rpgan")
        self.interval = game.penalty_interval or (STYLE_INTERVAL if self.style else 1)
        self.augment = Augment(game.augment, transforms_of(generator.sheet, kind), n_draws=N_DRAWS)
        self.n_examples = 1  # of the last global batch, by which style weighs R1

    def gammas(self, moment: Moment, n_examples: int) -> tuple[float, float]:
        """Return the weights of R1 and R2 at a moment whose global batch has so many examples, 0 when not due."""
        if moment.step % self.interval:
            return 0.0, 0.0
        first, second = self.schedules(n_examples)
        return self.interval * first.at(moment.span_share), self.interval * second.at(moment.span_share)

    def schedules(self, n_examples: int) -> tuple[Schedule, Schedule]:
        """Return the gammas of R1 and R2 for a global batch of so many examples."""
        by_size = Schedule(start=STYLE_GAMMA * self.plan.n_values / n_examples)
        first = self.game.r1 or (by_size if self.style else default_gamma(self.plan))
        return first, self.game.r2 or (Schedule(start=0.0) if self.style else first)

    def watch(self, moment: Moment) -> dict[str, float]:
        """Return the gamma of R1, whether or not a penalty is due."""
        return {"gamma": self.schedules(self.n_examples)[0].at(moment.span_share)}

    def pair(self, batch: Batch, moment: Moment) -> Pair:
        """Return real notes and fakes that share their pitch and velocity."""
        pitch, velocity = midi_pitch(batch["f0"]), batch["velocity"]
        real = self.generate.sheet.enter(batch["planes"], pitch)
        there = self.generate.sheet.enter(batch["partner_planes"], batch["partner_pitch"])
        both = self.encoder.embed(torch.cat([real, there]), torch.cat([pitch, batch["partner_pitch"]]))
        own, other = both.chunk(2)
        h, kept, given = self.timbres(own, other, moment, batch.get("has_partner"))
        z = moment.normal("z", len(real), self.generate.z_dim).to(real)
        fake = self.generate.draw(z, h, pitch, velocity, given)
        shown = other.detach()

        def judge(planes: Tensor) -> Judged:  # both of a pair are changed alike
            return self.judge.judge(self.augment(planes, moment, "pair"), pitch, velocity, shown, kept)

        return Pair(real, fake, pitch, h, own, other, kept, judge)

    def timbres(
        self, own: Tensor, other: Tensor, moment: Moment, has_partner: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return h for G, where it is of the real note's instrument, and where it is not the null; `(batch, ...)`.

        A note without another of its instrument (`has_partner` 0) never keeps its h: D would be told that very note's.
        """
        config = self.game.timbre
        draws = moment.uniform("timbre", len(own), 4).to(own)
        kept = (draws[:, 0] >= config.dropout).to(own)
        kept = kept if has_partner is None else kept * has_partner.to(kept)
        h = torch.where(draws[:, 1:2] < 0.5, own, other)
        every = config.interpolation_interval
        if every and moment.step % every == 0:
            free = torch.lerp(h, h.roll(1, dims=0), draws[:, 2:3])
        elif config.free == "mixture":
            free = self.encoder.mixture.sample(draws[:, 3], moment.normal("mixture", *own.shape))
        else:
            return h, kept, kept
        return torch.where(kept.unsqueeze(1) > 0.5, h, free), kept, torch.ones_like(kept)

    def discriminator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """D's loss, its gradient penalties and the key of reals."""
        with torch.no_grad():
            pair = self.pair(batch, moment)
        judged: list[Judged] = []

        def judge_real(planes: Tensor) -> Tensor:
            judged.append(pair.judge(planes))
            return judged[0].logits

        self.n_examples = len(pair.real) * moment.world
        gammas = self.gammas(moment, self.n_examples)
        real_logits, fake_logits, terms = r1_r2(
            judge_real, lambda planes: pair.judge(planes).logits, pair.real, pair.fake, *gammas
        )
        terms["adversarial"] = discriminator_loss(self.objective, real_logits, fake_logits)
        if self.game.discriminator_pitch:
            key = pitch_loss(judged[0].pitch, pair.pitch, self.plan.pitches[0])
            terms["pitch"] = self.game.discriminator_pitch * key
        terms["pair_sign"] = (real_logits.detach() - fake_logits.detach()).sign().mean()
        return terms

    def generator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """The loss of G and encoder."""
        pair = self.pair(batch, moment)
        with torch.no_grad():
            on_real = pair.judge(pair.real)
        on_fake = pair.judge(pair.fake)
        terms = {"adversarial": generator_loss(self.objective, on_real.logits, on_fake.logits)}
        if self.game.generator_pitch:
            key = pitch_loss(on_fake.pitch, pair.pitch, self.plan.pitches[0])
            terms["pitch"] = self.game.generator_pitch * key
        terms |= self.likeness(pair, on_real, on_fake)
        terms |= self.timbre(pair, batch["instrument"], moment)
        self.encoder.mixture.update(pair.own.detach(), self.game.timbre.mixture_rate)
        return terms

    def likeness(self, pair: Pair, on_real: Judged, on_fake: Judged) -> dict[str, Tensor]:
        """How far fakes with the timbre of a note are from it: in planes, in what D looks at, in their own timbre."""
        config, rows = self.game.timbre, pair.kept.nonzero().squeeze(1)
        if not len(rows):
            return {}
        terms = {}
        if config.reconstruction:
            first = int(self.plan.head)  # a head holds phases, which no two notes share
            sheet, pitch = self.generate.sheet, pair.pitch[rows]
            fake, real = sheet.heard(pair.fake[rows], pitch), sheet.heard(pair.real[rows], pitch)
            distance = (fake - real)[..., first:].abs()
            n_cells = sheet.mask(pitch).sum() * distance.shape[-1]
            terms["reconstruction"] = config.reconstruction * distance.sum() / n_cells
        if config.features:
            pairs = zip(on_fake.features, on_real.features, strict=True)
            distances = [F.l1_loss(fake[rows], real[rows]) for fake, real in pairs]
            terms["features"] = config.features * sum(distances, torch.zeros_like(distances[0])) / len(distances)
        if config.consistency:
            again = self.encoder.embed(pair.fake[rows], pair.pitch[rows])
            terms["consistency"] = config.consistency * F.mse_loss(again, pair.h[rows].detach())
        return terms

    def timbre(self, pair: Pair, instrument: Tensor, moment: Moment) -> dict[str, Tensor]:
        """What makes h a timbre: like its instrument's, without pitch, spread like a normal law."""
        config, terms = self.game.timbre, {}
        both, pitch = torch.cat([pair.own, pair.other]), pair.pitch
        if config.contrast:
            terms["contrast"] = config.contrast * info_nce(pair.own, pair.other, instrument, config.temperature)
        strength = config.reversal.at(moment.span_share)
        if strength:
            read = self.encoder.reader(reverse_gradient(pair.own, strength))
            terms["reversal"] = pitch_loss(read, pitch, self.plan.pitches[0])
        if config.divergence:
            terms["divergence"] = config.divergence * divergence(both)
        return terms


def phases(modules: Mapping[str, nn.Module], config: Config, game: GameConfig, optimizers: OptimizersConfig) -> Game:
    """State who moves when: D, then G together with the encoder, once each per step.

    Args:
        modules: What `networks.build` made of `config`.
        config: Representation and network.
        game: Losses, penalties, timbre.
        optimizers: One per player.
    """
    network = config.network
    if isinstance(network, ClassicConfig):
        return classic_game(modules, game.classic, optimizers.generator, optimizers.discriminator)
    terms = _Terms(modules, network, game, config.representation.kind)
    usual = default_optimizer(network)
    return Game(
        phases=(
            Phase("discriminator", ("discriminator",), terms.discriminator, optimizers.discriminator or usual),
            Phase("generator", ("generator", "encoder"), terms.generator, optimizers.generator or usual),
        ),
        averaged={"generator": 0.0, "encoder": 0.0, "discriminator": 0.0},
        watch=terms.watch,
    )
