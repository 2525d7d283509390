import contextlib
import io
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiogan.corpus import audio, wav
from audiogan.corpus.limits import LIMITS
from audiogan.errors import CorpusError, OutputError

RATE = 16_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def coded(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def reason_of(data: bytes, **options: object) -> str:
    with pytest.raises(CorpusError) as caught:
        audio.parse(data, "it.wav", **options)  # type: ignore[arg-type]
    assert str(caught.value).startswith("it.wav: ")
    assert "\n" not in str(caught.value)
    return caught.value.reason


def patched(data: bytes, place: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, place, value)
    return bytes(changed)


# ---- writing


def test_what_is_written_is_read_again_within_half_a_step(tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).uniform(-0.99, 0.99, (2, 500)).astype(np.float32)
    audio.write(waveform, 22050, tmp_path / "a.wav")
    read, sample_rate = soundfile.read(tmp_path / "a.wav", dtype="float64")
    assert sample_rate == 22050
    np.testing.assert_allclose(read.T, waveform, atol=1 / 32768)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_what_is_too_loud_is_cut_off_at_full_scale(tmp_path: Path) -> None:
    audio.write(np.array([[2.0, -2.0]]), 8000, tmp_path / "a.wav")
    read, _ = soundfile.read(tmp_path / "a.wav")
    assert read[0] > 0.999
    assert read[1] == -1.0


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("encoding", ["int16", "int24", "float32"])
def test_equal_sound_gives_equal_bytes(tmp_path: Path, name: str, encoding: audio.Encoding) -> None:
    if name == "a.flac" and encoding == "float32":
        pytest.skip("FLAC holds integers")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        audio.write(TONE[None], 8000, tmp_path / folder / name, encoding=encoding, dither_seed=3)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    read, _ = soundfile.read(tmp_path / "one" / name)
    assert np.abs(read - TONE).max() < {"int16": 2 / 32768, "int24": 2 / 2**23, "float32": 1e-7}[encoding]


def test_floats_may_go_beyond_full_scale(tmp_path: Path) -> None:
    audio.write(np.array([[2.0, -2.5], [0.25, 0.5]]), 8000, tmp_path / "a.wav", encoding="float32")
    read, _ = soundfile.read(tmp_path / "a.wav")
    assert read.tolist() == [[2.0, 0.25], [-2.5, 0.5]]


def test_dither_makes_a_quiet_tone_survive_16_bits(tmp_path: Path) -> None:
    quiet = TONE[None] * (0.4 / 32768 / 0.5)  # below half a step: silence without dither
    audio.write(quiet, RATE, tmp_path / "plain.wav")
    audio.write(quiet, RATE, tmp_path / "dithered.wav", dither_seed=0)
    plain, _ = soundfile.read(tmp_path / "plain.wav")
    dithered, _ = soundfile.read(tmp_path / "dithered.wav")
    assert not plain.any()
    assert np.abs(dithered).max() <= 2 / 32768
    assert np.argmax(np.abs(np.fft.rfft(dithered))) == 440


@pytest.mark.parametrize("comment", ["made by audiogan, model abc", "odd", "ü", "x" * 400])
@pytest.mark.parametrize(("name", "encoding"), [("a.wav", "int16"), ("a.wav", "float32"), ("a.flac", "int24")])
def test_a_comment_is_kept_and_changes_no_sample(
    tmp_path: Path, name: str, encoding: audio.Encoding, comment: str
) -> None:
    said, plain = tmp_path / f"said-{name}", tmp_path / f"plain-{name}"
    audio.write(TONE[None, :-1], 8000, said, encoding=encoding, comment=comment)
    audio.write(TONE[None, :-1], 8000, plain, encoding=encoding)
    with soundfile.SoundFile(said) as file:
        assert file.comment == comment[:256]
    with soundfile.SoundFile(plain) as file:
        assert file.comment == ""
    assert audio.read(said).warnings == (), "the sizes in the header are true"
    np.testing.assert_array_equal(audio.read(said).waveform, audio.read(plain).waveform)
    audio.write(TONE[None, :-1], 8000, plain, encoding=encoding, comment=comment)
    assert said.read_bytes() == plain.read_bytes()


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        audio.write(np.zeros((1, 9)), 8000, tmp_path / "nowhere" / "a.wav")


# ---- reading


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 0.01),
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "FLOAT", 1e-7),
        ("WAV", "DOUBLE", 1e-7),
        ("WAVEX", "PCM_24", 1e-6),
        ("RF64", "PCM_16", 1e-4),
        ("AIFF", "PCM_16", 1e-4),
        ("FLAC", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 0.1),
        ("MP3", "MPEG_LAYER_III", 0.2),
    ],
)
def test_every_format_is_read(kind: str, subtype: str, tolerance: float, tmp_path: Path) -> None:
    path = tmp_path / "tone.WAV"
    path.write_bytes(coded(TONE, kind=kind, subtype=subtype))
    found = audio.read(path)
    assert (found.sample_rate, found.source_rate, found.n_channels, found.warnings) == (RATE, RATE, 1, ())
    assert found.waveform.dtype == np.float32
    assert abs(len(found.waveform) - RATE) <= (0 if kind != "MP3" else 2304)
    assert np.abs(np.abs(found.waveform).max() - 0.5) < tolerance


