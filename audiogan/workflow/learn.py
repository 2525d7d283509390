"""The verbs that learn: prepare a corpus, train on it, measure a model.

A run folder holds the resolved recipe, what it began with, what was taken of the corpus, the record, the checkpoints
and, at the end, the model to use and to share.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiogan import recipe as recipes
from audiogan.corpus.files import write_whole
from audiogan.corpus.names import escape
from audiogan.errors import CheckpointError, OutputError, UsageError
from audiogan.evaluation.stages import forget as forget_stages
from audiogan.evaluation.stages import is_unfinished
from audiogan.pipeline import Model, Pipeline, Progress
from audiogan.recipe import Recipe
from audiogan.workflow.auditing import ship_fingerprints
from audiogan.workflow.averaging import choose, forget
from audiogan.workflow.beginning import (
    check_parent,
    fingerprint,
    has_saved,
    init_of,
    keep_beginning,
    must_agree,
    naming_changes,
    refuse_frozen,
    tell_changes,
)
from audiogan.workflow.cache import Prepared, fill
from audiogan.workflow.cards import write_card
from audiogan.workflow.effort import measured
from audiogan.workflow.making import check_seed
from audiogan.workflow.model import load, load_card
from audiogan.workflow.outputs import write_json
from audiogan.workflow.provenance import ORIGIN, origin, provenance
from audiogan.workflow.sections import resolve

if TYPE_CHECKING:
    from audiogan.adversarial.runtime import Runtime
    from audiogan.adversarial.scoring import Scoring
    from audiogan.adversarial.trainer import Trainer

logger = logging.getLogger(__name__)

RECIPE = "recipe.yaml"
MIN_CLIPS = 8
Overrides = Iterable[str]


@dataclass(frozen=True)
class Trained:
    """A run that ended: `exit_code` is 0 when its budget is spent or nothing got better, 130 or 143 after a signal.

    `model` is where the model lies, the best of the run or, where nothing was scored, the last, after a signal of what
    had been learnt until then; None on all processes but the main one. `best_step` is the step of the best, None where
    nothing was scored. `reason` is `budget`, `plateau`, `signal` or `collapsed`, which has exit code 4. `warnings` are
    the alarms that are on at the end: `collapsed`, `overfitting`. `average_width` is the width of the average that took
    the place of the usual one, None where none did.
    """

    run: Path
    model: Path | None
    step: int
    exit_code: int
    best_step: int | None = None
    reason: str = "budget"
    warnings: tuple[str, ...] = ()
    average_width: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        model = None if self.model is None else str(self.model)
        facts = {"best_step": self.best_step, "reason": self.reason, "warnings": list(self.warnings)}
        facts["average_width"] = self.average_width
        return {"run": str(self.run), "model": model, "step": self.step, "exit_code": self.exit_code, **facts}


def prepare(
    recipe: str | Path,
    overrides: Overrides = (),
    *,
    jobs: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Turn a recipe's corpus into tensors, or find them in the cache.

    Args:
        recipe: A file or a shipped name.
        overrides: `section.key=value` texts.
        jobs: Processes that read files; None for one per core.
        overwrite: Read everything again.
        progress: Called with files done and their number.

    Returns:
        The cache folder and the summary: what was taken, what was refused and why.

    Raises:
        CorpusError: The folder is missing or nothing in it can be used.
    """
    checked, pipeline = resolve(recipe, overrides)
    return fill(checked, pipeline, jobs=jobs, overwrite=overwrite, progress=progress)


def train(
    recipe: str | Path | None = None,
    overrides: Overrides = (),
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    init: str | Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    quiet: bool = True,
    progress: Progress | None = None,
    corpus_changed: bool = False,
    fingerprints: bool = True,
) -> Trained:
    """Train a model; the corpus is prepared first if that has not been done.

    Args:
        recipe: A file or a shipped name; may be left out with `resume`.
        overrides: `section.key=value` texts.
        out: Run folder; None for `runs/NAME`.
        resume: Continue this run exactly; its own recipe is used.
        init: Begin with the weights of this model; not with `resume`, since a run keeps its beginning.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; anything but `auto` overrides the recipe.
        jobs: Processes that read files; None for one per core.
        quiet: Show no training progress.
        progress: Called while the corpus is prepared.
        corpus_changed: Go on although the corpus is not the one that the run has learnt from so far.
        fingerprints: Put fingerprints of the corpus into the model of a run that ended, for `generate --audit`.

    Raises:
        CheckpointError: The corpus has changed, or no checkpoint can be used.
        TrainingError: A loss is not finite again and again; the last good checkpoint stays.
        OutputError: The run folder holds a run already.
    """
    if init is not None and resume is not None:
        raise UsageError("--init and --resume together; expected one of them, since a run keeps its own weights")
    overrides = [*overrides, *([] if device == "auto" else [f"train.runtime.device={device}"])]
    source, run = _source(recipe, out, resume)
    checked, pipeline = resolve(source, overrides)
    if resume is None and init is None:
        refuse_frozen(checked)
    if resume is not None and recipe is not None:
        must_agree(checked, resolve(recipe, overrides)[0])
    if resume is not None:
        tell_changes(checked, resolve(source, [])[0])
    from audiogan.adversarial.runtime import Runtime

    runtime = Runtime(checked.section("train").runtime)
    together = False
    try:
        trained = _train(checked, pipeline, run, runtime, resume, init, quiet, jobs, progress, corpus_changed)
        together = True
    finally:
        runtime.close(together=together)
    if fingerprints and trained.model is not None and trained.exit_code == 0:
        ship_fingerprints(checked, pipeline, trained.model)
    return trained


