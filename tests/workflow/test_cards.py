"""Cards as files: what is written and read, what an evaluation puts in, and what keeps a model from being shipped."""

from pathlib import Path
from typing import Any

import pytest

from audiogan.errors import CheckpointError
from audiogan.evaluation.cardtext import markdown
from audiogan.evaluation.provenance import Card, list_hash, parse, validated
from audiogan.workflow.cards import for_pipelines, keep_measures, read_card, release_findings, with_measures, write_card
from audiogan.workflow.model import PRETRAINED, sha256_of

SHIPPED = sorted(path.parent.name for path in PRETRAINED.glob("*/card.json"))

ROW = {"metric": "kad", "form": "correct", "column": "score_desc", "value": 5.0, "low": 4.0, "high": 6.0}
ROW |= {"reference": 5.5, "floor": 5.4, "ceiling": 90.0, "n": 9, "n_reference": 8, "passes": True}
RULE = {"name": "A hard copies", "value": 0.0, "low": 0.0, "high": 0.1, "n": 9, "verdict": "pass"}
MEASURED: dict[str, Any] = {
    "model": "band",
    "sha256": "cd" * 32,
    "seed": 3,
    "n_generated": 9,
    "passed": 1,
    "judged": 1,
    "rows": [ROW],
    "listening": [{"name": "key", "listen": 0.9}],
    "copying": {"n_distinct": 9},
    "audit": {
        "verdict": "pass",
        "rules": [RULE],
        "controls": [{"name": "planted copies found", "n_held": 20, "n_draws": 20}],
        "limits": {"cells": 0.1},
        "copies": [],
        "pairs": [{"made": 1, "learnt": 2, "view": "cells", "distance": 0.2}],
        "n_learnt": 30,
        "n_held_out": 10,
        "n_made": 9,
    },
}


@pytest.fixture
def card() -> Card:
    song = {"name": "a.mid", "sha256": "ab" * 32, "licence": "CC0-1.0", "split": "train"}
    corpus = {"files": [song], "list_sha256": list_hash([(song["sha256"], song["name"])])}
    values = {"name": "band", "title": "Music", "corpus": corpus, "model": {"weights_sha256": "cd" * 32}}
    values |= {"use": {"licence": "CC0-1.0", "intended": "play"}, "training": {"seeds": [1]}}
    return validated(values, "card")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_cards_follow_the_schema_and_their_text_is_drawn_from_them(name: str) -> None:
    data = (PRETRAINED / name / "card.json").read_bytes()
    assert b'"schema": "audiogan/card/1"' in data[:60]
    card = parse(data, name)
    assert card.as_bytes() == data
    assert (PRETRAINED / name / "card.md").read_text(encoding="utf-8") == markdown(card)


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_keeps_a_shipped_model_back(name: str) -> None:
    assert release_findings(PRETRAINED / name) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_failed_audit_is_among_the_known_weaknesses(name: str) -> None:
    card = read_card(PRETRAINED / name)
    assert card is not None
    assert card.audit.verdict == "fail"
    assert any("audit" in text for text in card.use.known_weaknesses)


def test_a_card_is_written_for_programs_and_for_people(tmp_path: Path, card: Card) -> None:
    assert read_card(tmp_path) is None
    write_card(tmp_path, card)
    assert read_card(tmp_path) == card
    assert (tmp_path / "card.md").read_text() == markdown(card)
    assert for_pipelines(card)["summary"]["songs"][0]["sha256"] == "ab" * 32


def test_measures_get_into_the_card(tmp_path: Path, card: Card) -> None:
    write_card(tmp_path, card)
    keep_measures(tmp_path, MEASURED, "audiogan evaluate", "songs of friends")
    found = read_card(tmp_path)
    assert found is not None
    (measures,) = found.metrics
    assert (measures.reference, measures.n, measures.passed, measures.seed) == ("songs of friends", 9, 1, 3)
    (row,) = measures.rows
    assert (row.value, row.real, row.floor, row.ceiling, row.n_real, row.seed) == (5.0, 5.5, 5.4, 90.0, 8, 3)
    assert (found.audit.verdict, found.audit.n_copies, found.audit.n_made, found.audit.seed) == ("pass", 0, 9, 3)
    assert "| kad, correct, score_desc | 5 [4, 6] | 5.5 | 5.4 | 90 | 9 | yes |" in (tmp_path / "card.md").read_text()


