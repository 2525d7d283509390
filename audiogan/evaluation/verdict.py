"""What an evaluation comes to, in plain words: what is as good as real, what is not, does it copy, how sure is that."""

from collections.abc import Mapping, Sequence
from typing import Any

from audiogan.evaluation.audit import LEAST_HELD_OUT, Audit
from audiogan.evaluation.rows import ReportRow, in_words, summary

DISTANCES = ("kad", "kernel_distance")
"""The headline distance of either pipeline."""
_MOST_NAMED = 12


def verdict(
    rows: Sequence[ReportRow], audit: Audit | None, *, items: str, beside: str, card: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """Say in a few sentences what was found.

    Args:
        rows: All of the report.
        audit: Of copies; None where the training items are not at hand.
        items: What the model makes: `notes` or `clips`.
        beside: What was compared, such as `512 notes with 128 real ones of 12 instruments`.
        card: The model's, which may tell of an audit that was made where the training items were at hand.
    """
    copied = [copies(audit, rows, items), *([] if audit is not None else _by_card(card or {}))]
    return (*_distance(rows, items), *_likeness(rows, items), *copied, *_certainty(rows, beside))


def _by_card(card: Mapping[str, Any]) -> list[str]:
    """What the model's card says of copies."""
    told = card.get("audit")
    if not isinstance(told, Mapping) or told.get("verdict") not in ("pass", "warn", "fail", "no power"):
        return []
    words = told.get("in_words")
    return [f"Its card tells of an audit with the verdict {told['verdict']}" + (f": {words}" if words else ".")]


def _distance(rows: Sequence[ReportRow], items: str) -> list[str]:
    """As a set: the headline distance."""
    found = [row for row in rows if row.metric in DISTANCES]
    row = next((row for row in found if row.passes is not None), None)
    if row is None:
        return [f"How near its {items} lie to real ones as a set cannot be said ({found[0].note})."] if found else []
    figures = f"distance {row.value:.3g}, real to real {row.real:.3g}, untrained {row.ceiling:.3g}"
    if row.passes:
        return [f"As a set, its {items} lie as near to held-out real {items} as those lie to each other ({figures})."]
    way = f" {100 * row.gap:.0f} % of the way from real to untrained" if row.gap == row.gap else ""
    return [f"As a set, its {items} can be told from held-out real {items}:{way} ({figures})."]


def _likeness(rows: Sequence[ReportRow], items: str) -> list[str]:
    """Which measures pass, by name."""
    passed, judged = summary(rows)
    if not judged:
        return ["No measure could be judged: too little real material to compare with."]
    lines = [f"{passed} of {judged} measures are as good as real {items}, or good enough."]
    good, partly, bad = [], [], []
    for metric in dict.fromkeys(row.metric for row in rows if row.is_judged):
        verdicts = [row.passes for row in rows if row.metric == metric and row.is_judged]
        (good if all(verdicts) else partly if any(verdicts) else bad).append(metric)
    told = (("As good as real", good), ("In part", partly), ("Not as good as real", bad))
    return lines + [f"{word}: {_named(names)}." for word, names in told if names]


def _named(metrics: Sequence[str]) -> str:
    shown = ", ".join(map(in_words, metrics[:_MOST_NAMED]))
    more = len(metrics) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def copies(audit: Audit | None, rows: Sequence[ReportRow], items: str) -> str:
    """Say whether it copies.

    Args:
        audit: None where there was none; then a row `copies`, a hint only, is told.
        rows: All of the report.
        items: What the model makes.
    """
    if audit is None:
        hint = next((row for row in rows if row.metric == "copies" and row.value == row.value), None)
        near = ""
        if hint is not None:
            near = f" {100 * hint.value:.2g} % of its {items} lie nearer to a training item than real ones do;"
            near += " that is a hint, no proof."
        return f"Whether it copies was not audited: what it learnt from is not at hand.{near}"
    found = f"{len(audit.copies)} of {audit.n_made} {items}"
    share = next((rule for rule in audit.rules if rule.name.startswith("A")), None)
    interval = "" if share is None else f" (95 % interval {100 * share.low:.2g} to {100 * share.high:.2g} %)"
    near = f"{found} lie as near to one of {audit.n_learnt} training {items} as only a copy does{interval}"
    if audit.verdict == "no power":
        return f"Whether it copies cannot be said: {_powerless(audit, items)}. For what it is worth, {near}."
    told = {
        "pass": "No sign that it copies",
        "warn": "It may copy now and then",
        "fail": "It copies",
    }[audit.verdict]
    return f"{told}: {near}. Copies planted among them were found, and held-out {items} were not taken for copies."


def _powerless(audit: Audit, items: str) -> str:
    failed = [control.name for control in audit.controls if not control.holds]
    if audit.n_held_out < LEAST_HELD_OUT or not failed:
        return f"{audit.n_held_out} {items} are held out, {LEAST_HELD_OUT} are needed"
    return "the audit failed its own test (" + ", ".join(failed) + ")"


def _certainty(rows: Sequence[ReportRow], beside: str) -> list[str]:
    """What the figures rest on, and how many verdicts hang on chance."""
    judged = [row for row in rows if row.is_judged]
    close = [row for row in judged if not row.passes and row.low <= row.real_high and row.real_low <= row.high]
    sure = f"How sure: the figures rest on {beside}. Brackets hold 95 % intervals: how much the draw of the material"
    lines = [f"{sure} matters, not how another training of the same recipe would come out."]
    if close:
        n_failed = len(judged) - summary(judged)[0]
        told = f"{len(close)} of the {n_failed} measures that fail are close calls"
        lines.append(f"{told}: their interval and that of real material overlap.")
    silent = sum(row.counted and row.passes is None for row in rows)
    if silent:
        lines.append(f"{silent} measures carry no verdict; their rows say why, or what they are compared with.")
    return lines