def evaluate(
    model: str | Path,
    *,
    report: str | Path | None = None,
    count: int | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    **options: Any,
) -> Any:
    """Measure a model and return the pipeline's result; an evaluation stopped in `report` goes on where it was.

    Args:
        model: Shipped name, model folder or run folder.
        report: Folder for the report; None for none.
        count: Clips to make for it, 8 or more; None for the pipeline's choice.
        seed: 0 or more; the same seed gives the same figures.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        overwrite: Replace an earlier report, and begin one that was stopped anew.
        options: Passed on to the pipeline's `evaluate`.

    Raises:
        UsageError: `count` or `seed` out of range.
        OutputError: The folder holds a report already.
    """
    check_seed(seed)
    if count is not None and count < MIN_CLIPS:
        raise UsageError(f"count: {count}; expected {MIN_CLIPS} or more, since fewer clips have no statistics")
    folder = None if report is None else Path(report)
    earlier = [] if folder is None or overwrite or is_unfinished(folder) else sorted(folder.glob("report.*"))
    if earlier:
        raise OutputError(f"{escape(earlier[0])} exists already; choose another --report or add --overwrite", "exists")
    loaded = load(model, device=device, needs_card=True)  # it says what must not be among the music compared with
    given = options | {"seed": seed} | ({} if count is None else {"count": count})
    if folder is not None and overwrite:
        forget_stages(folder)
    return loaded.verbs.evaluate(loaded, report=folder, **given)


def run_folder(recipe: str | Path | None, out: str | Path | None, resume: str | Path | None) -> Path:
    """Return the folder of the run that these arguments of `train` begin or continue.

    Args:
        recipe: A file or a shipped name; None with `resume`.
        out: Run folder of a new run; None for `runs/NAME`.
        resume: Folder of an earlier run.

    Raises:
        UsageError: They contradict each other, or there is no run to continue.
        OutputError: A new run would land in the folder of an old one.
    """
    return _source(recipe, out, resume)[1]


def _source(recipe: str | Path | None, out: str | Path | None, resume: str | Path | None) -> tuple[Path, Path]:
    """Return the recipe file and the run folder."""
    if resume is not None:
        run = Path(resume)
        if out is not None:
            raise UsageError("--out and --resume together; expected one of them, since a run resumes in its own folder")
        if not (run / RECIPE).is_file():
            raise UsageError(f"--resume {escape(run)}: no {RECIPE} there; expected the folder of an earlier run")
        return run / RECIPE, run
    if recipe is None:
        raise UsageError(f"no recipe; expected a file or one of: {', '.join(recipes.names())}")
    path = recipes.find(recipe)
    run = Path(out) if out is not None else Path("runs") / path.stem
    if (run / "checkpoints").exists() or (run / "model").exists():
        raise OutputError(
            f"{escape(run)} holds a run; continue it with --resume {escape(run)}, or choose another --out", "exists"
        )
    return path, run


def _train(
    recipe: Recipe,
    pipeline: Pipeline,
    run: Path,
    runtime: "Runtime",
    resume: str | Path | None,
    init: str | Path | None,
    quiet: bool,
    jobs: int | None,
    progress: Progress | None,
    corpus_changed: bool,
) -> Trained:
    from audiogan.adversarial.posthoc import with_posthoc
    from audiogan.adversarial.runtime import seeded
    from audiogan.adversarial.trainer import Trainer

    config, corpus, settings = recipe.section("model"), recipe.section("corpus"), recipe.section("train")
    if not runtime.is_main:
        runtime.wait()  # until the main process has filled the cache
    prepared = fill(recipe, pipeline, jobs=jobs, overwrite=False, progress=progress if runtime.is_main else None)
    if runtime.is_main:
        runtime.wait()
    dataset = pipeline.open_dataset(prepared.folder, config, corpus, "train")
    dataset.fingerprint = fingerprint(prepared.folder)
    with seeded(recipe.seed, "modules"):
        modules = pipeline.build(config)
    parent = None
    if resume is None or not has_saved(run):  # also a run that was killed before its first checkpoint
        parent = _parent(modules, init) if resume is None else _parent_again(modules, run)
        _settle(pipeline, modules, recipe, dataset)
    game = pipeline.phases(modules, config, recipe.section("game"), recipe.section("optimizer"))
    posthoc = settings.averages.posthoc
    hooks = []
    if posthoc is not None:
        game, hook = with_posthoc(game, modules, _shared_of(game.averaged), posthoc)
        hooks.append(hook)
    if runtime.is_main and resume is None:
        _open_run(run, recipe, prepared, parent, init)
    scoring = scoring_of(pipeline, recipe, prepared.folder)
    trainer = Trainer(
        modules, game, dataset, settings, run, recipe.resolved(), hooks, scoring=scoring, runtime=runtime, quiet=quiet
    )
    trainer.saver.accepts_other_corpus = corpus_changed
    with naming_changes(run, prepared.folder), measured(run, trainer):
        ended = trainer.run(resume=resume is not None)
    facts = {"reason": ended.reason, "warnings": ended.warnings}
    if not runtime.is_main:
        return Trained(run, None, ended.step, ended.exit_code, **facts)
    best = trainer.saver.take_best()
    step = ended.step if best is None else best
    # Also after a signal: what has been learnt so far can be used at once, and the run goes on from its checkpoint.
    _write_model(run, recipe, pipeline, dataset, trainer, prepared, parent, step)
    width = None
    if posthoc is not None and scoring is not None and ended.exit_code == 0:
        try:
            width = choose(run, recipe, pipeline, dataset, scoring, posthoc.widths).width
        except CheckpointError as error:  # the training has succeeded all the same
            logger.warning("no other average was tried: %s", error)
    return Trained(run, run / "model", ended.step, ended.exit_code, best, average_width=width, **facts)


