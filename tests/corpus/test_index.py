"""A corpus is listed once, in one order, without doubles, and bad files change nothing for the good ones."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from audiogan.corpus import midi, reading
from audiogan.corpus.identity import content_hashes, split_of
from audiogan.corpus.index import Index, inspect_file, read_index, read_song, scan, scan_all
from audiogan.corpus.reading import Job, read_files
from audiogan.corpus.score import Note, Notes, Score, Track
from audiogan.corpus.smf import as_written, encode
from audiogan.errors import CorpusError


def song(seed: int, *, transpose: int = 0, velocity: int = 90) -> Score:
    rng = np.random.default_rng(seed)
    pitched = [
        Note(240 * step, 240 * step + 200, int(rng.integers(50, 70)) + transpose, velocity) for step in range(16)
    ]
    drums = [Note(480 * step, 480 * step + 60, int(rng.integers(35, 50)), velocity) for step in range(8)]
    return Score(480, (Track(Notes.from_list(pitched), 5), Track(Notes.from_list(drums), is_drum=True)))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    (folder / "b").mkdir(parents=True)
    for seed in range(6):
        midi.write(song(seed), folder / ("b" if seed % 2 else ".") / f"{seed}.mid")
    return folder


def names(index: Index) -> list[str]:
    return [entry.path.name for entry in index.entries]


def test_songs_are_listed_in_the_order_of_their_bytes(corpus: Path) -> None:
    index = scan(corpus, licence="CC0-1.0", origin="made here", jobs=1)
    assert names(index) == ["0.mid", "2.mid", "4.mid", "1.mid", "3.mid", "5.mid"]
    first = index.entries[0]
    assert (first.licence, first.origin, first.kind, first.n_notes) == ("CC0-1.0", "made here", "midi", 24)
    assert read_song(first) == as_written(song(0))
    assert scan(corpus, licence="CC0-1.0", origin="made here", jobs=1) == index


def test_workers_give_the_same_list(corpus: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert scan(corpus, jobs=2, progress=lambda done, total: seen.append((done, total))) == scan(corpus, jobs=1)
    assert seen == [(done, 6) for done in range(1, 7)]


def test_equal_bytes_notes_and_transpositions_are_one_song(corpus: Path) -> None:
    (corpus / "z1.mid").write_bytes((corpus / "0.mid").read_bytes())
    midi.write(song(0, velocity=30), corpus / "z2.mid", text="another text")
    midi.write(song(0, transpose=4), corpus / "z3.mid")
    index = scan(corpus, jobs=1)
    assert len(index.entries) == 6
    found = [(twin.path.name, twin.first.name, twin.by) for twin in index.duplicates]
    assert found == [("z1.mid", "0.mid", "bytes"), ("z2.mid", "0.mid", "notes"), ("z3.mid", "0.mid", "transposed")]
    assert index.summary()["duplicates"] == {"bytes": 1, "notes": 1, "transposed": 1}


def test_drums_are_not_transposed_and_other_notes_are_another_song() -> None:
    drums, other = song(0), song(1)
    moved = drums.with_tracks(
        (
            drums.tracks[0],
            dataclasses.replace(
                drums.tracks[1], notes=dataclasses.replace(drums.tracks[1].notes, pitch=drums.tracks[1].notes.pitch + 1)
            ),
        )
    )
    assert len({content_hashes(one)[1] for one in (drums, moved, other)}) == 3
    assert content_hashes(drums)[1] == content_hashes(song(0, transpose=-3))[1]
    assert content_hashes(drums)[0] != content_hashes(song(0, transpose=-3))[0]
    assert content_hashes(Score(480, ()))[0] == content_hashes(Score(96, ()))[0]


def test_the_hash_does_not_depend_on_resolution_track_order_or_silence_in_front() -> None:
    one = song(0)
    late = one.with_tracks(
        tuple(
            dataclasses.replace(
                t, notes=Notes(t.notes.onset + 960, t.notes.offset + 960, t.notes.pitch, t.notes.velocity)
            )
            for t in reversed(one.tracks)
        )
    )
    halved = Score(240, one.tracks).with_tracks(
        tuple(
            dataclasses.replace(
                t, notes=Notes(t.notes.onset // 2, t.notes.offset // 2, t.notes.pitch, t.notes.velocity)
            )
            for t in one.tracks
        )
    )
    assert content_hashes(one) == content_hashes(late) == content_hashes(halved)


def test_the_split_follows_from_the_hash_alone(corpus: Path) -> None:
    index = scan(corpus, valid_fraction=0.4, test_fraction=0.3, jobs=1)
    for entry in index.entries:
        assert entry.split == split_of(entry.transposed, 0.4, 0.3)
    assert split_of("0" * 64, 0.1) == "valid"
    assert split_of("0" * 64, 0.1, 0.1) == "test"
    assert split_of("f" * 64, 0.5, 0.4) == "train"


def test_there_is_a_valid_song_as_soon_as_there_are_two(corpus: Path) -> None:
    splits = [entry.split for entry in scan(corpus, valid_fraction=1e-9, jobs=1).entries]
    assert (splits.count("valid"), splits.count("train")) == (1, 5)
    assert {entry.split for entry in scan(corpus, valid_fraction=0.0, jobs=1).entries} == {"train"}


def _spoil(corpus: Path, outside: Path) -> None:
    (corpus / "aaa.mid").write_bytes(b"")
    (corpus / "bad.mid").write_bytes(encode(song(0))[:30])
    (corpus / "text.mid").write_bytes(b"no song")
    (corpus / "._0.mid").write_bytes(b"\0\5\x16\7")
    (corpus / ".hidden.mid").write_bytes(encode(song(99)))
    (corpus / "README").write_bytes(b"words")
    (corpus / "cover.png").write_bytes(b"\x89PNG")
    (corpus / "code.npz").write_bytes(b"\x80\4\x95")
    (corpus / "dangling.mid").symlink_to("nowhere.mid")
    (corpus / "self.mid").symlink_to("self.mid")
    (corpus / "out.mid").symlink_to(outside)
    (corpus / "etc").symlink_to("/etc")
    (corpus / "b" / "up").symlink_to("..")
    (corpus / "zlink.mid").symlink_to("0.mid")
    os.mkfifo(corpus / "pipe.mid")
    os.mkfifo(corpus / "pipe")
    (corpus / "folder.mid").mkdir()


def test_bad_files_are_named_and_change_nothing(corpus: Path, tmp_path: Path) -> None:
    alone = scan(corpus, jobs=1)
    outside = tmp_path / "outside.mid"
    midi.write(song(50), outside)
    _spoil(corpus, outside)
    index = scan(corpus, jobs=1)
    assert index.entries == alone.entries
    assert {refusal.path.name: refusal.reason for refusal in index.refused} == {
        "._0.mid": "not_midi",
        "aaa.mid": "empty_file",
        "bad.mid": "truncated",
        "code.npz": "unsafe_pickle",
        "dangling.mid": "missing",
        "etc": "unsafe_path",
        "out.mid": "unsafe_path",
        "pipe.mid": "not_a_file",
        "self.mid": "symlink_loop",
        "text.mid": "not_midi",
    }
    assert index.duplicates == ()
    summary = index.summary()
    assert summary["refused"]["unsafe_path"]["count"] == 2
    assert len(summary["refused"]["not_midi"]["first"]) == 2


def test_a_midi_file_without_a_suffix_is_found(corpus: Path) -> None:
    (corpus / "0.mid").rename(corpus / "0")
    assert "0" in names(scan(corpus, jobs=1))


def test_several_places_keep_their_licence_and_the_first_of_equals(corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    midi.write(song(0), other / "again.mid")
    midi.write(song(7), other / "new.mid")
    index = scan_all([(corpus, "CC0-1.0", "here"), (other, "GPL-2.0", "there")], jobs=1)
    assert index.summary()["licences"] == {"CC0-1.0": 6, "GPL-2.0": 1}
    assert [twin.path.name for twin in index.duplicates] == ["again.mid"]
    assert names(scan([corpus, other], jobs=1)) == names(index)
    assert names(scan(other / "new.mid", jobs=1)) == ["new.mid"]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="expected a folder of songs") as caught:
        scan(tmp_path / "no", jobs=1)
    assert caught.value.reason == "missing"


# ---------------------------------------------------------------------------------------------------------------- index


def test_index_survives_its_file(corpus: Path, tmp_path: Path) -> None:
    (corpus / "bad.mid").write_bytes(b"x")
    (corpus / "twin.mid").write_bytes((corpus / "0.mid").read_bytes())
    midi.write(song(60), os.fsdecode(os.fsencode(corpus) + b"/caf\xe9.mid"))
    index = scan(corpus, jobs=1)
    index.write(tmp_path / "index.jsonl")
    assert read_index(tmp_path / "index.jsonl") == index
    assert any("bad_name" in entry.warnings for entry in index.entries)
    assert all(json.loads(line) for line in (tmp_path / "index.jsonl").read_text("ascii").splitlines())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: ['{"index": 99, "songs": 0}'], "bad_config"),
        (lambda lines: lines[:-1], "truncated"),
        (lambda lines: [*lines, '{"entry": {"path": "x"}}'], "bad_config"),
        (lambda lines: [*lines, '{"other": {}}'], "bad_config"),
        (lambda lines: [*lines, "[1]"], "bad_config"),
        (lambda lines: [*lines, '{"entry": NaN}'], "bad_config"),
        (lambda lines: [*lines, "[" * 100_000], "bad_config"),
    ],
)
def test_a_damaged_index_is_refused(corpus: Path, tmp_path: Path, change, reason: str) -> None:
    path = tmp_path / "index.jsonl"
    scan(corpus, jobs=1).write(path)
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(CorpusError) as caught:
        read_index(path)
    assert caught.value.reason == reason


# -------------------------------------------------------------------------------------------------------------- workers


def _die(jobs):
    if any("killer" in job.path for job in jobs):
        os.kill(os.getpid(), signal.SIGKILL)
    return [reading.examine(job) for job in jobs]


def test_a_file_that_kills_its_worker_is_refused_and_the_rest_is_read(corpus: Path, monkeypatch) -> None:
    monkeypatch.setattr(reading, "_examine_timed", _die)
    monkeypatch.setattr(reading, "get_context", lambda kind: reading.__dict__["_fork"]())
    monkeypatch.setitem(reading.__dict__, "_fork", lambda: __import__("multiprocessing").get_context("fork"))
    midi.write(song(70), corpus / "killer.mid")
    index = scan(corpus, jobs=2)
    assert len(index.entries) == 6
    assert [(refusal.path.name, refusal.reason) for refusal in index.refused] == [("killer.mid", "corrupt")]
    assert "the reading process died on it" in index.refused[0].message


def test_without_workers_files_are_read_in_this_process(corpus: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(reading, "_can_start", lambda pool: False)
    assert len(read_files([Job(os.fspath(corpus / "0.mid"), "midi", "")], n_processes=2)) == 1


def test_running_out_of_memory_is_a_refusal(corpus: Path, monkeypatch) -> None:
    def starve(*_):
        raise MemoryError

    monkeypatch.setattr(reading, "_decode", starve)
    (found,) = reading.examine(Job(os.fspath(corpus / "0.mid"), "midi", ""))
    assert (found.reason, found.sha256) == ("decompression_bomb", "")


# -------------------------------------------------------------------------------------------------------------- inspect


def test_inspecting_one_file(corpus: Path) -> None:
    assert inspect_file(corpus / "0.mid") == {
        "status": "ok",
        "reason": None,
        "warnings": [],
        "kind": "midi",
        "notes": 24,
        "seconds": 3.958,
    }
    (corpus / "0.mid").write_bytes(b"RIFF....WAVE")
    found = inspect_file(corpus / "0.mid")
    assert (found["status"], found["reason"], found["kind"], found["notes"]) == ("skip", "not_midi", "audio", 0)
    assert inspect_file(corpus / "no.mid")["reason"] == "missing"


def test_inspecting_a_folder_lists_every_song(corpus: Path) -> None:
    (corpus / "bad.mid").write_bytes(b"")
    found = inspect_file(corpus)
    assert found["counts"] == {"empty_file": 1, "ok": 6}
    assert [file["status"] for file in found["files"]].count("skip") == 1
    assert all(file["path"].startswith(str(corpus)) for file in found["files"])


def test_strict_turns_a_warning_into_a_refusal(corpus: Path) -> None:
    path = corpus / "0.mid"
    path.write_bytes(path.read_bytes() + b"<html></html>")
    assert inspect_file(path)["warnings"] == ["bad_header"]
    assert inspect_file(path, strict=True)["reason"] == "bad_header"
