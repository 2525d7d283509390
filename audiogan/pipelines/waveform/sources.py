"""From the recipe's sources to units of work, and from a unit to notes.

A unit is what one worker reads at once and what an interrupted preparation keeps: some keys of one program of a
SoundFont, or some sound files. Its key names everything that its notes depend on.
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from audiogan.corpus import nsynth, soundfolder, soundfont
from audiogan.corpus.audio import resample
from audiogan.corpus.gate import escape, open_regular
from audiogan.corpus.notes import Note, NoteRefusal, level
from audiogan.corpus.programs import PITCHED
from audiogan.corpus.soundfolder import Ears, Heard, SoundFile, tuned
from audiogan.errors import CorpusError
from audiogan.pipelines.waveform.config import Config, CorpusConfig, SourceConfig
from audiogan.recipe import digest
from audiogan.version import __version__

SOUNDS_PER_UNIT = 32
T = TypeVar("T")
_SCHEMA = 1


class Unit(NamedTuple):
    """Work for one worker.

    Args:
        key: Names its notes and everything they depend on.
        source: Number of the source.
        program: General MIDI program of a SoundFont.
        keys: MIDI key and velocity of the notes to render.
        sounds: Files to read.
    """

    key: str
    source: int
    program: int = 0
    keys: tuple[tuple[int, int], ...] = ()
    sounds: tuple[SoundFile, ...] = ()

    @property
    def n_sounds(self) -> int:
        """Notes to render and files to read."""
        return len(self.keys) + len(self.sounds)


class Taken(NamedTuple):
    """What became of a unit: notes, refusals, and the names of notes outside the model's range."""

    heard: list[Heard]
    refused: list[NoteRefusal]
    outside: list[str]


def ears_of(corpus: CorpusConfig, config: Config) -> Ears:
    """Return how sounds become notes."""
    return Ears(
        config.sample_rate,
        config.seconds,
        corpus.min_seconds,
        corpus.min_confidence,
        corpus.check_pitch,
        corpus.tune,
    )


# ---- listing


def list_units(corpus: CorpusConfig, config: Config) -> tuple[list[Unit], list[NoteRefusal]]:
    """List the work of a corpus, source by source.

    Returns:
        Units, and what is refused before it is read.

    Raises:
        CorpusError: A source is missing or cannot be listed.
        UnsupportedError: A SoundFont is to be rendered and midirenderer is not installed.
    """
    units: list[Unit] = []
    refused: list[NoteRefusal] = []
    common = [_SCHEMA, __version__, config.sample_rate, config.seconds, config.representation.model_dump()]
    common += [config.lowest_pitch, config.highest_pitch, ears_of(corpus, config)]
    for number, place in enumerate(corpus.places):
        if place.kind == "soundfont":
            units += _font_units(number, place, corpus, config, common)
            continue
        sounds, odd = _sounds_of(place, corpus)
        refused += odd
        for group in _groups(sounds, SOUNDS_PER_UNIT):
            facts = [[*sound._replace(velocity=str(sound.velocity)), _stamp(sound.path)] for sound in group]
            units.append(Unit(digest([common, place.kind, place.family_name, facts]), number, sounds=group))
    return units, refused


def _sounds_of(place: SourceConfig, corpus: CorpusConfig) -> tuple[list[SoundFile], list[NoteRefusal]]:
    folder = Path(place.folder)
    if place.kind == "nsynth":
        return nsynth.list_notes(folder, sources=corpus.nsynth_sources, families=corpus.nsynth_families)
    return soundfolder.list_sounds(folder, table=corpus.table, middle_c=corpus.middle_c), []


def _groups(items: list[T], size: int) -> Iterator[tuple[T, ...]]:
    return (tuple(items[first : first + size]) for first in range(0, len(items), size))


def _stamp(path: str) -> list[int]:
    try:
        facts = os.stat(path)
    except OSError:
        return []
    return [facts.st_size, facts.st_mtime_ns]


