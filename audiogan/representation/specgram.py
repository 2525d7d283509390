"""Spectrograms as planes, and back: GANSynth's two kinds, log-magnitude with PGHI, and the complex STFT.

`mel_if` and `lin_if` follow GANSynth (arXiv 1902.08710) and the constants of its published code: log-magnitude and
instantaneous frequency of a 2048-point transform, normalised by fixed numbers. `mel_if` keeps the fault of the
original, a mel matrix laid out as if the DC row were present, for parity. Both differ from it in the padding: frames
are centred and both edges kept. `mag_pghi` stores the magnitude alone and finds the phase by `pghi`; `complex_stft`
stores real and imaginary part of the transform, compressed.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from audiogan.errors import UnsupportedError
from audiogan.representation.base import Representation, SpectrogramConfig
from audiogan.representation.pghi import integrate_phase
from audiogan.representation.phase import instantaneous_frequency, unwrap, wrap

EPSILON = 1.0e-6
MAG_SCALE, MAG_SHIFT = 0.0661371661726, 0.113718730221  # GANSynth, mel_prog_hires: ±0.8 is ln-mel -13.8155 to 10.3766
IF_SCALE = 0.8
COMPLEX_POWER = 0.3  # compression of the magnitude of `complex_stft`
MEL_BREAK_HZ, MEL_Q = 700.0, 1127.0  # HTK
LEAST_BINS = 1.5  # least width of a mel triangle
FRAME_MULTIPLE = 32  # networks halve the planes again and again


def to_mel(hz: Tensor) -> Tensor:
    """Return frequencies on HTK's mel scale.

    Example:
        >>> to_mel(torch.tensor([1000.0])).round().tolist()
        [1000.0]
    """
    return MEL_Q * torch.log1p(hz / MEL_BREAK_HZ)


def mel_matrix(n_freq: int, sample_rate: int) -> Tensor:
    """Return GANSynth's mel matrix, `(freq, mel)` float32 with as many mel rows as frequencies.

    Triangles on HTK's scale from 0 Hz to half the sample rate, each at least 1.5 bins wide. Row 0 is empty and the
    others are those of frequencies `sample_rate / 2 * row / (n_freq - 1)`, although the spectrogram has no DC row: the
    original's fault, kept.

    Args:
        n_freq: Rows of the linear spectrogram.
        sample_rate: Hz.
    """
    nyquist = sample_rate / 2
    rows = to_mel(torch.linspace(0, nyquist, n_freq, dtype=torch.float64))[:, None]
    edges = torch.linspace(0, float(to_mel(torch.tensor(nyquist))), n_freq + 2, dtype=torch.float64)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    least = LEAST_BINS * nyquist / n_freq
    width = MEL_BREAK_HZ * (torch.expm1(upper / MEL_Q) - torch.expm1(lower / MEL_Q))
    half = MEL_Q * torch.asinh(least / 2 / (MEL_BREAK_HZ * torch.exp(centre / MEL_Q)))
    lower = torch.where(width < least, centre - half, lower)
    upper = torch.where(width < least, centre + half, upper)
    matrix = torch.minimum((rows - lower) / (centre - lower), (upper - rows) / (upper - centre)).clamp(min=0)
    matrix[0] = 0
    return matrix.float()


def mel_inverse(matrix: Tensor) -> Tensor:
    """Return GANSynth's approximate inverse of its mel matrix, `(mel, freq)`: the transpose, columns rescaled."""
    total = (matrix @ matrix.T).sum(0)
    return matrix.T * torch.where(total.abs() > 1e-8, 1 / total.clamp(min=1e-8), total)


def hold_silent_phase(phase: Tensor, silent: Tensor) -> Tensor:
    """Return the phase with silent cells holding that of the last sounding cell before them (0 at the beginning).

    Args:
        phase: `(..., frame)` radians.
        silent: `(..., frame)` bool.
    """
    frame = torch.arange(phase.shape[-1], device=phase.device).expand(phase.shape)
    last = torch.where(silent, torch.full_like(frame, -1), frame).cummax(-1).values
    return torch.where(last >= 0, phase.gather(-1, last.clamp(min=0)), torch.zeros_like(phase))


