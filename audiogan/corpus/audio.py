"""Sound files in and out, and their sample rates: the only module that imports soundfile and soxr.

Reading goes through the gate: libsndfile is given bytes, never a path, and nothing is allocated by what a header
declares. The sound is decoded in blocks, folded to one channel, tested and resampled block by block, so a poisoned or
endless file ends early. Written are WAV (16 or 24-bit integers, 32-bit floats) and FLAC, whole or not at all.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from audiogan.corpus.files import write_whole
from audiogan.corpus.gate import AnyPath, escape, kind_of, open_checked
from audiogan.corpus.limits import LIMITS, refuse
from audiogan.corpus.names import clean_text
from audiogan.corpus.wav import CheckedWav, check_channels, check_rate, check_wav, float_wav, with_comment

Encoding = Literal["int16", "int24", "float32"]
Waveform = NDArray[np.float32]

MP3_PADDING = 2 * 1152
"""Frames: two of MP3's own blocks."""
BLOCK = 1 << 13
"""Frames decoded at once; a block that breaks is lost as a whole, so it is short."""
SILENCE = 1e-3
"""Peak below which a sound counts as silent once its mean is taken away: -60 dBFS."""
CLIPPED_SHARE = 0.2
SHORTEST_SECONDS = 0.05

_SUBTYPES = {"int16": "PCM_16", "int24": "PCM_24"}
_DECODED = frozenset({"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"})
_DECODED |= {
    "VORBIS",
    "OPUS",
    "MPEG_LAYER_I",
    "MPEG_LAYER_II",
    "MPEG_LAYER_III",
    "ALAC_16",
    "ALAC_20",
    "ALAC_24",
    "ALAC_32",
}
_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class Recording:
    """A sound as it was read.

    Args:
        waveform: `(time,)` float32, the mean of the channels; finite, full scale is 1.
        sample_rate: Of `waveform`, in Hz.
        source_rate: Of the file, in Hz.
        n_channels: Of the file.
        warnings: Reason codes of what was tolerated: `truncated`, `bad_header`, `clipped`.
    """

    waveform: Waveform = field(repr=False)
    sample_rate: int
    source_rate: int
    n_channels: int
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.waveform) / self.sample_rate


# ---- reading


def read(
    path: AnyPath,
    sample_rate: int | None = None,
    *,
    root: AnyPath | None = None,
    max_bytes: int = LIMITS.audio_bytes,
    max_seconds: float = LIMITS.seconds,
    min_seconds: float = SHORTEST_SECONDS,
) -> Recording:
    """Read a WAV, FLAC, OGG, MP3, AIFF, AU or CAF file as one channel.

    Args:
        path: The file.
        sample_rate: Wanted rate in Hz; `None` keeps the file's.
        root: Folder that links must not leave.
        max_bytes: Size cap of the file.
        max_seconds, min_seconds: Longest and shortest sound taken.

    Raises:
        CorpusError: As `open_checked` and `parse`.
    """
    data = open_checked(path, root=root, max_bytes=max_bytes)
    return parse(data, escape(os.fsdecode(path)), sample_rate, max_seconds=max_seconds, min_seconds=min_seconds)


def parse(
    data: bytes,
    source: str,
    sample_rate: int | None = None,
    *,
    max_seconds: float = LIMITS.seconds,
    min_seconds: float = SHORTEST_SECONDS,
    allow_silence: bool = False,
) -> Recording:
    """Decode the bytes of a sound file; see `read`.

    Args:
        source: What to call it in a refusal.
        allow_silence: Take what stays below -60 dBFS too.

    Raises:
        CorpusError: `not_audio`, `bad_header`, `bad_rate`, `bad_channels`, `bad_format`, `empty_audio`, `corrupt`,
            `truncated`, `nonfinite`, `too_long`, `too_short`, `silent`, `decompression_bomb`.
    """
    kind = kind_of(data)
    if kind != "audio":
        refuse("not_audio", f"{source}: content is {kind}; expected WAV, FLAC, OGG or MP3")
    checked = check_wav(data, source)
    try:
        waveform, rate, n_channels, warnings = _decode(data, source, checked, sample_rate, max_seconds)
    except MemoryError:
        refuse("decompression_bomb", f"{source}: takes more memory than a file may; expected an ordinary recording")
    wanted = sample_rate or rate
    _check_sound(waveform, wanted, source, min_seconds, allow_silence=allow_silence)
    if np.mean(np.abs(waveform) >= 0.9999) > CLIPPED_SHARE:
        warnings.add("clipped")
    return Recording(waveform, wanted, rate, n_channels, tuple(sorted(warnings | set(checked.warnings))))


