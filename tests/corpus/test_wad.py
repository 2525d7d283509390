"""Songs come out of a WAD file, and nothing outside the file is ever read."""

import struct
from pathlib import Path

import pytest

from audiogan.corpus import midi, wad
from audiogan.corpus.index import inspect_file, read_song, scan
from audiogan.corpus.score import Score
from audiogan.corpus.smf import as_written, encode
from audiogan.errors import CorpusError


def make_wad(lumps: list[tuple[bytes, bytes]], magic: bytes = b"PWAD") -> bytes:
    body, entries = b"", b""
    for name, content in lumps:
        entries += struct.pack("<ii8s", 12 + len(body), len(content), name)
        body += content
    return magic + struct.pack("<ii", len(lumps), 12 + len(body)) + body + entries


@pytest.fixture
def songs(score_of) -> list[Score]:
    return [score_of(2, 0), score_of(3, 1)]


@pytest.fixture
def path(tmp_path: Path, songs: list[Score]) -> Path:
    first, second = (encode(song) for song in songs)
    lumps = [(b"MAP01", b""), (b"D_E1M1", first), (b"D_RUNNIN", b"MUS\x1a" + b"\0" * 20), (b"D_E1M2", second)]
    path = tmp_path / "game.wad"
    path.write_bytes(make_wad(lumps))
    return path


def test_only_midi_lumps_are_songs(path: Path, songs: list[Score]) -> None:
    found = wad.read_songs(path)
    assert [lump.name for lump in found] == ["D_E1M1", "D_E1M2"]
    assert [midi.parse(lump.data)[0] for lump in found] == [as_written(song) for song in songs]
    assert wad.read_song(path, "D_E1M2") == found[1].data


def test_a_scan_lists_the_songs_and_reads_them_again(path: Path, songs: list[Score]) -> None:
    index = scan(path.parent, jobs=1)
    assert [entry.path.name for entry in index.entries] == ["game.wad#D_E1M1", "game.wad#D_E1M2"]
    assert [read_song(entry) for entry in index.entries] == [as_written(song) for song in songs]


def test_inspecting_a_wad_names_each_song(path: Path) -> None:
    found = inspect_file(path)
    assert [file["path"].rpartition("/")[2] for file in found["files"]] == ["game.wad#D_E1M1", "game.wad#D_E1M2"]
    assert found["counts"] == {"ok": 2}


def test_a_song_with_a_foreign_name_gets_a_plain_one_and_twins_get_numbers(tmp_path: Path, songs: list[Score]) -> None:
    data = encode(songs[0])
    (tmp_path / "a.wad").write_bytes(make_wad([(b"../#\xff", data), (b"TWIN", data), (b"TWIN", data)]))
    assert [lump.name for lump in wad.read_songs(tmp_path / "a.wad")] == ["____" + "_", "TWIN", "TWIN-2"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"PWAD", "bad_header"),
        (b"ZWAD" + bytes(8), "bad_header"),
        (b"PWAD" + struct.pack("<ii", -1, 12), "bad_header"),
        (b"PWAD" + struct.pack("<ii", 1, -5), "bad_header"),
        (b"PWAD" + struct.pack("<ii", 3, 12), "truncated"),
        (b"PWAD" + struct.pack("<ii", 2**31 - 1, 12), "too_large"),
        (b"PWAD" + struct.pack("<ii", 0, 12), "no_notes"),
        (make_wad([(b"A", b"MUS\x1a")]), "no_notes"),
        (b"PWAD" + struct.pack("<ii", 1, 12) + struct.pack("<ii8s", 2**31 - 1, 100, b"OUT"), "no_notes"),
        (b"PWAD" + struct.pack("<ii", 1, 12) + struct.pack("<ii8s", -8, 100, b"OUT"), "no_notes"),
        (b"PWAD" + struct.pack("<ii", 1, 12) + struct.pack("<ii8s", 0, -1, b"OUT"), "no_notes"),
    ],
)
def test_directories_that_lie_are_refused(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.wad").write_bytes(data)
    with pytest.raises(CorpusError) as caught:
        wad.read_songs(tmp_path / "a.wad")
    assert caught.value.reason == reason


def test_overlapping_lumps_cannot_multiply_the_file(tmp_path: Path) -> None:
    song = b"MThd" + b"\0" * 96
    entries = struct.pack("<ii8s", 12, len(song), b"SAME") * 50
    (tmp_path / "a.wad").write_bytes(b"PWAD" + struct.pack("<ii", 50, 12 + len(song)) + song + entries)
    with pytest.raises(CorpusError, match="lumps add up to more than the file"):
        wad.read_songs(tmp_path / "a.wad")


def test_a_broken_song_does_not_hide_the_others(tmp_path: Path, songs: list[Score]) -> None:
    data = encode(songs[0])
    (tmp_path / "a.wad").write_bytes(make_wad([(b"BAD", data[:40]), (b"GOOD", data)]))
    index = scan(tmp_path, jobs=1)
    assert [entry.path.name for entry in index.entries] == ["a.wad#GOOD"]
    assert [(refusal.path.name, refusal.reason) for refusal in index.refused] == [("a.wad#BAD", "truncated")]


def test_a_lump_that_is_gone_is_missing(path: Path) -> None:
    with pytest.raises(CorpusError, match="no such MIDI lump") as caught:
        wad.read_song(path, "D_E9M9")
    assert caught.value.reason == "missing"
