"""The training game of the multitrack pipeline: first codes that hold a clip, then a generator of such codes.

Over the first share of the budget encoder and decoder move, so that codes hold what a cell plays. From then on they
stand still, and generator and discriminator play for the codes of hidden cells: relativistic pairs with R1 and R2
(arXiv 2501.05441), where the real and the fake clip of a pair share mask and known cells, so that D judges the
filling and not the difference between songs. Over the last share D judges codes of what would be written: the fake is
decoded, made binary with a straight-through gradient (arXiv 1308.3432) and encoded again. A second, small
discriminator hears harmony alone (see `harmony`), by R1 and R2 whatever tools the first one has. The classic
networks bring their own game.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from audiogan.adversarial.augment import AugmentConfig
from audiogan.adversarial.compiling import Compilable
from audiogan.adversarial.craft import CraftConfig
from audiogan.adversarial.duel import Contest, Duel, activations, ready
from audiogan.adversarial.game import Batch, Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.objective import RELATIVISTIC, Objective, discriminator_loss, generator_loss
from audiogan.adversarial.penalty import r1_r2
from audiogan.adversarial.schedule import Schedule, Share
from audiogan.errors import RecipeError
from audiogan.pipelines.multitrack.augment import CODE_TRANSFORMS, CellAugmentConfig, augment_cells
from audiogan.pipelines.multitrack.binary import bernoulli, straight_through
from audiogan.pipelines.multitrack.classic_game import ClassicGameConfig, classic_game
from audiogan.pipelines.multitrack.config import CellsConfig, Config
from audiogan.pipelines.multitrack.harmony import N_CLASSES, chroma_of, tonal_distances, turned
from audiogan.pipelines.multitrack.masking import MaskConfig, SightConfig, draw_masks, draw_sight
from audiogan.pipelines.multitrack.networks import Decoder, Discriminator, Encoder, Generator

ONSET, SUSTAIN = 0, 1
EXPRESSION_WEIGHT = 20.0


class GameConfig(CraftConfig):
    """The recipe's `game:` section; the tools of the craft are those of `CraftConfig`, not for the classic networks."""

    autoencoder_share: float = Field(default=0.5, ge=0, lt=1, description="Share of the budget for the autoencoder.")
    written_from: Share = Field(default=1.0, description="Share from which D judges what is written; 1 for never.")
    neuron_slope: Schedule = Field(
        default=Schedule(start=1.0), description="Slope of the straight-through gradient over the generator's span."
    )
    stochastic: bool = Field(default=False, description="Draw written cells by their probability.")
    code_noise: float = Field(
        default=0.15, ge=0, description="Standard deviation added to codes, so that near codes sound alike."
    )
    onset_weight: float = Field(default=4.0, gt=0, description="Weight of a missed onset against one too many.")
    sustain_weight: float = Field(default=0.15, ge=0, description="Weight of the sustain plane, which has more cells.")
    cells: CellAugmentConfig = Field(default=CellAugmentConfig(), description="Changed cells for encoder and decoder.")
    objective: Objective | None = Field(default="rpgan", description="Loss of generator and discriminators.")
    gamma: Schedule = Field(default=Schedule(start=1.0), description="Weight of R1 and of R2, unless they have theirs.")
    penalty_interval: int | None = Field(
        default=1, ge=1, description="Steps between penalties; the weight grows to match."
    )
    augment: AugmentConfig = Field(
        default=AugmentConfig(), description="How often D is shown a pair with turned codes or without some cells."
    )
    harmony: float = Field(default=1.0, ge=0, description="Weight in G's loss of the discriminator of harmony.")
    harmony_gamma: Schedule = Field(default=Schedule(start=0.001), description="Weight of its R1 and R2.")
    tonal: float = Field(default=0.0, ge=0, description="Weight in G's loss of matching how far apart tracks sound.")
    masks: MaskConfig = Field(default=MaskConfig(), description="How often each job is practised.")
    sight: SightConfig = Field(default=SightConfig(), description="How much of a clip D is shown.")
    classic: ClassicGameConfig = Field(default=ClassicGameConfig(), description="Game of the classic networks.")

    @model_validator(mode="after")
    def _check(self) -> "GameConfig":
        if self.projected is not None:
            told = "whose D judges codes, features of the run's own encoder, which stands still already"
            raise RecipeError(f"`projected` in game of multitrack, {told}; expected null")
        if self.tonal and not self.harmony:
            raise ValueError("tonal distances are heard by the discriminator of harmony; expected harmony above 0")
        if self.auto_gamma is not None and self.gammas[0].start <= 0.0:
            raise ValueError(f"auto_gamma with gamma {self.gamma.start}; expected one above 0 to begin with")
        return self

    @property
    def gammas(self) -> tuple[Schedule, Schedule]:
        """Weights of R1 and of R2."""
        return self.r1 or self.gamma, self.r2 or self.gamma


