"""The classic networks as data: which model, which sizes, which switches, and how the sizes divide into kernels.

The models are MuseGAN v3 (`v3`), the three of the AAAI-18 paper (`composer`, `jamming`, `hybrid`; arXiv 1709.06298)
and BinaryMuseGAN (`binary`; arXiv 1804.09399). Their kernels tile the roll, so a size must be a product of kernels;
sizes other than the published ones follow the rules below, and a size that cannot be tiled is refused by name.
"""

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from audiogan.errors import RecipeError
from audiogan.layers import Kernel, NormKind
from audiogan.pipelines.multitrack.binary import Neuron

Variant = Literal["v3", "composer", "jamming", "hybrid", "binary"]
PAPER_VARIANTS = ("composer", "jamming", "hybrid")
SEMITONES = 12


class ClassicConfig(BaseModel):
    """One classic model. Defaults are those of MuseGAN v3."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Variant = Field(default="v3", description="Which published model.")
    n_tracks: int = Field(default=5, ge=1, le=32, description="Tracks of a clip; 5 in MuseGAN, 8 in BinaryMuseGAN.")
    n_bars: int = Field(default=4, ge=1, le=64, description="Bars of a clip; 1 builds the one-bar models.")
    n_timesteps: int = Field(default=48, ge=1, le=1024, description="Timesteps of a bar; 48 in v3, 96 in the papers.")
    n_pitches: int = Field(default=84, ge=1, le=128, description="Pitches, whole octaves; 84 in every published model.")
    beat_resolution: int = Field(
        default=12, ge=1, le=96, description="Timesteps of a beat; 12 in v3, 24 in the papers."
    )
    z_dim: int = Field(default=128, ge=1, description="Size of z; of one bar's z in composer, jamming and hybrid.")
    given_track: int | None = Field(
        default=None, ge=0, description="Track that is given and kept; the others are generated."
    )
    main_stream: bool = Field(default=True, description="v3, binary: D reads the roll itself.")
    chroma_stream: bool = Field(default=True, description="v3, binary: D reads pitch classes per beat.")
    onset_stream: bool = Field(default=True, description="v3, binary: D reads where sound starts and ends.")
    order: Literal["both", "pitch_time", "time_pitch"] = Field(
        default="both",
        description="v3, binary: private networks that treat pitch first, time first, or one of each, merged.",
    )
    growth: Literal["beat_octave", "semitone_first", "step_first"] = Field(
        default="beat_octave",
        description="v3: what G unfolds first; the others are ablations (semitones or steps first).",
    )
    norm: NormKind = Field(default="batch", description="Normalisation in G, encoder and refiner.")
    neuron: Neuron | None = Field(
        default=None, description="Binary neurons at the output; left out: none in MuseGAN, deterministic in binary."
    )
    bar_pairs: Literal["each", "joined"] | None = Field(
        default=None,
        description="v3, binary: D's last layer scores each pair of neighbouring bars (usual in v3), or all pairs "
        "together (usual in binary).",
    )
    temporal: Literal["convolution", "recurrent"] = Field(
        default="convolution", description="composer, jamming, hybrid: how z becomes one vector per bar."
    )
    edition: Literal["code", "paper"] = Field(
        default="code",
        description="code: as the released programs count (v3: private branches of D see all tracks; one temporal "
        "generator for all tracks; one D in jamming). paper: as drawn (own track; one per track; one D per track).",
    )

    @model_validator(mode="after")
    def _check(self) -> "ClassicConfig":
        if self.n_pitches % SEMITONES:
            raise _misfit("n_pitches", self.n_pitches, f"a multiple of {SEMITONES} (whole octaves)")
        if self.n_timesteps % self.beat_resolution:
            raise _misfit("n_timesteps", self.n_timesteps, f"a multiple of beat_resolution {self.beat_resolution}")
        if self.given_track is not None and self.given_track >= self.n_tracks:
            raise _misfit("given_track", self.given_track, f"less than n_tracks {self.n_tracks}")
        if self.given_track is not None and self.n_tracks == 1:
            raise _misfit("n_tracks", self.n_tracks, "2 or more, since one track is given")
        if self.variant in PAPER_VARIANTS:
            self._check_paper()
        elif self.given_track is not None and self.growth != "beat_octave":
            raise _misfit("growth", self.growth, "'beat_octave' with a given track, whose encoder mirrors it")
        elif not (self.main_stream or self.chroma_stream or self.onset_stream):
            raise _misfit("main_stream", "false", "true, or chroma_stream or onset_stream true: D needs one stream")
        if self.variant == "binary":
            self._check_binary()
        return self

    def _check_paper(self) -> None:
        if self.n_timesteps % 4:
            raise _misfit("n_timesteps", self.n_timesteps, f"a multiple of 4 for {self.variant}")
        parts = {"composer": 2, "jamming": 2, "hybrid": 4}[self.variant]
        if self.z_dim % parts:
            raise _misfit("z_dim", self.z_dim, f"a multiple of {parts} for {self.variant}")

    def _check_binary(self) -> None:
        if self.growth != "beat_octave":
            raise _misfit("growth", self.growth, "'beat_octave' for binary; the others are ablations of v3")
        if self.output_neuron == "none":
            raise _misfit("neuron", "none", "'deterministic' or 'stochastic' for binary")
        if self.given_track is not None:
            raise _misfit("given_track", self.given_track, "none for binary; the other variants take one")

    @property
    def output_neuron(self) -> Neuron:
        """The binary neuron at the output."""
        return self.neuron or ("deterministic" if self.variant == "binary" else "none")

    @property
    def generated_tracks(self) -> tuple[int, ...]:
        """Numbers of the tracks that G makes, in order."""
        return tuple(track for track in range(self.n_tracks) if track != self.given_track)

    @property
    def low(self) -> float:
        """What silence is in the network's rolls; sound is 1.0."""
        return 0.0 if self.variant == "binary" else -1.0

    @property
    def joins_pairs(self) -> bool:
        """Whether D's last layer reads all pairs of neighbouring bars together."""
        return (self.bar_pairs or ("joined" if self.variant == "binary" else "each")) == "joined"

    @property
    def one_judge_per_track(self) -> bool:
        """Whether D is one network per track, each with its own logit."""
        return self.variant == "jamming" and self.edition == "paper"


