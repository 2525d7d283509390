"""What an owner of sounds can find out about a model: whether new notes are theirs, and whether it learnt from them.

New notes are made at the pitches and velocities of the owner's, where copies would be, and compared with all of them.
The limit was set when the model was trained, by held-out instruments against the whole corpus, and is told by its
fingerprints; notes held out from the model must pass it here, too, and the owner's notes in disguise must be found.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from audiogan.corpus.names import escape
from audiogan.errors import CorpusError, UnsupportedError
from audiogan.evaluation.audit import Material, Owned, audit_by_limits
from audiogan.evaluation.fingerprints import FILE, Fingerprints, expect, load
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.auditing import (
    Heard,
    closest_pairs,
    coarse_view,
    disguise,
    hear,
    hear_made,
    hear_notes,
    sounded,
    views_of,
)
from audiogan.pipelines.waveform.config import CorpusConfig
from audiogan.pipelines.waveform.dataset import open_dataset, prepare
from audiogan.pipelines.waveform.fingerprinting import BITS, KIND, LAYOUT, are_members
from audiogan.pipelines.waveform.held_out import find
from audiogan.pipelines.waveform.sound import Sound

N_HONEST = 200


def audit_folder(model: Model, folder: Path, *, count: int, seed: int = 0) -> Owned:
    """Compare new notes of a model with every note of a folder of sounds.

    Args:
        model: Trained networks.
        folder: The owner's sounds.
        count: Notes to make.
        seed: The same seed makes the same notes and plants.

    Raises:
        CheckpointError: The fingerprints are those of another pipeline, or damaged.
        CorpusError: No sound of the folder can be used.
        UnsupportedError: The model has no fingerprints that tell a limit.
        UsageError: No held-out notes of the model are at hand.
    """
    marks = load(model.folder / FILE) if (model.folder / FILE).is_file() else None
    if marks is not None:
        expect(marks, KIND, LAYOUT, (BITS,))
    limits = {} if marks is None else marks.facts.get("audit_limits", {})
    if marks is None or not limits:
        raise UnsupportedError(
            f"{model.name}: no limits for an audit, which {FILE} tells; expected a model trained with fingerprints"
        )
    listen = partial(hear, model.config, with_vector=False)
    held = find(model, None, count=N_HONEST)
    honest = [
        listen(
            partial(sounded, model.config, partial(np.asarray, planes), float(pitch)),
            float(pitch),
            planes=partial(np.asarray, planes),
        )
        for planes, pitch in zip(held.planes, held.pitch, strict=False)
    ]
    corpus = CorpusConfig.model_validate({"folder": str(folder), "valid_fraction": 0.0, "max_refused": 1.0})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        cache = Path(place)
        try:
            prepare(corpus, model.config, cache)
        except CorpusError as error:
            told = f"{escape(folder)}: {error}; expected a folder with recordings of single notes"
            raise CorpusError(told, error.reason) from None
        notes = open_dataset(cache, model.config, corpus, "train")
        left_out = _refused(cache)
        names = _names(cache, notes.rows.tolist())
        owned = hear_notes(model.config, notes, with_vector=False)
        chosen = np.random.default_rng(seed).permutation(-(-count // len(owned)) * len(owned))[:count] % len(owned)
        wanted = (values[chosen].astype(float).tolist() for values in (notes.pitch, notes.velocity))
        made = hear_made(model, *wanted, seed=seed, with_vector=False)
        material = Material(owned, honest, made)
        views = [*views_of(owned), coarse_view()]
        found = audit_by_limits(material, views, partial(disguise, model.config), limits, seed=seed)
        pairs = [
            (pair, _sound(model, new), _sound(model, old)) for pair, new, old in closest_pairs(found, material)
        ]  # while the planes are there
        members = _members(marks, owned, names)
    return Owned(found, pairs, names, len(set(names)), left_out, members)


def _names(cache: Path, rows: Sequence[int]) -> list[str]:
    """The files that notes come from."""
    lines = (json.loads(line) for line in (cache / "index.jsonl").read_text(encoding="ascii").splitlines())
    names = [line["note"]["name"] for line in lines if "note" in line]
    return [str(names[row]) for row in rows]


def _refused(cache: Path) -> dict[str, list[str]]:
    """Return names of sounds that became no note, by reason."""
    found: dict[str, list[str]] = {}
    for line in (cache / "index.jsonl").read_text(encoding="ascii").splitlines():
        if refusal := json.loads(line).get("refused"):
            found.setdefault(refusal["reason"], []).append(refusal["name"])
    return found


def _sound(model: Model, note: Heard) -> Sound:
    rate = model.config.sample_rate
    return Sound(note.sound(rate), rate, {"pitch": note.pitch, "name": note.name})


def _members(marks: Fingerprints, owned: Sequence[Heard], names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Sounds whose marks are among those of the model's corpus."""
    near = are_members(owned, marks)
    return {name: {"by_fingerprint": True} for name, is_near in zip(names, near, strict=True) if is_near}
