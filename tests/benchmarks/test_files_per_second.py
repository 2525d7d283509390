"""The file benchmark counts what loads; what it measures is for quiet machines."""

from pathlib import Path

import pytest

from tests.benchmarks.files_per_second import measure

SAMPLES = Path(__file__).parents[2] / "samples" / "corpus"


def test_only_files_that_load_count(tmp_path: Path) -> None:
    for path in sorted(SAMPLES.glob("*.mid"))[:3]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "broken.mid").write_bytes(b"MThd")
    found = measure(tmp_path, n_turns=1)
    assert found["files"] == 3
    assert found["gate"] > 0
    assert found["gate_and_reader"] > 0


def test_a_folder_without_songs_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no MIDI file that loads"):
        measure(tmp_path, n_turns=1)
