"""Pianorolls of others become scores; arrays that lie, balloon or carry code are refused by name."""

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csc_matrix

from audiogan.corpus import rolls
from audiogan.corpus.arrays import Archive, map_array, parse_array
from audiogan.corpus.index import inspect_file, read_song, scan
from audiogan.corpus.limits import Limits
from audiogan.corpus.score import Metre, Note, Tempo
from audiogan.corpus.strict_json import parse_json
from audiogan.errors import CorpusError

INFO = {
    "0": {"is_drum": True, "program": 0, "name": "Drums"},
    "1": {"is_drum": False, "program": 33, "name": "Bass"},
    "beat_resolution": 24,
    "name": "song",
}


def npy(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def lpd_members(tracks: list[np.ndarray], info: dict | None = None) -> dict[str, bytes]:
    n_steps = len(tracks[0])
    members = {
        "tempo.npy": npy(np.where(np.arange(n_steps) < 96, 120.0, 90.0)),
        "downbeat.npy": npy(np.arange(n_steps) % 96 == 0),
        "info.json": json.dumps(INFO if info is None else info).encode(),
    }
    for number, roll in enumerate(tracks):
        sparse = csc_matrix(roll)
        for part in ("data", "indices", "indptr", "shape"):
            members[f"pianoroll_{number}_csc_{part}.npy"] = npy(np.asarray(getattr(sparse, part)))
    return members


@pytest.fixture
def tracks() -> list[np.ndarray]:
    drums, bass = np.zeros((192, 128), np.uint8), np.zeros((192, 128), np.uint8)
    drums[[0, 24, 48], 36] = 100
    bass[0:24, 40] = 90
    bass[24:30, 40] = 70  # a new velocity is a new note
    bass[96:192, 45] = 80
    return [drums, bass]


def refusal(data: bytes) -> CorpusError:
    with pytest.raises(CorpusError) as caught:
        rolls.parse_lpd(data, "song.npz")
    assert str(caught.value).startswith("song.npz")
    return caught.value


def test_an_lpd_file_becomes_a_score(tracks: list[np.ndarray]) -> None:
    score = rolls.parse_lpd(npz(lpd_members(tracks)), "song.npz")
    assert (score.resolution, score.tempos, score.metres) == (24, (Tempo(0, 120.0), Tempo(96, 90.0)), (Metre(0, 4, 4),))
    drums, bass = score.tracks
    assert (drums.is_drum, drums.name, bass.program, bass.name) == (True, "Drums", 33, "Bass")
    assert list(drums.notes) == [Note(0, 1, 36, 100), Note(24, 25, 36, 100), Note(48, 49, 36, 100)]
    assert list(bass.notes) == [Note(0, 24, 40, 90), Note(24, 30, 40, 70), Note(96, 192, 45, 80)]


def test_an_lpd_file_in_a_corpus_is_a_song(tracks: list[np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "song.npz").write_bytes(npz(lpd_members(tracks)))
    (entry,) = scan(tmp_path, jobs=1).entries
    assert (entry.kind, entry.n_notes) == ("rolls", 6)
    assert read_song(entry).n_notes == 6
    assert inspect_file(tmp_path / "song.npz")["kind"] == "rolls"
    assert rolls.read_lpd(tmp_path / "song.npz").n_notes == 6


def test_seventeen_binary_tracks_of_another_resolution(tracks: list[np.ndarray]) -> None:
    info = {"resolution": 12, **{str(n): {"program": n, "is_drum": False, "name": str(n)} for n in range(17)}}
    members = lpd_members([tracks[1] > 0] * 17, info)
    del members["tempo.npy"], members["downbeat.npy"]
    score = rolls.parse_lpd(npz(members), "song.npz")
    assert (score.resolution, len(score.tracks), score.tempos, score.metres) == (12, 17, (), ())
    assert list(score.tracks[16].notes) == [Note(0, 30, 40, 100), Note(96, 192, 45, 100)]


def test_waltzes_and_eighths_follow_from_the_downbeats(tracks: list[np.ndarray]) -> None:
    for spacing, metre in ((72, Metre(0, 3, 4)), (60, Metre(0, 5, 8))):
        members = lpd_members(tracks)
        members["downbeat.npy"] = npy(np.arange(192) % spacing == 0)
        assert rolls.parse_lpd(npz(members), "song.npz").metres == (metre,)


def _replaced(name: str, content: bytes):
    return lambda members: members | {name: content}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            _replaced("pianoroll_0_csc_data.npy", npy(np.array([None] * 3, dtype=object), allow_pickle=True)),
            "unsafe_pickle",
        ),
        (_replaced("pianoroll_0_csc_data.npy", b"\x80\4\x95" + bytes(20)), "unsafe_pickle"),
        (_replaced("pianoroll_0_csc_data.npy", npy(np.array(["a", "b", "c"]))), "bad_format"),
        (_replaced("pianoroll_0_csc_data.npy", npy(np.ones(3, np.complex64))), "bad_format"),
        (_replaced("pianoroll_0_csc_data.npy", npy(np.ones((3, 1), np.uint8))), "bad_header"),
        (_replaced("pianoroll_0_csc_data.npy", npy(np.array([1, 2, 200], np.uint8))), "bad_header"),
        (_replaced("pianoroll_0_csc_data.npy", npy(np.array([0.5, 1, 1]))), "bad_format"),
        (_replaced("pianoroll_0_csc_indices.npy", npy(np.array([0, 1, 192]))), "bad_header"),
        (_replaced("pianoroll_0_csc_indices.npy", npy(np.array([0, 1, -1]))), "bad_header"),
        (_replaced("pianoroll_0_csc_indices.npy", npy(np.array([0, 1]))), "bad_header"),
        (_replaced("pianoroll_0_csc_indptr.npy", npy(np.full(129, 3))), "bad_header"),
        (_replaced("pianoroll_0_csc_shape.npy", npy(np.array([192, 129]))), "bad_header"),
        (_replaced("pianoroll_0_csc_shape.npy", npy(np.array([2**40, 128]))), "bad_header"),
        (_replaced("pianoroll_0_csc_shape.npy", npy(np.array([192]))), "bad_header"),
        (_replaced("tempo.npy", npy(np.full(192, np.nan))), "nonfinite"),
        (_replaced("tempo.npy", npy(np.zeros(192))), "bad_tempo"),
        (_replaced("tempo.npy", npy(np.full(192, 1e-9))), "too_long"),
        (_replaced("info.json", b'{"beat_resolution": 0}'), "bad_config"),
        (_replaced("info.json", b'{"beat_resolution": true}'), "bad_config"),
        (_replaced("info.json", b'{"0": 5}'), "bad_config"),
        (_replaced("info.json", b'{"0": {"program": 128}}'), "bad_config"),
        (_replaced("../evil.npy", b""), "unsafe_path"),
        (_replaced("/evil.npy", b""), "unsafe_path"),
        (_replaced("c:evil.npy", b""), "unsafe_path"),
        (lambda members: {name: content for name, content in members.items() if name != "info.json"}, "missing"),
        (lambda members: {"info.json": b"{}"}, "no_notes"),
    ],
)
def test_contradictions_are_refused(tracks: list[np.ndarray], change, reason: str) -> None:
    assert refusal(npz(change(lpd_members(tracks)))).reason == reason


