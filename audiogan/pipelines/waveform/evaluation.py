"""Measure a model: its notes beside held-out real notes of instruments it was not trained on.

The real notes come from the folder `reference` of a shipped model, from the run that made the model, or from any
folder of recordings. Pitches and velocities of the generated notes are those of real ones. Everything else is in
`comparison` (sets of notes, the table) and `listening` (does it do what it is told); `held_out` finds the real notes,
`exhibits` shows some. An evaluation is a list of stages (`stages_of`), so that it can be stopped and goes on.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiogan.adversarial.runtime import seeded
from audiogan.corpus.names import escape
from audiogan.evaluation.audit import Audit
from audiogan.evaluation.curves import Curve, read_curves
from audiogan.evaluation.distances import Scaler, fit_scaler
from audiogan.evaluation.exhibit import Shelf
from audiogan.evaluation.intervals import clopper_pearson
from audiogan.evaluation.report import Report, write
from audiogan.evaluation.rows import Embedding, ReportRow, embedding_of
from audiogan.evaluation.stages import Stage, Tell, check_writable, run_stages
from audiogan.evaluation.usefulness import Use
from audiogan.evaluation.verdict import verdict
from audiogan.pipeline import Model, Progress
from audiogan.pipelines.waveform import note_net
from audiogan.pipelines.waveform.comparison import (
    Row,
    compare_sets,
    copying_rows,
    markdown,
    mean_of,
    only_of_likely,
    row,
    summary,
)
from audiogan.pipelines.waveform.copying import Copying, copying_of
from audiogan.pipelines.waveform.exhibits import exhibits_of
from audiogan.pipelines.waveform.hearing import hearing_rows
from audiogan.pipelines.waveform.held_out import LEAST_NOTES, HeldOut, find
from audiogan.pipelines.waveform.listening import (
    Judged,
    encoder_rows,
    tuning_rows,
    velocity_rows,
)
from audiogan.pipelines.waveform.networks import build
from audiogan.pipelines.waveform.plan import Sheet
from audiogan.pipelines.waveform.rebuilding import reconstruction_rows, way_rows
from audiogan.pipelines.waveform.timbre_vector import NAMES
from audiogan.pipelines.waveform.usefulness import usefulness_of_notes

N_NOTES = 512
FEW, USUAL = 100, 2048
TIMBRE_VECTOR = "timbre vector"
_PARTS = frozenset({"rows", "audit", "shelves", "curves", "card", "embeddings", "usefulness"})


@dataclass(frozen=True)
class Measured:
    """All that was measured of a model.

    Args:
        model, sha256: Name and weights.
        seed: Of the notes and resamples.
        n_generated, n_real, n_instruments: Notes made, real notes, and the instruments of those.
        scaled_on: What the scale of the timbre vector was fitted on.
        split: Where the real notes come from.
        rows: The table.
        embeddings: By what notes become vectors; the form of a row begins with its name.
        usefulness: Whether the notes teach what recordings teach.
        audit: Of copies; None where there was none.
        shelves: To hear and see.
        curves: Of the training, where the model lies in its run.
        card: The model's.
    """

    model: str
    sha256: str
    seed: int
    n_generated: int
    n_real: int
    n_instruments: int
    scaled_on: str
    split: str
    rows: tuple[Row, ...]
    embeddings: tuple[Embedding, ...]
    usefulness: tuple[Use, ...] = ()
    audit: Audit | None = None
    shelves: tuple[Shelf, ...] = ()
    curves: tuple[Curve, ...] = ()
    card: Mapping[str, Any] | None = None

    def report(self) -> Report:
        """Return what goes into the report."""
        facts = {name: value for name, value in vars(self).items() if name not in _PARTS}
        rows = tuple(self._common(one) for one in self.rows)
        beside = f"{self.n_generated} notes beside {self.n_real} real ones of {self.n_instruments} instruments"
        return Report(
            facts={"pipeline": "waveform"} | facts,
            verdict=verdict(rows, self.audit, items="notes", beside=beside, card=self.card),
            rows=rows,
            tables={"usefulness": [one.as_json() for one in self.usefulness]},
            audit=self.audit,
            card=self.card or {},
            shelves=self.shelves,
            curves=self.curves,
        )

    def _common(self, one: Row) -> ReportRow:
        """A row in the shape of every pipeline: what real notes reach is the floor."""
        own = next((own for own in self.embeddings if one.form.startswith(own.name)), Embedding("", ""))
        names = ("metric", "form", "value", "low", "high", "n", "n_real", "floor", "ceiling", "gap", "passes", "note")
        return ReportRow(
            **{name: getattr(one, name) for name in names},
            column="",
            real=one.floor,
            real_low=one.floor_low,
            real_high=one.floor_high,
            split=self.split,
            embedding=own.name,
            embedding_sha256=own.sha256,
            seed=self.seed,
        )

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values; what does not exist is None."""
        return self.report().as_json()

    def as_text(self) -> str:
        """Return the result in a few lines."""
        passed, judged = summary(self.rows)
        beside = f"{self.n_generated} notes beside {self.n_real} real ones of {self.n_instruments} instruments"
        lines = [f"{passed} of {judged} measures are as good as real notes or good enough ({beside})"]
        if self.n_generated < FEW:
            lines.append(f"{self.n_generated} notes are few, so all of this is uncertain; {USUAL:,} are usual")
        named = {one.metric: one for one in reversed(self.rows)}
        for metric in ("kernel_distance", "coverage", "in_tune", "timbre_retrieval", "reconstruction"):
            if metric in named and math.isfinite(named[metric].value):
                one = named[metric]
                name = metric.replace("_", " ")
                lines.append(f"{name} ({one.form}): {one.value:.3g}; real {one.floor:.3g}, untrained {one.ceiling:.3g}")
        if self.audit is not None:
            lines.append(f"copies of training notes: {len(self.audit.copies)}, verdict: {self.audit.verdict}")
        return "\n".join(lines)


