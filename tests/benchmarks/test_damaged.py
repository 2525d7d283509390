"""When a row counts as having noticed a damage, and what the table says of it."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from audiogan.evaluation.audit import Material, Near, View, half_of_nearest
from tests.benchmarks.damaged import (
    Damage,
    Reading,
    as_json,
    copies_read,
    judge,
    limits_of,
    main,
    markdown,
    noticed,
    planted,
)

NAN = float("nan")
GOOD = Reading("recall · a", 0.9, 0.85, 0.95, 0.92, passes=True)


@pytest.mark.parametrize(
    ("after", "moves"),
    [
        (GOOD, False),
        (GOOD._replace(value=0.86), False),  # inside the interval
        (GOOD._replace(value=0.5), True),
        (GOOD._replace(value=0.86, passes=False), True),  # the verdict alone
        (GOOD._replace(value=NAN), True),  # there is nothing left to measure
        (GOOD._replace(name="another"), False),
    ],
)
def test_what_counts_as_noticed(after: Reading, moves: bool) -> None:
    found, _ = noticed([GOOD], [after])
    assert bool(found) is moves


def test_a_row_that_comes_nearer_to_real_has_not_noticed() -> None:
    bad = Reading("eb · bass", 0.3, 0.28, 0.32, 0.1, passes=False)
    better = judge(Damage("nothing", ("eb · *",)), [bad], [bad._replace(value=0.2)])
    assert not better.is_caught
    assert [move.nearer for move in better.nearer] == [True]
    assert markdown([better]).splitlines()[2].endswith("| NO | - | 0 of 1 in all | eb · bass 0.3 → 0.2 |")
    assert judge(Damage("worse", ("eb · *",)), [bad], [bad._replace(value=0.4)]).is_caught


def test_a_share_that_falls_is_worse_wherever_real_lies() -> None:
    share = Reading("recall · a", 0.86, 0.81, 0.9, 0.78, passes=True)
    named, fallen = Damage("half", ("recall · *",)), [share._replace(value=0.71)]
    assert not judge(named, [share], fallen).is_caught
    assert judge(named, [share._replace(larger_is_better=True)], fallen).is_caught


def test_only_rows_named_beforehand_catch() -> None:
    other = Reading("kad · a", 1.0, 0.5, 1.5, 0.0, passes=True)
    after = [GOOD, other._replace(value=9.0, passes=False)]
    missed = judge(Damage("half", ("recall · *", "ndb · *")), [GOOD, other], after)
    assert not missed.is_caught
    assert missed.missing == ("ndb · *",)
    assert [move.name for move in missed.others] == ["kad · a"]
    caught = judge(Damage("half", ("kad · *",)), [GOOD, other], after)
    assert caught.is_caught
    assert caught.caught_by[0].flipped
    table = markdown([missed, caught, judge(Damage("nothing", ()), [GOOD], [GOOD])]).splitlines()
    assert "| NO | - | 1 of 2 in all, others: kad · a 1 → 9 (fails) |" in table[2]
    assert "| yes | kad · a 1 → 9 (fails) | 1 of 2 in all |" in table[3]
    assert "| - | - | - | 0 of 1 in all |" in table[4]


def test_json_holds_no_nan() -> None:
    gone = judge(Damage("silence", ("recall · *",)), [GOOD], [GOOD._replace(value=NAN)])
    told = json.loads(as_json([gone]), parse_constant=lambda name: pytest.fail(name))
    assert told[0]["caught"] is True
    assert told[0]["caught_by"] == [
        {"name": "recall · a", "before": 0.9, "after": None, "flipped": False, "nearer": False}
    ]


def test_planted_copies_are_found_and_honest_items_are_not() -> None:
    rng = np.random.default_rng(0)
    learnt, held_out, made = (list(rng.random((n, 8))) for n in (80, 60, 200))

    def nearest(items: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> Near:
        apart = np.linalg.norm(np.array(items)[:, None] - np.array(references)[None], axis=2)
        return Near(apart.min(axis=1), apart.argmin(axis=1))

    views = [View("distance", nearest, half_of_nearest)]
    limits = limits_of(held_out[::2], learnt, views)

    def passes(items: list) -> tuple[float, bool | None]:
        near = lambda item, rng: item + 0.001 * rng.random(8)  # noqa: E731
        row = copies_read(Material(learnt, held_out[1::2], items), views, near, limits, 0)[0][0]
        return row.value, row.passes

    assert passes(made) == (0.0, True)
    changed = planted(made, learnt[:3], rng)
    assert sum(a is not b for a, b in zip(made, changed, strict=True)) == 3
    assert passes(changed) == (3 / 200, False)


def test_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["songs"])
    assert "invalid choice" in capsys.readouterr().err
