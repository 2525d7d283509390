"""Several notes at once: where the model is found, how its windows are joined, and what it hears."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiogan.corpus import transcription
from audiogan.corpus.notes import hz_of
from audiogan.corpus.posteriorgram import LOWEST_PITCH, N_KEYS
from audiogan.corpus.transcription import INSTALL, TranscribedNote, _apart, has_transcriber, score_of, transcribe
from audiogan.errors import UnsupportedError
from tests.pipelines.waveform.small_sounds import tone

RATE = 22_050
needs_model = pytest.mark.skipif(not has_transcriber(), reason="basic-pitch is not installed")


class Session:
    """A stand-in for the network: what sounds at a frame is the magnitude of the sample at its centre, for one key."""

    def __init__(self, key: int = 39) -> None:
        self.key = key

    def run(self, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
        (batch,) = given.values()
        assert batch.dtype == np.float32 and batch.shape[1:] == (43_844, 1) and len(batch) <= 4
        made = np.zeros((len(batch), 172, N_KEYS), np.float32)
        made[:, :, self.key] = np.abs(batch[:, ::256, 0])
        made[:, :16, self.key - 1] = made[:, -16:, self.key - 1] = 1  # what the edges of a window hear is no good
        return [made for _ in names]


@pytest.fixture
def _no_session() -> Any:
    transcription._session.cache_clear()
    yield
    transcription._session.cache_clear()


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, model: bytes | None) -> None:
    """Put a basic-pitch in front of all others; without a model, one that is too old."""
    place = folder / "basic_pitch" / "saved_models" / "icassp_2022"
    place.mkdir(parents=True)
    (folder / "basic_pitch" / "__init__.py").write_text("raise RuntimeError('its code was run')")
    if model is not None:
        (place / "nmp.onnx").write_bytes(model)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "basic_pitch", raising=False)


@pytest.mark.usefixtures("_no_session")
def test_without_a_transcriber_the_message_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, None)
    assert not has_transcriber()
    with pytest.raises(UnsupportedError) as refusal:
        transcribe(tone(440.0), 16_000)
    assert refusal.value.reason == "missing_extra"
    assert str(refusal.value).endswith(INSTALL)


@pytest.mark.usefixtures("_no_session")
def test_another_model_is_refused_and_code_of_the_package_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    package(tmp_path, monkeypatch, b"another model")
    assert has_transcriber()
    with pytest.raises(UnsupportedError, match=r"nmp\.onnx: not the model of basic-pitch 0\.4\.0; run: pip install"):
        transcribe(tone(440.0), 16_000)


def test_what_to_run_is_what_the_project_declares() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert "polyphonic = [" in text
    assert INSTALL.partition("&& ")[2] in text


@pytest.mark.parametrize("n_samples", [1, 255, 256, 35_840, 35_841, 200_000])
def test_windows_join_without_a_seam(n_samples: int) -> None:
    sound = np.random.default_rng(0).random(n_samples).astype(np.float32)
    onsets, sounding = transcription._posteriorgrams(Session(), sound)
    padded = np.append(sound, np.zeros(256, np.float32))
    assert np.array_equal(onsets[:, 39], padded[::256][: n_samples // 256 + 1])
    assert np.array_equal(onsets, sounding)
    assert not onsets[:, 38].any()


def heard(monkeypatch: pytest.MonkeyPatch, sound: np.ndarray, notes: list[tuple[int, int, int]]) -> list[Any]:
    """What is made of posteriorgrams that hold the notes (first, stop, pitch)."""
    onsets, sounding = (np.zeros((len(sound) // 256 + 1, N_KEYS), np.float32) for _ in range(2))
    for first, stop, pitch in notes:
        onsets[first, pitch - LOWEST_PITCH] = 0.9
        sounding[first:stop, pitch - LOWEST_PITCH] = 0.6
    monkeypatch.setattr(transcription, "_session", Session)
    monkeypatch.setattr(transcription, "_posteriorgrams", lambda *_: (onsets, sounding))
    return transcribe(sound.astype(np.float32), RATE)


def test_levels_are_those_of_the_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    loud, quiet = (tone(hz_of(pitch), 0.5, rate=RATE) for pitch in (60, 64))
    found = heard(monkeypatch, np.concatenate([loud, 0.1 * quiet]), [(1, 40, 60), (44, 80, 64)])
    assert [note.pitch for note in found] == [60, 64]
    assert found[0].level_db - found[1].level_db == pytest.approx(20, abs=1.5)
    softer = heard(monkeypatch, 0.1 * np.concatenate([loud, 0.1 * quiet]), [(1, 40, 60), (44, 80, 64)])
    assert found[0].level_db - softer[0].level_db == pytest.approx(20, abs=0.01)
    sine = 0.5 * np.sin(2 * np.pi * hz_of(69) * np.arange(RATE) / RATE)
    assert heard(monkeypatch, sine, [(10, 50, 69)])[0].level_db == pytest.approx(-6, abs=0.5)


def test_ghosts_in_silence_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.append(tone(hz_of(60), 1.0, rate=RATE), 1e-4 * tone(hz_of(64), 1.0, rate=RATE))
    assert [note.pitch for note in heard(monkeypatch, sound, [(1, 80, 60), (90, 150, 64)])] == [60]


def test_times_stay_inside_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = heard(monkeypatch, tone(440.0, 0.3, rate=RATE), [(0, 26, 69)])
    assert (found.onset, found.offset) == (0, pytest.approx(0.3, abs=1e-3))
    assert found.offset <= 0.3


def test_a_note_ends_where_its_pitch_begins_anew() -> None:
    rows = [(0.0, 1.01, 60), (0.5, 2.0, 64), (1.0, 1.5, 60), (1.5, 2.0, 60)]
    found = _apart([TranscribedNote(onset, offset, pitch, -10.0, 0.5) for onset, offset, pitch in rows])
    assert [note.offset for note in found] == [1.0, 2.0, 1.5, 2.0]


def test_notes_become_a_piece() -> None:
    score = score_of([(0.5, 1.0, 60.4, 0.5), (0.0, 0.0, 21, 0.0), (0.25, 0.5, 108, 2.0)], "heard")
    (track,) = score.tracks
    assert [tuple(note) for note in track.notes] == [(0, 1, 21, 1), (240, 480, 108, 127), (480, 960, 60, 64)]
    assert (score.resolution, track.name, track.is_drum) == (480, "heard", False)


# ---- with the model


@needs_model
@pytest.mark.parametrize("rate", [22_050, 192_000])
def test_a_chord_is_heard_as_its_notes(rate: int) -> None:
    def chord(*pitches: int) -> np.ndarray:
        sounds = [tone(hz_of(pitch), 1.0, rate=rate, brightness=0.4, decay=12) for pitch in pitches]
        return np.mean(sounds, axis=0)

    sound = np.concatenate([np.zeros(rate // 2), chord(48, 55, 64), chord(50, 57, 65)]).astype(np.float32)
    found = transcribe(sound, rate)
    assert sorted(note.pitch for note in found if note.onset < 1) == [48, 55, 64]
    assert sorted(note.pitch for note in found if note.onset > 1) == [50, 57, 65]
    assert all(min(abs(note.onset - 0.5), abs(note.onset - 1.5)) < 0.05 for note in found)
    assert all(abs(note.offset - note.onset - 1) < 0.2 for note in found)


@needs_model
def test_in_silence_and_hiss_are_no_notes() -> None:
    assert transcribe(np.zeros(RATE, np.float32), RATE) == []
    hiss = 0.2 * np.random.default_rng(1).standard_normal(2 * RATE).astype(np.float32)
    assert len(transcribe(hiss, RATE)) <= 2
