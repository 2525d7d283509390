"""Measure a model: its clips beside held-out real clips of the same grid and tracks.

The real clips come from the folder `reference` of a shipped model, from the songs that the model's own run held out, or
from any folder of songs; `held_out` finds them. Everything else is in `comparison` (the table), `copies` and `auditing`
(does it repeat what it learnt) and `listening` (does it hear the tracks it is given); `exhibits` shows some clips. An
evaluation is a list of stages (`stages_of`), so that it can be stopped and goes on.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiogan.adversarial.runtime import seeded
from audiogan.corpus.names import escape
from audiogan.corpus.score import Key, Metre, Notes, Score, Tempo, Track
from audiogan.evaluation.audit import Audit, Material
from audiogan.evaluation.curves import Curve, read_curves
from audiogan.evaluation.distances import fit_scaler
from audiogan.evaluation.exhibit import Shelf
from audiogan.evaluation.report import Report, write
from audiogan.evaluation.rows import Embedding, ReportRow, embedding_of
from audiogan.evaluation.stages import Stage, Tell, check_writable, run_stages
from audiogan.evaluation.usefulness import Use
from audiogan.evaluation.verdict import verdict
from audiogan.pipeline import Model, Progress
from audiogan.pipelines.multitrack import roll_net
from audiogan.pipelines.multitrack.auditing import audit_clips
from audiogan.pipelines.multitrack.comparison import Row, check_songs, compare, markdown, summary
from audiogan.pipelines.multitrack.config import CellsConfig
from audiogan.pipelines.multitrack.copies import distinct, ngram, nn_hamming
from audiogan.pipelines.multitrack.description import describe
from audiogan.pipelines.multitrack.exhibits import exhibits_of, given_roles
from audiogan.pipelines.multitrack.grid import ClipGrid, quantised
from audiogan.pipelines.multitrack.held_out import HeldOut, clip_grid, find
from audiogan.pipelines.multitrack.listening import Agreement, listening
from audiogan.pipelines.multitrack.networks import build
from audiogan.pipelines.multitrack.synthesis import accompany, generate
from audiogan.pipelines.multitrack.usefulness import usefulness_of_clips

N_CLIPS = 512
N_POOR = 256
N_LISTEN = 256
FEW, USUAL = 100, 2048
WIDEST = 4.0  # interval of a share of real agreement that is still told
COUNTED_FORMS = ("correct",)
_PARTS = frozenset(
    {"rows", "listening", "copying", "audit", "shelves", "curves", "card", "embeddings", "split", "usefulness"}
)
Results = Mapping[str, Any]


@dataclass(frozen=True)
class Copying:
    """How near clips come to the training songs, beside how near held-out real clips come to them.

    Args:
        n_distinct: Different clips among the generated ones.
        nearest, nearest_real: 1 % and 50 % points of the distance to the nearest training clip, 0 (equal) to 1.
        longest_run, longest_run_real: 50 %, 99 % and 100 % points of the longest run of notes shared with one.
    """

    n_distinct: int
    nearest: tuple[float, ...]
    nearest_real: tuple[float, ...]
    longest_run: tuple[float, ...]
    longest_run_real: tuple[float, ...]


@dataclass(frozen=True)
class Measured:
    """All that was measured of a model; `split` says where the real clips come from, `shelves` hold what is shown."""

    model: str
    sha256: str
    seed: int
    n_generated: int
    n_real: int
    n_songs: int
    split: str
    embeddings: tuple[Embedding, ...]
    rows: tuple[Row, ...]
    listening: tuple[Agreement, ...]
    copying: Copying | None
    usefulness: tuple[Use, ...] = ()
    audit: Audit | None = None
    shelves: tuple[Shelf, ...] = ()
    curves: tuple[Curve, ...] = ()
    card: Mapping[str, Any] | None = None

    def report(self) -> Report:
        """Return what goes into the report."""
        facts = {name: value for name, value in vars(self).items() if name not in _PARTS}
        rows = tuple(self._common(row) for row in self.rows)
        beside = f"{self.n_generated} clips beside {self.n_real} real ones of {self.n_songs} songs"
        return Report(
            facts={"pipeline": "multitrack"} | facts | {"split": self.split},
            verdict=verdict(rows, self.audit, items="clips", beside=beside, card=self.card),
            rows=rows,
            tables={
                "listening": [row.to_json() for row in self.listening],
                "copying": None if self.copying is None else asdict(self.copying),
                "usefulness": [one.as_json() for one in self.usefulness],
            },
            audit=self.audit,
            card=self.card or {},
            shelves=self.shelves,
            curves=self.curves,
        )

    def _common(self, row: Row) -> ReportRow:
        """A row in the shape of every pipeline; means over tracks are not counted again."""
        names = ("metric", "form", "column", "value", "low", "high", "n", "floor", "ceiling", "gap", "passes", "note")
        own = next((one for one in self.embeddings if one.name == row.column), Embedding("", ""))
        return ReportRow(
            **{name: getattr(row, name) for name in names},
            real=row.reference,
            real_low=row.reference_low,
            real_high=row.reference_high,
            n_real=row.n_reference,
            split=self.split,
            embedding=own.name,
            embedding_sha256=own.sha256,
            seed=self.seed,
            counted=row.form in COUNTED_FORMS and row.column != "mean",
        )

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values; what does not exist is None."""
        return self.report().as_json()

    def as_text(self) -> str:
        """Return the result in a few lines."""
        passed, judged = summary(self.rows)
        distance = next((row for row in self.rows if row.metric == "kad"), None)
        beside = f"{self.n_generated} clips beside {self.n_real} real ones"
        lines = [f"{passed} of {judged} metrics are like real music ({beside})"]
        if distance is not None and math.isfinite(distance.value):
            floors = f"real to real {distance.floor:.2f}, untrained {distance.ceiling:.2f}"
            lines.append(f"distance to real clips {distance.value:.2f}; {floors}")
        if self.n_generated < FEW:
            lines.append(f"{self.n_generated} clips are few, so all of this is uncertain; {USUAL:,} are usual")
        lines += [f"listens by {row.name}: {_told(row)}" for row in self.listening]
        if self.copying is not None:
            lines.append(f"{self.copying.n_distinct} of {self.n_generated} clips are different")
        if self.audit is not None:
            lines.append(f"copies of training clips: {len(self.audit.copies)}, verdict: {self.audit.verdict}")
        return "\n".join(lines)


