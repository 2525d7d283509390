"""Does a model of notes give back what it learnt? Its notes against all training notes, where those are at hand.

They are where a prepared corpus is given, and where the held-out notes come from the run that made the model. Elsewhere
nothing is said, and the report tells what the model's card says of copies.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from audiogan import recipe as recipes
from audiogan.corpus.names import escape
from audiogan.evaluation.audit import Audit
from audiogan.evaluation.exhibit import Exhibit, Shelf, flac
from audiogan.evaluation.splits import check_parted_as_before
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.auditing import Heard, audit_notes_of, closest_pairs
from audiogan.pipelines.waveform.config import CorpusConfig
from audiogan.pipelines.waveform.dataset import Notes, prepare
from audiogan.pipelines.waveform.held_out import REFERENCE
from audiogan.pipelines.waveform.listening import Judged

N_CLOSEST = 4
Copying = tuple[Audit | None, list[Shelf]]
"""What was found, and the closest pairs to hear."""


def copying_of(asked: Judged, reference: Path | None, cache: Path | None = None) -> Copying:
    """Audit the notes of an evaluation for copies of training notes.

    Args:
        asked: Model, seed, and the notes that it makes.
        reference: Where the real notes come from; None for the model's own.
        cache: The prepared corpus that the model learnt from.

    Returns:
        Nothing and no shelf where the training notes are not at hand.
    """
    with _corpus_of(asked.model, reference, cache) as folder:
        if folder is None:
            return None, []
        learnt, *others = (Notes(folder, split) for split in ("train", "valid", "test"))
        held_out = [notes for notes in others if len(notes)]
        if not len(learnt) or not held_out:
            return None, []
        wanted = [(note.pitch, note.velocity) for note in asked.made_notes]
        found, material, n_twins = audit_notes_of(asked.model, learnt, held_out, wanted, seed=asked.seed)
        about = (
            "The generated notes that come nearest to training notes, whatever the verdict. "
            f"{n_twins} of {n_twins + found.n_held_out} held-out notes are recordings that training notes were made "
            "of, too, and set no limits."
        )
        exhibits = []
        for number, (pair, new, old) in enumerate(closest_pairs(found, material)[:N_CLOSEST], 1):
            exhibits.append(_exhibit(f"Pair {number}, generated", new, f"{pair.view}: {pair.distance:.3g}"))
            exhibits.append(_exhibit(f"Pair {number}, training note", old, escape(old.name)))
    return found, [Shelf("The closest pairs", about, tuple(exhibits), in_pairs=True)]


@contextmanager
def _corpus_of(model: Model, reference: Path | None, cache: Path | None) -> Iterator[Path | None]:
    """The prepared corpus of a model: the one given, or that of its run where the held-out notes come from there."""
    path = model.folder.parent / "recipe.yaml"
    if cache is not None:
        yield cache
    elif reference is None and not (model.folder / REFERENCE).is_dir() and path.is_file():
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            taken = prepare(CorpusConfig.model_validate(recipes.read(path)["corpus"]), model.config, Path(folder))
            check_parted_as_before(model.folder.parent, "instruments", taken.instruments)
            yield Path(folder)
    else:
        yield None


def _exhibit(title: str, note: Heard, about: str) -> Exhibit:
    rate = note.config.sample_rate
    waveform = np.nan_to_num(note.sound(rate), posinf=0.0, neginf=0.0)
    caption = f"{about}; pitch {note.pitch:.1f}"
    return Exhibit(title=title, caption=caption, sound=flac(waveform, rate))
