"""The schema of cards: strict, whole, bounded; older cards come in, hostile ones are told in one line."""

import json
from typing import Any

import pytest

from audiogan.errors import CheckpointError
from audiogan.evaluation import provenance
from audiogan.evaluation.cardtext import markdown, summary
from audiogan.evaluation.provenance import Card, list_hash, parse, validated

SONG = {"name": "a.mid", "sha256": "ab" * 32, "licence": "CC0-1.0", "origin": "a friend", "split": "train"}
RUN = {
    "audiogan": "0.1.0",
    "pipeline": "multitrack",
    "recipe": "own",
    "recipe_sha256": "12" * 32,
    "resolved": {"model": {"lowest_pitch": 24, "n_pitches": 72, "tracks": [{"name": "bass"}], "network": {"width": 8}}},
    "seed": 4,
    "steps": 6,
    "n_seen": 12,
    "licences_of_the_songs": ["CC0-1.0"],
    "weights_sha256": "cd" * 32,
    "parameters": {"generator": 5},
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "parent": {"name": "first", "seed": 9, "parent": None},
    "summary": {
        "n_songs": 1,
        "n_duplicates": 2,
        "refused": {"not_midi": ["b.mid: no"]},
        "n_clips": {"train": 3},
        "songs": [SONG],
    },
}


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_card_is_read_as_it_was_written() -> None:
    card = validated({"corpus": {"files": [SONG]}, "tried": ["less"]}, "card")
    assert parse(card.as_bytes(), "card") == card
    assert card.as_json()["schema"] == "audiogan/card/1"


def test_what_is_not_known_is_said_and_never_left_out() -> None:
    values = Card().as_json()
    assert (values["use"]["licence"], values["training"]["effort"]["wall_seconds"]) == ("unknown", "unknown")
    del values["training"]["effort"]["device"]
    with pytest.raises(CheckpointError, match=r'training\.effort\.device is left out; expected a value or "unknown"'):
        parse(as_bytes(values), "card")
    whole = validated({"corpus": {"files": [SONG]}}, "card").as_json()
    del whole["corpus"]["files"][0]["author"]
    with pytest.raises(CheckpointError, match=r"corpus\.files\.author is left out"):
        parse(as_bytes(whole), "card")


WRONG = [
    {"schema": "audiogan/card/2"},
    {"default": 1},
    {"model": {"weights_sha256": "AB" * 32}},
    {"corpus": {"files": [{**SONG, "bytes": -1}]}},
    {"corpus": {"files": [{**SONG, "bytes": 1.5}]}},
    {"audit": {"verdict": "fine"}},
    {"use": {"licence": None}},
    {"more": 1},
    {"title": "x" * 30_000},
]


@pytest.mark.parametrize("change", WRONG)
def test_values_of_other_kinds_are_refused_by_name(change: dict[str, Any]) -> None:
    values = {**Card().as_json(), **change}
    with pytest.raises(CheckpointError, match=f"card: {next(iter(change))}") as caught:
        parse(as_bytes(values), "card")
    assert caught.value.reason == "bad_config"
    assert "\n" not in str(caught.value)


HOSTILE = [
    b"[1]",
    b"{",
    b'{"a": ' * 100_000,
    b'{"schema": "audiogan/card/1", "schema": "audiogan/card/1"}',
    b'{"title": NaN}',
    b'{"title": "\\ud800"}',
    b"\xff\xfe",
    as_bytes(Card().as_json()).replace(b'"limits": {}', b'"limits": {"a": 1e999}'),
    b" " * (provenance.MAX_BYTES + 1),
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bytes_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"^card: ") as caught:
        parse(data, "card")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_the_card_of_an_earlier_run_comes_in() -> None:
    card = parse(as_bytes(RUN), "card")
    assert (card.recipe.name, card.recipe.sha256, card.recipe.torch) == ("own", "12" * 32, "2.13.0")
    assert (card.training.seeds, card.training.steps, card.training.n_seen) == ((4,), 6, 12)
    parent = card.training.parent
    assert isinstance(parent, provenance.Parent)
    assert (parent.name, parent.seeds, parent.parent, parent.steps) == ("first", (9,), None, "unknown")
    assert [(one.name, one.split, one.bytes) for one in card.corpus.files] == [("a.mid", "train", "unknown")]
    assert card.corpus.list_sha256 == list_hash([("ab" * 32, "a.mid")])
    assert (card.corpus.n_duplicates, card.corpus.refused["not_midi"].messages) == (2, ("b.mid: no",))
    assert (card.model.tracks, card.model.highest_pitch, card.model.sample_rate) == (("bass",), 95, None)
    assert card.data.representation == {"lowest_pitch": 24, "n_pitches": 72}
    assert (card.use.licence, card.audit.verdict, card.notes) == ("unknown", "not made", ())