def _told(row: Agreement) -> str:
    """How much of the agreement of real music a model shows, where there is enough of it to say so."""
    if not row.n:
        return "no notes"
    if not math.isfinite(row.listen) or not row.listen_high - row.listen_low <= WIDEST:
        return "cannot be said, since too little real music agrees to compare with"
    return f"{row.listen:.2f} of real music"


def evaluate(
    model: Model,
    *,
    reference: Path | None = None,
    report: Path | None = None,
    count: int = N_CLIPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measured:
    """Measure a model; one that was stopped while it wrote into `report` goes on where it was.

    Args:
        model: Trained networks.
        reference: Folder of real songs; None for the songs that the model's own run held out.
        report: Folder for `report.json`, `report.html` and `report.md`; None for none.
        count: Clips to generate, and most real clips to compare with.
        seed: The same seed makes the same clips and resamples.
        progress: Called with per cent done and 100.

    Raises:
        UsageError: There are no real songs to compare with, or too few.
        CorpusError: The songs cannot be read, or are not those of the model's run any more.
        OutputError: The report cannot be written.
    """
    if report is not None:
        check_writable(report)  # before the minutes of work, not after
    asked = Asked(model, find(model, reference, count=count), clip_grid(model.config), count, seed)
    check_songs(asked.held.songs)
    results = run_stages(stages_of(asked), report, _depends_on(asked), progress)
    held = asked.held
    measured = Measured(
        model=model.name,
        sha256=model.sha256,
        seed=seed,
        n_generated=len(results["clips"]["made"]),
        n_real=len(held.clips),
        n_songs=len(set(held.songs)),
        split=held.split,
        embeddings=tuple(results["embeddings"]),
        rows=tuple(results["comparison"]),
        listening=tuple(results["listening"]),
        copying=results["copying"],
        usefulness=tuple(results["usefulness"]),
        audit=results["audit"],
        shelves=tuple(results["exhibits"]),
        curves=read_curves(model.folder.parent / "stats.jsonl"),
        card=model.card,
    )
    if report is not None:
        table = markdown(measured.rows, with_published=True)
        write(measured.report(), report, f"# {escape(measured.model)}\n\n{measured.as_text()}\n\n{table}")
    return measured


# ---- stages


@dataclass(frozen=True, eq=False)
class Asked:
    """What all stages work on: the model, real clips, their shape, how many to make, and the seed."""

    model: Model
    held: HeldOut
    grid: ClipGrid
    count: int
    seed: int


def stages_of(asked: Asked) -> list[Stage]:
    """Return the stages; each may use the results of those before it."""
    return [
        Stage("clips", lambda tell, _: _made(asked, tell), dict[str, list[dict[str, Any]]], 5.0),
        Stage("embeddings", lambda *_: _embeddings(asked), list[Embedding], 0.2),
        Stage("comparison", lambda _, results: _compared(asked, results), list[Row], 4.0),
        Stage("listening", lambda tell, _: _listening(asked, tell), list[Agreement], 3.0),
        Stage("usefulness", lambda _, results: _usefulness(asked, _scores(results)), list[Use], 1.0),
        Stage("copying", lambda _, results: _copying(asked, _scores(results)), Copying | None, 2.0),
        Stage("audit", lambda _, results: _audit(asked, _scores(results)), Audit | None, 5.0),
        Stage("exhibits", lambda tell, results: _exhibits(asked, results, tell), list[Shelf], 1.0),
    ]


def _depends_on(asked: Asked) -> dict[str, Any]:
    """What all results follow from: weights, networks, options, real clips, training clips, and what hears them."""
    digest = hashlib.sha256()
    for clip in (*asked.held.clips, *asked.held.learnt):
        digest.update(json.dumps(packed(clip)).encode())
    config = asked.model.config.model_dump_json()
    songs = [asked.held.songs, asked.held.learnt_songs]
    real = [digest.hexdigest(), songs, roll_net.SHA256]
    return {"model": asked.model.sha256, "config": config, "count": asked.count, "seed": asked.seed, "real": real}


def packed(clip: Score) -> dict[str, Any]:
    """Return a clip as plain values; `unpacked` is the way back."""
    tracks = [
        {
            "name": track.name,
            "program": track.program,
            "is_drum": track.is_drum,
            "notes": [list(note) for note in track.notes],
        }
        for track in clip.tracks
    ]
    changes = {name: [list(change) for change in getattr(clip, name)] for name in ("tempos", "metres", "keys")}
    return {"resolution": clip.resolution, "tracks": tracks} | changes


def unpacked(values: Mapping[str, Any]) -> Score:
    """Return the clip that `packed` took apart."""
    tracks = [
        Track(Notes.from_list(track["notes"]), track["program"], track["is_drum"], track["name"])
        for track in values["tracks"]
    ]
    return Score(
        values["resolution"],
        tuple(tracks),
        tuple(Tempo(*change) for change in values["tempos"]),
        tuple(Metre(*change) for change in values["metres"]),
        tuple(Key(*change) for change in values["keys"]),
    )


def _made(asked: Asked, tell: Tell) -> dict[str, list[dict[str, Any]]]:
    """The clips of the model, and of the same networks untrained."""
    made = generate(asked.model, count=asked.count, seed=asked.seed)
    tell(2, 3)
    poor = generate(_untrained(asked.model, asked.seed), count=min(asked.count, N_POOR), seed=asked.seed)
    return {"made": [packed(clip) for clip in made], "poor": [packed(clip) for clip in poor]}


def _scores(results: Results, which: str = "made") -> list[Score]:
    return [unpacked(values) for values in results["clips"][which]]


def _plays(model: Model) -> bool:
    """Whether the model makes velocities and micro-timing."""
    return isinstance(model.config.network, CellsConfig)


def _embeddings(asked: Asked) -> list[Embedding]:
    """By what clips become vectors: the description, scaled by the real clips, and the network that only measures."""
    names, values = describe(asked.held.clips, asked.grid, with_expression=_plays(asked.model))
    scale = fit_scaler(values)._asdict() if len(values) else {}
    return [embedding_of("score_desc", names, scale), Embedding(roll_net.NAME, roll_net.SHA256)]


def _compared(asked: Asked, results: Results) -> list[Row]:
    made, poor, held = _scores(results), _scores(results, "poor"), asked.held
    plays = _plays(asked.model)
    return compare(made, held.clips, held.songs, asked.grid, poor=poor, with_expression=plays, seed=asked.seed)


def _usefulness(asked: Asked, made: Sequence[Score]) -> list[Use]:
    return list(usefulness_of_clips(made, asked.held.clips, asked.held.songs, asked.grid, seed=asked.seed))


def _audit(asked: Asked, made: Sequence[Score]) -> Audit | None:
    held = asked.held
    material = Material(held.learnt, held.clips, made, held.learnt_songs, held.songs)
    return audit_clips(material, asked.grid, seed=asked.seed) if held.learnt else None


def _exhibits(asked: Asked, results: Results, tell: Tell) -> list[Shelf]:
    made = _scores(results)
    return exhibits_of(asked.model, made, asked.held, results["audit"], asked.grid, asked.seed, tell)


def _untrained(model: Model, seed: int) -> Model:
    """Return the same networks with the weights they began with."""
    with seeded(seed, "untrained"):
        modules = {name: module.to(model.device).eval() for name, module in build(model.config).items()}
    return Model(modules, model.config, {}, model.folder, device=model.device)


def _listening(asked: Asked, tell: Tell) -> list[Agreement]:
    """Let the model accompany real drums and bass (or the first pitched track), and test whether it hears them."""
    model, grid, real, songs = asked.model, asked.grid, asked.held.clips, asked.held.songs
    if not isinstance(model.config.network, CellsConfig) or len(grid.roles) < 2:
        return []
    given = given_roles(grid)
    rest = [role for role in grid.roles if role not in given]
    chosen = np.unique(np.linspace(0, len(real) - 1, min(N_LISTEN, len(real))).astype(int)).tolist()
    conditions = [real[i].with_tracks(tuple(track for track in real[i].tracks if track.name in given)) for i in chosen]
    outputs = []
    for number, clip in enumerate(conditions, 1):
        outputs.append(accompany(model, clip, tracks=rest, count=1, seed=asked.seed)[0])
        tell(number, len(conditions) + 1)
    own = [songs[i] for i in chosen]
    facts = {"given": given, "songs": own, "real": real, "real_songs": songs, "seed": asked.seed}
    return listening(conditions, outputs, grid, **facts)


def _copying(asked: Asked, made: Sequence[Score]) -> Copying | None:
    learnt, grid = asked.held.learnt, asked.grid
    if not learnt:
        return None
    learnt = learnt[:: max(1, len(learnt) // (4 * asked.count))]
    nearest = [nn_hamming(clips, learnt, grid).distance for clips in (made, asked.held.clips)]
    sets = [quantised(clips, grid) for clips in (made, asked.held.clips, learnt)]
    runs = [ngram(clips, sets[2], beat_resolution=grid.beat_resolution) for clips in sets[:2]]
    return Copying(
        distinct(made, grid),
        *(tuple(np.percentile(values, [1, 50]).tolist()) for values in nearest),
        *(tuple(np.percentile(values, [50, 99, 100]).tolist()) for values in runs),
    )
