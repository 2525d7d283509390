from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiogan.corpus import audio
from audiogan.errors import OutputError


def test_what_is_written_is_read_again_within_half_a_step(tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).uniform(-0.99, 0.99, (2, 500)).astype(np.float32)
    audio.write(waveform, 22050, tmp_path / "a.wav")
    read, sample_rate = soundfile.read(tmp_path / "a.wav", dtype="float64")
    assert sample_rate == 22050
    np.testing.assert_allclose(read.T, waveform, atol=1 / 32768)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_what_is_too_loud_is_cut_off_at_full_scale(tmp_path: Path) -> None:
    audio.write(np.array([[2.0, -2.0]]), 8000, tmp_path / "a.wav")
    read, _ = soundfile.read(tmp_path / "a.wav")
    assert read[0] > 0.999
    assert read[1] == -1.0


def test_equal_sound_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        audio.write(np.zeros((1, 9)), 8000, tmp_path / name)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        audio.write(np.zeros((1, 9)), 8000, tmp_path / "nowhere" / "a.wav")
