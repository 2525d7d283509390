"""The cards of models as files: read with suspicion, written as `card.json` and `card.md`, judged before a release.

`card.md` is always drawn from `card.json`, so the two never disagree. What an evaluation found is put into a card here,
and `release_findings` names everything that keeps a model from being shipped.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from audiogan.corpus.files import write_whole
from audiogan.corpus.names import escape
from audiogan.errors import CheckpointError
from audiogan.evaluation.cardtext import markdown
from audiogan.evaluation.measured import audit_of, measures_of
from audiogan.evaluation.provenance import MAX_BYTES, UNKNOWN, Card, list_hash, parse, validated

CARD, CARD_TEXT = "card.json", "card.md"
HELD_OUT = "held-out music"


def read_card(folder: Path) -> Card | None:
    """Return the card in a model's folder, also of an earlier version; None where there is none.

    Args:
        folder: With `card.json`.

    Raises:
        CheckpointError: It is too large, cannot be read, or is no card.
    """
    path = folder / CARD
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{escape(path)}: {error.strerror or error}; expected a card", "bad_config") from None
    return parse(data, escape(path))


def write_card(folder: Path, card: Card) -> None:
    """Write a card as JSON for programs and as Markdown for people.

    Args:
        folder: Of the model.
        card: Its card.

    Raises:
        OutputError: The folder cannot be written.
    """
    write_whole(folder / CARD, card.as_bytes())
    write_whole(folder / CARD_TEXT, markdown(card).encode())


def for_pipelines(card: Card) -> dict[str, Any]:
    """Return a card as the pipelines read it: what was learnt from is also under the names that `prepare` gives it.

    Args:
        card: Of a model.
    """
    values = card.as_json()
    corpus = values["corpus"]
    return values | {"summary": {"songs": corpus["files"], "instruments": corpus["instruments"]}}


def with_measures(
    card: Card,
    measured: Mapping[str, Any],
    *,
    name: str = HELD_OUT,
    command: str = UNKNOWN,
    reference: str = UNKNOWN,
    split: str = UNKNOWN,
) -> Card:
    """Return a card with what an evaluation found; its earlier figures of the same name are replaced.

    Args:
        card: Of the model that was measured.
        measured: The JSON of `audiogan evaluate`; its audit replaces the card's, if one was made.
        name: Of the figures.
        command: That measured.
        reference: What the model was compared with.
        split: Of that music: `test`, `valid` or `unknown`.

    Raises:
        CheckpointError: Other weights were measured, or the figures do not fit the schema.
    """
    if measured.get("sha256") != card.model.weights_sha256:
        found = escape(str(measured.get("sha256")))[:64]
        told = f"measures of the weights {found}; expected those of the card, {card.model.weights_sha256}"
        raise CheckpointError(told, "bad_config")
    found = measures_of(measured, name, command, reference, split)
    values = card.as_json()
    others = [one for one in values["metrics"] if one["name"] != name]
    values["metrics"] = [found, *others] if name == HELD_OUT else [*others, found]
    audited = measured.get("audit")
    if isinstance(audited, Mapping):
        values["audit"] = audit_of(audited, measured.get("seed"))
    return validated(values, "the evaluation")


def keep_measures(folder: Path, measured: Mapping[str, Any], command: str, reference: str) -> None:
    """Put what an evaluation found into the card of a model.

    Args:
        folder: Of the model.
        measured: The JSON of `audiogan evaluate`.
        command: That measured.
        reference: What the model was compared with.

    Raises:
        CheckpointError: No card, a damaged one, or one of other weights.
        OutputError: The folder cannot be written.
    """
    card = read_card(folder)
    if card is None:
        raise CheckpointError(f"{escape(folder / CARD)}: not there; expected the card that training wrote", "missing")
    write_card(folder, with_measures(card, measured, command=command, reference=reference))


# ---- before a release


def release_findings(folder: Path) -> list[str]:
    """Return what keeps a model from being shipped, one line each; none for a model that may be.

    A verdict `fail` of the audit does not keep it back where the card's known weaknesses say so.

    Args:
        folder: Of the model.

    Raises:
        CheckpointError: The card cannot be read.
    """
    from audiogan.workflow.model import WEIGHTS, sha256_of

    card = read_card(folder)
    if card is None:
        return [f"{CARD} is not there"]
    findings = [*_licences(card), *_evidence(card), *_listing(card)]
    if card.model.weights_sha256 != sha256_of(folder / WEIGHTS):
        findings.append("model.weights_sha256 is not the hash of the weights")
    text = folder / CARD_TEXT
    if not text.is_file() or text.read_text(encoding="utf-8") != markdown(card):
        findings.append(f"{CARD_TEXT} is not drawn from {CARD}")
    return findings


def _licences(card: Card) -> Iterator[str]:
    """Name every licence that nobody knows."""
    if card.use.licence in ("", UNKNOWN):
        yield "use.licence is unknown"
    for kind, named in (("sources", card.corpus.sources), ("files", card.corpus.files)):
        for number, one in enumerate(named):
            if one.licence in ("", UNKNOWN):
                yield f"corpus.{kind}[{number}] ({escape(one.name)}): licence is unknown"


def _evidence(card: Card) -> Iterator[str]:
    """Name what was not measured, and what is not admitted."""
    audit = card.audit
    if audit.verdict in ("no power", "not judged", "not made"):
        yield f"audit.verdict is {audit.verdict}"
    elif not audit.rules or not audit.controls:
        yield "audit has a verdict without rules and controls"
    if audit.verdict == "fail" and not any("audit" in text for text in card.use.known_weaknesses):
        yield "audit.verdict is fail, and use.known_weaknesses does not name the audit"
    if not any(one.rows for one in card.metrics):
        yield "metrics has no rows"
    for name in ("name", "title"):
        if getattr(card, name) in ("", UNKNOWN):
            yield f"{name} is unknown"
    if card.use.intended in ("", UNKNOWN):
        yield "use.intended is unknown"
    if not card.training.seeds:
        yield "training.seeds is empty"


def _listing(card: Card) -> Iterator[str]:
    """Name what is missing of the list of files."""
    corpus = card.corpus
    if not corpus.files:
        yield "corpus.files is empty"
    for number, one in enumerate(corpus.files):
        if one.sha256 == UNKNOWN:
            yield f"corpus.files[{number}] ({escape(one.name)}): sha256 is unknown"
    if not corpus.n_files_not_listed and corpus.list_sha256 != list_hash(
        (one.sha256, one.name) for one in corpus.files
    ):
        yield "corpus.list_sha256 is not the hash of the files listed"
