"""Sets by kinds: bins of items that lie together (NDB), and classes that a network names (inception score, entropy).

Bins follow Richardson and Weiss (arXiv 1805.12462): k-means on training items, then the share of each bin among real
and among generated items, tested bin by bin. The inception score is that of Salimans et al. (arXiv 1606.03498). The
features and the probabilities are made elsewhere.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.evaluation.distances import Array, squared_distances
from audiogan.evaluation.intervals import Z95

N_BINS = 50
MOST_ROUNDS = 100


class Bins(NamedTuple):
    """Bins by the nearest of some centres, `(bin, feature)`."""

    centres: Array

    def counts(self, items: Array) -> NDArray[np.int64]:
        """Return `(bin,)` how many of `(item, feature)` lie in each bin."""
        return np.bincount(self.place(items), minlength=len(self.centres))

    def place(self, items: Array) -> NDArray[np.int64]:
        """Return `(item,)` the bin of each of `(item, feature)`."""
        return squared_distances(items, self.centres).argmin(axis=1)


def fit_bins(items: Array, n_bins: int = N_BINS, *, seed: int = 0, n_rounds: int = MOST_ROUNDS) -> Bins:
    """Find bins by k-means: first centres by k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's rounds.

    Args:
        items: `(item, feature)`, as many as bins or more.
        n_bins: How many.
        seed: The same seed finds the same bins.
        n_rounds: Most rounds; it ends when no item changes its bin.
    """
    assert len(items) >= n_bins, "an item for each bin"
    bins = Bins(_first_centres(items, n_bins, np.random.default_rng(seed)))
    before = None
    for _ in range(n_rounds):
        place = bins.place(items)
        if before is not None and (place == before).all():
            break
        before = place
        sums = np.zeros_like(bins.centres)
        np.add.at(sums, place, items)
        counts = np.bincount(place, minlength=n_bins)[:, None]
        bins = Bins(np.where(counts > 0, sums / np.maximum(counts, 1), bins.centres))
    return bins


def _first_centres(items: Array, n_bins: int, rng: np.random.Generator) -> Array:
    """Choose items as centres, each with a chance that grows with its squared distance from the others."""
    chosen = [int(rng.integers(len(items)))]
    nearest = squared_distances(items, items[chosen])[:, 0]
    while len(chosen) < n_bins:
        total = float(nearest.sum())
        share = nearest / total if total > 0 else None  # all items are centres already
        chosen.append(int(rng.choice(len(items), p=share)))
        nearest = np.minimum(nearest, squared_distances(items, items[chosen[-1:]])[:, 0])
    return items[chosen].astype(np.float64)


def share_of_different_bins(x: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    """Return NDB / K: the share of the bins whose counts differ by the test of two proportions at 5 %.

    Equal distributions give about 0.05 by chance.

    Args:
        x: `(bin,)` counts of the reference.
        y: `(bin,)` counts of the generated items.
    """
    n, m = x.sum(), y.sum()
    pooled = (x + y) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    apart = np.abs(x / n - y / m)
    return float((apart > Z95 * error).mean())


# ---- classes


def entropy(shares: Array) -> Array:
    """Return `(item,)` entropies in nats of probabilities `(item, class)`.

    Example:
        >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(3).tolist()
        [0.693, 0.0]
    """
    return -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1) + 0.0


def inception_score(shares: Array) -> float:
    """Return exp(mean KL(p(y|x) ‖ p(y))): 1 where all items are alike or unclear, the number of classes at best.

    Args:
        shares: `(item, class)` probabilities.

    Example:
        >>> inception_score(np.eye(4))
        4.0
    """
    of_all = float(entropy(shares.mean(axis=0, keepdims=True))[0])
    return float(np.exp(of_all - entropy(shares).mean()))
