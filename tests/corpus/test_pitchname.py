import pytest

from audiogan.corpus.pitchname import parse_pitch


@pytest.mark.parametrize(
    ("stem", "pitch"),
    [
        ("C4", 60),
        ("Bb3", 58),
        ("A#2", 46),
        ("Cs4", 61),
        ("c-1", 0),
        ("060", 60),
        ("64", 64),
        ("piano_60_soft", 60),
        ("violin-A4-f", 69),
        ("FluteD5", 74),
        ("01_C4", 60),
        ("C4_again_C4", 60),
        ("Piano.ff.C4", 60),
        ("bass_synthetic_033-022-050", 22),
    ],
)
def test_a_pitch_is_found(stem: str, pitch: int) -> None:
    found = parse_pitch(stem)
    assert found is not None
    assert found.pitch == pitch


@pytest.mark.parametrize(
    "stem", ["", "kick", "take 01", "A1_C4", "song_44100", "128", "60_62", "version2", "H4", "C44"]
)
def test_what_tells_no_pitch_or_two_gives_none(stem: str) -> None:
    assert parse_pitch(stem) is None


def test_the_octave_of_middle_c_can_be_chosen() -> None:
    assert [parse_pitch("C3", middle)[0] for middle in (3, 4, 5)] == [60, 48, 36]  # type: ignore[index]


def test_the_rest_of_the_name_is_the_instrument() -> None:
    assert parse_pitch("violin_Bb3_soft").rest == "violin_soft"  # type: ignore[union-attr]
    assert parse_pitch("C4").rest == ""  # type: ignore[union-attr]


def test_nsynth_names_tell_velocity() -> None:
    found = parse_pitch("reed_acoustic_011-060-127")
    assert found == (60, 1.0, "reed_acoustic_011")
