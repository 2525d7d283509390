"""The classic networks behind one door: build them, draw their z, make whole rolls, decide what sounds.

Rolls are `(batch, track, bar, timestep, pitch)`, one plane: a cell sounds or it does not. MuseGAN's lie in [-1, 1] and
BinaryMuseGAN's in [0, 1]. The networks are in `classic_v3`, `classic_paper` and `classic_binary`, sizes and switches in
`classic_config`, the training game in `classic_game`.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from audiogan.errors import RecipeError
from audiogan.pipelines.multitrack.classic_binary import BINARY_STD, BINARY_WIDTHS, BinaryGenerator, Refiner
from audiogan.pipelines.multitrack.classic_config import PAPER_VARIANTS, ClassicConfig, z_size
from audiogan.pipelines.multitrack.classic_paper import BarEncoder, PaperGenerator, PhraseDiscriminator
from audiogan.pipelines.multitrack.classic_streams import StreamsDiscriminator
from audiogan.pipelines.multitrack.classic_v3 import V3_STD, V3_WIDTHS, TrackEncoder, V3Generator

__all__ = ["ClassicConfig", "build_classic", "decide", "generate_rolls", "rolls_of", "z_from_uniform", "z_size"]


def build_classic(config: ClassicConfig) -> dict[str, nn.Module]:
    """Return the networks of a classic model, freshly started: generator, discriminator and what the model adds.

    A given track adds `encoder`; binary adds `refiner`. Weights come from torch's current generator.

    Args:
        config: Which model, in which size.
    """
    if config.variant in PAPER_VARIANTS:
        modules = {"generator": PaperGenerator(config), "discriminator": PhraseDiscriminator(config)}
        return modules if config.given_track is None else {**modules, "encoder": BarEncoder(config)}
    if config.variant == "binary":
        judge = StreamsDiscriminator(config, BINARY_WIDTHS, own_track=True, std=BINARY_STD)
        return {"generator": BinaryGenerator(config), "discriminator": judge, "refiner": Refiner(config)}
    judge = StreamsDiscriminator(config, V3_WIDTHS, own_track=config.edition == "paper", std=V3_STD)
    modules = {"generator": V3Generator(config), "discriminator": judge}
    return modules if config.given_track is None else {**modules, "encoder": TrackEncoder(config)}


def z_from_uniform(config: ClassicConfig, uniform: Tensor) -> Tensor:
    """Return z with the model's own law: normal cut at ±2 (v3), normal times 0.1 (paper), standard normal (binary).

    Args:
        config: The model.
        uniform: `(batch, z_size)`, uniform in [0, 1), for example from a `Moment`.
    """
    if config.variant == "v3":
        outside = 0.5 * math.erfc(2.0 / math.sqrt(2.0))
        return torch.special.ndtri(outside + (1.0 - 2.0 * outside) * uniform)
    z = torch.special.ndtri(uniform.clamp(1e-7, 1.0 - 1e-7))
    return 0.1 * z if config.variant in PAPER_VARIANTS else z


def rolls_of(planes: Tensor, config: ClassicConfig) -> Tensor:
    """Return what sounds as the model's rolls, `(batch, track, bar, timestep, pitch)`, silence `config.low`, sound 1.

    Args:
        planes: `(batch, plane, track, bar, timestep, pitch)`; planes 0 and 1 are onset and sustain in {0, 1}.
        config: The model.

    Raises:
        RecipeError: When the data have another shape than the model.
    """
    expected = (config.n_tracks, config.n_bars, config.n_timesteps, config.n_pitches)
    if tuple(planes.shape[2:]) != expected:
        raise RecipeError(
            f"rolls of (track, bar, timestep, pitch) {tuple(planes.shape[2:])} in the data; the model has {expected}."
        )
    return config.low + (1.0 - config.low) * torch.maximum(planes[:, 0], planes[:, 1])


def generate_rolls(
    modules: Mapping[str, nn.Module],
    config: ClassicConfig,
    z: Tensor,
    given: Tensor | None = None,
    *,
    refine: bool = True,
    slope: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return whole rolls `(batch, track, bar, timestep, pitch)` in [low, 1], the given track among them unchanged.

    Args:
        modules: What `build_classic` returned.
        config: The model.
        z: `(batch, z_size)`.
        given: `(batch, bar, timestep, pitch)` in [low, 1], for a model with a given track.
        refine: Whether a binary model's refiner runs; without it the rolls are probabilities.
        slope: Of the binary neurons' backward pass.
        generator: Draws of stochastic neurons.
    """
    if config.variant == "binary":
        rolls = modules["generator"](z)
        return modules["refiner"](rolls, slope, generator) if refine else rolls
    if config.given_track is None:
        return modules["generator"](z, None, slope, generator)
    assert given is not None, "this model is built to accompany a given track"
    rolls = modules["generator"](z, modules["encoder"](given), slope, generator)
    before, after = rolls[:, : config.given_track], rolls[:, config.given_track :]
    return torch.cat([before, given.unsqueeze(1), after], 1)


def decide(
    rolls: Tensor,
    config: ClassicConfig,
    how: Literal["threshold", "bernoulli"] = "threshold",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return which cells sound, boolean, of the same shape.

    Args:
        rolls: In [low, 1].
        config: The model.
        how: `threshold`: above the middle. `bernoulli`: with the probability that the value stands for, which leaves
            rolls that are already binary, and so a given track, as they are.
        generator: Draws of `bernoulli`; a CPU generator serves any device.
    """
    probability = (rolls - config.low) / (1.0 - config.low)
    if how == "threshold":
        return probability > 0.5
    device = rolls.device if generator is None else generator.device
    return probability > torch.rand(rolls.shape, generator=generator, device=device).to(rolls.device)
