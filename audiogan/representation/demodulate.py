"""A note of known pitch as tracks of partials: the analysis half of `harmonic`.

Partial k is moved to 0 Hz and smoothed by a window (complex demodulation). Constant offsets of partials (strings are
stiff, bells are no strings) come from the peaks of one long spectrum. The instantaneous frequency, by the derivative of
the window (Auger and Flandrin 1995), tells which of the many advances of phase between two frames is the true one, so
that steps of tens of milliseconds do not alias. What the sum of partials leaves over is demodulated again and added,
which undoes most of the smearing by the window. At last phases are followed frame by frame within the range that the
planes can hold; an advance that does not fit is made up for in the next frames.
"""

import math

import torch
from torch import Tensor

from audiogan.representation.additive import block_length, sum_partials
from audiogan.representation.framing import interpolate_smoothly
from audiogan.representation.phase import wrap
from audiogan.representation.tracks import IN_TUNE, MAX_OFFSET, Tracks, largest_deviation

BAND_LIMIT = 0.475  # of the sample rate: partials above are left to the noise bands
PEAK_SECONDS = 2.0
AUDIBLE_DB = -50.0  # partials further below the loudest have no offset of their own
SILENT = 1.0e-4  # amplitude below which a partial's phase means nothing
REFINEMENTS = 2


def count_partials(f0: float, n_rows: int, sample_rate: int) -> int:
    """Return how many partials of a note there are.

    Example:
        >>> count_partials(440.0, 64, 16_000)
        17
    """
    return max(1, min(n_rows, int(BAND_LIMIT * sample_rate / f0)))


def find_peaks(waveform: Tensor, f0: float, n_partials: int, sample_rate: int) -> tuple[Tensor, Tensor]:
    """Find partials near multiples of `f0`.

    Args:
        waveform: `(time,)`.
        f0: Hz.
        n_partials: Partials.
        sample_rate: Hz.

    Returns:
        Offsets from k·f0 in units of f0, 0 where nothing is audible, and energies; `(partial,)` float64 each.
    """
    n = min(len(waveform), round(PEAK_SECONDS * sample_rate))
    fade = 0.5 + 0.5 * torch.cos(torch.arange(n, device=waveform.device) * (math.pi / n))
    n_fft = 1 << math.ceil(math.log2(2 * n))
    log_mag = torch.fft.rfft(waveform[:n] * fade, n_fft).abs().clamp(min=1e-12).log().double()
    bin_hz = sample_rate / n_fft
    k = torch.arange(1, n_partials + 1, device=waveform.device)
    width = math.ceil(2 * MAX_OFFSET * f0 / bin_hz)
    first = ((k - MAX_OFFSET) * (f0 / bin_hz)).ceil().long()
    cells = (first[:, None] + torch.arange(width, device=waveform.device)).clamp(1, len(log_mag) - 2)
    peak = log_mag[cells].argmax(dim=1, keepdim=True)
    at = cells.gather(1, peak)[:, 0]
    below, here, above = log_mag[at - 1], log_mag[at], log_mag[at + 1]
    curve = (below - 2 * here + above).clamp(max=-1e-9)
    shift = (0.5 * (below - above) / curve).clamp(-0.5, 0.5)
    offset = ((at + shift) * (bin_hz / f0) - k).clamp(-MAX_OFFSET, MAX_OFFSET)
    audible = (here > log_mag.max() + AUDIBLE_DB * math.log(10) / 20) & (here > math.log(1e-9))
    inside = (peak[:, 0] > 0) & (peak[:, 0] < width - 1)  # an edge is the flank of a neighbour
    return torch.where(audible & inside, offset, 0.0), torch.exp(2 * here)


def find_tuning(waveform: Tensor, f0: float, n_partials: int, sample_rate: int) -> float:
    """Return by which share of `f0` the note is off: the mean over its partials, low and loud ones first."""
    offset, energy = find_peaks(waveform, f0, n_partials, sample_rate)
    k = torch.arange(1, n_partials + 1, device=waveform.device)
    share = offset / k
    weight = energy / k.square() * (share.abs() < IN_TUNE)
    return float((weight * share).sum() / weight.sum().clamp(min=1e-30))


class Demodulator:
    """The amplitudes and phases of one set of frequencies at one set of times.

    Args:
        hz: `(partial,)` float64.
        times: `(frame,)` float64 seconds.
        window_seconds: Length of the Hann window.
        sample_rate: Hz.
    """

    def __init__(self, hz: Tensor, times: Tensor, *, window_seconds: float, sample_rate: int) -> None:
        self.half = max(2, round(window_seconds * sample_rate / 2))
        lag = torch.arange(-self.half, self.half + 1, device=hz.device, dtype=torch.float64)
        turn = lag[:, None] * (hz * (2 * math.pi / sample_rate))
        self.cos, self.sin = turn.cos(), turn.sin()
        angle = lag * (math.pi / self.half)
        self.window = 0.5 + 0.5 * angle.cos()
        self.slope = -0.5 * math.pi / self.half * sample_rate * angle.sin()  # of the window, per second
        self.centre = torch.round(times * sample_rate).long()
        late = times - self.centre / sample_rate  # frames need not lie on samples
        self.shift = torch.polar(torch.ones_like(turn[0]), late[:, None] * hz * (2 * math.pi))

    def __call__(self, waveform: Tensor, *, slope: bool = False) -> Tensor:
        """Return the complex amplitude of every partial, `(frame, partial)` complex128.

        Args:
            waveform: `(time,)`.
            slope: With the derivative of the window in place of the window.
        """
        weight = ((self.slope if slope else self.window) * (2 / self.window.sum()))[:, None]
        kernel = torch.cat((self.cos * weight, -self.sin * weight), dim=1).float()
        padded = torch.nn.functional.pad(waveform, (self.half, self.half + 1))
        windows = padded.unfold(0, 2 * self.half + 1, 1)[self.centre.clamp(max=len(waveform))]
        real, imag = (windows @ kernel).double().chunk(2, dim=1)
        return torch.complex(real, imag) * self.shift


