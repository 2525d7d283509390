"""The page of a report: one file with all sounds and pictures inside, without a script and without a request.

Every text is escaped, and the browser is told to load nothing from anywhere. The page is well-formed XML too, so that
a test can read it strictly.
"""

import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape as escape_html
from typing import Any

from audiogan.corpus.names import escape
from audiogan.evaluation.audit import Audit
from audiogan.evaluation.curves import Curve, svg
from audiogan.evaluation.exhibit import Exhibit, Shelf
from audiogan.evaluation.report_style import STYLE
from audiogan.evaluation.rows import ReportRow, in_words

MOST_SOUNDS, MOST_BYTES = 40, 15_000_000
"""On a page; what lies beyond is shown without its sound, or not at all."""
HASH_SHOWN = 12
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
Table = Sequence[Mapping[str, Any]] | Mapping[str, Any] | None
_WORDS = {True: ("good", "as real"), False: ("bad", "not as real"), None: ("none", "no verdict")}


@dataclass(frozen=True)
class Page:
    """What stands on the page, as in `report.Report`, with texts cut to bounds."""

    facts: Mapping[str, Any]
    verdict: Sequence[str]
    rows: Sequence[ReportRow]
    tables: Mapping[str, Table]
    audit: Audit | None
    card: Mapping[str, Any]
    shelves: Sequence[Shelf]
    curves: Sequence[Curve]


def render(page: Page) -> str:
    """Return the HTML text of a page."""
    name = text(page.facts.get("model") or "A model")
    sections = [_section("In plain words", _verdict(page.verdict)), *_shelves(page.shelves)]
    sections.append(_section("Figures", _figures(page.rows)))
    if page.audit is not None:
        sections.append(_section("Does it copy?", _audit(page.audit)))
    for title, table in page.tables.items():
        if table:
            lines = [table] if isinstance(table, Mapping) else table
            sections.append(_section(title.capitalize(), _table(_cells(lines), f"What was found: {title}")))
    if page.curves:
        curves = "".join(svg(curve) for curve in page.curves)
        about = "<p>What the run wrote down while it trained, from its first step to its last.</p>\n"
        sections.append(_section("Training", f'{about}<div class="curves">{curves}</div>\n'))
    if page.card:
        sections.append(_section("The model's card", _facts(page.card)))
    links = "".join(f'<li><a href="#s{i}">{heading}</a></li>' for i, (heading, _) in enumerate(sections))
    body = "".join(
        f'<section aria-labelledby="s{i}">\n<h2 id="s{i}">{heading}</h2>\n{inner}</section>\n'
        for i, (heading, inner) in enumerate(sections)
    )
    told = {key: value for key, value in page.facts.items() if key != "model" and value not in (None, "")}
    facts = ", ".join(_fact(key, value) for key, value in told.items())
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"/>\n'
        f"<title>How good is the model {name}?</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n"
        f'<h1>How good is the model {name}?</h1>\n<p class="soft facts">{facts}</p>\n'
        f'<nav aria-label="Parts of this page"><ul>{links}</ul></nav>\n</header>\n{body}'
        f'<footer><p class="soft">Written by audiogan evaluate. This page loads nothing from anywhere.</p></footer>\n'
        f"</main>\n</body>\n</html>\n"
    )


def text(value: Any) -> str:
    """Return a value as text that is safe on the page, also inside quotes."""
    return escape_html(escape(str(value).encode("utf-8", "backslashreplace").decode()), quote=True)


def _fact(name: str, value: Any) -> str:
    """A fact of the head of the page: `n_generated` 64 as "generated 64", a hash by its beginning."""
    shown = str(value)[:HASH_SHOWN] if name.endswith("sha256") else value
    return f"{text(name.removeprefix('n_').replace('_', ' '))} {text(shown)}"


def _section(heading: str, inner: str) -> tuple[str, str]:
    return text(heading), inner


def _verdict(lines: Sequence[str]) -> str:
    return '<div class="verdict">' + "".join(f"<p>{text(line)}</p>" for line in lines) + "</div>\n"