def test_stereo_at_192_khz_becomes_the_mean_at_the_wanted_rate() -> None:
    time = np.arange(192_000) / 192_000
    left, right = np.sin(2 * np.pi * 1000 * time), np.sin(2 * np.pi * 30_000 * time)
    found = audio.parse(coded(np.stack([left, right], 1) * 0.5, 192_000, subtype="PCM_24"), "x", 44_100)
    assert (len(found.waveform), found.sample_rate, found.source_rate, found.n_channels) == (44_100, 44_100, 192_000, 2)
    spectrum = np.abs(np.fft.rfft(found.waveform[4410:-4410] * np.hanning(35_280)))
    assert np.argmax(spectrum) == 800  # 1 kHz of 35,280 samples at 44.1 kHz
    assert spectrum[4000:].max() < 1e-4 * spectrum.max(), "30 kHz must not fold back"


def test_blocks_and_one_piece_resample_alike() -> None:
    found = audio.parse(coded(TONE, subtype="FLOAT"), "x", 11_025)
    np.testing.assert_allclose(found.waveform, audio.resample(TONE, RATE, 11_025), atol=1e-6)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello, I am no sound at all", "not_audio"),
        (b"MThd" + bytes(20), "not_audio"),
        (b"RIFF\x04\0\0\0WAVE", "truncated"),
        (b"fLaC" + bytes(300), "corrupt"),
        (b"OggS" + bytes(300), "corrupt"),
        (b"ID3" + bytes(300), "corrupt"),
        (coded(TONE)[:30], "truncated"),
        (patched(coded(TONE), 16, "<I", 8), "bad_header"),
        (coded(TONE[:0]), "empty_audio"),
        (coded(TONE[:1]), "too_short"),
        (coded(TONE[:100]), "too_short"),
        (coded(np.zeros(RATE)), "silent"),
        (coded(np.full(RATE, 0.5)), "silent"),
        (coded(np.full(RATE, np.nan, np.float32), subtype="FLOAT"), "nonfinite"),
        (coded(np.full(RATE, np.inf, np.float32), subtype="FLOAT"), "nonfinite"),
        (coded(np.full(RATE, 1e30, np.float32), subtype="FLOAT"), "nonfinite"),
        (coded(TONE, subtype="IMA_ADPCM"), "bad_format"),
        (patched(coded(TONE), 24, "<I", 0), "bad_rate"),
        (patched(coded(TONE), 24, "<I", 1), "bad_rate"),
        (patched(coded(TONE), 24, "<I", 2**31), "bad_rate"),
        (patched(coded(TONE), 22, "<H", 0), "bad_channels"),
        (patched(coded(TONE), 22, "<H", 60_000), "bad_channels"),
        (patched(coded(TONE), 34, "<H", 1), "bad_format"),
        (patched(coded(TONE), 32, "<H", 0), "bad_header"),
        (patched(coded(TONE), 20, "<H", 0x1234), "bad_format"),
    ],
)
def test_hostile_sound_is_refused_by_name(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


@pytest.mark.parametrize("size", [0x7FFFFFF0, 0xFFFFFFFF])
def test_a_header_that_promises_too_much_is_not_believed(size: int) -> None:
    found = audio.parse(patched(coded(TONE), 40, "<I", size), "x")
    assert len(found.waveform) == RATE


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3"])
def test_what_is_left_of_a_cut_file_is_taken_with_a_warning(kind: str) -> None:
    data = coded(np.tile(TONE, 3), kind=kind)
    found = audio.parse(data[: len(data) // 2], "x")
    assert found.warnings == ("truncated",)
    assert RATE // 2 < len(found.waveform) < 2 * RATE
    assert np.isfinite(found.waveform).all()


def test_a_flac_that_claims_a_year_is_read_to_its_real_end() -> None:
    data = bytearray(coded(TONE, kind="FLAC"))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4  # 36 bits of total samples
    assert len(audio.parse(bytes(data), "x").waveform) <= RATE


def test_damage_in_the_middle_never_escapes_as_anything_else(capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for kind in ("WAV", "FLAC", "OGG", "MP3"):
        whole = np.frombuffer(coded(TONE, kind=kind), np.uint8)
        for _ in range(40):
            data = whole.copy()
            data[rng.integers(0, len(data), 1 + len(data) // 200)] = rng.integers(0, 256)
            cut = data[: rng.integers(1, len(data))].tobytes() if rng.random() < 0.3 else data.tobytes()
            with contextlib.suppress(CorpusError):
                assert np.isfinite(audio.parse(cut, "x", 8000).waveform).all()
    assert "Traceback" not in capfd.readouterr().err


def test_the_longest_length_holds_for_what_is_decoded() -> None:
    assert reason_of(coded(TONE, kind="FLAC"), max_seconds=0.5) == "too_long"


def test_clipping_is_told() -> None:
    assert audio.parse(coded(np.sign(TONE) * np.float32(1.0)), "x").warnings == ("clipped",)


def test_silence_can_be_asked_for() -> None:
    assert not audio.parse(coded(np.zeros(RATE)), "x", allow_silence=True).waveform.any()


def test_files_pass_the_gate(tmp_path: Path) -> None:
    def reason(path: Path, **options: object) -> str:
        with pytest.raises(CorpusError) as caught:
            audio.read(path, **options)  # type: ignore[arg-type]
        return caught.value.reason

    (tmp_path / "empty.wav").touch()
    (tmp_path / "tone.wav").write_bytes(coded(TONE))
    assert reason(tmp_path / "none.wav") == "missing"
    assert reason(tmp_path) == "not_a_file"
    assert reason(tmp_path / "empty.wav") == "empty_file"
    assert reason(tmp_path / "tone.wav", max_bytes=1000) == "too_large"
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.wav")
        assert reason(tmp_path / "pipe.wav") == "not_a_file"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "out.wav").symlink_to(tmp_path / "tone.wav")
    assert reason(tmp_path / "in" / "out.wav", root=tmp_path / "in") == "unsafe_path"


@pytest.mark.parametrize(
    ("cap", "value", "reason"),
    [
        ("n_channels", 1, "bad_channels"),
        ("lowest_rate", RATE + 1, "bad_rate"),
        ("highest_rate", RATE - 1, "bad_rate"),
        ("loudest", 0.4, "nonfinite"),
        ("riff_chunks", 1, "empty_audio"),
    ],
)
def test_the_caps_are_those_of_the_table(monkeypatch: pytest.MonkeyPatch, cap: str, value: float, reason: str) -> None:
    stereo = coded(np.stack([TONE, TONE], axis=1))
    audio.parse(stereo, "it.wav")
    for module in (audio, wav):
        monkeypatch.setattr(module, "LIMITS", replace(LIMITS, **{cap: value}))
    if cap == "riff_chunks":  # only its format is looked at, so there is no sample to be found
        assert wav.check_wav(stereo, "it.wav").is_empty
    else:
        assert reason_of(stereo) == reason


def test_a_whole_mp3_is_not_called_cut(tmp_path: Path) -> None:
    wave = (0.5 * np.sin(np.arange(100_003) / 20)).astype(np.float32)
    soundfile.write(tmp_path / "a.mp3", wave, 44100, format="MP3")
    assert audio.read(tmp_path / "a.mp3").warnings == ()
