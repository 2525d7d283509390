import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from audiogan.corpus import midi

SAMPLES = Path(__file__).parents[2] / "samples"
FILES = sorted((SAMPLES / "corpus").glob("*.mid"))


@pytest.fixture(scope="module")
def compose() -> ModuleType:
    """The script `samples/compose.py`."""
    spec = importlib.util.spec_from_file_location("compose", SAMPLES / "compose.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["compose"] = module
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_script_writes(
    compose: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "FOLDER", tmp_path / "corpus")
    compose.main()
    assert [path.name for path in FILES] == sorted(path.name for path in (tmp_path / "corpus").iterdir())
    for path in FILES:
        assert path.read_bytes() == (tmp_path / "corpus" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_piece_passes_the_gate_and_has_a_band(path: Path) -> None:
    score, warnings = midi.read_with_warnings(path)
    assert warnings == ()
    names = [track.name for track in score.tracks]
    assert {"drums", "bass"} <= set(names)
    assert len(names) >= 3
    bar = score.resolution * score.metres[0].numerator
    assert 16 <= round(score.n_ticks / bar) <= 32


def test_the_readme_names_every_file() -> None:
    text = (SAMPLES / "README.md").read_text(encoding="utf-8")
    for path in FILES:
        assert path.name in text or int(path.name[:2]) >= 7


@pytest.mark.parametrize(("name", "pitch"), [("C4", 60), ("F#4", 66), ("Bb3", 58), ("A0", 21)])
def test_pitches_are_read(compose: ModuleType, name: str, pitch: int) -> None:
    assert compose.parse_pitch(name) == pitch


@pytest.mark.parametrize(
    ("name", "chord"), [("C", (0, (0, 4, 7))), ("F#m", (6, (0, 3, 7))), ("Ebmaj7", (3, (0, 4, 7, 11)))]
)
def test_chords_are_read(compose: ModuleType, name: str, chord: tuple[int, tuple[int, ...]]) -> None:
    assert compose.parse_chord(name) == chord
