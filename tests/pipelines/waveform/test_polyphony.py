"""Several notes at once in another timbre: when they are transcribed, and what is made of the notes."""

import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from audiogan.corpus.audio import Recording
from audiogan.corpus.notes import hz_of
from audiogan.corpus.pitchtrack import has_tracker
from audiogan.corpus.transcription import TranscribedNote, has_transcriber, transcribe
from audiogan.errors import CorpusError
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.loudness import loudness_curve
from audiogan.pipelines.waveform.polyphony import play_transcribed, several_share, sounding_share, velocities_of
from audiogan.pipelines.waveform.timbre import Timbre
from audiogan.pipelines.waveform.transfer import transfer
from audiogan.representation.base import SpectrogramConfig
from tests.pipelines.waveform.small_sounds import (
    CONFIG,
    RATE,
    Echo,
    is_click_free,
    measured_hz,
    model_of,
    recording,
    tone,
)

PLAIN = Timbre(None, np.zeros(6, np.float32), "plain")
here = sys.modules[transfer.__module__]
needs_tracker = pytest.mark.skipif(not has_tracker(), reason="swift-f0 is not installed")
Hear = Callable[[Sequence[TranscribedNote]], None]


def note(pitch: int, onset: float, offset: float, level_db: float = -20.0) -> TranscribedNote:
    return TranscribedNote(onset, offset, pitch, level_db, 0.6)


CHORD = [note(pitch, 0.0, 1.0) for pitch in (60, 64, 67)]


