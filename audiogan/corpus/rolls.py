"""Pianorolls that others prepared, as `Score`: Lakh Pianoroll Dataset files and the arrays that MuseGAN trains on.

Three forms. LPD-5 and LPD-17 (`.npz`, one song): per track a sparse matrix in CSC parts plus `info.json`, 24
timesteps a beat (Dong et al., arXiv:1709.06298). Dense clips (`.npy`): `(clip, bar, timestep, pitch, track)`. Sparse
clips (`.npz`): `shape` and `nonzero` of the same array. Rolls hold no onsets, so a note begins where a cell starts to
sound or changes its velocity. All arrays come through `audiogan.corpus.arrays`; dense clips stay in a memory map.
"""

import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.arrays import Archive, map_array
from audiogan.corpus.gate import AnyPath, escape, open_checked, read_head
from audiogan.corpus.limits import LIMITS, Limits, refuse
from audiogan.corpus.names import clean_text
from audiogan.corpus.score import Metre, Notes, Score, Tempo, Track
from audiogan.corpus.strict_json import parse_json

DEFAULT_VELOCITY = 100
_DEFAULT_RESOLUTION = 24
_N_PITCHES = 128


class Instrument(NamedTuple):
    """What a track axis of a clip array stands for."""

    name: str
    program: int = 0
    is_drum: bool = False


LPD5 = (
    Instrument("drums", is_drum=True),
    Instrument("piano", 0),
    Instrument("guitar", 25),
    Instrument("bass", 33),
    Instrument("strings", 48),
)


def notes_of_cells(time: NDArray[np.int64], pitch: NDArray[np.int64], velocity: NDArray[np.int64]) -> Notes:
    """Join sounding cells of one track into notes: neighbours in time with one velocity are one note.

    Args:
        time: `(cell,)` timesteps.
        pitch: `(cell,)` 0–127.
        velocity: `(cell,)` 1–127.
    """
    order = np.lexsort((time, pitch))
    time, pitch, velocity = time[order], pitch[order], velocity[order]
    goes_on = (np.diff(time) == 1) & (np.diff(pitch) == 0) & (np.diff(velocity) == 0)
    first = np.flatnonzero(np.concatenate([[True], ~goes_on])) if len(time) else np.zeros(0, np.int64)
    last = np.append(first[1:], len(time)) - 1 if len(time) else first
    return Notes(time[first], time[last] + 1, pitch[first], velocity[first])


