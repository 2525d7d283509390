"""What a network that hears notes says of a model's: sets by its features, its answers by pitch and family, and bins.

Beside every figure of generated notes stands that of held-out real ones, under the same network. The figures that
papers print (pitch accuracy, pitch entropy, inception score, NDB) are in their form, which the form says; their
networks were never published, so none of them can be compared with a figure of ours.
"""

from collections.abc import Sequence

import numpy as np

from audiogan.evaluation.distances import NOTHING, Distance, overlap_of_distances, with_floor
from audiogan.evaluation.intervals import Interval, clopper_pearson
from audiogan.evaluation.kinds import entropy, fit_bins, inception_score, share_of_different_bins
from audiogan.evaluation.sample_sizes import least, why_refused
from audiogan.pipelines.waveform.comparison import (
    MIN_INSTRUMENTS,
    Row,
    compare_embedded,
    mean_of,
    only_of_likely,
    row,
    set_row,
)
from audiogan.pipelines.waveform.descriptors import ENVELOPE, Array
from audiogan.pipelines.waveform.listening import Judged
from audiogan.pipelines.waveform.note_net import HIGHEST_PITCH, LOWEST_PITCH, N_FAMILIES, Heard, heard
from audiogan.pipelines.waveform.timbre_vector import place_of

NAME = "note_net"
N_DRAWS = 40
N_OVERLAPS = 10
ENOUGH_PITCH = 0.98
OVERLAPPING = (*ENVELOPE, "centroid_mean")
"""Values of a note whose spread is compared: the envelope, and how bright it is."""


def hearing_rows(asked: Judged) -> list[Row]:
    """Return the rows that `note_net` gives, and the overlap of single descriptors."""
    held = asked.held
    groups = held.groups[: len(held.features)]
    sets = asked.made.features, held.features, asked.poor_made.features
    rows = only_of_likely(compare_embedded(sets[0], sets[1], groups, sets[2], NAME, seed=asked.seed))
    return [*rows, *answer_rows(asked), *bin_rows(asked), *overlap_rows(asked)]


# ---- what it answers


def answer_rows(asked: Judged) -> list[Row]:
    """Return pitch accuracy, pitch entropy and inception scores."""
    held = asked.held
    groups = held.groups[: len(held.features)]
    wanted = np.array([note.pitch for note in asked.made_notes])
    made, real, poor = map(heard, (asked.made.features, held.features, asked.poor_made.features))
    pitches = (wanted, held.pitch[: len(held.features)], wanted[: len(asked.poor_made.features)])
    rows = _pitch_rows((made, real, poor), pitches, groups)
    for kind, n_classes in (("family", N_FAMILIES), ("pitch", HIGHEST_PITCH - LOWEST_PITCH + 1)):
        shares = [getattr(one, kind) for one in (made, real, poor)]
        rows.append(_score_row(kind, n_classes, shares, groups, asked.seed))
    return rows


def _pitch_rows(answers: tuple[Heard, Heard, Heard], pitches: Sequence[Array], groups: Sequence[int]) -> list[Row]:
    """Pitch accuracy and entropy over the notes whose key the network knows."""
    known = [(pitch.round() >= LOWEST_PITCH) & (pitch.round() <= HIGHEST_PITCH) for pitch in pitches]
    near = [
        (np.abs(one.pitch.argmax(axis=1) - pitch.round()) <= 1)[use]
        for one, pitch, use in zip(answers, pitches, known, strict=True)
    ]
    unsure = [entropy(one.pitch)[use] for one, use in zip(answers, known, strict=True)]
    kept = [group for group, use in zip(groups, known[1], strict=True) if use]
    sizes = len(near[0]), len(near[1])
    rows = []
    for name, form, values, larger in (
        ("pitch_accuracy", "within a semitone (paper form)", near, True),
        ("pitch_entropy", "nats (paper form)", unsure, False),
    ):
        refused = why_refused(name, min(sizes))
        numbers = [np.asarray(one, dtype=np.float64) for one in values]
        value: Interval = NOTHING
        if not refused:
            value = clopper_pearson(int(near[0].sum()), sizes[0]) if larger else mean_of(numbers[0])
        floor, ceiling = (NOTHING, NOTHING) if refused else (mean_of(numbers[1], kept), mean_of(numbers[2]))
        rows.append(
            row(
                name, f"{NAME}, {form}", value, floor, ceiling.value,
                larger_is_better=larger, n=sizes[0], n_real=sizes[1], note=refused,
                enough=ENOUGH_PITCH if larger else np.nan,
            )
        )  # fmt: skip
    return rows


