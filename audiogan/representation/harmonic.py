"""A note as partials of its pitch and bands of noise: the default representation.

Rows are partials, not frequencies, so that notes of all pitches look alike, and the pitch is an input of `decode`: a
note is in tune by construction, and a vibrato or another tuning is another pitch curve. `demodulate` finds the
partials, `noisebands` what they leave over, `tracks` says how both become planes, `additive` sounds them. Sinusoids
plus noise after Serra and Smith (1990); one network for all pitches as in DDSP (arXiv 2001.04643), but with the phases
kept. What it does not hold: other notes at the same time, and noises shorter than its window.
"""

import math

import torch
from torch import Tensor

from audiogan.errors import UsageError
from audiogan.representation.additive import block_length, sum_partials
from audiogan.representation.base import HarmonicConfig
from audiogan.representation.demodulate import BAND_LIMIT, analyze, count_partials, find_tuning
from audiogan.representation.framing import frame_times, interpolate, interpolate_smoothly
from audiogan.representation.noisebands import measure, shaped_noise
from audiogan.representation.sustain import extend, fade
from audiogan.representation.tracks import Tracks, frequency_ratio, from_planes, to_planes, tune

PERIODS = 3.0  # of the fundamental in a window, unless that is shorter than the least window
TOP = 0.49  # of the sample rate: partials fade out from BAND_LIMIT to here
N_PLANES = 3
LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000


