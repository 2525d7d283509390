"""Two models of clips on the same draws: the same numbers of the seed, one grid, the same real clips."""

from pathlib import Path

from audiogan.errors import UsageError
from audiogan.evaluation.beside import LEAST_GROUPS, Beside, Paired, differences
from audiogan.evaluation.distances import fit_scaler
from audiogan.pipeline import Model, Progress
from audiogan.pipelines.multitrack import roll_net
from audiogan.pipelines.multitrack.config import CellsConfig
from audiogan.pipelines.multitrack.description import describe
from audiogan.pipelines.multitrack.evaluation import N_CLIPS
from audiogan.pipelines.multitrack.held_out import clip_grid, find
from audiogan.pipelines.multitrack.synthesis import generate


def beside(
    model: Model,
    other: Model,
    *,
    reference: Path | None = None,
    count: int = N_CLIPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Beside:
    """Compare two models of clips.

    Args:
        model, other: Trained networks, of one grid and the same tracks.
        reference: Folder of songs that neither was trained on; None for the held-out songs of the first.
        count: Clips of each model, and most real clips.
        seed: The same seed makes the same clips.
        progress: Called with parts done and their number.

    Raises:
        UsageError: Clips of another shape, or too few real songs.
        CorpusError: The songs cannot be read.
    """
    grid = clip_grid(model.config)
    if clip_grid(other.config) != grid:
        raise UsageError(
            f"{model.name} and {other.name} write clips of different shape; expected the same grid and tracks"
        )
    held = find(model, reference, count=count)
    if len(set(held.songs)) < LEAST_GROUPS:
        found = f"{len(set(held.songs))} held-out songs"
        raise UsageError(f"{found}; expected {LEAST_GROUPS} or more, so that halves of them can be compared")
    made = []
    for number, one in enumerate((model, other), 1):
        made.append(generate(one, count=count, seed=seed))
        if progress is not None:
            progress(number, 3)
    plays = all(isinstance(one.config.network, CellsConfig) for one in (model, other))
    sets = [*made, held.clips]
    described = [describe(clips, grid, with_expression=plays)[1] for clips in sets]
    scaler = fit_scaler(described[-1])
    pairs = []
    for name, vectors in (
        ("score_desc", [scaler.transform(values) for values in described]),
        (roll_net.NAME, [roll_net.embed(clips, grid) for clips in sets]),
    ):
        first, second, real = vectors
        pairs.append(Paired(name, first, second, real, held.songs))
    rows = tuple(differences(pairs, seed=seed))
    if progress is not None:
        progress(3, 3)
    counts = count, len(held.clips)
    return Beside(model.name, other.name, model.sha256, other.sha256, "clips", seed, *counts, rows)