# ---- to hear and see


class _Room:
    """How much still fits on the page."""

    def __init__(self) -> None:
        self.n_sounds, self.n_bytes = MOST_SOUNDS, MOST_BYTES

    def takes(self, data: bytes, *, is_sound: bool = False) -> bool:
        """Whether something fits, which then is taken."""
        size = 4 * -(-len(data) // 3)  # as base64
        fits = bool(data) and size <= self.n_bytes and (self.n_sounds > 0 or not is_sound)
        if fits:
            self.n_bytes -= size
            self.n_sounds -= is_sound
        return fits


def _shelves(shelves: Sequence[Shelf]) -> Iterable[tuple[str, str]]:
    room = _Room()
    for shelf in shelves:
        if shelf.exhibits:
            inner = "".join(_exhibit(exhibit, room) for exhibit in shelf.exhibits)
            kind = "shelf pairs" if shelf.in_pairs else "shelf"
            yield _section(shelf.heading, f'<p>{text(shelf.about)}</p>\n<div class="{kind}">\n{inner}</div>\n')


def _exhibit(exhibit: Exhibit, room: _Room) -> str:
    title, parts = text(exhibit.title), []
    caption = f'<span class="soft">{text(exhibit.caption)}</span>' if exhibit.caption else ""
    parts.append(f"<figcaption><strong>{title}</strong>{caption}</figcaption>\n")
    if room.takes(exhibit.picture):
        width, height = _size_of(exhibit.picture)
        parts.append(
            f'<img alt="{text(exhibit.picture_text)}" width="{width}" height="{height}" '
            f'src="{_data("image/png", exhibit.picture)}"/>\n'
        )
    if exhibit.legend:
        parts.append(f'<p class="soft legend">{_legend(exhibit.legend)}</p>\n')
    if room.takes(exhibit.sound, is_sound=True):
        source = _data("audio/flac", exhibit.sound)
        parts.append(f'<audio controls="controls" preload="metadata" aria-label="{title}" src="{source}"></audio>\n')
    elif exhibit.sound:
        parts.append('<p class="soft">Its sound is left out: this page holds as much as it may.</p>\n')
    if room.takes(exhibit.midi):
        source = _data("audio/midi", exhibit.midi)
        parts.append(f'<p><a download="{_file_name(exhibit.title)}.mid" href="{source}">MIDI file</a></p>\n')
    return '<figure class="exhibit">\n' + "".join(parts) + "</figure>\n"


def _data(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"


def _file_name(title: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in title)[:60].strip("-") or "clip"


def _size_of(picture: bytes) -> tuple[int, int]:
    """Width and height that a PNG declares."""
    return int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")


def _legend(legend: Sequence[tuple[str, tuple[int, int, int]]]) -> str:
    return "".join(
        f'<span><i style="background: rgb({red},{green},{blue})"></i>{text(name)}</span> '
        for name, (red, green, blue) in legend
    )


# ---- tables


def _figures(rows: Sequence[ReportRow]) -> str:
    """The rows that the verdict counts, and the others by form, folded."""
    about = (
        "<p>Every figure with its 95 % interval, beside that of held-out real items. The bar shows where it lies: the "
        "left mark is real, the right mark is an untrained model; a figure beyond an end stands at the edge.</p>\n"
    )
    counted = [row for row in rows if row.counted]
    parts = [about, _measures(counted, "What the verdict counts")]
    for form in dict.fromkeys(row.form for row in rows if not row.counted):
        others = [row for row in rows if not row.counted and row.form == form]
        shown = f"Not counted: {form.replace('_', ' ')} ({len(others)} rows)"
        parts.append(f"<details><summary>{text(shown)}</summary>{_measures(others, shown)}</details>\n")
    return "".join(parts)


def _measures(rows: Sequence[ReportRow], caption: str) -> str:
    head = ["Measure", "Of what", "Model [95 %]", "Real [95 %]", "Real to untrained", "Verdict", "Counted"]
    return _wide([head, *map(_measure, rows)], caption)


def _measure(row: ReportRow) -> list[str]:
    kind, word = _WORDS[row.passes]
    of = ", ".join(part for part in (row.column, row.form.replace("_", " ")) if part)
    note = f'<br/><span class="soft">{text(row.note)}</span>' if row.note else ""
    counts = f"{row.n}, real {row.n_real}" if row.n_real else str(row.n)
    return [
        f'<th scope="row">{text(in_words(row.metric))}</th>',
        f'<td class="of">{text(of)}{note}</td>',
        f'<td class="number">{_interval(row.value, row.low, row.high)}</td>',
        f'<td class="number">{_interval(row.real, row.real_low, row.real_high)}</td>',
        f"<td>{_bar(row)}</td>",
        f'<td><span class="{kind}">{word}</span></td>',
        f'<td class="number">{counts}</td>',
    ]


def _interval(value: float, low: float, high: float) -> str:
    return f"{_number(value)} [{_number(low)}, {_number(high)}]" if math.isfinite(value) else "–"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"


def _bar(row: ReportRow) -> str:
    """A mark between real (left) and untrained (right): round where it passes, square where it does not."""
    if not math.isfinite(row.gap):
        return '<span class="soft">–</span>'
    place, kind = 20 + 80 * min(max(row.gap, -0.2), 1.2), _WORDS[row.passes][0]
    mark = f'<circle class="{kind}" cx="{place:.1f}" cy="9" r="5"/>'
    if row.passes is False:
        mark = f'<rect class="{kind}" x="{place - 4.5:.1f}" y="4.5" width="9" height="9"/>'
    told = f"gap {row.gap:.2f}, floor {_number(row.floor)}, ceiling {_number(row.ceiling)}"
    return (
        f'<svg class="bar" viewBox="0 0 120 18" role="img" aria-label="{told}"><title>{told}</title>'
        '<line x1="4" y1="9" x2="116" y2="9"/><line x1="20" y1="3" x2="20" y2="15"/>'
        f'<line x1="100" y1="3" x2="100" y2="15"/>{mark}</svg>'
    )


def _audit(audit: Audit) -> str:
    rules = [
        {
            "rule": rule.name,
            "value": rule.value,
            "95 % interval": f"{_number(rule.low)} to {_number(rule.high)}",
            "n": rule.n,
            "verdict": rule.verdict,
        }
        for rule in audit.rules
    ]
    controls = [
        {"control": one.name, "came out right": f"{one.n_held} of {one.n_draws}", "holds": one.holds}
        for one in audit.controls
    ]
    about = f"{audit.n_made} made, {audit.n_learnt} learnt from, {audit.n_held_out} held out. Verdict: {audit.verdict}."
    parts = [f"<p>{text(about)}</p>\n"]
    parts += [_table(_cells(rules), "Rules, each a share with its interval")] if rules else []
    parts += [_table(_cells(controls), "Controls: can the audit see copies at all?")] if controls else []
    return "".join(parts)


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [names, *([_plain(row.get(name)) for name in names] for row in rows)]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return "–" if value is None else str(value)


def _table(cells: Sequence[Sequence[str]], caption: str) -> str:
    """Plain cells, the first of each line its heading."""
    head, *lines = cells
    body = [
        [f'<th scope="row">{text(line[0])}</th>', *(f'<td class="number">{text(cell)}</td>' for cell in line[1:])]
        for line in lines
    ]
    return _wide([[name.replace("_", " ") for name in head], *body], caption)


def _wide(cells: Sequence[Sequence[str]], caption: str) -> str:
    """A table that scrolls by itself where the screen is narrow; the first line is plain text."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in cells[0])
    body = "".join(f"<tr>{''.join(line)}</tr>\n" for line in cells[1:])
    name = text(caption)
    return (
        f'<div class="wide" role="region" aria-label="{name}" tabindex="0"><table><caption>{name}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _facts(facts: Mapping[str, Any]) -> str:
    pairs = (f"<dt>{text(name.replace('_', ' '))}</dt><dd>{text(_plain(value))}</dd>" for name, value in facts.items())
    return f"<dl>{''.join(pairs)}</dl>\n"
