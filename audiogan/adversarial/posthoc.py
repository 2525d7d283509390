"""Choose the length of an average after training, from two averages of fixed lengths that were kept on the way.

Post-hoc EMA (arXiv 2312.02696, section 3): an average whose profile over the run is a power, tau^gamma, forgets at a
rate that grows with the run, so that its width, sigma_rel, is a share of the run whatever its length. Two of them are
tracked and stored now and then; the profile of any third is fitted by least squares as a weighted sum of the stored
ones (appendix C), and the same weights, applied to the stored parameters, give that average nearly as if it had been
tracked. Snapshots are float32. Buffers are not averaged, and the moves counted are those of the phases that are told.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from audiogan.adversarial.disk import parse_tensors, read_limited, tensor_bytes, write_atomically
from audiogan.adversarial.game import Game, Phase
from audiogan.adversarial.model import MAX_MODEL_BYTES
from audiogan.adversarial.monitor import Hook, Snapshot
from audiogan.errors import CheckpointError, RecipeError

TRACKED = (0.05, 0.10)
"""Widths of the tracked averages, as in the paper."""
WIDEST = 0.25
"""Above 0.289, the width of a plain mean over the run, there is no power; near it the fit is poor."""
FOLDER = "averages"
MOVES = "n_moves"


def _widths(values: object) -> object:
    return tuple(values) if isinstance(values, list) else values


class PosthocConfig(BaseModel):
    """How often to store the tracked averages, and which lengths to try at the end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: float = Field(default=0.04, gt=0.0, le=1.0, description="Share of the budget between two snapshots.")
    widths: tuple[float, ...] = Field(
        default=(0.02, 0.05, 0.1, 0.15, 0.2), min_length=1, description="Widths to choose among, shares of the run."
    )

    _accept_list = field_validator("widths", mode="before")(_widths)

    @field_validator("widths")
    @classmethod
    def _check(cls, widths: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0.0 < width <= WIDEST for width in widths):
            raise ValueError(f"widths {list(widths)}; expected numbers above 0, at most {WIDEST}")
        return widths


def exponent_of(width: float) -> float:
    """Return the gamma of a profile tau^gamma whose standard deviation is a share of the run.

    Args:
        width: sigma_rel, above 0 and below 0.289.

    Example:
        >>> round(exponent_of(0.05), 2), round(exponent_of(0.10), 2)
        (16.97, 6.94)
    """
    # width² = (gamma + 1) / ((gamma + 2)² (gamma + 3))
    inverse = width**-2.0
    roots = np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse])
    return float(roots.real.max())


def kept(n_moves: int, exponent: float) -> float:
    """Return the weight that the old average keeps in its n-th update, counted from 1.

    Example:
        >>> kept(1, 3.0), kept(2, 0.0)
        (0.0, 0.5)
    """
    return (1.0 - 1.0 / n_moves) ** (exponent + 1.0)


