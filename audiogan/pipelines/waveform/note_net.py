"""A network that hears notes: pitch, family and program of a sound, and 128 numbers by which sets are compared.

A small convolutional classifier, trained once on notes of the General MIDI programs (`note_net_training`) and shipped
with the package. It hears sound as it is written, at 16 kHz and without its level, so that models of any representation
and rate can be heard alike. It is the second embedding beside the hand-made `timbre_vector`, and what the figures are
made with that papers take from a classifier: pitch accuracy, pitch entropy, inception score (GANSynth, arXiv
1902.08710, sec. 3). What lies above 8 kHz or after four seconds it does not hear; the timbre vector does.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiogan.corpus.audio import resample
from audiogan.evaluation import pinned
from audiogan.pipelines.waveform.descriptors import Array

NAME = "note_net"
SHA256 = "583af21eba58c5b55a633586075b7bd870bc7180c71507b69381e7962fedf1a7"
SAMPLE_RATE = 16_000
SECONDS = 4.0
N_FFT, HOP = 2048, 512
N_MELS, N_FRAMES = 128, 125
LOWEST_HZ, HIGHEST_HZ = 30.0, 8_000.0
FLOOR_DB = -80.0
N_KEYS, N_FAMILIES, N_PROGRAMS = 128, 16, 128
N_FEATURES = 128
LOWEST_PITCH, HIGHEST_PITCH = 24, 96
"""Keys of the notes it learnt; of others it knows nothing."""
FAMILIES = (
    "piano", "chromatic percussion", "organ", "guitar", "bass", "strings", "ensemble", "brass",
    "reed", "pipe", "synth lead", "synth pad", "synth effects", "ethnic", "percussive", "sound effects",
)  # fmt: skip
"""The families of General MIDI, eight programs each."""


class Heard(NamedTuple):
    """What the network says of notes.

    Args:
        features: `(note, 128)`, the layer before the last.
        pitch: `(note, 128)` probability of each MIDI key.
        family: `(note, 16)` probability of each General MIDI family.
    """

    features: Array
    pitch: Array
    family: Array


class NoteNet(nn.Module):
    """Log-mel spectrum in, 128 features and three answers out."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_block(1, 24, 5, (2, 4)),  # (batch, 24, 64, 32)
            *_block(24, 48, 3, (2, 2)),  # (batch, 48, 32, 16)
            *_block(48, 96, 3, (2, 2)),  # (batch, 96, 16, 8)
            *_block(96, 128, 3, (2, 2)),  # (batch, 128, 8, 4)
            nn.Flatten(),
        )
        self.features = nn.Linear(128 * 8 * 4, N_FEATURES)
        self.dropout = nn.Dropout(0.2)
        self.pitch = nn.Linear(N_FEATURES, N_KEYS)
        self.family = nn.Linear(N_FEATURES, N_FAMILIES)
        self.program = nn.Linear(N_FEATURES, N_PROGRAMS)

    def embed(self, mel_db: Tensor) -> Tensor:
        """Return `(batch, 128)` features of log-mel spectra `(batch, 128, 125)`, in dB from -80 to 0."""
        return torch.relu(self.features(self.body((mel_db / 40 + 1)[:, None])))

    def answer(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits of keys, families and programs."""
        features = self.dropout(features)
        return self.pitch(features), self.family(features), self.program(features)

    def forward(self, mel_db: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits of keys, families and programs of log-mel spectra `(batch, 128, 125)`."""
        return self.answer(self.embed(mel_db))


def _block(n_in: int, n_out: int, size: int, stride: tuple[int, int]) -> list[nn.Module]:
    convolution = nn.Conv2d(n_in, n_out, size, stride, size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(n_out), nn.ReLU()]


# ---- hearing


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float32]:
    """Return triangles `(band, bin)` of area 1, even on the mel scale of O'Shaughnessy (1987)."""
    hz = np.linspace(0.0, SAMPLE_RATE / 2, N_FFT // 2 + 1)
    low, high = (2595 * math.log10(1 + end / 700) for end in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, N_MELS + 2) / 2595) - 1)
    rising = (hz - edges[:-2, None]) / np.diff(edges[:-1])[:, None]
    falling = (edges[2:, None] - hz) / np.diff(edges[1:])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles / triangles.sum(axis=1, keepdims=True)).astype(np.float32)


def log_mel(waveform: NDArray[np.floating], sample_rate: int) -> NDArray[np.float32]:
    """Return what the network hears, `(128, 125)` in dB below the loudest, -80 at least.

    Args:
        waveform: `(time,)`, finite; its first four seconds count, and a shorter one ends in silence.
        sample_rate: In Hz.
    """
    taken = np.asarray(waveform[: int(SECONDS * sample_rate)], dtype=np.float32)
    sound = resample(taken, sample_rate, SAMPLE_RATE)
    size = (N_FRAMES - 1) * HOP + N_FFT
    padded = np.zeros(size, dtype=np.float32)
    sound = sound[: size - N_FFT // 2]
    padded[N_FFT // 2 : N_FFT // 2 + len(sound)] = sound
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    spectra = torch.fft.rfft(torch.from_numpy(frames * np.hanning(N_FFT).astype(np.float32)))
    bands = (spectra.abs() ** 2).numpy() @ _filters().T
    loudest = float(bands.max(initial=0.0))
    if loudest <= 0:
        return np.full((N_MELS, N_FRAMES), FLOOR_DB, dtype=np.float32)
    return np.maximum(10 * np.log10(np.maximum(bands.T / loudest, 1e-9)), FLOOR_DB).astype(np.float32)


@lru_cache(maxsize=1)
def note_net() -> NoteNet:
    """Return the network that came with the package.

    Raises:
        CorpusError, CheckpointError: Its weights are missing or are not the ones known here.
    """
    network = NoteNet()
    pinned.load(NAME, network, SHA256)
    return network


@torch.no_grad()
def embed(waveform: NDArray[np.floating], sample_rate: int) -> Array:
    """Return the features `(128,)` of a note; those of silence for a note that is not finite.

    Args:
        waveform: `(time,)`.
        sample_rate: In Hz.
    """
    finite = np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)
    return note_net().embed(torch.from_numpy(log_mel(finite, sample_rate))[None])[0].double().numpy()


@torch.no_grad()
def heard(features: Array) -> Heard:
    """Return what the network says of notes with these features, `(note, 128)`."""
    pitch, family, _ = note_net().answer(torch.from_numpy(np.asarray(features, dtype=np.float32)))
    shares: Sequence[Array] = [logits.double().softmax(dim=1).numpy() for logits in (pitch, family)]
    return Heard(np.asarray(features, dtype=np.float64), *shares)
