import json
from pathlib import Path
from typing import Any

import pytest

from audiogan.corpus.nsynth import list_notes
from audiogan.errors import CorpusError

FACTS = {
    "pitch": 60,
    "velocity": 127,
    "instrument_str": "reed_acoustic_001",
    "instrument_family_str": "reed",
    "instrument_source_str": "acoustic",
}


def listing(folder: Path, entries: dict[str, Any]) -> Path:
    (folder / "examples.json").write_text(json.dumps(entries))
    return folder


def test_notes_are_listed_with_their_labels(tmp_path: Path) -> None:
    (sound,), refused = list_notes(listing(tmp_path, {"reed_acoustic_001-060-127": FACTS}))
    assert refused == []
    assert sound.path == str(tmp_path / "audio" / "reed_acoustic_001-060-127.wav")
    assert (sound.pitch, sound.velocity, sound.instrument) == (60.0, 1.0, "reed_acoustic_001")


def test_sources_and_families_are_chosen_by_name(tmp_path: Path) -> None:
    other = FACTS | {"instrument_family_str": "bass", "instrument_source_str": "synthetic"}
    listing(tmp_path, {"a": FACTS, "b": other})
    assert [Path(s.path).stem for s in list_notes(tmp_path, sources=["acoustic"])[0]] == ["a"]
    assert [Path(s.path).stem for s in list_notes(tmp_path, families=["bass"])[0]] == ["b"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("../../etc/passwd", {}),
        ("a/b", {}),
        ("", {}),
        ("x" * 300, {}),
        ("a", {"pitch": 128}),
        ("a", {"pitch": "60"}),
        ("a", {"pitch": True}),
        ("a", {"velocity": 0}),
        ("a", {"instrument_str": "../x"}),
        ("a", {"instrument_str": None}),
    ],
)
def test_entries_that_make_no_sense_are_refused(tmp_path: Path, name: str, change: dict[str, Any]) -> None:
    sounds, refused = list_notes(listing(tmp_path, {name: FACTS | change, "good": FACTS}))
    assert [Path(sound.path).stem for sound in sounds] == ["good"]
    assert [refusal.reason for refusal in refused] == ["bad_config"]


@pytest.mark.parametrize("text", ["", "[]", '{"a": NaN}', "{" * 100, '{"a": {}, "a": {}}'])
def test_a_broken_listing_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "examples.json").write_text(text)
    with pytest.raises(CorpusError):
        list_notes(tmp_path)


def test_a_missing_listing_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"examples\.json"):
        list_notes(tmp_path)
