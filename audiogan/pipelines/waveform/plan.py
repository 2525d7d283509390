"""What every network must know of the tensor it draws or judges: its shape, which cells mean something, their scale.

`harmonic` planes are a line of frames whose channels are planes times rows, after one head column that holds what a
note has once; spectrograms are pictures of (row, frame). Networks work on normalised planes, in which cells that mean
nothing at a pitch are 0. `Sheet` goes between those and the planes of the representation, in both directions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiogan.representation.base import Normalizer, Representation

A4_HZ, A4_PITCH = 440.0, 69.0


def hertz(pitch: Tensor) -> Tensor:
    """Return frequencies in Hz of MIDI pitches, which need not be whole, of the same shape."""
    return A4_HZ * torch.exp2((pitch - A4_PITCH) / 12.0)


def midi_pitch(f0: Tensor) -> Tensor:
    """Return MIDI pitches of frequencies in Hz, of the same shape: the inverse of `hertz`."""
    return A4_PITCH + 12.0 * torch.log2(f0 / A4_HZ)


@dataclass(frozen=True)
class Plan:
    """The tensor that networks draw and judge.

    Args:
        shape: (plane, row, frame), the head column included.
        head: Whether the first column is a head and the rest a line of frames; else a picture.
        pitches: Lowest and highest MIDI pitch.
        mask: From f0 `(batch,)` in Hz to `(batch, plane, row, 1)`.
        empty: `(plane, row, frame)`, the planes of silence.
    """

    shape: tuple[int, int, int]
    head: bool
    pitches: tuple[int, int]
    mask: Callable[[Tensor], Tensor]
    empty: Tensor

    @property
    def n_pitches(self) -> int:
        """Keys from the lowest to the highest pitch."""
        return self.pitches[1] - self.pitches[0] + 1

    @property
    def n_channels(self) -> int:
        """Channels of a line of frames, or of a picture."""
        return self.shape[0] * self.shape[1] if self.head else self.shape[0]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Sizes of the axes that a convolution runs over."""
        return (self.shape[2] - 1,) if self.head else self.shape[1:]

    @property
    def kernel(self) -> tuple[int, ...]:
        """Kernel of a convolution: 5 frames, or 3 x 3 cells."""
        return (5,) if self.head else (3, 3)

    @property
    def point(self) -> tuple[int, ...]:
        """Kernel of a layer that mixes channels only."""
        return (1,) * len(self.lengths)

    @property
    def n_values(self) -> int:
        """Values of one example."""
        return self.shape[0] * self.shape[1] * self.shape[2]


def plan_of(representation: Representation, lowest_pitch: int, highest_pitch: int) -> Plan:
    """Return the plan of a representation.

    Args:
        representation: What the planes mean.
        lowest_pitch: MIDI.
        highest_pitch: MIDI.
    """
    silence = torch.zeros(representation.n_samples)
    return Plan(
        shape=representation.shape,
        head=representation.name == "harmonic",
        pitches=(lowest_pitch, highest_pitch),
        mask=representation.mask,
        empty=representation.encode(silence, torch.tensor(A4_HZ)),
    )


class Sheet(nn.Module):
    """Planes of the representation ↔ normalised planes, 0 where nothing is meant."""

    scale: Tensor
    shift: Tensor
    empty: Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        n_planes, n_rows, _ = plan.shape
        self.register_buffer("scale", torch.ones(n_planes, n_rows, 1))
        self.register_buffer("shift", torch.zeros(n_planes, n_rows, 1))
        self.register_buffer("empty", plan.empty.clone(), persistent=False)

    def enter(self, planes: Tensor, pitch: Tensor) -> Tensor:
        """Normalise planes `(batch, plane, row, frame)` at pitches `(batch,)` (MIDI), 0 where nothing is meant."""
        return (planes * self.scale + self.shift) * self.mask(pitch)

    def leave(self, normal: Tensor, pitch: Tensor) -> Tensor:
        """Return the planes of normalised ones, silent where nothing is meant."""
        return torch.where(self.mask(pitch) > 0.5, (normal - self.shift) / self.scale, self.empty)

    def heard(self, normal: Tensor, pitch: Tensor) -> Tensor:
        """Return what judge and encoder go by, of normalised planes at pitches `(batch,)` (MIDI).

        Cells that mean nothing are 0. Where the planes are partials, deviation and offset of a partial count as much as
        its amplitude: those of a partial too weak to be heard are noise, by which fakes would be known at once.
        """
        seen = normal * self.mask(pitch)
        if not self.plan.head:
            return seen
        amplitude, deviation, noise = seen.unbind(1)
        loudness = (((normal[:, 0] - self.shift[0]) / self.scale[0] + 1) / 2).clamp(0, 1)[..., 1:]
        weighted = torch.cat([deviation[..., :1], deviation[..., 1:] * loudness], dim=-1)
        weight = loudness.amax(dim=-1)
        weight = torch.cat([torch.ones_like(weight[:, :1]), weight[:, 1:]], dim=1)  # row 0 holds the tuning
        offsets = torch.cat([amplitude[..., :1] * weight.unsqueeze(-1), amplitude[..., 1:]], dim=-1)
        return torch.stack([offsets, weighted, noise], dim=1)

    def mask(self, pitch: Tensor) -> Tensor:
        """Return `(batch, plane, row, 1)` float32 for pitches `(batch,)` (MIDI): 1 where cells mean something."""
        return self.plan.mask(hertz(pitch)).to(self.scale)


def set_normalizer(modules: Mapping[str, nn.Module], normalizer: Normalizer) -> None:
    """Let networks see planes as a fitted normaliser scales them; to be called before training, never after.

    Args:
        modules: What `networks.build` made; the scales are stored with the weights of each.
        normalizer: Fitted on planes of the training notes.
    """
    for module in modules.values():
        for part in module.modules():
            if isinstance(part, Sheet):
                part.scale.copy_(normalizer.scale.to(part.scale).expand_as(part.scale))
                part.shift.copy_(normalizer.shift.to(part.shift).expand_as(part.shift))
