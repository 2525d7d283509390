"""The commands that make sound: notes, melodies and pieces in generated timbres, instruments."""

from pathlib import Path
from typing import Annotated

import typer

from audiogan.cli.options import (
    Audited,
    Debug,
    Device,
    Json,
    Listen,
    ModelName,
    Out,
    OutFile,
    Overwrite,
    Preview,
    Quiet,
    Refine,
    SampleRate,
    SaveTimbre,
    Seed,
)
from audiogan.cli.program import app, generate_app, make


@generate_app.command("notes")
def generate_notes(
    count: Annotated[int | None, typer.Option(help="How many to make; left out: 4, or one per key.")] = None,
    pitch: Annotated[
        str | None, typer.Option(metavar="P", help="60, C4, several as 60,64,67, or a range as 48-72.")
    ] = None,
    velocity: Annotated[float | None, typer.Option(help="0 to 1, or as in MIDI up to 127.")] = None,
    duration: Annotated[float | None, typer.Option(metavar="S", help="Seconds until the note is let go.")] = None,
    sample_rate: SampleRate = None,
    timbre: Annotated[
        str | None,
        typer.Option(metavar="REF", help="A recording, folder of them, saved timbre or random, for all notes."),
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 to 2: from typical to wild.")] = 1.0,
    refine: Refine = False,
    save_timbre: SaveTimbre = False,
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
    """Make new notes, one WAV file each."""
    make("generate_notes", **locals())


@app.command()
def transfer(
    source: Annotated[Path, typer.Argument(help="A recording.", show_default=False)],
    timbre: Annotated[str, typer.Option(metavar="REF", help="A recording, folder of them, saved timbre or random.")],
    voices: Annotated[
        str, typer.Option(metavar="auto|one|many", help="one: a melody; many: transcribe it; auto: whichever it is.")
    ] = "auto",
    save_midi: Annotated[bool, typer.Option("--save-midi", help="Also write the notes that were heard.")] = False,
    refine: Refine = False,
    model: ModelName = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: OutFile = None,
    overwrite: Overwrite = False,
    listen: Listen = False,
    preview: Preview = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Play your recording in another timbre; its notes and dynamics stay, and the pitch curve of a melody."""
    make("transfer", **locals())


@app.command()
def render(
    song: Annotated[Path, typer.Argument(metavar="SONG.mid", help="A MIDI file.", show_default=False)],
    timbre: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REF", help="A recording, folder of them, saved timbre or random; several times for several."
        ),
    ] = None,
    glide: Annotated[float | None, typer.Option(metavar="S", help="Seconds from each timbre to the next.")] = None,
    sample_rate: SampleRate = None,
    refine: Refine = False,
    model: ModelName = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: OutFile = None,
    overwrite: Overwrite = False,
    listen: Listen = False,
    preview: Preview = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Play a MIDI file with generated timbres."""
    make("render", **locals())


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="Name of a shipped model, or a folder.")],
    format: Annotated[str, typer.Option(help="sfz: an instrument for samplers.")] = "sfz",  # noqa: A002
    timbre: Annotated[
        str, typer.Option(metavar="REF", help="A recording, folder of them, saved timbre or random.")
    ] = "random",
    refine: Refine = False,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    listen: Listen = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make an instrument of a timbre, for your music program."""
    make("export", **locals())
