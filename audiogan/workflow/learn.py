"""The verbs that learn: prepare a corpus, train on it, measure a model.

A run folder holds the resolved recipe, what was taken of the corpus, the record, the checkpoints and, at the end, the
model to use and to share.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiogan import recipe as recipes
from audiogan.corpus.files import write_whole
from audiogan.corpus.names import escape
from audiogan.errors import OutputError, RecipeError, UsageError
from audiogan.pipeline import Pipeline, Progress
from audiogan.recipe import Recipe
from audiogan.workflow.cache import Prepared, fill
from audiogan.workflow.model import load
from audiogan.workflow.outputs import write_json
from audiogan.workflow.provenance import provenance
from audiogan.workflow.sections import resolve

if TYPE_CHECKING:
    from audiogan.adversarial.runtime import Runtime

RECIPE = "recipe.yaml"
Overrides = Iterable[str]


@dataclass(frozen=True)
class Trained:
    """A run that ended: `exit_code` is 0 when its budget is spent, 130 or 143 after a signal."""

    run: Path
    model: Path | None
    step: int
    exit_code: int

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        model = None if self.model is None else str(self.model)
        return {"run": str(self.run), "model": model, "step": self.step, "exit_code": self.exit_code}


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
) -> Trained:
    """Train a model; the corpus is prepared first if that has not been done.

    Args:
        recipe: A file or a shipped name; may be left out with `resume`.
        overrides: `section.key=value` texts.
        out: Run folder; None for `runs/NAME`.
        resume: Continue this run exactly; its own recipe is used.
        init: Begin with the weights of this model.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; anything but `auto` overrides the recipe.
        jobs: Processes that read files; None for one per core.
        quiet: Show no training progress.
        progress: Called while the corpus is prepared.

    Raises:
        TrainingError: A loss is not finite; the last good checkpoint stays.
        OutputError: The run folder holds a run already.
    """
    overrides = [*overrides, *([] if device == "auto" else [f"train.runtime.device={device}"])]
    source, run = _source(recipe, out, resume)
    checked, pipeline = resolve(source, overrides)
    if resume is not None and recipe is not None:
        _must_agree(checked, resolve(recipe, overrides)[0])
    from audiogan.adversarial.runtime import Runtime

    runtime = Runtime(checked.section("train").runtime)
    try:
        return _train(checked, pipeline, run, runtime, resume, init, quiet, jobs, progress)
    finally:
        runtime.close()


def evaluate(model: str | Path, *, report: str | Path | None = None, device: str = "auto", **options: Any) -> Any:
    """Measure a model and return the pipeline's result.

    Args:
        model: Shipped name, model folder or run folder.
        report: Folder for the report; None for none.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        options: Passed on to the pipeline's `evaluate`.
    """
    loaded = load(model, device=device)
    return loaded.verbs.evaluate(loaded, report=None if report is None else Path(report), **options)


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


def _must_agree(stored: Recipe, given: Recipe) -> None:
    mine, theirs = stored.resolved(), given.resolved()
    for section, values in mine.items():
        if values != theirs[section]:
            raise RecipeError(
                f"{section} differs from {stored.source}; leave the recipe out to resume with the run's own"
            )


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
) -> Trained:
    from audiogan.adversarial.model import save_model
    from audiogan.adversarial.runtime import seeded
    from audiogan.adversarial.trainer import Trainer

    config, corpus, settings = recipe.section("model"), recipe.section("corpus"), recipe.section("train")
    if not runtime.is_main:
        runtime.wait()  # until the main process has filled the cache
    prepared = fill(recipe, pipeline, jobs=jobs, overwrite=False, progress=progress if runtime.is_main else None)
    if runtime.is_main:
        runtime.wait()
    dataset = pipeline.open_dataset(prepared.folder, config, corpus, "train")
    with seeded(recipe.seed, "modules"):
        modules = pipeline.build(config)
    if init is not None:
        _begin_with(modules, init)
    game = pipeline.phases(modules, config, recipe.section("game"), recipe.section("optimizer"))
    if runtime.is_main and resume is None:
        _open_run(run, recipe, prepared)
    trainer = Trainer(modules, game, dataset, settings, run, recipe.resolved(), runtime=runtime, quiet=quiet)
    ended = trainer.run(resume=resume is not None)
    if not runtime.is_main:
        return Trained(run, None, ended.step, ended.exit_code)
    # Also after a signal: what has been learnt so far can be used at once, and the run goes on from its checkpoint.
    shared = {"pipeline": recipe.pipeline, "model": recipe.resolved()["model"]}
    # A game without averages is used as it ended, save for the discriminator, which knows most about the songs.
    live = {name: module for name, module in trainer.modules.items() if name != "discriminator"}
    averages = trainer.averages.copies or live
    save_model(run / "model", averages, shared)
    write_json(
        run / "model" / "card.json", provenance(recipe, prepared.summary, run / "model", ended.step, averages, init)
    )
    return Trained(run, run / "model", ended.step, ended.exit_code)


def _begin_with(modules: Mapping[str, Any], init: str | Path) -> None:
    """Copy the weights of a model into the modules of the same names."""
    from audiogan.adversarial.checkpoint import restore

    model = load(init, device="cpu")
    for name, module in model.modules.items():
        if name in modules:
            restore(modules[name], module.state_dict(), f"{escape(model.folder)}: {name}")


def _open_run(run: Path, recipe: Recipe, prepared: Prepared) -> None:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{escape(run)}: {error.strerror or error}; expected a folder that can be written to"
        ) from None
    write_whole(run / RECIPE, recipes.dump(recipe.resolved()).encode())
    write_json(run / "corpus.json", dict(prepared.summary))
