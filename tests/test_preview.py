import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from audiogan.corpus.score import Note, Notes, Score, Tempo, Track
from audiogan.preview import picture, png, sound


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """Read back what `png` writes, checking every chunk's checksum."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, {}
    while place < len(data):
        (size,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        assert struct.unpack_from(">I", data, place + 8 + size)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        place += 12 + size
    width, height, depth, colour = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    assert (depth, colour) == (8, 2)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def single(pitch: int = 69, *, is_drum: bool = False, onset: int = 0, qpm: float = 60.0) -> Score:
    track = Track(Notes.from_list([Note(onset, onset + 480, pitch, 100)]), is_drum=is_drum)
    return Score(480, (track,), (Tempo(0, qpm),))


def test_png_round_trip() -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_png(png(image)), image)


def test_another_program_reads_the_png() -> None:
    image = pytest.importorskip("PIL.Image")
    import io

    pixels = np.random.default_rng(1).integers(0, 256, (9, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(image.open(io.BytesIO(png(pixels)))), pixels)


def test_the_picture_has_a_lane_per_track_with_notes(score: Score) -> None:
    silent = Track(Notes.from_list([]), 0, name="silent")
    image = decode_png(picture(score.with_tracks((*score.tracks, silent)), width=200, lane_height=40))
    assert image.shape == (3 * 40, 200, 3)


def test_a_note_is_drawn_where_it_sounds() -> None:
    late = Track(Notes.from_list([Note(0, 480, 60, 127), Note(1440, 1920, 72, 127)]))
    image = decode_png(picture(Score(480, (late,)), width=400, lane_height=52)).astype(int)
    coloured = image.max(axis=2) - image.min(axis=2) > 60
    left, right = np.nonzero(coloured[:, :100])[0], np.nonzero(coloured[:, 300:])[0]
    assert not coloured[:, 105:295].any()
    assert right.max() < left.min(), "the higher pitch stands higher"


def test_soft_notes_are_paler() -> None:
    notes = Notes.from_list([Note(0, 960, 60, 20), Note(960, 1920, 60, 127)])
    image = decode_png(picture(Score(480, (Track(notes),)), width=400)).astype(int)
    saturation = (image.max(axis=2) - image.min(axis=2)).max(axis=0)
    assert saturation[50] < saturation[250]


def test_a_score_without_notes_has_a_picture_and_silence() -> None:
    empty = Score(480, ())
    assert decode_png(picture(empty)).shape[1] == 960
    assert not sound(empty).any()


def test_a_tone_has_its_pitch() -> None:
    waveform = sound(single(69), 8000)[0]
    spectrum = np.abs(np.fft.rfft(waveform[:8000]))
    assert abs(int(spectrum.argmax()) - 440) <= 1


def test_onsets_follow_the_tempo_map() -> None:
    track = Track(Notes.from_list([Note(960, 1440, 60, 100)]))
    changing = Score(480, (track,), (Tempo(0, 60.0), Tempo(480, 120.0)))
    waveform = sound(changing, 8000)[0]
    assert abs(int(np.flatnonzero(waveform)[0]) - 1.5 * 8000) < 10


@pytest.mark.parametrize("pitch", [36, 38, 42, 46, 49])
def test_drums_sound_and_die_away(pitch: int) -> None:
    waveform = np.abs(sound(single(pitch, is_drum=True), 8000)[0])
    assert waveform[:400].max() > 4 * waveform[1100:1300].max()


def test_sound_stays_in_range_and_repeats(score_of: Callable[..., Score]) -> None:
    waveform = sound(score_of(4))
    assert waveform.shape[0] == 1
    assert np.abs(waveform).max() == pytest.approx(0.9)
    np.testing.assert_array_equal(waveform, sound(score_of(4)))


def test_a_very_long_piece_is_cut() -> None:
    waveform = sound(single(60, onset=480 * 5000), 2000)
    assert waveform.shape[1] < 2000 * 601
