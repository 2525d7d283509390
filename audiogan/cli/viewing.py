"""The commands that only look: files, models, this computer."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from audiogan.cli.options import Debug, Json, Quiet
from audiogan.cli.program import app, layout
from audiogan.corpus.names import escape
from audiogan.terminal import Terminal


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
        terminal.show(found, _verdicts(path, found), _inspect_code(found))


@app.command()
def models(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME_OR_FOLDER", help="Show the card of this model."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List the models at hand, or show what one is, what it learnt from and how good it is."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        if name is not None:
            shown = workflow.card_of(name)
            terminal.show(shown, [*shown["summary"], f"all of it: {escape(shown['folder'])}"])
            return
        found = workflow.models()
        lines = [
            "  ".join(
                [
                    escape(one["name"]),
                    str(one["pipeline"]),
                    f"{one['megabytes']} MB",
                    escape(workflow.licence_of(one["card"])),
                ]
            )
            for one in found
        ]
        for problem in (one["problem"] for one in found if "problem" in one):
            terminal.warn(f"audiogan: {problem}")
        terminal.show(
            {"models": found}, lines or ["no shipped models; train one with `audiogan train multitrack/smoke`"]
        )


@app.command()
def doctor(json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Say what this computer can do."""
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal:
        from audiogan import workflow

        found = workflow.doctor()
        terminal.show(found, layout(found))


def _verdicts(path: Path, found: Mapping[str, Any]) -> Iterator[str]:
    """Say in a line per file what the gate makes of it; of a file that was asked for alone also why."""
    if not found.get("files", [found]):
        expected = "expected .mid files, .npz or .npy rolls, or sounds such as .wav and .flac"
        yield f"{escape(path)}: no music files there; {expected}"
    for file in found.get("files", [found]):
        name = f"{file['path']}: " if "path" in file else ""
        if file["status"] == "ok":
            warnings = f", warnings: {', '.join(file['warnings'])}" if file["warnings"] else ""
            notes = "" if file["kind"] == "audio" else f" {file['notes']} notes,"
            yield f"{name}ok, {file['kind']},{notes} {file['seconds']} s{warnings}"
        else:
            why = f": {file['message']}" if "message" in file and "path" not in file else ""
            yield f"{name}refused, {file['reason']}{why}"
    if found.get("counts"):
        yield ", ".join(f"{code}: {count}" for code, count in found["counts"].items())


def _inspect_code(found: Mapping[str, Any]) -> int:
    """0 when all is taken, 3 when nothing is or nothing is there, 5 in between."""
    files = found.get("files", [found])
    taken = sum(file["status"] == "ok" for file in files)
    if not taken:
        return 3
    return 0 if taken == len(files) else 5