def overlap(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the inner product of two profiles, each (time, exponent) with (e+1) tau^e / time^(e+1) up to its time."""
    (a, p), (b, q) = first, second
    least = min(a, b)
    return (p + 1.0) * (q + 1.0) / (p + q + 1.0) * (least / a) ** p * (least / b) ** q * least / (a * b)


def fit(stored: Sequence[tuple[float, float]], wanted: tuple[float, float]) -> np.ndarray:
    """Return the weight of each stored profile in the sum that is nearest to the wanted one, `(profile,)` float64.

    Args:
        stored: Of each, (time, exponent).
        wanted: (time, exponent).
    """
    # Times in units of the wanted one, and every profile at length 1, so that no number is far from 1.
    unit = wanted[0]
    stored = [(time / unit, exponent) for time, exponent in stored]
    wanted = (1.0, wanted[1])
    lengths = np.array([overlap(one, one) ** 0.5 for one in stored])
    matrix = np.array([[overlap(one, other) for other in stored] for one in stored]) / np.outer(lengths, lengths)
    target = np.array([overlap(one, wanted) for one in stored]) / lengths
    return np.linalg.lstsq(matrix, target, rcond=1e-12)[0] / lengths


class PowerAverages:
    """The tracked averages of some modules' parameters, which batches reach through the parameters alone.

    Args:
        modules: The live modules.
        names: Those to average.
        widths: Of the tracked averages.
    """

    follows_weights = True

    def __init__(
        self, modules: Mapping[str, nn.Module], names: Iterable[str], widths: Sequence[float] = TRACKED
    ) -> None:
        self.modules = {name: modules[name] for name in names}
        self.exponents = [exponent_of(width) for width in widths]
        self.n_moves = 0
        self.averages: list[dict[str, Tensor]] = [{} for _ in widths]

    def _live(self) -> dict[str, Tensor]:
        found = self.modules.items()
        return {f"{name}.{key}": value.detach() for name, module in found for key, value in module.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters after a move."""
        self.n_moves += 1
        live = self._live()
        for exponent, average in zip(self.exponents, self.averages, strict=True):
            weight = 1.0 - kept(self.n_moves, exponent)
            for key, value in live.items():
                if key not in average:
                    average[key] = value.clone()
                else:
                    average[key] = average[key].to(value.device).lerp_(value, weight)

    def state(self) -> dict[str, Any]:
        """Return the averages and the number of moves."""
        numbered = enumerate(self.averages)
        return {MOVES: self.n_moves} | {f"{n}.{key}": value for n, own in numbered for key, value in own.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.n_moves = int(state[MOVES])
        for number, average in enumerate(self.averages):
            found = {key.removeprefix(f"{number}."): value for key, value in state.items() if key[:2] == f"{number}."}
            average.clear()
            average.update({key: value.clone() for key, value in found.items()})

    def store(self, snapshot: Snapshot) -> None:
        """Write the averages into the run folder; a snapshot of the same step is replaced.

        Args:
            snapshot: Of the run.
        """
        if not self.n_moves:
            return
        folder = snapshot.folder / FOLDER
        folder.mkdir(exist_ok=True)
        tensors = {key: value for key, value in self.state().items() if isinstance(value, Tensor)}
        data = tensor_bytes(FOLDER, tensors | {MOVES: torch.tensor(self.n_moves)})
        write_atomically(folder / f"step-{snapshot.step:08d}.safetensors", data)


def with_posthoc(
    game: Game, modules: Mapping[str, nn.Module], names: Sequence[str], config: PosthocConfig
) -> tuple[Game, Hook]:
    """Return a game that tracks two averages of the modules named, and the hook that stores them.

    They are updated after every phase that moves the first module of the game's last phase.

    Args:
        game: As it is.
        modules: The live modules.
        names: Modules to average.
        config: How often to store.

    Raises:
        RecipeError: The game averages nothing.
    """
    if not names:
        raise RecipeError("`averages.posthoc` in train with a game that keeps no averages; expected null")
    averages, last = PowerAverages(modules, names), game.phases[-1].modules[0]
    phases = [_followed(phase, averages) if last in phase.modules else phase for phase in game.phases]
    extras = {**game.extras, "posthoc": averages}
    return replace(game, phases=phases, extras=extras), Hook("averages", averages.store, config.every)


def _followed(phase: Phase, averages: PowerAverages) -> Phase:
    before = phase.after_move

    def after() -> None:
        if before is not None:
            before()
        averages.update()

    return replace(phase, after_move=after)


def average_of(run: Path, width: float) -> dict[str, dict[str, Tensor]]:
    """Return parameters by module and name, averaged over a run with a profile of any width.

    Args:
        run: Folder in which a training stored averages.
        width: sigma_rel, a share of the run; above 0, at most 0.25.

    Raises:
        CheckpointError: Nothing was stored there, or a file is damaged.
    """
    files = stored(run)
    exponents = [exponent_of(width) for width in TRACKED]
    times = [_moves(path, _read(path)) for path in files]
    profiles = [(time, exponent) for time in times for exponent in exponents]
    weights = fit(profiles, (times[-1], exponent_of(width))).reshape(len(times), len(exponents))
    total: dict[str, Tensor] = {}
    for path, own in zip(files, weights, strict=True):
        tensors = _read(path)
        for number, weight in enumerate(own.tolist()):
            for key, value in tensors.items():
                if key[:2] == f"{number}.":
                    part = weight * value.double()
                    total[key[2:]] = total[key[2:]] + part if key[2:] in total else part
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in total.items():
        module, _, name = key.partition(".")
        found.setdefault(module, {})[name] = value.float()
    return found


def stored(run: Path) -> list[Path]:
    """Return the snapshots of averages that a training stored, oldest first.

    Args:
        run: Its folder.

    Raises:
        CheckpointError: There are none.
    """
    files = sorted((run / FOLDER).glob("step-*.safetensors"))
    if not files:
        raise CheckpointError(f"{run / FOLDER}: no averages; expected a run with `averages.posthoc` in train")
    return files


def _read(path: Path) -> dict[str, Tensor]:
    return parse_tensors(path, read_limited(path, MAX_MODEL_BYTES))


def _moves(path: Path, tensors: Mapping[str, Tensor]) -> float:
    if MOVES not in tensors:
        raise CheckpointError(f"{path}: holds no {MOVES}; expected a snapshot of averages")
    return float(tensors[MOVES])
