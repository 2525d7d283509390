"""The benchmark of representations runs on a folder of notes."""

import math
from pathlib import Path

import pytest
import soundfile

from audiogan.representation.base import HarmonicConfig, representation_of
from tests.benchmarks.round_trip import Result, header, line, measure, medians, read_notes, verdict
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


def test_medians_are_those_of_all_notes_and_of_each_range() -> None:
    pitches, figures = (36, 38, 39, 72), ((0.1, 1.0), (0.2, 2.0), (0.6, 9.0), (0.4, 4.0))
    over_all, *by_range = medians([Result(pitch, *pair, 0, 0) for pitch, pair in zip(pitches, figures, strict=True)])
    assert over_all == pytest.approx((0.3, 3.0))
    assert by_range[0] == (0.2, 2.0)
    assert by_range[2] == (0.4, 4.0)
    assert all(math.isnan(one) for one in (*by_range[1], *by_range[3]))


def test_the_verdict_needs_both_medians_and_names_the_worst_range() -> None:
    theirs = [Result(36, 0.3, 2.0, 0, 0), Result(72, 0.3, 3.0, 0, 0)]
    ahead = verdict([Result(36, 0.1, 2.3, 0, 0), Result(72, 0.1, 1.0, 0, 0)], theirs)
    assert "is ahead of mel_if" in ahead
    assert "at worst +0.30 dB, in the range 0-40" in ahead
    assert "NOT ahead" in verdict([Result(36, 0.1, 2.0, 0, 0), Result(72, 0.1, 3.1, 0, 0)], theirs)
    assert "NOT ahead" in verdict([Result(36, 0.4, 1.0, 0, 0), Result(72, 0.4, 1.0, 0, 0)], theirs)


def test_a_limit_leaves_notes_spread_over_the_folder(tmp_path: Path) -> None:
    for pitch in range(60, 67):
        soundfile.write(tmp_path / f"tone_m{pitch:03d}.wav", plucked(262.0, 16_000, 0.1).numpy() + 0.1, 16_000)
    notes = read_notes(tmp_path, sample_rate=16_000, seconds=0.1, limit=4)
    assert [pitch for pitch, _ in notes] == [60, 62, 64, 66]
    assert all(abs(float(note.mean())) < 1e-6 for _, note in notes)
