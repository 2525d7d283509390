"""The training game of the waveform pipeline: pairs of equal pitch, and a timbre encoder that learns along.

Real and fake note of a pair share pitch and velocity, or their difference would decide (relativistic loss and penalties
of R3GAN, arXiv 2501.05441). Half of the fakes get a timbre h, of the real note or of another note of its instrument;
the discriminator is shown the other note's h, never that of the note it judges, so that copying one note does not pay.
The rest get none and must come from z; on some steps they get a point between two timbres instead, so that the way from
sound to sound is judged as well. The encoder moves with the generator, by the terms of `TimbreConfig`. The classic
networks bring their own game. All terms work on normalised planes, see `audiogan.pipelines.waveform.plan`.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from audiogan.adversarial.augment import AugmentConfig
from audiogan.adversarial.compiling import Compilable
from audiogan.adversarial.craft import CraftConfig
from audiogan.adversarial.duel import Contest, Duel, ready
from audiogan.adversarial.game import Batch, Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.objective import RELATIVISTIC, Objective
from audiogan.adversarial.schedule import Schedule
from audiogan.errors import RecipeError
from audiogan.pipelines.waveform.augment import N_DRAWS, transforms_of
from audiogan.pipelines.waveform.classic_game import ClassicGameConfig, classic_game
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.encoder import TimbreEncoder, divergence, info_nce, pitch_loss, reverse_gradient
from audiogan.pipelines.waveform.features import looking, pinned
from audiogan.pipelines.waveform.network_config import ClassicConfig, ResidualConfig, StyleConfig
from audiogan.pipelines.waveform.plan import Plan, midi_pitch
from audiogan.pipelines.waveform.progressive import GrowthConfig
from audiogan.pipelines.waveform.residual import Discriminator, Generator, Judged
from audiogan.pipelines.waveform.style import StyleGenerator

STYLE_INTERVAL = 16
LIKENESS = ("reconstruction", "offsets", "features", "consistency")
STYLE_GAMMA = 0.0002  # times values of an example over batch, as in arXiv 2006.06676


class TimbreConfig(BaseModel):
    """What the encoder learns by, each term with its weight; 0 leaves a term out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dropout: float = Field(default=0.5, ge=0.0, le=1.0, description="Share of fakes that get no timbre of a note.")
    free: Literal["null", "mixture", "both"] = Field(
        default="null",
        description="What those get: a learned null, a draw from the mixture fitted to h, or the one or the other.",
    )
    interpolation_interval: int = Field(
        default=4, ge=0, description="Steps between those on which they get a point between two timbres; 0 for never."
    )
    reconstruction: float = Field(default=1.0, ge=0.0, description="L1 of planes against the note whose pitch it has.")
    offsets: float = Field(
        default=0.1, ge=0.0, description="L1 of where partials lie and of the tuning, with reconstruction."
    )
    features: float = Field(default=2.0, ge=0.0, description="L1 of what D looks at, of fake against real.")
    consistency: float = Field(default=0.5, ge=0.0, description="Squared distance of the fake's own h from the given.")
    contrast: float = Field(default=0.1, ge=0.0, description="InfoNCE with another note of the instrument.")
    temperature: float = Field(default=0.1, gt=0.0, description="Of InfoNCE.")
    reversal: Schedule = Field(
        default=Schedule(start=0.1, end=1.0, shape="linear"), description="How strongly h hides the pitch."
    )
    divergence: float = Field(default=0.001, ge=0.0, description="Divergence of h from N(0, 1), value by value.")
    mixture_rate: float = Field(default=0.02, gt=0.0, le=1.0, description="How fast the mixture follows h.")


class GameConfig(CraftConfig):
    """The recipe's `game:` section; the tools of the craft are those of `CraftConfig`, not for the classic networks."""

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
        description="How often D is shown a pair in another colour, with another envelope, with a gap.",
    )
    growth: GrowthConfig | None = Field(
        default=None, description="Let the residual networks grow stage by stage; null for full size from the start."
    )
    timbre: TimbreConfig = Field(default=TimbreConfig(), description="Terms of the timbre encoder.")
    classic: ClassicGameConfig = Field(default=ClassicGameConfig(), description="Game of the classic networks.")

    @model_validator(mode="before")
    @classmethod
    def _pin(cls, game: Any) -> Any:
        return pinned(game)

    @model_validator(mode="after")
    def _check(self) -> "GameConfig":
        if self.growth is not None and self.projected is not None:
            raise RecipeError("`projected` in game with growth: the frozen network hears whole notes; expected neither")
        if self.growth is not None and (self.penalty_impl == "func" or self.replay):
            told = "penalty_impl func" if self.penalty_impl == "func" else "replay"
            raise RecipeError(f"`{told}` in game with growth, where stages to come are others; expected neither")
        return self


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


def default_objective(network: ResidualConfig | StyleConfig) -> Objective:
    """Return the loss of a network whose recipe names none."""
    return "nonsaturating" if isinstance(network, StyleConfig) else "rpgan"


