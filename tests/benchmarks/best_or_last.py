"""The best checkpoint of a run, its last one, and averages of other lengths, compared by the score on other seeds.

    python -m tests.benchmarks.best_or_last [RUN ...] [--seeds 101 102 103] [--count 256] [--prepared DIR] [--out FILE]

The best was the best with one seed and a few items, so that its own figure flatters it; here every candidate is scored
with z it was not chosen by, and with more of them. What is compared with are held-out items of validation, never of the
test split. `chosen` names what the training itself took. Without a RUN a short one is trained. Runs are only read.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from audiogan.adversarial.checkpoint import Store, model_tensors, read_checkpoint
from audiogan.adversarial.posthoc import PosthocConfig, average_of, stored
from audiogan.adversarial.scoring import DISTANCE, Scoring
from audiogan.errors import CheckpointError, UsageError
from audiogan.workflow import learn
from audiogan.workflow.averaging import CHOICE
from audiogan.workflow.cache import fill
from audiogan.workflow.sections import resolve

SEEDS = (101, 102, 103)
COUNT = 256
SHORT = ("train.budget=60 steps", "train.score.least_steps=10", "train.averages.posthoc={every: 0.1}")
Tensors = dict[str, dict[str, torch.Tensor]]


def shared_tensors(folder: Path) -> Tensors:
    """Return the weights to make music with of a checkpoint, averaged ones where there are some."""
    checkpoint = read_checkpoint(folder)
    averaged = {key.partition(".")[0] for key in checkpoint.tensors["ema"]}
    found = model_tensors(checkpoint)
    return {name: found[name] for name in found if (name in averaged if averaged else name != "discriminator")}


def candidates(run: Path, widths: Sequence[float]) -> dict[str, Tensors]:
    """Return what a run could be used as: its best and last checkpoint, and averages of some widths if it kept any.

    Raises:
        UsageError: Nothing was saved.
    """
    store = Store(run)
    steps, best = store.steps(), store.best()
    if not steps:
        raise UsageError(f"{run}: no checkpoints; expected the folder of a run")
    found = {"last": shared_tensors(store.path(steps[-1]))}
    if best is not None and best["step"] in steps:
        same = best["step"] == steps[-1]
        found = {"best": found["last"] if same else shared_tensors(store.path(best["step"]))} | found
    try:
        stored(run)
    except CheckpointError:
        return found
    for width in widths:
        made = average_of(run, width)
        found[f"width {width:g}"] = {name: own | made.get(name, {}) for name, own in found["last"].items()}
    return found


def figures(scores: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the mean distance over seeds, how it spreads over them, and every figure by seed.

    Example:
        >>> figures([{"distance": 1.0}, {"distance": 3.0}])["distance"]
        2.0
    """
    distances = [score[DISTANCE] for score in scores]
    spread = stdev(distances) if len(distances) > 1 else 0.0
    return {DISTANCE: fmean(distances), "spread": spread, "by_seed": [dict(score) for score in scores]}


def compare(run: Path, scoring: Scoring, build: Any, widths: Sequence[float], seeds: Sequence[int]) -> dict[str, Any]:
    """Return the figures of every candidate of a run.

    Args:
        run: Its folder.
        scoring: Of its pipeline.
        build: From tensors to networks.
        widths: Of averages.
        seeds: Of the scores.
    """
    store, rows = Store(run), {}
    for name, tensors in candidates(run, widths).items():
        modules = build(tensors)
        with torch.no_grad():
            rows[name] = figures([scoring.score(modules, seed) for seed in seeds])
    best = store.best()
    choice = run / CHOICE
    taken = json.loads(choice.read_text())["taken"] if choice.is_file() else None
    facts = {"run": run.name, "best_step": best and best["step"], "last_step": store.steps()[-1]}
    chosen = f"width {taken:g}" if taken is not None else "best" if best else "last"
    return facts | {"chosen": chosen, "nearest": min(rows, key=lambda name: rows[name][DISTANCE]), "rows": rows}


def measure(run: Path, *, seeds: Sequence[int], count: int, prepared: Path | None = None) -> dict[str, Any]:
    """Return the comparison of one run.

    Args:
        run: Its folder.
        seeds: Of the scores.
        count: Items to make for each.
        prepared: Its corpus; None for the one in the cache.

    Raises:
        UsageError: Not a run, or too little is held out.
    """
    if not (run / learn.RECIPE).is_file():
        raise UsageError(f"{run}: no {learn.RECIPE} there; expected the folder of a run")
    recipe, pipeline = resolve(run / learn.RECIPE)
    folder = prepared or fill(recipe, pipeline, jobs=None, overwrite=False, progress=None).folder
    config = recipe.section("model")
    find = getattr(pipeline, "scoring", None)
    scoring = None if find is None else find(folder, config, recipe.section("corpus"), count=count)
    if scoring is None:
        raise UsageError(f"{run}: too little is held out to score by")
    widths = (recipe.section("train").averages.posthoc or PosthocConfig()).widths
    return compare(run, scoring, lambda tensors: pipeline.load_modules(tensors, config), widths, seeds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the comparison as JSON."""
    parser = argparse.ArgumentParser(description="The best checkpoint of a run against its last one and its averages.")
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--prepared", type=Path)
    parser.add_argument("--recipe", default="waveform/smoke", help="Of the short run.")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        runs = given.runs or [learn.train(given.recipe, SHORT, out=Path(place) / "short").run]
        wanted = {"seeds": given.seeds, "count": given.count}
        found = {**wanted, "runs": [measure(run, **wanted, prepared=given.prepared) for run in runs]}
    text = json.dumps(found, indent=1) + "\n"
    if given.out is not None:
        given.out.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
