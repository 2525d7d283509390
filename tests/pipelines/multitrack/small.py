"""A model small enough for tests, and songs to feed it."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from audiogan.corpus.score import Metre, Note, Notes, Score, Track
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.config import CellsConfig, Config
from audiogan.pipelines.multitrack.networks import build

NETWORK = CellsConfig(
    code_dim=8, n_voices=4, beat_width=8, step_width=8, cell_depth=1, width=16, depth=1, z_clip_dim=6, z_bar_dim=2
)
CONFIG = Config(n_bars=2, network=NETWORK)


def model_of(config: Config = CONFIG, seed: int = 0) -> Model:
    """An untrained model whose output is loud enough to hold notes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules = build(config)
        for name, parameter in modules["decoder"].named_parameters():
            if name.endswith("bias") and parameter.dim() == 3:
                nn.init.normal_(parameter, -1.0, 1.0)
            elif name.endswith("rhythm.weight"):  # loud enough that codes make a difference
                nn.init.normal_(parameter, 0.0, 3.0)
        for name, parameter in modules["generator"].named_parameters():
            if "second" in name:  # the branches that begin silent, so that bars hear each other
                nn.init.normal_(parameter, 0.0, 1.0)
        for module in modules.values():
            module.eval().requires_grad_(False)
    return Model(modules, config, {}, folder=Path("small"), name="small")


def song(n_bars: int = 6, seed: int = 0, resolution: int = 96, metre: tuple[int, int] = (4, 4)) -> Score:
    """Drums, bass, piano and an unassigned sound effect, with notes off the grid and of odd lengths."""
    rng = np.random.default_rng(seed)
    bar = resolution * 4 * metre[0] // metre[1]
    tracks = []
    for program, is_drum, low, high in (
        (0, True, 35, 52),
        (34, False, 28, 45),
        (1, False, 48, 80),
        (125, False, 60, 62),
    ):
        onset = rng.integers(0, n_bars * bar - 2, 6 * n_bars)
        length = rng.integers(1, bar, len(onset))
        pitch = rng.integers(low, high, len(onset))
        notes = [
            Note(int(on), min(int(on + n), n_bars * bar), int(p), int(v))
            for on, n, p, v in zip(onset, length, pitch, rng.integers(1, 128, len(onset)), strict=True)
        ]
        notes.append(Note(n_bars * bar - 1, n_bars * bar, low, 64))
        tracks.append(Track(Notes.from_list(notes), program, is_drum, f"track {program}"))
    return Score(resolution, tuple(tracks), metres=(Metre(0, *metre),))
