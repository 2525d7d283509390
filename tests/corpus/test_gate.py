"""The gate takes regular files inside the corpus and names the reason for everything else."""

import os
import socket
from pathlib import Path

import pytest

from audiogan.corpus import gate, midi
from audiogan.corpus.limits import LIMITS, REASONS, refuse
from audiogan.corpus.names import clean_text, decode_text, escape, is_odd, safe_stem
from audiogan.corpus.score import Score
from audiogan.errors import CorpusError


def reason_of(path, **options) -> str:
    with pytest.raises(CorpusError) as caught:
        gate.open_checked(path, **options)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_a_regular_file_comes_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mid"
    path.write_bytes(b"MThd...")
    assert gate.open_checked(path) == b"MThd..."
    assert gate.open_checked(os.fsencode(path), root=tmp_path) == b"MThd..."


def test_missing_files_and_dangling_links(tmp_path: Path) -> None:
    (tmp_path / "dangling.mid").symlink_to(tmp_path / "nowhere.mid")
    assert reason_of(tmp_path / "no.mid") == "missing"
    assert reason_of(tmp_path / "dangling.mid") == "missing"
    (tmp_path / "file").write_bytes(b"x")
    assert reason_of(tmp_path / "file" / "below.mid") == "missing"


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.mid").symlink_to("loop.mid")
    assert reason_of(tmp_path / "loop.mid") == "symlink_loop"


def test_folders_pipes_devices_and_sockets_are_no_files(tmp_path: Path, monkeypatch) -> None:
    os.mkfifo(tmp_path / "pipe.mid")
    (tmp_path / "link.mid").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.mid")
        for name in ("pipe.mid", "link.mid", "socket.mid", "."):
            assert reason_of(tmp_path / name) == "not_a_file"
            # judged by its kind before its place
            assert reason_of(tmp_path / name, root=tmp_path) == "not_a_file"


def test_a_link_must_stay_inside_the_corpus(tmp_path: Path) -> None:
    outside, corpus = tmp_path / "secret.mid", tmp_path / "corpus"
    outside.write_bytes(b"MThd")
    corpus.mkdir()
    (corpus / "out.mid").symlink_to(outside)
    (corpus / "real.mid").write_bytes(b"MThd")
    (corpus / "in.mid").symlink_to("real.mid")
    assert reason_of(corpus / "out.mid", root=corpus) == "unsafe_path"
    assert reason_of(corpus / ".." / "secret.mid", root=corpus) == "unsafe_path"
    assert gate.open_checked(corpus / "in.mid", root=corpus) == b"MThd"
    assert gate.open_checked(corpus / "out.mid") == b"MThd"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "locked.mid").write_bytes(b"MThd")
    (tmp_path / "locked.mid").chmod(0)
    assert reason_of(tmp_path / "locked.mid") == "unreadable"


def test_size_is_checked_before_and_after_opening(tmp_path: Path) -> None:
    path = tmp_path / "a.mid"
    path.write_bytes(b"")
    assert reason_of(path) == "empty_file"
    path.write_bytes(b"x" * 101)
    assert reason_of(path, max_bytes=100) == "too_large"
    assert len(gate.open_checked(path, max_bytes=101)) == 101


def test_a_sparse_giant_is_refused_without_reading_it(tmp_path: Path) -> None:
    with (tmp_path / "giant.mid").open("wb") as file:
        file.truncate(1 << 40)
    assert reason_of(tmp_path / "giant.mid") == "too_large"


def test_names_that_cannot_exist(tmp_path: Path) -> None:
    assert reason_of(f"{tmp_path}/a\0b.mid") == "bad_name"
    assert reason_of(tmp_path / ("x" * 300)) == "bad_name"


ODD_NAMES = [
    "🎵.mid",
    "right\u202eleft.mid",
    "new\nline.mid",
    "-rf.mid",
    "x" * 251 + ".mid",
    "$(id);&|`'\".mid",
    "SONG.MID",
    "esc\x1b[31m.mid",
    "comma, space .mid",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_load_in_full_and_are_shown_in_one_line(name: str, tmp_path: Path, score: Score) -> None:
    midi.write(score, tmp_path / name)
    assert midi.read(tmp_path / name).n_notes == score.n_notes
    assert escape(name).isprintable()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_is_not_utf_8_loads(tmp_path: Path, score: Score) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.mid"
    midi.write(score, os.fsdecode(name))
    assert midi.read(name).n_notes == score.n_notes
    assert escape(name).endswith("caf\\xe9.mid")
    assert gate.name_warnings(name) == ("bad_name",)
    assert gate.name_warnings("plain.mid") == ()


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"MThd\0\0\0\6", "midi"),
        (b"RIFF\0\0\0\0RMIDdata", "midi"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio"),
        (b"fLaC", "audio"),
        (b"OggS", "audio"),
        (b"ID3\4", "audio"),
        (b"\xff\xfb\x90\0", "audio"),
        (b"\x93NUMPY\1\0", "rolls"),
        (b"PK\3\4", "rolls"),
        (b"PWAD\0\0\0\0", "wad"),
        (b"\x80\4\x95", "pickle"),
        (b"#!/bin/sh", "other"),
    ],
)
def test_kinds_follow_the_first_bytes_not_the_suffix(head: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(head)
    assert gate.sniff(tmp_path / "a.txt") == kind


def test_sniffing_refuses_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").write_bytes(b"")
    for name, reason in (("pipe", "not_a_file"), ("empty", "empty_file"), ("no", "missing")):
        with pytest.raises(CorpusError) as caught:
            gate.sniff(tmp_path / name)
        assert caught.value.reason == reason


def test_the_list_of_reasons_is_closed() -> None:
    assert len(REASONS) == 37
    with pytest.raises(AssertionError, match="unknown reason code odd"):
        refuse("odd", "x")
    assert LIMITS.table()["midi_bytes"] == 16_000_000


# ---------------------------------------------------------------------------------------------------------------- names


def test_escape_shows_every_hidden_character() -> None:
    assert escape("a\tb\u202ec\udcff\u2028") == "a\\x09b\\u202ec\\xff\\u2028"
    assert escape("naïve 🎵.mid") == "naïve 🎵.mid"
    assert escape(escape("a\x07")) == escape("a\x07")
    assert is_odd("a\x07")
    assert not is_odd("a")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../etc/passwd", "passwd"),
        ("--help", "help"),
        (".hidden", "hidden"),
        ("CON", "CON_"),
        ("con.mid", "con.mid_"),
        ("", "unnamed"),
        ("🎵", "unnamed"),
        ("a  b//c?d", "c_d"),
        ("x" * 300, "x" * 100),
    ],
)
def test_stems_are_safe(name: str, stem: str) -> None:
    assert safe_stem(name) == stem
    assert len(safe_stem(name).encode()) <= 101


def test_texts_are_decoded_without_fail() -> None:
    assert decode_text(b"caf\xc3\xa9") == decode_text(b"caf\xe9") == "café"
    assert decode_text(b"x" * 999) == "x" * 256
    assert clean_text("a\0\ud800") == "a?"
