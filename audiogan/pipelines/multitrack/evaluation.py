"""Measure a model: its clips beside held-out real clips of the same grid and tracks.

The real clips come from the folder `reference` of a shipped model, from the songs that the model's own run held out, or
from any folder of songs; songs that the model was trained on are left out of it by their hash. All clips are compared
on twelve timesteps a beat, also those of a model with fewer: on a grid of sixteenths some metrics could not fail.
Everything else is in `comparison` (the table), `copies` (does it repeat what it learnt) and `listening` (does it hear
the tracks it is given).
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiogan import recipe as recipes
from audiogan.adversarial.runtime import seeded
from audiogan.corpus.files import write_whole
from audiogan.corpus.names import escape
from audiogan.corpus.score import Score
from audiogan.errors import OutputError, UsageError
from audiogan.evaluation.audit import Audit, Material
from audiogan.pipeline import Model, Progress
from audiogan.pipelines.multitrack.auditing import audit_clips
from audiogan.pipelines.multitrack.comparison import Row, compare, markdown, summary
from audiogan.pipelines.multitrack.config import CellsConfig, Config, CorpusConfig
from audiogan.pipelines.multitrack.copies import distinct, ngram, nn_hamming
from audiogan.pipelines.multitrack.dataset import Clips, Summary, keep_split, open_dataset, prepare
from audiogan.pipelines.multitrack.grid import ClipGrid, quantised
from audiogan.pipelines.multitrack.listening import Agreement, listening
from audiogan.pipelines.multitrack.networks import build
from audiogan.pipelines.multitrack.synthesis import accompany, generate
from audiogan.representation.pianoroll import to_score

N_CLIPS = 512
FINE = 12
REFERENCE = "reference"
N_LISTEN = 256
_PARTS = frozenset({"rows", "listening", "copying", "audit"})


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
    """All that was measured of a model."""

    model: str
    sha256: str
    seed: int
    n_generated: int
    n_real: int
    rows: tuple[Row, ...]
    listening: tuple[Agreement, ...]
    copying: Copying | None
    audit: Audit | None = None

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values; what does not exist is None."""
        facts = {name: value for name, value in vars(self).items() if name not in _PARTS}
        passed, judged = summary(self.rows)
        copying = None if self.copying is None else asdict(self.copying)
        return facts | {
            "passed": passed,
            "judged": judged,
            "rows": [row.to_json() for row in self.rows],
            "listening": [row.to_json() for row in self.listening],
            "copying": copying,
            "audit": None if self.audit is None else self.audit.as_json(),
        }

    def as_text(self) -> str:
        """Return the result in a few lines."""
        passed, judged = summary(self.rows)
        distance = self.rows[0]
        beside = f"{self.n_generated} clips beside {self.n_real} real ones"
        floors = f"real to real {distance.floor:.2f}, untrained {distance.ceiling:.2f}"
        lines = [
            f"{passed} of {judged} metrics are like real music ({beside})",
            f"distance to real clips {distance.value:.2f}; {floors}",
        ]
        lines += [
            f"listens by {row.name}: " + (f"{row.listen:.2f} of real music" if row.n else "no notes")
            for row in self.listening
        ]
        if self.copying is not None:
            lines.append(f"{self.copying.n_distinct} of {self.n_generated} clips are different")
        if self.audit is not None:
            lines.append(f"copies of training clips: {len(self.audit.copies)}, verdict: {self.audit.verdict}")
        return "\n".join(lines)


def fine(config: Config) -> Config:
    """Return the same tracks on the grid of comparison: twelve timesteps a beat, or the model's own."""
    resolution = FINE if FINE % config.beat_resolution == 0 else config.beat_resolution
    return config.model_copy(update={"beat_resolution": resolution, "network": CellsConfig()})


def hold_out(corpus: CorpusConfig, config: Config, folder: Path) -> Summary:
    """Keep a corpus's test songs (valid ones if there are none) in a model's `reference` folder.

    Args:
        corpus: What the model was trained on, with the same fractions.
        config: The model's.
        folder: The model's folder.
    """
    kept = folder / REFERENCE
    kept.mkdir(parents=True, exist_ok=True)
    summary = prepare(corpus, fine(config), kept)
    keep_split(kept, "test" if summary.n_clips["test"] else "valid")
    (kept / "index.jsonl").unlink()
    values = corpus.model_dump(mode="json") | {"folder": REFERENCE, "sources": []}
    write_whole(kept / "corpus.json", json.dumps(values).encode())
    return summary


def clip_grid(config: Config) -> ClipGrid:
    """Return the shape of a model's clips for the metrics."""
    config = fine(config)
    return ClipGrid(
        n_bars=config.n_bars,
        beats_per_bar=config.grid.n_timesteps // config.beat_resolution,
        beat_resolution=config.beat_resolution,
        roles=tuple(role.name for role in config.roles),
        drums=tuple(role.name for role in config.roles if role.is_drum),
    )


