"""The arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Clips = Annotated[list[Path], typer.Argument(help="MIDI files.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings, as in train.batch_size=8.")
]
Count = Annotated[int, typer.Option(help="How many to make.")]
Tracks = Annotated[str | None, typer.Option(metavar="a,b", help="Names of the tracks, as in drums,bass.")]
ModelName = Annotated[str | None, typer.Option("--model", help="Name of a shipped model, or a folder.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the results.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")]
Listen = Annotated[bool, typer.Option("--listen", help="Also write a page to hear everything; clips get a WAV sketch.")]
Preview = Annotated[
    bool, typer.Option("--preview", help="Also write a PNG of each file: a pianoroll, or of a sound a rainbowgram.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Jobs = Annotated[int | None, typer.Option(help="Processes that read files; one per core if left out.")]
Refine = Annotated[bool, typer.Option("--refine", help="Fit the timbre of a recording closer; takes seconds.")]
SaveTimbre = Annotated[bool, typer.Option("--save-timbre", help="Also write the timbre of each note, for --timbre.")]
Audited = Annotated[
    bool, typer.Option("--audit", help="Compare with what the model learnt; draw again, or refuse, what is too near.")
]
SampleRate = Annotated[int | None, typer.Option(metavar="HZ", help="Samples per second.")]
OutFile = Annotated[Path | None, typer.Option(metavar="FILE", help="A .wav or .flac file, or a folder.")]
