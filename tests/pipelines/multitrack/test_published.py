"""The printed tables: shape, and a few numbers read off the papers."""

from audiogan.pipelines.multitrack.grid import ClipGrid
from audiogan.pipelines.multitrack.metrics import measure
from audiogan.pipelines.multitrack.published import BINARY, MUSEGAN, TABLES, published


def test_numbers() -> None:
    assert published("eb", "strings")["scratch jamming"] == 0.061
    assert published("upc_paper", "piano")["scratch hybrid"] == 5.45
    assert published("qn3", "bass")["training data"] == published("qn2", "bass")["training data"] == 0.9
    assert published("dp_paper", "drums")["conditional composer"] == 0.845
    assert published("td_paper", "piano-strings")["shuffled training data"] == 1.13
    assert published("pp", "mean")["two-stage, deterministic"] == 0.45
    assert published("td_paper8", "piano-guitar")["end-to-end, stochastic"] == 1.4
    assert published("eb", "mean") == {}


def test_the_given_piano_of_conditional_models_has_no_number() -> None:
    assert "conditional jamming" not in published("eb", "piano")
    assert list(published("eb", "piano")) == [
        "training data", "scratch jamming", "scratch composer", "scratch hybrid", "ablated composer",
    ]  # fmt: skip


def test_size_and_uniqueness() -> None:
    # less the piano of three conditional models, which has none of four numbers
    assert sum(row.paper == MUSEGAN for row in TABLES) == 40 + 3 * 32 + 8 + 48 - 3 * 4
    assert sum(row.paper == BINARY for row in TABLES) == 13 * 5
    assert len({row[:4] for row in TABLES}) == len(TABLES)


def test_every_metric_and_column_is_one_of_ours() -> None:
    rows = measure([], ClipGrid())
    for row in TABLES:
        names = {frozenset(column.split("-")) for column in (*rows[row.metric].columns, "mean")}
        assert frozenset(row.column.split("-")) in names
