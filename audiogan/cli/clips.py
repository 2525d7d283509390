"""The commands that write MIDI: new clips, and clips made with the user's own; `interpolate` takes sounds too."""

from pathlib import Path
from typing import Annotated

import typer

from audiogan.cli.options import (
    Audited,
    Clips,
    Count,
    Debug,
    Device,
    Json,
    Listen,
    ModelName,
    Out,
    Overwrite,
    Preview,
    Quiet,
    Refine,
    SaveTimbre,
    Seed,
    Tracks,
)
from audiogan.cli.program import app, generate_app, make


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
    """Show in one minute what the shipped models do: MIDI, sounds and a page."""
    make("demo", **locals())


@generate_app.command("midi")
def generate_midi(
    count: Count = 4,
    bars: Annotated[int | None, typer.Option(help="Length in bars.")] = None,
    tempo: Annotated[float | None, typer.Option(help="Quarter notes per minute.")] = None,
    tracks: Tracks = None,
    key: Annotated[str | None, typer.Option(help="Such as C, F# minor or Bb.")] = None,
    temperature: Annotated[float, typer.Option(help="0 to 2: from typical to wild.")] = 1.0,
    audit: Audited = False,
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
    make("generate_midi", **locals())


@app.command()
def interpolate(
    first: Annotated[
        Path, typer.Argument(metavar="A", help="MIDI clip, recording, folder of them, or saved timbre to begin with.")
    ],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another of the same kind to end with.")],
    steps: Annotated[int, typer.Option(help="How many files, both ends included.")] = 5,
    pitch: Annotated[str | None, typer.Option(metavar="P", help="Of the notes between timbres: 60 or C4.")] = None,
    refine: Refine = False,
    save_timbre: SaveTimbre = False,
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
    """Go from one clip to another, or from one timbre to another, step by step."""
    make("interpolate", **locals())


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
    make("continue_clip", **locals())


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
    make("accompany", **locals())


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
    make("infill", **locals())


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
    make("vary", **locals())
