"""A page to see and hear clips: one HTML file with the pictures inside it and players for the sounds beside it.

The page needs no network and no other program. Every text that comes from a file is escaped.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from audiogan.corpus import audio
from audiogan.corpus.files import write_whole
from audiogan.corpus.score import Score
from audiogan.preview import COLOURS, SAMPLE_RATE, picture, sound
from audiogan.workflow.outputs import OutputFolder, describe

PAGE = "index.html"

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; media-src 'self' file:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }}
body {{ color: #222; background: #fff }}
h1 {{ font-size: 1.6rem }}  h2 {{ font-size: 1.2rem; margin-top: 2.5rem }}
figure {{ margin: 1.2rem 0; padding: 1rem; border: 1px solid #ddd; border-radius: 8px }}
figcaption {{ display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; margin-bottom: .6rem }}
img {{ width: 100%; height: auto; image-rendering: crisp-edges; background: #fff }}
audio {{ height: 2.2rem }}  small {{ color: #666 }}
@media (prefers-color-scheme: dark) {{ body {{ background: #16181c; color: #ddd }} figure {{ border-color: #444 }}
 a {{ color: #8ab4f8 }} small {{ color: #aaa }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>The players hold a plain sketch of the notes.
Open the MIDI files in your own program to hear them with good instruments.</p>
"""


@dataclass(frozen=True)
class Entry:
    """One clip on the page: its score, its MIDI file and its sound, both in the folder of the page."""

    score: Score
    file: str
    sound: str | None = None
    note: str = ""


def add_sound(folder: OutputFolder, score: Score, midi_name: str) -> str:
    """Add a WAV sketch of a clip to the folder and return its file name."""
    name = f"{Path(midi_name).stem}.wav"
    waveform = sound(score)
    facts = {"sample_rate": SAMPLE_RATE, "seconds": round(waveform.shape[-1] / SAMPLE_RATE, 3), "sketch_of": midi_name}
    folder.add(name, lambda path: audio.write(waveform, SAMPLE_RATE, path), **facts)
    return name


def add_picture(folder: OutputFolder, score: Score, midi_name: str) -> str:
    """Add a pianoroll of a clip as PNG to the folder and return its file name."""
    name = f"{Path(midi_name).stem}.png"
    folder.add(name, lambda path: write_whole(path, picture(score)), picture_of=midi_name)
    return name


def add_page(folder: OutputFolder, title: str, sections: Mapping[str, Sequence[Entry]]) -> Path:
    """Add `index.html` to the folder.

    Args:
        folder: Holds the files that the entries name.
        title: Of the page.
        sections: Entries under their headings.
    """
    text = render(title, sections)
    return folder.add(PAGE, lambda path: write_whole(path, text.encode()), page=True)


def render(title: str, sections: Mapping[str, Sequence[Entry]]) -> str:
    """Return the HTML text of the page."""
    parts = [_HEAD.format(title=escape(title))]
    for heading, entries in sections.items():
        if len(sections) > 1:
            parts.append(f"<h2>{escape(heading)}</h2>\n")
        parts += [_figure(entry) for entry in entries]
    return "".join([*parts, "</body>\n</html>\n"])


def _figure(entry: Entry) -> str:
    facts = describe(entry.score)
    names = [track["name"] or f"program {track['program']}" for track in facts["tracks"] if track["notes"]]
    name, image = escape(entry.file, quote=True), base64.b64encode(picture(entry.score)).decode()
    player = f'<audio controls preload="none" src="{escape(entry.sound, quote=True)}"></audio>' if entry.sound else ""
    note = f"<span>{escape(entry.note)}</span>" if entry.note else ""
    about = f"{facts['bars']} bars at {facts['qpm']:g} beats a minute"
    return (
        f'<figure>\n<figcaption><a href="{name}" download>{name}</a>{player}{note}'
        f"<small>{_legend(names)}; {about}</small></figcaption>\n"
        f'<img alt="Pianoroll of {name}" src="data:image/png;base64,{image}">\n</figure>\n'
    )


def _legend(names: Sequence[str]) -> str:
    """Name the tracks from top to bottom, each in the colour of its lane."""
    colours = (f"rgb{COLOURS[lane % len(COLOURS)]}" for lane in range(len(names)))
    spans = (f'<span style="color: {c}">{escape(name)}</span>' for c, name in zip(colours, names, strict=True))
    return ", ".join(spans) or "no notes"