def default_gamma(plan: Plan) -> Schedule:
    """Return the weight of R1 and of R2 for a plan: 10 for harmonic planes; 1, 10, 50 for 8, 64, 256 thousand cells."""
    start = 10.0 if plan.head else 10.0 * (plan.n_values / 65536) ** 1.13
    return Schedule(start=start, end=0.1 * start, shape="cosine")


class Pair(NamedTuple):
    """A batch of pairs, all tensors by row.

    Args:
        contest: Normalised planes, real and fake, and what D is told: pitch, velocity, h of another note, `kept`.
        pitch: `(batch,)` MIDI.
        h: `(batch, timbre)` that the fake was made with, where `kept`.
        own: `(batch, timbre)` of the real note.
        other: `(batch, timbre)` of another note of its instrument.
        kept: `(batch,)`, 1 where the fake has a timbre of its real note's instrument and D is told.
    """

    contest: Contest
    pitch: Tensor
    h: Tensor
    own: Tensor
    other: Tensor
    kept: Tensor

    @property
    def real(self) -> Tensor:
        """Normalised planes `(batch, plane, row, frame)`."""
        return self.contest.real

    @property
    def fake(self) -> Tensor:
        """Normalised planes at the same pitch and velocity."""
        return self.contest.fake


class _Judging(nn.Module):
    """D as the game calls it: normalised planes and what it is told → `Judged`."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, planes: Tensor, *told: Any) -> Judged:
        return self.discriminator.judge(planes, *told)


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
        self.draw = Compilable("generator", generator.draw, generator)
        self.embed = Compilable("encoder", encoder.embed, encoder)  # of whole batches
        self.style = isinstance(network, StyleConfig)
        judging = _Judging(judge)
        self.duel = Duel(
            game,
            judging,
            objective=default_objective(network),
            interval=STYLE_INTERVAL if self.style else 1,
            transforms=transforms_of(generator.sheet, kind),
            n_draws=N_DRAWS,
            look=lambda planes, *told: judging(planes, *told).features,
            alike=True,
        )
        self.n_examples = 1  # of the last global batch, by which style weighs R1

    def schedules(self, n_examples: int) -> tuple[Schedule, Schedule]:
        """Return the gammas of R1 and R2 for a global batch of so many examples."""
        by_size = Schedule(start=STYLE_GAMMA * self.plan.n_values / n_examples)
        first = self.game.r1 or (by_size if self.style else default_gamma(self.plan))
        return first, self.game.r2 or (Schedule(start=0.0) if self.style else first)

    def watch(self, moment: Moment) -> dict[str, float]:
        """Return the gamma of R1, whether or not a penalty is due."""
        gamma = self.schedules(self.n_examples)[0].at(moment.span_share)
        grown = {} if self.game.growth is None else {"progress": self.progress(moment)[0]}
        return {"gamma": gamma} | grown | self.duel.watch(gamma)

    def progress(self, moment: Moment) -> tuple[float, ...]:
        """Return how far the networks have grown, nothing where they do not grow."""
        growth = self.game.growth
        return () if growth is None else (growth.progress(moment.share, len(self.generate.stages)),)

    def pair(self, batch: Batch, moment: Moment) -> Pair:
        """Return real notes and fakes that share their pitch and velocity."""
        pitch, velocity = midi_pitch(batch["f0"]), batch["velocity"]
        real = self.generate.sheet.enter(batch["planes"], pitch)
        there = self.generate.sheet.enter(batch["partner_planes"], batch["partner_pitch"])
        both = self.embed(torch.cat([real, there]), torch.cat([pitch, batch["partner_pitch"]]))
        own, other = both.chunk(2)
        h, kept, given = self.timbres(own, other, moment, batch.get("has_partner"))
        z = moment.normal("z", len(real), self.generate.z_dim).to(real, non_blocking=True)
        grown = self.progress(moment)
        fake = self.draw(z, h, pitch, velocity, given, *grown)
        told = (pitch, velocity, other.detach(), kept, *grown)
        return Pair(Contest(real, fake, told), pitch, h, own, other, kept)

    def timbres(
        self, own: Tensor, other: Tensor, moment: Moment, has_partner: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return h for G, where it is of the real note's instrument, and where it is not the null; `(batch, ...)`.

        A note without another of its instrument (`has_partner` 0) never keeps its h: D would be told that very note's.
        """
        config = self.game.timbre
        draws = moment.uniform("timbre", len(own), 4).to(own, non_blocking=True)
        kept = (draws[:, 0] >= config.dropout).to(own)
        kept = kept if has_partner is None else kept * has_partner.to(kept)
        h = torch.where(draws[:, 1:2] < 0.5, own, other)
        every = config.interpolation_interval
        between = every > 0 and moment.step % every == 0
        if between:
            free = torch.lerp(h, h.roll(1, dims=0), draws[:, 2:3])
        elif config.free != "null":
            free = self.encoder.mixture.sample(draws[:, 3], moment.normal("mixture", *own.shape))
        else:
            return h, kept, kept
        has_null = (draws[:, 2] < 0.5).to(kept) if config.free == "both" and not between else torch.zeros_like(kept)
        return torch.where(kept.unsqueeze(1) > 0.5, h, free), kept, torch.maximum(kept, 1 - has_null)

    def discriminator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """D's loss, its gradient penalties and the key of reals."""
        with torch.no_grad():
            pair = self.pair(batch, moment)
        self.n_examples = len(pair.real) * moment.world
        terms, on_real = self.duel.discriminator(pair.contest, moment, *self.schedules(self.n_examples))
        if self.game.discriminator_pitch:
            key = pitch_loss(on_real.pitch, pair.pitch, self.plan.pitches[0])
            terms["pitch"] = self.game.discriminator_pitch * key
        return terms

    def generator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """The loss of G and encoder."""
        pair = self.pair(batch, moment)
        terms, on_real, on_fake = self.duel.generator(pair.contest, moment, wants_real=True)
        assert on_real is not None
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
        if not len(rows):  # the same terms in the same order in every process, whatever its part of the batch
            wanted = [name for name in LIKENESS if getattr(config, name)]
            if not (config.reconstruction and self.plan.head) and "offsets" in wanted:
                wanted.remove("offsets")
            return {name: pair.fake.new_zeros(()) for name in wanted}
        terms = {}
        if config.reconstruction:
            first = int(self.plan.head)  # a head holds phases, which no two notes share
            sheet, pitch = self.generate.sheet, pair.pitch[rows]
            fake, real = sheet.heard(pair.fake[rows], pitch), sheet.heard(pair.real[rows], pitch)
            distance = (fake - real)[..., first:].abs()
            n_cells = sheet.mask(pitch).sum() * distance.shape[-1]
            terms["reconstruction"] = config.reconstruction * distance.sum() / n_cells
            if config.offsets and first:
                apart = (fake - real)[:, 0, :, 0].abs().sum() / sheet.mask(pitch)[:, 0].sum()
                terms["offsets"] = config.offsets * apart
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


