"""From a note to its timbre h: an encoder that hears planes and pitch, and the terms that make h what it should be.

h has root mean square 1, so it is bounded without a prior, and does not depend on the length of a note. Three things
keep pitch out of it: the encoder is told the pitch, an adversary behind a reversed gradient reads the pitch from h
(arXiv 1505.07818), and a note must be nearer to another note of its instrument than to other instruments (InfoNCE,
arXiv 1807.03748). A mixture of Gaussians fitted to h gives timbres that no note was asked for.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.layers import Scaled
from audiogan.pipelines.waveform.network_config import ResidualConfig, StyleConfig
from audiogan.pipelines.waveform.plan import Plan, Sheet
from audiogan.pipelines.waveform.residual import Conditions, HeadReader, Trunk, activate, split_head

N_PARTS = 16
READER_WIDTH = 128
LEAST_VARIANCE = 1e-3


def on_sphere(h: Tensor) -> Tensor:
    """Scale timbres `(..., timbre)` to root mean square 1."""
    return h * torch.rsqrt(h.square().mean(dim=-1, keepdim=True) + 1e-6)


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """Return x; its gradient comes back times -`strength` (arXiv 1505.07818, eq. 14 and 15)."""
    reversed_: Tensor = _Reversal.apply(x, strength)  # pyright: ignore[reportAssignmentType]
    return reversed_


class TimbreEncoder(nn.Module):
    """Planes and pitch → timbre."""

    def __init__(self, plan: Plan, network: ResidualConfig | StyleConfig) -> None:
        super().__init__()
        self.plan, self.timbre_dim = plan, network.timbre_dim
        self.sheet = Sheet(plan)
        self.given = Conditions()
        self.enter = Scaled(self.given.n_features - 1, network.encoder_width, gain=1.0)
        self.trunk = Trunk(plan, network.encoder_width, network.encoder_max_width, 1)
        n_rows = 1 if plan.head else self.trunk.stages[-1][0]
        self.head = HeadReader(plan, network.mapping_width) if plan.head else None
        self.dense = Scaled(2 * self.trunk.n_out * n_rows, network.mapping_width)
        self.out = Scaled(network.mapping_width, network.timbre_dim, gain=1.0)
        self.reader = PitchReader(network.timbre_dim, plan.n_pitches)
        self.mixture = Mixture(network.timbre_dim)

    def embed(self, normal: Tensor, pitch: Tensor) -> Tensor:
        """Return timbres `(batch, timbre)` of normalised planes with any number of frames."""
        x, head = split_head(self.sheet.heard(normal, pitch), self.plan)
        without_velocity = self.given(pitch, torch.zeros_like(pitch))[:, :-1]
        coarse = activate(self.trunk(x, self.enter(without_velocity)))  # (batch, width, ..., frame)
        pooled = torch.cat([coarse.mean(dim=-1), coarse.amax(dim=-1)], dim=1).flatten(1)
        dense = self.dense(pooled)
        if self.head is not None and head is not None:
            dense = dense + self.head(head)
        return on_sphere(self.out(activate(dense)))

    def forward(self, planes: Tensor, pitch: Tensor) -> Tensor:
        """Return timbres `(batch, timbre)` of root mean square 1.

        Args:
            planes: `(batch, plane, row, frame)` of the representation; any number of frames.
            pitch: `(batch,)` MIDI.
        """
        return self.embed(self.sheet.enter(planes, pitch), pitch)


class PitchReader(nn.Module):
    """The adversary: timbre → logits of the key."""

    def __init__(self, timbre_dim: int, n_pitches: int) -> None:
        super().__init__()
        self.first, self.second = Scaled(timbre_dim, READER_WIDTH), Scaled(READER_WIDTH, n_pitches, gain=1.0)

    def forward(self, h: Tensor) -> Tensor:
        """Return `(batch, n_pitches)` for `(batch, timbre)`."""
        return self.second(activate(self.first(h)))


class Mixture(nn.Module):
    """Sixteen Gaussians with diagonal variance, fitted to timbres while training goes on; buffers, no parameters."""

    weight: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, timbre_dim: int, n_parts: int = N_PARTS) -> None:
        super().__init__()
        start = torch.randn(n_parts, timbre_dim, generator=torch.Generator().manual_seed(0))
        self.register_buffer("weight", torch.full((n_parts,), 1.0 / n_parts))
        self.register_buffer("mean", start)
        self.register_buffer("variance", torch.ones(n_parts, timbre_dim))

    def shares(self, h: Tensor) -> Tensor:
        """Return how much each part answers for each of `(batch, timbre)`, `(batch, part)`, rows summing to 1."""
        distance = ((h.unsqueeze(1) - self.mean).square() / self.variance + self.variance.log()).sum(dim=2)
        return (self.weight.log() - 0.5 * distance).softmax(dim=1)

    @torch.no_grad()
    def update(self, h: Tensor, rate: float = 0.02) -> None:
        """Move towards timbres `(batch, timbre)` by a step of online expectation maximisation (Liang & Klein 2009)."""
        share = self.shares(h)
        mass = share.mean(dim=0)  # (part,)
        kept = (1.0 - rate) * self.weight
        total = (kept + rate * mass).clamp(min=1e-8).unsqueeze(1)
        first = (kept.unsqueeze(1) * self.mean + rate * share.t() @ h / len(h)) / total
        square = kept.unsqueeze(1) * (self.variance + self.mean.square()) + rate * share.t() @ h.square() / len(h)
        self.variance.copy_((square / total - first.square()).clamp(min=LEAST_VARIANCE))
        self.mean.copy_(first)
        self.weight.copy_((kept + rate * mass).clamp(min=1e-4))
        self.weight.div_(self.weight.sum())

    def sample(self, part_draws: Tensor, normal_draws: Tensor) -> Tensor:
        """Return timbres of root mean square 1.

        Args:
            part_draws: `(batch,)` uniform in [0, 1), choose the part.
            normal_draws: `(batch, timbre)` standard normal.
        """
        edges = self.weight.cumsum(0)
        part = torch.searchsorted(edges, part_draws.to(edges) * edges[-1]).clamp(max=len(edges) - 1)
        return on_sphere(self.mean[part] + self.variance[part].sqrt() * normal_draws.to(self.mean))


# ---- terms


def info_nce(first: Tensor, second: Tensor, instrument: Tensor, temperature: float = 0.1) -> Tensor:
    """Return how badly notes find the other note of their instrument (arXiv 1807.03748, eq. 4), both ways, in nats.

    Args:
        first: `(batch, timbre)`.
        second: `(batch, timbre)`: another note of the same instrument, row by row.
        instrument: `(batch,)`: notes of one instrument are never each other's counterexamples.
        temperature: Of the cosine similarities.
    """
    likeness = F.normalize(first, dim=1) @ F.normalize(second, dim=1).t() / temperature
    same = instrument.unsqueeze(0) == instrument.unsqueeze(1)
    own = torch.eye(len(first), dtype=torch.bool, device=first.device)
    likeness = likeness.masked_fill(same & ~own, -math.inf)
    target = torch.arange(len(first), device=first.device)
    return 0.5 * (F.cross_entropy(likeness, target) + F.cross_entropy(likeness.t(), target))


def divergence(h: Tensor) -> Tensor:
    """Return the divergence from N(0, 1) of the Gaussian a batch `(batch, timbre)` looks like, mean over values."""
    mean, variance = h.mean(dim=0), h.var(dim=0, correction=0) + 1e-4
    return 0.5 * (mean.square() + variance - 1.0 - variance.log()).mean()


def pitch_targets(pitch: Tensor, lowest: int, n_pitches: int) -> Tensor:
    """Return `(batch, n_pitches)` shares of keys: a pitch between two keys is divided between them.

    Args:
        pitch: `(batch,)` MIDI; beyond the last key counts as the last.
        lowest: First key.
        n_pitches: Keys.

    Example:
        >>> pitch_targets(torch.tensor([60.25]), 60, 3)
        tensor([[0.7500, 0.2500, 0.0000]])
    """
    place = (pitch - lowest).clamp(0.0, n_pitches - 1.0)
    keys = torch.arange(n_pitches, device=pitch.device, dtype=pitch.dtype)
    return (1.0 - (place.unsqueeze(1) - keys).abs()).clamp(min=0.0)


def pitch_loss(logits: Tensor, pitch: Tensor, lowest: int) -> Tensor:
    """Return the cross-entropy of key logits `(batch, n_pitches)` with pitches `(batch,)`, in nats."""
    return F.cross_entropy(logits.float(), pitch_targets(pitch, lowest, logits.shape[1]))
