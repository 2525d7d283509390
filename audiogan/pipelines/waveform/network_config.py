"""The networks of the waveform pipeline as data: which kind, which sizes.

`residual` is the default; `style` has a mapping network and modulated layers; `classic` is GANSynth (arXiv 1902.08710).
What all three share, the tensor they draw and the range of pitches, is said by the recipe's `model:` section.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from audiogan.errors import RecipeError

MAX_WIDTH = 4096


class _SizesConfig(BaseModel):
    """What the networks that know timbre share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    z_dim: int = Field(default=128, ge=1, le=MAX_WIDTH, description="Values in z.")
    timbre_dim: int = Field(default=64, ge=1, le=MAX_WIDTH, description="Values in a timbre h.")
    width: int = Field(default=32, ge=8, le=MAX_WIDTH, description="Channels at full length; doubled per halving.")
    max_width: int = Field(default=192, ge=8, le=MAX_WIDTH, description="Channels are doubled up to this many.")
    encoder_width: int = Field(default=24, ge=8, le=MAX_WIDTH, description="`width` of the timbre encoder.")
    encoder_max_width: int = Field(default=96, ge=8, le=MAX_WIDTH, description="`max_width` of the timbre encoder.")
    depth: int = Field(default=1, ge=1, le=16, description="Blocks at every length; style: of the discriminator.")
    mapping_width: int = Field(default=256, ge=8, le=MAX_WIDTH, description="Values of the mapped condition, w.")
    mapping_depth: int = Field(default=2, ge=1, le=16, description="Dense layers from z and conditions to it.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_widths(self.width, self.max_width, "max_width")
        _check_widths(self.encoder_width, self.encoder_max_width, "encoder_max_width")
        return self


class ResidualConfig(_SizesConfig):
    """The default: residual blocks without normalisation, the condition as scale and shift of every block."""

    variant: Literal["residual"] = "residual"


class StyleConfig(_SizesConfig):
    """A mapping network and modulated convolutions (arXiv 1912.04958), without noise inputs."""

    variant: Literal["style"] = "style"


class ClassicConfig(BaseModel):
    """GANSynth as published (arXiv 1902.08710), grown stage by stage; defaults are those of its best model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Literal["classic"] = "classic"
    z_dim: int = Field(default=256, ge=1, le=MAX_WIDTH, description="Values in z.")
    n_blocks: int = Field(default=7, ge=1, le=10, description="Sizes on the way up, each twice the one before.")
    filters_base: int = Field(default=4096, ge=8, description="Filters of block b: this over 2^b, up to `filters_max`.")
    filters_max: int = Field(default=256, ge=2, le=MAX_WIDTH, description="Most filters of a block.")
    scale: Literal["both", "rows"] = Field(
        default="both", description="Axes that grow: both, or only the rows (frequencies)."
    )

    def filters(self, block: int) -> int:
        """Return the filters of a block, counted from 1."""
        return max(1, min(self.filters_max, self.filters_base // 2**block))

    def sizes(self, full: tuple[int, int]) -> list[tuple[int, int]]:
        """Return (row, frame) of every block, smallest first.

        Args:
            full: (row, frame) of the planes.

        Raises:
            RecipeError: An axis that grows cannot be halved often enough.
        """
        times = 2 ** (self.n_blocks - 1)
        if full[0] % times or (self.scale == "both" and full[1] % times):
            raise RecipeError(
                f"planes of {full[0]} rows and {full[1]} frames; expected multiples of {times} "
                f"for the {self.n_blocks} sizes of network.n_blocks"
            )
        factors = [2**block for block in reversed(range(self.n_blocks))]
        return [(full[0] // by, full[1] // by if self.scale == "both" else full[1]) for by in factors]

    @property
    def timbre_dim(self) -> int:
        """A classic model knows no timbre."""
        return 0


def _check_widths(width: int, most: int, name: str) -> None:
    if most < width:
        raise ValueError(f"{name} {most}; expected {width} or more, the width at full length")
