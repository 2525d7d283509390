"""The table of sample sizes: what is enough, and what is said where it is not."""

import pytest

from audiogan.evaluation.sample_sizes import LEAST, least, why_refused


def test_what_is_enough_grows_with_features_and_classes() -> None:
    assert least("frechet", n_features=70) == 71
    assert least("fd_inf", n_features=10) == 55
    assert least("inception_score", n_classes=73) == 365
    assert all(least(name, n_features=3, n_classes=3) >= 4 for name in LEAST)


@pytest.mark.parametrize("name", LEAST)
def test_one_too_few_is_refused(name: str) -> None:
    enough = least(name, n_features=20, n_classes=20)
    assert why_refused(name, enough, n_features=20, n_classes=20) == ""
    assert f"{enough} are needed" in why_refused(name, enough - 1, n_features=20, n_classes=20)
