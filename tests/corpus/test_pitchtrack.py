from pathlib import Path

import numpy as np
import pytest

from audiogan.corpus.notes import hz_of, pitch_of
from audiogan.corpus.pitchtrack import cut_notes, estimate_pitch, find_onsets
from audiogan.corpus.soundfolder import Ears, SoundFile, read_sound
from audiogan.errors import CorpusError
from tests.corpus.test_soundfolder import RATE, put, tone

needs_tracker = pytest.mark.usefixtures("tracker")
MELODY = [(60, 0.4), (60, 0.4), (64, 0.3), (67, 0.5)]


@pytest.fixture
def tracker() -> None:
    pytest.importorskip("swift_f0")


def melody() -> np.ndarray:
    return np.concatenate([np.zeros(3200), *(tone(hz_of(key), seconds, decay=4) for key, seconds in MELODY)])


def test_onsets_are_where_notes_begin() -> None:
    expected = 0.2 + np.cumsum([0, *(seconds for _, seconds in MELODY[:-1])])
    np.testing.assert_allclose(find_onsets(melody().astype(np.float32), RATE), expected, atol=0.04)
    assert len(find_onsets(np.zeros(100, np.float32), RATE)) == 0
    assert len(find_onsets(np.zeros(RATE, np.float32), RATE)) == 0


@needs_tracker
@pytest.mark.parametrize("key", [33, 48, 69, 84])
def test_a_pitch_is_estimated_within_five_cents(key: int) -> None:
    found = estimate_pitch(tone(hz_of(key + 0.2)).astype(np.float32), RATE)
    assert found is not None
    assert pitch_of(found.hz) == pytest.approx(key + 0.2, abs=0.05)
    assert found.confidence > 0.8


@needs_tracker
def test_noise_has_no_pitch(tmp_path: Path) -> None:
    path = put(tmp_path / "x.wav", 0.2 * np.random.default_rng(0).standard_normal(RATE))
    with pytest.raises(CorpusError, match="no pitch with a confidence") as caught:
        read_sound(SoundFile(str(path), str(tmp_path), "noise"), Ears(RATE, 1.0), "mine")
    assert caught.value.reason == "no_notes"


@needs_tracker
def test_a_recording_is_cut_into_its_notes(tmp_path: Path) -> None:
    spans = cut_notes(melody().astype(np.float32), RATE, min_seconds=0.1)
    assert [round(pitch_of(span.estimate.hz)) for span in spans] == [key for key, _ in MELODY]
    path = put(tmp_path / "song.wav", melody())
    heard = read_sound(SoundFile(str(path), str(tmp_path), "saw"), Ears(RATE, 0.5), "mine")
    assert [round(note.pitch) for note, _ in heard] == [key for key, _ in MELODY]
    assert heard[1].note.name.startswith("song.wav at 0.")


@needs_tracker
def test_a_wrong_name_is_noticed(tmp_path: Path) -> None:
    path = put(tmp_path / "A4.wav", tone(220.0))
    wrong, right = (
        read_sound(SoundFile(str(path), str(tmp_path), "saw", pitch), Ears(RATE, 1.0), "mine")[0].disagreement
        for pitch in (69.0, 57.0)
    )
    assert wrong == pytest.approx(-1200, abs=5)
    assert right == pytest.approx(0, abs=5)
