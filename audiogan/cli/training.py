"""The commands that learn: prepare a corpus, train on it, measure a model."""

from collections.abc import Mapping
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiogan.cli.options import Debug, Device, Jobs, Json, Overrides, Overwrite, Quiet, Seed
from audiogan.cli.program import app, layout, stoppable
from audiogan.corpus.names import escape
from audiogan.terminal import Terminal

if TYPE_CHECKING:
    from audiogan.workflow.learn import Trained


@app.command()
def prepare(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or a shipped name such as songs.")],
    overrides: Overrides = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Turn a folder of music or sounds into tensors; say what was taken and refused."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        bar = terminal.progress("files")
        prepared = workflow.prepare(recipe, overrides or [], jobs=jobs, overwrite=overwrite, progress=bar)
        lines = [*layout(prepared.summary), f"{'found' if prepared.reused else 'wrote'} {prepared.folder}"]
        terminal.show(prepared.as_json(), lines, prepared.exit_code)


@app.command()
def train(
    recipe: Annotated[str | None, typer.Argument(help="A recipe file, or a shipped name such as songs.")] = None,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="Run folder.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Continue this run exactly.")] = None,
    init: Annotated[str | None, typer.Option(metavar="MODEL", help="Begin with the weights of this model.")] = None,
    seed: Annotated[int | None, typer.Option(help="Overrides the recipe's seed.")] = None,
    device: Device = "auto",
    jobs: Jobs = None,
    restarts: Annotated[
        int, typer.Option(min=0, help="Start again from the last checkpoint when training dies or hangs, so often.")
    ] = 0,
    processes: Annotated[int, typer.Option(min=1, help="Processes that share every batch, one per GPU.")] = 1,
    corpus_changed: Annotated[
        bool, typer.Option("--corpus-changed", help="Go on although the corpus is not the one that the run began with.")
    ] = False,
    fingerprints: Annotated[
        bool, typer.Option(help="Put fingerprints of the corpus into the model, for generate --audit.")
    ] = True,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a model, or continue a run exactly where it stopped."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal, stoppable():
        from audiogan import workflow

        settings = [*(overrides or []), *([] if seed is None else [f"seed={seed}"])]
        if recipe is not None and "=" in recipe and resume is not None:
            settings, recipe = [recipe, *settings], None  # with --resume the first setting is no recipe
        if restarts or processes > 1:
            flags = {"--json": json, "--quiet": quiet, "--debug": debug, "--corpus-changed": corpus_changed}
            options = _handed_on(device, jobs, flags | {"--no-fingerprints": not fingerprints})
            given = {"out": out, "resume": resume, "init": init, "restarts": restarts, "processes": processes}
            ended = workflow.train_supervised(recipe, settings, options=options, **given)
            text = ended.output.strip()
            terminal.show(loads(text or "{}") if json else {}, [text] if text else [], ended.exit_code)
            return
        trained = workflow.train(
            recipe,
            settings,
            out=out,
            resume=resume,
            init=init,
            device=device,
            jobs=jobs,
            quiet=quiet,
            progress=terminal.progress("files"),
            **({"corpus_changed": True} if corpus_changed else {}),
            **({} if fingerprints else {"fingerprints": False}),
        )
        for warning in trained.warnings:
            terminal.warn(f"{warning}: see audiogan/ENGINE.md")
        terminal.show(trained.as_json(), _told(trained), trained.exit_code)


@app.command()
def average(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run whose recipe says train.averages.posthoc.")],
    width: Annotated[
        list[float] | None,
        typer.Option(metavar="W", help="Length as a share of the run, at most 0.25; may be repeated."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Choose the length of a run's averaged weights again, by its score."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal, stoppable():
        from audiogan import workflow

        chosen = workflow.average(run, width or None, progress=terminal.progress("averages"))
        terminal.show(chosen.as_json(), [chosen.as_text()])


def _told(trained: "Trained") -> list[str]:
    """Return how a training ended, in lines."""
    best = f", the best at step {trained.best_step} of {trained.step}" if trained.best_step else ""
    if trained.average_width is not None:
        best += f", averaged with width {trained.average_width:g}"
    lines = [f"wrote {trained.model}{best}"] if trained.model else []
    if trained.reason == "plateau":
        return [f"stopped after {trained.step} steps, since nothing got better", *lines]
    if trained.reason == "collapsed":
        return [f"stopped after {trained.step} steps, since all fakes had become alike", *lines]
    if trained.exit_code:
        stopped = f"stopped after {trained.step} steps; continue with --resume {trained.run}"
        return [stopped, *(f"{line}, which can be used as it is" for line in lines)]
    return lines


def _handed_on(device: str, jobs: int | None, flags: Mapping[str, bool]) -> list[str]:
    """Return the options that every process of a supervised training gets as well."""
    return [
        *("--device", device),
        *([] if jobs is None else ["--jobs", str(jobs)]),
        *(name for name, is_on in flags.items() if is_on),
    ]


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Name of a shipped model, or a folder.")],
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the report.")] = None,
    reference: Annotated[Path | None, typer.Option(metavar="DIR", help="Real music to compare with.")] = None,
    beside: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Compare with this model instead, on the same draws; no full report."),
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many clips to make for it, 8 or more.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    card: Annotated[
        bool, typer.Option("--card", help="Write the figures and the audit into the model's card; not a shipped one's.")
    ] = False,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure a model beside real music; the same command goes on with a report that was stopped."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        kept = workflow.own_folder(model) if card else None  # before it takes long
        bar = terminal.progress("per cent measured" if beside is None else "parts compared")
        given = {"count": count, "seed": seed, "overwrite": overwrite, "reference": reference, "progress": bar}
        if beside is not None:
            found = workflow.beside(model, beside, report=report, device=device, **given)
            terminal.show(found.as_json(), [found.as_text()])
            return
        measured = workflow.evaluate(model, report=report, device=device, **given)
        if kept is not None:
            told = "the music held out of its corpus" if reference is None else f"the music in {escape(reference.name)}"
            command = f"audiogan evaluate --seed {seed}" + ("" if count is None else f" --count {count}")
            workflow.keep_measures(kept, measured.as_json(), command, told)
        terminal.show(measured.as_json(), [measured.as_text()])
