"""Does a model copy what it learnt? Rules on distances to the nearest training item, and a control that they can see.

The held-out items say how near honest music comes to the training items: one half of them (H1) sets the limits, the
other (H2) must pass as if it had been generated, and training items in disguise, planted among generated ones, must be
found. Where either control fails the verdict is `no power`, never `pass`. Rule A, hard copies, finds single copies; B,
C and D look at the whole set and miss up to 5 % of verbatim copies, which is why A decides alone where few items are
held out. The items are the pipeline's: it brings views (how far from the nearest) and the disguise.

Sources: nearest-neighbour memorisation tests (Meehan et al. 2020, arXiv 2004.05675), membership by distance (Chen et
al. 2020, arXiv 1909.03935); exact shares by Clopper and Pearson (1934).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from audiogan.evaluation.intervals import Z95, Interval, clopper_pearson

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Verdict = Literal["pass", "warn", "fail", "no power", "shown"]
T = TypeVar("T")

LEAST_HELD_OUT = 200
ENOUGH_FOR_SETS = 400  # of H1, so that rules B to D may decide
PLANTED_SHARE = 0.01
FOUND_SHARE = 0.9
N_PAIRS = 20
N_CUTS = 5
N_DRAWS = 20
ENOUGH_DRAWS = 19
TAIL = 0.01
LEAST_RUN, LONGER = 16.0, 1.3


class Near(NamedTuple):
    """The nearest reference of each item: distance and number, `(item,)` each."""

    distance: Array
    reference: Index


class View(NamedTuple, Generic[T]):
    """One way to tell how near items come to others.

    Args:
        name: For the report.
        nearest: Items and references → the nearest reference of each; smaller is nearer.
        limit: Distances of honest items from the training items → the distance at which an item counts as a copy.
        for_sets: Whether rules B to D may use it.
    """

    name: str
    nearest: Callable[[Sequence[T], Sequence[T]], Near]
    limit: Callable[[Array], float]
    for_sets: bool = True


def half_of_nearest(distances: Array) -> float:
    """Return the limit for distances: half of the smallest that honest items show."""
    return 0.5 * float(distances.min())


def beyond_longest(distances: Array, least: float = LEAST_RUN) -> float:
    """Return the limit for shared runs, given as negative lengths: `least` notes, and 1.3 times the longest honest run.

    Args:
        distances: Of honest items, `(item,)`, each the negative length of its longest shared run.
        least: Runs that are shorter never count.

    Example:
        >>> beyond_longest(np.array([-9.0, -20.0]))
        -26.0
    """
    return -max(least, LONGER * float(-distances.min()))


class Material(NamedTuple, Generic[T]):
    """What an audit looks at.

    Args:
        learnt: Training items.
        held_out: Items that the model never saw.
        made: Generated items.
        learnt_groups, held_out_groups: The song or instrument of each; None where every item stands alone.
    """

    learnt: Sequence[T]
    held_out: Sequence[T]
    made: Sequence[T]
    learnt_groups: Sequence[int] | None = None
    held_out_groups: Sequence[int] | None = None


@dataclass(frozen=True)
class Rule:
    """A statistic with its 95 % interval, `n` items, and what follows from it."""

    name: str
    value: float
    low: float
    high: float
    n: int
    verdict: Verdict


@dataclass(frozen=True)
class Control:
    """How often a control came out as it must, of `n_draws` draws."""

    name: str
    n_held: int
    n_draws: int

    @property
    def holds(self) -> bool:
        """Whether it did in 19 of 20 draws."""
        return self.n_held >= self.n_draws * ENOUGH_DRAWS / N_DRAWS


@dataclass(frozen=True)
class Pair:
    """A generated item and the training item nearest to it, by number."""

    made: int
    learnt: int
    view: str
    distance: float


@dataclass(frozen=True)
class Audit:
    """What was found."""

    verdict: Verdict
    rules: tuple[Rule, ...]
    controls: tuple[Control, ...]
    limits: dict[str, float]
    copies: tuple[int, ...]
    pairs: tuple[Pair, ...]
    n_learnt: int
    n_held_out: int
    n_made: int

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)


class _Seen(NamedTuple, Generic[T]):
    """A view with what it says of the sets."""

    view: View[T]
    made: Near
    held_out: Near


def audit(
    material: Material[T],
    views: Sequence[View[T]],
    disguise: Callable[[T, np.random.Generator], T],
    *,
    seed: int = 0,
) -> Audit:
    """Audit a model for copies.

    Args:
        material: Items; fewer than 200 held-out ones have no power.
        views: One or more; an item that one of them flags is a copy.
        disguise: A training item as a careful copyist would change it.
        seed: Of halves and plants.
    """
    sizes = tuple(map(len, material[:3]))
    if min(sizes[0], sizes[2]) < 1 or sizes[1] < 2:
        return Audit("no power", (), (), {}, (), (), sizes[0], sizes[1], sizes[2])
    rng = np.random.default_rng(seed)
    seen = [_Seen(view, *(view.nearest(items, material.learnt) for items in (material.made, material.held_out)))
            for view in views]  # fmt: skip
    halves = rng.permutation(len(material.held_out))
    first = halves[: len(halves) // 2]
    limits = {one.view.name: one.view.limit(one.held_out.distance[first]) for one in seen}
    is_copy = _flagged([one.made.distance for one in seen], list(limits.values()))
    rules = [_hard_copies(is_copy)]
    rules += [rule for one in seen if one.view.for_sets for rule in _set_rules(material, one, first, rng)]
    controls = (_plants_found(material, seen, disguise, rng), _honest_pass(seen, rng))
    return Audit(
        _verdict(rules, controls, len(material.held_out)),
        tuple(rules),
        controls,
        limits,
        tuple(np.flatnonzero(is_copy).tolist()),
        _closest(seen),
        len(material.learnt),
        len(material.held_out),
        len(material.made),
    )


def audit_by_limits(
    material: Material[T],
    views: Sequence[View[T]],
    disguise: Callable[[T, np.random.Generator], T],
    limits: Mapping[str, float],
    *,
    seed: int = 0,
) -> Audit:
    """Look for hard copies by limits that are known from a larger audit: rule A alone, with both controls.

    The limits were set by many honest items against a whole corpus, so that few held-out items are enough to see
    whether they hold here, and plants of these very items whether copies of them would be found.

    Args:
        material: Items; the held-out ones must all pass.
        views: Those whose limits are known are used.
        disguise: As for `audit`.
        limits: By name of the view.
        seed: Of the plants.
    """
    sizes = tuple(map(len, material[:3]))
    known = [view for view in views if view.name in limits]
    if min(sizes) < 1 or not known:
        return Audit("no power", (), (), dict(limits), (), (), *sizes)
    rng = np.random.default_rng(seed)
    seen = [_Seen(view, *(view.nearest(items, material.learnt) for items in (material.made, material.held_out)))
            for view in known]  # fmt: skip
    used = {one.view.name: limits[one.view.name] for one in seen}
    is_copy, is_false = (
        _flagged([near.distance for near in some], list(used.values()))
        for some in ([one.made for one in seen], [one.held_out for one in seen])
    )
    rules = [_hard_copies(is_copy)]
    controls = (
        _plants_found(material, seen, disguise, rng, list(used.values())),
        Control("held-out items passed", int((~is_false).sum()), len(is_false)),
    )
    verdict = rules[0].verdict if all(control.holds for control in controls) else "no power"
    copies = tuple(np.flatnonzero(is_copy).tolist())
    return Audit(verdict, tuple(rules), controls, used, copies, _closest(seen), *sizes)


def _verdict(rules: Sequence[Rule], controls: Sequence[Control], n_held_out: int) -> Verdict:
    if n_held_out < LEAST_HELD_OUT or not all(control.holds for control in controls):
        return "no power"
    order: tuple[Verdict, ...] = ("pass", "warn", "fail")
    return order[max(order.index(rule.verdict) for rule in rules if rule.verdict in order)]


def _flagged(distances: Sequence[Array], limits: Sequence[float]) -> NDArray[np.bool_]:
    return np.any([found <= limit for found, limit in zip(distances, limits, strict=True)], axis=0)


def _graded(value: float, most: float, warn: float) -> Verdict:
    return "pass" if value <= most else "warn" if value <= warn else "fail"


# ---- rules


def _hard_copies(is_copy: NDArray[np.bool_]) -> Rule:
    share = clopper_pearson(int(is_copy.sum()), len(is_copy))
    return Rule("A hard copies", *share, len(is_copy), _graded(share.value, 0.001, 0.01))


def _set_rules(material: Material[T], seen: _Seen[T], first: Index, rng: np.random.Generator) -> list[Rule]:
    """Rules B, C and D of one view, shown without a verdict where H1 is small."""
    name, can_decide = seen.view.name, len(first) >= ENOUGH_FOR_SETS
    n_made, made = len(material.made), seen.made.distance
    below = int((made < np.quantile(seen.held_out.distance[first], TAIL)).sum())
    tail = clopper_pearson(below, n_made)
    closer, members, sizes = zip(*(_one_cut(material, seen, rng) for _ in range(N_CUTS)), strict=True)
    found = (
        ("B below the 1 % quantile of held-out items", tail, n_made, 0.02, 0.05),
        ("C nearer to training than to held-out items", _middle(closer), n_made, 0.55, 0.60),
        ("D training told from held-out items", _middle(members), 2 * min(sizes), 0.55, 0.65),
    )
    return [
        Rule(f"{rule}, {name}", *interval, n, _graded(interval.value, most, warn) if can_decide else "shown")
        for rule, interval, n, most, warn in found
    ]


def _one_cut(material: Material[T], seen: _Seen[T], rng: np.random.Generator) -> tuple[Interval, Interval, int]:
    """Rules C and D against as many training items, of as many songs or instruments, as there are held-out ones."""
    some = [material.learnt[place] for place in equal_cut(material, rng).tolist()]
    others = [material.held_out[place] for place in rng.permutation(len(material.held_out))[: len(some)].tolist()]
    to_learnt, to_others = (seen.view.nearest(material.made, items).distance for items in (some, others))
    n_closer = int((to_learnt < to_others).sum() + (to_learnt == to_others).sum() // 2)
    members = member_auc(*(seen.view.nearest(items, material.made).distance for items in (some, others)))
    return clopper_pearson(n_closer, len(material.made)), members, len(some)


def equal_cut(material: Material[T], rng: np.random.Generator) -> Index:
    """Return numbers of training items, at most as many as were held out, from as many groups.

    Clips of eighteen songs, cut at random from those of a hundred, would be more various than any eighteen songs are,
    and something near would be found among them for that reason alone.
    """
    n_most = min(len(material.learnt), len(material.held_out))
    if material.learnt_groups is None or material.held_out_groups is None:
        return rng.permutation(len(material.learnt))[:n_most]
    groups = np.asarray(material.learnt_groups)
    drawn = rng.permutation(np.unique(groups))[: len(set(material.held_out_groups))]
    return rng.permutation(np.flatnonzero(np.isin(groups, drawn)))[:n_most]


def _middle(draws: Sequence[Interval]) -> Interval:
    """The middle of several draws, and the whole range of their intervals."""
    value = float(np.median([one.value for one in draws]))
    return Interval(value, min(one.low for one in draws), max(one.high for one in draws))


def member_auc(learnt: Array, others: Array) -> Interval:
    """Return how well a small distance to the nearest generated item tells training items from others.

    Args:
        learnt, others: Distances, two or more each.

    Returns:
        Area under the curve with the interval of Hanley and McNeil (1982): 0.5 is chance, 1 gives every member away.
    """
    less = (learnt[:, None] < others[None]).mean() + 0.5 * (learnt[:, None] == others[None]).mean()
    area = float(less)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    n, m = len(learnt), len(others)
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    margin = Z95 * float(np.sqrt(max(variance, 0.0)))
    return Interval(area, area - margin, area + margin)


# ---- controls


def _plants_found(
    material: Material[T],
    seen: Sequence[_Seen[T]],
    disguise: Callable[[T, np.random.Generator], T],
    rng: np.random.Generator,
    known: Sequence[float] | None = None,
) -> Control:
    """Plant training items in disguise, 1 % of what was made, and count the draws in which rule A finds nine of ten."""
    n_planted = max(1, round(PLANTED_SHARE * len(material.made)))
    chosen = rng.integers(len(material.learnt), size=(N_DRAWS, n_planted))
    planted = [disguise(material.learnt[place], rng) for place in chosen.ravel().tolist()]
    distances = [one.view.nearest(planted, material.learnt).distance for one in seen]
    n_held = 0
    for draw in range(N_DRAWS):
        limits = _limits(seen, rng.permutation(len(material.held_out))[::2]) if known is None else known
        own = slice(draw * n_planted, (draw + 1) * n_planted)
        n_held += bool(_flagged([one[own] for one in distances], limits).mean() >= FOUND_SHARE)
    return Control("planted copies found", n_held, N_DRAWS)


def _honest_pass(seen: Sequence[_Seen[T]], rng: np.random.Generator) -> Control:
    """Offer one half of the held-out items as generated, with limits by the other half."""
    n_held = 0
    for _ in range(N_DRAWS):
        order = rng.permutation(len(seen[0].held_out.distance))
        limits = _limits(seen, order[::2])
        is_copy = _flagged([one.held_out.distance[order[1::2]] for one in seen], limits)
        n_held += _hard_copies(is_copy).verdict == "pass"
    return Control("held-out items passed", n_held, N_DRAWS)


def _limits(seen: Sequence[_Seen[T]], places: Index) -> list[float]:
    return [one.view.limit(one.held_out.distance[places]) for one in seen]


def _closest(seen: Sequence[_Seen[T]]) -> tuple[Pair, ...]:
    """The pairs to hear and see, as many of every view."""
    pairs = []
    for one in seen:
        for place in np.argsort(one.made.distance, kind="stable")[: -(-N_PAIRS // len(seen))].tolist():
            own = one.made
            pairs.append(Pair(place, int(own.reference[place]), one.view.name, float(own.distance[place])))
    return tuple(pairs[:N_PAIRS])


class Owned(NamedTuple):
    """What an owner of items learns of a model.

    Args:
        found: The audit of new items against the owner's.
        pairs: The nearest ones: the pair, the new item and the owner's item, as the pipeline writes them.
        names: Where each of the owner's items stands: file and place in it.
        n_files: Files that were read.
        refused: File names by reason: those of the gate, or why a file that was read was left out.
        members: Files of the owner that the model learnt from, and by what that is known.
    """

    found: Audit
    pairs: Sequence[tuple[Pair, Any, Any]]
    names: Sequence[str]
    n_files: int
    refused: Mapping[str, Sequence[str]]
    members: Mapping[str, Mapping[str, Any]]
