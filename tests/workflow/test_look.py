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


def test_inspect_tells_what_a_sound_holds(tone: Path) -> None:
    found = look.inspect(tone)
    assert (found["status"], found["reason"], found["kind"], found["seconds"]) == ("ok", None, "audio", 0.5)
    assert (found["sample_rate"], found["channels"], found["warnings"]) == (16000, 1, [])


@pytest.mark.parametrize(("data", "reason"), [(b"", "empty_file"), (b"no sound", "not_audio"), (None, "missing")])
def test_inspect_tells_why_a_sound_is_refused(tmp_path: Path, data: bytes | None, reason: str) -> None:
    path = tmp_path / "bad.wav"
    if data is not None:
        path.write_bytes(data)
    found = look.inspect(path)
    assert (found["status"], found["reason"], found["kind"]) == ("skip", reason, "audio")


def test_content_decides_what_a_file_is(tone: Path, clip: Path) -> None:
    assert look.inspect(tone.rename(tone.with_suffix(".data")))["status"] == "ok"
    assert look.inspect(clip.rename(clip.with_suffix(".wav")))["kind"] == "midi"
    named_midi = tone.with_suffix(".data").rename(tone.with_suffix(".mid"))
    assert look.inspect(named_midi)["reason"] == "not_midi"


def test_inspect_goes_through_a_folder_of_songs_and_sounds(tone: Path, clip: Path) -> None:
    (tone.parent / ".hidden.wav").write_bytes(b"")
    (tone.parent / "bad.flac").write_bytes(b"")
    (tone.parent / "out.wav").symlink_to("/dev/null")
    found = look.inspect(tone.parent)
    assert [(Path(file["path"]).name, file["reason"]) for file in found["files"]] == [
        ("bad.flac", "empty_file"),
        ("my clip.mid", None),
        ("out.wav", "not_a_file"),
        ("tone_A4.wav", None),
    ]
    assert found["counts"] == {"empty_file": 1, "not_a_file": 1, "ok": 2}


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


def test_a_refusal_says_which_file_and_what_was_expected(tmp_path: Path, tone: Path) -> None:
    written = {"a.mid": b"text", "b.wav": b"text", "c.mid": b"", "d.wav": tone.read_bytes()[:44], "e.wad": b"PWAD"}
    for name, data in written.items():
        (tmp_path / name).write_bytes(data)
    for name in (*written, "gone.mid", "gone.wav"):
        found = look.inspect(tmp_path / name)
        assert found["status"] == "skip"
        assert found["message"].startswith(f"{tmp_path / name}: ")
        assert "; expected" in found["message"]
    assert "message" not in look.inspect(tone)


def test_a_warning_is_the_reason_where_none_is_taken(tmp_path: Path, tone: Path) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(tone.read_bytes()[:-200])
    found = look.inspect(cut, strict=True)
    assert found["message"] == f"{cut}: ends before its own declarations do; expected a file without such a warning"


def test_a_song_named_like_a_sound_is_listed_once(clip: Path) -> None:
    clip.rename(clip.with_suffix(".wav"))
    found = look.inspect(clip.parent)
    assert [(file["kind"], file["status"]) for file in found["files"]] == [("midi", "ok")]
