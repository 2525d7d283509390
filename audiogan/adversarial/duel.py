"""Play one generator against one discriminator with the tools of the craft: the terms of both, for any kind of example.

A game says who meets whom (a `Contest`) and how D is called; here the losses, penalties, noise, augmentation, past
fakes and steps ahead of `CraftConfig` are put together. D is called with an example and its conditions and returns
logits, or a named tuple of tensors with `logits`. What has memory is an extra of the game, saved in every checkpoint.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audiogan.adversarial.adaptive import Adaptive
from audiogan.adversarial.augment import Augment, Transform
from audiogan.adversarial.autogamma import AutoGamma
from audiogan.adversarial.compiling import Compilable
from audiogan.adversarial.craft import CraftConfig
from audiogan.adversarial.freeze import freeze_first
from audiogan.adversarial.game import Moment, OptimizerConfig, Phase, Stateful, Terms
from audiogan.adversarial.noise import add_noise
from audiogan.adversarial.objective import (
    RELATIVISTIC,
    Objective,
    discriminator_loss,
    feature_matching,
    generator_loss,
    wgan_drift,
)
from audiogan.adversarial.penalty import clip_weights, dragan, r1_r2, wgan_gp
from audiogan.adversarial.replay import Replay
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.slopes import Side, Slope, TestedSlope, Verdict, approximate_slope, exact_slope, logits_of
from audiogan.adversarial.spectral import Spectral, normalise_spectrally
from audiogan.adversarial.unrolled import unrolled
from audiogan.errors import RecipeError

AugmentCall = Callable[[Tensor, Moment, str], Tensor]
Judge = Callable[..., Verdict]
Look = Callable[..., Sequence[Tensor]]
Mean = Callable[[Tensor], Tensor]


class Contest(NamedTuple):
    """Who meets whom in one move.

    Args:
        real: `(batch, ...)`.
        fake: The same shape; gradients reach G when it is G's move.
        conditions: What D is told besides the example, the same for real and fake of a row: tensors `(batch, ...)`;
            without past fakes also plain numbers.
    """

    real: Tensor
    fake: Tensor
    conditions: tuple[Any, ...] = ()


def process_mean(values: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes of the run, the tensor itself where there is one."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return values
    values = values.clone()
    torch.distributed.all_reduce(values)
    return values / torch.distributed.get_world_size()


class Duel:
    """The terms of D and of G.

    Args:
        config: The tools.
        judge: D, called with an example and its conditions; its parameters are what learns in steps ahead.
        objective: Loss where the config leaves it to the game.
        interval: Steps between penalties where the config leaves them to the game.
        transforms: What D may be shown instead of an example, see `Augment`.
        n_draws: Random numbers per example that a transform gets.
        look: From an example and its conditions to activations of D, `(batch, ...)` each; for feature matching.
        alike: Whether real and fake of a row are changed by the same draws of the augmentation.
        mean: Average of a tensor over processes.
    """

    def __init__(
        self,
        config: CraftConfig,
        judge: nn.Module,
        *,
        objective: Objective = "rpgan",
        interval: int = 1,
        transforms: Sequence[Transform] = (),
        n_draws: int = 4,
        look: Look | None = None,
        alike: bool = False,
        mean: Mean = process_mean,
    ) -> None:
        self.config, self.judge, self.look, self.alike = config, judge, look, alike
        self.objective: Objective = config.objective or objective
        self.interval = config.penalty_interval or interval
        self.learning = {name for name, value in judge.named_parameters() if value.requires_grad}
        wanted, pairs = config.augment, self.objective in RELATIVISTIC
        self.adaptive = None if wanted.adaptive is None else Adaptive(wanted.adaptive, pairs=pairs, mean=mean)
        self.augment: AugmentCall | None = None
        if transforms:
            self.augment = Augment(wanted, transforms, n_draws, self.adaptive)
        self.replay = Replay(config.replay) if config.replay else None
        self.auto_gamma = None if config.auto_gamma is None else AutoGamma(config.auto_gamma, mean=mean)
        self.tested = TestedSlope(judge)
        self.once = Compilable("discriminator", judge, judge)  # D where nothing is differentiated twice

    @property
    def is_relativistic(self) -> bool:
        """Whether the verdict on a fake is compared with that on a real."""
        return self.objective in RELATIVISTIC

    def extras(self) -> dict[str, Stateful]:
        """Return what has memory."""
        found = {"replay": self.replay, "auto_gamma": self.auto_gamma, "adaptive": self.adaptive}
        return {name: extra for name, extra in found.items() if extra is not None}

    def compilable(self) -> tuple[Compilable, ...]:
        """Return what may be compiled."""
        return self.once, self.tested.steep

    def watch(self, gamma: float) -> dict[str, float]:
        """Return what changes by itself.

        Args:
            gamma: The recipe's gamma at reals now.
        """
        found = {}
        if self.auto_gamma is not None:
            found["gamma"] = self.auto_gamma.factor * gamma
        if self.adaptive is not None:
            found["augment"] = float(self.adaptive.probability)
        return found

    def phase(
        self,
        terms: Callable[..., Terms],
        optimizer: OptimizerConfig,
        *,
        span: tuple[float, float] = (0.0, 1.0),
        name: str = "discriminator",
    ) -> Phase:
        """Return the phase of D, called `discriminator` among the modules.

        Args:
            terms: Of D.
            optimizer: Of D.
            span: Shares of the budget in which it moves.
            name: Of the phase.
        """
        limit = self.config.clip
        after = (lambda: clip_weights(self.judge, limit)) if limit else None
        repeats = self.config.discriminator_repeats
        return Phase(name, ("discriminator",), terms, optimizer, repeats=repeats, span=span, after_move=after)

    # ---- what D is shown

    def shown(self, examples: Tensor, moment: Moment, side: str) -> Tensor:
        """Return examples as D is shown them.

        Args:
            examples: `(batch, ...)`.
            moment: Gives the draws.
            side: `real` or `fake`.
        """
        if self.augment is not None:
            examples = self.augment(examples, moment, "pair" if self.alike else side)
        return add_noise(examples, self.config.instance_noise.at(moment.span_share), moment, side)

    def side(self, moment: Moment, side: str, conditions: tuple[Any, ...], judge: Judge | None = None) -> Judge:
        """Return D as the penalties see it: a function of the example before augmentation and noise."""
        return Side(judge or self.judge, lambda examples: self.shown(examples, moment, side), conditions)

    # ---- terms

    def gammas(self, moment: Moment, first: Schedule, second: Schedule) -> tuple[float, float]:
        """Return the weights of R1 and R2 at a moment, 0 when none is due.

        Args:
            moment: When.
            first: The recipe's gamma at reals.
            second: At fakes.
        """
        if moment.step % self.interval:
            return 0.0, 0.0
        factor = self.interval * (1.0 if self.auto_gamma is None else self.auto_gamma.factor)
        return factor * first.at(moment.span_share), factor * second.at(moment.span_share)

    def discriminator(
        self, contest: Contest, moment: Moment, first: Schedule, second: Schedule
    ) -> tuple[dict[str, Tensor], Verdict]:
        """Return the terms of D and its verdict on the reals; `pair_sign` is for the record and moves nothing.

        Args:
            contest: Without gradients.
            moment: When.
            first: The recipe's gamma at reals.
            second: At fakes.
        """
        config, (real, fake, conditions) = self.config, contest
        told = conditions
        if self.replay is not None:
            assert not (conditions and self.is_relativistic), "a past fake has other conditions than its pair"
            fake, *past = self.replay.exchange(fake, moment, *conditions)
            told = tuple(past)
        gammas, slope = self.gammas(moment, first, second), self.slope(moment)
        judge = self.judge if self.is_steep(moment, gammas) else self.once
        judge_real, judge_fake = self.side(moment, "real", conditions, judge), self.side(moment, "fake", told, judge)
        on_real, on_fake, terms = r1_r2(judge_real, judge_fake, real, fake, *gammas, slope)
        real_logits, fake_logits = logits_of(on_real), logits_of(on_fake)
        terms["adversarial"] = discriminator_loss(self.objective, real_logits, fake_logits)
        if config.drift:
            terms["drift"] = wgan_drift(real_logits, config.drift)
        if moment.step % self.interval == 0:
            terms |= self.unit_penalties(judge_real, real, contest.fake, moment, slope or exact_slope)
        terms["pair_sign"] = (real_logits.detach() - fake_logits.detach()).sign().mean()
        self.note(moment, first.at(moment.span_share), terms, real_logits, fake_logits)
        return terms, on_real

    def generator(
        self, contest: Contest, moment: Moment, *, wants_real: bool = False
    ) -> tuple[dict[str, Tensor], Verdict | None, Verdict]:
        """Return the terms of G, and the verdicts on reals (None where nobody asks) and on fakes.

        Args:
            contest: Gradients of fakes reach G.
            moment: When.
            wants_real: Whether the game needs the verdict on reals in any case.
        """
        config, (real, fake, conditions) = self.config, contest
        judge = self.foreseen(contest, moment) if config.unrolled else self.once
        on_real = None
        if wants_real or self.is_relativistic:
            # Only a D that looks ahead lets the gradient of G through its verdict on reals.
            with torch.set_grad_enabled(config.unrolled > 0):
                on_real = self.side(moment, "real", conditions, judge)(real)
        on_fake = self.side(moment, "fake", conditions, judge)(fake)
        real_logits = None if on_real is None else logits_of(on_real)
        terms = {"adversarial": generator_loss(self.objective, real_logits, logits_of(on_fake))}
        if config.feature_matching:
            terms["feature_matching"] = config.feature_matching * self.matching(contest, moment)
        return terms, on_real, on_fake

    def matching(self, contest: Contest, moment: Moment) -> Tensor:
        """Return how far mean activations of D for fakes are from those for reals."""
        assert self.look is not None, "feature matching needs a look inside D"
        with torch.no_grad():
            wanted = self.look(self.shown(contest.real, moment, "real"), *contest.conditions)
        return feature_matching(wanted, self.look(self.shown(contest.fake, moment, "fake"), *contest.conditions))

    def foreseen(self, contest: Contest, moment: Moment) -> Judge:
        """Return D after the steps that it would make on this batch."""

        def loss_of(judge: Judge) -> Tensor:
            verdicts = [
                logits_of(self.side(moment, side, contest.conditions, judge)(examples))
                for side, examples in (("real", contest.real), ("fake", contest.fake))
            ]
            return discriminator_loss(self.objective, *verdicts)

        return unrolled(self.judge, self.learning, loss_of, self.config.unrolled, self.config.unrolled_rate)

    def is_steep(self, moment: Moment, gammas: tuple[float, float]) -> bool:
        """Return whether the slope of D is differentiated at a moment, which a compiled D does not bear."""
        due = moment.step % self.interval == 0 and (self.config.wgan_gp > 0.0 or self.config.dragan > 0.0)
        return self.config.penalty_impl != "approx" and (due or max(gammas) > 0.0)

    def slope(self, moment: Moment) -> Slope | None:
        """Return how slopes are measured; None for the exact way."""
        match self.config.penalty_impl:
            case "exact":
                return None
            case "func":
                return self.tested
            case "approx":

                def estimate(judge: Judge, examples: Tensor) -> tuple[Verdict, Tensor]:
                    draws = moment.normal("slope", *examples.shape)
                    return approximate_slope(judge, examples, draws.to(examples, non_blocking=True))

                return estimate

    def unit_penalties(
        self, judge: Judge, real: Tensor, fake: Tensor, moment: Moment, slope: Slope
    ) -> dict[str, Tensor]:
        """Return the penalties that want slopes of 1."""
        config, terms = self.config, {}
        if config.wgan_gp:
            alpha = moment.uniform("penalty", len(real)).to(real.device, non_blocking=True)
            terms["wgan_gp"] = wgan_gp(judge, real, fake, alpha, config.wgan_gp * self.interval, slope)
        if config.dragan:
            draws = moment.uniform("penalty", *real.shape).to(real.device, non_blocking=True)
            terms["dragan"] = dragan(judge, real, draws, config.dragan * self.interval, slope)
        return terms

    def note(
        self, moment: Moment, gamma: float, terms: Mapping[str, Tensor], real_logits: Tensor, fake_logits: Tensor
    ) -> None:
        """Let what adapts take in the outcome of a move of D."""
        if self.adaptive is not None:
            self.adaptive.note(real_logits, fake_logits, moment.world // moment.portions)
        if self.auto_gamma is not None:
            found = [terms[name].detach() for name in ("r1", "r2") if name in terms]
            penalty = sum(found[1:], found[0]) / self.interval if found else None
            self.auto_gamma.note(moment.step, gamma, terms["adversarial"], penalty, terms["pair_sign"])


# ---- before the game


def ready(config: CraftConfig, discriminator: nn.Module, blocks: Sequence[Sequence[nn.Module]]) -> None:
    """Hold still and normalise what the config says; call before a `Duel` and before the trainer is made.

    Args:
        config: The tools.
        discriminator: D.
        blocks: Its modules from the input on, block by block.

    Raises:
        RecipeError: All blocks would stand still, or D is never twice the same and slopes are to be estimated.
    """
    freeze_first(blocks, config.freeze)
    if config.spectral:
        normalise_spectrally(discriminator)
    if config.penalty_impl == "approx" and not is_steady(discriminator):
        raise RecipeError("`penalty_impl: approx` compares two calls of D, which drops out or moves; expected exact")


def is_steady(module: nn.Module) -> bool:
    """Return whether two calls of a module in training are the same function: no dropout, nothing that moves."""
    layers = list(module.modules())
    drops = any(isinstance(layer, nn.Dropout) and layer.p > 0.0 for layer in layers)
    moves = any(isinstance(layer, Spectral) or getattr(layer, "running_mean", None) is not None for layer in layers)
    return not drops and not moves


def activations(inner: Sequence[nn.Module], judge: Judge, *inputs: Tensor) -> list[Tensor]:
    """Return what some modules of D give when it is called, `(batch, ...)` each, in the order of their calls.

    Args:
        inner: The modules; each returns one tensor.
        judge: D.
        inputs: An example and its conditions.
    """
    seen: list[Tensor] = []

    def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen.append(output)

    handles = [module.register_forward_hook(note) for module in inner]
    try:
        judge(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen
