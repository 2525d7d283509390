"""Two models side by side: load both, let the pipeline compare them, and keep what was found."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiogan.corpus.names import escape
from audiogan.errors import OutputError, UsageError
from audiogan.workflow.learn import MIN_CLIPS
from audiogan.workflow.making import check_seed
from audiogan.workflow.model import load
from audiogan.workflow.outputs import write_json

if TYPE_CHECKING:
    from audiogan.evaluation.beside import Beside

REPORT = "beside.json"


def beside(
    first: str | Path,
    second: str | Path,
    *,
    report: str | Path | None = None,
    count: int | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    **options: Any,
) -> "Beside":
    """Compare two models on the same draws, beside the held-out music of the first.

    Args:
        first, second: Shipped names, model folders or run folders, of one pipeline.
        report: Folder for `beside.json`; None for none.
        count: Clips or notes of each, 8 or more; None for the pipeline's choice.
        seed: 0 or more; the same seed gives the same figures.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        overwrite: Replace an earlier comparison.
        options: Passed on to the pipeline's `beside`.

    Raises:
        UsageError: `count` or `seed` out of range, or models of different kinds.
        OutputError: The folder holds a comparison already, or cannot be written to.
    """
    check_seed(seed)
    if count is not None and count < MIN_CLIPS:
        raise UsageError(f"count: {count}; expected {MIN_CLIPS} or more, since fewer clips have no statistics")
    folder = None if report is None else Path(report)
    if folder is not None:
        _check_free(folder, overwrite=overwrite)
    models = [load(one, device=device, needs_card=True) for one in (first, second)]
    if models[0].pipeline != models[1].pipeline:
        kinds = " and ".join(f"{escape(one.name)} of {one.pipeline}" for one in models)
        raise UsageError(f"{kinds}; expected two models of one pipeline")
    verbs: Any = models[0].verbs
    given = options | {"seed": seed} | ({} if count is None else {"count": count})
    found = verbs.beside(*models, **given)
    if folder is not None:
        write_json(folder / REPORT, found.as_json())
    return found


def _check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder before the work that cannot take the result after it."""
    if (folder / REPORT).exists() and not overwrite:
        where = escape(folder / REPORT)
        raise OutputError(f"{where} exists already; choose another --report or add --overwrite", "exists")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{escape(folder)}: {error.strerror or error}; expected a folder that can be written to"
        ) from None
