"""Choose device, threads, precision and processes, and hide them from the trainer.

One process on CPU or CUDA needs nothing else; several processes are started by `accelerate launch` or torchrun and
joined through accelerate. Gradients are averaged in one flat buffer on the raw modules, so second-order gradients
never meet a wrapper. Global generators are seeded here and nowhere else.
"""

import contextlib
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from audiogan.adversarial.game import Batch, Game, Moment, Phase, Terms, seed_of
from audiogan.adversarial.heartbeat import Heart, is_loss
from audiogan.adversarial.loader import Examples
from audiogan.adversarial.players import Players
from audiogan.adversarial.portions import Portions
from audiogan.adversarial.tuning import FormatWish, Switch, Tuning
from audiogan.errors import AudioganError, UsageError

DEVICE = re.compile(r"^(auto|cpu|cuda(:[0-9]{1,3})?)$")


LONGEST_WAIT_HOURS = 48
Shared = TypeVar("Shared")


class RuntimeConfig(BaseModel):
    """Where and how exactly to compute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = Field(default="auto", pattern=DEVICE.pattern, description="auto takes CUDA when there is one.")
    threads: int = Field(default=0, ge=0, description="CPU threads per process; 0 leaves the library's choice.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 autocast on CUDA, fp32 on CPU."
    )
    at_once: int | None = Field(
        default=None,
        ge=1,
        description="Examples per process to compute at once, in portions of a batch; null: all, or fewer when memory "
        "runs out.",
    )
    compile: Switch = Field(
        default="auto",
        description="Compile networks, where a test at the first call finds it equal; auto: on CUDA, unless "
        "deterministic.",
    )
    memory_format: FormatWish = Field(
        default="auto",
        description="Layout of the weights of image convolutions; auto: the faster one on CUDA, unless deterministic, "
        "else contiguous.",
    )
    deterministic: bool = Field(
        default=False, description="Exact repeats on CUDA at the cost of speed; CPU is always exact."
    )


class ProcessLostError(AudioganError):
    """Another process of the same training has gone (exit code 1)."""


class Runtime:
    """The machine as the trainer sees it.

    Args:
        config: Device, threads, precision.

    Raises:
        UsageError: CUDA was asked for and there is none.
    """

    def __init__(self, config: RuntimeConfig | None = None) -> None:
        config = config or RuntimeConfig()
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = 0
        self.portions = Portions(config.at_once)
        self.heart = Heart.from_environment()
        if config.threads:
            torch.set_num_threads(config.threads)
        self.device: torch.device = choose_device(config.device)
        if self.world > 1:
            self._join()
        self.precision = config.precision
        if self.precision == "auto":
            self.precision = "bf16" if self.device.type == "cuda" else "fp32"
        if config.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(mode=True)
        torch.backends.cudnn.benchmark = not config.deterministic
        free = self.device.type == "cuda" and not config.deterministic
        self.tuning = Tuning(config.compile, config.memory_format, free=free)

    def _join(self) -> None:
        """Join the other processes; the launcher's environment says where they are."""
        from accelerate import PartialState

        with self.heart.waiting():
            # Long, since the main process prepares and finishes alone; heartbeats and connections show who is dead.
            state = PartialState(cpu=self.device.type == "cpu", timeout=timedelta(hours=LONGEST_WAIT_HOURS))
        self.rank, self.world = state.process_index, state.num_processes
        self.device = torch.device(state.device or self.device)

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def pins(self) -> dict[str, str | int]:
        """Return what must be equal for a resumed run to be exact."""
        return {
            "device": self.device.type,
            "portions": self.portions.count,
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "world": self.world,
        } | self.tuning.pins()

    # ---- before the first step

    def place(self, modules: Mapping[str, nn.Module], game: Game) -> dict[str, nn.Module]:
        """Return the modules on the device, and compile what the game says may be, if that is wanted.

        Args:
            modules: By name.
            game: Not changed but for that.
        """
        self.tuning.compile(game.compilable)
        return {name: module.to(self.device) for name, module in modules.items()}

    def settle(self, players: Players, dataset: Examples, batch_size: int, pins: Mapping[str, Any]) -> None:
        """Choose what is fastest, or what the run began with.

        Args:
            players: Their weights take the memory format.
            dataset: Batches to time moves with.
            batch_size: Over all processes.
            pins: Of the checkpoint that the run goes on from, or nothing.
        """

        def move(phase: Phase) -> bool:
            rows = [number % len(dataset) for number in range(batch_size // self.world)]
            moment = Moment(0, phase.span[0], 0, phase=phase.name, rank=self.rank, world=self.world)
            players.let_move(phase, 0.0)
            self.seed_layers(moment)
            self.backward(phase.terms, self.to_device(dataset.fetch(rows, [0] * len(rows))), moment)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            fits, self.portions.failed = not self.portions.failed, ""
            return fits

        self.tuning.settle(players, move, self.largest, pins)

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which loss terms are computed."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def to_device(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the batch on the device.

        Args:
            batch: Tensors on CPU.
        """
        if self.device.type == "cpu":
            return dict(batch)
        return {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}

    def seed_layers(self, moment: Moment) -> None:
        """Seed the global generators that dropout and the like draw from inside a module.

        Args:
            moment: The move that begins.
        """
        seed = seed_of(moment.seed, "layers", moment.phase, moment.repeat, moment.step, self.rank)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)

    def backward(
        self, terms_of: Callable[[Batch, Moment], Terms], batch: Batch, moment: Moment
    ) -> tuple[list[str], Tensor]:
        """Add the gradients of one move and return the names and values of its terms, see `Portions.backward`.

        Args:
            terms_of: The phase's.
            batch: Of this process, on the device.
            moment: When.
        """
        return self.portions.backward(terms_of, batch, moment, self.autocast)

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace every gradient by its mean over the processes.

        Args:
            parameters: Those that move, in the same order on every process; a missing gradient counts as zero.
        """
        if self.world == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, flat.split([item.numel() for item in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over the processes.

        Args:
            values: Any shape, equal on every process.
        """
        if self.world == 1:
            return values
        with self._together():
            torch.distributed.all_reduce(values)
        return values / self.world

    def largest(self, values: Sequence[float]) -> list[float]:
        """Return the largest of each number over the processes, so that all take the same decision.

        Args:
            values: A few numbers, equally many on every process.
        """
        if self.world == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        with self._together():
            torch.distributed.all_reduce(shared, op=torch.distributed.ReduceOp.MAX)
            return shared.tolist()

    def gather(self, own: Shared) -> list[Shared]:
        """Return what each process holds, in their order, the same on every process.

        Args:
            own: Of this process; plain values, which may differ in kind and number.
        """
        if self.world == 1:
            return [own]
        found: list[Any] = [None] * self.world
        with self._together():
            torch.distributed.all_gather_object(found, own)
        return found

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors with those of the main process.

        Args:
            tensors: On the device, in the same order on every process.
        """
        if self.world == 1:
            return
        with self._together():
            for tensor in tensors:
                torch.distributed.broadcast(tensor, src=0)

    def all_equal(self, tensors: Sequence[Tensor]) -> bool:
        """Return whether every process holds the same values.

        Args:
            tensors: In the same order on every process.
        """
        if self.world == 1:
            return True
        mark = float(sum(tensor.detach().double().abs().sum() for tensor in tensors))
        high, low = self.largest([mark, -mark])
        return high == -low

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Do inside the block what every process does at the same time."""
        try:
            with self.heart.waiting():
                yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            if not is_loss(error):
                raise
            told = f"another process of this training has gone: {str(error).splitlines()[0]}"
            raise ProcessLostError(told, "process_lost") from error

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.world > 1:
            with self._together():
                torch.distributed.barrier()

    def close(self, *, together: bool = True) -> None:
        """Leave the group of processes.

        Args:
            together: Whether all leave now; otherwise the others learn from their broken connection that this one went.
        """
        if self.world > 1 and torch.distributed.is_initialized():
            if together:
                with contextlib.suppress(ProcessLostError):  # who comes first may be gone before the last has noticed
                    self.wait()
            torch.distributed.destroy_process_group()
        self.heart.stop()


class StopRequest:
    """Remember SIGTERM and SIGINT inside a `with` block; a second signal ends the process at once."""

    def __init__(self) -> None:
        self.exit_code = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        # Python lets only the main thread listen to signals; a trainer in another thread is stopped by its owner.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        self.exit_code = 128 + number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)


def choose_device(name: str) -> torch.device:
    """Return the device of that name.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        UsageError: Another name, or a CUDA device that is not there.
    """
    if not DEVICE.fullmatch(name):
        raise UsageError(f"device {name!r}; expected auto, cpu, cuda or cuda:N", "no_device")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"device {name}: no CUDA device is usable here; expected `auto` or `cpu`", "no_device")
    device = torch.device(name)
    if device.index is not None and device.index >= torch.cuda.device_count():
        n_devices = torch.cuda.device_count()
        raise UsageError(f"device {name}: there are {n_devices} CUDA devices; expected cuda:0 and up", "no_device")
    return device


@contextlib.contextmanager
def seeded(seed: int, stream: str) -> Iterator[None]:
    """Seed the global CPU generator inside the block, for building modules, and restore it after.

    Args:
        seed: Seed of the run.
        stream: Name of what is drawn, for example `"modules"`.
    """
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed_of(seed, stream))
    try:
        yield
    finally:
        torch.set_rng_state(state)
