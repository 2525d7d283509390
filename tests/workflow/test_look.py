from pathlib import Path

from audiogan.corpus.limits import LIMITS
from audiogan.version import __version__
from audiogan.workflow import look


def test_the_doctor_tells_versions_devices_and_limits() -> None:
    found = look.doctor()
    assert found["audiogan"] == __version__
    assert found["libraries"]["torch"]
    assert found["torch"]["device"] in {"cpu", "cuda:0"}
    assert found["limits"] == LIMITS.table()
    assert "multitrack" in found["pipelines"]
    assert "multitrack/smoke" in found["recipes"]
    assert isinstance(found["torchaudio"]["loads"], bool)


def test_a_library_that_is_missing_has_no_version() -> None:
    assert look._version("surely-not-installed-anywhere") is None


def test_inspect_tells_what_a_clip_holds(clip: Path) -> None:
    found = look.inspect(clip)
    assert (found["status"], found["reason"], found["kind"], found["notes"]) == ("ok", None, "midi", 16)


def test_inspect_tells_why_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.mid"
    path.write_bytes(b"")
    found = look.inspect(path)
    assert (found["status"], found["reason"]) == ("skip", "empty_file")
