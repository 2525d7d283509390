"""A page to see and hear results: one HTML file with the pictures inside it and players for the sounds beside it.

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
from audiogan.pipeline import Sound
from audiogan.preview import COLOURS, SAMPLE_RATE, picture, sound
from audiogan.rainbowgram import rainbowgram
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
"""
_ABOUT_SCORES = """<p>The players of the clips hold a plain sketch of the notes.
Open the MIDI files in your own program to hear them with good instruments.</p>
"""
_ABOUT_SOUNDS = """<p>The pictures of sounds show pitch upwards and time to the right; brighter is louder, and the
colour tells how the frequency lies there: green on the row's own, towards blue below it, towards red above it.</p>
"""


@dataclass(frozen=True)
class Entry:
    """One result on the page: a score or a sound, its file and the file to hear, both in the folder of the page."""

    item: Score | Sound
    file: str
    sound: str | None = None
    note: str = ""


def add_sound(folder: OutputFolder, score: Score, midi_name: str, comment: str | None = None) -> str:
    """Add a WAV sketch of a clip to the folder, with a comment inside it, and return its file name."""
    name = f"{Path(midi_name).stem}.wav"
    waveform = sound(score)
    facts = {"sample_rate": SAMPLE_RATE, "seconds": round(waveform.shape[-1] / SAMPLE_RATE, 3), "sketch_of": midi_name}
    folder.add(name, lambda path: audio.write(waveform, SAMPLE_RATE, path, comment=comment), **facts)
    return name


def add_picture(folder: OutputFolder, item: Score | Sound, shown: str) -> str:
    """Add a pianoroll of a clip or a rainbowgram of a sound as PNG to the folder and return its file name."""
    name = f"{Path(shown).stem}.png"
    folder.add(name, lambda path: write_whole(path, draw(item)), picture_of=shown)
    return name


def draw(item: Score | Sound) -> bytes:
    """Return the picture of a score or a sound, a PNG."""
    return picture(item) if isinstance(item, Score) else rainbowgram(item.waveform, item.sample_rate)


def add_page(folder: OutputFolder, title: str, sections: Mapping[str, Sequence[Entry]], name: str = PAGE) -> Path:
    """Add a page to the folder.

    Args:
        folder: Holds the files that the entries name.
        title: Of the page.
        sections: Entries under their headings.
        name: Of its file.
    """
    text = render(title, sections)
    return folder.add(name, lambda path: write_whole(path, text.encode()), page=True)


def render(title: str, sections: Mapping[str, Sequence[Entry]]) -> str:
    """Return the HTML text of the page."""
    parts = [_HEAD.format(title=escape(title))]
    scores = [isinstance(entry.item, Score) for entries in sections.values() for entry in entries]
    parts += [_ABOUT_SCORES] if any(scores) or not scores else []
    parts += [] if all(scores) else [_ABOUT_SOUNDS]
    for heading, entries in sections.items():
        if len(sections) > 1:
            parts.append(f"<h2>{escape(heading)}</h2>\n")
        parts += [_figure(entry) for entry in entries]
    return "".join([*parts, "</body>\n</html>\n"])


def _figure(entry: Entry) -> str:
    name, image = escape(entry.file, quote=True), base64.b64encode(draw(entry.item)).decode()
    player = f'<audio controls preload="none" src="{escape(entry.sound, quote=True)}"></audio>' if entry.sound else ""
    note = f"<span>{escape(entry.note)}</span>" if entry.note else ""
    of_score = isinstance(entry.item, Score)
    facts = _about_score(entry.item) if isinstance(entry.item, Score) else escape(_about_sound(entry.item))
    return (
        f'<figure>\n<figcaption><a href="{name}" download>{name}</a>{player}{note}'
        f"<small>{facts}</small></figcaption>\n"
        f'<img alt="{"Pianoroll" if of_score else "Rainbowgram"} of {name}" src="data:image/png;base64,{image}">\n'
        "</figure>\n"
    )


def _about_score(score: Score) -> str:
    facts = describe(score)
    names = [track["name"] or f"program {track['program']}" for track in facts["tracks"] if track["notes"]]
    return f"{_legend(names)}; {facts['bars']} bars at {facts['qpm']:g} beats a minute"


def _about_sound(sound: Sound) -> str:
    told = [f"{len(sound.waveform) / sound.sample_rate:.1f} s"]
    for name in ("pitch", "velocity"):
        value = sound.facts.get(name)
        if isinstance(value, int | float):
            told.append(f"{name} {value:g}")
    return ", ".join([*told, *map(str, sound.facts.get("warnings") or ())])


def _legend(names: Sequence[str]) -> str:
    """Name the tracks from top to bottom, each in the colour of its lane."""
    colours = (f"rgb{COLOURS[lane % len(COLOURS)]}" for lane in range(len(names)))
    spans = (f'<span style="color: {c}">{escape(name)}</span>' for c, name in zip(colours, names, strict=True))
    return ", ".join(spans) or "no notes"
