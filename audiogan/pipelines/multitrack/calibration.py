"""Make a generator write as many notes, as long, as the songs it learnt from.

Codes between those of real cells decode to weaker logits, so a generator whose codes are nearly right writes music that
is too thin. One offset per plane and track, found after training on the training songs alone, sets that right: with it
the expected number of onsets and of held timesteps is that of the corpus. Given cells and the user's own clips are not
touched. In spirit the bias correction of a classifier whose classes were seen in other proportions (arXiv 2007.07314).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from audiogan.pipelines.multitrack.config import CellsConfig, Config
from audiogan.pipelines.multitrack.dataset import Clips
from audiogan.pipelines.multitrack.filling import decode_clips, generate_codes, z_for
from audiogan.pipelines.multitrack.home import learn_keys
from audiogan.pipelines.multitrack.networks import Generator

MAX_OFFSET = 4.0
N_HALVINGS = 12


def held(onset: Tensor, sustain: Tensor) -> Tensor:
    """Which cells continue a note.

    Args:
        onset, sustain: `(..., timestep, pitch)` bool.

    Returns:
        The sustain cells with a note sounding right before them, same shape.
    """
    going = torch.zeros_like(onset[..., 0, :])
    kept = []
    for step in range(onset.shape[-2]):
        continued = sustain[..., step, :] & going & ~onset[..., step, :]
        kept.append(continued)
        going = onset[..., step, :] | continued
    return torch.stack(kept, dim=-2)


def counts(onset: Tensor, sustain: Tensor) -> tuple[Tensor, Tensor]:
    """Onsets and held cells per clip of each track, `(track,)`, of bool `(clip, track, timestep, pitch)`."""
    n_clips = len(onset)
    return onset.sum(dim=(0, 2, 3)) / n_clips, held(onset, sustain).sum(dim=(0, 2, 3)) / n_clips


@torch.no_grad()
def calibrate(
    modules: Mapping[str, nn.Module], config: Config, clips: Clips, *, n_clips: int = 256, seed: int = 0
) -> None:
    """Set the generator's `calibration` so that new clips hold as much as training clips do.

    Args:
        modules: Decoder and generator, in evaluation mode; the generator is changed.
        config: Grid and tracks.
        clips: Training clips.
        n_clips: Clips to count on either side.
        seed: Decides which.
    """
    generator = modules["generator"]
    assert isinstance(generator, Generator)
    chosen = torch.linspace(0, len(clips) - 1, min(n_clips, len(clips))).long().tolist()
    real = clips.fetch(chosen, chosen)["roll"].flatten(3, 4) > 0  # (clip, 2, track, timestep, pitch)
    wanted = counts(real[:, 0], real[:, 1])
    z = torch.stack([z_for(generator.z_dim, seed, "calibrate", number) for number in range(n_clips)])
    shape = (n_clips, len(config.roles), config.n_bars)
    codes = generate_codes(modules, z, torch.zeros(*shape, generator.code_dim), torch.zeros(shape))
    logits = decode_clips(modules, codes)[0].flatten(3, 4)
    onset = _search(lambda offset: counts(logits[:, 0] > -offset, logits[:, 1] > 0)[0], wanted[0])
    sounds = logits[:, 0] > -onset.view(1, -1, 1, 1)
    sustain = _search(lambda offset: counts(sounds, logits[:, 1] > -offset)[1], wanted[1])
    generator.calibration.copy_(torch.stack([onset, sustain]))


def _search(count: Callable[[Tensor], Tensor], wanted: Tensor) -> Tensor:
    """Find the offset of each track at which a growing `count` reaches `wanted`, `(track,)`, by halving."""
    low, high = torch.full_like(wanted, -MAX_OFFSET), torch.full_like(wanted, MAX_OFFSET)
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        enough = count(middle.view(1, -1, 1, 1)) >= wanted
        high, low = torch.where(enough, middle, high), torch.where(enough, low, middle)
    return (low + high) / 2


def finish(modules: Mapping[str, nn.Module], config: Config, clips: Clips, *, seed: int) -> None:
    """Do what remains after training: keys and calibration of the generator; the classic networks stay as they are."""
    if isinstance(config.network, CellsConfig):
        learn_keys(modules["generator"], config, clips)
        calibrate({name: module.eval() for name, module in modules.items()}, config, clips, seed=seed)
