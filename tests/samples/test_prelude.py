import importlib.util
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from audiogan.corpus import midi
from audiogan.corpus.score import Metre, Note, Score
from audiogan.pipelines.waveform.render import render
from audiogan.pipelines.waveform.timbre import Timbre
from tests.pipelines.waveform.small_sounds import Echo, model_of

SAMPLES = Path(__file__).parents[2] / "samples"
SCORE = midi.read(SAMPLES / "prelude.mid")
PRETRAINED = SAMPLES.parent / "audiogan" / "pretrained"
SIXTEENTH, BAR = 120, 1920
OTHER = Path(os.environ.get("AUDIOGAN_TEST_DATA", "")) / "bwv1007_prelude.mid"
"""Somebody else's file of the piece, which is no part of the project: the variable names a folder that holds it."""


@pytest.fixture(scope="module")
def prelude() -> ModuleType:
    """The script `samples/prelude.py`."""
    spec = importlib.util.spec_from_file_location("prelude", SAMPLES / "prelude.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["prelude"] = module
    spec.loader.exec_module(module)
    return module


def words(score: Score) -> list[tuple[int, int]]:
    """Onset in sixteenths and pitch of every note, in order."""
    return [(round(note.onset * 4 / score.resolution), note.pitch) for note in score.tracks[0].notes]


def bar(number: int) -> list[Note]:
    """The notes of a bar, counted from 1."""
    return [note for note in SCORE.tracks[0].notes if note.onset // BAR == number - 1]


def test_the_file_is_what_the_script_writes(
    prelude: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prelude, "FILE", tmp_path / "prelude.mid")
    prelude.main()
    assert (SAMPLES / "prelude.mid").read_bytes() == (tmp_path / "prelude.mid").read_bytes()


def test_it_is_forty_two_full_bars_for_one_cello() -> None:
    (cello,) = SCORE.tracks
    assert (cello.program, cello.name, SCORE.metres) == (42, "cello", (Metre(0, 4, 4),))
    assert (SCORE.keys[0].sharps, SCORE.keys[0].is_minor) == (1, False)
    assert SCORE.n_ticks == 42 * BAR
    for number in range(1, 43):
        spans = sorted({(note.onset, note.offset) for note in bar(number)})
        edges = [(number - 1) * BAR, *(offset for _, offset in spans)]
        assert [onset for onset, _ in spans] == edges[:-1], f"bar {number}: nothing between its notes"
        assert edges[-1] == number * BAR, f"bar {number} is full"


def test_all_but_three_bars_are_sixteenths() -> None:
    longer = {number for number in range(1, 43) if any(n.offset - n.onset != SIXTEENTH for n in bar(number))}
    assert longer == {22, 29, 42}
    assert len(SCORE.tracks[0].notes) == 39 * 16 + 14 + 15 + 3


def test_it_lies_on_a_cello() -> None:
    pitches = SCORE.tracks[0].notes.pitch
    assert (int(pitches.min()), int(pitches.max())) == (36, 67), "from the open C string up to G4"
    assert len(set(SCORE.tracks[0].notes.velocity.tolist())) > 5, "dynamics"


def test_a_bar_that_is_not_full_is_noticed(prelude: ModuleType) -> None:
    with pytest.raises(AssertionError, match="bar 3 is not full: 15"):
        list(prelude._notes(32, "G2:15", 80))


@pytest.mark.skipif(not OTHER.is_file(), reason="nothing to compare with")
def test_it_has_the_notes_of_another_edition() -> None:
    assert words(SCORE) == words(midi.read(OTHER))


def test_the_shipped_model_has_all_its_pitches() -> None:
    text = (PRETRAINED / "notes" / "config.json").read_text(encoding="utf-8")
    config = json.loads(text)["config"]["model"]
    assert config["lowest_pitch"] <= 36 < 67 <= config["highest_pitch"]


def test_the_halt_and_the_last_chord_are_played() -> None:
    (cello,) = SCORE.tracks
    kept = np.isin(cello.notes.onset // BAR, [21, 41])
    score = SCORE.with_tracks((replace(cello, notes=cello.notes.where(kept)),))
    sound = render(model_of(Echo()), score, [Timbre(None, np.zeros(6, np.float32), "plain")])
    assert (sound.facts["n_notes"], sound.facts["transposed"], sound.facts["warnings"]) == (14 + 3, {}, [])
    assert sound.seconds == pytest.approx(42 * 4 * 60 / 72 + 0.3, abs=0.01)
