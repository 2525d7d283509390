"""The command line: parse the arguments, call one verb of `audiogan.workflow`, show one result.

Nothing heavy is imported until a verb runs, so that `--help` answers at once.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from audiogan.terminal import Terminal
from audiogan.version import __version__

app = typer.Typer(
    name="audiogan",
    help="Make music with generative adversarial networks: multitrack MIDI clips, alone or around your own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
generate_app = typer.Typer(help="Make something new.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(generate_app, name="generate")

Clips = Annotated[list[Path], typer.Argument(help="MIDI files.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings, as in train.batch_size=8.")
]
Count = Annotated[int, typer.Option(help="How many to make.")]
Tracks = Annotated[str | None, typer.Option(metavar="a,b", help="Names of the tracks, as in drums,bass.")]
ModelName = Annotated[str | None, typer.Option("--model", help="Name of a shipped model, or a folder.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same music.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the results.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")]
Listen = Annotated[bool, typer.Option("--listen", help="Also write a WAV sketch of each clip and a page to hear them.")]
Preview = Annotated[bool, typer.Option("--preview", help="Also write a picture of each clip, a pianoroll as PNG.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Jobs = Annotated[int | None, typer.Option(help="Processes that read files; one per core if left out.")]


def main() -> None:
    """Run the command line."""
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _begin(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


@app.command()
def demo(
    model: ModelName = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show in one minute what the shipped model does: MIDI, sounds and a page."""
    _make("demo", **locals())


