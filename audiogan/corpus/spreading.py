"""Spread work over the machines of a Ray cluster, with Ray Data: the optional extra `ray`.

One function takes work and items and gives back answers, as the pools of worker processes do that are used otherwise.
Every machine needs audiogan and the same files under the same names. Work and answers go from process to process in
the form that Ray itself uses; nothing of that is written to a file.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from audiogan.errors import AudioganError, UnsupportedError

_log = logging.getLogger(__name__)
_MOST_TASKS = 4096
T = TypeVar("T")
R = TypeVar("R")


class Spread(Protocol):
    """Work done elsewhere: answers with the numbers of their items, in any order.

    Items whose worker died may be missing; the caller does them itself.
    """

    def __call__(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield (number of the item, answer)."""
        ...


def spread_of(name: str) -> Spread | None:
    """Return how to spread work, by its name in a recipe: `ray`, or None for `processes` of this machine."""
    return by_ray if name == "ray" else None


def by_ray(work: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
    """Do work on the cluster that `RAY_ADDRESS` names, or on one made of this machine for the while.

    Args:
        work: A function of a module, or a `functools.partial` of one.
        items: What to do it to.

    Raises:
        UnsupportedError: Ray is not installed, or its cluster does not answer.
        AudioganError: What `work` raises.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray  # pyright: ignore[reportMissingImports]
        import ray.data  # pyright: ignore[reportMissingImports]
        from ray import cloudpickle  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UnsupportedError("corpus.spread_by: ray; expected Ray: pip install 'audiogan[ray]'") from None
    size = -(-len(items) // _MOST_TASKS) or 1
    starts = range(0, len(items), size)
    rows = [{"first": first, "task": cloudpickle.dumps((work, items[first : first + size]))} for first in starts]
    n_left = len(items)
    is_ours = not ray.is_initialized()
    if is_ours:
        try:
            ray.init(include_dashboard=False, logging_level="warning", log_to_driver=False)
        except ConnectionError:
            where = os.environ.get("RAY_ADDRESS", "this machine")
            raise UnsupportedError(
                f"corpus.spread_by: ray; no cluster answers at {where}; expected RAY_ADDRESS of one"
            ) from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what matters is told here
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # a task whose worker dies takes no other with it
        tasks = ray.data.from_items(rows, override_num_blocks=len(rows) or None)
        # By itself Ray Data would give an item that kills its worker to new ones for ever.
        for row in tasks.map(_attempt, ray_remote_args_fn=lambda: {"max_retries": 1}).iter_rows():
            answers, refusal = cloudpickle.loads(row["answers"])
            if refusal is not None:
                kind, message, reason = refusal
                raise kind(message, reason)
            n_left -= len(answers)
            yield from enumerate(answers, row["first"])
    finally:
        if is_ours:
            ray.shutdown()
    if n_left:
        _log.warning("%d of %d items were left by Ray's workers; doing them here", n_left, len(items))


def _attempt(row: dict[str, Any]) -> dict[str, Any]:
    """Do one task in a worker; a refusal comes back as its kind, message and reason."""
    from ray import cloudpickle  # pyright: ignore[reportMissingImports]

    work, items = cloudpickle.loads(row["task"])
    try:
        answers, refusal = [work(item) for item in items], None
    except AudioganError as error:
        answers, refusal = [], (type(error), str(error), error.reason)
    return {"first": row["first"], "answers": cloudpickle.dumps((answers, refusal))}