def follow(phase: Tensor, advance: Tensor, largest: Tensor, sounding: Tensor) -> tuple[Tensor, Tensor]:
    """Follow phases from frame to frame by steps that the planes can hold.

    Args:
        phase: `(frame, partial)` radians that should be reached, any number of turns off.
        advance: `(frame - 1, partial)` radians from each frame to the next, turns included.
        largest: `(frame - 1, partial)` radians, the longest step.
        sounding: `(frame - 1, partial)` 1 where the partial sounds; elsewhere the step is 0.

    Returns:
        The phase at frame 0, `(partial,)`, and the steps, `(frame - 1, partial)`.
    """
    first = torch.cat((sounding, torch.ones_like(sounding[:1]))).argmax(dim=0)
    start = here = phase.gather(0, first[None])[0]
    steps = []
    for target, step, bound, on in zip(phase, advance, largest, sounding, strict=False):
        step = torch.clamp(step + wrap(target - here), -bound, bound) * on
        here = here + step
        steps.append(step)
    return start, torch.stack(steps)


def analyze(
    waveform: Tensor, f0: float, times: Tensor, *, n_partials: int, window_seconds: float, sample_rate: int
) -> tuple[Tracks, Tensor]:
    """Return the partials of a note, without noise bands, and what they leave over of the waveform.

    Args:
        waveform: `(time,)` float32.
        f0: Hz, the pitch that was played; offsets are from its multiples and partial 1 has none.
        times: `(frame,)` float64 seconds.
        n_partials: Partials.
        window_seconds: Analysis window.
        sample_rate: Hz.

    Returns:
        Tracks of one note with an empty band axis, and the residual `(time,)`.
    """
    offset, _ = find_peaks(waveform, f0, n_partials, sample_rate)
    offset[0] = 0.0
    k = torch.arange(1, n_partials + 1, device=waveform.device)
    hz = (k + offset) * f0
    demodulate = Demodulator(hz, times, window_seconds=window_seconds, sample_rate=sample_rate)
    carrier = times[:, None] * hz * (2 * math.pi)
    steps = torch.diff(times)[:, None]
    found = demodulate(waveform)
    guide = _guide(found, demodulate(waveform, slope=True), steps)
    block = block_length(sample_rate)
    edges = torch.arange(math.ceil(len(waveform) / block) + 1, device=times.device, dtype=torch.float64)
    edges = edges * (block / sample_rate)

    def sound(amplitude: Tensor, drift: Tensor) -> Tensor:
        phase = interpolate_smoothly(drift, times, edges) + edges[:, None] * hz * (2 * math.pi)
        level = interpolate_smoothly(amplitude, times, edges, monotone=True)
        return sum_partials(phase[None], level[None], block=block)[0, : len(waveform)]

    for _ in range(REFINEMENTS):
        drift = _unwrapped(wrap(found.angle() - carrier), guide)
        found = found + demodulate(waveform - sound(found.abs(), drift))
    amplitude = found.abs()
    relative = wrap(found.angle() - carrier)
    sounding = (torch.maximum(amplitude[1:], amplitude[:-1]) > SILENT).double()
    largest = largest_deviation(times, torch.tensor([f0], device=times.device), n_partials)[0, :-1]
    advance = guide + wrap(torch.diff(relative, dim=0) - guide)
    start, moves = follow(relative, advance, largest * steps * (2 * math.pi), sounding)
    drift = torch.cat((start[None], start + moves.cumsum(0)))
    deviation = moves / steps / (2 * math.pi)
    tracks = Tracks(
        times,
        amplitude=amplitude.float()[None],
        deviation=torch.cat((deviation, deviation[-1:]))[None],
        offset=offset[None],
        phase=start[None],
        noise=torch.zeros(1, len(times), 0, device=waveform.device),
        tuning=torch.zeros(1, device=waveform.device),
    )
    return tracks, waveform - sound(amplitude, drift)


def _guide(found: Tensor, slope: Tensor, steps: Tensor) -> Tensor:
    """Advance of the relative phase between frames by the instantaneous frequency at both, `(frame - 1, partial)`."""
    inst_freq = -(slope / torch.where(found.abs() > 1e-9, found, 1e-9)).imag  # rad/s above the partial's frequency
    inst_freq = inst_freq.clamp(-1000 * math.pi, 1000 * math.pi)
    guide = (inst_freq[1:] + inst_freq[:-1]) / 2 * steps
    return torch.where(torch.minimum(found[1:].abs(), found[:-1].abs()) > SILENT, guide, 0.0)


def _unwrapped(relative: Tensor, guide: Tensor) -> Tensor:
    """Phases whose advances are the nearest to `guide`, `(frame, partial)`."""
    advance = guide + wrap(torch.diff(relative, dim=0) - guide)
    return torch.cat((relative[:1], relative[:1] + advance.cumsum(0)))