class OptimizersConfig(BaseModel):
    """The recipe's `optimizer:` section."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    autoencoder: OptimizerConfig = Field(
        default=OptimizerConfig(lr=Schedule(start=2e-3, end=1e-4, shape="cosine", warm_up=0.02), betas=(0.9, 0.99)),
        description="Encoder and decoder.",
    )
    generator: OptimizerConfig = Field(
        default=OptimizerConfig(lr=Schedule(start=3e-4, end=3e-5, shape="cosine", warm_up=0.02)),
        description="Of G.",
    )
    discriminator: OptimizerConfig = Field(
        default=OptimizerConfig(lr=Schedule(start=3e-4, end=3e-5, shape="cosine", warm_up=0.02)),
        description="Of D.",
    )


class _Judging(nn.Module):
    """D as the game calls it: codes and a mask, -1 where D is not to look → logits."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, codes: Tensor, marked: Tensor) -> Tensor:
        return self.discriminator(codes * (marked >= 0).unsqueeze(-1), marked)


class _Terms:
    """The loss terms of all three players."""

    def __init__(self, modules: Mapping[str, nn.Module], config: Config, game: GameConfig) -> None:
        encoder, decoder, generator = (modules[name] for name in ("encoder", "decoder", "generator"))
        assert isinstance(encoder, Encoder)
        assert isinstance(decoder, Decoder)
        assert isinstance(generator, Generator)
        self.encoder, self.decoder, self.generate = encoder, decoder, generator
        self.fill = Compilable("generator", generator, generator)
        judge = modules["discriminator"]
        judging = _Judging(judge)
        inner = [module for block in blocks_of(judge)[:-1] for module in block] if game.feature_matching else []
        self.duel = Duel(
            game,
            judging,
            transforms=CODE_TRANSFORMS,
            look=lambda *shown: activations(inner, judging, *shown),
            alike=True,
        )
        self.listener = modules.get("harmony")
        self.lowest_pitch = config.lowest_pitch
        self.game = game

    # ---- autoencoder

    def autoencoder(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """How badly codes hold clips, per cell: missed and false onsets and sustains, velocity, timing."""
        targets, plain = self.changed(self.encoder.layout.split(batch["roll"]), moment)
        codes = self.noisy(self.encoder.of_kinds(targets), moment, "code-noise")
        logits, velocity, timing = self.decoder.by_kind(codes)
        n_cells = codes.shape[0] * codes.shape[1] * codes.shape[2]
        terms = {}
        weight = torch.tensor(self.game.onset_weight, device=codes.device)
        for kind, part in logits.items():
            target = targets[kind]
            terms[f"{kind}_onset"] = _surprise(part[:, ONSET], target[:, ONSET], weight) / n_cells
            if kind != "drums":  # a hit has no length
                sustain = _surprise(part[:, SUSTAIN], target[:, SUSTAIN]) / n_cells
                terms[f"{kind}_sustain"] = self.game.sustain_weight * sustain
        struck = batch["roll"][:, ONSET].amax(dim=-1) * plain.unsqueeze(-1)  # (batch, track, bar, timestep)
        for name, made in (("velocity", velocity), ("timing", timing)):
            terms[name] = EXPRESSION_WEIGHT * ((made - batch[name]).square() * struck).sum() / n_cells
        return terms

    def changed(self, parts: Mapping[str, Tensor], moment: Moment) -> tuple[dict[str, Tensor], Tensor]:
        """Change some cells of each kind; also `(batch, track, bar)`, 1 where a cell is as it was."""
        generator = moment.generator(f"cells-{moment.rank}")
        made, plain = {}, {}
        for kind, part in parts.items():
            cells = part.permute(0, 2, 3, 1, 4, 5)  # (batch, track, bar, plane, timestep, row)
            flat, moved = augment_cells(cells.flatten(0, 2), self.game.cells, generator)
            made[kind] = flat.view(cells.shape).permute(0, 3, 1, 2, 4, 5).to(torch.float32)
            plain[kind] = 1.0 - moved.view(cells.shape[:3]).to(torch.float32)
        return made, self.encoder.layout.join(list(plain.values()), axis=1)

    # ---- generator against discriminator

    def noisy(self, codes: Tensor, moment: Moment, stream: str) -> Tensor:
        """Codes with noise, as the decoder is used to."""
        return codes + self.game.code_noise * moment.normal(stream, *codes.shape).to(codes, non_blocking=True)

    def pair(self, batch: Batch, moment: Moment) -> tuple[Tensor, Tensor, Tensor]:
        """Return real codes, fake codes that share their known cells, and the mask, `(batch, track, bar)`."""
        with torch.no_grad():
            real = self.noisy(self.encoder(batch["roll"]), moment, "code-noise")
        n_clips, n_tracks, n_bars, _ = real.shape
        masks = draw_masks(n_clips * moment.world, n_tracks, n_bars, self.game.masks, moment.generator("mask"))
        mask = masks[moment.rank :: moment.world].to(real.device)
        z = moment.normal("z", n_clips, self.generate.z_dim).to(real.device, non_blocking=True)
        fake = self.fill(z, real, mask)
        if moment.share >= self.game.written_from:
            fake = self.written(fake, moment)
        fake = self.noisy(fake, moment, "fake-noise")
        return real, torch.where(mask.unsqueeze(-1) > 0.5, real, fake), mask

    def written(self, codes: Tensor, moment: Moment) -> Tensor:
        """Codes of the binary roll that `codes` would be written as; the gradient passes straight through."""
        logits, _, _ = self.decoder.by_kind(codes)
        slope = self.game.neuron_slope.at(moment.span_share)
        cells = {}
        for kind, part in logits.items():
            if self.game.stochastic:
                cells[kind] = bernoulli(part, slope, moment.generator(f"neurons-{kind}-{moment.rank}"))
            else:
                cells[kind] = straight_through(part, slope)
        if "drums" in cells:
            onset = cells["drums"][:, :1]
            cells["drums"] = torch.cat([onset, torch.zeros_like(onset)], dim=1)
        return self.encoder.of_kinds(cells)

    def contest(self, batch: Batch, moment: Moment) -> tuple[Contest, Tensor]:
        """Return pairs with what D may see of them, the same cells of both, and the mask.

        D is told `(batch, track, bar)`: 1 known, 0 filled in, -1 out of sight.
        """
        real, fake, mask = self.pair(batch, moment)
        n_clips, n_tracks, n_bars = mask.shape
        drawn = draw_sight(n_clips * moment.world, n_tracks, n_bars, self.game.sight, moment.generator("sight"))
        shown = drawn[moment.rank :: moment.world].to(mask.device)
        return Contest(real, fake, (torch.where(shown, mask, -1.0),)), mask

    def discriminator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """D's loss and its gradient penalties."""
        with torch.no_grad():
            contest, _ = self.contest(batch, moment)
        return self.duel.discriminator(contest, moment, *self.game.gammas)[0]

    def generator(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """G's loss."""
        contest, mask = self.contest(batch, moment)
        terms, _, _ = self.duel.generator(contest, moment)
        if self.hears:
            terms |= self.agreement(contest.real, contest.fake, mask, moment)
        return terms

    def watch(self, moment: Moment) -> dict[str, float]:
        """Return what changes by itself."""
        return self.duel.watch(self.game.gammas[0].at(moment.span_share))

    # ---- harmony

    @property
    def hears(self) -> bool:
        """Whether harmony is judged by a discriminator of its own."""
        return self.listener is not None and self.game.harmony > 0

    def chroma(self, codes: Tensor) -> Tensor:
        """Chroma of what codes stand for, as `harmony.chroma_of`."""
        return chroma_of(self.decoder, codes, self.lowest_pitch)

    def heard(self, mask: Tensor, moment: Moment) -> Callable[[Tensor], Tensor]:
        """Return it as a function of chroma, with some tracks of a pair unheard and all of it transposed."""
        assert self.listener is not None
        listener = self.listener
        pitched = mask[:, self.decoder.layout.kinds["pitched"][0]]
        n_clips, n_tracks, n_bars = pitched.shape
        drawn = draw_sight(n_clips * moment.world, n_tracks, n_bars, self.game.sight, moment.generator("hearing"))
        shown = drawn[moment.rank :: moment.world].to(mask.device)
        by = torch.randint(N_CLASSES, (n_clips * moment.world,), generator=moment.generator("turn"))
        by = by[moment.rank :: moment.world].to(mask.device)
        marked = torch.where(shown, pitched, -1.0)

        def judge(chroma: Tensor) -> Tensor:
            visible = shown.repeat_interleave(chroma.shape[2] // n_bars, dim=2).unsqueeze(-1)
            return listener(turned(chroma, by) * visible, marked)

        return judge

    def agreement(self, real: Tensor, fake: Tensor, mask: Tensor, moment: Moment) -> dict[str, Tensor]:
        """G's loss by what is heard: the verdict on its harmony, and tracks as far apart as in real clips."""
        listen = self.heard(mask, moment)
        with torch.no_grad():
            chroma = self.chroma(real)
            real_logits = listen(chroma)
        made = self.chroma(fake)
        verdict = generator_loss(self.duel.objective, real_logits, listen(made))
        terms = {"harmony": self.game.harmony * verdict}
        if self.game.tonal:
            difference = tonal_distances(made) - tonal_distances(chroma)
            terms["tonal"] = self.game.tonal * difference.square().sum()
        return terms

    def harmony(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """The loss of the discriminator of harmony, and its gradient penalties."""
        with torch.no_grad():
            real, fake, mask = self.pair(batch, moment)
            chroma = self.chroma(real), self.chroma(fake)
        gamma = self.game.harmony_gamma.at(moment.span_share)
        listen = self.heard(mask, moment)
        real_logits, fake_logits, terms = r1_r2(listen, listen, *chroma, gamma, gamma)
        terms["adversarial"] = discriminator_loss(self.duel.objective, real_logits, fake_logits)
        terms["pair_sign"] = (real_logits.detach() - fake_logits.detach()).sign().mean()
        return terms


def _surprise(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Summed binary cross-entropy."""
    return F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="sum")


def blocks_of(judge: nn.Module) -> list[list[nn.Module]]:
    """Return the modules of D from its input on."""
    assert isinstance(judge, Discriminator)
    return [[judge.enter], *([block] for block in judge.blocks), [judge.out]]


def phases(modules: Mapping[str, nn.Module], config: Config, game: GameConfig, optimizers: OptimizersConfig) -> Game:
    """State who moves when.

    Args:
        modules: What `networks.build` made of `config`.
        config: Grid, tracks and network.
        game: Losses, penalties, jobs.
        optimizers: One per player; the classic networks take theirs from `game.classic`.

    Raises:
        RecipeError: A tool does not go with the network.
    """
    if not isinstance(config.network, CellsConfig):
        if game.named():
            name = game.named()[0]
            raise RecipeError(f"game.{name} with a classic network; expected game.classic.{name}")
        return classic_game(modules, config.network, game.classic)
    if game.replay and game.objective in (None, *RELATIVISTIC):
        raise RecipeError("game.replay with objective rpgan, whose pairs share cells; expected another objective")
    ready(game, modules["discriminator"], blocks_of(modules["discriminator"]))
    terms = _Terms(modules, config, game)
    begin = game.autoencoder_share
    learn_codes = Phase(
        "autoencoder", ("encoder", "decoder"), terms.autoencoder, optimizers.autoencoder, span=(0.0, begin or 1.0)
    )
    hear = Phase("harmony", ("harmony",), terms.harmony, optimizers.discriminator, span=(begin, 1.0))
    play = (
        terms.duel.phase(terms.discriminator, optimizers.discriminator, span=(begin, 1.0)),
        *((hear,) if terms.hears else ()),
        Phase("generator", ("generator",), terms.generator, optimizers.generator, span=(begin, 1.0)),
    )
    averaged = {"encoder": 0.0, "decoder": 0.0, "generator": begin, "discriminator": begin}
    return Game(
        phases=(learn_codes, *play) if begin else play,  # no share: the codes come with the weights begun from
        extras=terms.duel.extras(),
        averaged=averaged | ({"harmony": begin} if terms.hears else {}),
        watch=terms.watch,
        compilable=(terms.fill, *terms.duel.compilable()),
    )
