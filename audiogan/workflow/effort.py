"""What a training takes: time, processor time, memory and incidents, summed over the parts of a run.

`effort.json` in the run folder holds what the parts until now took. A part that is killed leaves no figures of its own;
it is counted, so that nobody takes the sum for the whole.
"""

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiogan.errors import OutputError
from audiogan.evaluation.provenance import UNKNOWN, Effort
from audiogan.workflow.outputs import write_json

if TYPE_CHECKING:
    from audiogan.adversarial.trainer import Trainer

logger = logging.getLogger(__name__)

EFFORT = "effort.json"
_SUMS = ("wall_seconds", "cpu_seconds", "n_examples", "n_parts", "n_killed")
_PEAKS = ("peak_memory_mib", "peak_device_memory_mib")


@contextmanager
def measured(run: Path, trainer: "Trainer") -> Iterator[None]:
    """Measure the training inside the block and add it to what earlier parts of the run took.

    Args:
        run: Its folder.
        trainer: Of the run; only the main process writes.
    """
    if not trainer.runtime.is_main:
        yield
        return
    before = _read(run)
    before["n_killed"] += bool(before.pop("open", False))
    before["n_parts"] += 1
    _write(run, before | {"open": True})
    first_step, clock, processor = _newest_step(trainer), time.monotonic(), _processor_seconds()
    try:
        yield
    finally:
        took = {"wall_seconds": time.monotonic() - clock, "cpu_seconds": _processor_seconds() - processor}
        took["n_examples"] = max(0, _newest_step(trainer) - first_step) * trainer.config.batch_size
        found = before | {name: before[name] + value for name, value in took.items()}
        peaks = {"peak_memory_mib": _peak_memory(), "peak_device_memory_mib": _peak_device_memory(trainer)}
        found |= {name: _larger(before.get(name), peak) for name, peak in peaks.items()}
        _write(run, found | _incidents(trainer))


def effort_of(run: Path) -> Effort:
    """Return the effort of a run as a block of its card; what was not measured, or not kept well, is `unknown`.

    Args:
        run: Its folder.
    """
    found = _read(run)
    if not found["n_parts"]:
        return Effort()
    wall = found["wall_seconds"]
    known = {
        name: found[name]
        for name in ("device", "threads", "processes", "rollbacks", "skipped_steps", "alarms")
        if name in found
    }
    known |= {
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(found["cpu_seconds"], 1),
        "examples_per_second": round(found["n_examples"] / wall, 2) if wall > 0 else UNKNOWN,
        "peak_memory_mib": UNKNOWN if found.get("peak_memory_mib") is None else round(found["peak_memory_mib"], 1),
        "peak_device_memory_mib": found.get("peak_device_memory_mib"),
        "restarts": found["n_parts"] - 1,
        "unmeasured_parts": found["n_killed"],
    }
    try:
        return Effort.model_validate_json(json.dumps(known))
    except ValueError:
        return Effort()


def _incidents(trainer: "Trainer") -> dict[str, Any]:
    standing = getattr(trainer, "standing", None)  # none where a run fails before its first step
    import torch

    return {
        "rollbacks": trainer.recovery.times,
        "skipped_steps": trainer.guard.n_skipped,
        "alarms": list(standing.warnings) if standing is not None else UNKNOWN,
        "device": _device_name(trainer),
        "threads": torch.get_num_threads(),
        "processes": trainer.runtime.world,
    }


def _device_name(trainer: "Trainer") -> str:
    import torch

    device = trainer.runtime.device
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _larger(first: float | None, second: float | None) -> float | None:
    known = [value for value in (first, second) if isinstance(value, int | float)]
    return max(known, default=None)


def _newest_step(trainer: "Trainer") -> int:
    return max(trainer.store.steps(), default=0)


def _processor_seconds() -> float:
    """Seconds of this process and of the children that have ended."""
    return sum(os.times()[:4])


def _peak_memory() -> float | None:
    """MiB of this process since it began; None on systems that do not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _peak_device_memory(trainer: "Trainer") -> float | None:
    import torch

    device = trainer.runtime.device
    return torch.cuda.max_memory_allocated(device) / (1 << 20) if device.type == "cuda" else None


def _read(run: Path) -> dict[str, Any]:
    """Return what earlier parts took; nothing where the file is missing or says nothing of use."""
    found: Any = {}
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads((run / EFFORT).read_text(encoding="utf-8"))
    known = dict(found) if isinstance(found, Mapping) else {}
    sums = {name: known.get(name, 0) for name in _SUMS}
    is_sound = all(isinstance(value, int | float) and 0 <= value < float("inf") for value in sums.values())
    return known | sums if is_sound else dict.fromkeys(_SUMS, 0)


def _write(run: Path, values: Mapping[str, Any]) -> None:
    """Write what a run took; a disk that refuses costs the figures, never the training."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        write_json(run / EFFORT, dict(values))
    except (OutputError, OSError) as error:
        logger.warning("what the training takes is not kept: %s", error)
