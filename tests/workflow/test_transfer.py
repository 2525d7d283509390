"""Recordings of several voices through the verb: what the pipeline is asked, and the notes as MIDI beside the sound."""

import json
from pathlib import Path
from typing import Any

import pytest

from audiogan.corpus import midi, transcription
from audiogan.errors import OutputError, UnsupportedError, UsageError
from audiogan.pipeline import Model
from audiogan.workflow import making, sounds
from tests.conftest import FakeSound, make_tone

NOTES = [
    {"onset": 0.0, "seconds": 0.5, "pitch": 62, "source_pitch": 50, "velocity": 0.5},
    {"onset": 0.25, "seconds": 0.5, "pitch": 64.2, "source_pitch": 64.2, "velocity": 1.0},
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, fake_sound_model: Model) -> list[dict[str, Any]]:
    """What the pipeline was asked for; it heard two notes."""
    given: list[dict[str, Any]] = []

    def transfer(model: Model, source: Any, timbre: str, **options: Any) -> FakeSound:
        given.append(options)
        return FakeSound(make_tone(), facts={"notes": NOTES})

    monkeypatch.setattr(fake_sound_model.verbs, "transfer", transfer)
    monkeypatch.setattr(making, "load", lambda model, device, pipeline: fake_sound_model)
    return given


def test_voices_reach_the_pipeline_and_the_manifest(
    tmp_path: Path, tone: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sounds, "require_transcriber", lambda: None)
    for voices in ("auto", "one", "many"):
        sounds.transfer(tone, voices=voices, out=tmp_path / f"{voices}.wav")
        told = json.loads((tmp_path / f"{voices}.wav.json").read_text())
        assert told["options"]["voices"] == voices
    assert asked == [{"seed": 0}, {"seed": 0, "voices": "one"}, {"seed": 0, "voices": "many"}]
    with pytest.raises(UsageError, match="voices: 'two'; expected auto, one or many"):
        sounds.transfer(tone, voices="two")


def test_many_voices_without_a_transcriber_are_refused_before_anything_is_made(
    tmp_path: Path, tone: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcription, "_model_path", lambda: None)
    with pytest.raises(UnsupportedError) as refusal:
        sounds.transfer(tone, voices="many", out=tmp_path / "new.wav")
    assert refusal.value.reason == "missing_extra"
    assert "pip install --no-deps basic-pitch==0.4.0" in str(refusal.value)
    assert (asked, (tmp_path / "new.wav").exists()) == ([], False)


def test_the_notes_that_were_heard_are_written_beside_the_sound(
    tmp_path: Path, tone: Path, asked: list[dict[str, Any]]
) -> None:
    result = sounds.transfer(tone, save_midi=True, listen=True, preview=True, out=tmp_path / "a" / "new.flac")
    assert {file["file"] for file in result.files} == {"new.flac", "new.png", "new.html", "new.mid"}
    (track,) = midi.read(tmp_path / "a" / "new.mid").tracks
    assert [tuple(note) for note in track.notes] == [(0, 480, 50, 64), (240, 720, 64, 127)]
    sounds.transfer(tone, save_midi=True, out=tmp_path / "b")
    assert (tmp_path / "b" / "01_tone_A4.mid").read_bytes() == (tmp_path / "a" / "new.mid").read_bytes()
    facts = json.loads((tmp_path / "b" / "manifest.json").read_text())["files"][-1]
    assert facts["heard_in"] == "01_tone_A4.wav"


def test_a_midi_file_that_is_there_is_not_overwritten(tmp_path: Path, tone: Path, asked: list[dict[str, Any]]) -> None:
    mine = tmp_path / "new.mid"
    mine.write_text("mine")
    with pytest.raises(OutputError, match=r"new\.mid"):
        sounds.transfer(tone, save_midi=True, out=tmp_path / "new.wav")
    assert (mine.read_text(), asked) == ("mine", [])
    sounds.transfer(tone, out=tmp_path / "new.wav")
    assert mine.read_text() == "mine"


def test_a_model_that_does_not_tell_its_notes_writes_nothing(
    tmp_path: Path, tone: Path, asked: list[dict[str, Any]], fake_sound_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_sound_model.verbs, "transfer", lambda *_, **__: FakeSound(make_tone()))
    with pytest.raises(UnsupportedError, match="--save-midi: tones does not tell which notes it heard"):
        sounds.transfer(tone, save_midi=True, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
