"""The benchmark of transfer tells right pitches, onsets and timbres from wrong ones."""

import numpy as np
import pytest

from audiogan.corpus.audio import Recording
from audiogan.corpus.notes import hz_of
from audiogan.corpus.pitchtrack import has_tracker
from tests.benchmarks.phrases import RATE, Sample
from tests.benchmarks.transfer import Case, Known, Source, chosen, f1, interval, nearness, pitch_error, report, scale_of
from tests.pipelines.waveform.small_sounds import tone

NOTES = [Known(0.0, 0.5, 60.0), Known(0.5, 0.5, 64.0)]


def played(brightness: float, cents: float = 0.0, octaves: int = 0) -> np.ndarray:
    parts = [
        tone(hz_of(one.pitch + cents / 100 + 12 * octaves), one.seconds, rate=RATE, brightness=brightness)
        for one in NOTES
    ]
    return np.concatenate(parts)


def source() -> Source:
    return Source("one", "dull", Recording(played(0.1), RATE, RATE, 1), NOTES)


@pytest.mark.skipif(not has_tracker(), reason="swift-f0 is not installed")
def test_pitch_errors_are_those_made() -> None:
    for cents in (0.0, 30.0, 80.0):
        median, wrong = pitch_error(source(), played(0.6, cents, octaves=1), RATE, 1)
        assert median == pytest.approx(cents, abs=6)
        assert wrong == pytest.approx(float(cents > 50), abs=0.1)
    assert pitch_error(source(), played(0.6, octaves=1), RATE, 0)[1] > 0.9


def test_onsets_are_matched_once() -> None:
    wanted = np.array([0.1, 0.14, 1.0])
    assert f1(np.array([0.12, 0.13, 0.96]), wanted) == 1
    assert f1(np.array([0.12, 1.06]), wanted) == pytest.approx(2 / 5)
    assert f1(np.zeros(0), wanted) == 0


def test_timbre_is_nearer_to_what_it_is() -> None:
    bright = [Sample(pitch, tone(hz_of(pitch), rate=RATE, brightness=0.8), holds=True) for pitch in range(59, 67)]
    dull = [Sample(pitch, tone(hz_of(pitch), rate=RATE, brightness=0.1), holds=True) for pitch in range(59, 67)]
    scaler = scale_of({"bright": bright, "dull": dull})
    assert nearness(source(), played(0.7), RATE, 0, bright, scaler) == (1, 1)
    assert nearness(source(), played(0.15), RATE, 0, bright, scaler) == (0, 1)


def test_references_are_other_instruments_and_reports_leave_out_what_was_refused() -> None:
    rng = np.random.default_rng(0)
    assert set(chosen("font_nylon_guitar", ["guitar-electric", "flute", "horn"], rng)) == {"flute", "horn"}
    values = [4.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    cases = [Case(str(n), f"instrument{n}", "flute", *values, refused="") for n in range(3)]
    refused = Case("9", "organ", "flute", *([float("nan")] * 9), refused="several notes at once")
    assert interval(np.median, [*cases, refused], "cents") == (4, 4, 4)
    text = report([*cases, refused])
    assert "4 cases, 1 refused" in text
    assert "refused: 9: several notes at once" in text