def _score_row(kind: str, n_classes: int, shares: Sequence[Array], groups: Sequence[int], seed: int) -> Row:
    made, real, poor = shares
    needed = least("inception_score", n_classes=n_classes)

    def score(x: Array, y: Array) -> tuple[float]:
        return (inception_score(y) if min(len(x), len(y)) >= needed else np.nan,)

    found = with_floor(score, made, real, _grouped(groups), poor=poor, n_draws=N_DRAWS, seed=seed)[0]
    form = f"{NAME}, {kind}" + (" (paper form)" if kind == "pitch" else "")
    note = "with given pitches it restates accuracy" if kind == "pitch" else "of the families that are held out"
    return set_row(
        "inception_score", form, found, (len(made), len(real)), note,
        is_judged=kind != "pitch" and _are_enough(groups), n_classes=n_classes,
    )  # fmt: skip


# ---- bins


def bin_rows(asked: Judged) -> list[Row]:
    """Return the share of bins of training notes that real and generated notes fill differently.

    The reference is the held-out notes, since training notes chose the bins and the model; the form of the papers, in
    which the reference is the training notes, stands beside it without a verdict.
    """
    held, learnt = asked.held, asked.held.learnt_features
    made, poor = asked.made.features, asked.poor_made.features
    forms = ("held-out notes", "training notes (paper form)")
    if len(learnt) < least("ndb"):
        note = f"refused: {len(learnt)} training notes to find bins in, {least('ndb')} are needed"
        n, n_real = len(made), len(held.features)
        return [row("ndb", f"{NAME}, {forms[0]}", NOTHING, larger_is_better=False, n=n, n_real=n_real, note=note)]
    bins = fit_bins(learnt, seed=asked.seed)
    places = [bins.place(items)[:, None].astype(np.float64) for items in (made, held.features, poor, learnt)]

    def differ(x: Array, y: Array) -> tuple[float]:
        counts = [np.bincount(one[:, 0].astype(np.int64), minlength=len(bins.centres)) for one in (x, y)]
        return (share_of_different_bins(*counts) if len(x) >= least("ndb") else np.nan,)

    rows = []
    for form, reference, groups in (
        (forms[0], places[1], held.groups[: len(held.features)]),
        (forms[1], places[3], list(range(len(learnt)))),
    ):
        found = with_floor(
            differ, places[0], reference, _grouped(groups), poor=places[2], n_draws=N_DRAWS, seed=asked.seed
        )
        is_judged = form == forms[0] and _are_enough(groups)
        rows.append(set_row("ndb", f"{NAME}, {form}", found[0], (len(made), len(reference)), is_judged=is_judged))
    return rows


# ---- single descriptors


def overlap_rows(asked: Judged) -> list[Row]:
    """Return overlap area and divergence of single descriptors: do their values spread as those of real notes do?"""
    held, groups = asked.held, asked.held.groups
    columns = [place_of(name) for name in OVERLAPPING]
    made, real, poor = (one[:, columns] for one in (asked.made.vectors, held.vectors, asked.poor_made.vectors))

    def overlaps(x: Array, y: Array) -> list[float]:
        enough = len(x) >= least("overlap_area")
        pairs = [
            overlap_of_distances(x[:, i], y[:, i]) if enough else (np.nan, np.nan) for i in range(len(OVERLAPPING))
        ]
        return [number for pair in pairs for number in pair]

    found = with_floor(overlaps, made, real, _grouped(groups), poor=poor, n_draws=N_OVERLAPS, seed=asked.seed)
    rows, sizes = [], (len(made), len(real))
    for i, name in enumerate(OVERLAPPING):
        form = f"timbre vector, {name}"
        rows.append(_overlap_row(form, found[2 * i], sizes, groups))
        rows.append(set_row("divergence", form, found[2 * i + 1], sizes, "nats", is_judged=False))
    return rows


def _overlap_row(form: str, found: Distance, sizes: tuple[int, int], groups: Sequence[int]) -> Row:
    """No verdict where an untrained model does as well: then real notes differ too much among themselves."""
    tells = not found.ceiling.value >= found.floor.value
    note = "" if tells else "an untrained model does as well"
    return set_row("overlap_area", form, found, sizes, note, is_judged=tells and _are_enough(groups))


def _are_enough(groups: Sequence[int]) -> bool:
    return len(set(groups)) >= MIN_INSTRUMENTS


def _grouped(groups: Sequence[int]) -> Sequence[int]:
    """The groups, or each note for itself where there are too few to be halved."""
    return groups if _are_enough(groups) else range(len(groups))
