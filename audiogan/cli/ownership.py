"""The command for owners of music: does a model give my files back?"""

from pathlib import Path
from typing import Annotated

import typer

from audiogan.cli.options import Debug, Device, Json, Out, Overwrite, Quiet, Seed
from audiogan.cli.program import app, stoppable
from audiogan.terminal import Terminal


@app.command()
def audit(
    model: Annotated[str, typer.Argument(help="Name of a shipped model, or a folder.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Songs or sounds that you own.", show_default=False)],
    count: Annotated[int, typer.Option(help="How many outputs to compare with them.")] = 512,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tell whether a model gives your files back, and how sure that is.

    The answer and the nearest pairs go to the folder --out, or else to audiogan-audit in the current folder.
    """
    with Terminal(as_json=json, quiet=quiet, debug=debug) as terminal, stoppable():
        from audiogan import workflow

        bar = terminal.progress("steps")
        given = {"count": count, "seed": seed, "device": device, "out": out, "overwrite": overwrite}
        stated = workflow.audit(model, folder, progress=bar, **given)
        terminal.show(stated.as_json(), stated.as_text(), stated.exit_code)
