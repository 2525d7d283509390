"""Loudness that follows another's, frame by frame."""

import sys

import numpy as np
import pytest

from audiogan.pipelines.waveform.following import MOST_GAIN_DB, follow_levels
from audiogan.pipelines.waveform.loudness import loudness_curve
from tests.pipelines.waveform.small_sounds import RATE, tone


def test_levels_are_followed_within_a_bound() -> None:
    source, other = tone(300.0), tone(440.0)
    source[RATE // 2 :] *= 0.1
    wanted = loudness_curve(source, RATE)
    made = loudness_curve(follow_levels(other, RATE, wanted), RATE)
    assert made[25] - made[75] == pytest.approx(20.0, abs=0.5)
    other[3 * RATE // 4 :] *= 0.001  # 60 dB to make up for
    before = loudness_curve(other, RATE)
    uneven = loudness_curve(follow_levels(other, RATE, loudness_curve(tone(300.0), RATE)), RATE)
    assert (uneven[90] - before[90]) - (uneven[25] - before[25]) == pytest.approx(MOST_GAIN_DB, abs=0.5)
    assert np.isfinite(follow_levels(np.zeros(RATE, np.float32), RATE, wanted)).all()


def test_levels_are_followed_alike_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    source, other = tone(300.0, decay=20), tone(440.0)
    whole = follow_levels(other, RATE, loudness_curve(source, RATE))
    monkeypatch.setattr(sys.modules[follow_levels.__module__], "_SAMPLES_AT_ONCE", 1000)
    assert np.array_equal(follow_levels(other, RATE, loudness_curve(source, RATE)), whole)
