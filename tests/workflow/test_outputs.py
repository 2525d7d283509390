import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from audiogan.corpus.files import write_whole
from audiogan.corpus.score import Metre, Note, Notes, Score, Tempo, Track
from audiogan.errors import CorpusError, OutputError, UsageError
from audiogan.version import __version__
from audiogan.workflow import outputs
from audiogan.workflow.outputs import (
    STAGING,
    OutputFolder,
    Refusal,
    Result,
    describe,
    n_bars,
    options,
    seconds,
    staging,
    write_json,
)


def text(content: str) -> Callable[[Path], None]:
    return lambda path: write_whole(path, content.encode())


def manifest(folder: Path) -> dict[str, object]:
    return json.loads((folder / "manifest.json").read_text())


def test_the_manifest_says_what_each_file_is(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", {"command": "test", "seed": 7}) as folder:
        folder.add("a.txt", text("one"), bars=4)
        folder.refuse(Path("bad\x1b.mid"), CorpusError("bad.mid: text; expected MIDI", "not_midi"))
    found = manifest(tmp_path / "out")
    assert found["audiogan"] == __version__
    assert (found["command"], found["seed"]) == ("test", 7)
    assert found["files"] == [{"file": "a.txt", "sha256": hashlib.sha256(b"one").hexdigest(), "bars": 4}]
    assert found["refused"] == [
        {"file": "bad\\x1b.mid", "reason": "not_midi", "message": "bad.mid: text; expected MIDI"}
    ]


def test_an_earlier_result_is_not_touched(tmp_path: Path) -> None:
    with OutputFolder(tmp_path, {}) as folder:
        folder.add("a.txt", text("one"))
    with pytest.raises(OutputError, match="--overwrite") as caught, OutputFolder(tmp_path, {}) as folder:
        folder.add("a.txt", text("two"))
    assert (caught.value.exit_code, caught.value.reason) == (73, "exists")
    assert (tmp_path / "a.txt").read_text() == "one"


def test_a_stray_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"a\.txt exists already"), OutputFolder(tmp_path, {}) as folder:
        folder.add("a.txt", text("two"))
    assert (tmp_path / "a.txt").read_text() == "mine"


def test_overwrite_replaces(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with OutputFolder(tmp_path, {}, overwrite=True) as folder:
            folder.add("a.txt", text(content))
    assert (tmp_path / "a.txt").read_text() == "two"


def test_overwrite_removes_what_the_earlier_result_had_more(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with OutputFolder(out, {}) as folder:
        for name in ("a.txt", "b.txt"):
            folder.add(name, text("one"))
    (out / "mine.txt").write_text("not in the manifest")
    with OutputFolder(out, {}, overwrite=True) as folder:
        folder.add("a.txt", text("two"))
    assert sorted(path.name for path in out.iterdir()) == ["a.txt", "manifest.json", "mine.txt"]


def test_a_failed_overwrite_removes_nothing(tmp_path: Path) -> None:
    with OutputFolder(tmp_path, {}) as folder:
        folder.add("a.txt", text("one"))
    with pytest.raises(KeyboardInterrupt), OutputFolder(tmp_path, {}, overwrite=True):
        raise KeyboardInterrupt
    with OutputFolder(tmp_path, {}, overwrite=True):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "manifest.json"]


@pytest.mark.parametrize(
    "stored",
    ['{"files": [{"file": "../mine.txt"}, {"file": "sub/x"}, {"file": ".."}, {"file": "sub"}, {"file": 3}, 4]}',
     '{"files": [{"file": "MINE"}]}', '{"files": 3}', "[", "[1]", '{"files": [{"file": "a\\u0000b"}]}'],
)  # fmt: skip
def test_overwrite_never_leaves_the_folder(tmp_path: Path, stored: str) -> None:
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    for mine in (tmp_path / "mine.txt", out / "sub" / "x"):
        mine.write_text("mine")
    (out / "manifest.json").write_text(stored.replace("MINE", str(tmp_path / "mine.txt")))
    with OutputFolder(out, {}, overwrite=True) as folder:
        folder.add("a.txt", text("new"))
    assert (tmp_path / "mine.txt").exists()
    assert (out / "sub" / "x").exists()
    assert manifest(out)["files"]


def test_an_interrupted_verb_leaves_whole_files_and_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), OutputFolder(tmp_path, {}) as folder:
        folder.add("a.txt", text("one"))
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_nothing_made_means_no_manifest_and_no_folder(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", {}):
        pass
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"), OutputFolder(tmp_path / "file" / "out", {}):
        pass


@pytest.mark.parametrize(("n_files", "n_refused", "code"), [(1, 0, 0), (1, 1, 5), (0, 1, 3), (0, 0, 0)])
def test_exit_codes(n_files: int, n_refused: int, code: int) -> None:
    refused = (Refusal("a", "not_midi", "no"),) * n_refused
    assert Result(Path("x"), ({"file": "a"},) * n_files, refused).exit_code == code


def test_nan_never_reaches_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


def test_describe_counts_bars_and_seconds(score: Score) -> None:
    facts = describe(score)
    assert (facts["bars"], facts["qpm"]) == (2, 100.0)
    assert facts["seconds"] == pytest.approx((8 - 20 / 480) * 0.6, abs=0.001)
    assert [(track["name"], track["notes"]) for track in facts["tracks"]] == [("drums", 8), ("bass", 2), ("piano", 6)]


def test_bars_follow_the_metre() -> None:
    track = Track(Notes.from_list([Note(0, 480 * 10, 60, 100)]))
    assert n_bars(Score(480, (track,))) == 3
    assert n_bars(Score(480, (track,), metres=(Metre(0, 4, 4), Metre(1920, 3, 4)))) == 3
    assert n_bars(Score(480, (track,), metres=(Metre(0, 4, 4), Metre(480 * 40, 3, 4)))) == 3
    assert n_bars(Score(480, ())) == 0


def test_seconds_follow_the_tempo() -> None:
    changing = Score(480, (), (Tempo(0, 60.0), Tempo(480, 120.0)))
    assert seconds(changing, 480) == pytest.approx(1.0)
    assert seconds(changing, 1440) == pytest.approx(2.0)


def test_options_leave_out_what_was_not_set() -> None:
    assert options({"a": 1, "b": None, "c": 0}) == {"a": 1, "c": 0}


def test_a_refusal_leaves_no_empty_folder_of_ours(tmp_path: Path) -> None:
    own, theirs = tmp_path / "new", tmp_path / "old"
    theirs.mkdir()
    for path in (own, theirs):
        with pytest.raises(UsageError), OutputFolder(path, {}):
            raise UsageError("no")
    assert not own.exists()
    assert theirs.is_dir()


def test_a_folder_of_files_is_taken_in(tmp_path: Path) -> None:
    for name, sample in (("a", "one.wav"), ("b", "two.wav")):
        staged = tmp_path / name
        (staged / "samples").mkdir(parents=True)
        (staged / "x.sfz").write_text(name)
        (staged / "samples" / sample).write_text(name)
        with OutputFolder(tmp_path / "out", {}, overwrite=True) as folder:
            folder.take_in(staged)
    found = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(found) == ["manifest.json", "samples/two.wav", "x.sfz"], "what was ours before is gone"
    assert [file["file"] for file in json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]] == [
        "samples/two.wav",
        "x.sfz",
    ]


