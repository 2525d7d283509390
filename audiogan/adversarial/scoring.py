"""Watch whether a run still gets better: the best checkpoint, patience, collapse, and a discriminator that memorises.

What is measured comes from a pipeline as two functions; here the numbers are only compared. Scores are of averaged
modules with the same z every time, so that they differ by what was learnt. Overfitting is r_v of arXiv 2006.06676,
equation 1: how far held-out items have moved from the training items towards the fakes, in the eyes of the
discriminator. The best is the latest checkpoint within one standard error of the lowest distance (in spirit the rule
of Breiman et al. 1984, section 3.4.3): where the metric cannot tell two apart, the one that has learnt longer is kept.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from audiogan.adversarial.monitor import is_due
from audiogan.adversarial.schedule import Share

DISTANCE, ERROR, VARIETY, OVERFITTING = "distance", "error", "variety", "overfitting"
FIGURES = (DISTANCE, ERROR, VARIETY, OVERFITTING, f"{OVERFITTING}_error")
IN_A_ROW = 2
Modules = Mapping[str, nn.Module]


class ScoreConfig(BaseModel):
    """When to look at what has been learnt, and what follows from it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: float | None = Field(
        default=0.05, gt=0.0, le=1.0, description="Share of the budget between two scores; null for no scores."
    )
    least_steps: int = Field(default=100, ge=1, description="Steps between two scores at least, in a short run.")
    count: int = Field(default=64, ge=8, description="Items to make and held-out items to compare with, at most.")
    patience: float | None = Field(
        default=None, gt=0.0, le=1.0, description="Share of the budget without a better score that ends the run."
    )
    patience_from: Share = Field(default=0.3, description="Share of the budget before which patience never ends.")
    collapse: float = Field(
        default=0.25, ge=0.0, lt=1.0, description="Variety of fakes against reals below which they have collapsed."
    )
    on_collapse: Literal["warn", "stop"] = Field(default="warn", description="What follows from a collapse.")
    overfitting: float = Field(
        default=0.5, gt=0.0, description="Overfitting above which the discriminator is said to memorise; 1 is full."
    )


@dataclass(frozen=True)
class Scoring:
    """What a pipeline measures while its networks train. Both functions depend on their arguments alone.

    Args:
        score: From averaged modules and a seed to numbers: `distance` (lower is better), perhaps its standard `error`,
            perhaps `variety` (mean distance between two fakes over that between two reals), and others to record.
        probe: From live modules and a seed to the logits of the discriminator, `(n,)` each: `train`, `valid`, `fake`.
            What belongs together (clips of one song) is one value, the mean, or the noise would be underestimated.
    """

    score: Callable[[Modules, int], Mapping[str, float]]
    probe: Callable[[Modules, int], Mapping[str, Tensor]] | None = None


def overfitting(logits: Mapping[str, Tensor]) -> dict[str, float]:
    """Return mean logits, and how much the discriminator memorises: 0 not at all, 1 knows held-out items for fakes.

    Args:
        logits: `train`, `valid` and `fake`, `(n,)` each, high for real.

    Returns:
        `train`, `valid` and `fake`, and `overfitting` unless training items and fakes look alike; its standard error
        `overfitting_error` needs two training and two held-out values.

    Example:
        >>> import torch
        >>> overfitting({"train": torch.tensor([3.0, 3.0]), "valid": torch.tensor([1.0, 1.0]),
        ...              "fake": torch.tensor([-1.0, -1.0])})["overfitting"]
        0.5
    """
    values = {name: logits[name].detach().flatten().double().cpu() for name in ("train", "valid", "fake")}
    train, valid, fake = (float(value.mean()) for value in values.values())
    figures = {"train": train, "valid": valid, "fake": fake}
    if train > fake:
        figures[OVERFITTING] = (train - valid) / (train - fake)
        known = [values[name] for name in ("train", "valid") if len(values[name]) > 1]
        if len(known) == 2:
            noise = sum(float(value.var()) / len(value) for value in known)
            figures[f"{OVERFITTING}_error"] = noise**0.5 / (train - fake)
    return figures


@dataclass(frozen=True)
class Verdict:
    """What one scoring says.

    Args:
        improved: Whether this is to be kept as the best.
        news: Alarms that go off now, as sentences.
        end: `plateau` or `collapsed` where training should end here, else empty.
    """

    improved: bool = False
    news: tuple[str, ...] = ()
    end: str = ""