def test_damaged_archives_are_corrupt(tracks: list[np.ndarray]) -> None:
    good = bytearray(npz(lpd_members(tracks)))
    assert refusal(bytes(good[: len(good) // 2])).reason == "corrupt"
    good[60:70] = b"\xff" * 10
    assert refusal(bytes(good)).reason in {"corrupt", "bad_header", "bad_format"}


def test_bombs_are_refused_by_their_declared_and_by_their_real_size(tracks: list[np.ndarray]) -> None:
    zeros = npz({"info.json": b"{}", "a.npy": bytes(50_000_000), "b.npy": bytes(50_000_000)})
    assert refusal(zeros).reason == "decompression_bomb"
    assert refusal(npz({"info.json": b"{}", "a.npy": bytes(65_000_000)})).reason == "too_large"
    many = npz({f"{number}": b"" for number in range(40)}, zipfile.ZIP_STORED)
    with pytest.raises(CorpusError) as caught:
        Archive(many, "song.npz", limits=Limits(archive_members=39))
    assert caught.value.reason == "too_large"


def test_encrypted_or_exotic_members_are_refused() -> None:
    data = npz({"info.json": b"{}" * 500}, zipfile.ZIP_LZMA)
    assert refusal(data).reason == "bad_format"


# --------------------------------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize(
    "array", [np.arange(6).reshape(2, 3), np.asfortranarray(np.eye(3)), np.array(7), np.zeros((0, 4), bool)]
)
def test_arrays_come_back_equal(array: np.ndarray) -> None:
    found = parse_array(npy(array), "a.npy")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def _with_header(text: str, content: bytes = b"", version: int = 1) -> bytes:
    raw = text.encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(raw)) + raw + content


HEADER = "{'descr': '<i8', 'fortran_order': False, 'shape': (%s), }"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_with_header(HEADER % "99999999999999999999, 9"), "too_large"),
        (_with_header(HEADER % "1000000000,"), "too_large"),
        (_with_header(HEADER % "3,", bytes(16)), "truncated"),
        (_with_header(HEADER % "1,", bytes(16)), "bad_header"),
        (_with_header(HEADER % "1,1,1,1,1,1,1,1,1", bytes(8)), "bad_header"),
        (_with_header(HEADER % "-1,", bytes(8)), "bad_format"),
        (_with_header("{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (1,)}", bytes(8)), "bad_format"),
        (_with_header("__import__('os').system('true')"), "bad_format"),
        (_with_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"\x80\4."), "unsafe_pickle"),
        (_with_header(HEADER % "1,", bytes(8), version=9), "bad_header"),
        (b"\x93NUMPY\1\0\xff\xff", "bad_header"),
        (b"\x93NUMPY\1\0\x00\x20" + b" " * 99, "truncated"),
        (b"hello, world", "bad_header"),
    ],
)
def test_headers_that_lie_are_refused_before_anything_is_allocated(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        parse_array(data, "a.npy")
    assert caught.value.reason == reason
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(CorpusError) as caught:
        map_array(tmp_path / "a.npy", limits=Limits(dense_bytes=Limits.array_bytes))
    assert caught.value.reason == reason


# ---------------------------------------------------------------------------------------------------------------- clips


@pytest.fixture
def array() -> np.ndarray:
    array = np.zeros((3, 2, 16, 84, 5), dtype=bool)
    array[1, 0, 12:, 36, 1] = array[1, 1, :4, 36, 1] = True  # held over the bar line
    array[1, 0, 0, 12, 0] = True
    array[2, 1, 3, 20, 3] = True
    return array


def test_dense_and_sparse_clips_hold_the_same(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    np.savez_compressed(tmp_path / "x.npz", shape=array.shape, nonzero=np.array(array.nonzero()))
    for name in ("x.npy", "x.npz"):
        clips = rolls.read_clips(tmp_path / name)
        assert (len(clips), clips.shape) == (3, array.shape)
        for number in range(3):
            np.testing.assert_array_equal(clips.clip(number), array[number])
        with pytest.raises(IndexError):
            clips.clip(3)


def test_floats_sound_above_a_half(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.where(array, 0.9, 0.4).astype(np.float32))
    np.testing.assert_array_equal(rolls.read_clips(tmp_path / "x.npy").clip(1), array[1])


def test_a_clip_becomes_a_score(array: np.ndarray) -> None:
    score = rolls.clip_score(array[1], qpm=100.0)
    assert (score.resolution, score.tempos, score.metres) == (4, (Tempo(0, 100.0),), (Metre(0, 4, 4),))
    assert [track.name for track in score.tracks] == ["drums", "piano", "guitar", "bass", "strings"]
    assert list(score.tracks[0].notes) == [Note(0, 1, 36, 100)]
    assert list(score.tracks[1].notes) == [Note(12, 20, 60, 100)]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"shape": [3, 2, 16, 84], "nonzero": np.zeros((4, 1), int)}, "bad_header"),
        ({"shape": [3, 2, 16, 84, 5], "nonzero": np.zeros((4, 1), int)}, "bad_header"),
        ({"shape": [3, 2, 16, 84, 5], "nonzero": np.full((5, 1), 3)}, "bad_header"),
        ({"shape": [3, 2, 16, 84, 5], "nonzero": np.full((5, 1), -1)}, "bad_header"),
        ({"shape": [3, 2, 16, 84, 5], "nonzero": np.zeros((5, 1))}, "bad_format"),
        ({"shape": [1, 10**6, 10**6, 128, 5], "nonzero": np.zeros((5, 1), int)}, "too_large"),
    ],
)
def test_sparse_clips_that_contradict_themselves(members: dict, reason: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **members)
    with pytest.raises(CorpusError) as caught:
        rolls.read_clips(tmp_path / "x.npz")
    assert caught.value.reason == reason


def test_dense_clips_must_have_five_dimensions(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 4)))
    with pytest.raises(CorpusError, match="expected \\(clip, bar, timestep, pitch, track\\)"):
        rolls.read_clips(tmp_path / "x.npy")


# ----------------------------------------------------------------------------------------------------------------- json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "a key appears twice"),
        ('{"a": NaN}', "NaN is not a number of JSON"),
        ('{"a": -Infinity}', "-Infinity is not a number of JSON"),
        ("[" * 65 + "]" * 65, "nested deeper than 64"),
        ("[]", "JSON holds a list; expected one object"),
        ("{", "JSON cannot be parsed"),
    ],
)
def test_json_of_others_is_read_strictly(text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message) as caught:
        parse_json(text.encode(), "a.json")
    assert caught.value.reason == "bad_config"


def test_brackets_in_strings_are_not_nesting_and_size_is_bounded() -> None:
    assert parse_json(json.dumps({"a": "[" * 500 + '\\"{'}).encode(), "a.json")["a"].startswith("[[")
    with pytest.raises(CorpusError) as caught:
        parse_json(b'{"a": "' + b"x" * 100 + b'"}', "a.json", max_bytes=50)
    assert caught.value.reason == "too_large"
