"""The muspy forms against what muspy 0.5.0 gave for seven synthetic pieces (tests/golden), and the mended faults."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from audiogan.corpus.score import Note, Notes, Score, Track
from audiogan.pipelines.multitrack.muspy_metrics import NAMES, measure_score

GOLDEN = Path(__file__).parents[2] / "golden" / "muspy_metrics.json"
PIECES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())["pieces"]


def piece(*tracks: tuple[bool, list[list[int]]], resolution: int = 4) -> Score:
    """Return a score from (is_drum, notes as onset, offset, pitch, velocity) per track."""
    return Score(
        resolution,
        tuple(Track(Notes.from_list([Note(*note) for note in notes]), is_drum=is_drum) for is_drum, notes in tracks),
    )


@pytest.mark.parametrize("expected", PIECES, ids=lambda p: p["name"])
def test_equals_muspy(expected: dict[str, Any]) -> None:
    score = piece(*((t["is_drum"], t["notes"]) for t in expected["tracks"]), resolution=expected["resolution"])
    options = {name: expected[name] for name in ("beats_per_bar", "root", "is_minor", "is_triple")}
    values = measure_score(score, **options, corrected=False)
    assert tuple(values) == NAMES
    assert set(expected["muspy"]) == set(NAMES)
    for name, number in expected["muspy"].items():
        assert values[name] == pytest.approx(math.nan if number is None else number, abs=1e-9, nan_ok=True), name


def both(score: Score, name: str, **options: Any) -> tuple[float, float]:
    """Return the muspy and the corrected form."""
    return measure_score(score, corrected=False, **options)[name], measure_score(score, **options)[name]


def test_a_piece_that_ends_on_a_line_has_no_silent_rest() -> None:
    full = piece((False, [[0, 16, 60, 80], [16, 32, 62, 80]]))
    assert both(full, "empty_beat_rate") == (0, 0)  # muspy's ninth beat counts as filled by the note that ends there
    gap = piece((False, [[0, 4, 60, 80], [8, 16, 62, 80]]))
    assert both(gap, "empty_beat_rate") == (0, 0.25)
    assert both(full, "groove_consistency") == (1 - 1 / 32, 1)


def test_drums_alone_have_no_pitch_range() -> None:
    assert both(piece((True, [[0, 1, 36, 80]])), "pitch_range") == (-127, 0)
    assert both(piece(), "pitch_range") == (0, 0)


def test_drum_positions_are_rounded_at_odd_resolutions() -> None:
    sixteenths = piece((True, [[0, 1, 36, 80], [2, 3, 36, 80], [5, 6, 36, 80], [8, 9, 36, 80]]), resolution=10)
    assert both(sixteenths, "drum_in_pattern_rate") == (0.5, 1)
    thirds = piece((True, [[3, 4, 36, 80], [7, 8, 36, 80]]), resolution=10)
    assert both(thirds, "drum_in_pattern_rate", is_triple=True) == (0, 1)


def test_length_in_bars_can_be_given() -> None:
    score = piece((False, [[0, 4, 60, 80], [0, 4, 64, 80], [0, 4, 67, 80], [60, 80, 60, 80]]))
    assert measure_score(score, n_bars=4)["polyphony_rate"] == 4 / 64
    assert measure_score(score, n_bars=8)["empty_measure_rate"] == 5 / 8
    assert measure_score(score, n_bars=4)["empty_measure_rate"] == 0.5
    assert measure_score(score, n_bars=1)["n_pitches_used"] == 3


def test_silence() -> None:
    values = measure_score(piece((False, []), (True, [])))
    assert math.isnan(values["empty_beat_rate"])
    assert math.isnan(values["pitch_entropy"])
    assert values["n_pitches_used"] == 0
    assert measure_score(piece(), n_bars=2)["empty_beat_rate"] == 1
