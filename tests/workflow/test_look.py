import builtins
from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.parametrize("library", ["torch", "torchaudio"])
@pytest.mark.parametrize("error", [ImportError("no lib\nmore"), OSError("wrong version"), AttributeError("gone")])
def test_the_doctor_survives_a_library_that_does_not_load(
    monkeypatch: pytest.MonkeyPatch, library: str, error: Exception
) -> None:
    real = builtins.__import__

    def broken(name: str, *rest: Any, **named: Any) -> Any:
        if name == library:
            raise error
        return real(name, *rest, **named)

    monkeypatch.setattr(look, "find_spec", lambda name: object())
    monkeypatch.setattr(builtins, "__import__", broken)
    found = look.doctor()[library]
    assert found == {"loads": False, "why": str(error).splitlines()[0]}