def evaluate(
    model: Model,
    *,
    reference: Path | None = None,
    report: Path | None = None,
    count: int = N_NOTES,
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Measured:
    """Measure a model; one that was stopped while it wrote into `report` goes on where it was.

    Args:
        model: Trained networks.
        reference: Folder of recordings; None for the model's own held-out notes.
        report: Folder for `report.json`, `report.html` and `report.md`; None for none.
        count: Notes to generate, and most real notes to compare with; 8 or more.
        seed: The same seed makes the same notes and resamples.
        cache: The prepared corpus that the model learnt from, to look for copies; None for that of its own run, where
            the held-out notes come from there.
        progress: Called with per cent done and 100.

    Raises:
        UsageError: There are no real notes to compare with, or too few.
        CorpusError: The recordings, or the notes that came with the model, cannot be read.
        OutputError: The report cannot be written.
    """
    if report is not None:
        check_writable(report)  # before the minutes of work, not after
    count = max(count, LEAST_NOTES)
    held = find(model, reference, count=count)
    asked = Judged(model, untrained(model, seed), held, scaler_of(held), seed, count)
    depends_on = _depends_on(asked) | {"cache": None if cache is None else str(cache.resolve())}
    results = run_stages(stages_of(asked, reference, cache), report, depends_on, progress)
    found, closest = results["audit"]
    measured = Measured(
        model=model.name,
        sha256=model.sha256,
        seed=seed,
        n_generated=count,
        n_real=len(held),
        n_instruments=len(set(held.groups)),
        scaled_on=f"{len(held.learnt)} training notes" if len(held.learnt) else "the held-out notes",
        split="held out" if reference is None else "reference folder",
        rows=tuple(one for name in ROWS for one in results[name]),
        embeddings=(
            embedding_of(TIMBRE_VECTOR, NAMES, asked.scaler._asdict()),
            Embedding(note_net.NAME, note_net.SHA256),
        ),
        usefulness=tuple(results["usefulness"]),
        audit=found,
        shelves=(*results["exhibits"], *closest),
        curves=read_curves(model.folder.parent / "stats.jsonl"),
        card=model.card,
    )
    if report is not None:
        text = f"# {escape(measured.model)}\n\n{measured.as_text()}\n\n{markdown(measured.rows)}"
        write(measured.report(), report, text)
    return measured


def stages_of(asked: Judged, reference: Path | None, cache: Path | None = None) -> list[Stage]:
    """Return the stages: those of `ROWS`, then what has another shape."""
    stages = [Stage(name, _rows_by(ask, asked), list[Row], share) for name, (ask, share) in ROWS.items()]
    stages.append(Stage("usefulness", lambda *_: list(usefulness_of_notes(asked)), list[Use], 1.0))
    stages.append(Stage("audit", lambda *_: copying_of(asked, reference, cache), Copying, 4.0))
    stages.append(Stage("exhibits", lambda tell, _: exhibits_of(asked, tell), list[Shelf], 1.0))
    return stages


def _rows_by(ask: Callable[[Judged, Tell], Sequence[Row]], asked: Judged) -> Callable[..., Sequence[Row]]:
    return lambda tell, _: ask(asked, tell)


def _depends_on(asked: Judged) -> dict[str, Any]:
    """What all results follow from: weights, networks, options, the real notes and what hears them."""
    held, digest = asked.held, hashlib.sha256()
    for values in vars(held).values():
        if isinstance(values, np.ndarray):
            digest.update(np.ascontiguousarray(values).tobytes())
    config = asked.model.config.model_dump_json()
    real = [digest.hexdigest(), *held.instruments, note_net.SHA256]
    return {"model": asked.model.sha256, "config": config, "count": asked.count, "seed": asked.seed, "real": real}


def scaler_of(held: HeldOut) -> Scaler:
    """Return the scale of the timbre vector: of training notes, or where those are not at hand of the held-out ones."""
    return fit_scaler(held.learnt if len(held.learnt) >= LEAST_NOTES else held.vectors)


def set_rows(asked: Judged, tell: Tell) -> list[Row]:
    """Compare sets of notes with each other; count copies and broken notes.

    Args:
        asked: Model and held-out notes.
        tell: Called with sets made and their number.
    """
    held, seed = asked.held, asked.seed
    made = asked.made
    tell(2, 4)
    poor = asked.poor_made
    tell(3, 4)
    rows = compare_sets(made.vectors, held.vectors, held.groups, poor.vectors, asked.scaler, seed=seed)
    if len(held.learnt) >= LEAST_NOTES:
        rows += copying_rows(made.vectors, held.vectors, held.learnt, held.groups, asked.scaler)
    faults = clopper_pearson(int(made.is_faulty.sum()), len(made.is_faulty))
    ceiling = mean_of(poor.is_faulty.astype(float)).value
    what = "silent, not finite, or off centre"
    rows.append(
        row("broken_notes", what, faults, ceiling=ceiling, larger_is_better=False, enough=0.0, n=len(made.is_faulty))
    )
    return only_of_likely(rows)


def untrained(model: Model, seed: int) -> Model:
    """Return the same networks with the weights they began with, and planes scaled as the model's are."""
    with seeded(seed, "untrained"):
        modules = {name: module.to(model.device).eval() for name, module in build(model.config).items()}
    for name, module in modules.items():
        fitted, sheet = (getattr(one, "sheet", None) for one in (model.modules.get(name), module))
        if isinstance(sheet, Sheet) and isinstance(fitted, Sheet):
            sheet.load_state_dict(fitted.state_dict())
    return Model(modules, model.config, {}, model.folder, pipeline=model.pipeline, device=model.device)


def _quick(ask: Callable[[Judged], Sequence[Row]]) -> Callable[[Judged, Tell], Sequence[Row]]:
    """A question that tells nothing of its progress."""
    return lambda asked, _: ask(asked)


ROWS: dict[str, tuple[Callable[[Judged, Tell], Sequence[Row]], float]] = {
    "sets": (set_rows, 6.0),
    "hearing": (_quick(hearing_rows), 1.0),
    "tuning": (_quick(tuning_rows), 4.0),
    "velocity": (_quick(velocity_rows), 2.0),
    "encoder": (_quick(encoder_rows), 0.5),
    "reconstruction": (_quick(reconstruction_rows), 2.0),
    "way": (_quick(way_rows), 3.0),
}
"""The stages that give rows, by name, in the order of the table, with how long each takes beside the others."""