class Standing:
    """All scores of a run so far, in a few numbers that every checkpoint holds.

    Args:
        config: Intervals and limits.
        begin: Share of the budget before which there is nothing to score.
        n_steps: Steps in the budget.
    """

    def __init__(self, config: ScoreConfig, begin: float, n_steps: int) -> None:
        self.config = config
        self.begin = begin
        self.n_steps = n_steps
        self.interval = min(1.0, max(config.every or 1.0, config.least_steps / n_steps))
        self.best_step: int | None = None
        self.best_distance = 0.0
        self.lowest: float | None = None
        self.mark: float | None = None  # of the last clear progress
        self.last_step = 0
        self.n_worse = 0
        self.n_collapsed = 0
        self.n_overfitting = 0
        self.has_varied = False
        self._before: tuple[int | None, float, float | None] = (None, 0.0, None)

    def due(self, done: int) -> bool:
        """Return whether to score after so many steps.

        Args:
            done: Steps done, 1 or more.
        """
        late = done == self.n_steps or done / self.n_steps > self.begin
        return self.config.every is not None and late and is_due(done, self.n_steps, self.interval)

    def take(self, done: int, figures: Mapping[str, float]) -> Verdict:
        """Take the figures of one scoring; what is missing counts neither for nor against.

        Args:
            done: Steps done.
            figures: Finite numbers by the names in `FIGURES`.
        """
        self.last_step = done
        improved = self._compare(done, figures)
        news = [*self._collapse(done, figures), *self._memory(figures)]
        if self.has_settled:
            news.append(f"no better score for {self.n_worse} scores; training ends")
        end = "collapsed" if self.has_collapsed and self.config.on_collapse == "stop" else ""
        return Verdict(improved, tuple(news), end or ("plateau" if self.has_settled else ""))

    @property
    def has_settled(self) -> bool:
        """Whether nothing better had come, at the last scoring, for as long as patience lasts."""
        patience = self.config.patience
        late = self.last_step / self.n_steps >= self.config.patience_from
        return patience is not None and late and self.n_worse * self.interval >= patience - 1e-9

    @property
    def has_collapsed(self) -> bool:
        """Whether the fakes have been too much alike twice running."""
        return self.n_collapsed >= IN_A_ROW

    @property
    def warnings(self) -> tuple[str, ...]:
        """The alarms that are on."""
        memorises = self.n_overfitting >= IN_A_ROW
        return (*(("collapsed",) if self.has_collapsed else ()), *(("overfitting",) if memorises else ()))

    def revoke(self, done: int) -> None:
        """Take the best back that could not be saved; the one before is best again.

        Args:
            done: The step at which saving failed.
        """
        if self.best_step == done:
            self.best_step, self.best_distance, self.lowest = self._before

    def state(self) -> dict[str, Any]:
        """Return plain numbers."""
        own = (
            "best_step",
            "best_distance",
            "lowest",
            "mark",
            "last_step",
            "n_worse",
            "n_collapsed",
            "n_overfitting",
            "has_varied",
        )
        return {name: getattr(self, name) for name in own}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned; a run of an earlier version has none and begins anew.

        Args:
            state: Perhaps empty.
        """
        self.best_step = None if state.get("best_step") is None else int(state["best_step"])
        self.best_distance = float(state.get("best_distance", 0.0))
        self.lowest, self.mark = (None if state.get(key) is None else float(state[key]) for key in ("lowest", "mark"))
        self.last_step = int(state.get("last_step", 0))
        self.n_worse = int(state.get("n_worse", 0))
        self.n_collapsed = int(state.get("n_collapsed", 0))
        self.n_overfitting = int(state.get("n_overfitting", 0))
        self.has_varied = bool(state.get("has_varied", False))

    def _compare(self, done: int, figures: Mapping[str, float]) -> bool:
        """Whether this is to be kept, which fakes that are all alike never are; clear progress gives new patience."""
        if DISTANCE not in figures:
            return False
        distance, error = figures[DISTANCE], figures.get(ERROR, 0.0)
        self.n_worse += 1
        if self._is_alike(figures):
            return False
        before = (self.best_step, self.best_distance, self.lowest)
        self.lowest = distance if self.lowest is None else min(self.lowest, distance)
        if self.mark is None or distance < self.mark - error:
            self.mark, self.n_worse = distance, 0
        if distance > self.lowest + error:
            return False
        self._before = before
        self.best_step, self.best_distance = done, distance
        return True

    def _is_alike(self, figures: Mapping[str, float]) -> bool:
        return figures.get(VARIETY, math.inf) < self.config.collapse

    def _collapse(self, done: int, figures: Mapping[str, float]) -> list[str]:
        """Networks begin with fakes that are all alike; that is no collapse until late in the run."""
        if VARIETY not in figures:
            return []
        alike = self._is_alike(figures)
        self.has_varied = self.has_varied or not alike
        counts = alike and (self.has_varied or done / self.n_steps >= self.config.patience_from)
        self.n_collapsed = self.n_collapsed + 1 if counts else 0
        if self.n_collapsed != IN_A_ROW:
            return []
        return [f"mode collapse: fakes vary {figures[VARIETY]:.2f} times as much as reals; the best checkpoint is kept"]

    def _memory(self, figures: Mapping[str, float]) -> list[str]:
        if OVERFITTING not in figures:
            return []
        found, error = figures[OVERFITTING], figures.get(f"{OVERFITTING}_error", math.inf)
        clear = found > self.config.overfitting and found > 2 * error
        self.n_overfitting = self.n_overfitting + 1 if clear else 0
        if self.n_overfitting != IN_A_ROW:
            return []
        return [f"the discriminator memorises: overfitting {found:.2f} (0 none, 1 full); augment more or train less"]