def _font_units(number: int, place: SourceConfig, corpus: CorpusConfig, config: Config, common: list) -> Iterator[Unit]:
    soundfont.require_renderer()
    soundfont.check_font(place.folder)
    family = place.family_name
    for program in corpus.programs:
        keys = soundfont.keys_of(program, config.lowest_pitch, config.highest_pitch, family, corpus.pitch_step)
        wanted = [(key, velocity) for key in keys for velocity in corpus.velocities]
        for group in _groups(wanted, soundfont.NOTES_PER_RENDER):
            facts = [common, "soundfont", family, _stamp(place.folder), Path(place.folder).name, program, group]
            yield Unit(digest(facts), number, program=program, keys=group)


# ---- reading


def read_unit(
    unit: Unit, corpus: CorpusConfig, config: Config, *, before_each: Callable[[], None] = lambda: None
) -> Taken:
    """Read the notes of a unit.

    Args:
        before_each: Called before each file or rendering, for the worker's clock.

    Raises:
        CorpusError: The SoundFont cannot be read.
        UnsupportedError: An optional extra is missing.
    """
    place = corpus.places[unit.source]
    taken = Taken([], [], [])
    if unit.keys:
        before_each()
        _render(unit, place, corpus, config, taken)
    for sound in unit.sounds:
        before_each()
        shown = escape(Path(sound.path).name)
        if sound.pitch is not None and not _is_inside(sound.pitch, config):
            taken.outside.append(shown)
            continue
        try:
            found = soundfolder.read_sound(sound, ears_of(corpus, config), place.family_name)
        except CorpusError as error:
            taken.refused.append(NoteRefusal(shown, error.reason, str(error)))
            continue
        for heard in found:
            if _is_inside(heard.note.pitch, config):
                taken.heard.append(heard)
            else:
                taken.outside.append(heard.note.name)
    return taken


def _is_inside(pitch: float, config: Config) -> bool:
    """Whether a pitch is nearest to one of the model's keys."""
    return config.lowest_pitch - 0.5 <= pitch < config.highest_pitch + 0.5


@lru_cache(maxsize=1)
def _font(path: str, stamp: tuple[int, ...]) -> bytes:  # noqa: ARG001  another stamp is another font
    return soundfont.read_font(path)


def forget_fonts() -> None:
    """Free the memory of the font that was read last."""
    _font.cache_clear()


def _render(unit: Unit, place: SourceConfig, corpus: CorpusConfig, config: Config, taken: Taken) -> None:
    font, family = _font(place.folder, tuple(_stamp(place.folder))), place.family_name
    shown = escape(Path(place.folder).name)
    instrument = PITCHED[unit.program].name
    played = soundfont.render_clean(font, unit.program, unit.keys, seconds=config.seconds, source=shown)
    for (key, velocity), waveform in zip(unit.keys, played, strict=True):
        name = f"{shown} {instrument} key {key} velocity {velocity}"
        if soundfont.is_clipped(waveform):
            taken.refused.append(NoteRefusal(name, "clipped", f"{name}: runs into full scale; expected headroom"))
            continue
        sound = resample(waveform, soundfont.RENDER_RATE, config.sample_rate)
        try:
            levelled, gain = level(sound, config.n_samples, name, silence=soundfont.SILENCE)
        except CorpusError as error:
            taken.refused.append(NoteRefusal(name, error.reason, str(error)))
            continue
        pitch = tuned(levelled, config.sample_rate, key) if corpus.tune else float(key)
        note = Note(levelled, pitch, velocity / 127, gain, f"{family}/{instrument}", family, name)
        taken.heard.append(Heard(note, math.nan))


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes, read in pieces; empty for a folder.

    Raises:
        CorpusError: As `open_regular`.
    """
    if path.is_dir():
        return ""
    descriptor, _, _ = open_regular(path, None)
    with open(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
