"""What partials leave over, as bands of noise: their levels in a residual, and noise of given levels.

Bands overlap as triangles on HTK's mel scale, from 0 Hz to half the sample rate, and their sum is flat: white noise of
standard deviation s has the level s in every band. Low bands that are narrower than the transform resolves are read
between their neighbours. What partials leave over near them is for the most part how they themselves are modulated, and
noise in its place adds an error instead of removing one; so noise makes way where partials are louder (Wiener gain).
"""

import math

import torch
from torch import Tensor

from audiogan.representation.framing import interpolate

WINDOW_SECONDS = 0.023
OVERLAP = 4
FLOOR = 1.0e-6  # level of what counts as nothing
EULER = 0.5772156649  # the logarithm of the power of noise is this much below that of its mean


def transform_length(sample_rate: int) -> int:
    """Return the samples of a window, a power of two.

    Example:
        >>> transform_length(16_000), transform_length(44_100)
        (512, 1024)
    """
    return 1 << max(4, round(math.log2(sample_rate * WINDOW_SECONDS)))


def band_shares(n_bands: int, top_hz: float, hz: Tensor) -> Tensor:
    """Return how much of each band is in each frequency, `(band, freq)` float32; columns sum to 1, above `top_hz` to 0.

    Args:
        n_bands: At least 2.
        top_hz: Centre of the last band.
        hz: `(freq,)`.
    """
    place = torch.log1p(hz.double() / 700) / math.log1p(top_hz / 700) * (n_bands - 1)
    band = torch.arange(n_bands, device=hz.device, dtype=torch.float64)[:, None]
    shares = (1 - (place - band).abs()).clamp(min=0)
    return torch.where(hz <= top_hz, shares, torch.zeros_like(shares)).float()


def measure(residual: Tensor, times: Tensor, *, n_bands: int, sample_rate: int) -> Tensor:
    """Return the levels of noise bands, `(frame, band)`, as standard deviations of white noise.

    Args:
        residual: `(time,)`.
        times: `(frame,)` float64 seconds.
        n_bands: Bands.
        sample_rate: Hz.
    """
    n_fft = transform_length(sample_rate)
    hop = n_fft // OVERLAP
    window = torch.hann_window(n_fft, device=residual.device)
    specgram = torch.stft(residual, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
    power = (specgram.abs().square() / window.square().sum()).T  # (hop, freq)
    hz = torch.arange(n_fft // 2 + 1, device=residual.device) * (sample_rate / n_fft)
    shares = band_shares(n_bands, sample_rate / 2, hz)
    total = shares.sum(1)
    seen = (total > 1e-3).nonzero()[:, 0]
    log_power = power.clamp(min=FLOOR**2).log() + EULER
    levels = (log_power @ shares[seen].T) / total[seen]
    band = torch.arange(n_bands, device=residual.device, dtype=torch.float64)
    levels = interpolate(levels.T, seen.double(), band).T  # (hop, band)
    at = torch.arange(len(levels), device=residual.device, dtype=torch.float64) * (hop / sample_rate)
    levels = torch.exp(_gather(levels, at, times) / 2)
    return torch.where(levels > 2 * FLOOR, levels, 0.0)


def _gather(levels: Tensor, at: Tensor, times: Tensor) -> Tensor:
    """Mean of what lies around each frame, weighted by triangles between frames; where nothing does, in between."""
    after = torch.searchsorted(times, at, right=True).clamp(1, len(times) - 1)
    share = ((at - times[after - 1]) / (times[after] - times[after - 1])).clamp(0, 1).float()
    spread = torch.zeros(len(times), len(at), device=levels.device)
    hop = torch.arange(len(at), device=levels.device)
    spread[after - 1, hop] = 1 - share
    spread[after, hop] += share
    total = spread.sum(1, keepdim=True)
    return torch.where(total < 1, interpolate(levels, at, times), (spread @ levels) / total.clamp(min=1))


def shaped_noise(
    levels: Tensor, times: Tensor, partials: Tensor, *, top_hz: float, sample_rate: int, seed: int
) -> Tensor:
    """Return noise to add to partials, `(batch, time)`; one seed gives every note of the batch the same white noise.

    In each cell of a short-time transform the noise keeps the share R²/(R² + P²) of its level R, where P is the
    magnitude of the partials: all of it between and beyond them, next to nothing under them.

    Args:
        levels: `(batch, frame, band)`, measured at a sample rate of `2 * top_hz`.
        times: `(frame,)` float64 seconds.
        partials: `(batch, time)`, zeros for noise alone.
        top_hz: Centre of the last band.
        sample_rate: Hz, of partials and noise.
        seed: Of the white noise.
    """
    n_fft = transform_length(sample_rate)
    hop = n_fft // OVERLAP
    n_samples = partials.shape[-1]
    white = torch.randn(n_samples + n_fft, generator=torch.Generator().manual_seed(seed)).to(levels.device)
    window = torch.hann_window(n_fft, device=levels.device)
    specgram = torch.stft(white, n_fft, hop, window=window, center=False, return_complex=True)
    at = (torch.arange(specgram.shape[-1], device=levels.device, dtype=torch.float64) * hop) / sample_rate
    hz = torch.arange(n_fft // 2 + 1, device=levels.device) * (sample_rate / n_fft)
    gain = interpolate(levels, times, at).float() @ band_shares(levels.shape[-1], top_hz, hz)
    gain = gain * math.sqrt(sample_rate / (2 * top_hz))  # the same power per Hz at any rate
    padded = torch.nn.functional.pad(partials, (n_fft // 2, n_fft // 2))  # frames centred as those of the noise
    sounding = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True).transpose(1, 2)
    sounding = sounding.real.square() + sounding.imag.square()  # (batch, hop, freq)
    power = gain.square() * window.square().sum()
    gain = gain * (power / (power + sounding + FLOOR**2))
    coloured = torch.fft.irfft(specgram.T * gain, n=n_fft) * window  # (batch, hop, time)
    total = (len(at) - 1) * hop + n_fft
    added = torch.nn.functional.fold(
        coloured.transpose(1, 2), output_size=(1, total), kernel_size=(1, n_fft), stride=(1, hop)
    )[:, 0, 0]
    norm = window.square().sum() / hop
    return added[:, n_fft // 2 : n_fft // 2 + n_samples] / norm