@generate_app.command("midi")
def generate_midi(
    count: Count = 4,
    bars: Annotated[int | None, typer.Option(help="Length in bars.")] = None,
    tempo: Annotated[float | None, typer.Option(help="Quarter notes per minute.")] = None,
    tracks: Tracks = None,
    key: Annotated[str | None, typer.Option(help="Such as C, F# minor or Bb.")] = None,
    temperature: Annotated[float, typer.Option(help="0 to 2: from typical to wild.")] = 1.0,
    model: ModelName = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    listen: Listen = False,
    preview: Preview = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make new multitrack clips, one MIDI file each."""
    _make("generate_midi", **locals())


@app.command()
def interpolate(
    first: Annotated[Path, typer.Argument(metavar="A", help="MIDI clip to begin with.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="MIDI clip to end with.")],
    steps: Annotated[int, typer.Option(help="How many files, both ends included.")] = 5,
    model: ModelName = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    listen: Listen = False,
    preview: Preview = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Go from one clip to another, step by step."""
    _make("interpolate", **locals())


@app.command("continue")
def continue_clip(
    clips: Clips,
    bars: Annotated[int, typer.Option(help="How many bars to add.")] = 4,
    count: Count = 1,
    model: ModelName = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    listen: Listen = False,
    preview: Preview = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Add bars after your clips."""
    _make("continue_clip", **locals())


@app.command()
def accompany(
    clips: Clips,
    tracks: Annotated[str, typer.Option(metavar="a,b", help="Names of the tracks wanted, as in drums,bass.")],
    count: Count = 1,
    model: ModelName = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    listen: Listen = False,
    preview: Preview = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Add tracks to your clips; your notes stay exactly."""
    _make("accompany", **locals())


@app.command()
def infill(
    clips: Clips,
    bars: Annotated[str, typer.Option(metavar="A-B", help="First and last bar, counted from 1, as in 3-4.")],
    tracks: Tracks = None,
    count: Count = 1,
    model: ModelName = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    listen: Listen = False,
    preview: Preview = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write some bars of your clips anew; the rest stays exactly."""
    _make("infill", **locals())


@app.command()
def vary(
    clips: Clips,
    strength: Annotated[float, typer.Option(help="0 is the clip as the model plays it, 1 a free sample.")] = 0.3,
    count: Count = 1,
    model: ModelName = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    listen: Listen = False,
    preview: Preview = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make clips like yours."""
    _make("vary", **locals())


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
    """Turn a folder of music into tensors; say what was taken and refused."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        bar = terminal.progress("files")
        prepared = workflow.prepare(recipe, overrides or [], jobs=jobs, overwrite=overwrite, progress=bar)
        lines = [*_facts(prepared.summary), f"{'found' if prepared.reused else 'wrote'} {prepared.folder}"]
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
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a model, or continue a run exactly where it stopped."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        settings = [*(overrides or []), *([] if seed is None else [f"seed={seed}"])]
        if recipe is not None and "=" in recipe and resume is not None:
            settings, recipe = [recipe, *settings], None  # with --resume the first setting is no recipe
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
        )
        lines = [f"wrote {trained.model}"] if trained.model else []
        if trained.exit_code:
            stopped = f"stopped after {trained.step} steps; continue with --resume {trained.run}"
            lines = [stopped, *(f"{line}, which can be used as it is" for line in lines)]
        terminal.show(trained.as_json(), lines, trained.exit_code)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Name of a shipped model, or a folder.")],
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the report.")] = None,
    reference: Annotated[Path | None, typer.Option(metavar="DIR", help="Real music to compare with.")] = None,
    count: Annotated[int | None, typer.Option(help="How many clips to make for it, 8 or more.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure a model beside real music."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        bar = terminal.progress("measures")
        given = {"count": count, "seed": seed, "overwrite": overwrite, "reference": reference, "progress": bar}
        measured = workflow.evaluate(model, report=report, device=device, **given)
        terminal.show(measured.as_json(), [measured.as_text()])


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER", help="What to look at.")],
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say what each file is, and why it would be refused. Writes nothing."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        found = workflow.inspect(path)
        terminal.show(found, _verdicts(found), _inspect_code(found))


@app.command()
def models(json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """List the models at hand and where they come from."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        found = workflow.models()
        lines = [
            f"{one['name']}  {one['pipeline']}  {one['megabytes']} MB  {one['card'].get('licence', '')}"
            for one in found
        ]
        terminal.show({"models": found}, lines or ["no shipped models; train one with `audiogan train smoke`"])


@app.command()
def doctor(json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Say what this computer can do."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        found = workflow.doctor()
        terminal.show(found, _facts(found))


def _make(verb: str, *, json: bool, quiet: bool, debug: bool, **options: Any) -> None:
    """Run a verb that makes files; every option of the command is an argument of the verb."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        verbs: dict[str, Any] = {
            "demo": workflow.demo,
            "generate_midi": workflow.generate_midi,
            "interpolate": workflow.interpolate,
            "continue_clip": workflow.continue_clip,
            "accompany": workflow.accompany,
            "infill": workflow.infill,
            "vary": workflow.vary,
        }
        _tell(terminal, verbs[verb](progress=terminal.progress(verb.partition("_")[0]), **options))


def _tell(terminal: Terminal, result: Any) -> None:
    for refusal in result.refused:
        terminal.warn(f"{refusal.file}: {refusal.reason}: {refusal.message}")
    lines = [str(result.folder / file["file"]) for file in result.files]
    page = result.folder / "index.html"
    if any(file["file"] == page.name for file in result.files):
        lines = [f"{len(result.files)} files in {result.folder}", f"open {page}"]
    if result.refused:
        terminal.say(f"{len(result.refused)} refused, {len(result.files)} files written")
    terminal.show(result.as_json(), lines, result.exit_code)


def _facts(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Lay out nested values as `name: value` lines; of a long list the first few."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{name}:"
            yield from _facts(value, f"{indent}  ")
        elif isinstance(value, list | tuple):
            plain = [str(item) for item in value if not isinstance(item, Mapping)]
            more = f" and {len(plain) - 3} more" if len(plain) > 8 else ""
            shown = plain[:3] if more else plain
            yield f"{indent}{name}: {', '.join(shown)}{more}" if plain or not value else f"{indent}{name}: {len(value)}"
        else:
            yield f"{indent}{name}: {value}"


def _verdicts(found: Mapping[str, Any]) -> Iterator[str]:
    """Say in a line per file what the gate makes of it."""
    if not found.get("files", [found]):
        yield "no music files there; expected .mid files, or .npz or .npy rolls"
    for file in found.get("files", [found]):
        name = f"{file['path']}: " if "path" in file else ""
        if file["status"] == "ok":
            warnings = f", warnings: {', '.join(file['warnings'])}" if file["warnings"] else ""
            yield f"{name}ok, {file['kind']}, {file['notes']} notes, {file['seconds']} s{warnings}"
        else:
            yield f"{name}refused, {file['reason']}"
    if found.get("counts"):
        yield ", ".join(f"{code}: {count}" for code, count in found["counts"].items())


def _inspect_code(found: Mapping[str, Any]) -> int:
    """0 when all is taken, 3 when nothing is or nothing is there, 5 in between."""
    files = found.get("files", [found])
    taken = sum(file["status"] == "ok" for file in files)
    if not taken:
        return 3
    return 0 if taken == len(files) else 5