def test_nothing_is_taken_in_where_one_name_is_taken(tmp_path: Path) -> None:
    (tmp_path / "staged").mkdir()
    (tmp_path / "out").mkdir()
    for name in ("a", "b"):
        (tmp_path / "staged" / name).write_text("new")
    (tmp_path / "out" / "b").write_text("mine")
    with pytest.raises(OutputError, match="exists"), OutputFolder(tmp_path / "out", {}) as folder:
        folder.take_in(tmp_path / "staged")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]


def test_a_file_in_a_folder_inside_goes_only_with_the_content_we_wrote(tmp_path: Path) -> None:
    with OutputFolder(tmp_path, {}) as folder:
        (tmp_path / "sub").mkdir()
        for name in ("sub/a", "sub/b"):
            folder.add(name, text("one"))
    (tmp_path / "sub" / "b").write_text("changed by the user")
    with OutputFolder(tmp_path, {}, overwrite=True) as folder:
        folder.add("c", text("two"))
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["b"]


def test_the_manifest_of_one_file_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("another's")
    with OutputFolder(tmp_path, {"seed": 1}, manifest="a.wav.json", claims=("a.wav",)) as folder:
        folder.add("a.wav", text("one"))
    assert json.loads((tmp_path / "a.wav.json").read_text())["seed"] == 1
    assert (tmp_path / "manifest.json").read_text() == "another's"
    with (
        pytest.raises(OutputError, match=r"a\.wav exists"),
        OutputFolder(tmp_path, {}, manifest="b.json", claims=("a.wav",)),
    ):
        pass


def test_staging_is_gone_however_it_ends(tmp_path: Path) -> None:
    with staging(tmp_path) as folder:
        (folder / "a").write_text("a")
    with pytest.raises(KeyboardInterrupt), staging(tmp_path) as folder:
        (folder / "a").write_text("a")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_staging_leaves_those_at_work_and_what_is_not_its_own(tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    (others / "mine.txt").write_text("mine")
    (tmp_path / f"{STAGING}link").symlink_to(others)
    with staging(tmp_path) as first:
        (first / "a").write_text("a")
        with staging(tmp_path) as second:
            assert second != first
            assert (first / "a").read_text() == "a"
    assert (others / "mine.txt").read_text() == "mine"


def test_staging_taken_for_a_leftover_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = outputs._stage, []

    def lose_the_first(folder: Path) -> Path:
        made.append(make(folder))
        if len(made) == 1:
            made[0].rmdir()  # as another process would that begins at the same moment
        return made[-1]

    monkeypatch.setattr(outputs, "_stage", lose_the_first)
    with staging(tmp_path) as folder:
        assert folder.is_dir() and folder == made[1]
    assert not folder.exists()


def test_staging_in_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="gone.*expected a writable folder"), staging(tmp_path / "gone"):
        pass
