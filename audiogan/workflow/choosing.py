"""Choose again among the averages of a run that ended, and put the best into its model.

A training whose recipe says `train.averages.posthoc` does so by itself at its end; this is for other lengths, or for a
run that was stopped and is good enough as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiogan.corpus.names import escape
from audiogan.errors import UsageError
from audiogan.pipeline import Progress
from audiogan.workflow.averaging import Choice, choose
from audiogan.workflow.cache import fill
from audiogan.workflow.learn import RECIPE, scoring_of
from audiogan.workflow.sections import resolve


@dataclass(frozen=True)
class Averaged:
    """What was chosen among the averages of a run; `model` is where the model lies."""

    run: Path
    model: Path
    choice: Choice

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values; a width of null is the usual average."""
        tried = [{"width": width, **figures} for width, figures in self.choice.tried]
        return {"run": str(self.run), "model": str(self.model), "width": self.choice.width, "tried": tried}

    def as_text(self) -> str:
        """Return one line."""
        taken = next((figures for width, figures in self.choice.tried if width == self.choice.width), {})
        told = f", distance {taken['distance']:.4g}" if "distance" in taken else ""
        if self.choice.width is None:
            return f"kept the usual average in {self.model}{told}{self._nearest()}"
        usual = f" against {self.choice.tried[0][1]['distance']:.4g} of the usual one" if told else ""
        return f"put the average of width {self.choice.width:g} into {self.model}{told}{usual}"

    def _nearest(self) -> str:
        """What the nearest other average came to, which was not enough."""
        others = [(figures["distance"], width) for width, figures in self.choice.tried[1:] if "distance" in figures]
        if not others:
            return ""
        distance, width = min(others, key=lambda one: one[0])
        return f"; width {width:g} has {distance:.4g}, which is not nearer by more than the standard error"


def average(run: str | Path, widths: Sequence[float] | None = None, *, progress: Progress | None = None) -> Averaged:
    """Choose among the averages of a run by the pipeline's score, and put the best into its model.

    Args:
        run: Folder of a run that ended or was stopped, whose recipe says `train.averages.posthoc`.
        widths: Standard deviations as shares of the run, above 0 and at most 0.25; None for those of the recipe.
        progress: Called with averages scored and their number.

    Raises:
        UsageError: No run, a width out of range, or too little held out to choose among several by.
        CheckpointError: The run has no model yet or stored no averages.
        FolderInUseError: The run goes on at the moment.
    """
    from audiogan.adversarial.disk import locked
    from audiogan.adversarial.posthoc import WIDEST, PosthocConfig

    folder = Path(run)
    if not (folder / RECIPE).is_file():
        raise UsageError(f"{escape(folder)}: no {RECIPE} there; expected the folder of a run")
    for width in widths or ():
        if not 0.0 < width <= WIDEST:
            raise UsageError(f"--width {width:g}; expected a number above 0, at most {WIDEST}")
    recipe, pipeline = resolve(folder / RECIPE)
    wanted = widths or (recipe.section("train").averages.posthoc or PosthocConfig()).widths
    with locked(folder):
        prepared = fill(recipe, pipeline, jobs=None, overwrite=False, progress=None)
        dataset = pipeline.open_dataset(prepared.folder, recipe.section("model"), recipe.section("corpus"), "train")
        scoring = scoring_of(pipeline, recipe, prepared.folder)
        choice = choose(folder, recipe, pipeline, dataset, scoring, wanted, progress=progress)
    return Averaged(folder, folder / "model", choice)