class Specgram(ABC):
    """What the four kinds share: a transform whose frames reach over both edges, without its DC row.

    Args:
        config: The recipe's section.
        sample_rate: Hz.
        seconds: Length of a note.
    """

    n_planes = 2

    def __init__(self, config: SpectrogramConfig, *, sample_rate: int, seconds: float) -> None:
        self.name = config.kind
        self.sample_rate = sample_rate
        self.n_samples = round(seconds * sample_rate)
        self.n_fft, self.hop_length = config.n_fft, config.hop_length
        frames = math.ceil(self.n_samples / self.hop_length) + self.n_fft // self.hop_length - 1
        self.n_frames = math.ceil(frames / FRAME_MULTIPLE) * FRAME_MULTIPLE
        self.shape = (self.n_planes, self.n_fft // 2, self.n_frames)
        self.loudest = self.n_fft / 2  # magnitude that no sound within [-1, 1] exceeds

    def encode(self, waveform: Tensor, f0: Tensor) -> Tensor:
        """Return `(..., plane, row, frame)` float32 in [-1, 1]; see `Representation.encode`. `f0` plays no part."""
        del f0
        return self.to_planes(self.transform(waveform.float())).clamp(-1, 1)

    def decode(
        self, planes: Tensor, f0: Tensor, *, cents: Tensor | None = None, sample_rate: int | None = None, seed: int = 0
    ) -> Tensor:
        """Return `(..., time)` float32; see `Representation.decode`.

        Raises:
            UnsupportedError: For `cents`, and for any sample rate but the representation's own.
        """
        del f0
        if cents is not None:
            raise UnsupportedError(f"{self.name} has no pitch curve; expected no cents, or the representation harmonic")
        if sample_rate not in (None, self.sample_rate):
            raise UnsupportedError(
                f"{self.name} at {sample_rate} Hz; it was made at {self.sample_rate} Hz and sounds at no other rate"
            )
        return self.invert(self.to_specgram(planes.float().clamp(-1, 1), seed))

    def mask(self, f0: Tensor) -> Tensor:
        """Return `(..., plane, row, 1)` ones: every value means something at every pitch."""
        return torch.ones(*f0.shape, *self.shape[:2], 1, device=f0.device)

    @abstractmethod
    def to_planes(self, specgram: Tensor) -> Tensor:
        """Return `(..., plane, row, frame)` of a complex `(..., freq, frame)` without DC."""

    @abstractmethod
    def to_specgram(self, planes: Tensor, seed: int) -> Tensor:
        """Return the complex `(..., freq, frame)` that planes stand for."""

    def transform(self, waveform: Tensor) -> Tensor:
        """Return the complex `(..., freq, frame)` of `(..., time)`, DC left out."""
        left = self.n_fft - self.hop_length
        total = (self.n_frames - 1) * self.hop_length + self.n_fft
        waveform = waveform[..., : self.n_samples]
        padded = torch.nn.functional.pad(waveform, (left, total - left - waveform.shape[-1]))
        window = torch.hann_window(self.n_fft, device=waveform.device)
        flat = padded.reshape(-1, total)
        specgram = torch.stft(flat, self.n_fft, self.hop_length, window=window, center=False, return_complex=True)
        return specgram[:, 1:].reshape(*waveform.shape[:-1], *self.shape[1:])

    def invert(self, specgram: Tensor) -> Tensor:
        """Return `(..., time)` of the complex `(..., freq, frame)`, by least squares (Griffin and Lim 1984)."""
        flat = torch.nn.functional.pad(specgram.reshape(-1, *self.shape[1:]), (0, 0, 1, 0))
        window = torch.hann_window(self.n_fft, device=specgram.device)
        skip = self.n_fft // 2 - self.hop_length
        waveform = torch.istft(flat, self.n_fft, self.hop_length, window=window, length=skip + self.n_samples)
        return waveform[:, skip:].reshape(*specgram.shape[:-2], self.n_samples)

    def to_log_mag(self, value: Tensor) -> Tensor:
        """Return a scaled natural logarithm of magnitude or power as GANSynth normalises it."""
        return value * MAG_SCALE + MAG_SHIFT

    def from_log_mag(self, plane: Tensor) -> Tensor:
        """Return what `to_log_mag` was given."""
        return (plane - MAG_SHIFT) / MAG_SCALE


class LinIf(Specgram):
    """Plane 0 log-magnitude, plane 1 instantaneous frequency in units of pi rad per frame; rows are frequencies."""

    def to_planes(self, specgram: Tensor) -> Tensor:
        """Return `(..., 2, freq, frame)`."""
        mag = specgram.abs()
        phase = hold_silent_phase(specgram.angle().double(), mag <= EPSILON)
        inst_freq = instantaneous_frequency(phase).float()
        return torch.stack((self.to_log_mag(torch.log(mag + EPSILON)), inst_freq * IF_SCALE), dim=-3)

    def to_specgram(self, planes: Tensor, seed: int) -> Tensor:
        """Return the complex `(..., freq, frame)`; phases add up in fp64."""
        del seed
        log_mag, inst_freq = planes.unbind(-3)
        mag = (torch.exp(self.from_log_mag(log_mag)) - EPSILON).clamp(0, self.loudest)
        phase = torch.cumsum(inst_freq.double() * (math.pi / IF_SCALE), dim=-1)
        return torch.polar(mag, wrap(phase).float())


class MelIf(Specgram):
    """The same on GANSynth's mel rows: plane 0 log of mel power, plane 1 instantaneous frequency of mel phase."""

    def __init__(self, config: SpectrogramConfig, *, sample_rate: int, seconds: float) -> None:
        super().__init__(config, sample_rate=sample_rate, seconds=seconds)
        self.matrix = mel_matrix(self.n_fft // 2, sample_rate)
        self.inverse = mel_inverse(self.matrix)

    def to_planes(self, specgram: Tensor) -> Tensor:
        """Return `(..., 2, mel, frame)`."""
        matrix = self.matrix.T.to(specgram.device)
        log_mag = torch.log(matrix @ specgram.abs().square() + EPSILON)
        phase = matrix.double() @ unwrap(specgram.angle().double())
        return torch.stack((self.to_log_mag(log_mag), instantaneous_frequency(phase).float() * IF_SCALE), dim=-3)

    def to_specgram(self, planes: Tensor, seed: int) -> Tensor:
        """Return the complex `(..., freq, frame)`; phases add up in fp64."""
        del seed
        inverse = self.inverse.T.to(planes.device)
        log_mag, inst_freq = planes.unbind(-3)
        power = torch.exp(self.from_log_mag(log_mag)).clamp(max=self.loudest**2)
        mel_phase = torch.cumsum(inst_freq.double() * (math.pi / IF_SCALE), dim=-1)
        mag = (inverse @ power).clamp(min=0).sqrt().clamp(max=self.loudest)
        return torch.polar(mag, wrap(inverse.double() @ mel_phase).float())


class MagPghi(Specgram):
    """Plane 0 log-magnitude; the phase comes from its gradients when it is decoded."""

    n_planes = 1

    def to_planes(self, specgram: Tensor) -> Tensor:
        """Return `(..., 1, freq, frame)`."""
        return self.to_log_mag(torch.log(specgram.abs() + EPSILON)).unsqueeze(-3)

    def to_specgram(self, planes: Tensor, seed: int) -> Tensor:
        """Return the complex `(..., freq, frame)`; one heap per note, on the CPU."""
        mag = (torch.exp(self.from_log_mag(planes.squeeze(-3))) - EPSILON).clamp(0, self.loudest)
        flat = mag.reshape(-1, *self.shape[1:])
        phases = [
            integrate_phase(one.double().cpu().numpy(), n_fft=self.n_fft, hop_length=self.hop_length, seed=seed)
            for one in flat
        ]
        phase = torch.stack([torch.from_numpy(one) for one in phases]).reshape(mag.shape)
        return torch.polar(mag, phase.float().to(mag.device))


class ComplexStft(Specgram):
    """Plane 0 real, plane 1 imaginary part, their common magnitude taken to the power 0.3."""

    def to_planes(self, specgram: Tensor) -> Tensor:
        """Return `(..., 2, freq, frame)`."""
        mag = (specgram.abs() / self.loudest).clamp(min=EPSILON**2)
        return torch.view_as_real(specgram / self.loudest * mag ** (COMPLEX_POWER - 1)).movedim(-1, -3)

    def to_specgram(self, planes: Tensor, seed: int) -> Tensor:
        """Return the complex `(..., freq, frame)`."""
        del seed
        real, imag = planes.unbind(-3)
        mag = torch.hypot(real, imag).clamp(min=EPSILON**2)
        gain = self.loudest * mag.clamp(max=1) ** (1 / COMPLEX_POWER) / mag
        return torch.complex(real * gain, imag * gain)


def spectrogram_of(config: SpectrogramConfig, *, sample_rate: int, seconds: float) -> Representation:
    """Build the spectrogram that `config.kind` names; see `base.representation_of`."""
    kinds = {"lin_if": LinIf, "mel_if": MelIf, "mag_pghi": MagPghi, "complex_stft": ComplexStft}
    return kinds[config.kind](config, sample_rate=sample_rate, seconds=seconds)
