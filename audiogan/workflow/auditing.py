"""Is it a copy? New files checked against a model's fingerprints, an owner's question answered, fingerprints shipped.

`generate --audit` compares what a model makes with the fingerprints of what it learnt: what is too near is drawn again,
and refused when it stays so. The verb `audit` compares new clips or notes with files that somebody owns, and says how
sure the answer is. What a user gives (a clip to go on from, a recording whose timbre is wanted) is not audited.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiogan.corpus import midi
from audiogan.corpus.names import escape
from audiogan.corpus.score import Score
from audiogan.errors import OutputError, UnsupportedError, UsageError
from audiogan.evaluation.audit import Owned
from audiogan.evaluation.fingerprints import FILE, LEFT_OUT, load, save
from audiogan.evaluation.intervals import clopper_pearson
from audiogan.pipeline import Model, Pipeline, Progress
from audiogan.recipe import Recipe
from audiogan.workflow.cache import fill
from audiogan.workflow.making import Item, Where, Writer, check_folder, check_seed, within
from audiogan.workflow.making import about as about_model
from audiogan.workflow.model import load as load_named
from audiogan.workflow.outputs import OutputFolder, Refusal, Result, write_json

MOST_DRAWS = 8
COUNTS = (8, 20_000)
TOO_NEAR = "too_near"
Again = Callable[[int, int], tuple[Item, Item]]


class Checked(NamedTuple):
    """An item with what its check found, for the manifest."""

    item: Item
    facts: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether it is not too near."""
        return self.facts["verdict"] == "passed"


