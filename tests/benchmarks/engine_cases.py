"""What the benchmark of the engine trains: shipped recipes at sizes that end, on sample or made-up data.

The smoke recipes learn from the sample corpus through their own datasets, so that their share of time spent on data is
that of a run. The others keep their networks, losses and optimisers, but get made-up batches of the right shapes, with
fewer examples per batch where a CPU would take too long.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from audiogan import workflow
from audiogan.adversarial.game import Game
from audiogan.adversarial.loader import Examples
from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.trainer import TrainConfig
from audiogan.pipelines.multitrack.config import Config as MultitrackConfig
from audiogan.pipelines.waveform.config import Config as WaveformConfig
from audiogan.pipelines.waveform.plan import hertz

N_MADE_UP = 64
SOUNDING = 0.02
"""Share of the cells of a made-up roll that sound."""


@dataclass(frozen=True)
class Size:
    """How much of a recipe is trained.

    Args:
        n_steps: Steps of the budget.
        overrides: `section.key=value` texts.
        samples: Whether the sample corpus is learnt from.
        pair: Steps of each contestant in one pair of timings.
        on_cpu: What a CPU changes: steps, and overrides to add.
    """

    n_steps: int
    overrides: tuple[str, ...] = ()
    samples: bool = False
    pair: int = 1
    on_cpu: tuple[int, tuple[str, ...]] | None = None


SIZES: dict[str, Size] = {
    "multitrack/smoke": Size(300, samples=True, pair=2),
    "waveform/smoke": Size(300, samples=True, pair=2),
    "multitrack/songs": Size(200, on_cpu=(16, ())),
    "waveform/soundfont": Size(100, on_cpu=(8, ())),
    "multitrack/classic-musegan": Size(
        60, ("game.classic.discriminator_repeats=5",), on_cpu=(6, ("train.batch_size=2",))
    ),
    "waveform/classic-gansynth": Size(40, ("game.classic.progressive=false",), on_cpu=(3, ("train.batch_size=1",))),
}


@dataclass(frozen=True)
class Case:
    """A recipe ready to be trained as often as needed, from the same beginning.

    Args:
        name: Of the recipe.
        build: Makes new modules and their game.
        dataset: Source of examples.
        config: The recipe's `train:` section.
        n_steps: Steps of the budget.
        pair: Steps of each contestant in one pair of timings.
        made_up: Whether the examples are.
    """

    name: str
    build: Callable[[], tuple[dict[str, nn.Module], Game]]
    dataset: Examples
    config: TrainConfig
    n_steps: int
    pair: int
    made_up: bool


def changes(name: str, device: torch.device, n_steps: int | None = None) -> tuple[int, list[str]]:
    """Return the number of steps, and what is changed about a recipe as `section.key=value` texts.

    Args:
        name: Of a shipped recipe in `SIZES`.
        device: Where it will be trained.
        n_steps: Another number of steps.
    """
    size = SIZES[name]
    usual, smaller = size.on_cpu if size.on_cpu and device.type == "cpu" else (size.n_steps, ())
    steps = n_steps or usual
    return steps, [*size.overrides, *smaller, f"train.budget={steps} steps", f"train.runtime.device={device}"]


def open_case(name: str, device: torch.device, n_steps: int | None = None, more: Sequence[str] = ()) -> Case:
    """Return a recipe as a case.

    Args:
        name: Of a shipped recipe in `SIZES`.
        device: Where it will be trained.
        n_steps: Another number of steps.
        more: Further changes, as `section.key=value` texts.
    """
    steps, given = changes(name, device, n_steps)
    given = [*given, *more]
    recipe, pipeline = workflow.resolve(name, given)
    config, corpus = recipe.section("model"), recipe.section("corpus")
    size = SIZES[name]
    if size.samples:
        folder = workflow.prepare(name, given, jobs=1).folder
        dataset: Examples = pipeline.open_dataset(folder, config, corpus, "train")
    else:
        dataset = made_up(config)

    def build() -> tuple[dict[str, nn.Module], Game]:
        with seeded(recipe.seed, "modules"):
            modules = pipeline.build(config)
        return modules, pipeline.phases(modules, config, recipe.section("game"), recipe.section("optimizer"))

    return Case(name, build, dataset, recipe.section("train"), steps, size.pair, not size.samples)


class MadeUp:
    """Examples held in memory.

    Args:
        columns: `(example, ...)` tensors by name.
    """

    def __init__(self, columns: Mapping[str, Tensor]) -> None:
        self.columns = dict(columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        """Return the rows of the columns."""
        return {name: column[indices] for name, column in self.columns.items()}


def made_up(config: Any, n_examples: int = N_MADE_UP) -> MadeUp:
    """Return random examples of the shapes that a pipeline's dataset gives.

    Args:
        config: The recipe's `model:` section.
        n_examples: How many.
    """
    source = torch.Generator().manual_seed(0)
    if isinstance(config, MultitrackConfig):
        return MadeUp(_clips(config, n_examples, source))
    assert isinstance(config, WaveformConfig)
    return MadeUp(_notes(config, n_examples, source))


def _clips(config: MultitrackConfig, n: int, source: torch.Generator) -> dict[str, Tensor]:
    grid = config.grid
    bars = (n, len(config.roles), grid.n_bars, grid.n_timesteps)
    roll = torch.rand(n, 2, *bars[1:], grid.n_pitches, generator=source) < SOUNDING
    velocity, timing = torch.rand(2, *bars, generator=source)
    return {"roll": roll.to(torch.uint8), "velocity": velocity, "timing": timing - 0.5}


def _notes(config: WaveformConfig, n: int, source: torch.Generator) -> dict[str, Tensor]:
    shape = (2, n, *config.represent().shape)
    planes, partner_planes = torch.rand(shape, generator=source) * 2 - 1
    low, high = config.lowest_pitch, config.highest_pitch
    pitch, partner_pitch = torch.randint(low, high + 1, (2, n), generator=source).float()
    return {
        "planes": planes,
        "f0": hertz(pitch),
        "pitch": pitch,
        "velocity": torch.rand(n, generator=source),
        "instrument": torch.randint(8, (n,), generator=source),
        "partner_planes": partner_planes,
        "partner_pitch": partner_pitch,
        "has_partner": torch.ones(n),
    }