def _write_model(
    run: Path,
    recipe: Recipe,
    pipeline: Pipeline,
    dataset: Any,
    trainer: "Trainer",
    prepared: Prepared,
    parent: Model | None,
    step: int,
) -> None:
    """Write what a training has come to as the model to use and share, with its card."""
    from audiogan.adversarial.model import save_model
    from audiogan.adversarial.spectral import bake

    shared = {"pipeline": recipe.pipeline, "model": recipe.resolved()["model"]}
    # A game without averages is used as it ended; its discriminator stays with the run.
    live = {name: trainer.modules[name] for name in _shared_of(trainer.modules)}
    averages = trainer.averages.copies or live
    for module in averages.values():
        bake(module)  # normalised weights under their plain names, as whoever loads the model builds it
    pipeline.finish(averages, recipe.section("model"), dataset, seed=recipe.seed)
    save_model(run / "model", averages, shared)
    forget(run)
    began = load_card(run / ORIGIN) or origin(recipe, parent)  # runs of earlier versions have none
    write_card(run / "model", provenance(recipe, began, prepared, run / "model", step, averages))


def _shared_of(names: Iterable[str]) -> list[str]:
    """Return the modules by which music is made; what judges stays with the run."""
    return [name for name in names if name != "discriminator"]


def scoring_of(pipeline: Pipeline, recipe: Recipe, prepared: Path) -> "Scoring | None":
    """Return how the pipeline scores a model that trains, if it can and the recipe wants it.

    Args:
        pipeline: Of the recipe.
        recipe: What the run was told.
        prepared: The corpus in the cache.
    """
    find, settings = getattr(pipeline, "scoring", None), recipe.section("train").score
    if find is None or settings.every is None:
        return None
    scoring = find(prepared, recipe.section("model"), recipe.section("corpus"), count=settings.count)
    if scoring is None:
        logger.warning("too little is held out to score the model by; the last one is kept, not the best")
    return scoring


def _settle(pipeline: Pipeline, modules: Mapping[str, Any], recipe: Recipe, dataset: Any) -> None:
    """Let a pipeline with `settle` fit to the corpus what training does not; a resumed run has it in its weights."""
    from audiogan.adversarial.runtime import seeded

    settle = getattr(pipeline, "settle", None)
    if settle is not None:
        with seeded(recipe.seed, "settle"):
            settle(modules, recipe.section("model"), dataset)


def _parent_again(modules: Mapping[str, Any], run: Path) -> Model | None:
    """Copy the weights again that a run began with, which must be the same."""
    parent = _parent(modules, init_of(run))
    if parent is not None:
        known = (load_card(run / ORIGIN) or {}).get("parent") or {}
        check_parent(run, parent.name, parent.sha256, known.get("weights_sha256"))
    return parent


def _parent(modules: Mapping[str, Any], init: str | Path | None) -> Model | None:
    """Copy the weights of a model into the modules of the same names and return the model; None for none."""
    if init is None:
        return None
    from audiogan.adversarial.checkpoint import restore

    model = load(init, device="cpu")
    for name, module in model.modules.items():
        if name in modules:
            restore(modules[name], module.state_dict(), f"{escape(model.folder)}: {name}")
    return model


def _open_run(run: Path, recipe: Recipe, prepared: Prepared, parent: Model | None, init: str | Path | None) -> None:
    """Write what a run knows before its first step; the recipe, by which it is known as a run, comes last."""
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{escape(run)}: {error.strerror or error}; expected a folder that can be written to"
        ) from None
    write_json(run / "corpus.json", dict(prepared.summary))
    write_json(run / ORIGIN, origin(recipe, parent))
    keep_beginning(run, init, prepared.folder)
    write_whole(run / RECIPE, recipes.dump(recipe.resolved()).encode())
