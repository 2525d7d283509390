import pytest

from audiogan.errors import UsageError
from audiogan.workflow.pitches import read_pitch, read_pitches, read_velocity


@pytest.mark.parametrize(
    ("text", "pitch"),
    [("60", 60), ("C4", 60), ("c4", 60), ("Bb3", 58), ("F#5", 78), ("C-1", 0), ("60.5", 60.5), (72, 72), (" A4 ", 69)],
)
def test_a_pitch_is_a_number_or_a_name(text: str | float, pitch: float) -> None:
    assert read_pitch(text) == pitch


@pytest.mark.parametrize("text", ["", "H4", "C", "-1", "1e9", "nan", "128", "A9", "C4C4", float("nan"), float("inf")])
def test_odd_pitches_show_the_form(text: str | float) -> None:
    with pytest.raises(UsageError, match="expected MIDI 0 to 127"):
        read_pitch(text)


@pytest.mark.parametrize(
    ("text", "count", "pitches"),
    [
        (None, 5, None),
        ("48-50", None, [48, 49, 50]),
        ("C-1-D-1", None, [0, 1, 2]),
        ("Bb3 - C4", None, [58, 59, 60]),
        ("48-72", 3, [48, 60, 72]),
        ("48-72", 1, [48]),
        ("48-49", 5, [48, 49, 48, 49, 48]),
        ("60,C5", 3, [60, 72, 60]),
        ([60, "C5"], None, [60, 72]),
        (60.5, 2, [60.5, 60.5]),
    ],
)
def test_pitches_are_dealt_to_notes(text: object, count: int | None, pitches: list[float] | None) -> None:
    assert read_pitches(text, count) == pitches  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("text", ["72-48", "60,", ",", [], "1-2-3", "60," * 200])
def test_odd_lists_are_wrong_usage(text: str | list[str]) -> None:
    with pytest.raises(UsageError, match="expected"):
        read_pitches(text, None)


def test_velocity_is_a_share_or_as_in_midi() -> None:
    assert [read_velocity(value) for value in (None, 0.25, 1, 127, 63.5)] == [None, 0.25, 1, 1, 0.5]
    for wrong in (-0.1, 0, 127.1, float("nan")):
        with pytest.raises(UsageError, match="velocity"):
            read_velocity(wrong)
