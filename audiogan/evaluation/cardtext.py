"""A card for people: the Markdown beside `card.json`, and a few lines for a terminal.

What it is, what one may do with it, what it learnt from, how good it is, whether it copies, how it was made. Files are
grouped by origin and licence; figures that can be compared with an untrained network come first. Every text of the card
is shown as text: no markup of Markdown or HTML in it works.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from audiogan.corpus.names import escape
from audiogan.evaluation.provenance import UNKNOWN, Audit, Card, Corpus, Measures, Row

MAX_ROWS = 40
_MAX_GROUPS = 50
_VERDICTS = {
    "pass": "no sign of copying was found",
    "warn": "there are signs of closeness to the training data",
    "fail": "what it makes lies too near to the training data by at least one rule",
    "no power": "the audit could not have seen copies, so it says nothing",
    "not judged": "nothing was judged",
    "not made": "whether it copies has not been examined",
}


def markdown(card: Card) -> str:
    """Return the text of `card.md`.

    Args:
        card: Of a model.
    """
    title = card.title if card.title != UNKNOWN else f"A model of pipeline {card.model.pipeline}"
    parts = [
        f"# {_text(card.name)}: {_text(title)}\n",
        "The card of a model made with audiogan, drawn from `card.json`, which has everything in full.\n",
        "## What it is\n",
        *_facts(_identity(card)),
        "\n## What you may do with it\n",
        *_use(card),
        "\n## What it learnt from\n",
        *_corpus(card.corpus),
        "\n## How good it is\n",
        *_measures(card.metrics),
        "\n## Does it copy\n",
        *_audit(card.audit),
        "\n## How it was made\n",
        *_facts(_making(card)),
        *_stages(card),
        *_listed("\n## What was tried\n", card.tried),
        *_listed("\n## Notes\n", card.notes),
    ]
    return "\n".join(parts).rstrip() + "\n"


def summary(card: Card) -> list[str]:
    """Return the card in a few lines for a terminal.

    Args:
        card: Of a model.
    """
    corpus, model = card.corpus, card.model
    lines = [
        f"{escape(card.name)}: {escape(card.title)}",
        f"weights: {escape(card.use.licence)}, sha256 {model.weights_sha256}",
    ]
    lines.append(f"makes: {_made(card)}")
    groups = [f"{n} from {escape(origin)} ({escape(licence)})" for (origin, licence), n in _groups(corpus)[:5]]
    lines.append(f"learnt from: {', '.join(groups) or UNKNOWN}{_more(len(_groups(corpus)), 5)}")
    for measures in card.metrics:
        first = measures.rows[0] if measures.rows else None
        told = "" if first is None else f"; {escape(first.metric)} {_interval(first)}, real {_number(_real(first))}"
        lines.append(f"{escape(measures.name)}: {_passed(measures)}{told}")
    lines.append(f"copies: {card.audit.verdict}, {_VERDICTS[card.audit.verdict]}")
    lines += [f"known weakness: {_short(text)}" for text in card.use.known_weaknesses]
    return lines


# ---- sections


def _identity(card: Card) -> Iterable[tuple[str, str]]:
    model = card.model
    yield "Makes", _made(card)
    yield "Networks", ", ".join(f"{name} {_count(n)}" for name, n in model.parameters.items()) or UNKNOWN
    yield "Averages", model.averages
    if model.average_width is not None:
        yield "Width of the average", _number(model.average_width)
    if model.calibration != UNKNOWN:
        yield "Calibration", model.calibration
    yield "Weights", f"`model.safetensors`, sha256 {model.weights_sha256}"


def _made(card: Card) -> str:
    model = card.model
    pitches = f"pitches {_number(model.lowest_pitch)} to {_number(model.highest_pitch)}"
    if model.tracks:
        return f"MIDI clips of the tracks {', '.join(map(_text, model.tracks))}; {pitches}"
    rate = model.sample_rate
    return f"{_text(model.pipeline)}, {pitches}, {rate if rate is not None else 'no'} Hz"


def _use(card: Card) -> list[str]:
    use = card.use
    lines = [f"Licence of the weights: **{_text(use.licence)}**. {_text(use.licence_note)}".rstrip()]
    lines += [f"\nMeant for: {_text(use.intended)}"]
    return [*lines, *_listed("\nKnown weaknesses:\n", use.known_weaknesses)]


def _corpus(corpus: Corpus) -> list[str]:
    rows = [[origin, licence, _count(n)] for (origin, licence), n in _groups(corpus)]
    lines = _table(["Origin", "Licence", "Files"], rows[:_MAX_GROUPS]) if rows else ["Unknown."]
    lines += [f"\n{len(rows) - _MAX_GROUPS} more origins are in `card.json`."] if len(rows) > _MAX_GROUPS else []
    facts = [("Totals", _counts(corpus.totals)), ("Examples by split", _counts(corpus.clips))]
    facts += [("Instruments by split", _counts(Counter(one.split for one in corpus.instruments)))]
    facts += [("Files by split", _counts(Counter(one.split for one in corpus.files)))]
    refused = {code: found.n for code, found in corpus.refused.items()}
    facts += [("Refused, by reason", _counts(refused) or "none"), ("Duplicates left out", _count(corpus.n_duplicates))]
    if corpus.n_files_not_listed:
        facts.append(("Files that `card.json` does not list", _count(corpus.n_files_not_listed)))
    opted = UNKNOWN if isinstance(corpus.opt_out, str) else str(len(corpus.opt_out))
    facts += [("Left out on request", opted), ("Hash of the list of files", corpus.list_sha256)]
    return [*lines, "", *_facts((name, told) for name, told in facts if told)]


def _groups(corpus: Corpus) -> list[tuple[tuple[str, str], int]]:
    """Return how many files come from each origin under each licence, the most first."""
    return Counter((one.origin or UNKNOWN, one.licence) for one in corpus.files).most_common()


def _measures(metrics: Sequence[Measures]) -> list[str]:
    if not metrics:
        return ["Not measured."]
    lines = []
    for measures in metrics:
        lines.append(f"### {_text(measures.name)}\n")
        lines.append(f"{_passed(measures)}. Compared with {_text(measures.reference)}; by {_text(measures.command)}.\n")
        told = sorted(measures.rows, key=lambda row: row.ceiling is None)[:MAX_ROWS]
        head = ["Figure", "Value [95 %]", "Real", "Real to real (floor)", "Untrained (ceiling)", "n", "Like real"]
        lines += _table(head, [_row(row) for row in told])
        left = len(measures.rows) - len(told)
        lines += [f"\n{left} more figures are in `card.json`."] if left else []
        lines += [_agreement(one) for one in measures.listening]
        lines.append("")
    return lines[:-1]


def _row(row: Row) -> list[str]:
    name = ", ".join(part for part in (row.metric, row.form, row.column) if part)
    passes = {True: "yes", False: "no", None: "–"}[row.passes]
    figures = [_interval(row), _number(_real(row)), _number(row.floor), _number(row.ceiling)]
    return [name, *figures, _count(row.n), passes]


def _real(row: Row) -> float | None:
    return row.floor if row.real is None else row.real


def _agreement(one: dict[str, Any]) -> str:
    """Say how closely what was made follows what it was made for; 1 is as real music does."""
    low, high = (_number(one.get(name)) for name in ("listen_low", "listen_high"))
    return (
        f"\nListens by {_text(str(one.get('name', '')))}: {_number(one.get('listen'))} [{low}, {high}] of real music."
    )


def _audit(audit: Audit) -> list[str]:
    lines = [f"Verdict: **{audit.verdict}**: {_VERDICTS[audit.verdict]}."]
    lines += [f"\n{_text(audit.in_words)}"] if audit.in_words != UNKNOWN else []
    if audit.rules:
        rules = [[one.name, _bounds(one.value, one.low, one.high), _count(one.n), one.verdict] for one in audit.rules]
        lines += ["", *_table(["Rule", "Value [95 %]", "n", "Verdict"], rules)]
        lines.append("")
        lines += [f"- {_text(one.name)}: {one.n_held} of {one.n_draws}" for one in audit.controls]
        counts = f"{audit.n_made} made, {audit.n_held_out} held out, {audit.n_learnt} learnt from"
        lines.append(f"- Examples: {counts}")
    return lines


def _making(card: Card) -> Iterable[tuple[str, str]]:
    recipe, training, effort = card.recipe, card.training, card.training.effort
    yield "Recipe", f"{recipe.name}, sha256 {recipe.sha256}"
    libraries = [f"{name} {version}" for name, version in recipe.libraries.items()]
    programs = [f"audiogan {recipe.audiogan}", f"Python {recipe.python}", f"torch {recipe.torch}", *libraries]
    yield "Programs", ", ".join(programs)
    yield "Source revision", recipe.source_revision
    yield "Seeds", ", ".join(map(str, training.seeds)) or UNKNOWN
    yield "Steps", f"{_count(training.steps)}, {_count(training.n_seen)} examples; budget {training.budget}"
    parent = training.parent
    yield "Began with", "nothing" if parent is None else parent if isinstance(parent, str) else parent.name
    if effort.in_words != UNKNOWN:
        yield "Effort", effort.in_words
    yield "Device", f"{effort.device}, {effort.threads} threads, {effort.processes} processes"
    yield "Time", f"{_number(effort.wall_seconds)} s, of the processor {_number(effort.cpu_seconds)} s"
    yield (
        "Speed and memory",
        f"{_number(effort.examples_per_second)} examples a second, {_number(effort.peak_memory_mib)} MiB",
    )
    alarms = effort.alarms if isinstance(effort.alarms, str) else ", ".join(effort.alarms) or "none"
    yield "Incidents", f"restarts {effort.restarts}, rollbacks {effort.rollbacks}, alarms {alarms}"
    yield "Normaliser", card.data.normaliser
    fonts = [f"{font.name} {font.version}" for font in card.data.fonts]
    yield "Renderer", "; ".join([card.data.renderer, *fonts])


def _stages(card: Card) -> list[str]:
    stages = card.training.stages
    rows = [[str(n), _count(one.steps), _count(one.n_seen), one.about] for n, one in enumerate(stages, 1)]
    return ["", *_table(["Stage", "Steps", "Examples", "What"], rows)] if rows else []


# ---- words


def _facts(facts: Iterable[tuple[str, str]]) -> list[str]:
    return [f"- {name}: {_text(told)}" for name, told in facts]


def _listed(heading: str, texts: Sequence[str]) -> list[str]:
    return [heading, *(f"- {_text(text)}" for text in texts)] if texts else []


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(map(_text, row))} |" for row in rows)]


def _text(text: str) -> str:
    """Show a text in one line, without anything that Markdown or HTML would act on; single backticks stay."""
    shown = escape(re.sub(r"\s+", " ", text))
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*]|\](?=[(\[])|(?<!\w)_|_(?!\w)|^[#+-](?= ))", r"\\\1", shown)


def _short(text: str, n_characters: int = 160) -> str:
    shown = escape(" ".join(text.split()))
    return shown if len(shown) <= n_characters else f"{shown[: n_characters - 1].rpartition(' ')[0] or shown[:8]} …"


def _passed(measures: Measures) -> str:
    return f"{measures.passed} of {measures.judged} figures are like real music ({_count(measures.n)} made)"


def _interval(row: Row) -> str:
    return _bounds(row.value, row.low, row.high)


def _bounds(value: float | None, low: float | None, high: float | None) -> str:
    return f"{_number(value)} [{_number(low)}, {_number(high)}]"


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value if isinstance(value, str) else "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _count(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _counts(values: "dict[str, Any] | Counter[str]") -> str:
    return ", ".join(f"{name.removeprefix('n_').replace('_', ' ')} {_count(n)}" for name, n in values.items())


def _more(n_found: int, n_shown: int) -> str:
    return f" and {n_found - n_shown} more" if n_found > n_shown else ""
