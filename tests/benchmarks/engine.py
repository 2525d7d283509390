"""How fast recipes train, and what the engine costs beside a plain PyTorch loop of the same networks and losses.

    python -m tests.benchmarks.engine [--recipe multitrack/smoke ...] [--out FILE.json] [--compare FILE.json]

For each recipe: examples per second, milliseconds per phase (`engine` is what belongs to none: averages, checks, the
record), peak memory, share of time spent on data, floating-point operations and their share of what matmuls reach on
this machine, and the engine's time over that of the plain loop (`engine_bare`), whose step includes the averages since
they are part of the algorithm. On CUDA, or with `--options`, also what the options for speed are worth. On a CPU all
times are processor times and still depend on what else the machine does; ratios of one run can be trusted, so only they
are compared: `--compare` ends with 1 when the engine lost more than 10 % to the plain loop since FILE was written.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from audiogan.adversarial.runtime import choose_device
from tests.benchmarks.engine_cases import SIZES, Case, open_case
from tests.benchmarks.engine_meters import matmul_peak
from tests.benchmarks.engine_options import measure_options
from tests.benchmarks.engine_runs import beside_bare, count_flops, is_bf16, train_alone

MOST_LOSS = 0.10
"""Loss against the plain loop that `--compare` allows."""
SHOWN = (
    ("examples/s", "examples_per_second", "{:.1f}"),
    ("ms/step", "ms_per_step", "{:.1f}"),
    ("peak MiB", "peak_mib", "{:.0f}"),
    ("data", "wait_share", "{:.1%}"),
    ("GFLOP/step", "gflop_per_step", "{:.2f}"),
    ("of peak", "peak_share", "{:.0%}"),
)


def measure(case: Case, device: torch.device, *, options: bool = False) -> dict[str, Any]:
    """Return everything that is measured of a case, JSON-able.

    Args:
        case: What to train.
        device: Where.
        options: Whether to measure the options for speed.
    """
    found = train_alone(case)  # first, while nothing else fills the memory
    flops = count_flops(case, device)
    dtype = torch.bfloat16 if is_bf16(case.config, device) else torch.float32
    peak = matmul_peak(device, dtype)
    per_second = flops["step"] / (found["ms_per_step"] / 1e3)
    found |= {
        "recipe": case.name,
        "data": "made up" if case.made_up else "sample corpus",
        "n_steps": case.n_steps,
        "batch_size": case.config.batch_size,
        "dtype": str(dtype).removeprefix("torch."),
        "gflop_per_step": flops["step"] / 1e9,
        "gflop_per_move": {name: value / 1e9 for name, value in flops.items() if name != "step"},
        "gflops": per_second / 1e9,
        "peak_gflops": peak / 1e9,
        "peak_share": per_second / peak,
        "engine_over_bare": beside_bare(case, device),
    }
    return found | ({"options": measure_options(case, device)} if options else {})


def losses_since(now: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for every recipe of both whose speed over the plain loop fell by more than `MOST_LOSS`.

    Args:
        now: Results of `measure`.
        before: Earlier ones.
    """
    earlier = {one["recipe"]: one["engine_over_bare"]["ratio"] for one in before}
    told = []
    for one in now:
        ratio, was = one["engine_over_bare"]["ratio"], earlier.get(one["recipe"])
        if was is not None and was / ratio < 1 - MOST_LOSS:
            told.append(f"{one['recipe']}: engine takes {ratio:.3f} times the plain loop, {was:.3f} before")
    return told


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the results as a Markdown table.

    Args:
        found: Results of `measure`.
    """
    titles = ("Recipe", "batch", *(title for title, _, _ in SHOWN), "engine / plain loop")
    lines = [" | ".join(("", *titles, "")).strip(), "|" + "---|" * len(titles)]
    for one in found:
        ratio = one["engine_over_bare"]
        cells = [one["recipe"], str(one["batch_size"]), *(form.format(one[key]) for _, key, form in SHOWN)]
        cells.append(f"{ratio['ratio']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]")
        lines.append(" | ".join(("", *cells, "")).strip())
    return "\n".join(lines)


def machine(device: torch.device) -> dict[str, Any]:
    """Return what the figures depend on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"device": device.type, "name": name, "threads": torch.get_num_threads(), "torch": torch.__version__}


def measure_apart(name: str, device: torch.device, given: argparse.Namespace) -> dict[str, Any]:
    """Measure a recipe in a process of its own, which keeps the peaks of memory apart."""
    options = given.options or device.type == "cuda"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure_here, (name, device, given.threads, given.steps, options))


def _measure_here(name: str, device: torch.device, threads: int, n_steps: int | None, options: bool) -> dict[str, Any]:
    torch.set_num_threads(threads)
    return measure(open_case(name, device, n_steps), device, options=options)


def _arguments(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, torch.device, list[dict[str, Any]]]:
    """Return what was given, the device, and the earlier results to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, help="instead of the usual number for each recipe")
    parser.add_argument("--options", action="store_true", help="measure options for speed on a CPU too")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--compare", type=Path)
    given = parser.parse_args(arguments)
    device = choose_device(given.device)
    if given.compare is None:
        return given, device, []
    before = json.loads(given.compare.read_text())
    if before["machine"]["device"] != device.type:
        parser.error(f"{given.compare}: measured on {before['machine']['device']}; expected {device.type}, as this is")
    return given, device, before["recipes"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, compare, and return the exit code.

    Args:
        arguments: Of the command line; None for those of this process.
    """
    given, device, before = _arguments(arguments)
    torch.set_num_threads(given.threads)
    found = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("AUDIOGAN_CACHE", cache)
        for name in given.recipe:
            found.append(measure_apart(name, device, given))
            sys.stderr.write(table(found[-1:]).splitlines()[-1] + "\n")
    result = {"machine": machine(device), "recipes": found}
    if given.out is not None:
        given.out.write_text(json.dumps(result, indent=1) + "\n")
    sys.stdout.write(table(found) + "\n" if given.out else json.dumps(result, indent=1) + "\n")
    lost = losses_since(found, before)
    sys.stderr.write("".join(f"{line}\n" for line in lost))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