def test_the_card_of_an_earlier_shipped_model_comes_in() -> None:
    rule = {"value": 0.0, "low": 0.0, "high": 0.1, "n": 9, "verdict": "warn"}
    row = {"metric": "kad", "form": "correct", "column": "score_desc", "value": 5, "low": 4, "high": 6}
    row |= {"reference": 5.5, "reference_low": 5, "reference_high": 7, "n": 9, "n_reference": 8, "passes": True}
    old = {
        "seed": [0, 3],
        "stages": [{"steps": 5, "n_seen": 10, "of": "9 steps"}, {"steps": 2, "n_seen": 4}],
        "audit": {"verdict": "warn", "rules": {"A": rule}, "controls": {"planted": "19 of 20"}, "n": {"made": 9}},
        "metrics": {"n": 9, "passed": 1, "judged": 1, "rows": [row, "no row"], "listening": [{"name": "key"}]},
        "known_weaknesses": ["loud"],
        "oddity": {"kept": [1]},
    }
    card = parse(as_bytes(old), "card")
    assert (card.training.seeds, card.training.steps, card.training.n_seen) == ((0, 3), 7, 14)
    (found,) = card.metrics[0].rows
    assert (found.real, found.real_high, found.n_real, found.embedding, found.passes) == (5.5, 7, 8, "score_desc", True)
    assert (card.audit.verdict, card.audit.rules[0].name, card.audit.n_made) == ("warn", "A", 9)
    assert card.audit.controls == (provenance.Control(name="planted", n_held=19, n_draws=20),)
    assert card.notes == ('oddity: {"kept": [1]}',), "nothing that a card said is lost"


def taken(data: bytes) -> Card | None:
    """The card, or None where it is refused as it should be."""
    try:
        return parse(data, "card")
    except CheckpointError:
        return None


@pytest.mark.parametrize("odd", [None, 7, 1e999, "x", [None], {"a": {"b": [{}]}}, True, -3, [[[1]]]])
@pytest.mark.parametrize(
    "name", [*RUN, "audit", "metrics", "stages", "known_weaknesses", "corpus", "default", "compute"]
)
def test_odd_values_in_an_older_card_never_crash(name: str, odd: Any) -> None:
    card = taken(as_bytes({**RUN, name: odd}).replace(b"Infinity", b"1e999"))
    if card is not None:
        assert parse(card.as_bytes(), "again") == card
        markdown(card)


def test_the_text_says_what_a_musician_asks() -> None:
    card = parse(as_bytes({**RUN, "name": "band", "title": "Some music", "licence": "CC0-1.0"}), "card")
    text = markdown(card)
    for told in ("# band: Some music", "Licence of the weights: **CC0-1.0**", "| a friend | CC0-1.0 | 1 |", "not made"):
        assert told in text
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[:4] == [
        "## What it is",
        "## What you may do with it",
        "## What it learnt from",
        "## How good it is",
    ]
    assert summary(card)[0] == "band: Some music"
    assert "copies: not made, whether it copies has not been examined" in summary(card)


def test_no_markup_and_no_line_of_a_foreign_card_gets_through() -> None:
    evil = "x\n# <script>alert(1)</script> [a](http://b) | ![c](d)\x1b[31m"
    card = validated({"name": evil, "title": evil, "use": {"licence": evil, "known_weaknesses": [evil]}}, "card")
    text = markdown(card)
    assert "<" not in text
    assert "](http" not in text.replace("\\](", "")
    assert "\x1b" not in text + "".join(summary(card))
    assert [line for line in text.splitlines() if line.startswith("# ")] == [text.splitlines()[0]]


def test_the_hash_of_a_list_is_that_of_sha256sum_s_lines() -> None:
    files = [("bb", "two"), ("aa", "one")]
    assert (
        list_hash(files) == list_hash(files[::-1]) == "d3e43597bba34c8fb4f4b3bc01d19592c7f9c3ce09d99fea49bb1d2d966fb23c"
    )
