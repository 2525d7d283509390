import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from audiogan.corpus import audio
from audiogan.corpus.notes import hz_of
from audiogan.corpus.soundfolder import list_sounds
from audiogan.corpus.tuning import measure_tuning

SAMPLES = Path(__file__).parents[2] / "samples"
NOTES = SAMPLES / "corpus" / "notes"


@pytest.fixture(scope="module")
def compose_notes() -> ModuleType:
    """The script `samples/compose_notes.py`."""
    spec = importlib.util.spec_from_file_location("compose_notes", SAMPLES / "compose_notes.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["compose_notes"] = module
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_script_writes(
    compose_notes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose_notes, "FOLDER", tmp_path)
    compose_notes.main()
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.wav")}
    assert written == {path.relative_to(NOTES).as_posix() for path in NOTES.rglob("*.wav")}
    for name in written:  # libraries of mathematics differ in the last bit
        ours, shipped = (audio.read(folder / name).waveform for folder in (tmp_path, NOTES))
        assert abs(ours - shipped).max() <= 2 / 32768, name


def test_notes_are_few_small_and_in_tune() -> None:
    sounds = list_sounds(NOTES)
    assert len(sounds) == 45
    assert sum(Path(sound.path).stat().st_size for sound in sounds) < 1_500_000
    for sound in sounds:
        assert sound.pitch is not None
        found = audio.read(sound.path)
        measured = measure_tuning(found.waveform, found.sample_rate, hz_of(sound.pitch))
        assert measured is not None, sound.path
        assert abs(measured[0]) < 20, sound.path