def test_other_measures_stand_beside_and_the_same_are_replaced(card: Card) -> None:
    first = with_measures(card, MEASURED)
    second = with_measures(first, {**MEASURED, "audit": None, "rows": []}, name="all programs", split="test")
    assert [one.name for one in second.metrics] == ["held-out music", "all programs"]
    assert second.audit == first.audit, "an evaluation without an audit takes none away"
    again = with_measures(second, {**MEASURED, "n_generated": 11})
    assert [(one.name, one.n) for one in again.metrics] == [("held-out music", 11), ("all programs", 9)]


def test_measures_of_other_weights_are_refused(tmp_path: Path, card: Card) -> None:
    with pytest.raises(CheckpointError, match="measures of the weights abc; expected those of the card"):
        with_measures(card, {**MEASURED, "sha256": "abc"})
    with pytest.raises(CheckpointError, match=r"card\.json: not there"):
        keep_measures(tmp_path, MEASURED, "audiogan evaluate", "songs")


def released(folder: Path, card: Card, **changes: Any) -> list[str]:
    """Findings about a model with these weights and a card that is changed at `block__name`."""
    (folder / "model.safetensors").write_bytes(b"weights")
    values = with_measures(card, MEASURED).as_json()
    values["model"]["weights_sha256"] = sha256_of(folder / "model.safetensors")
    for place, value in changes.items():
        block, _, name = place.partition("__")
        values[block] = values[block] | {name: value} if name else value
    write_card(folder, validated(values, "card"))
    return release_findings(folder)


def test_a_model_with_a_whole_card_may_be_shipped(tmp_path: Path, card: Card) -> None:
    assert released(tmp_path, card) == []


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"use__licence": "unknown"}, "use.licence is unknown"),
    ({"audit__verdict": "no power"}, "audit.verdict is no power"),
    ({"audit__verdict": "not made"}, "audit.verdict is not made"),
    ({"audit__controls": []}, "audit has a verdict without rules and controls"),
    ({"audit__verdict": "fail"}, "audit.verdict is fail, and use.known_weaknesses does not name the audit"),
    ({"metrics": []}, "metrics has no rows"),
    ({"corpus__list_sha256": "00" * 32}, "corpus.list_sha256 is not the hash of the files listed"),
    ({"corpus__sources": [{"name": "disk"}]}, "corpus.sources[0] (disk): licence is unknown"),
    ({"model__weights_sha256": "00" * 32}, "model.weights_sha256 is not the hash of the weights"),
    ({"training__seeds": []}, "training.seeds is empty"),
]


@pytest.mark.parametrize(("changes", "finding"), CHANGES)
def test_everything_that_keeps_a_model_back_is_named(
    tmp_path: Path, card: Card, changes: dict[str, Any], finding: str
) -> None:
    assert released(tmp_path, card, **changes) == [finding]


def test_a_file_of_unknown_licence_or_content_keeps_a_model_back(tmp_path: Path, card: Card) -> None:
    files = [{"name": "a.mid"}]
    found = released(tmp_path, card, corpus__files=files, corpus__list_sha256=list_hash([("unknown", "a.mid")]))
    assert found == [f"corpus.files[0] (a.mid): {what} is unknown" for what in ("licence", "sha256")]


def test_a_text_of_another_card_keeps_a_model_back(tmp_path: Path, card: Card) -> None:
    released(tmp_path, card)
    (tmp_path / "card.md").write_text("All is well.\n")
    assert release_findings(tmp_path) == ["card.md is not drawn from card.json"]
    assert release_findings(tmp_path / "nowhere") == ["card.json is not there"]
