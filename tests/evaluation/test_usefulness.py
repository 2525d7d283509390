"""The four questions on items whose answers are known, and the classifier beside scikit-learn's."""

from itertools import pairwise

import numpy as np
import pytest

from audiogan.evaluation.usefulness import Labelled, Use, fit, joined, recognised, usefulness

CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])


def items(n: int, seed: int, *, shift: float = 0.0, labels: tuple[int, ...] = (0, 1, 2)) -> Labelled:
    """Return n points of each class around its centre, in groups of ten."""
    rng = np.random.default_rng(seed)
    label = np.repeat(labels, n)
    features = CENTRES[label] + rng.normal(0.0, 1.0, (len(label), 2)) + shift
    return Labelled(features, label, np.arange(len(label)) // 10)


def answers(made: Labelled, kept_share: float = 0.02) -> dict[str, Use]:
    learnt, tested = items(200, 0), items(200, 1)
    kept = np.random.default_rng(2).random(len(learnt.label)) < kept_share
    return {one.question: one for one in usefulness(learnt, tested, made, kept)}


def test_good_items_are_as_good_as_real_ones() -> None:
    found = answers(items(200, 3))
    for question in ("generated to real", "real to generated", "thinned and generated"):
        assert found[question].low <= found[question].beside + 0.02
        assert found[question].value > found[question].beside - 0.03
    assert found["gain"].value == pytest.approx(found["thinned and generated"].value - found["thinned"].value)


def test_good_items_help_where_few_real_ones_are_left() -> None:
    assert answers(items(200, 3), kept_share=0.002)["gain"].verdict == "better"


def test_items_of_the_wrong_class_do_harm() -> None:
    good = items(200, 3)
    found = answers(good._replace(label=(good.label + 1) % 3))
    assert found["generated to real"].high < 0.1
    assert found["gain"].verdict == "worse"


@pytest.mark.parametrize(
    "made", [items(0, 0), Labelled(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0, np.int64))]
)
def test_without_generated_items_there_is_no_answer(made: Labelled) -> None:
    assert answers(made) == {}


def test_too_few_to_say_anything() -> None:
    few, kept = items(10, 0), np.ones(30, dtype=bool)
    assert usefulness(few, items(10, 1), few, kept) == ()
    one = items(200, 0, labels=(0,))
    assert usefulness(one, items(200, 1), one, np.ones(200, dtype=bool)) == ()


def test_every_class_counts_alike() -> None:
    rare = joined(items(500, 0, labels=(0, 1)), items(5, 1, labels=(2,)))
    shares = recognised(rare, items(200, 2, labels=(2,)))
    assert shares.mean() > 0.8


def test_the_classifier_descends_to_the_only_solution() -> None:
    data = items(100, 0)
    weights = fit(data.features, data.label, 3)
    x = np.concatenate([data.features, np.ones((300, 1))], axis=1)
    scores = x @ weights
    chance = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    slope = x.T @ ((chance - np.eye(3)[data.label]) / 300) + 1e-3 * weights
    assert np.abs(slope).max() < 1e-4


def test_the_same_seed_gives_the_same_answers_and_json_has_no_nan() -> None:
    first, second = answers(items(200, 3)), answers(items(200, 3))
    assert first["gain"].as_json() == second["gain"].as_json()
    assert first["gain"].as_json()["beside"] is None
    assert all(low.value <= 1.0 and high.n > 0 for low, high in pairwise(first.values()))
