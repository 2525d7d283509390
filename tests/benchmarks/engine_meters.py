"""Meters for training speed: a clock, peak memory, floating-point operations, the best that matmuls reach, intervals.

On a CPU time is processor time of all threads, which other programs disturb least; on CUDA it is the time on the wall
with the device waited for. Operations are those of matmuls and convolutions, a multiplication and an addition counting
as two. PyTorch's own counter of them refuses `autograd.grad`, so its formulas are used without its bookkeeping.
"""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from audiogan.evaluation.intervals import Interval, bootstrap_weights, percentiles

PEAK_MEMORY, FORGET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
SIZES = {"cpu": 1024, "cuda": 8192}
"""Side of the square matrices that are multiplied to find the peak."""


def clock_of(device: torch.device) -> Callable[[], float]:
    """Return the clock by which work on a device is timed, in seconds.

    Args:
        device: `cpu` or `cuda`.
    """

    def synchronised() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return synchronised if device.type == "cuda" else time.process_time


def forget_peak(device: torch.device) -> None:
    """Let the peak of memory begin anew; on systems without that, it is the peak of the whole process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif FORGET_PEAK.exists():
        FORGET_PEAK.write_text("5")


def peak_mib(device: torch.device) -> float:
    """Return the peak of memory in MiB: of the process on a CPU, of what was allocated on CUDA."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if PEAK_MEMORY.exists():
        return (
            next(int(line.split()[1]) for line in PEAK_MEMORY.read_text().splitlines() if line.startswith("VmHWM"))
            / 2**10
        )
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


class FlopCount(TorchDispatchMode):
    """Counts the floating-point operations of matmuls and convolutions inside a `with` block, in `total`."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def matmul_peak(device: torch.device, dtype: torch.dtype, n_turns: int = 12) -> float:
    """Return the most floating-point operations per second that a square matmul reached.

    Args:
        device: Where.
        dtype: Of both matrices.
        n_turns: Timings, the best of which counts.
    """
    clock, side = clock_of(device), SIZES[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    torch.mm(a, b)
    best = 0.0
    for _ in range(n_turns):
        begin = clock()
        torch.mm(a, b)
        best = max(best, 2 * side**3 / (clock() - begin))
    return best


def median_interval(values: Sequence[float], n_draws: int = 2000) -> Interval:
    """Return the median and its percentile interval over resamples.

    Args:
        values: One or more.
        n_draws: Resamples.
    """
    found = np.asarray(values, dtype=np.float64)
    counts = bootstrap_weights(len(found), n_draws, 0).astype(np.int64)
    draws = np.array([np.median(np.repeat(found, own)) for own in counts])
    low, high = percentiles(draws[:, None])
    return Interval(float(np.median(found)), float(low[0]), float(high[0]))
