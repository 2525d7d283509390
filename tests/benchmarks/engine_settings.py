"""What a step costs under other settings of a recipe: threads, precision, memory format, how penalties are measured.

    python -m tests.benchmarks.engine_settings [--recipe waveform/soundfont ...] [--setting bf16 ...] [--turns 8]

For each setting two trainers take turns in one process, one with the recipe as it is and one with the setting, four
steps at a turn so that a penalty every fourth step is met once in each. Shown is the median over turns of the recipe's
time over the setting's (2 is twice as fast) with its 95 % interval. Times are processor times on a CPU, so that other
programs disturb least, but for threads, which are timed on the wall and can only be trusted on a machine with nothing
else to do. Recipes that learn codes first are measured in their game of two players.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from audiogan.adversarial.runtime import Runtime, choose_device
from tests.benchmarks.engine_cases import SIZES, Case, open_case
from tests.benchmarks.engine_meters import clock_of, median_interval
from tests.benchmarks.engine_options import SteppedTrainer

STEPS_PER_TURN = 4
WARMING_TURNS = 1


@dataclass(frozen=True)
class Setting:
    """One way to train otherwise.

    Args:
        given: What is changed about the recipe, as `section.key=value` texts.
        threads: CPU threads of this side; None for those of the other.
    """

    given: tuple[str, ...] = ()
    threads: int | None = None


SETTINGS: dict[str, Setting] = {
    "threads 2": Setting(threads=2),
    "bf16": Setting(("train.runtime.precision=bf16",)),
    "channels_last": Setting(("train.runtime.memory_format=channels_last",)),
    "penalty_interval 2": Setting(("game.penalty_interval=2",)),
    "penalty_interval 4": Setting(("game.penalty_interval=4",)),
    "penalty_impl func": Setting(("game.penalty_impl=func",)),
    "penalty_impl approx": Setting(("game.penalty_impl=approx",)),
}
BOTH_SIDES: dict[str, tuple[str, ...]] = {
    "multitrack/songs": ("game.autoencoder_share=0",),
    "waveform/soundfont": ("game.penalty_interval=1",),  # the recipe has 4 already
    # Pictures of 256 x 96 instead of 1024 x 128.
    "waveform/classic-gansynth": (
        "model.seconds=0.5",
        "model.representation={kind: mel_if, n_fft: 512, hop_length: 128}",
        "model.network={variant: classic, n_blocks: 6}",
    ),
}
"""What is changed on both sides."""


def compare(name: str, setting: Setting, device: torch.device, n_turns: int, threads: int = 1) -> dict[str, Any]:
    """Return the speed of a setting over that of the recipe, with its interval, and milliseconds per step of both.

    Args:
        name: Of a recipe in `SIZES`.
        setting: What is other on one side.
        device: Where.
        n_turns: Turns that count.
        threads: CPU threads of the recipe's side.
    """
    turns = n_turns + WARMING_TURNS
    alike = BOTH_SIDES.get(name, ())
    plain, other = (open_case(name, device, turns * STEPS_PER_TURN, more) for more in (alike, (*alike, *setting.given)))
    clock = clock_of(device) if setting.threads is None else time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        sides = [
            (_begun(case, Path(folder) / side), wanted)
            for case, side, wanted in ((plain, "a", threads), (other, "b", setting.threads or threads))
        ]
        times = [[_turn(trainer, turn, wanted, clock) for trainer, wanted in sides] for turn in range(turns)]
    counted = times[WARMING_TURNS:]
    found = median_interval([a / b for a, b in counted])
    a, b = (median_interval([1e3 * turn[side] / STEPS_PER_TURN for turn in counted]).value for side in (0, 1))
    return {"speed_up": found.value, "low": found.low, "high": found.high, "ms": a, "ms_other": b}


def _begun(case: Case, folder: Path) -> SteppedTrainer:
    modules, game = case.build()
    config = case.config.model_copy(update={"tensorboard": False})
    runtime = Runtime(config.runtime)
    trainer = SteppedTrainer(modules, game, case.dataset, config, folder, runtime=runtime, quiet=True)
    trainer.begin(case.n_steps)
    return trainer


def _turn(trainer: SteppedTrainer, turn: int, threads: int, clock: Callable[[], float]) -> float:
    torch.set_num_threads(threads)
    begin = clock()
    for step in range(turn * STEPS_PER_TURN, (turn + 1) * STEPS_PER_TURN):
        trainer.advance(step)
    return clock() - begin


def row(name: str, label: str, found: dict[str, Any]) -> str:
    """Return a row of a Markdown table: recipe, setting, speed-up with its interval, both times.

    Args:
        name: Of the recipe.
        label: Of the setting.
        found: Of `compare`.
    """
    speed = f"{found['speed_up']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
    return f"| {name} | {label} | {speed} | {found['ms']:.0f} | {found['ms_other']:.0f} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and return the exit code.

    Args:
        arguments: Of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", nargs="*", default=["multitrack/songs", "waveform/soundfont"], choices=list(SIZES))
    parser.add_argument("--setting", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    device, found = choose_device(given.device), {}
    for name in given.recipe:
        for label in given.setting:
            found[f"{name} {label}"] = compare(name, SETTINGS[label], device, given.turns)
            sys.stdout.write(row(name, label, found[f"{name} {label}"]) + "\n")
            sys.stdout.flush()
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
