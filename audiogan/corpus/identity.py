"""What makes two files the same music, and which part of a corpus a song belongs to: from hashes, never from order."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.score import Score

_STEPS_PER_BEAT = 24


def content_hashes(score: Score) -> tuple[str, str]:
    """Hash the notes of a score twice: as they are, and without regard to transposition.

    Both see which instrument starts which pitch at which 24th of a beat after the first note. They do not see velocity,
    length, tempo, names or the order of tracks. The second measures pitches from the lowest pitched note; drums stay.
    """
    columns = []
    for track in score.tracks:
        notes = track.notes
        step = (2 * notes.onset * _STEPS_PER_BEAT + score.resolution) // (2 * score.resolution)
        voice = np.full(len(notes), 128 if track.is_drum else track.program)
        columns.append(np.stack([step, voice, notes.pitch]))
    table = np.concatenate(columns, axis=1) if columns else np.zeros((3, 0), dtype=np.int64)
    if table.shape[1]:
        table[0] -= table[0].min()
    return _digest(table), _digest(_transposed(table))


def _transposed(table: NDArray[np.int64]) -> NDArray[np.int64]:
    is_pitched = table[1] < 128
    moved = table.copy()
    if is_pitched.any():
        moved[2, is_pitched] -= table[2, is_pitched].min()
    return moved


def _digest(table: NDArray[np.int64]) -> str:
    key = (table[0] << 16) | (table[1] << 8) | table[2]
    key.sort()  # not np.unique: its hash table is ten times slower
    is_first = np.append(True, key[1:] != key[:-1]) if len(key) else np.zeros(0, dtype=np.bool_)
    return hashlib.sha256(key[is_first].astype("<i8").tobytes()).hexdigest()


def split_of(digest: str, valid_fraction: float, test_fraction: float = 0.0) -> str:
    """Put a song into `train`, `valid` or `test` by its hash: the same song always lands in the same part.

    Args:
        digest: Hexadecimal hash, best the one without regard to transposition.
        valid_fraction: Share of songs in `valid`, 0 to 1.
        test_fraction: Share of songs in `test`.
    """
    place = int(digest[:13], 16) / 16**13
    if place < test_fraction:
        return "test"
    return "valid" if place < test_fraction + valid_fraction else "train"
