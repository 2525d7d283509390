"""Two models of notes on the same draws: the same numbers of the seed, pitches and velocities, the same real notes."""

from pathlib import Path

from audiogan.errors import UsageError
from audiogan.evaluation.beside import LEAST_GROUPS, Beside, Paired, differences
from audiogan.pipeline import Model, Progress
from audiogan.pipelines.waveform import note_net
from audiogan.pipelines.waveform.evaluation import N_NOTES, TIMBRE_VECTOR, scaler_of, untrained
from audiogan.pipelines.waveform.held_out import LEAST_NOTES, find
from audiogan.pipelines.waveform.listening import Judged
from audiogan.pipelines.waveform.timbre_vector import scaled


def beside(
    model: Model,
    other: Model,
    *,
    reference: Path | None = None,
    count: int = N_NOTES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Beside:
    """Compare two models of notes.

    Args:
        model, other: Trained networks.
        reference: Folder of recordings that neither was trained on; None for the held-out notes of the first.
        count: Notes of each model, and most real notes.
        seed: The same seed makes the same notes.
        progress: Called with parts done and their number.

    Raises:
        UsageError: There are no real notes to compare with, or too few.
        CorpusError: The recordings cannot be read.
    """
    count = max(count, LEAST_NOTES)
    held = find(model, reference, count=count)
    if len(set(held.groups)) < LEAST_GROUPS:
        found = f"{len(set(held.groups))} held-out instruments"
        raise UsageError(f"{found}; expected {LEAST_GROUPS} or more, so that halves of them can be compared")
    scaler = scaler_of(held)
    made = []
    for number, one in enumerate((model, other), 1):
        made.append(Judged(one, untrained(one, seed), held, scaler, seed, count).made)
        if progress is not None:
            progress(number, 3)
    k = len(held.features)
    first, second, real = (scaled(vectors, scaler) for vectors in (made[0].vectors, made[1].vectors, held.vectors))
    pairs = [Paired(TIMBRE_VECTOR, first, second, real, held.groups)]
    if len(set(held.groups[:k])) >= LEAST_GROUPS:
        pairs.append(Paired(note_net.NAME, made[0].features, made[1].features, held.features, held.groups[:k]))
    rows = tuple(differences(pairs, seed=seed))
    if progress is not None:
        progress(3, 3)
    return Beside(model.name, other.name, model.sha256, other.sha256, "notes", seed, count, len(held), rows)
