"""What a report shows: sounds, pictures and clips on shelves, as bytes of files that browsers know."""

import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus import audio


@dataclass(frozen=True)
class Exhibit:
    """One thing to hear and see; what it has not is empty.

    Args:
        title: What it is.
        caption: What else has to be known.
        sound: A FLAC file.
        picture: A PNG file.
        picture_text: What the picture shows, for those who cannot see it.
        midi: A MIDI file.
        legend: Names of the tracks with the colours of the picture, red, green and blue in 0 to 255.
    """

    title: str
    caption: str = ""
    sound: bytes = b""
    picture: bytes = b""
    picture_text: str = ""
    midi: bytes = b""
    legend: tuple[tuple[str, tuple[int, int, int]], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what it is, and the hashes of its files instead of the files."""
        files = {name: getattr(self, name) for name in ("sound", "midi", "picture")}
        hashes = {f"{name}_sha256": sha256(data).hexdigest() for name, data in files.items() if data}
        return {"title": self.title, "caption": self.caption} | hashes


@dataclass(frozen=True)
class Shelf:
    """Exhibits that belong together.

    Args:
        heading: Of all.
        about: What they are and how they were chosen.
        exhibits: In order.
        in_pairs: Whether each two stand side by side, to be compared.
    """

    heading: str
    about: str
    exhibits: tuple[Exhibit, ...]
    in_pairs: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values, without the files."""
        return {"heading": self.heading, "exhibits": [exhibit.to_json() for exhibit in self.exhibits]}


def flac(waveform: NDArray[np.floating], sample_rate: int) -> bytes:
    """Return a sound as a FLAC file of 16 bits.

    Args:
        waveform: `(time,)` in [-1, 1]; what is not finite becomes silence.
        sample_rate: In Hz.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.flac"
        audio.write(np.nan_to_num(np.asarray(waveform))[None], sample_rate, path)
        return path.read_bytes()
