"""Fetch batches in a thread of this process while the accelerator works on the ones before.

For runs without worker processes on CUDA, where the training process would otherwise fetch while the device waits. One
thread, so batches stay in order; those that are ready lie in page-locked memory, out of which CUDA copies while it
computes. What the source raises is raised where its batch is asked for.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from torch import Tensor

Batch = dict[str, Tensor]


def pinned(batch: Batch) -> Batch:
    """Return the batch in memory that CUDA copies from without being waited for."""
    return {name: tensor.pin_memory() for name, tensor in batch.items()}


def ahead(
    batches: Iterator[Batch],
    n_ahead: int = 2,
    *,
    prepare: Callable[[Batch], Batch] = pinned,
    begin: Callable[[], object] = lambda: None,
) -> Iterator[Batch]:
    """Yield the batches, of which up to `n_ahead` are fetched before they are asked for.

    Args:
        batches: The source; asked by one thread at a time.
        n_ahead: How many.
        prepare: What else to do with each in the thread.
        begin: Called once in the thread, for example to choose its device.
    """

    def fetch() -> Batch | None:
        batch = next(batches, None)
        return None if batch is None else prepare(batch)

    with ThreadPoolExecutor(1, "fetch", initializer=begin) as pool:
        waiting = deque(pool.submit(fetch) for _ in range(n_ahead))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(fetch))
            yield batch
