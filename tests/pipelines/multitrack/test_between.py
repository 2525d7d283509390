"""The way between two clips: as long at every step, and never silent where both ends sound."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from audiogan.corpus.score import Note, Notes, Score, Track
from audiogan.errors import UnsupportedError
from audiogan.pipelines.multitrack import between, synthesis
from audiogan.pipelines.multitrack.between import THINNEST, Way, bars_of_both, fuller
from audiogan.workflow.outputs import n_bars
from tests.pipelines.multitrack.small import CONFIG, model_of, song

MODEL = model_of()
BAR = 1920


def clip(*bars: int, program: int = 0, n_each: int = 4) -> Score:
    """A track with `n_each` quarters in each of the named bars, counted from 0."""
    notes = [
        Note(BAR * bar + 480 * beat, BAR * bar + 480 * beat + 400, 60, 90) for bar in bars for beat in range(n_each)
    ]
    return Score(480, (Track(Notes.from_list(notes), program),))


def onsets(score: Score, length: int) -> list[int]:
    """Notes that begin in each bar."""
    found = np.zeros(length, dtype=int)
    for track in score.tracks:
        np.add.at(found, np.minimum((track.notes.onset + 60) // BAR, length - 1), 1)
    return found.tolist()


@pytest.fixture
def _mute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let codes say nothing at all, so that only corrections make a clip sound."""
    plain = between.decode_clips

    def silent(*given: Any) -> tuple[Tensor, Tensor, Tensor]:
        logits, velocity, timing = plain(*given)
        return logits - 1000, velocity, timing

    monkeypatch.setattr(between, "decode_clips", silent)


@pytest.mark.usefixtures("_mute")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (clip(0, 1, 2, 3), clip(0, 1, 2, 3, program=33)),
        (clip(0, 1, 2, 3, n_each=1), clip(0, 1, 2, 3, 4, 5)),
        (clip(0, 3), clip(0, 1, 2, 3, program=48)),
        (clip(2, 4, 5), clip(1, 2, 4, program=33)),
        (clip(0), clip(0)),
    ],
)
def test_no_step_is_silent_and_all_are_as_long(first: Score, second: Score) -> None:
    length = bars_of_both(first, second, CONFIG)
    ladder = synthesis.interpolate(MODEL, first, second, steps=7)
    assert [n_bars(step) for step in ladder] == [length] * 7
    ends = onsets(ladder[0], length), onsets(ladder[-1], length)
    for step in ladder[1:-1]:
        for a, b, made in zip(*ends, onsets(step, length), strict=True):
            assert made >= (THINNEST * min(a, b) if a and b else 0)
            assert made or not (a and b)


def test_the_way_is_as_long_as_the_last_bar_in_which_both_sound() -> None:
    assert bars_of_both(clip(0, 1, 2, 3), clip(0, 1, 2, 3, 4, 5), CONFIG) == 4
    assert bars_of_both(clip(0, 1, 2, 3), clip(0, 1, 2, 4, 5), CONFIG) == 3, "the longer one rests in the fourth"
    unknown = clip(0, 1, 2, 3, 4, program=127).tracks
    assert bars_of_both(clip(0, 1).with_tracks((*clip(0, 1).tracks, *unknown)), clip(0, 1, 2, 3), CONFIG) == 2
    held = Score(480, (Track(Notes.from_list([Note(0, 3 * BAR, 60, 90)])),))
    assert bars_of_both(held, clip(0, 1, 2, 3), CONFIG) == 3


@pytest.mark.parametrize("second", [clip(4, 5), clip(0, 1, program=127)])
def test_clips_without_a_common_bar_are_refused(second: Score) -> None:
    with pytest.raises(UnsupportedError, match="no bar in which both clips have notes for drums, bass.*expected one"):
        synthesis.interpolate(MODEL, clip(0, 1, 2, 3), second, steps=3)


def test_the_likeliest_notes_are_let_through() -> None:
    ways = Way(MODEL, clip(0), 1), Way(MODEL, clip(0, program=33), 1)
    logits = torch.full((1, 2, len(CONFIG.roles), CONFIG.n_bars, 16, CONFIG.n_pitches), -9.0)
    piano, bass, drums = 2, 1, 0
    logits[0, 0, piano, 0, 4, 20], logits[0, 0, bass, 0, 8, 10] = -1.0, -2.0
    logits[0, 0, drums, 0, 0, 5] = -0.5  # neither clip has drums
    logits[0, 1, piano, 0, 5, 20] = -1.5
    filled = fuller(logits, *ways)
    assert (filled[0, 0] > 0).nonzero().tolist() == [[bass, 0, 8, 10], [piano, 0, 4, 20]], "two of four quarters"
    assert (filled[0, 1] > 0).nonzero().tolist() == [[piano, 0, 5, 20]], "and what holds them"
    assert torch.equal(fuller(filled, *ways), filled), "enough is left alone"
    assert logits.max() == -0.5, "what was given stays"


@pytest.mark.usefixtures("_mute")
def test_a_variation_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    (made,) = synthesis.vary(MODEL, clip(0, 1), strength=0.9)
    assert made.n_notes


def test_where_enough_sounds_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = song(4, 1), song(4, 2)
    as_it_is = synthesis.interpolate(MODEL, first, second, steps=3)
    monkeypatch.setattr(between, "fuller", lambda logits, *_: logits)
    assert as_it_is == synthesis.interpolate(MODEL, first, second, steps=3)
