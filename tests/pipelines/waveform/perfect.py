"""Networks that cannot be better: a generator that plays the held-out instruments, and an encoder that knows them."""

import numpy as np
import torch
from torch import Tensor, nn

from audiogan.corpus.notes import hz_of
from audiogan.pipelines.waveform.encoder import TimbreEncoder
from audiogan.pipelines.waveform.held_out import HeldOut
from audiogan.pipelines.waveform.network_config import ClassicConfig
from audiogan.pipelines.waveform.plan import plan_of
from tests.pipelines.waveform.instruments import CONFIG, HELD, play


class Player(nn.Module):
    """Plays the held-out instruments; the largest of the first values of h, or of z without it, says which one."""

    def forward(self, z: Tensor, h: Tensor | None, pitch: Tensor, velocity: Tensor, keep: Tensor | None) -> Tensor:
        code = (z if h is None else h)[:, : len(HELD)].argmax(dim=1).tolist()
        facts = zip(code, pitch.tolist(), velocity.tolist(), strict=True)
        sounds = torch.from_numpy(np.stack([play(HELD[number], key, level) for number, key, level in facts]))
        return CONFIG.represent().encode(sounds, torch.tensor([hz_of(key) for key in pitch.tolist()]))


class Knower(TimbreEncoder):
    """Knows the held-out notes and names their instrument."""

    def __init__(self, held: HeldOut) -> None:
        plan = plan_of(CONFIG.represent(), CONFIG.lowest_pitch, CONFIG.highest_pitch)
        assert not isinstance(CONFIG.network, ClassicConfig)
        super().__init__(plan, CONFIG.network)
        self.planes = torch.from_numpy(held.planes.astype(np.float32)).flatten(1)
        self.instrument = [HELD.index(held.instruments[number]) for number in held.groups]

    def forward(self, planes: Tensor, pitch: Tensor) -> Tensor:
        nearest = torch.cdist(planes.flatten(1), self.planes).argmin(dim=1).tolist()
        return nn.functional.one_hot(torch.tensor([self.instrument[place] for place in nearest]), 8).float()