def clips_of(dataset: Clips, n_clips: int) -> tuple[list[Score], list[int]]:
    """Return up to `n_clips` clips, evenly chosen, as scores, and the number of the song of each."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(n_clips, len(dataset))).astype(int)).tolist()
    config = dataset.config
    scores = [to_score(dataset.notes_of(i), config.grid, config.roles) for i in chosen]
    return scores, [dataset.song_of(i) for i in chosen]


def evaluate(
    model: Model,
    *,
    reference: Path | None = None,
    report: Path | None = None,
    count: int = N_CLIPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measured:
    """Measure a model.

    Args:
        model: Trained networks.
        reference: Folder of real songs; None for the songs that the model's own run held out.
        report: Folder for `report.json` and `report.md`; None for none.
        count: Clips to generate, and most real clips to compare with.
        seed: The same seed makes the same clips and resamples.
        progress: Called with stages done and their number.

    Raises:
        UsageError: There are no real songs to compare with, or too few.
        OutputError: The report cannot be written.
    """
    if report is not None:
        _make_folder(report)  # before the minutes of work, not after
    grid = clip_grid(model.config)
    steps = 5

    def done(stage: int) -> None:
        if progress is not None:
            progress(stage, steps)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        held_out, trained = _real(model, reference, Path(cache))
        real, songs = clips_of(held_out, count)
        learnt, learnt_songs = clips_of(trained, len(trained)) if trained is not None else ([], [])
    done(1)
    made = generate(model, count=count, seed=seed)
    poor = generate(_untrained(model, seed), count=min(count, 256), seed=seed)
    done(2)
    rows = compare(made, real, songs, grid, poor=poor, with_expression=_plays(model), seed=seed)
    done(3)
    heard = _listening(model, real, songs, grid, seed)
    done(4)
    copying = _copying(made, real, learnt[:: max(1, len(learnt) // (4 * count))], grid) if learnt else None
    audited = audit_clips(Material(learnt, real, made, learnt_songs, songs), grid, seed=seed) if learnt else None
    counts = len(made), len(real)
    measured = Measured(model.name, model.sha256, seed, *counts, tuple(rows), tuple(heard), copying, audited)
    if report is not None:
        write_whole(report / "report.json", json.dumps(measured.as_json(), indent=1, allow_nan=False).encode())
        table = markdown(measured.rows, with_published=True)
        write_whole(report / "report.md", f"# {measured.model}\n\n{measured.as_text()}\n\n{table}".encode())
    done(5)
    return measured


def _plays(model: Model) -> bool:
    """Whether the model makes velocities and micro-timing."""
    return isinstance(model.config.network, CellsConfig)


def _real(model: Model, reference: Path | None, cache: Path) -> tuple[Clips, Clips | None]:
    """Return held-out clips, and training clips where the run that made the model is at hand."""
    config = fine(model.config)
    kept = model.folder / REFERENCE
    if reference is None and kept.is_dir():
        corpus = CorpusConfig.model_validate_json((kept / "corpus.json").read_bytes())
        return open_dataset(kept, config, corpus, "test"), None
    if reference is None:
        corpus = _own_corpus(model)
        prepare(corpus, config, cache)
        split = "test" if len(open_dataset(cache, config, corpus, "test")) else "valid"
        return open_dataset(cache, config, corpus, split), open_dataset(cache, config, corpus, "train")
    known = {song["sha256"] for song in model.card.get("summary", {}).get("songs", ()) if song["split"] == "train"}
    whole = {"folder": str(reference), "valid_fraction": 0.0, "test_fraction": 0.0, "transpose": False}
    corpus = CorpusConfig.model_validate(whole)
    taken = prepare(corpus, config, cache)
    dataset = open_dataset(cache, config, corpus, "train")
    new = [taken.songs[dataset.song_of(i)]["sha256"] not in known for i in range(len(dataset))]
    dataset.windows = dataset.windows[new]
    if not len(dataset):
        raise UsageError(f"{escape(reference)}: the model was trained on all these songs; expected songs new to it")
    return dataset, None


def _own_corpus(model: Model) -> CorpusConfig:
    """Read the corpus section of the run that a model lies in."""
    path = model.folder.parent / "recipe.yaml"
    if not path.is_file():
        raise UsageError(f"{model.name}: its training songs are not at hand; expected a reference folder of real songs")
    return CorpusConfig.model_validate(recipes.read(path)["corpus"])


def _untrained(model: Model, seed: int) -> Model:
    """Return the same networks with the weights they began with."""
    with seeded(seed, "untrained"):
        modules = {name: module.to(model.device).eval() for name, module in build(model.config).items()}
    return Model(modules, model.config, {}, model.folder, device=model.device)


def _listening(model: Model, real: Sequence[Score], songs: Sequence[int], grid: ClipGrid, seed: int) -> list[Agreement]:
    """Let the model accompany real drums and bass (or the first pitched track), and test whether it hears them."""
    if not isinstance(model.config.network, CellsConfig) or len(grid.roles) < 2:
        return []
    given = [role for role in grid.roles if role in grid.drums or role.lower() == "bass"]
    given = given if 0 < len(given) < len(grid.roles) else [grid.roles[0]]
    rest = [role for role in grid.roles if role not in given]
    chosen = np.unique(np.linspace(0, len(real) - 1, min(N_LISTEN, len(real))).astype(int)).tolist()
    conditions = [real[i].with_tracks(tuple(track for track in real[i].tracks if track.name in given)) for i in chosen]
    outputs = [accompany(model, clip, tracks=rest, count=1, seed=seed)[0] for clip in conditions]
    own = [songs[i] for i in chosen]
    return listening(conditions, outputs, grid, given=given, songs=own, real=real, real_songs=songs, seed=seed)


def _copying(made: Sequence[Score], real: Sequence[Score], learnt: Sequence[Score], grid: ClipGrid) -> Copying:
    nearest = [nn_hamming(clips, learnt, grid).distance for clips in (made, real)]
    sets = [quantised(clips, grid) for clips in (made, real, learnt)]
    runs = [ngram(clips, sets[2], beat_resolution=grid.beat_resolution) for clips in sets[:2]]
    return Copying(
        distinct(made, grid),
        *(tuple(np.percentile(values, [1, 50]).tolist()) for values in nearest),
        *(tuple(np.percentile(values, [50, 99, 100]).tolist()) for values in runs),
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{escape(folder)}: {error.strerror or error}; expected a folder that can be written to"
        ) from None