class Harmonic:
    """Planes `(3, row, 1 + frame)`, as `tracks` describes them.

    Args:
        config: The recipe's section.
        sample_rate: Hz.
        seconds: Length of a note.
    """

    name: str = "harmonic"

    def __init__(self, config: HarmonicConfig, *, sample_rate: int, seconds: float) -> None:
        self.sample_rate = sample_rate
        self.n_samples = round(seconds * sample_rate)
        self.n_rows = config.n_rows
        self.shape: tuple[int, int, int] = (N_PLANES, config.n_rows, 1 + config.n_frames)
        self.least_window_seconds = config.least_window_seconds
        self.times = frame_times(
            config.n_frames,
            seconds,
            first_hop_seconds=config.first_hop_seconds,
            grow_frames=config.grow_frames,
        )

    # ---- encode

    @torch.no_grad()
    def encode(self, waveform: Tensor, f0: Tensor) -> Tensor:
        """Return `(..., 3, row, 1 + frame)` float32 in [-1, 1].

        The true pitch is measured within half a semitone of `f0` and kept as the note's tuning.

        Args:
            waveform: `(..., time)` at `sample_rate`, within [-1, 1]; padded with silence or cut to `n_samples`.
            f0: `(...)` Hz.
        """
        waveform = waveform[..., : self.n_samples].float()
        waveform = torch.nn.functional.pad(waveform, (0, self.n_samples - waveform.shape[-1]))
        notes, pitches = waveform.reshape(-1, self.n_samples), f0.reshape(-1).tolist()
        planes = [self._encode_one(note, pitch) for note, pitch in zip(notes, pitches, strict=True)]
        return self.apply_mask(torch.stack(planes).reshape(*waveform.shape[:-1], *self.shape), f0)

    def _encode_one(self, waveform: Tensor, f0: float) -> Tensor:
        """`(3, row, 1 + frame)` of `(time,)`."""
        times = self.times.to(waveform.device)
        n_partials = count_partials(f0, self.n_rows, self.sample_rate)
        played = f0 * (1 + find_tuning(waveform, f0, n_partials, self.sample_rate))
        tracks, residual = analyze(
            waveform,
            played,
            times,
            n_partials=n_partials,
            window_seconds=max(PERIODS / played, self.least_window_seconds),
            sample_rate=self.sample_rate,
        )
        noise = measure(residual, times, n_bands=self.n_rows, sample_rate=self.sample_rate)
        pad = (0, self.n_rows - n_partials)
        tracks = Tracks(
            times,
            amplitude=torch.nn.functional.pad(tracks.amplitude, pad),
            deviation=torch.nn.functional.pad(tracks.deviation, pad),
            offset=torch.nn.functional.pad(tracks.offset, pad),
            phase=torch.nn.functional.pad(tracks.phase, pad),
            noise=noise[None],
            tuning=torch.tensor([12 * math.log2(played / f0)], device=waveform.device),
        )
        return to_planes(tracks, torch.tensor([played], device=waveform.device))[0]

    # ---- decode

    def decode(
        self,
        planes: Tensor,
        f0: Tensor,
        *,
        cents: Tensor | None = None,
        sample_rate: int | None = None,
        seed: int = 0,
        keep_tuning: bool = False,
    ) -> Tensor:
        """Return `(..., time)` float32; see `Representation.decode`. Differentiable in `planes`.

        Args:
            planes: `(..., 3, row, 1 + frame)`; values outside [-1, 1] count as -1 or 1.
            f0: `(...)` Hz.
            cents: `(..., point)` deviation from `f0`, points spread evenly over the note.
            sample_rate: Hz, 8000 to 192000; above the representation's own nothing is added to the sound.
            seed: Of the noise.
            keep_tuning: Sound as far from `f0` as the encoded note was, instead of exactly there.
        """
        rate = self._checked_rate(sample_rate)
        tracks, pitch = self.read(planes, f0, keep_tuning=keep_tuning)
        n_samples = round(self.n_samples * rate / self.sample_rate)
        waveform = self._sound(tracks, pitch, _rows(cents, f0), rate, n_samples, seed)
        return waveform.reshape(*f0.shape, n_samples)

    def extend(
        self,
        planes: Tensor,
        f0: Tensor,
        seconds: float,
        *,
        release: float = 0.3,
        cents: Tensor | None = None,
        sample_rate: int | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Return `(..., time)` float32 of notes held for `seconds` and released: any length, shorter or longer.

        What comes after the stable part of the note is that part again and again, quieter at the rate at which it
        decayed; see `sustain`.

        Args:
            planes, f0, sample_rate, seed: As `decode` takes them.
            seconds: From the onset to the release, above 0.
            release: Seconds from there to silence.
            cents: `(..., point)`, over the whole length.

        Raises:
            UsageError: For a length that is not above 0.
        """
        if not (0 < seconds < math.inf and 0 <= release < math.inf):
            raise UsageError(f"a note of {seconds} s with a release of {release} s; expected more than 0 s")
        rate = self._checked_rate(sample_rate)
        tracks, pitch = self.read(planes, f0)
        n_samples = max(1, math.ceil((seconds + release) * rate))
        tracks = extend(tracks, seconds + release)
        waveform = self._sound(tracks, pitch, _rows(cents, f0), rate, n_samples, seed)
        waveform = waveform * fade(n_samples, rate, held=seconds, release=release).to(waveform)
        return waveform.reshape(*f0.shape, n_samples)

    def read(self, planes: Tensor, f0: Tensor, *, keep_tuning: bool = False) -> tuple[Tracks, Tensor]:
        """Return the tracks that planes stand for, in tune, and the pitches `(batch,)` Hz at which they sound.

        Args:
            planes: `(..., 3, row, 1 + frame)`.
            f0: `(...)` Hz.
            keep_tuning: See `decode`.
        """
        assert planes.shape[-3:] == self.shape, f"planes are {tuple(planes.shape[-3:])}, expected {self.shape}"
        planes = self.apply_mask(planes.float(), f0).reshape(-1, *self.shape)
        pitch = f0.reshape(-1).double()
        tracks = from_planes(planes, pitch, self.times.to(planes.device))
        if keep_tuning:
            return tracks, pitch * frequency_ratio(tracks.tuning)
        return tune(tracks, pitch), pitch

    def _checked_rate(self, sample_rate: int | None) -> int:
        """The rate to sound at, or an error."""
        rate = self.sample_rate if sample_rate is None else sample_rate
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise UsageError(f"sample rate {rate} Hz; expected {LOWEST_RATE} to {HIGHEST_RATE}")
        return rate

    def _sound(
        self, tracks: Tracks, f0: Tensor, cents: Tensor | None, sample_rate: int, n_samples: int, seed: int
    ) -> Tensor:
        """`(batch, time)`, note by note, because notes have different numbers of partials and blocks are large."""
        notes = []
        for index, pitch in enumerate(f0):
            one = tracks.note(index)
            n_partials = count_partials(float(pitch), self.n_rows, self.sample_rate)
            curve = None if cents is None else cents[index]
            partials = sum_tracks(one.first(n_partials), pitch, curve, sample_rate=sample_rate, n_samples=n_samples)
            noise = shaped_noise(
                one.noise, one.times, partials, top_hz=self.sample_rate / 2, sample_rate=sample_rate, seed=seed
            )
            notes.append(partials + noise)
        return torch.cat(notes) if notes else tracks.amplitude.new_zeros(0, n_samples)

    # ---- mask

    def mask(self, f0: Tensor) -> Tensor:
        """Return `(..., 3, row, 1)` float32: 0 where partials lie above the band, else 1; noise bands always count."""
        row = torch.arange(1, self.n_rows + 1, device=f0.device)
        highest = (BAND_LIMIT * self.sample_rate / f0.double()).floor().clamp(min=1)
        partials = (row <= highest[..., None]).float()
        return torch.stack((partials, partials, torch.ones_like(partials)), dim=-2)[..., None]

    def apply_mask(self, planes: Tensor, f0: Tensor) -> Tensor:
        """Return planes with what is masked at its constant: amplitude -1, deviation and the head 0.

        Args:
            planes: `(..., 3, row, 1 + frame)`.
            f0: `(...)` Hz.
        """
        mask = self.mask(f0).to(planes)
        head = planes[..., :1] * mask[..., :1, :, :]
        silence = planes.new_tensor([-1.0, 0.0, 0.0])[:, None, None]
        return torch.cat((head, torch.where(mask > 0, planes[..., 1:], silence)), dim=-1)


def _rows(cents: Tensor | None, f0: Tensor) -> Tensor | None:
    """`(batch, point)` of `(..., point)`."""
    return None if cents is None else cents.expand(*f0.shape, cents.shape[-1]).reshape(-1, cents.shape[-1])


def sum_tracks(tracks: Tracks, f0: Tensor, cents: Tensor | None, *, sample_rate: int, n_samples: int) -> Tensor:
    """Return the partials of one note as `(1, time)`; phases add up in fp64.

    Args:
        tracks: A batch of one.
        f0: Hz, a scalar.
        cents: `(point,)` or None; see `Harmonic.decode`.
        sample_rate: Hz.
        n_samples: Length.
    """
    block = block_length(sample_rate)
    step = block / sample_rate
    edges = torch.arange(math.ceil(n_samples / block) + 1, device=f0.device, dtype=torch.float64) * step
    if cents is None:
        ratio, elapsed = torch.ones_like(edges), edges
    else:
        points = torch.linspace(0, n_samples / sample_rate, max(2, len(cents)), device=f0.device, dtype=torch.float64)
        curve = cents.double().expand(len(points)) if len(cents) == 1 else cents.double()
        ratio = frequency_ratio(interpolate(curve[:, None], points, edges)[:, 0] / 100)
        elapsed = torch.nn.functional.pad(((ratio[1:] + ratio[:-1]) * (step / 2)).cumsum(0), (1, 0))
    k = torch.arange(1, tracks.offset.shape[-1] + 1, device=f0.device)
    hz = (k + tracks.offset[0].double()) * f0.double()
    cycles = (tracks.deviation[0].double() * tracks.steps[:, None])[:-1].cumsum(0)
    cycles = torch.nn.functional.pad(cycles, (0, 0, 1, 0))
    turns = interpolate_smoothly(cycles, tracks.times, edges) + elapsed[:, None] * hz
    phase = tracks.phase[0].double() + 2 * math.pi * turns
    room = (TOP - ratio[:, None] * hz / sample_rate) / (TOP - BAND_LIMIT)
    amplitude = interpolate_smoothly(tracks.amplitude[0], tracks.times, edges, monotone=True)
    amplitude = amplitude * room.clamp(0, 1)
    return sum_partials(phase[None], amplitude[None], block=block)[:, :n_samples]
