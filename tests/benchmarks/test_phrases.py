"""Phrases are made of recorded notes, and their notes are where they say."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiogan.corpus.notes import hz_of
from audiogan.corpus.pitchtrack import has_tracker
from tests.benchmarks.phrases import RATE, STYLES, Note, Sample, perform, write_recorded
from tests.pipelines.waveform.small_sounds import measured_hz, tone


@pytest.mark.skipif(not has_tracker(), reason="swift-f0 is not installed")
def test_phrases_of_every_style_and_no_mislabelled_note(tmp_path: Path) -> None:
    folder = tmp_path / "horn"
    folder.mkdir()
    for name, pitch in (("C4", 60), ("E4", 64), ("G4", 67), ("A4", 57)):
        soundfile.write(folder / f"{name}.wav", tone(hz_of(pitch), 1.2, rate=RATE), RATE)
    assert write_recorded(folder, tmp_path / "out", 3, np.random.default_rng(0)) == 3
    for number, style in enumerate(STYLES):
        told = json.loads((tmp_path / "out" / f"horn_{number}_{style}.json").read_text())
        assert told["instrument"] == "horn"
        pitches = [note["pitch"] for note in told["notes"]]
        assert min(pitches) > 57.5  # what is called A4 sounds an octave lower
        onsets = [note["onset"] for note in told["notes"]]
        assert onsets == sorted(onsets)


def test_notes_sound_where_and_as_they_say() -> None:
    sample = Sample(60.0, tone(hz_of(60), 1.5, rate=RATE), holds=True)
    waveform, notes = perform([(Note(0.1, 0.5, 60.0), sample), (Note(0.7, 0.5, 62.0, -6.0), sample)])
    for note in notes:
        first = round(note.onset * RATE)
        before, after = (
            np.abs(waveform[slice(*span)]).max() for span in ((first - 900, first - 300), (first, first + 900))
        )
        assert before < 0.1 * after
        part = waveform[first : first + round(note.seconds * RATE)]
        assert measured_hz(part, RATE, hz_of(note.pitch)) == pytest.approx(hz_of(note.pitch), rel=1e-3)
    assert np.abs(waveform[round(0.7 * RATE) :]).max() == pytest.approx(0.7 / 2, rel=0.02)
