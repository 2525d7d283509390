"""Copies among clips: how near one comes to another in any key, and how a copyist would disguise a clip.

A clip counts as a copy when it lies nearer to a training clip than half of the way that honest music keeps, or when its
melodies share a telling run with one. The first view is blind to copies moved by beats, the second to music that is
nothing but ostinato; together they have to find training clips in other keys and with every tenth note changed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Notes, Score, Track
from audiogan.evaluation.audit import Audit, Material, Near, Pair, View, audit, beyond_longest, half_of_nearest
from audiogan.pipelines.multitrack.copies import cells_of, distances_to, postings, telling_runs
from audiogan.pipelines.multitrack.grid import ClipGrid, NoteTable, quantised, tabulate

KEYS = range(-6, 7)
N_CANDIDATES = 24
CHANGED_CLIPS, CHANGED_NOTES = 1 / 3, 0.1
LOUDER, LARGEST_STEP = 10, 4
Index = NDArray[np.int64]


def audit_clips(material: Material[Score], grid: ClipGrid, *, seed: int = 0) -> Audit:
    """Audit clips for copies of training clips.

    Args:
        material: All training clips, held-out ones and generated ones, with the songs of the first two.
        grid: Shape of all.
        seed: Of halves and plants.
    """
    clips = {name: quantised(getattr(material, name), grid) for name in ("learnt", "held_out", "made")}
    material = material._replace(**clips)
    return audit(material, views_of(grid), disguise, seed=seed)


def closest_pairs(found: Audit, material: Material[Score]) -> list[tuple[Pair, Score, Score]]:
    """Return the nearest pairs with the generated and the training clip of each, as they were given to the audit."""
    return [(pair, material.made[pair.made], material.learnt[pair.learnt]) for pair in found.pairs]


def views_of(grid: ClipGrid) -> list[View[Score]]:
    """Return the two views on clips of a grid."""

    def in_any_key(clips: Sequence[Score], references: Sequence[Score]) -> Near:
        return nearest_in_any_key(clips, references, grid)

    def by_melody(clips: Sequence[Score], references: Sequence[Score]) -> Near:
        runs = telling_runs(clips, references, beat_resolution=grid.beat_resolution)
        return Near(-runs.n_notes.astype(np.float64), runs.reference)

    return [
        View("cells in any key", in_any_key, half_of_nearest),
        View("notes of a shared melody", by_melody, beyond_longest, for_sets=False),
    ]


class _Sounding(NamedTuple):
    """Clips as sorted cells, and of each clip where they begin and what a transposition moves."""

    cell: Index
    is_drum: NDArray[np.bool_]
    edges: Index

    def of(self, clip: int) -> slice:
        return slice(*self.edges[clip : clip + 2])


def _sounding(table: NoteTable) -> _Sounding:
    clip, cell, is_drum = cells_of(table)
    order = np.lexsort((cell, clip))
    clip, cell, is_drum = clip[order], cell[order], is_drum[order]
    return _Sounding(cell, is_drum, np.searchsorted(clip, np.arange(table.n_clips + 1)))


def _rhythm(table: NoteTable) -> tuple[Index, Index]:
    """Clip and cell of where in every track something starts or sounds, each once."""
    clip, cell, _ = cells_of(replace(table, pitch=np.where(table.is_drum, table.pitch, 0)))
    pairs = np.unique(np.stack([clip, cell], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def nearest_in_any_key(clips: Sequence[Score], references: Sequence[Score], grid: ClipGrid) -> Near:
    """Find for each clip the reference with the smallest `hamming` distance, moved by up to six semitones.

    Looked at are the references whose rhythm is nearest, 24 of them.

    Args:
        clips: Clips to judge.
        references: One or more.
        grid: Shape of both.
    """
    own, other = (tabulate(some, grid) for some in (clips, references))
    (clip_number, steps), (in_clip, in_step) = _rhythm(own), _rhythm(other)
    posting, starts = postings(in_clip, in_step, grid)
    sizes = np.bincount(in_clip, minlength=len(references)).astype(float)
    edges = np.searchsorted(clip_number, np.arange(len(clips) + 1))
    mine, theirs = _sounding(own), _sounding(other)
    found = Near(np.zeros(len(clips)), np.zeros(len(clips), np.int64))
    for clip in range(len(clips)):
        own_steps = steps[edges[clip] : edges[clip + 1]]
        alike = distances_to(own_steps, len(own_steps), posting, starts, sizes)
        n_most = min(N_CANDIDATES, len(references))
        candidates = np.argpartition(alike, n_most - 1)[:n_most]
        distances = [_apart(mine, clip, theirs, int(candidate)) for candidate in candidates]
        best = int(np.argmin(distances))
        found.distance[clip], found.reference[clip] = distances[best], candidates[best]
    return found


def _apart(mine: _Sounding, clip: int, theirs: _Sounding, reference: int) -> float:
    """The distance of two clips in the key in which they are nearest."""
    own, other = mine.cell[mine.of(clip)], theirs.cell[theirs.of(reference)]
    both = len(own) + len(other)
    if not both:
        return 0.0
    pitch, keys = own % 128, np.array(KEYS)[:, None]
    keys = np.where(mine.is_drum[mine.of(clip)], 0, keys)  # (key, cell)
    moved = np.where((pitch + keys >= 0) & (pitch + keys < 128), own + keys, -1)
    place = np.minimum(np.searchsorted(other, moved), max(len(other) - 1, 0))
    shared = (other[place] == moved).sum(axis=1).max() if len(other) and len(own) else 0
    return 1 - 2 * float(shared) / both


def disguise(clip: Score, rng: np.random.Generator) -> Score:
    """Return a clip in another key and with other velocities, one in three with every tenth note at another pitch.

    Args:
        clip: A training clip.
        rng: Draws all of it.
    """
    key = int(rng.integers(KEYS.start, KEYS.stop))
    changes = rng.random() < CHANGED_CLIPS
    return replace(clip, tracks=tuple(_disguised(track, key, changes=changes, rng=rng) for track in clip.tracks))


def _disguised(track: Track, key: int, *, changes: bool, rng: np.random.Generator) -> Track:
    notes = track.notes
    velocity = np.clip(notes.velocity + rng.integers(-LOUDER, LOUDER + 1, len(notes)), 1, 127)
    pitch = notes.pitch
    if not track.is_drum:
        step = rng.integers(1, LARGEST_STEP + 1, len(notes)) * rng.choice([-1, 1], len(notes))
        step = np.where(changes & (rng.random(len(notes)) < CHANGED_NOTES), step, 0)
        pitch = pitch + key + step
        octaves = np.where(pitch < 0, 1, np.where(pitch > 127, -1, 0))
        pitch = pitch + 12 * octaves
    return replace(track, notes=Notes(notes.onset, notes.offset, pitch, velocity))
