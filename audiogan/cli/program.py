"""The program itself: what it is called, its groups of commands, and what happens with a result."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from audiogan.terminal import Terminal
from audiogan.version import __version__

app = typer.Typer(
    name="audiogan",
    help="Make music with generative adversarial networks: multitrack MIDI clips, notes and timbres.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
generate_app = typer.Typer(help="Make something new.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(generate_app, name="generate")


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


def make(verb: str, *, json: bool, quiet: bool, debug: bool, **options: Any) -> None:
    """Run a verb that makes files; every option of the command is an argument of the verb."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        verbs: dict[str, Any] = {
            "demo": workflow.demo,
            "generate_midi": workflow.generate_midi,
            "generate_notes": workflow.generate_notes,
            "interpolate": workflow.interpolate,
            "continue_clip": workflow.continue_clip,
            "accompany": workflow.accompany,
            "infill": workflow.infill,
            "vary": workflow.vary,
            "transfer": workflow.transfer,
            "render": workflow.render,
            "export": workflow.export,
        }
        _tell(terminal, verbs[verb](progress=terminal.progress(verb.partition("_")[0]), **options))


def _tell(terminal: Terminal, result: Any) -> None:
    for refusal in result.refused:
        terminal.warn(f"{refusal.file}: {refusal.reason}: {refusal.message}")
    for file in result.files:
        for warning in file.get("warnings") or ():
            terminal.say(f"{file['file']}: {warning}")
    lines = [str(result.folder / file["file"]) for file in result.files]
    page = result.folder / "index.html"
    if any(file["file"] == page.name for file in result.files):
        lines = [f"{len(result.files)} files in {result.folder}", f"open {page}"]
    if result.refused:
        terminal.say(f"{len(result.refused)} refused, {len(result.files)} files written")
    terminal.show(result.as_json(), lines, result.exit_code)


def layout(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Lay out nested values as `name: value` lines; of a long list the first few."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{name}:"
            yield from layout(value, f"{indent}  ")
        elif isinstance(value, list | tuple):
            plain = [str(item) for item in value if not isinstance(item, Mapping)]
            more = f" and {len(plain) - 3} more" if len(plain) > 8 else ""
            shown = plain[:3] if more else plain
            yield f"{indent}{name}: {', '.join(shown)}{more}" if plain or not value else f"{indent}{name}: {len(value)}"
        else:
            yield f"{indent}{name}: {value}"
