"""Two models side by side: paired differences on the same z and labels, each with its interval.

Item k of one model and item k of the other were made from the same draws and for the same labels, so both are left out
of a half together, and what the draws have in common falls out of the difference. One is called better only where the
95 % interval of the difference excludes 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.names import escape
from audiogan.evaluation.distances import Neighbours, kad, median_bandwidth, neighbours
from audiogan.evaluation.intervals import delete_half
from audiogan.evaluation.sample_sizes import least
from audiogan.evaluation.stages import Tell

Array = NDArray[np.float64]
SCHEMA = "audiogan/beside/1"
LEAST_GROUPS = 4
KERNEL_DISTANCE = "kernel distance"


class Paired(NamedTuple):
    """What two models made, and real items, in one embedding.

    Args:
        embedding: Its name.
        first, second: `(item, feature)` of the two models; rows of one number belong together.
        real: `(item, feature)` held out.
        groups: The song or instrument of each real item.
    """

    embedding: str
    first: Array
    second: Array
    real: Array
    groups: Sequence[object]


@dataclass(frozen=True)
class Difference:
    """One measure of two models: `first` minus `second` with its 95 % interval, and which is better, if any."""

    metric: str
    embedding: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    n: int
    better: Literal["first", "second", "neither"]


@dataclass(frozen=True)
class Beside:
    """What comparing two models found.

    Args:
        first, second: Their names.
        first_sha256, second_sha256: Of their weights.
        items: What they make: `notes` or `clips`.
        seed: Of items and halves.
        n_generated, n_real: Items of each model, and real ones.
        rows: The measures.
    """

    first: str
    second: str
    first_sha256: str
    second_sha256: str
    items: str
    seed: int
    n_generated: int
    n_real: int
    rows: tuple[Difference, ...]

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {"schema": SCHEMA} | asdict(self)

    def as_text(self) -> str:
        """Return the result in a few lines."""
        names = {"first": escape(self.first), "second": escape(self.second)}
        about = f"{self.n_generated} {self.items} of each on the same draws, beside {self.n_real} real ones"
        lines = [f"{names['first']} beside {names['second']}: {about}"]
        for row in self.rows:
            told = f"{names[row.better]} is better" if row.better in names else "no difference that the interval tells"
            values = f"{row.first:.3g} and {row.second:.3g}"
            span = f"difference {row.difference:.3g} [{row.low:.3g}, {row.high:.3g}]"
            lines.append(f"{row.metric} ({row.embedding}): {values}, {span}: {told}")
        return "\n".join(lines)


def differences(pairs: Sequence[Paired], *, seed: int = 0, tell: Tell | None = None) -> list[Difference]:
    """Compare two models by kernel distance and by shares of neighbours, in every embedding.

    Args:
        pairs: One for each embedding; real items of four groups or more.
        seed: Of the halves.
        tell: Called with embeddings done and their number.
    """
    rows = []
    for number, pair in enumerate(pairs, 1):
        assert pair.first.shape == pair.second.shape, "items that belong together"
        assert len(set(pair.groups)) >= LEAST_GROUPS, "groups that can be halved"
        rows += _of_embedding(pair, seed)
        if tell is not None:
            tell(number, len(pairs))
    return rows


def _of_embedding(pair: Paired, seed: int) -> list[Difference]:
    sigma = median_bandwidth(pair.real)
    rows = [_row(KERNEL_DISTANCE, pair, lambda real, made: kad(real, made, sigma), seed, larger_is_better=False)]
    if min(len(pair.first), len(pair.real)) // 2 >= least("coverage"):
        rows += [_row(name, pair, _share(name), seed, larger_is_better=True) for name in Neighbours._fields]
    return rows


def _share(name: str) -> Callable[[Array, Array], float]:
    def share(real: Array, made: Array) -> float:
        n = min(len(real), len(made))
        return float(getattr(neighbours(real[:n], made[:n]), name))

    return share


def _row(
    metric: str, pair: Paired, statistic: Callable[[Array, Array], float], seed: int, *, larger_is_better: bool
) -> Difference:
    def apart(real: NDArray[np.int64], made: NDArray[np.int64]) -> float:
        return statistic(pair.real[real], pair.first[made]) - statistic(pair.real[real], pair.second[made])

    found = delete_half(apart, pair.groups, range(len(pair.first)), seed=seed)
    sign = 1 if larger_is_better else -1
    better: Literal["first", "second", "neither"] = "neither"
    if found.low > 0 or found.high < 0:
        better = "first" if sign * found.value > 0 else "second"
    first, second = (statistic(pair.real, made) for made in (pair.first, pair.second))
    return Difference(metric, pair.embedding, first, second, *found, len(pair.first), better)
