"""Draw seeded batches whose order is a pure function of the step.

Each phase walks its own endless row of epochs; an epoch is a permutation keyed by (seed, phase, epoch). Item k of a
phase is `(step // interval · repeats + repeat) · batch + j`, and process r takes every j with j mod world = r. So a
run resumes from its step alone, worker processes cannot change the order, and neither can their number.
"""

import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from audiogan.adversarial.ahead import ahead
from audiogan.adversarial.game import Game, Phase, seed_of
from audiogan.errors import CorpusError

logger = logging.getLogger(__name__)

WORKER_TRIES = 3
WORKER_TIMEOUT_SECONDS = 30.0

Request = tuple[list[int], list[int]]
Order = Callable[[int, str, int], np.ndarray]


class Examples(Protocol):
    """What the loader asks of a dataset.

    One more may be there: `order`, None or a function from a seed to an order of the items that suits how they are
    kept; otherwise they are shuffled evenly.
    """

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        """Return one batch; `seeds` holds a 63-bit integer per item for any random choice about it."""
        ...


class _Refusal(NamedTuple):
    """A `CorpusError` on its way out of a worker process; the library would make another kind of error of it."""

    message: str
    reason: str


class _Fetching(Dataset[dict[str, Tensor] | _Refusal]):
    """A dataset whose one item is a whole requested batch, for worker processes."""

    def __init__(self, dataset: Examples) -> None:
        self.dataset = dataset

    def __getitem__(self, request: Request) -> dict[str, Tensor] | _Refusal:
        try:
            return self.dataset.fetch(*request)
        except CorpusError as error:
            return _Refusal(str(error), error.reason)


@lru_cache(maxsize=16)
def permutation(n_items: int, seed: int, phase: str, epoch: int) -> np.ndarray:
    """Return the order of one epoch, `(n_items,)` int64; read only.

    Args:
        n_items: Number of examples.
        seed: Seed of the run.
        phase: Name of the phase that draws.
        epoch: Number of the epoch, from 0.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, "order", phase, epoch))
    return torch.randperm(n_items, generator=generator).numpy()


def order_of(dataset: Examples) -> Order:
    """Return the order of epochs, `(seed, phase, epoch)` → `(n_items,)` int64: the dataset's own, or `permutation`."""
    own = getattr(dataset, "order", None)
    if own is None:
        return partial(permutation, len(dataset))
    return lru_cache(maxsize=16)(lambda seed, phase, epoch: own(seed_of(seed, "order", phase, epoch)))


