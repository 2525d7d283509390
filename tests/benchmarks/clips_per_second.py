"""Clips per processor second: the default network beside MuseGAN v3, both in one run, turn by turn.

    python -m tests.benchmarks.clips_per_second [--clips 64] [--turns 3] [--model NAME_OR_FOLDER]

Weights make no difference to the cost, so the classic network is untrained; ours is trained, because clips that come
out nearly empty would be drawn again. Both make scores ready to be written. Ratios of one run can be trusted on a busy
machine, single times cannot.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import audiogan
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.classic_config import ClassicConfig
from audiogan.pipelines.multitrack.config import Config
from audiogan.pipelines.multitrack.networks import build
from audiogan.pipelines.multitrack.synthesis import generate


def untrained(config: Config) -> Model:
    """Networks that have learnt nothing."""
    modules = {name: module.eval().requires_grad_(False) for name, module in build(config).items()}
    return Model(modules, config, {}, Path("untrained"), name="untrained")


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor seconds of all threads."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def compare(ours: Model, classic: Model, *, n_clips: int, n_turns: int) -> dict[str, float]:
    """Return the median processor seconds of each and the median ratio."""
    for model in (ours, classic):
        generate(model, count=1, seed=0)  # the first pass allocates
    turns = np.array(
        [
            [
                cpu_seconds(lambda model=model, turn=turn: generate(model, count=n_clips, seed=turn))
                for model in (ours, classic)
            ]
            for turn in range(n_turns)
        ]
    )
    mine, theirs = np.median(turns, axis=0)
    return {"clips": n_clips, "ours": mine, "classic": theirs, "ratio": float(np.median(turns[:, 1] / turns[:, 0]))}


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--model", help="a trained model; without one the one in the box")
    given = parser.parse_args()
    torch.set_num_threads(1)
    ours = audiogan.load(given.model, device="cpu")
    classic = untrained(Config(beat_resolution=12, n_pitches=84, network=ClassicConfig()))
    found = compare(ours, classic, n_clips=given.clips, n_turns=given.turns)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
