"""From what the user names to a timbre of the model: `random`, a saved timbre, a recording, or a folder of them."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiogan.corpus.gate import read_head, sniff
from audiogan.corpus.names import escape
from audiogan.errors import CorpusError
from audiogan.pipeline import MUSIC, SOUNDS, Model
from audiogan.workflow.making import name_file, naming

logger = logging.getLogger(__name__)

RANDOM = "random"
SAVED = ".json"
MOST_RECORDINGS = 32  # of a folder; more are thinned out evenly by pitch


class Timbres:
    """The timbres that one verb uses, read with one model.

    Args:
        model: Makes sounds.
        seed: Of the random ones; each `random` of a verb is another.
        refine: Fit the timbres of recordings closer; takes seconds each.
    """

    def __init__(self, model: Model, seed: int, *, refine: bool = False) -> None:
        self._model, self._seed, self._refine = model, seed, refine
        self._n_random = 0

    def read(self, reference: str | Path) -> tuple[Any, dict[str, Any]]:
        """Return a timbre, and what the manifest says of where it comes from.

        Raises:
            CorpusError: A file that is refused, or holds no pitch.
            UnsupportedError: A model that cannot tell the timbre of a recording.
        """
        if str(reference) == RANDOM:
            self._n_random += 1
            number = self._n_random - 1
            return self._model.random_timbre(self._seed, number), {"random": number}
        path = Path(reference)
        if path.is_dir():
            return self._read_folder(path)
        facts: dict[str, Any] = {"file": escape(path.name)}
        if path.suffix.lower() == SAVED:
            return self._model.sounding.load_timbre(path, self._model), facts
        recording, warnings = read_recording(path)
        more = {"refine": True} if self._refine else {}
        with naming(path):
            timbre = self._model.sounding.timbre_of(self._model, recording, name=path.name, seed=self._seed, **more)
        return timbre, facts | {"warnings": warnings}

    def _read_folder(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        """Return the timbre of the recordings of one instrument, some of many, evenly by pitch."""
        from audiogan.corpus.soundfolder import list_sounds

        sounds = sorted(list_sounds(folder), key=lambda sound: math.inf if sound.pitch is None else sound.pitch)
        places = {round(place * (len(sounds) - 1) / (MOST_RECORDINGS - 1)) for place in range(MOST_RECORDINGS)}
        chosen = sounds if len(sounds) <= MOST_RECORDINGS else [sounds[place] for place in sorted(places)]
        refused: list[dict[str, str]] = []
        shown = escape(folder.resolve().name)

        def refuse(name: str, error: CorpusError) -> None:
            name_file(error, folder / name)
            logger.warning("left out: %s", error)
            refused.append({"file": escape(name), "reason": error.reason, "message": str(error)})

        recordings, pitches = {}, {}
        for sound in chosen:
            name = str(Path(sound.path).relative_to(folder))
            try:
                recordings[name], _ = read_recording(Path(sound.path))
            except CorpusError as error:
                refuse(name, error)
                continue
            if sound.pitch is not None:
                pitches[name] = sound.pitch
        if len(chosen) < len(sounds):
            logger.info("%s: %d of %d recordings are used, evenly by pitch", shown, len(chosen), len(sounds))
        more = {"refine": True} if self._refine else {}
        with naming(folder):
            timbre = self._model.sounding.timbre_of_several(
                self._model,
                recordings,
                pitches=pitches,
                name=shown,
                seed=self._seed,
                on_refusal=refuse,
                **more,
            )
        facts = {"folder": shown, "recordings": len(chosen) - len(refused), "of": len(sounds)}
        return timbre, facts | {"refused": refused}

    def read_all(self, references: Sequence[str | Path]) -> tuple[list[Any], list[dict[str, Any]]]:
        """Read several; none named is one random timbre."""
        pairs = [self.read(reference) for reference in references or [RANDOM]]
        return [timbre for timbre, _ in pairs], [facts for _, facts in pairs]


def read_recording(path: Path) -> tuple[Any, list[str]]:
    """Read a sound through the gate; what was tolerated comes second.

    Raises:
        CorpusError: It is refused.
    """
    from audiogan.corpus import audio

    recording = audio.read(path)
    return recording, list(recording.warnings)


def kind_of_file(path: Path) -> str | None:
    """Return `MUSIC` for MIDI, `SOUNDS` for recordings (a file or a folder) or a saved timbre, None for anything else.

    Raises:
        CorpusError: The file cannot be read.
    """
    if path.is_dir():
        return SOUNDS
    if path.suffix.lower() == SAVED:
        read_head(path)
        return SOUNDS
    kind = sniff(path)
    return MUSIC if kind == "midi" else SOUNDS if kind == "audio" else None


def check_references(references: Sequence[str | Path]) -> None:
    """Refuse files that are not there, before a model is loaded.

    Raises:
        CorpusError: `missing` and its like, or a file that is no sound.
    """
    for reference in references:
        if str(reference) != RANDOM and kind_of_file(Path(reference)) == MUSIC:
            shown = escape(Path(reference))
            raise CorpusError(f"{shown}: MIDI; expected a recording, a saved timbre or `random`", "not_audio")
