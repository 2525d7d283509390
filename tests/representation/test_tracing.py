"""Cells → notes: a plain reading, cell by cell, says the same on any planes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiogan.representation.pianoroll import trace
from audiogan.representation.tracing import trace_clips


def read_slowly(onset: np.ndarray, sustain: np.ndarray, velocity: np.ndarray, timing: np.ndarray) -> list[tuple]:
    """Notes of one clip, (start, role, row, end, velocity, timing), from `(track, timestep, pitch)`."""
    n_roles, n_steps, n_pitches = onset.shape
    notes = []
    for start in range(n_steps):
        for role in range(n_roles):
            for row in range(n_pitches):
                if onset[role, start, row]:
                    end = start + 1
                    while end < n_steps and sustain[role, end, row] and not onset[role, end, row]:
                        end += 1
                    loudness = min(max(round(float(velocity[role, start, row] * np.float32(127))), 1), 127)
                    notes.append((start, role, row, end, loudness, timing[role, start, row]))
    return notes


def as_tuples(notes) -> list[tuple]:
    role, start, end, row, velocity, timing = (column.tolist() for column in notes.columns)
    return list(zip(start, role, row, end, velocity, timing, strict=True))


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 5)),
    n_onsets=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    n_held=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    by_pitch=st.booleans(),
)
def test_clips_are_read_as_cell_by_cell(
    seed: int, shape: tuple[int, int, int, int], n_onsets: float, n_held: float, by_pitch: bool
) -> None:
    rng = np.random.default_rng(seed)
    onset, sustain = rng.random(shape) < n_onsets, rng.random(shape) < n_held
    told = shape if by_pitch else shape[:-1]
    velocity, timing = rng.random(told, dtype=np.float32), rng.random(told, dtype=np.float32) - np.float32(0.5)
    full = [np.broadcast_to(part if by_pitch else part[..., None], shape) for part in (velocity, timing)]
    clips = trace_clips(onset, sustain, velocity, timing)
    expected = [read_slowly(*parts) for parts in zip(onset, sustain, *full, strict=True)]
    assert [as_tuples(notes) for notes in clips] == expected


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_planes_are_read_as_cell_by_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    planes = rng.random((4, 3, 2, 8, 6), dtype=np.float32) ** 2
    flat = planes.reshape(4, 3, 16, 6)
    assert as_tuples(trace(planes)) == read_slowly(flat[0] > 0.5, flat[1] > 0.5, flat[2], flat[3])


def test_columns_have_the_types_of_notes_on_the_grid() -> None:
    ones = np.ones((1, 1, 2, 1), dtype=bool)
    (notes,) = trace_clips(ones, ones, np.ones((1, 1, 2)), np.zeros((1, 1, 2)))
    assert [column.dtype.name for column in notes.columns] == ["int16", "int32", "int32", "int16", "uint8", "float32"]
    assert notes.velocity.tolist() == [127, 127]


@pytest.mark.parametrize("n_clips", [0, 1, 3])
def test_silence_is_a_clip_without_notes(n_clips: int) -> None:
    nothing = np.zeros((n_clips, 2, 4, 3), dtype=bool)
    assert [len(notes) for notes in trace_clips(nothing, nothing, nothing[..., 0], nothing[..., 0])] == [0] * n_clips
