"""New clips from the classic networks: whole clips from z, which is all that they offer.

Their one plane says what sounds, not where notes begin; a note starts where sound begins and is held while it lasts.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from audiogan.adversarial.game import seed_of
from audiogan.corpus.score import Score
from audiogan.errors import UnsupportedError
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.classic import decide, generate_rolls, z_from_uniform, z_size
from audiogan.pipelines.multitrack.classic_config import ClassicConfig
from audiogan.pipelines.multitrack.config import Config
from audiogan.pipelines.multitrack.filling import in_chunks, padded
from audiogan.representation.pianoroll import DEFAULT_VELOCITY, MAX_VELOCITY, decode


@torch.no_grad()
def generate_classic(
    model: Model, *, count: int, seed: int, bars: int | None, qpm: float, tracks: Sequence[str] | None
) -> list[Score]:
    """Make new clips of the model's own length and tracks.

    Raises:
        UnsupportedError: Another length or a choice of tracks is asked for, or the model accompanies a given track.
    """
    config: Config = model.config
    network = config.network
    assert isinstance(network, ClassicConfig)
    if bars not in (None, config.n_bars) or tracks is not None:
        raise UnsupportedError(f"a classic network makes clips of {config.n_bars} bars with all its tracks, no others")
    if network.given_track is not None:
        name = config.tracks[network.given_track].name
        raise UnsupportedError(f"this network accompanies a given {name} track; it makes no clips from nothing")
    z = torch.stack([_z(network, seed, number) for number in range(count)])
    device = next(model.modules["generator"].parameters()).device
    clips = []
    for run in in_chunks(count):
        generator = torch.Generator().manual_seed(seed_of(seed, "neurons", run.start))
        rolls = generate_rolls(model.modules, network, padded(z[run]).to(device), generator=generator)
        sounding = decide(rolls, network)[: len(z[run])].cpu()
        clips += [decode(clip, config.grid, config.roles, qpm=qpm) for clip in _planes(sounding)]
    return clips


def _z(network: ClassicConfig, seed: int, number: int) -> Tensor:
    """Z of one clip, within the bounds the papers sample from."""
    generator = torch.Generator().manual_seed(seed_of(seed, "z", number))
    return z_from_uniform(network, torch.rand(1, z_size(network), generator=generator))[0]


def _planes(sounding: Tensor) -> np.ndarray:
    """Read onset and sustain into `(batch, track, bar, timestep, pitch)` of what sounds: `(batch, 4, ...)`."""
    sounds = sounding.numpy() > 0.5
    flat = sounds.reshape(*sounds.shape[:2], -1, sounds.shape[-1])
    before = np.zeros_like(flat)
    before[:, :, 1:] = flat[:, :, :-1]
    planes = np.zeros((len(sounds), 4, *sounds.shape[1:]), dtype=np.float32)
    planes[:, 0] = (flat & ~before).reshape(sounds.shape)
    planes[:, 1] = (flat & before).reshape(sounds.shape)
    planes[:, 2] = DEFAULT_VELOCITY / MAX_VELOCITY
    return planes
