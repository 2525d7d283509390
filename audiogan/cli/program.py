"""The program itself: what it is called, its groups of commands, and what happens with a result."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

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
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal, stoppable():
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


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM unwind what runs inside the block, as Ctrl-C does, so that nothing half done is left: exit code 143.

    A second signal ends the process at once.
    """

    def stop(number: int, _: object) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # Python lets only that one listen
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(terminal: Terminal, result: Any) -> None:
    for refusal in result.refused:
        terminal.warn(f"{refusal.file}: {refusal.reason}: {refusal.message.removeprefix(f'{refusal.file}: ')}")
    for file in result.files:
        for warning in file.get("warnings") or ():
            terminal.say(f"{file['file']}: {warning}")
    lines = [str(result.folder / file["file"]) for file in result.files]
    pages = [result.folder / file["file"] for file in result.files if file.get("page")]
    if pages:
        lines = [f"{len(result.files)} files in {result.folder}", *(f"open {page}" for page in pages)]
    for line in getattr(result, "said", ()):  # of an audit
        terminal.say(line)
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