class _Stream(io.BytesIO):
    """Bytes in which a broken file cannot seek before the start, where BytesIO would raise inside libsndfile."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = (0, self.tell(), len(self.getbuffer()))[whence]
        return super().seek(max(0, base + offset))


def _decode(
    data: bytes, source: str, checked: CheckedWav, wanted: int | None, max_seconds: float
) -> tuple[Waveform, int, int, set[str]]:
    stream = _Stream(data)
    try:
        file = soundfile.SoundFile(stream)
    except (soundfile.SoundFileError, RuntimeError, ValueError):  # its own words are about paths, which it never saw
        if checked.is_empty:
            refuse("empty_audio", f"{source}: a header without frames; expected sound")
        refuse("corrupt", f"{source}: starts like a sound file, but cannot be opened; expected a playable file")
    with file:
        rate, n_channels, declared = file.samplerate, file.channels, file.frames
        check_rate(rate, source)
        check_channels(n_channels, source)
        if file.subtype not in _DECODED:
            refuse("bad_format", f"{source}: samples of kind {file.subtype}; expected PCM, float, FLAC, OGG or MP3")
        blocks = _blocks(file, stream, len(data), source)
        resampler = None if wanted in (None, rate) else soxr.ResampleStream(rate, wanted, 1, "float32", "HQ")
        parts, n_frames, warnings = [], 0, set[str]()
        for block in blocks:
            if block is None:
                warnings.add("truncated")
                break
            n_frames += len(block)
            if n_frames > max_seconds * rate:
                refuse("too_long", f"{source}: longer than {max_seconds:g} s; expected at most that")
            parts.append(block if resampler is None else resampler.resample_chunk(block))
    if not n_frames:
        reason = "truncated" if declared and len(data) and not checked.is_empty else "empty_audio"
        refuse(reason, f"{source}: no frame could be decoded; expected sound")
    if resampler is not None:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    # An MP3 decoder leaves out the encoder's own delay and padding, which the count of frames may include.
    tolerated = MP3_PADDING if file.format == "MPEG" else 0
    if n_frames + tolerated < declared and declared < 1 << 62:
        warnings.add("truncated")
    return np.concatenate(parts), rate, n_channels, warnings


def _blocks(file: soundfile.SoundFile, stream: io.BytesIO, n_bytes: int, source: str) -> Iterator[Waveform | None]:
    """Yield mono blocks, then `None` if the decoder stops at the end of bytes that end too early."""
    while True:
        try:
            block = np.asarray(file.read(BLOCK, dtype="float32", always_2d=True), dtype=np.float32)
        except (soundfile.SoundFileError, RuntimeError):
            if stream.tell() < n_bytes - _TAIL_BYTES:
                refuse("corrupt", f"{source}: breaks while it is decoded; expected a whole file")
            yield None
            return
        if not len(block):
            return
        if not np.isfinite(block).all() or np.abs(block).max() > LIMITS.loudest:
            told = f"NaN, infinity or samples beyond {LIMITS.loudest:g} times full scale"
            refuse("nonfinite", f"{source}: {told}; expected samples from -1 to 1")
        yield block[:, 0].copy() if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


def _check_sound(waveform: Waveform, rate: int, source: str, min_seconds: float, *, allow_silence: bool) -> None:
    if len(waveform) < min_seconds * rate:
        refuse(
            "too_short", f"{source}: {len(waveform) / rate * 1000:.3g} ms; expected {min_seconds * 1000:g} ms or more"
        )
    if not allow_silence and is_silent(waveform):
        refuse("silent", f"{source}: nothing above -60 dBFS; expected sound")


def is_silent(waveform: Waveform, limit: float = SILENCE) -> bool:
    """Whether a waveform stays below `limit` once its mean is taken away."""
    mean = float(np.mean(waveform, dtype=np.float64)) if len(waveform) else 0.0
    return not len(waveform) or float(np.abs(waveform - np.float32(mean)).max()) < limit


def resample(waveform: Waveform, from_rate: int, to_rate: int) -> Waveform:
    """Bring a waveform to another rate with soxr HQ.

    Args:
        waveform: `(time,)` or `(time, channel)` float32.
        from_rate, to_rate: In Hz.
    """
    return waveform if from_rate == to_rate else soxr.resample(waveform, from_rate, to_rate, "HQ")


# ---- writing


def write(
    waveform: NDArray[np.floating],
    sample_rate: int,
    path: Path,
    *,
    encoding: Encoding = "int16",
    dither_seed: int | None = None,
    comment: str | None = None,
) -> None:
    """Write a WAV file, or FLAC where the name ends in `.flac`; it appears complete or not at all.

    Args:
        waveform: `(channel, time)` in [-1, 1]; integers cut off what lies outside at full scale.
        sample_rate: In Hz.
        path: The file to make; an existing one is replaced.
        encoding: Of the samples; FLAC holds integers only.
        dither_seed: With int16, add triangular noise of one step to either side from this seed; `None` for no noise.
        comment: Text kept in the file: the INFO entry ICMT of a WAV file, COMMENT of a FLAC file.

    Raises:
        OutputError: The place cannot be written.
    """
    assert waveform.ndim == 2, "waveform is (channel, time)"
    is_flac = path.suffix.lower() == ".flac"
    assert not (is_flac and encoding == "float32"), "FLAC holds integers"
    samples = np.asarray(waveform, dtype=np.float64).T
    if encoding == "float32":  # by hand: libsndfile would put the time of day into the file
        write_whole(path, with_comment(float_wav(samples.astype("<f4"), sample_rate), comment))
        return
    if dither_seed is not None and encoding == "int16":
        noise = np.random.default_rng(dither_seed).random((2, *samples.shape))
        samples = samples + (noise[0] - noise[1]) / 32768
    buffer = io.BytesIO()
    whole = _whole_numbers(samples, encoding)
    kind, n_channels = "FLAC" if is_flac else "WAV", whole.shape[1]
    with soundfile.SoundFile(buffer, "w", sample_rate, n_channels, _SUBTYPES[encoding], format=kind) as file:
        if comment is not None and is_flac:
            file.comment = clean_text(comment)
        file.write(whole)
    data = buffer.getvalue()
    write_whole(path, data if is_flac else with_comment(data, comment))


def _whole_numbers(samples: NDArray[np.float64], encoding: Encoding) -> NDArray[np.int16] | NDArray[np.int32]:
    """Round to the steps of an encoding and cut off at full scale; libsndfile would round down, half a step off."""
    full = 1 << (15 if encoding == "int16" else 23)
    steps = np.clip(np.rint(np.nan_to_num(samples) * full), -full, full - 1)
    if encoding == "int16":
        return steps.astype(np.int16)
    return (steps * 256).astype(np.int32)  # libsndfile keeps the upper 24 of 32 bits
