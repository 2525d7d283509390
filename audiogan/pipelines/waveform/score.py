"""Is a model that trains still getting better? Its notes against held-out notes, and what its discriminator remembers.

Notes are compared as planes, not as sound, which would take a hundred times as long: by the mean of each band of rows
over the attack, the body and the end of a note, and how much it moves. Generated notes have the pitches and velocities
of held-out notes. The sound itself is judged by the evaluation of a finished model.
"""

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from audiogan.adversarial.scoring import Scoring
from audiogan.evaluation.distances import Array, fit_scaler
from audiogan.evaluation.quick import group_means, nearness
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config, CorpusConfig
from audiogan.pipelines.waveform.dataset import Notes, open_dataset
from audiogan.pipelines.waveform.encoder import TimbreEncoder
from audiogan.pipelines.waveform.network_config import ClassicConfig
from audiogan.pipelines.waveform.plan import Sheet, plan_of
from audiogan.pipelines.waveform.residual import Discriminator, Generator
from audiogan.pipelines.waveform.style import StyleGenerator
from audiogan.pipelines.waveform.timbre import random_timbre, z_for
from audiogan.pipelines.waveform.voice import Played, make_planes

LEAST_NOTES = 8
N_BANDS = 16
PARTS = (0.0, 0.125, 0.5, 1.0)
"""Where attack, body and end of a note begin and end, as shares of its frames."""


class _Judge:
    """Held-out notes, and how to compare with them."""

    def __init__(self, train: Notes, valid: Notes, config: Config, count: int) -> None:
        self.train, self.valid, self.config, self.count = train, valid, config, count
        self.sheet = Sheet(plan_of(config.represent(), config.lowest_pitch, config.highest_pitch))

    @cached_property
    def reference(self) -> tuple[Array, Array, dict[str, Tensor]]:
        """Descriptions `(note, feature)` of training and of held-out notes, and the held-out notes."""
        train, valid = (_evenly(notes, self.count) for notes in (self.train, self.valid))
        return self.describe(train["planes"], train["pitch"]), self.describe(valid["planes"], valid["pitch"]), valid

    def describe(self, planes: Tensor, pitch: Tensor) -> Array:
        """Return `(note, feature)` of planes `(note, plane, row, frame)` at MIDI pitches `(note,)`."""
        seen = self.sheet.enter(planes, pitch)[..., int(self.sheet.plan.head) :]  # a head holds phases
        n_rows, n_frames = seen.shape[2:]
        bands = torch.nn.functional.adaptive_avg_pool2d(seen, (min(N_BANDS, n_rows), n_frames))
        edges = [round(share * n_frames) for share in PARTS]
        parts = [bands[..., first : max(last, first + 1)].mean(-1) for first, last in pairwise(edges)]
        return torch.cat([*parts, bands.std(dim=-1)], dim=1).flatten(1).double().numpy()

    @torch.no_grad()
    def score(self, modules: Mapping[str, nn.Module], seed: int) -> dict[str, float]:
        train, held_out, notes = self.reference
        scaler, made = fit_scaler(train), self.made(modules, notes, seed)
        return nearness(scaler.transform(held_out), scaler.transform(made))

    def made(self, modules: Mapping[str, nn.Module], notes: Mapping[str, Tensor], seed: int) -> Array:
        """Descriptions of new notes at the pitches and velocities of others."""
        device = next(modules["generator"].parameters()).device
        model = Model(modules, self.config, {}, Path(), pipeline="waveform", device=str(device))
        places = [number % len(notes["pitch"]) for number in range(self.count)]
        pitch = notes["pitch"].clamp(self.config.lowest_pitch, self.config.highest_pitch)[places]
        asked = zip(pitch.tolist(), notes["velocity"][places].tolist(), strict=True)
        played = [Played(random_timbre(model, seed, n), *own) for n, own in enumerate(asked)]
        return self.describe(make_planes(model, played), pitch)

    @torch.no_grad()
    def probe(self, modules: Mapping[str, nn.Module], seed: int) -> dict[str, Tensor]:
        """What D says of instruments, held-out instruments and new notes, told the timbre of another note of each."""
        generator, judge, encoder = (modules[name] for name in ("generator", "discriminator", "encoder"))
        assert isinstance(generator, Generator | StyleGenerator)
        assert isinstance(judge, Discriminator)
        assert isinstance(encoder, TimbreEncoder)
        like, n_notes = encoder.mixture.mean, min(self.count, len(self.train), len(self.valid))
        logits: dict[str, Tensor] = {}
        for name, notes in (("valid", self.valid), ("train", self.train)):
            batch = {key: value.to(like.device) for key, value in _evenly(notes, n_notes).items()}
            pitch, velocity = batch["pitch"], batch["velocity"]
            there = generator.sheet.enter(batch["partner_planes"], batch["partner_pitch"])
            told = (pitch, velocity, encoder.embed(there, batch["partner_pitch"]), batch["has_partner"])
            judged = _one_each(judge.judge(generator.sheet.enter(batch["planes"], pitch), *told).logits)
            means = group_means(judged.double().cpu().numpy(), batch["instrument"].tolist())
            logits[name] = torch.from_numpy(means)
            if name == "train":
                z = np.stack([z_for(generator.z_dim, seed, "probe", number) for number in range(len(pitch))])
                fake = generator.draw(torch.from_numpy(z).to(like), told[2], pitch, velocity, told[3])
                logits["fake"] = _one_each(judge.judge(fake, *told).logits)
        return logits


def _one_each(logits: Tensor) -> Tensor:
    """One logit per note, `(batch,)`, the mean where D says several."""
    return logits.reshape(len(logits), -1).mean(dim=1)


def _evenly(notes: Notes, n_most: int) -> dict[str, Tensor]:
    chosen = np.unique(np.linspace(0, len(notes) - 1, min(n_most, len(notes))).astype(int)).tolist()
    return notes.fetch(chosen, chosen)


def scoring(cache: Path, config: Config, corpus: CorpusConfig, *, count: int) -> Scoring | None:
    """Return how to score a model while it trains; None with fewer than eight held-out notes.

    Args:
        cache: Folder filled by `prepare`.
        config: The model's.
        corpus: Which notes.
        count: Notes to make, and most held-out notes to compare with.
    """
    train, valid = (open_dataset(cache, config, corpus, split) for split in ("train", "valid"))
    if len(valid) < LEAST_NOTES:
        return None
    judge = _Judge(train, valid, config, count)
    return Scoring(judge.score, None if isinstance(config.network, ClassicConfig) else judge.probe)
