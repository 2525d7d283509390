"""The benchmark of representations runs on a folder of notes."""

from pathlib import Path

import soundfile

from audiogan.representation.base import HarmonicConfig, representation_of
from tests.benchmarks.round_trip import header, line, measure, read_notes
from tests.representation.notes import plucked


def test_round_trip_measures_every_note(tmp_path: Path) -> None:
    for pitch, hz in ((57, 220.0), (69, 440.0)):
        soundfile.write(tmp_path / f"tone_m{pitch:03d}.wav", plucked(hz, 22_050, 0.5).numpy(), 22_050)
    soundfile.write(tmp_path / "unnamed.wav", plucked(220.0, 22_050, 0.1).numpy(), 22_050)
    notes = read_notes(tmp_path, sample_rate=16_000, seconds=0.5, limit=10)
    assert [pitch for pitch, _ in notes] == [57, 69]
    form = representation_of(HarmonicConfig(n_rows=32, n_frames=32, grow_frames=16), sample_rate=16_000, seconds=0.5)
    results = measure(form, notes)
    assert all(0 < one.sc < 0.1 for one in results)
    assert all(one.sc > 0.1 for one in measure(form, notes, perturb=0.1))
    assert line("harmonic", form, results).count("|") == header(notes).count("|")
