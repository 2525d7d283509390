"""Choose among averages of different lengths after training, by the score of the pipeline.

A run whose recipe says `train.averages.posthoc` keeps what any length can be made from. The usual average stays unless
another is nearer to held-out music by more than the standard error, since the best of several noisy figures flatters
itself. Lengths are widths: standard deviations as shares of the run.
"""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiogan.corpus.names import escape
from audiogan.errors import UsageError
from audiogan.pipeline import Pipeline, Progress
from audiogan.recipe import Recipe
from audiogan.workflow.outputs import write_json
from audiogan.workflow.provenance import note_average

if TYPE_CHECKING:
    from audiogan.adversarial.scoring import Scoring

logger = logging.getLogger(__name__)

Tried = list[tuple[float | None, Mapping[str, float]]]
CHOICE = "averages.json"
USUAL = "usual-average"


@dataclass(frozen=True)
class Choice:
    """What was chosen: the width, None for the usual average, and what was tried, the usual one first, with figures."""

    width: float | None
    tried: tuple[tuple[float | None, Mapping[str, float]], ...] = ()


def choose(
    run: Path,
    recipe: Recipe,
    pipeline: Pipeline,
    dataset: Any,
    scoring: "Scoring | None",
    widths: Sequence[float],
    *,
    progress: Progress | None = None,
) -> Choice:
    """Put the best average into the model of a run, unless the usual one stays, and return the choice.

    The usual average is set aside in `usual-average/`, so that the choice can be made again.
    What was tried is written to `averages.json` in the run folder: width (null for the usual average) and figures.

    Args:
        run: Folder with `model/` and stored averages.
        recipe: Of the run.
        pipeline: Of the recipe.
        dataset: Training examples, for what remains to be fitted.
        scoring: How to tell; None: the only width that is named is taken.
        widths: To try.
        progress: Called with averages scored and their number.

    Raises:
        UsageError: Nothing to choose by, and more than one width.
        CheckpointError: The run stored no averages.
    """
    from audiogan.adversarial.model import load_model, save_model
    from audiogan.adversarial.posthoc import average_of, stored

    stored(run)  # before it takes long
    config = recipe.section("model")
    usual, shared = load_model(run / USUAL if (run / USUAL).is_dir() else run / "model")
    if scoring is None and len(widths) != 1:
        raise UsageError(f"{escape(run)}: too little is held out to choose by; expected one width, not {len(widths)}")

    def built(width: float | None) -> dict[str, Any]:
        made = {} if width is None else average_of(run, width)
        return pipeline.load_modules({name: own | made.get(name, {}) for name, own in usual.items()}, config)

    tried = [] if scoring is None else _scored(scoring, built, (None, *widths), recipe.seed, progress)
    best = better(tried) if tried else widths[0]
    if tried:
        write_json(run / CHOICE, {"tried": [{"width": width, **found} for width, found in tried], "taken": best})
    if best is None:
        put_back(run)
        return Choice(None, tuple(tried))
    set_aside(run)
    modules = built(best)
    pipeline.finish(modules, config, dataset, seed=recipe.seed)
    save_model(run / "model", modules, shared)
    note_average(run / "model", best)
    logger.info("the average of width %g takes the place of the usual one", best)
    return Choice(best, tuple(tried))


def _scored(
    scoring: "Scoring",
    built: Callable[[float | None], dict[str, Any]],
    widths: Sequence[float | None],
    seed: int,
    progress: Progress | None,
) -> Tried:
    """Return the figures of each average."""
    import torch

    tried: Tried = []
    for width in widths:
        with torch.no_grad():
            tried.append((width, dict(scoring.score(built(width), seed))))
        if progress is not None:
            progress(len(tried), len(widths))
    return tried


def set_aside(run: Path) -> None:
    """Keep the usual average of a run beside its model, whole or not at all; one that is kept already stays."""
    if not (run / USUAL).is_dir():
        staged = run / f".tmp-{USUAL}"
        shutil.rmtree(staged, ignore_errors=True)
        shutil.copytree(run / "model", staged)
        staged.rename(run / USUAL)


def put_back(run: Path) -> None:
    """Make the usual average the model again, where it was set aside."""
    if (run / USUAL).is_dir():
        shutil.copytree(run / USUAL, run / "model", dirs_exist_ok=True)
        forget(run)


def forget(run: Path) -> None:
    """Remove a usual average that was set aside, since the run has trained on."""
    shutil.rmtree(run / USUAL, ignore_errors=True)


def better(tried: Sequence[tuple[float | None, Mapping[str, float]]]) -> float | None:
    """Return the width of the lowest distance, None unless it is below the first by more than the first's error.

    Args:
        tried: The usual average first, then widths, each with `distance` and perhaps its standard `error`.

    Example:
        >>> better([(None, {"distance": 2.0, "error": 0.5}), (0.1, {"distance": 1.6}), (0.2, {"distance": 1.4})])
        0.2
        >>> better([(None, {"distance": 2.0, "error": 0.5}), (0.1, {"distance": 1.6})]) is None
        True
    """
    first = tried[0][1]
    width, found = min(tried[1:], key=lambda one: one[1]["distance"])
    return width if found["distance"] < first["distance"] - first.get("error", 0.0) else None
