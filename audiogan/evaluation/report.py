"""The report of an evaluation: one JSON object and one page, of rows, audit, exhibits and the facts of the card.

It knows no pipeline and computes no figure. The JSON has a fixed order of keys and holds nothing of the hour or the
place, so that two reports can be compared as text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiogan.corpus.names import escape
from audiogan.evaluation.audit import Audit
from audiogan.evaluation.curves import Curve
from audiogan.evaluation.exhibit import Shelf
from audiogan.evaluation.report_page import Page, Table, render
from audiogan.evaluation.rows import ReportRow, summary
from audiogan.evaluation.stages import publish
from audiogan.version import __version__

SCHEMA = "audiogan/evaluation/2"
MOST_FACTS, MOST_CHARACTERS = 80, 400


@dataclass(frozen=True)
class Report:
    """All that a report tells.

    Args:
        facts: What was measured: `pipeline`, `model`, `sha256`, `seed`, counts.
        verdict: In plain words.
        rows: The figures.
        tables: What has another shape, by name: lines of plain values, or one line, or None.
        audit: Of copies; None for none.
        card: The model's own.
        shelves: To hear and see.
        curves: Of the training.
    """

    facts: Mapping[str, Any]
    verdict: tuple[str, ...]
    rows: tuple[ReportRow, ...]
    tables: Mapping[str, Table] = field(default_factory=dict)
    audit: Audit | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    shelves: tuple[Shelf, ...] = ()
    curves: tuple[Curve, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values; what does not exist is None."""
        passed, judged = summary(self.rows)
        return {
            "schema": SCHEMA,
            "audiogan": __version__,
            **self.facts,
            "passed": passed,
            "judged": judged,
            "verdict": list(self.verdict),
            "rows": [row.to_json() for row in self.rows],
            **{name: _jsonable(table) for name, table in self.tables.items()},
            "audit": None if self.audit is None else self.audit.as_json(),
            "card": card_facts(self.card),
            "exhibits": [shelf.to_json() for shelf in self.shelves],
        }

    def as_html(self) -> str:
        """Return the page."""
        return render(
            Page(
                facts={name: _short(value) for name, value in self.facts.items()},
                verdict=self.verdict,
                rows=self.rows,
                tables=self.tables,
                audit=self.audit,
                card=card_facts(self.card),
                shelves=self.shelves,
                curves=self.curves,
            )
        )


def _jsonable(table: Table) -> Any:
    return table if table is None or isinstance(table, Mapping) else list(map(dict, table))


def write(report: Report, folder: Path, markdown: str) -> None:
    """Write `report.html`, `report.md` and last `report.json`, each whole.

    Args:
        report: What to tell.
        folder: Where; it exists.
        markdown: The same as text, by the pipeline.

    Raises:
        OutputError: The folder cannot be written to.
    """
    text = json.dumps(report.as_json(), indent=1, allow_nan=False)
    files = {"report.html": report.as_html(), "report.md": markdown, "report.json": text}
    publish(folder, {name: content.encode() for name, content in files.items()})


def card_facts(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card says in single values, up to two levels deep, as printable text and numbers.

    Example:
        >>> card_facts({"name": "a", "corpus": {"files": 3, "list": [1, 2]}})
        {'name': 'a', 'corpus.files': 3}
    """
    found: dict[str, Any] = {}
    for name, value in card.items():
        inner = value.items() if isinstance(value, Mapping) else ()
        for path, one in ((name, value), *((f"{name}.{key}", one) for key, one in inner)):
            if isinstance(one, str | int | float | bool) and len(found) < MOST_FACTS:
                found[_short(path)] = _short(one)
    return found


def _short(value: Any) -> Any:
    """Text within bounds and printable; a number that is none is left out."""
    if isinstance(value, float) and value - value != 0:
        return None
    if not isinstance(value, str):
        return value
    text = escape(value.encode("utf-8", "backslashreplace").decode())
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
