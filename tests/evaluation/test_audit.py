"""The audit finds copies, passes honest models, and says when it cannot tell."""

from collections.abc import Sequence

import numpy as np
import pytest

from audiogan.evaluation.audit import (
    Audit,
    Control,
    Material,
    Near,
    View,
    audit,
    beyond_longest,
    equal_cut,
    half_of_nearest,
    member_auc,
)

Item = np.ndarray


def nearest(items: Sequence[Item], references: Sequence[Item]) -> Near:
    x, y = np.array(items), np.array(references)
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
    reference = squared.argmin(1)
    return Near(np.sqrt(np.maximum(squared[np.arange(len(x)), reference], 0)), reference)


def disguise(item: Item, rng: np.random.Generator) -> Item:
    return item + 0.05 * rng.standard_normal(item.shape)


VIEW = View("distance", nearest, half_of_nearest)


def drawn(n: int, seed: int) -> list[Item]:
    return list(np.random.default_rng(seed).standard_normal((n, 16)))


def audited(n_copies: int = 0, n_held_out: int = 1000, n_made: int = 1000, seed: int = 0) -> Audit:
    learnt, rng = drawn(1000, 1), np.random.default_rng(seed + 9)
    copies = [disguise(learnt[place], rng) for place in range(n_copies)]
    made = [*drawn(n_made - n_copies, 3 + seed), *copies]
    return audit(Material(learnt, drawn(n_held_out, 2), made), [VIEW], disguise, seed=seed)


def rule(found: Audit, letter: str) -> float:
    return next(one.value for one in found.rules if one.name.startswith(letter))


def test_an_honest_model_passes_with_power() -> None:
    found = audited()
    assert found.verdict == "pass"
    assert [control.n_held for control in found.controls] == [20, 20]
    assert (rule(found, "A"), found.copies) == (0, ())
    assert rule(found, "C") == pytest.approx(0.5, abs=0.05)
    assert rule(found, "D") == pytest.approx(0.5, abs=0.03)
    assert 0.001 < rule(found, "B") < 0.03


def test_one_copy_in_a_hundred_fails_by_rule_a_and_by_no_other() -> None:
    found = audited(n_copies=15)
    assert found.verdict == "fail"
    assert set(found.copies) == set(range(985, 1000))
    assert [(pair.made, pair.learnt) for pair in sorted(found.pairs[:15], key=lambda pair: pair.made)] == [
        (985 + place, place) for place in range(15)
    ]
    others = {one.verdict for one in found.rules if one.name[0] in "CD"}
    assert others == {"pass"}, "shares over the whole set do not see it"
    assert audited(n_copies=5).verdict == "warn"


def test_many_copies_show_in_all_rules() -> None:
    found = audited(n_copies=400)
    assert {one.verdict for one in found.rules} == {"fail"}


def test_few_held_out_items_have_no_power_and_shares_decide_nothing() -> None:
    assert audited(n_held_out=150).verdict == "no power"
    few = audited(n_copies=400, n_held_out=300)
    assert {one.verdict for one in few.rules} == {"fail", "shown"}
    assert few.verdict == "fail"


def test_next_to_nothing_held_out_has_no_power() -> None:
    for n_held_out in (0, 1):
        found = audit(Material(drawn(20, 1), drawn(n_held_out, 2), drawn(20, 3)), [VIEW], disguise)
        assert (found.verdict, found.rules, found.n_held_out) == ("no power", (), n_held_out)


def test_rule_d_tells_how_many_items_it_compared() -> None:
    learnt = Material(drawn(100, 1), drawn(300, 2), drawn(50, 3), list(range(100)), [place % 2 for place in range(300)])
    (members,) = (one for one in audit(learnt, [VIEW], disguise).rules if one.name.startswith("D"))
    assert members.n == 4, "two training songs of one item, and as many held-out items"


def test_a_disguise_that_hides_everything_leaves_no_power() -> None:
    material = Material(drawn(500, 1), drawn(500, 2), drawn(500, 3))
    hidden = audit(material, [VIEW], lambda item, rng: rng.standard_normal(item.shape))
    assert hidden.controls[0].n_held < 19
    assert hidden.verdict == "no power"


def test_held_out_items_that_are_training_items_leave_no_power() -> None:
    learnt = drawn(500, 1)
    leaked = audit(Material(learnt, [*drawn(495, 2), *learnt[:5]], drawn(500, 3)), [VIEW], disguise)
    assert leaked.verdict == "no power"


def test_a_second_view_flags_what_the_first_does_not_see() -> None:
    def first_half(items: Sequence[Item], references: Sequence[Item]) -> Near:
        return nearest([item[:8] for item in items], [item[:8] for item in references])

    learnt, rng = drawn(1000, 1), np.random.default_rng(5)
    half = [np.concatenate([item[:8], rng.standard_normal(8)]) for item in learnt[:30]]
    material = Material(learnt, drawn(1000, 2), [*drawn(970, 3), *half])
    assert audit(material, [VIEW], disguise).copies == ()
    both = audit(material, [VIEW, View("half", first_half, half_of_nearest, for_sets=False)], disguise)
    assert set(both.copies) >= set(range(970, 1000))
    assert sum(one.name.startswith("B") for one in both.rules) == 1
    assert {pair.view for pair in both.pairs} == {"distance", "half"}


def test_training_items_are_cut_to_as_many_groups() -> None:
    """Held-out items of few groups are no less like honest output than training items of as few."""
    centres = 3 * np.random.default_rng(0).standard_normal((60, 16))

    def around(first: int, n_groups: int, n_items: int, seed: int) -> tuple[list[Item], list[int]]:
        groups = [first + number % n_groups for number in range(n_items)]
        noise = np.random.default_rng(seed).standard_normal((n_items, 16))
        return list(centres[groups] + noise), groups

    (learnt, songs), (held_out, others) = around(0, 40, 2000, 1), around(40, 5, 1000, 2)
    made = list(3 * np.random.default_rng(4).standard_normal((400, 16)))
    grouped = Material(learnt, held_out, made, songs, others)
    cut = equal_cut(grouped, np.random.default_rng(0))
    assert len({songs[place] for place in cut.tolist()}) == 5
    assert len(cut) == 250
    plain, fair = (rule(audit(one, [VIEW], disguise), "C") for one in (grouped._replace(learnt_groups=None), grouped))
    assert plain > 0.7
    assert abs(fair - 0.5) < abs(plain - 0.5) - 0.15


def test_the_same_seed_says_the_same() -> None:
    assert audited(5).as_json() == audited(5).as_json()


def test_limits_by_hand() -> None:
    assert half_of_nearest(np.array([3.0, 0.8])) == 0.4
    assert beyond_longest(np.array([-4.0, -5.0])) == -16
    assert Control("x", 19, 20).holds
    assert not Control("x", 18, 20).holds


def test_areas_by_hand() -> None:
    assert member_auc(np.array([1.0, 2.0]), np.array([3.0, 4.0])).value == 1
    assert member_auc(np.array([1.0, 4.0]), np.array([2.0, 4.0])).value == pytest.approx(0.625)
    same = member_auc(np.arange(200.0), np.arange(200.0))
    assert same.value == pytest.approx(0.5)
    assert same.low < 0.5 < same.high
