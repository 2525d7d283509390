"""How many items a statistic needs: below that its figure is refused, not printed.

A figure from too few samples is worse than none: it looks like the others. Counted are the items of each of the two
sets that are compared; where real items are halved to get the floor, those of a half.
"""

from typing import NamedTuple


class Least(NamedTuple):
    """Items that a statistic needs: a fixed number, and more for each feature and for each class."""

    fixed: int
    per_feature: int = 0
    per_class: int = 0


LEAST = {
    # unbiased at any size; below this the interval says nothing
    "kernel_distance": Least(8),
    # a covariance of full rank; what bias is left stands in the floor as well
    "frechet": Least(1, per_feature=1),
    # the smallest of the sizes behind the straight line is a fifth of all
    "fd_inf": Least(5, per_feature=5),
    # five neighbours are near by only where there are several times as many items
    "precision": Least(15),
    "recall": Least(15),
    "density": Least(15),
    "coverage": Least(15),
    "diversity": Least(8),
    # five items in each of fifty bins, so that the test of two proportions holds
    "ndb": Least(250),
    # each class could come five times
    "inception_score": Least(0, per_class=5),
    # sixteen items have 120 distances among them
    "overlap_area": Least(16),
    "divergence": Least(16),
    # shares and means of single items: the interval tells the rest
    "pitch_accuracy": Least(8),
    "pitch_entropy": Least(8),
}
"""The table. Statistics that do not stand here need no more than the interval asks for."""


def least(statistic: str, *, n_features: int = 0, n_classes: int = 0) -> int:
    """Return how many items a statistic needs.

    Args:
        statistic: A name of the table.
        n_features: Of the vectors, where it looks at them together.
        n_classes: That items are put into.

    Example:
        >>> least("frechet", n_features=128), least("coverage"), least("inception_score", n_classes=16)
        (129, 15, 80)
    """
    rule = LEAST[statistic]
    return rule.fixed + rule.per_feature * n_features + rule.per_class * n_classes


def why_refused(statistic: str, n_items: int, *, n_features: int = 0, n_classes: int = 0) -> str:
    """Return why there is no figure, or nothing where there are enough items.

    Example:
        >>> why_refused("ndb", 100)
        'refused: 100 items against as many, 250 are needed'
        >>> why_refused("ndb", 250)
        ''
    """
    needed = least(statistic, n_features=n_features, n_classes=n_classes)
    return "" if n_items >= needed else f"refused: {n_items} items against as many, {needed} are needed"