def chord(*pitches: int, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    sounds = [tone(hz_of(pitch), seconds, rate=rate, brightness=0.4) for pitch in pitches]
    return np.mean(sounds, axis=0).astype(np.float32)


@pytest.fixture
def hear(monkeypatch: pytest.MonkeyPatch) -> Hear:
    """Make the transcriber hear given notes."""

    def put(notes: Sequence[TranscribedNote]) -> None:
        monkeypatch.setattr(here, "has_transcriber", lambda: True)
        monkeypatch.setattr(here, "transcribe", lambda waveform, rate: list(notes))

    return put


def holds(waveform: np.ndarray, pitch: int) -> bool:
    """Whether a partial lies at a pitch, and more than 20 dB below that a semitone beside it."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 8 * len(waveform)))

    def at(key: float) -> float:
        place = round(hz_of(key) * 8 * len(waveform) / RATE)
        return float(spectrum[place - 4 : place + 5].max())

    return at(pitch) > 10 * max(at(pitch - 1), at(pitch + 1))


# ---- what is made of notes


def test_notes_sound_where_they_were_heard() -> None:
    source = np.concatenate([chord(60, 64, 67), chord(62, 65)])
    notes = [*CHORD, note(62, 1.0, 2.0), note(65, 1.0, 2.0)]
    sound = play_transcribed(model_of(Echo()), recording(source), PLAIN, notes)
    assert sound.seconds == pytest.approx(2.0, abs=1e-3)
    first, second = (sound.waveform[round(start * RATE) : round((start + 0.6) * RATE)] for start in (0.2, 1.35))
    for part, pitches in ((first, {60, 64, 67}), (second, {62, 65})):
        assert {pitch for pitch in (60, 62, 64, 65, 67) if holds(part, pitch)} == pitches
    assert is_click_free(sound.waveform, RATE)
    assert np.abs(sound.waveform).max() == pytest.approx(0.8, abs=1e-3)


def test_the_whole_is_as_loud_over_time_as_the_recording() -> None:
    source = chord(60, 64, 67, seconds=2.0) * np.repeat([1.0, 0.2], RATE).astype(np.float32)
    sound = play_transcribed(model_of(Echo()), recording(source), PLAIN, [note(p, 0.0, 2.0) for p in (60, 64, 67)])
    made, before = (loudness_curve(wave, RATE) for wave in (sound.waveform, source))
    assert made[50] - made[150] == pytest.approx(before[50] - before[150], abs=1.0)
    assert before[50] - before[150] == pytest.approx(14, abs=0.5)


def test_facts_say_what_was_transcribed_and_what_is_not_carried_over() -> None:
    notes = [*CHORD, note(30, 0.5, 1.0, -26.0)]
    facts = play_transcribed(model_of(Echo()), recording(chord(60, 64, 67)), PLAIN, notes, seed=3).facts
    assert facts["transcription"] == {
        "by": "basic-pitch 0.4.0", "n_notes": 4, "pitch_curve": False, "loudness_curve": True
    }  # fmt: skip
    assert (facts["voices"], facts["n_notes"], facts["seed"]) == ("many", 4, 3)
    last = facts["notes"][3]
    assert last == {"onset": 0.5, "seconds": 0.5, "pitch": 42, "source_pitch": 30, "velocity": 0.625}
    told = " ".join(facts["warnings"])
    assert "transcribed by basic-pitch 0.4.0 into 4 notes; slides and vibrato inside notes are not" in told
    assert "1 notes outside the trained range 36-84 played octaves away" in told
    half = play_transcribed(model_of(Echo()), recording(chord(60, 64, seconds=2.0)), PLAIN, CHORD).facts
    assert half["sounding_share"] == pytest.approx(0.5, abs=0.01)
    assert "notes were heard in 50 % of what sounds; the rest is left out" in half["warnings"]


def test_where_no_note_was_heard_nothing_is_played() -> None:
    with pytest.raises(CorpusError, match="heard no note; expected music with notes") as refusal:
        play_transcribed(model_of(Echo()), recording(tone(300.0)), PLAIN, [])
    assert refusal.value.reason == "no_pitch"


def test_velocities_stand_for_levels() -> None:
    made = velocities_of([note(60, 0, 1, level) for level in (-10.0, -22.0, -50.0, -200.0)])
    assert made == [0.875, 0.4375, 0.1875, 0.1875]  # 12 dB are half the velocity


def test_several_notes_are_those_at_no_partial_of_the_lowest() -> None:
    assert several_share([]) == 0
    assert several_share([note(60, 0.0, 1.0), note(64, 1.0, 2.0)]) == 0
    assert several_share([note(60, 0.0, 1.05), note(64, 1.0, 2.0)]) == 0, "the end of the first rings on"
    assert several_share([note(60, 0.0, 1.0), note(72, 0.0, 1.0), note(79, 0.0, 1.0)]) == 0
    assert several_share([note(60, 0.0, 2.1), note(64, 1.0, 2.1)]) == pytest.approx(0.5)
    assert several_share([note(21, 0.0, 0.01), note(108, 0.0, 0.01)]) == 1


def test_the_share_that_sounds_counts_what_can_be_heard() -> None:
    levels = np.repeat([0.0, -20.0, -60.0], 100)
    assert sounding_share([note(60, 0.0, 1.0)], levels) == pytest.approx(0.5)
    assert sounding_share([note(60, 0.0, 2.0), note(64, 0.5, 1.0)], levels) == 1
    assert sounding_share([], levels) == 0


# ---- when


@needs_tracker
def test_a_chord_is_transcribed_where_that_is_possible(hear: Hear) -> None:
    hear(CHORD)
    sound = transfer(model_of(Echo()), recording(chord(60, 64, 67)), PLAIN)
    assert sound.facts["voices"] == "many"
    assert all(holds(sound.waveform[2000:14000], pitch) for pitch in (60, 64, 67))
    with pytest.raises(CorpusError, match="expected a melody of one voice$"):
        transfer(model_of(Echo()), recording(chord(60, 64, 67)), PLAIN, voices="one")


@needs_tracker
def test_a_melody_stays_one_unless_asked_otherwise(hear: Hear) -> None:
    hear([note(60, 0.0, 1.0)])
    source = recording(tone(hz_of(60.3), brightness=0.4))
    for voices, kind, off in (("auto", "one", 0.3), ("one", "one", 0.3), ("many", "many", 0.0)):
        sound = transfer(model_of(Echo()), source, PLAIN, voices=voices)
        assert sound.facts["voices"] == kind
        assert measured_hz(sound.waveform, RATE, hz_of(60)) == pytest.approx(hz_of(60 + off), rel=2e-3)


@needs_tracker
def test_what_passes_for_a_melody_is_transcribed_where_several_notes_are_heard(hear: Hear) -> None:
    hear(CHORD)
    source = recording(tone(hz_of(60), brightness=0.4))
    assert transfer(model_of(Echo()), source, PLAIN).facts["voices"] == "many"
    assert transfer(model_of(Echo()), source, PLAIN, voices="one").facts["voices"] == "one"


@needs_tracker
def test_where_hardly_a_note_is_heard_the_refusal_stands(hear: Hear) -> None:
    hear([note(60, 0.0, 0.2)])
    with pytest.raises(CorpusError, match=r"heard notes in 20 % of what sounds, which is too little") as refusal:
        transfer(model_of(Echo()), recording(chord(60, 64, 67)), PLAIN)
    assert refusal.value.reason in {"polyphonic", "no_pitch"}
    assert transfer(model_of(Echo()), recording(chord(60, 64, 67)), PLAIN, voices="many").facts["n_notes"] == 1


def test_notes_of_fixed_pitch_need_no_bends(hear: Hear, monkeypatch: pytest.MonkeyPatch) -> None:
    hear(CHORD)
    asked: list[Config] = []

    def play(model: Model, source: Recording, timbre: Timbre, notes: Sequence[TranscribedNote], **_: object) -> str:
        asked.append(model.config)
        return "played"

    monkeypatch.setattr(here, "play_transcribed", play)
    config = CONFIG.model_copy(update={"representation": SpectrogramConfig()})
    model = model_of(Echo())
    model = type(model)(model.modules, config, {}, model.folder)
    assert transfer(model, recording(tone(440.0)), PLAIN, voices="many") == "played"
    assert asked == [config]


@pytest.mark.skipif(not has_transcriber(), reason="basic-pitch is not installed")
def test_the_result_holds_the_notes_of_the_recording() -> None:
    rate = 22_050
    parts = [chord(48, 55, 64, rate=rate), chord(50, 57, 65, rate=rate), chord(52, 59, 67, rate=rate)]
    fall = np.linspace(1, 0.2, rate).astype(np.float32)
    source = recording(np.concatenate([part * fall for part in parts]), rate)
    sound = transfer(model_of(Echo(decay=12)), source, PLAIN)
    expected = {
        (round(start), pitch) for start, keys in enumerate([(48, 55, 64), (50, 57, 65), (52, 59, 67)]) for pitch in keys
    }
    assert {(round(one["onset"]), one["pitch"]) for one in sound.facts["notes"]} == expected
    again = transcribe(sound.waveform, sound.sample_rate)
    assert {(round(one.onset), one.pitch) for one in again} >= expected
    assert len(again) <= len(expected) + 2
