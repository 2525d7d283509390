"""One door to every way of holding a note as a tensor: the protocol, the recipe's sections, the normaliser.

A representation turns a waveform of fixed length into planes over (row, frame) and back; `representation_of` builds the
one that a recipe names. Rows are partials for `harmonic` and frequencies for the spectrograms. The classes themselves
lie in `harmonic` and `specgram`, which are imported when they are first asked for.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

DEFAULT_SAMPLE_RATE = 44_100
DEFAULT_SECONDS = 4.0
SPREAD = 0.5  # standard deviation that a fitted normaliser gives each plane


class Representation(Protocol):
    """A way to hold a note as planes, and to sound it again."""

    name: str  # the recipe's `kind`
    sample_rate: int  # Hz
    n_samples: int  # length that `encode` takes and `decode` gives
    shape: tuple[int, int, int]  # (plane, row, frame)

    def encode(self, waveform: Tensor, f0: Tensor) -> Tensor:
        """Return planes of waveforms.

        Args:
            waveform: `(..., time)` float32 at `sample_rate`; padded with silence or cut to `n_samples`.
            f0: `(...)` Hz, fundamental frequency.

        Returns:
            `(..., plane, row, frame)` float32 in [-1, 1].
        """
        ...

    def decode(
        self, planes: Tensor, f0: Tensor, *, cents: Tensor | None = None, sample_rate: int | None = None, seed: int = 0
    ) -> Tensor:
        """Return waveforms of planes.

        Args:
            planes: `(..., plane, row, frame)`, any values.
            f0: `(...)` Hz.
            cents: `(..., point)` deviation from `f0`, points spread evenly from the first to the last sample.
            sample_rate: Hz, of the waveform returned; the representation's own without it.
            seed: For what is random in the sound.

        Returns:
            `(..., time)` float32.

        Raises:
            UnsupportedError: `cents` or `sample_rate` where the representation has no such freedom.
        """
        ...

    def mask(self, f0: Tensor) -> Tensor:
        """Return `(..., plane, row, 1)` float32: 1 where values mean something at this pitch, else 0."""
        ...


class HarmonicConfig(BaseModel):
    """Partials of a known pitch, with noise bands: the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["harmonic"] = "harmonic"
    n_rows: int = Field(default=64, ge=8, le=256, description="Most partials of a note, and noise bands.")
    n_frames: int = Field(default=160, ge=8, le=2048, description="Frames of a note.")
    first_hop_seconds: float = Field(
        default=0.004, ge=0.001, le=0.1, description="Step between the first frames; steps grow until even."
    )
    grow_frames: int = Field(default=24, ge=0, le=2048, description="Frames over which the step grows.")
    least_window_seconds: float = Field(default=0.016, ge=0.002, le=0.2, description="Shortest analysis window.")

    @model_validator(mode="after")
    def _check(self) -> "HarmonicConfig":
        if self.grow_frames >= self.n_frames:
            raise ValueError(f"grow_frames {self.grow_frames}; expected fewer than n_frames {self.n_frames}")
        return self


class SpectrogramConfig(BaseModel):
    """GANSynth's spectrograms (arXiv 1902.08710) and their relatives: all notes on one frequency axis."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mel_if", "lin_if", "mag_pghi", "complex_stft"] = "lin_if"
    n_fft: int = Field(default=2048, ge=64, le=8192, description="Window and transform; half of it are the rows.")
    hop_length: int = Field(default=512, ge=16, le=4096, description="Samples between frames.")

    @model_validator(mode="after")
    def _check(self) -> "SpectrogramConfig":
        if self.n_fft % 2 or self.n_fft % self.hop_length or self.n_fft < 4 * self.hop_length:
            raise ValueError(
                f"n_fft {self.n_fft}, hop_length {self.hop_length}; expected an even n_fft, a multiple of hop_length, "
                "at least 4 times as long"
            )
        return self


RepresentationConfig = Annotated[HarmonicConfig | SpectrogramConfig, Field(discriminator="kind")]


def representation_of(
    config: HarmonicConfig | SpectrogramConfig,
    *,
    sample_rate: int = DEFAULT_SAMPLE_RATE,
    seconds: float = DEFAULT_SECONDS,
) -> Representation:
    """Build the representation that `config` names.

    Args:
        config: The recipe's `model.representation`.
        sample_rate: Hz.
        seconds: Length of a note.

    Example:
        >>> representation_of(SpectrogramConfig(kind="lin_if"), sample_rate=16_000).shape
        (2, 1024, 128)
    """
    if isinstance(config, HarmonicConfig):
        from audiogan.representation.harmonic import Harmonic

        return Harmonic(config, sample_rate=sample_rate, seconds=seconds)
    from audiogan.representation.specgram import spectrogram_of

    return spectrogram_of(config, sample_rate=sample_rate, seconds=seconds)


class Normalizer:
    """An affine map per plane, or per plane and row, so that a network sees values of one size.

    Args:
        scale, shift: `(plane, 1 or row, 1)`; normalised = planes x scale + shift.
    """

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        assert scale.shape == shift.shape and scale.ndim == 3, "scale and shift are (plane, row, 1)"
        self.scale, self.shift = scale.float(), shift.float()

    @classmethod
    def identity(cls, n_planes: int) -> "Normalizer":
        """Return the map that changes nothing."""
        return cls(torch.ones(n_planes, 1, 1), torch.zeros(n_planes, 1, 1))

    @classmethod
    def fit(
        cls, batches: Iterable[tuple[Tensor, Tensor]], *, per_row: bool = False, spread: float = SPREAD
    ) -> "Normalizer":
        """Fit mean and deviation, so that every plane gets mean 0 and standard deviation `spread`.

        Args:
            batches: Pairs of planes `(batch, plane, row, frame)` and their mask `(batch, plane, row, 1)`; what is
                masked does not count.
            per_row: One map per row instead of one per plane.
            spread: Standard deviation afterwards.

        Example:
            >>> planes = torch.arange(8.0).reshape(1, 1, 2, 4)
            >>> fitted = Normalizer.fit([(planes, torch.ones(1, 1, 2, 1))])
            >>> round(float(fitted.normalize(planes).std(correction=0)), 3)
            0.5
        """
        axes = (0, 3) if per_row else (0, 2, 3)
        count = total = square = torch.zeros((), dtype=torch.float64)
        for planes, mask in batches:
            weight = mask.double().expand_as(planes)
            count = count + weight.sum(axes, keepdim=True)[0]
            total = total + (weight * planes.double()).sum(axes, keepdim=True)[0]
            square = square + (weight * planes.double().square()).sum(axes, keepdim=True)[0]
        assert count.ndim == 3, "at least one batch is needed"
        mean = total / count.clamp(min=1)
        deviation = (square / count.clamp(min=1) - mean.square()).clamp(min=0).sqrt()
        scale = torch.where(deviation > 1e-6, spread / deviation.clamp(min=1e-6), torch.ones_like(deviation))
        return cls(scale, -mean * scale)

    def normalize(self, planes: Tensor) -> Tensor:
        """Return `(..., plane, row, frame)` as a network sees it."""
        return planes * self.scale.to(planes) + self.shift.to(planes)

    def denormalize(self, planes: Tensor) -> Tensor:
        """Return what `normalize` was given."""
        return (planes - self.shift.to(planes)) / self.scale.to(planes)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors to store in a checkpoint."""
        return {"scale": self.scale.clone(), "shift": self.shift.clone()}

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor]) -> "Normalizer":
        """Build from what `state_dict` gave."""
        return cls(state["scale"], state["shift"])
