"""Is a model that trains still getting better? Its clips against held-out clips, and what its discriminator remembers.

The distance is the kernel distance of the evaluation, on the same descriptions of clips but on the model's own grid and
in the home key. Clips are drawn once each, by a generator calibrated as it would be after training.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from audiogan.adversarial.scoring import Scoring
from audiogan.corpus.score import Score
from audiogan.evaluation.distances import Array, fit_scaler
from audiogan.evaluation.quick import group_means, nearness
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.calibration import calibrate
from audiogan.pipelines.multitrack.classic_synthesis import generate_classic
from audiogan.pipelines.multitrack.config import CellsConfig, Config, CorpusConfig
from audiogan.pipelines.multitrack.dataset import Clips, open_dataset
from audiogan.pipelines.multitrack.description import describe
from audiogan.pipelines.multitrack.evaluation import clip_grid
from audiogan.pipelines.multitrack.filling import Sketch, encode_clips, fill, generate_codes, z_for
from audiogan.pipelines.multitrack.home import move_of, moved
from audiogan.pipelines.multitrack.networks import Generator
from audiogan.representation.pianoroll import to_score
from audiogan.representation.rollnotes import RollNotes

LEAST_CLIPS = 8
QPM = 120.0


class _Judge:
    """Held-out clips, and how to compare with them."""

    def __init__(self, train: Clips, valid: Clips, config: Config, count: int) -> None:
        self.train, self.valid, self.config, self.count = train, valid, config, count
        self.plays = isinstance(config.network, CellsConfig)

    @cached_property
    def reference(self) -> tuple[Array, Array]:
        """Descriptions `(clip, feature)` of training and of held-out clips."""
        train, valid = (self.describe(_scores(clips, self.config, self.count)) for clips in (self.train, self.valid))
        return train, valid

    def describe(self, scores: Sequence[Score]) -> Array:
        return describe(scores, clip_grid(self.config), with_expression=self.plays)[1]

    def score(self, modules: Mapping[str, nn.Module], seed: int) -> dict[str, float]:
        train, valid = self.reference
        scaler = fit_scaler(train)
        made = self.describe(self.made(modules, seed))
        return nearness(scaler.transform(valid), scaler.transform(made))

    def made(self, modules: Mapping[str, nn.Module], seed: int) -> list[Score]:
        """New clips in the home key."""
        if not self.plays:
            model = Model(modules, self.config, {}, Path())
            return generate_classic(model, count=self.count, seed=seed, bars=None, qpm=QPM, tracks=None)
        own = {**modules, "generator": copy.deepcopy(modules["generator"])}
        calibrate(own, self.config, self.train, n_clips=self.count, seed=seed)
        hidden = np.ones((len(self.config.roles), self.config.n_bars), dtype=bool)
        sketches, seeds = [Sketch(RollNotes.none(), hidden)] * self.count, [(n,) for n in range(self.count)]
        clips = fill(own, self.config, sketches, seeds=seeds, seed=seed, move=0)
        return [to_score(clip, self.config.grid, self.config.roles) for clip in clips]

    @torch.no_grad()
    def probe(self, modules: Mapping[str, nn.Module], seed: int) -> dict[str, Tensor]:
        """What D says of training songs, held-out songs and new clips, with nothing given."""
        generator, n_clips = modules["generator"], min(self.count, len(self.train), len(self.valid))
        assert isinstance(generator, Generator)
        codes, songs = {}, {}
        for name, clips in (("train", self.train), ("valid", self.valid)):
            chosen = _evenly(clips, n_clips)
            codes[name] = encode_clips(modules, clips.fetch(chosen, chosen)["roll"])
            songs[name] = [clips.song_of(number) for number in chosen]
        mask = torch.zeros(codes["train"].shape[:3])
        z = torch.stack([z_for(generator.z_dim, seed, "probe", number) for number in range(n_clips)])
        codes["fake"] = generate_codes(modules, z, torch.zeros_like(codes["train"]), mask)
        like = next(modules["discriminator"].parameters())
        logits = {name: modules["discriminator"](own.to(like), mask.to(like)).flatten() for name, own in codes.items()}
        return logits | {name: _by_song(logits[name], own) for name, own in songs.items()}


def _by_song(logits: Tensor, songs: Sequence[int]) -> Tensor:
    return torch.from_numpy(group_means(logits.double().cpu().numpy(), songs))


def _evenly(clips: Clips, n_most: int) -> list[int]:
    return np.unique(np.linspace(0, len(clips) - 1, min(n_most, len(clips))).astype(int)).tolist()


def _scores(clips: Clips, config: Config, n_most: int) -> list[Score]:
    """Clips in the home key, evenly chosen."""
    notes = [clips.notes_of(number) for number in _evenly(clips, n_most)]
    return [to_score(moved(one, move_of(one, config), config), config.grid, config.roles) for one in notes]


def scoring(cache: Path, config: Config, corpus: CorpusConfig, *, count: int) -> Scoring | None:
    """Return how to score a model while it trains; None with fewer than eight held-out clips, or a given track.

    Args:
        cache: Folder filled by `prepare`.
        config: The model's.
        corpus: Which windows count as clips.
        count: Clips to make, and most held-out clips to compare with.
    """
    train, valid = (open_dataset(cache, config, corpus, split) for split in ("train", "valid"))
    plays = isinstance(config.network, CellsConfig)
    if len(valid) < LEAST_CLIPS or getattr(config.network, "given_track", None) is not None:
        return None
    judge = _Judge(train, valid, config, count)
    return Scoring(judge.score, judge.probe if plays else None)