class Guard:
    """Compares what a model makes with the fingerprints of what it learnt.

    Args:
        model: Loaded.

    Raises:
        UnsupportedError: It has no fingerprints, or such as have no limit.
        CheckpointError: They are damaged, or those of another pipeline.
    """

    def __init__(self, model: Model) -> None:
        path, name = model.folder / FILE, escape(model.name)
        compare = getattr(model.verbs, "compare_fingerprints", None)
        if compare is None or not path.is_file():
            raise UnsupportedError(f"--audit: {name} has no {FILE}; expected a model with fingerprints of its corpus")
        self._marks, self._model, self._compare = load(path), model, compare
        if not self._marks.limits:
            raise UnsupportedError(f"--audit: {FILE} of {name} tells no limit, since nothing was held out to set it")
        self._distances([])  # says at once whether they are this pipeline's
        self._n_compared = self._n_again = self._n_refused = 0
        self._sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    @property
    def about(self) -> dict[str, Any]:
        """What the manifest says of the check."""
        facts = self._marks.facts
        known = {name: facts[name] for name in ("n_items", "verdict") if name in facts}
        return {"fingerprints": self._sha256, **self._limits(), "draws_at_most": MOST_DRAWS, **known}

    @property
    def summary(self) -> str:
        """What was compared so far, in one line."""
        known = self._marks.facts.get("n_items")
        corpus = f"{known:,} training {self._marks.kind}" if isinstance(known, int) else "the corpus"
        refused = f"; {self._n_refused} refused" if self._n_refused else ""
        told = f"{self._n_compared} {self._marks.kind} compared with the fingerprints of {corpus}"
        return f"{told}; {self._n_again} drawn again{refused}"

    def _limits(self) -> dict[str, dict[str, float]]:
        """Return the least distances, and how much may be shared, by view."""
        limits = self._marks.limits
        told = {
            "farther_than": {name: limit for name, limit in limits.items() if limit >= 0},
            "at_most": {name: math.ceil(-limit) - 1 for name, limit in limits.items() if limit < 0},
        }
        return {name: values for name, values in told.items() if values}

    def _found(self, near: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Return distances, and how much is shared, by view."""
        limits = self._marks.limits
        told = {
            "distance": {name: float(value) for name, value in near.items() if limits.get(name, 0) >= 0},
            "shared": {name: abs(round(float(value))) for name, value in near.items() if limits.get(name, 0) < 0},
        }
        return {name: values for name, values in told.items() if values}

    def check(
        self, items: Sequence[Item], again: Again, *, seed: int, first: int = 0, whole: Sequence[Item] | None = None
    ) -> list[Checked]:
        """Return the items, those that were too near replaced by others as long as that helped.

        Args:
            items: What the model made.
            again: From the number of an item and another seed to the item made with it, and the one to compare.
            seed: They were made with.
            first: Number of the first.
            whole: What to compare instead of the items, where those are cut short.
        """
        distances = self._distances(items if whole is None else whole)
        return [
            self._checked(item, {name: values[place] for name, values in distances.items()}, first + place, again, seed)
            for place, item in enumerate(items)
        ]

    def _checked(self, item: Item, near: Mapping[str, float], number: int, again: Again, seed: int) -> Checked:
        n_draws = 0
        while self._is_too_near(near) and n_draws < MOST_DRAWS:
            n_draws += 1
            drawn = int(np.random.SeedSequence([seed, number, n_draws]).generate_state(1, np.uint64)[0] >> np.uint64(1))
            item, compared = again(number, drawn)
            near = {name: values[0] for name, values in self._distances([compared]).items()}
        verdict = TOO_NEAR.replace("_", " ") if self._is_too_near(near) else "passed"
        self._n_compared += 1
        self._n_again += n_draws > 0
        self._n_refused += verdict != "passed"
        return Checked(item, {"verdict": verdict, **self._found(near), **self._limits(), "drawn_again": n_draws})

    def _distances(self, items: Sequence[Item]) -> Mapping[str, Any]:
        return self._compare(self._model.config, items, self._marks)

    def _is_too_near(self, near: Mapping[str, float]) -> bool:
        return bool(self._marks.too_near({name: np.array([value]) for name, value in near.items()})[0])


@dataclass(frozen=True)
class Audited(Result):
    """What a verb did, with what its check has to say.

    Args:
        said: Lines for the terminal.
    """

    said: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {**super().as_json(), "audit": list(self.said)}


def with_summary(result: Result, guard: Guard | None) -> Result:
    """Return a result that also says what was compared, if anything was."""
    return result if guard is None else Audited(result.folder, result.files, result.refused, (guard.summary,))


def add_checked(writer: Writer, folder: OutputFolder, checked: Sequence[Checked], stem: str, first: int = 0) -> None:
    """Write the items that passed, and refuse the others.

    Args:
        writer: Of the folder.
        folder: Being filled.
        checked: From `Guard.check`.
        stem: Of the file names.
        first: Number of the first item.
    """
    for number, one in enumerate(checked, first + 1):
        if one.passed:
            writer.add_all([one.item], stem, audit=one.facts)
        else:
            told = f"{stem} {number} stayed too near to what the model learnt from, drawn {MOST_DRAWS + 1} times"
            folder.refuse(Path(f"{stem} {number}"), OutputError(f"{told}; try another seed", TOO_NEAR))


def check_clips(
    guard: Guard, model: Model, made: Sequence[Score], seed: int, given: Mapping[str, Any]
) -> list[Checked]:
    """Check new clips; see `Guard.check`.

    Args:
        guard: Of the model.
        model: That made them.
        made: The clips.
        seed: They were made with.
        given: Options of `generate`.
    """

    def again(_: int, drawn: int) -> tuple[Item, Item]:
        clip = model.generate(seed=drawn, **{**given, "count": 1})[0]
        return clip, clip

    return guard.check(made, again, seed=seed)


def check_notes(guard: Guard, model: Model, seed: int, given: Mapping[str, Any]) -> list[Checked]:
    """Make new notes and check each as long as the model makes it by itself, however short it is wanted.

    Args:
        guard: Of the model.
        model: That makes them.
        seed: To make them with.
        given: Options of `generate`, with `first` and `count`.
    """
    whole = {name: value for name, value in given.items() if name not in ("duration", "sample_rate")}
    is_cut = whole.keys() != given.keys()

    def again(number: int, drawn: int) -> tuple[Item, Item]:
        only = {"first": number, "count": 1}
        note = model.generate(seed=drawn, **{**given, **only})[0]
        return note, model.generate(seed=drawn, **{**whole, **only})[0] if is_cut else note

    made = model.generate(seed=seed, **given)
    compared = model.generate(seed=seed, **whole) if is_cut else made
    return guard.check(made, again, seed=seed, first=given["first"], whole=compared)


# ---- shipping


def ship_fingerprints(recipe: Recipe, pipeline: Pipeline, folder: Path) -> None:
    """Put fingerprints of the corpus into the folder of a model that has been trained, if its pipeline makes them.

    Args:
        recipe: What the run was told; its corpus has been prepared.
        pipeline: The recipe's.
        folder: The model's.
    """
    take = getattr(pipeline, "take_fingerprints", None)
    if take is not None:
        prepared = fill(recipe, pipeline, jobs=None, overwrite=False, progress=None)
        marks = take(prepared.folder, recipe.section("model"), recipe.section("corpus"), seed=recipe.seed)
        save(marks, folder / FILE)


# ---- the owner's question


@dataclass(frozen=True)
class Stated:
    """What can be told to the owner of files.

    Args:
        folder: Where the nearest pairs and the figures lie.
        facts: JSON-able.
    """

    folder: Path
    facts: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """1 where a copy was found or none would have been; else 5 where files were refused; else 0."""
        if self.facts["n_copies"] or not self.facts["has_power"]:
            return 1
        return 5 if self.facts["refused"] else 0

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {"folder": str(self.folder), **self.facts}

    def as_text(self) -> list[str]:
        """Return the answer in a few lines."""
        return [*self.facts["statement"], f"the nearest pairs are in {self.folder}"]


def audit(
    model: str | Path,
    folder: str | Path,
    *,
    count: int = 512,
    seed: int = 0,
    device: str = "auto",
    out: Where = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Stated:
    """Tell the owner of files whether a model gives them back.

    Args:
        model: Shipped name, model folder or run folder.
        folder: Songs, or sounds, that somebody owns.
        count: New clips or notes to compare with them, 8–20,000.
        seed: 0 or more; the same seed gives the same answer.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        out: Folder for the nearest pairs; None for `audiogan-audit`.
        overwrite: Replace an earlier result.
        progress: Called with the steps done and their number.

    Raises:
        UsageError: No such folder, or an option out of range.
        CorpusError: No file of it can be used.
        UnsupportedError: The model cannot be audited.
    """
    check_seed(seed)
    within("count", count, COUNTS)
    check_folder(out)
    if not Path(folder).is_dir():
        raise UsageError(f"{escape(Path(folder))}: no such folder; expected a folder of songs or sounds")
    loaded = load_named(model, device=device)
    ask = getattr(loaded.verbs, "audit_folder", None)
    if ask is None:
        raise UnsupportedError(f"audit: the pipeline of {escape(loaded.name)} has no audit")
    given = {"count": count, "folder": escape(Path(folder).name)}
    facts = {"command": "audit", "model": about_model(loaded), "seed": seed, "options": given}
    with OutputFolder(Path(out or "audiogan-audit"), facts, overwrite) as filled:
        found: Owned = ask(loaded, Path(folder), count=count, seed=seed)
        if progress:
            progress(1, 2)
        answer = _answer(found)
        filled.refused += [Refusal(**refusal) for refusal in answer["refused"]]
        for number, (pair, new, old) in enumerate(found.pairs, 1):
            about = {"view": pair.view, "distance": pair.distance, "is_copy": pair.made in found.found.copies}
            _add(filled, loaded, new, f"{number:02d}_made", about)
            _add(filled, loaded, old, f"{number:02d}_yours", about | {"yours": escape(found.names[pair.learnt])})
        filled.add("audit.json", lambda path: write_json(path, answer))
        if progress:
            progress(2, 2)
    return Stated(filled.path, answer)


def _add(folder: OutputFolder, model: Model, item: Item, stem: str, facts: Mapping[str, Any]) -> None:
    if isinstance(item, Score):
        folder.add(f"{stem}.mid", lambda path: midi.write(item, path), **facts)
    else:
        folder.add(f"{stem}.wav", lambda path: model.sounding.write(item, path), **facts)


def _answer(owned: Owned) -> dict[str, Any]:
    found = owned.found
    share = clopper_pearson(len(found.copies), found.n_made)
    has_power = found.verdict != "no power"
    named = sorted({escape(owned.names[pair.learnt]) for pair in found.pairs if pair.made in found.copies})
    pairs = [{**vars(pair), "yours": escape(owned.names[pair.learnt])} for pair in found.pairs]
    return {
        "statement": _statement(owned, share.high, named, has_power=has_power),
        "n_copies": len(found.copies),
        "n_made": found.n_made,
        "n_files": owned.n_files,
        "n_items": found.n_learnt,
        "most_copies_with_95_percent_confidence": round(share.high, 6),
        "has_power": has_power,
        "copied": named,
        "members": {escape(name): dict(facts) for name, facts in owned.members.items()},
        "refused": [
            {"file": escape(name), "reason": reason, "message": f"{escape(name)}: {reason}"}
            for reason, names in owned.refused.items()
            if reason not in LEFT_OUT
            for name in names
        ],
        "left_out": {why: [escape(name) for name in owned.refused[why]] for why in LEFT_OUT if owned.refused.get(why)},
        "audit": found.as_json(),
        "closest": pairs,
    }


def _statement(owned: Owned, most: float, named: Sequence[str], *, has_power: bool) -> list[str]:
    found = owned.found
    n_copies = len(found.copies)
    share = f"at most {100 * most:.2g} % with 95 % confidence"
    lines = [f"{n_copies} of {found.n_made} outputs are copies of your {owned.n_files} files ({share})"]
    left_out = {why: len(names) for why, names in owned.refused.items() if why in LEFT_OUT}
    refused = {reason: len(names) for reason, names in owned.refused.items() if reason not in LEFT_OUT}
    if left_out:
        lines.append(f"left out: {', '.join(f'{n} {why}' for why, n in left_out.items())}")
    if refused:
        total, each = sum(refused.values()), ", ".join(f"{reason} x{n}" for reason, n in refused.items())
        lines.append(f"{total} {'file was' if total == 1 else 'files were'} refused: {each}")
    lines += [f"{control.name}: {control.n_held} of {control.n_draws}" for control in found.controls]
    if not has_power:
        lines.append("no power: a control failed or too little was held out, so nothing follows from this")
    if named:
        lines.append(f"copied: {', '.join(named[:20])}")
    n_members = len(owned.members)
    lines.append(f"{n_members} of your {owned.n_files} files are among what the model learnt from")
    return lines
