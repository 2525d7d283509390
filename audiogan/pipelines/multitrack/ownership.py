"""What an owner of songs can find out about a model: whether new clips are theirs, and whether it learnt from them.

The owner's songs stand where an audit of the model has its training songs. Honest clips are those that were held out
from the model, whose distances to the owner's clips set the limits; planted clips of the owner show whether a copy
would be found at all.
"""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiogan.corpus.index import Index, read_index
from audiogan.corpus.names import escape
from audiogan.corpus.score import Score
from audiogan.errors import CorpusError
from audiogan.evaluation.audit import Material, Owned
from audiogan.evaluation.fingerprints import EQUAL, FILE, NO_CLIP, Fingerprints, expect, load
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.auditing import audit_clips, closest_pairs, views_of
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.dataset import Clips, Summary, open_dataset, prepare
from audiogan.pipelines.multitrack.fingerprinting import BARS, KIND, LAYOUT, MELODIES, compare_fingerprints
from audiogan.pipelines.multitrack.grid import ClipGrid
from audiogan.pipelines.multitrack.held_out import clip_grid, clips_of, find, fine
from audiogan.pipelines.multitrack.synthesis import generate

EVERY_CLIP = {
    "valid_fraction": 0.0, "test_fraction": 0.0, "transpose": False, "max_refused": 1.0,
    "min_tracks": 1, "min_drum_onsets": 0, "min_bass_onsets": 0,
}  # fmt: skip
MEMBER_SHARE = 0.5
N_HONEST = 2000


def audit_folder(model: Model, folder: Path, *, count: int, seed: int = 0) -> Owned:
    """Compare new clips of a model with every clip of a folder of songs.

    Args:
        model: Trained networks.
        folder: The owner's songs.
        count: Clips to make.
        seed: The same seed makes the same clips, plants and halves.

    Raises:
        CheckpointError: The fingerprints are those of another pipeline, or damaged.
        CorpusError: No song of the folder can be used.
        UsageError: No held-out songs of the model are at hand.
    """
    path = model.folder / FILE
    marks = load(path) if path.is_file() else None
    if marks is not None:  # before anything that takes long
        expect(marks, KIND, LAYOUT, (BARS, MELODIES))
    config, grid = fine(model.config), clip_grid(model.config)
    held_out = find(model, None, count=N_HONEST)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        cache = Path(place)
        corpus = CorpusConfig.model_validate({"folder": str(folder), **EVERY_CLIP})
        try:
            summary = prepare(corpus, config, cache)
        except CorpusError as error:
            raise CorpusError(f"{escape(folder)}: {error}; expected a folder with MIDI files", error.reason) from None
        owned = open_dataset(cache, config, corpus, "train")
        clips, songs = clips_of(owned, len(owned))
        left_out = _left_out(read_index(cache / "index.jsonl"), {int(song) for song in songs})
        names = [f"{summary.songs[song]['name']}, bar {bar + 1}" for song, bar in _places(owned)]
    made = generate(model, count=count, seed=seed)
    material = _without_own(Material(clips, held_out.clips, made, songs, held_out.songs), grid)
    found = audit_clips(material, grid, seed=seed)
    members = _members(model, marks, summary, clips, songs)
    return Owned(found, closest_pairs(found, material), names, len(set(songs)), left_out, members)


def _left_out(index: Index, used: Collection[int]) -> dict[str, list[str]]:
    """Return names of files that were not compared, by why."""
    found: dict[str, list[str]] = {}
    for refusal in index.refused:
        found.setdefault(refusal.reason, []).append(str(refusal.path))
    for duplicate in index.duplicates:
        found.setdefault(EQUAL, []).append(str(duplicate.path))
    for song, entry in enumerate(index.entries):
        if song not in used:
            found.setdefault(NO_CLIP, []).append(str(entry.path))
    return found


def _without_own(material: Material[Score], grid: ClipGrid) -> Material[Score]:
    """Leave out held-out songs that are the owner's: those with a clip equal to one of theirs."""
    numbers = np.asarray(material.held_out_groups)
    distances = views_of(grid)[0].nearest(material.held_out, material.learnt).distance
    kept = np.flatnonzero(~np.isin(numbers, numbers[distances <= 0])).tolist()
    return material._replace(
        held_out=[material.held_out[place] for place in kept], held_out_groups=numbers[kept].tolist()
    )


def _places(clips: Clips) -> list[tuple[int, int]]:
    """Song and first bar of every clip."""
    return [(clips.song_of(number), int(clips.windows[number][1])) for number in range(len(clips))]


def _members(
    model: Model, marks: Fingerprints | None, summary: Summary, clips: Sequence[Score], songs: Sequence[int]
) -> dict[str, Mapping[str, Any]]:
    """Songs that the model learnt from: by hash on the card, or by marks of more than half of their clips."""
    listed = model.card.get("summary", {}).get("songs", ())
    learnt = {song["sha256"] for song in listed if song.get("split") == "train"}
    shares = {} if marks is None else _shares_marked(model.config, marks, clips, songs)
    found = {}
    for number in sorted(set(songs)):
        song = summary.songs[number]
        by_hash, share = song["sha256"] in learnt, shares.get(number, 0.0)
        if by_hash or share > MEMBER_SHARE:
            found[song["name"]] = {"by_hash": by_hash, "share_of_clips_marked": round(share, 4)}
    return found


def _shares_marked(
    config: Config, marks: Fingerprints, clips: Sequence[Score], songs: Sequence[int]
) -> dict[int, float]:
    limit = marks.limits.get(BARS, -np.inf)  # a song that quotes another's melody is not that song
    near = compare_fingerprints(config, clips, marks)[BARS] <= limit
    shares: dict[int, list[bool]] = {}
    for song, is_near in zip(songs, near, strict=True):
        shares.setdefault(song, []).append(bool(is_near))
    return {song: sum(own) / len(own) for song, own in shares.items()}