def request(
    phase: Phase,
    repeat: int,
    step: int,
    *,
    seed: int,
    n_items: int,
    batch_size: int,
    rank: int,
    world: int,
    order: Order | None = None,
) -> Request:
    """Return which examples a move takes on this process, and a seed for each.

    Args:
        phase: The phase that moves.
        repeat: Which move within the step.
        step: Number of the step.
        seed: Seed of the run.
        n_items: Number of examples in the dataset.
        batch_size: Examples per move over all processes.
        rank: This process.
        world: Number of processes.
        order: Of the epochs; None for `permutation`.
    """
    order = order or partial(permutation, n_items)
    first = (step // phase.interval * phase.most_repeats + repeat) * batch_size
    items = np.arange(first + rank, first + batch_size, world)
    epochs, places = np.divmod(items, n_items)
    indices = np.empty_like(items)
    for epoch in np.unique(epochs).tolist():
        own = epochs == epoch
        indices[own] = order(seed, phase.name, epoch)[places[own]]
    return indices.tolist(), item_seeds(seed_of(seed, "augment", phase.name), items).tolist()


def item_seeds(base: int, items: np.ndarray) -> np.ndarray:
    """Return a 63-bit seed for each item number, `(n_items,)` int64, by the splitmix64 mixer (Steele et al. 2014).

    Args:
        base: Seed of the sequence.
        items: `(n_items,)` int64, 0 or more.
    """
    with np.errstate(over="ignore"):
        mixed = np.uint64(base) + (items.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


class Loader:
    """Batches in the order in which the game's moves ask for them.

    Args:
        dataset: Source of examples.
        game: Says which moves a step makes.
        batch_size: Examples per move over all processes.
        n_steps: Steps in the budget.
        seed: Seed of the run.
        workers: Worker processes; 0 fetches in this process, in a thread of its own where `pin` is set.
        rank: This process.
        world: Number of processes.
        pin: Whether to place batches in memory that CUDA copies from fast.

    Raises:
        CorpusError: The dataset is empty.
    """

    def __init__(
        self,
        dataset: Examples,
        game: Game,
        *,
        batch_size: int,
        n_steps: int,
        seed: int,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        pin: bool = False,
    ) -> None:
        if len(dataset) == 0:
            raise CorpusError("the dataset holds 0 examples; expected 1 or more to train on", "empty")
        self.dataset = dataset
        self.game = game
        self.batch_size = batch_size
        self.n_steps = n_steps
        self.seed = seed
        self.workers = workers
        self.rank = rank
        self.world = world
        self.pin = pin

    def requests(self, first_step: int) -> Iterator[Request]:
        """Yield the requests of every move from a step to the end of the budget.

        Args:
            first_step: Number of the first step.
        """
        n_items, order = len(self.dataset), order_of(self.dataset)
        for step in range(first_step, self.n_steps):
            for phase, repeat in self.game.moves(step, step / self.n_steps):
                yield request(
                    phase,
                    repeat,
                    step,
                    seed=self.seed,
                    n_items=n_items,
                    batch_size=self.batch_size,
                    rank=self.rank,
                    world=self.world,
                    order=order,
                )

    def batches(self, first_step: int) -> Iterator[dict[str, Tensor]]:
        """Yield the batches of every move from a step to the end of the budget, on CPU.

        Args:
            first_step: Number of the first step.
        """
        if self.workers:
            return self._from_workers(first_step)
        batches = self._fetched(first_step)
        if not self.pin:
            return batches
        device = torch.cuda.current_device()  # each thread has its own
        return ahead(batches, begin=lambda: torch.cuda.set_device(device))

    def _fetched(self, first_step: int, served: int = 0) -> Iterator[dict[str, Tensor]]:
        return (self.dataset.fetch(*item) for item in islice(self.requests(first_step), served, None))

    def _from_workers(self, first_step: int) -> Iterator[dict[str, Tensor]]:
        """Yield batches from worker processes; new ones replace dead ones, and at last this process does the work."""
        served = 0
        for _ in range(WORKER_TRIES):
            batches = DataLoader(
                _Fetching(self.dataset),
                sampler=_Requests(self, first_step, served),
                batch_size=None,
                num_workers=self.workers,
                pin_memory=self.pin,
                timeout=WORKER_TIMEOUT_SECONDS,
            )
            before = set(multiprocessing.active_children())
            stream = iter(batches)
            workers = set(multiprocessing.active_children()) - before
            # The library would raise from a signal handler, in the middle of a step; this leaves it to the next batch.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                for batch in stream:
                    if isinstance(batch, _Refusal):
                        raise CorpusError(*batch)
                    served += 1
                    yield batch
            except (RuntimeError, EOFError, OSError) as error:
                # These are what a dead or hanging worker shows as; what the dataset itself raised is marked so.
                if str(error).startswith("Caught "):
                    raise
                logger.warning("after %d batches: %s; starting new worker processes", served, error or "no answer")
                for worker in workers:
                    worker.kill()  # one that hangs would not hear the library ask it to end
            else:
                return
        logger.warning("worker processes ended %d times; fetching in the training process", WORKER_TRIES)
        yield from self._fetched(first_step, served)


class _Requests:
    """The requests as the sampler that a DataLoader wants."""

    def __init__(self, loader: Loader, first_step: int, served: int) -> None:
        self.loader = loader
        self.first_step = first_step
        self.served = served

    def __iter__(self) -> Iterator[Request]:
        return islice(self.loader.requests(self.first_step), self.served, None)
