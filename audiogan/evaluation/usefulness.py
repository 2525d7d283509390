"""Is generated music of use as data? A small classifier learns from it and is tested on real music, and the other way.

Four questions (Esteban et al. 2017, arXiv 1706.02633, section 4, for the first two): what a classifier that learnt
from generated items makes of real ones; what one that learnt from real items makes of generated ones; and, with one
class after another thinned out to a few real items, how many real items of that class are recognised without and with
generated ones in their place. The classifier is a softmax regression on scaled features, which has one solution, so
that nothing depends on how it is begun.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.evaluation.distances import fit_scaler
from audiogan.evaluation.intervals import Interval, bootstrap_mean

Array = NDArray[np.float64]
Index = NDArray[np.int64]

LEAST_CLASSES = 2
LEAST_TESTED = 50
RIDGE = 1e-3
N_ITERATIONS = 300


class Labelled(NamedTuple):
    """Items of known classes.

    Args:
        features: `(item, feature)`, any scale; what is not finite counts as the middle.
        label: `(item,)` classes from 0.
        group: `(item,)` songs or instruments; items of one resemble each other.
    """

    features: Array
    label: Index
    group: Index

    def at(self, chosen: NDArray[Any]) -> "Labelled":
        """Return the chosen items."""
        return Labelled(self.features[chosen], self.label[chosen], self.group[chosen])


@dataclass(frozen=True)
class Use:
    """One answer: the share of items recognised, beside what it is compared with.

    Args:
        question: `generated to real`, `real to generated`, `thinned`, `thinned and generated` or `gain`.
        value, low, high: Share in [0, 1] (the gain: in [-1, 1]) with its 95 % interval over groups.
        beside: The same with real items in the place of generated ones: what there is to reach. NaN for the gain.
        n: Items tested.
        verdict: `better`, `no difference` or `worse` where the interval of the gain tells; else empty.
        form: How the items were generated, where a pipeline does it in several ways.
    """

    question: str
    value: float
    low: float
    high: float
    beside: float
    n: int
    verdict: str = ""
    form: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values; None instead of NaN."""
        facts = vars(self)
        return facts | {"beside": None} if np.isnan(self.beside) else dict(facts)


def usefulness(
    learnt: Labelled, tested: Labelled, made: Labelled, kept: NDArray[np.bool_], *, seed: int = 0
) -> tuple[Use, ...]:
    """Answer the four questions.

    Args:
        learnt: Real items to learn from.
        tested: Other real items, of groups or at least recordings that `learnt` lacks.
        made: Generated items of the same classes.
        kept: `(item,)` which items of `learnt` are left of a class that is thinned out.
        seed: Of the resamples.

    Returns:
        The answers; none where there are fewer than two classes or 50 items to test, since they would say nothing.
    """
    classes = np.unique(learnt.label)
    if len(classes) < LEAST_CLASSES or len(tested.label) < LEAST_TESTED or not len(made.label):
        return ()
    whole = recognised(learnt, tested)
    by_made, on_made = recognised(made, tested), recognised(learnt, made)
    poor, rich, full, groups = (
        np.concatenate(x) for x in zip(*_thinned(learnt, tested, made, kept, whole), strict=True)
    )
    gain = _mean(rich - poor, groups, seed)
    verdict = "better" if gain.low > 0 else "worse" if gain.high < 0 else "no difference"
    reach, best = float(whole.mean()), float(full.mean())
    return (
        Use("generated to real", *_mean(by_made, tested.group, seed), reach, len(by_made)),
        Use("real to generated", *_mean(on_made, made.group, seed), reach, len(on_made)),
        Use("thinned", *_mean(poor, groups, seed), best, len(poor)),
        Use("thinned and generated", *_mean(rich, groups, seed), best, len(rich)),
        Use("gain", *gain, float("nan"), len(rich), verdict),
    )


def _thinned(
    learnt: Labelled, tested: Labelled, made: Labelled, kept: NDArray[np.bool_], whole: Array
) -> list[tuple[Array, Array, Array, Index]]:
    """For each class: its tested items recognised when thinned, when generated ones help, and by all of `learnt`."""
    found = []
    for name in np.unique(tested.label):
        mine = tested.label == name
        thin = learnt.at(kept | (learnt.label != name))
        helped = joined(thin, made.at(made.label == name))
        asked = tested.at(mine)
        found.append((recognised(thin, asked), recognised(helped, asked), whole[mine], asked.group))
    return found


def joined(first: Labelled, second: Labelled) -> Labelled:
    """Return the items of both."""
    return Labelled(
        np.concatenate([first.features, second.features]),
        np.concatenate([first.label, second.label]),
        np.concatenate([first.group, second.group]),
    )


def _mean(values: Array, groups: Index, seed: int) -> Interval:
    return bootstrap_mean(values, groups.tolist(), seed=seed)


def recognised(learnt: Labelled, tested: Labelled) -> Array:
    """Return 1 for each tested item whose class a classifier of `learnt` names rightly, 0 for the others: `(item,)`."""
    classes = np.unique(learnt.label)
    scaler = fit_scaler(learnt.features)
    weights = fit(scaler.transform(learnt.features), np.searchsorted(classes, learnt.label), len(classes))
    scores = _with_one(scaler.transform(tested.features)) @ weights
    return (classes[scores.argmax(axis=1)] == tested.label).astype(np.float64)


def _with_one(features: Array) -> Array:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)


def fit(features: Array, label: Index, n_classes: int) -> Array:
    """Return the weights of a softmax regression in which every class counts alike, by Nesterov's gradient descent.

    Args:
        features: `(item, feature)`, scaled.
        label: `(item,)` in [0, n_classes), each class at least once.
        n_classes: Classes.

    Returns:
        `(feature + 1, class)`; the last row is what every item adds.
    """
    x = _with_one(features)
    target = np.eye(n_classes)[label]
    share = (1 / n_classes / target.sum(axis=0))[label]
    step = 1 / (0.5 * np.linalg.norm(x * np.sqrt(share)[:, None], 2) ** 2 + RIDGE)
    weights = ahead = np.zeros((x.shape[1], n_classes))
    for k in range(N_ITERATIONS):
        scores = x @ ahead
        scores -= scores.max(axis=1, keepdims=True)
        chance = np.exp(scores)
        chance /= chance.sum(axis=1, keepdims=True)
        slope = x.T @ ((chance - target) * share[:, None]) + RIDGE * ahead
        before, weights = weights, ahead - step * slope
        ahead = weights + k / (k + 3) * (weights - before)
    return weights