def _misfit(name: str, found: object, expected: str) -> RecipeError:
    return RecipeError(f"`{name}: {found}` in model; expected {expected}.")


class Latents(NamedTuple):
    """Sizes of the parts of z, in the order in which they lie in it; a recurrent model has a varying part per bar.

    Args:
        shared_varying: One for all tracks, unfolded to a vector per bar.
        shared_fixed: One for all tracks, the same in every bar.
        track_varying: One per track, unfolded to a vector per bar.
        track_fixed: One per track, the same in every bar.
    """

    shared_varying: int
    shared_fixed: int
    track_varying: int
    track_fixed: int


def latents(config: ClassicConfig) -> Latents:
    """Return the sizes of the four parts of one bar's z; one-bar models and v3 have no varying part.

    Args:
        config: The model.
    """
    size, several = config.z_dim, config.n_bars > 1
    match config.variant:
        case "composer":
            return Latents(size // 2, size // 2, 0, 0) if several else Latents(0, size, 0, 0)
        case "jamming":
            return Latents(0, 0, size // 2, size // 2) if several else Latents(0, 0, 0, size)
        case "hybrid":
            return Latents(*[size // 4] * 4) if several else Latents(0, size // 2, 0, size // 2)
    return Latents(0, size, 0, 0)


def z_size(config: ClassicConfig) -> int:
    """Return the length of one example's whole z.

    Args:
        config: The model.
    """
    parts = latents(config)
    varying = config.n_bars if config.temporal == "recurrent" else 1
    n_tracks = len(config.generated_tracks)
    shared = parts.shared_varying * varying + parts.shared_fixed
    return shared + n_tracks * (parts.track_varying * varying + parts.track_fixed)


class Tiling(NamedTuple):
    """How v3 and binary divide a bar: timesteps = beats · parts · fine, octaves grown from `spans` in one step.

    Args:
        beats: Beats of a bar.
        parts: Parts of a beat that the shared layers resolve.
        fine: Timesteps of a part, resolved by the private layers.
        spans: Pitch regions before the octaves.
        reach: Octaves of a region.
        hop: Octaves from one region to the next.
    """

    beats: int
    parts: int
    fine: int
    spans: int
    reach: int
    hop: int

    @property
    def octaves(self) -> int:
        """Octaves of the roll."""
        return (self.spans - 1) * self.hop + self.reach

    @property
    def beat_kernel(self) -> Kernel:
        """From one cell to beats and pitch regions."""
        return (1, self.beats, self.spans)

    @property
    def part_kernel(self) -> Kernel:
        """From beats and regions to parts and octaves; overlaps by an octave when their number is odd."""
        return (1, self.parts, self.reach)

    @property
    def part_stride(self) -> Kernel:
        """Stride of `part_kernel`."""
        return (1, self.parts, self.hop)


def tiling(config: ClassicConfig) -> Tiling:
    """Return the division of v3 and binary: 48 = 4 · 4 · 3 and 7 octaves from 3 regions in the published size.

    Args:
        config: The model; its sizes have been checked.

    Example:
        >>> tiling(ClassicConfig())
        Tiling(beats=4, parts=4, fine=3, spans=3, reach=3, hop=2)
        >>> tiling(ClassicConfig(n_timesteps=16, n_pitches=72, beat_resolution=4))
        Tiling(beats=4, parts=2, fine=2, spans=3, reach=2, hop=2)
    """
    resolution, octaves = config.beat_resolution, config.n_pitches // SEMITONES
    divisors = [n for n in (4, 3, 2, 1) if resolution % n == 0]
    # The private layers come last and should not be left with nothing to resolve.
    parts = next((n for n in divisors if n < resolution), 1)
    if octaves == 1:
        spans, reach, hop = 1, 1, 1
    else:
        spans, reach, hop = octaves // 2, 2 + octaves % 2, 2
    if spans == 1:
        hop = reach
    return Tiling(config.n_timesteps // resolution, parts, resolution // parts, spans, reach, hop)


def bar_growth(n_timesteps: int) -> tuple[int, ...]:
    """Return the five time kernels by which a paper's bar generator grows 2 cells to a bar: 96 = 2 · 2·2·2·2·3.

    Args:
        n_timesteps: Timesteps of a bar, a multiple of 4.

    Example:
        >>> bar_growth(96), bar_growth(16)
        ((2, 2, 2, 2, 3), (1, 1, 2, 2, 2))
    """
    rest, factors, prime = n_timesteps // 2, [], 2
    while rest > 1:
        while rest % prime == 0:
            factors.append(prime)
            rest //= prime
        prime += 1
    while len(factors) > 5:
        factors = sorted([factors[0] * factors[1], *factors[2:]])
    return (*[1] * (5 - len(factors)), *factors)


def halving(length: int, kernel: int) -> int:
    """Return the kernel nearest above `kernel` with which a convolution of stride 2 leaves no cell of `length` out.

    Args:
        length: Cells along the axis.
        kernel: Published kernel.

    Example:
        >>> halving(24, 4), halving(9, 4), halving(2, 4)
        (4, 5, 2)
    """
    return min(length, kernel + (length - kernel) % 2)
