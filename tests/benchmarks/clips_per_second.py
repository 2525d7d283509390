"""Clips per processor second: the default network beside MuseGAN v3, both in one run, turn by turn.

    python -m tests.benchmarks.clips_per_second [--clips 64] [--turns 3] [--model NAME_OR_FOLDER]

Twice: networks alone, from z to the binary roll, and from the seed to scores ready to be written. The classic network
is untrained, since weights make no difference to what a network costs; but they decide how many notes there are to
write, so its last shift is set to write about as many as music has. Ours is trained, because clips that come out nearly
empty would be drawn again. Ratios of one run can be trusted on a busy machine, single times cannot.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import audiogan
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.classic import decide, generate_rolls, z_size
from audiogan.pipelines.multitrack.classic_config import ClassicConfig
from audiogan.pipelines.multitrack.classic_v3 import PrivateHead, V3Generator
from audiogan.pipelines.multitrack.config import CellsConfig, Config
from audiogan.pipelines.multitrack.filling import generate_codes, in_chunks, padded, sounding
from audiogan.pipelines.multitrack.networks import Generator, build
from audiogan.pipelines.multitrack.synthesis import generate

SOUNDING = 0.005
"""Share of cells that sound in what the classic network writes: on its roll about two hundred notes a clip."""


def untrained(config: Config) -> Model:
    """Networks that have learnt nothing."""
    modules = {name: module.eval().requires_grad_(False) for name, module in build(config).items()}
    return Model(modules, config, {}, Path("untrained"), name="untrained")


@torch.no_grad()
def quietened(classic: Model) -> Model:
    """Shift the logits of an untrained MuseGAN v3 in place, so that a share `SOUNDING` of the cells sounds."""
    network, generator = classic.config.network, classic.modules["generator"]
    assert isinstance(generator, V3Generator)
    z = torch.randn(8, z_size(network), generator=torch.Generator().manual_seed(0))
    logits = torch.atanh(generate_rolls(classic.modules, network, z))
    for track, head in enumerate(generator.private):
        assert isinstance(head, PrivateHead)
        cells = logits[:, track].flatten().sort().values
        head.norm.bias.sub_(cells[int((1 - SOUNDING) * len(cells))])
    return classic


@torch.no_grad()
def write_rolls(model: Model, z: Tensor) -> None:
    """Go from z `(batch, z)` to binary rolls, with the networks alone."""
    config: Config = model.config
    if isinstance(config.network, CellsConfig):
        generator = model.modules["generator"]
        assert isinstance(generator, Generator)
        hidden = torch.zeros(len(z), len(config.tracks), config.n_bars)
        codes = generate_codes(model.modules, z, hidden.unsqueeze(-1).expand(-1, -1, -1, generator.code_dim), hidden)
        sounding(model.modules, codes, generator.calibration)
    else:
        for run in in_chunks(len(z)):
            decide(generate_rolls(model.modules, config.network, padded(z[run])), config.network)


def z_for(model: Model, n_clips: int) -> Tensor:
    """Draw z of each clip, `(batch, z)`; what is drawn makes no difference to the cost."""
    network, generator = model.config.network, model.modules["generator"]
    return torch.randn(n_clips, generator.z_dim if isinstance(generator, Generator) else z_size(network))


def cpu_seconds(job: Callable[[Model, int], object], model: Model, turn: int) -> float:
    """Processor seconds of all threads."""
    begin = time.process_time()
    job(model, turn)
    return time.process_time() - begin


def compare(ours: Model, classic: Model, *, n_clips: int, n_turns: int) -> dict[str, float]:
    """Return the median processor seconds of each and the median ratio, of the networks alone and of whole scores."""
    found: dict[str, float] = {"clips": n_clips}
    for name, model in (("ours", ours), ("classic", classic)):  # the first pass allocates
        found[f"{name}_notes"] = float(np.mean([score.n_notes for score in generate(model, count=8, seed=0)]))
    z = {id(model): z_for(model, n_clips) for model in (ours, classic)}
    jobs: dict[str, Callable[[Model, int], object]] = {
        "_networks": lambda model, _: write_rolls(model, z[id(model)]),
        "": lambda model, turn: generate(model, count=n_clips, seed=turn),
    }
    turns = np.array(
        [[[cpu_seconds(job, m, n) for m in (ours, classic)] for job in jobs.values()] for n in range(n_turns)]
    )
    for name, column in zip(jobs, turns.transpose(1, 0, 2), strict=True):
        found[f"ours{name}"], found[f"classic{name}"] = np.median(column, axis=0).tolist()
        found[f"ratio{name}"] = float(np.median(column[:, 1] / column[:, 0]))
    return found


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--model", help="a trained model; without one the one in the box")
    given = parser.parse_args()
    torch.set_num_threads(1)
    ours = audiogan.load(given.model, device="cpu")
    classic = quietened(untrained(Config(beat_resolution=12, n_pitches=84, network=ClassicConfig())))
    found = compare(ours, classic, n_clips=given.clips, n_turns=given.turns)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