def _column(archive: Archive, name: str, n_dimensions: int = 1) -> NDArray:
    array = archive.array(name)
    if array.ndim != n_dimensions:
        refuse("bad_header", f"{archive.source}[{escape(name)}]: {array.ndim} dimensions; expected {n_dimensions}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        refuse("nonfinite", f"{archive.source}[{escape(name)}]: NaN or infinity; expected finite numbers")
    return array


def _cells(archive: Archive, number: int) -> tuple[Notes, int]:
    """Notes and length in timesteps of one sparse track."""
    name = f"pianoroll_{number}_csc"
    data, rows, starts, shape = (_column(archive, f"{name}_{part}") for part in ("data", "indices", "indptr", "shape"))
    if not all(array.dtype.kind in "iu" for array in (rows, starts, shape)) or data.dtype.kind not in "biu":
        refuse("bad_format", f"{archive.source}[{name}]: parts are not whole numbers")
    rows, starts = rows.astype(np.int64), starts.astype(np.int64)
    if len(shape) != 2 or int(shape[1]) != _N_PITCHES or not 0 <= int(shape[0]) <= LIMITS.n_ticks:
        refuse("bad_header", f"{archive.source}[{name}]: shape {shape.tolist()}; expected timesteps x {_N_PITCHES}")
    is_whole = len(starts) == _N_PITCHES + 1 and len(data) == len(rows)
    if not is_whole or starts[0] != 0 or starts[-1] != len(rows) or (np.diff(starts) < 0).any():
        refuse("bad_header", f"{archive.source}[{name}]: the parts of the matrix contradict each other")
    if len(rows) and not (rows.min() >= 0 and rows.max() < int(shape[0])):
        refuse("bad_header", f"{archive.source}[{name}]: cells outside the {int(shape[0]):,} timesteps")
    pitch = np.repeat(np.arange(_N_PITCHES), np.diff(starts))
    velocity = np.full(len(data), DEFAULT_VELOCITY) if data.dtype.kind == "b" else data.astype(np.int64)
    if len(velocity) and not (velocity.min() >= 0 and velocity.max() < _N_PITCHES):
        refuse("bad_header", f"{archive.source}[{name}]: velocities outside 0 to 127")
    sounding = velocity > 0
    return notes_of_cells(rows[sounding], pitch[sounding], velocity[sounding]), int(shape[0])


def _integer(info: dict[str, Any], key: str, low: int, high: int, default: int, source: str) -> int:
    value = info.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        refuse("bad_config", f"{source}: {key} {escape(str(value)[:40])}; expected a whole number {low} to {high}")
    return value


def _track(archive: Archive, info: dict[str, Any], number: int, source: str) -> tuple[Track, int]:
    about = info.get(str(number), {})
    if not isinstance(about, dict):
        refuse("bad_config", f"{source}: entry {number} of info.json is no mapping")
    notes, n_steps = _cells(archive, number)
    name = about.get("name")
    program = _integer(about, "program", 0, 127, 0, source)
    track = Track(notes, program, about.get("is_drum") is True, clean_text(name) if isinstance(name, str) else "")
    return track, n_steps


def _tempos(archive: Archive, source: str) -> tuple[Tempo, ...]:
    if "tempo.npy" not in archive.members:
        return ()
    qpm = _column(archive, "tempo").astype(np.float64)
    changes = np.flatnonzero(np.diff(qpm, prepend=np.nan) != 0)
    if len(changes) > LIMITS.n_tempos:
        refuse("too_many_events", f"{source}: {len(changes):,} tempo changes; expected at most {LIMITS.n_tempos:,}")
    if len(qpm) and not (qpm.min() > 0 and qpm.max() <= LIMITS.qpm):
        refuse("bad_tempo", f"{source}: tempo {qpm.min():g} to {qpm.max():g}; expected above 0, at most {LIMITS.qpm:g}")
    return tuple(Tempo(int(step), float(qpm[step])) for step in changes)


def _metres(archive: Archive, resolution: int) -> tuple[Metre, ...]:
    """Metres from the distances of downbeats, as far as they are whole eighths."""
    if "downbeat.npy" not in archive.members:
        return ()
    beats = np.flatnonzero(_column(archive, "downbeat"))
    metres: list[Metre] = []
    for step, length in zip(beats[:-1].tolist(), np.diff(beats).tolist(), strict=True):
        n_eighths = 2 * length // resolution
        if 2 * length % resolution or not 1 <= n_eighths <= 255 or (not metres and step):
            return ()
        metre = Metre(step, n_eighths // 2, 4) if n_eighths % 2 == 0 else Metre(step, n_eighths, 8)
        if not metres or metres[-1][1:] != metre[1:]:
            metres.append(metre)
    return tuple(metres)


def parse_lpd(data: bytes, source: str, *, limits: Limits = LIMITS) -> Score:
    """Read the bytes of a Lakh Pianoroll Dataset file.

    Raises:
        CorpusError: As `Archive`; `bad_header`, `bad_format`, `bad_config`, `too_many_tracks`, `too_many_events`,
            `too_long`, `no_notes`.
    """
    archive = Archive(data, source, limits=limits)
    info = parse_json(archive.read("info.json"), f"{source}[info.json]")
    key = "resolution" if "resolution" in info else "beat_resolution"
    resolution = _integer(info, key, 1, 32_767, _DEFAULT_RESOLUTION, source)
    n_tracks = sum(name.startswith("pianoroll_") and name.endswith("_csc_shape.npy") for name in archive.members)
    if n_tracks > limits.n_tracks:
        refuse("too_many_tracks", f"{source}: {n_tracks:,} tracks; expected at most {limits.n_tracks:,}")
    parts = [_track(archive, info, number, source) for number in range(n_tracks)]
    score = Score(
        resolution,
        tuple(track for track, _ in parts if len(track.notes)),
        _tempos(archive, source),
        _metres(archive, resolution),
    )
    if score.n_notes == 0:
        refuse("no_notes", f"{source}: no cell sounds; expected at least one note")
    if score.n_notes > limits.n_notes:
        refuse("too_many_events", f"{source}: {score.n_notes:,} notes; expected at most {limits.n_notes:,}")
    slowest = min((tempo.qpm for tempo in score.tempos), default=120.0)
    if score.n_ticks / resolution * 60 / slowest > limits.seconds:
        refuse("too_long", f"{source}: {score.n_ticks:,} timesteps; expected at most {limits.seconds:,.0f} seconds")
    return score


def read_lpd(path: AnyPath, *, root: AnyPath | None = None, limits: Limits = LIMITS) -> Score:
    """Read a Lakh Pianoroll Dataset file (`.npz`).

    Raises:
        CorpusError: As `open_checked` and `parse_lpd`.
    """
    data = open_checked(path, root=root, max_bytes=limits.rolls_bytes)
    return parse_lpd(data, escape(os.fsdecode(path)), limits=limits)


class Clips:
    """Clips of one size, dense in a memory map or sparse in memory.

    Args:
        shape: (clip, bar, timestep, pitch, track).
        dense: `shape`, sounding where above 0 (booleans, whole numbers) or above 0.5 (floats).
        cells: For sparse clips `(5, cell)` positions, sorted by clip.
    """

    def __init__(self, shape: tuple[int, ...], dense: NDArray | None, cells: NDArray[np.int64] | None) -> None:
        assert (dense is None) != (cells is None), "dense or sparse"
        self.shape, self._dense, self._cells = shape, dense, cells

    def __len__(self) -> int:
        return self.shape[0]

    def clip(self, number: int) -> NDArray[np.bool_]:
        """Sounding cells of one clip, `(bar, timestep, pitch, track)`."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        if self._dense is not None:
            values = np.asarray(self._dense[number])
            return values > (0.5 if values.dtype.kind == "f" else 0)
        assert self._cells is not None
        first, last = np.searchsorted(self._cells[0], [number, number + 1])
        clip = np.zeros(self.shape[1:], dtype=np.bool_)
        clip[tuple(self._cells[1:, first:last])] = True
        return clip


def read_clips(path: AnyPath, *, root: AnyPath | None = None, limits: Limits = LIMITS) -> Clips:
    """Open an array of clips: dense `.npy` (memory map) or sparse `.npz` with `shape` and `nonzero`.

    Raises:
        CorpusError: As `open_checked`, `map_array` and `Archive`; `bad_header` when the array is not five-dimensional.
    """
    source = escape(os.fsdecode(path))
    if read_head(path, root=root)[:4] == b"PK\x03\x04":
        archive = Archive(open_checked(path, root=root, max_bytes=limits.rolls_bytes), source, limits=limits)
        shape, cells = _column(archive, "shape"), _column(archive, "nonzero", 2)
        if shape.dtype.kind not in "iu" or cells.dtype.kind not in "iu":
            refuse("bad_format", f"{source}: shape and nonzero are not whole numbers")
        sizes = tuple(int(size) for size in shape)
        _check_clip_shape(sizes, source)
        cells = cells.astype(np.int64)
        limit = np.array(sizes).reshape(-1, 1)
        if len(cells) != len(sizes) or not ((cells >= 0).all() and (cells < limit).all()):
            refuse("bad_header", f"{source}: cells outside the shape {sizes}")
        return Clips(sizes, None, cells[:, np.argsort(cells[0], kind="stable")])
    dense = map_array(path, root=root, limits=limits)
    _check_clip_shape(dense.shape, source)
    return Clips(dense.shape, dense, None)


def _check_clip_shape(shape: tuple[int, ...], source: str) -> None:
    if len(shape) != 5 or min(shape) < 1:
        refuse("bad_header", f"{source}: array of shape {shape}; expected (clip, bar, timestep, pitch, track)")
    cap = LIMITS.array_bytes
    if math.prod(shape[1:]) > cap:
        refuse("too_large", f"{source}: one clip of {math.prod(shape[1:]):,} cells; expected at most {cap:,}")


def clip_score(
    clip: NDArray[np.bool_],
    *,
    instruments: Sequence[Instrument] = LPD5,
    lowest_pitch: int = 24,
    beats_per_bar: int = 4,
    qpm: float = 120.0,
) -> Score:
    """Turn one clip into a score; a note sounding over a bar line stays one note.

    Args:
        clip: `(bar, timestep, pitch, track)`.
        instruments: One per track.
        lowest_pitch: MIDI number of the first pitch.
        beats_per_bar: Beats (quarter notes) in a bar; must divide the timesteps.
        qpm: Tempo.
    """
    n_bars, n_timesteps, n_pitches, n_tracks = clip.shape
    assert n_tracks == len(instruments), "one instrument per track"
    assert n_timesteps % beats_per_bar == 0, "whole timesteps per beat"
    assert 0 <= lowest_pitch <= _N_PITCHES - n_pitches, "pitches inside 0 to 127"
    tracks = []
    for number, instrument in enumerate(instruments):
        time, pitch = np.nonzero(clip[..., number].reshape(n_bars * n_timesteps, n_pitches))
        notes = notes_of_cells(time, pitch + lowest_pitch, np.full(len(time), DEFAULT_VELOCITY))
        tracks.append(Track(notes, instrument.program, instrument.is_drum, instrument.name))
    return Score(n_timesteps // beats_per_bar, tuple(tracks), (Tempo(0, qpm),), (Metre(0, beats_per_bar, 4),))
