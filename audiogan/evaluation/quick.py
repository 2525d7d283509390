"""How near a generated set is to a reference, at a glance: kernel distance with its standard error, and variety.

Small and cheap enough to be asked for many times while a model trains. The standard error is that of the generated set
alone, by the jackknife (Quenouille 1949, Tukey 1958), since the reference is the same every time. What a trained model
is worth is measured elsewhere, with floors and intervals.
"""

from collections.abc import Sequence

import numpy as np

from audiogan.evaluation.distances import Array, kad_of_subsets, kernel, median_bandwidth, squared_distances
from audiogan.evaluation.intervals import group_index


def nearness(reference: Array, generated: Array) -> dict[str, float]:
    """Return `distance`, its standard `error`, and `variety`.

    Args:
        reference: `(item, feature)` real items, scaled; two or more.
        generated: `(item, feature)`, scaled alike; three or more.

    Returns:
        `distance` is the kernel distance, about 0 for equal sets and lower is better; `variety` the mean distance
        between two generated items over that between two real ones: 1 as varied, 0 all the same.
    """
    sigma, n = median_bandwidth(reference), len(generated)
    k_xx, k_yy = kernel(reference, reference, sigma), kernel(generated, generated, sigma)
    k_xy, every = kernel(reference, generated, sigma), np.ones((1, len(reference)))
    value = float(kad_of_subsets(k_xx, k_yy, k_xy, every, np.ones((1, n)))[0])
    without = kad_of_subsets(k_xx, k_yy, k_xy, np.repeat(every, n, axis=0), 1.0 - np.eye(n))
    error = float(np.sqrt((n - 1) * np.mean((without - without.mean()) ** 2)))
    return {"distance": value, "error": error, "variety": spread(generated) / max(1e-12, spread(reference))}


def group_means(values: Array, groups: Sequence[object]) -> Array:
    """Return the mean of each group, in order of appearance.

    Args:
        values: `(item,)`.
        groups: The group of each item.

    Example:
        >>> group_means(np.array([1.0, 3.0, 5.0]), ["a", "a", "b"]).tolist()
        [2.0, 5.0]
    """
    index, n_groups = group_index(groups)
    return np.bincount(index, weights=values, minlength=n_groups) / np.bincount(index, minlength=n_groups)


def spread(items: Array) -> float:
    """Return the mean Euclidean distance between two different items of `(item, feature)`.

    Example:
        >>> spread(np.array([[0.0], [1.0], [2.0]]))
        1.3333333333333333
    """
    pairs = np.triu_indices(len(items), 1)
    return float(np.sqrt(squared_distances(items, items)[pairs]).mean())
