"""A recording of several notes at once as notes: by the model of basic-pitch, run here without that package's code.

Basic Pitch (Bittner et al. 2022, arXiv 2203.09893; Apache-2.0) is a network of 17,000 weights for any instrument. Its
package asks for an old TensorFlow, so only its file is looked up and run with onnxruntime (extra `polyphonic`);
`posteriorgram` reads the notes. How loud a note is comes from the sound: the sum of its first six partials at the onset
followed the true velocities better (rank correlation 0.5 to 0.65) than the model's own probabilities (0.2 to 0.4).
What is not told: instruments, drums, slides and vibrato.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.audio import Waveform, resample
from audiogan.corpus.notes import hz_of
from audiogan.corpus.posteriorgram import N_KEYS, Held, notes_of
from audiogan.corpus.score import Note, Notes, Score, Track
from audiogan.errors import UnsupportedError

INSTALL = 'pip install "audiogan[polyphonic]" && pip install --no-deps basic-pitch==0.4.0'
TRANSCRIBER = "basic-pitch 0.4.0"
MODEL_SHA256 = "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec"
QUIETEST_DB = 45.0  # below the loudest note: every window is brought to one level, so silence has ghosts
TICKS_PER_BEAT, BEATS_PER_SECOND = 480, 2  # 120 quarter notes per minute, as a file without a tempo has

_MODEL = Path("saved_models", "icassp_2022", "nmp.onnx")
_INPUT, _SOUNDING, _ONSETS = (
    "serving_default_input_2:0",
    "StatefulPartitionedCall:1",
    "StatefulPartitionedCall:2",
)
_RATE, _HOP, _WINDOW = 22_050, 256, 43_844
_EDGE_FRAMES, _KEPT_FRAMES, _WINDOWS_AT_ONCE = 16, 140, 4
_EARLY_SECONDS = 0.008  # onsets peak that much after the attack, in the median of 4,000 notes
_N_FFT, _N_PARTIALS, _NEAR = 2048, 6, 0.015
_LEVEL_SECONDS = (0.03, 0.06, 0.1)  # where the first window after an onset begins, and two more

Array = NDArray[np.float32]


class TranscribedNote(NamedTuple):
    """A note of a recording: seconds from its begin, MIDI pitch, level in dB of full scale, probability 0 to 1."""

    onset: float
    offset: float
    pitch: int
    level_db: float
    posterior: float


def _model_path() -> Path | None:
    """Where basic-pitch keeps its model; the package itself is not imported."""
    spec = find_spec("basic_pitch")
    places = spec.submodule_search_locations if spec else None
    return next((path for place in places or () if (path := Path(place) / _MODEL).is_file()), None)


def has_transcriber() -> bool:
    """Whether basic-pitch and onnxruntime are installed."""
    return find_spec("onnxruntime") is not None and _model_path() is not None


def require_transcriber() -> Path:
    """Return where the model is.

    Raises:
        UnsupportedError: `missing_extra`: basic-pitch or onnxruntime is not installed.
    """
    path = _model_path()
    if path is None or find_spec("onnxruntime") is None:
        raise UnsupportedError(
            f"several notes at once are transcribed with basic-pitch, which is not installed; run: {INSTALL}",
            "missing_extra",
        )
    return path


@lru_cache(maxsize=1)
def _session() -> Any:
    path = require_transcriber()
    data = path.read_bytes()
    if sha256(data).hexdigest() != MODEL_SHA256:
        raise UnsupportedError(
            f"{path}: not the model of {TRANSCRIBER}; run: pip install --no-deps --force-reinstall basic-pitch==0.4.0",
            "missing_extra",
        )
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])


def transcribe(waveform: Waveform, sample_rate: int) -> list[TranscribedNote]:
    """Return the notes of a recording, in order of their onsets; those of one pitch do not overlap.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.

    Raises:
        UnsupportedError: `missing_extra`: basic-pitch is not installed.
    """
    session = _session()  # first, since it names the extra that is missing
    peak = float(np.abs(waveform).max(initial=0.0)) or 1.0
    sound = resample(waveform / np.float32(peak), sample_rate, _RATE)
    held = notes_of(*_posteriorgrams(session, sound))
    levels = [_level_db(sound, note) for note in held]
    least = max(levels, default=0.0) - QUIETEST_DB
    loss = 20 * float(np.log10(peak))
    found = []
    for note, level in zip(held, levels, strict=True):
        if level >= least:
            onset = max(0.0, note.first * _HOP / _RATE - _EARLY_SECONDS)
            offset = min(note.stop * _HOP, len(sound)) / _RATE
            found.append(TranscribedNote(onset, max(offset, onset), note.pitch, level + loss, note.posterior))
    return _apart(found)


def _apart(notes: list[TranscribedNote]) -> list[TranscribedNote]:
    """End notes where their pitch begins anew: attacks are taken to be earlier than the ends of notes."""
    ended, nexts = [], dict[int, float]()
    for note in reversed(notes):
        ended.append(note._replace(offset=min(note.offset, nexts.get(note.pitch, note.offset))))
        nexts[note.pitch] = note.onset
    return ended[::-1]


def _posteriorgrams(session: Any, sound: Waveform) -> tuple[Array, Array]:
    """Onsets and what sounds, `(frame, 88)` each; frame i is centred at sample 256 i of `(time,)` at 22,050 Hz.

    Windows overlap by 32 frames, of which 16 at either end are left out: the network hears nothing beyond.
    """
    n_frames = len(sound) // _HOP + 1
    edge, kept = _EDGE_FRAMES * _HOP, _KEPT_FRAMES * _HOP
    padded = np.pad(sound, (edge, _WINDOW)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::kept]
    parts = []
    for first in range(0, -(-n_frames // _KEPT_FRAMES), _WINDOWS_AT_ONCE):
        batch = np.ascontiguousarray(windows[first : first + _WINDOWS_AT_ONCE])[..., None]
        made = np.stack(session.run([_ONSETS, _SOUNDING], {_INPUT: batch}))  # (2, window, 172, 88)
        inner = made[:, :, _EDGE_FRAMES : _EDGE_FRAMES + _KEPT_FRAMES]
        parts.append(inner.reshape(2, -1, N_KEYS))
    onsets, sounding = np.concatenate(parts, axis=1)[:, :n_frames]
    return onsets, sounding


def _level_db(sound: Waveform, note: Held) -> float:
    """Power of the first six partials just after an onset, in dB: the highest of three windows."""
    ranks = hz_of(note.pitch) * np.arange(1, _N_PARTIALS + 1) * _N_FFT / _RATE
    ranks = ranks[ranks * (1 + _NEAR) < _N_FFT // 2 - 1]
    window = np.hanning(_N_FFT)
    levels = []
    for seconds in _LEVEL_SECONDS:
        first = note.first * _HOP + round(seconds * _RATE) - _N_FFT // 2
        part = sound[max(0, first) : max(0, first + _N_FFT)]
        power = np.abs(np.fft.rfft(np.pad(part, (0, _N_FFT - len(part))) * window)) ** 2
        near = [power[int(rank * (1 - _NEAR)) : int(np.ceil(rank * (1 + _NEAR))) + 1].max() for rank in ranks]
        levels.append(float(sum(near)))
    return 10 * float(np.log10(max(levels) * (2 / window.sum()) ** 2 + 1e-12))


def score_of(notes: Iterable[tuple[float, float, float, float]], name: str = "") -> Score:
    """Return notes as a piece of one track at 120 quarter notes per minute, in which a tick lasts 1/960 s.

    Args:
        notes: Onset and offset in seconds, MIDI pitch, which is rounded, and velocity from 0 to 1.
        name: Of the track.
    """
    rows, ticks = [], TICKS_PER_BEAT * BEATS_PER_SECOND
    for onset, offset, pitch, velocity in notes:
        first = round(onset * ticks)
        key, loud = min(127, max(0, round(pitch))), min(127, max(1, round(127 * velocity)))
        rows.append(Note(first, max(first + 1, round(offset * ticks)), key, loud))
    return Score(TICKS_PER_BEAT, (Track(Notes.from_list(rows), name=name),))
