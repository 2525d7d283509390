"""Measure a model: its notes beside held-out real notes of instruments it was not trained on.

The real notes come from the folder `reference` of a shipped model, from the run that made the model, or from any
folder of recordings. Pitches and velocities of the generated notes are those of real ones. Everything else is in
`comparison` (sets of notes, the table) and `listening` (does it do what it is told); `held_out` finds the real notes.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiogan.adversarial.runtime import seeded
from audiogan.corpus.files import write_whole
from audiogan.corpus.names import escape
from audiogan.errors import OutputError
from audiogan.evaluation.distances import Scaler, fit_scaler
from audiogan.evaluation.intervals import clopper_pearson
from audiogan.pipeline import Model, Progress
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
from audiogan.pipelines.waveform.held_out import LEAST_NOTES, HeldOut, find
from audiogan.pipelines.waveform.listening import (
    Judged,
    encoder_rows,
    tuning_rows,
    velocity_rows,
)
from audiogan.pipelines.waveform.measuring import Measures, measure_made
from audiogan.pipelines.waveform.networks import build
from audiogan.pipelines.waveform.plan import Sheet
from audiogan.pipelines.waveform.rebuilding import reconstruction_rows, way_rows
from audiogan.pipelines.waveform.timbre import random_timbre
from audiogan.pipelines.waveform.voice import Played

N_NOTES = 512
N_POOR = 256
SCHEMA = "audiogan/evaluation/1"


@dataclass(frozen=True)
class Measured:
    """All that was measured of a model.

    Args:
        model, sha256: Name and weights.
        seed: Of the notes and resamples.
        n_generated, n_real, n_instruments: Notes made, real notes, and the instruments of those.
        scaled_on: What the scale of the timbre vector was fitted on.
        rows: The table.
    """

    model: str
    sha256: str
    seed: int
    n_generated: int
    n_real: int
    n_instruments: int
    scaled_on: str
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values; what does not exist is None."""
        passed, judged = summary(self.rows)
        facts = {name: value for name, value in vars(self).items() if name != "rows"}
        rows = [one.to_json() for one in self.rows]
        return {"schema": SCHEMA, "pipeline": "waveform"} | facts | {"passed": passed, "judged": judged, "rows": rows}

    def as_text(self) -> str:
        """Return the result in a few lines."""
        passed, judged = summary(self.rows)
        beside = f"{self.n_generated} notes beside {self.n_real} real ones of {self.n_instruments} instruments"
        lines = [f"{passed} of {judged} measures are as good as real notes or good enough ({beside})"]
        named = {one.metric: one for one in reversed(self.rows)}
        for metric in ("kernel_distance", "coverage", "in_tune", "timbre_retrieval", "reconstruction"):
            if metric in named and math.isfinite(named[metric].value):
                one = named[metric]
                name = metric.replace("_", " ")
                lines.append(f"{name} ({one.form}): {one.value:.3g}; real {one.floor:.3g}, untrained {one.ceiling:.3g}")
        return "\n".join(lines)


def evaluate(
    model: Model,
    *,
    reference: Path | None = None,
    report: Path | None = None,
    count: int = N_NOTES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measured:
    """Measure a model.

    Args:
        model: Trained networks.
        reference: Folder of recordings; None for the model's own held-out notes.
        report: Folder for `report.json` and `report.md`; None for none.
        count: Notes to generate, and most real notes to compare with; 8 or more.
        seed: The same seed makes the same notes and resamples.
        progress: Called with stages done and their number.

    Raises:
        UsageError: There are no real notes to compare with, or too few.
        CorpusError: The recordings, or the notes that came with the model, cannot be read.
        OutputError: The report cannot be written.
    """
    if report is not None:
        _make_folder(report)  # before the minutes of work, not after
    count = max(count, LEAST_NOTES)
    stages = (_set_rows, tuning_rows, velocity_rows, encoder_rows, reconstruction_rows, way_rows)
    done = 1

    def tell() -> None:
        if progress is not None:
            progress(done, len(stages) + 1)

    held = find(model, reference, count=count)
    asked = Judged(model, untrained(model, seed), held, _scaler(held), seed, count)
    rows: list[Row] = []
    tell()
    for stage in stages:
        rows += stage(asked)
        done += 1
        tell()
    scaled_on = f"{len(held.learnt)} training notes" if len(held.learnt) else "the held-out notes"
    n_instruments = len(set(held.groups))
    measured = Measured(model.name, model.sha256, seed, count, len(held), n_instruments, scaled_on, tuple(rows))
    if report is not None:
        _write(measured, report)
    return measured


def _scaler(held: HeldOut) -> Scaler:
    return fit_scaler(held.learnt if len(held.learnt) >= LEAST_NOTES else held.vectors)


def _set_rows(asked: Judged) -> list[Row]:
    """Sets of notes against each other, copies, and broken notes."""
    held, seed = asked.held, asked.seed
    made, poor = generated(asked, asked.model, asked.count), generated(asked, asked.poor, min(asked.count, N_POOR))
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


def generated(asked: Judged, model: Model, n_notes: int) -> Measures:
    """Make notes of random timbres at pitches and velocities of real notes, and describe them."""
    held = asked.held
    rng = np.random.default_rng(asked.seed)
    turns = -(-n_notes // len(held))
    chosen = np.concatenate([rng.permutation(len(held)) for _ in range(turns)])[:n_notes]
    notes = [
        Played(
            random_timbre(model, asked.seed, number),
            asked.into_range(float(held.pitch[place])),
            float(np.clip(held.velocity[place], 0.0, 1.0)),
        )
        for number, place in enumerate(chosen.tolist())
    ]
    return measure_made(model, notes)


def untrained(model: Model, seed: int) -> Model:
    """Return the same networks with the weights they began with, and planes scaled as the model's are."""
    with seeded(seed, "untrained"):
        modules = {name: module.to(model.device).eval() for name, module in build(model.config).items()}
    for name, module in modules.items():
        fitted, sheet = (getattr(one, "sheet", None) for one in (model.modules.get(name), module))
        if isinstance(sheet, Sheet) and isinstance(fitted, Sheet):
            sheet.load_state_dict(fitted.state_dict())
    return Model(modules, model.config, {}, model.folder, pipeline=model.pipeline, device=model.device)


def _write(measured: Measured, folder: Path) -> None:
    write_whole(folder / "report.json", json.dumps(measured.as_json(), indent=1, allow_nan=False).encode())
    text = f"# {escape(measured.model)}\n\n{measured.as_text()}\n\n{markdown(measured.rows)}"
    write_whole(folder / "report.md", text.encode())


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{escape(folder)}: {error.strerror or error}; expected a folder that can be written to"
        ) from None