def blocks_of(judge: Discriminator) -> list[list[nn.Module]]:
    """Return the modules of D from its input on: the first layers, then stage by stage, then what judges."""
    trunk, stages = judge.trunk, list(judge.trunk.blocks)
    first = [judge.given, judge.enter, trunk.stem, stages[0]]
    inner = [[widen, stage] for widen, stage in zip(trunk.widen, stages[1:], strict=True)]
    heads = [judge.conditions, judge.dense, judge.spread, judge.logit, judge.compare, judge.pitch]
    return [first, *inner, [head for head in (judge.head, *heads) if head is not None]]


def phases(modules: Mapping[str, nn.Module], config: Config, game: GameConfig, optimizers: OptimizersConfig) -> Game:
    """State who moves when: D, then G together with the encoder, once each per step unless D moves more often.

    Args:
        modules: What `networks.build` made of `config`.
        config: Representation and network.
        game: Losses, penalties, timbre.
        optimizers: One per player.

    Raises:
        RecipeError: A tool does not go with the network.
    """
    network = config.network
    if isinstance(network, ClassicConfig):
        if game.projected is not None:
            raise RecipeError("game.projected with a classic network, whose D has blocks to grow; expected residual")
        named = [*game.named(), *(["growth"] if game.growth is not None else [])]
        if named:
            name = named[0]
            raise RecipeError(f"game.{name} with a classic network; expected game.classic.{name}")
        return classic_game(modules, game.classic, optimizers.generator, optimizers.discriminator)
    if game.replay and (game.objective or default_objective(network)) in RELATIVISTIC:
        raise RecipeError("game.replay with objective rpgan, whose pairs share a pitch; expected another objective")
    if game.growth is not None and isinstance(network, StyleConfig):
        raise RecipeError("game.growth with network.variant style, which has no branches to fade in; expected residual")
    judge = modules["discriminator"]
    assert isinstance(judge, Discriminator)
    if game.projected is not None:
        judge.look_through(looking(game.projected, config, judge.plan, network.timbre_dim))
    ready(game, judge, [] if game.projected is not None else blocks_of(judge))
    terms = _Terms(modules, network, game, config.representation.kind)
    usual = default_optimizer(network)
    judges = ["discriminator"] if game.projected is None else []  # heads without their network are no use to others
    return Game(
        phases=(
            terms.duel.phase(terms.discriminator, optimizers.discriminator or usual),
            Phase("generator", ("generator", "encoder"), terms.generator, optimizers.generator or usual),
        ),
        extras=terms.duel.extras(),
        averaged=dict.fromkeys(["generator", "encoder", *judges], 0.0),
        watch=terms.watch,
        compilable=(terms.draw, terms.embed, *terms.duel.compilable()),
    )
