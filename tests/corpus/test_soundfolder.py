import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from audiogan.corpus import audio, pitchtrack
from audiogan.corpus.notes import PEAK, level, pitch_of, without_lead
from audiogan.corpus.soundfolder import Ears, SoundFile, list_sounds, read_sound
from audiogan.errors import CorpusError, UnsupportedError

RATE = 16_000
EARS = Ears(RATE, 1.0)


def tone(hz: float, seconds: float = 0.8, decay: float = 0.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    sound = sum(np.sin(2 * np.pi * rank * hz * time) / rank for rank in range(1, 7))
    return 0.4 * sound * np.exp(-time * decay) * np.clip(time / 0.005, 0, 1) * np.clip((seconds - time) / 0.02, 0, 1)


def put(path: Path, sound: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(sound[None], RATE, path)
    return path


def by_name(folder: Path, **options: object) -> dict[str, SoundFile]:
    return {Path(sound.path).name: sound for sound in list_sounds(folder, **options)}  # type: ignore[arg-type]


def test_labels_come_from_names_and_folders(tmp_path: Path) -> None:
    for name in ("violin/A4.wav", "flute_C5.wav", "sub/deep/060.flac", "noise.wav", ".hidden_C4.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = by_name(tmp_path)
    assert {name: (sound.instrument, sound.pitch) for name, sound in found.items()} == {
        "A4.wav": ("violin", 69),
        "flute_C5.wav": ("flute", 72),
        "060.flac": ("sub-deep", 60),
        "noise.wav": ("sounds", None),
    }
    assert by_name(tmp_path, middle_c=3)["A4.wav"].pitch == 81


def test_links_out_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside" / "C4.wav", tone(261.6))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "C4.wav").symlink_to(outside)
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "in" / "loop.wav").symlink_to(tmp_path / "in" / "loop.wav")
    assert list_sounds(tmp_path / "in") == []


@pytest.mark.parametrize("name", ["notes.csv", "notes.json"])
def test_a_table_goes_before_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "a_C4.wav").write_bytes(b"x")
    (tmp_path / "b.wav").write_bytes(b"x")
    rows = {
        "a_C4.wav": {"pitch": 61.5, "velocity": 64, "instrument": "saw tooth"},
        "b.wav": {"pitch": "Bb3"},
        "../c.wav": {"pitch": 1},
    }
    if name.endswith("json"):
        (tmp_path / name).write_text(json.dumps(rows))
    else:
        lines = [
            f"{file},{row['pitch']},{row.get('velocity', '')},{row.get('instrument', '')}" for file, row in rows.items()
        ]
        (tmp_path / name).write_text("\n".join(["file,pitch,velocity,instrument", *lines]))
    found = by_name(tmp_path)
    assert (found["a_C4.wav"].pitch, found["a_C4.wav"].instrument) == (61.5, "saw_tooth")
    assert found["a_C4.wav"].velocity == pytest.approx(64 / 127)
    assert found["b.wav"].pitch == 58
    assert math.isnan(found["b.wav"].velocity)


@pytest.mark.parametrize(
    "text",
    [
        "name,pitch\na.wav,3",
        "file,pitch\na.wav,200",
        "file,pitch\na.wav,nan",
        "file,pitch\na.wav,high",
        "\xff\xfe",
        '"',
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    (tmp_path / "notes.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorpusError, match="expected") as caught:
        list_sounds(tmp_path)
    assert caught.value.reason == "bad_config"


def test_a_table_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        list_sounds(tmp_path, table="labels.csv")
    assert caught.value.reason == "missing"
    with pytest.raises(CorpusError, match="no such folder"):
        list_sounds(tmp_path / "none")


def test_a_note_is_levelled_and_its_lead_cut(tmp_path: Path) -> None:
    silence = np.zeros(RATE // 4)
    path = put(tmp_path / "A3.wav", np.concatenate([silence, 0.5 * tone(222.0, 0.5)]))
    ((note, _),) = read_sound(SoundFile(str(path), str(tmp_path), "saw", 57.0), EARS, "mine")
    assert note.waveform.shape == (RATE,)
    assert np.abs(note.waveform).max() == pytest.approx(PEAK)
    assert np.abs(note.waveform[: round(0.02 * RATE)]).max() > 0.1, "the note begins at once"
    assert note.gain == pytest.approx(0.5 * np.abs(tone(222.0, 0.5)).max() / PEAK, rel=0.01)
    assert note.pitch == pytest.approx(pitch_of(222.0), abs=0.02)
    assert (note.instrument, note.family) == ("mine/saw", "mine")
    untuned = read_sound(SoundFile(str(path), str(tmp_path), "saw", 57.0), EARS._replace(tune=False), "mine")
    assert untuned[0].note.pitch == 57.0


def test_a_link_to_the_folder_itself_lists_nothing_twice(tmp_path: Path) -> None:
    put(tmp_path / "C4.wav", tone(220))
    (tmp_path / "A").symlink_to(".")
    assert [Path(sound.path).relative_to(tmp_path).as_posix() for sound in list_sounds(tmp_path)] == ["C4.wav"]


@pytest.mark.parametrize("seconds", [1.0, 4.0])  # estimated as one note, and cut into several
def test_without_the_tracker_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setitem(sys.modules, "swift_f0", None)
    pitchtrack._detector.cache_clear()
    path = put(tmp_path / "x.wav", tone(220, seconds))
    with pytest.raises(UnsupportedError, match=r"pip install audiogan\[pitch\]$"):
        read_sound(SoundFile(str(path), str(tmp_path), "saw"), EARS, "mine")
    named = read_sound(SoundFile(str(path), str(tmp_path), "saw", 57.0), EARS, "mine")
    assert math.isnan(named[0].disagreement), "a named note needs no tracker"


def test_levels_and_leads() -> None:
    assert len(without_lead(np.zeros(50, np.float32), RATE)) == 50
    with pytest.raises(CorpusError, match="expected sound"):
        level(np.full(100, 0.7), 100, "x", silence=1e-3)
    kept, gain = level(np.array([0.2, -0.2]), 4, "x", silence=1e-3)
    assert kept.tolist() == pytest.approx([0.8, -0.8, 0, 0])
    assert gain == pytest.approx(0.25)
