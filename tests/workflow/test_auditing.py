"""New files are checked, drawn again or refused; an owner is answered, with power; training ships fingerprints."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from audiogan.corpus.score import Score
from audiogan.errors import CheckpointError, UnsupportedError, UsageError
from audiogan.evaluation.audit import Audit, Control, Owned, Pair, Rule
from audiogan.evaluation.fingerprints import FILE, Fingerprints, load, save
from audiogan.pipeline import Model
from audiogan.workflow import auditing, create, making, sounds
from audiogan.workflow.auditing import MOST_DRAWS, Guard, audit
from audiogan.workflow.model import PRETRAINED
from audiogan.workflow.model import load as load_named

Calls = list[tuple[str, dict[str, Any]]]


def lowest(config: Any, items: Sequence[Any], marks: Fingerprints) -> dict[str, np.ndarray]:
    """A view on anything: a number that the fake models write into what they make."""
    del config
    known = marks.arrays["known"].tolist()
    return {"view": np.array([0.0 if _mark(item) in known else 9.0 for item in items])}


def _mark(item: Any) -> float:
    if isinstance(item, Score):
        return crc32(np.concatenate([track.notes.pitch for track in item.tracks]).tobytes()) % 1_000_003
    return round(float(item.waveform.sum()), 3)


def guarded(model: Model, folder: Path, known: Sequence[float], **limits: float) -> Model:
    marks = Fingerprints("x", {"known": np.array(known, np.float32)}, limits or {"view": 1.0}, {"n_items": 3})
    save(marks, folder / FILE)
    verbs: Any = SimpleNamespace(**vars(model.verbs), compare_fingerprints=lowest)
    return replace(model, folder=folder, _verbs=verbs)


@pytest.fixture
def clips(fake_model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Model:
    """The model of clips, whose second clip of seed 3 is one of the corpus."""
    made = fake_model.generate(count=2, seed=3)
    model = guarded(fake_model, tmp_path, [_mark(made[1])])
    monkeypatch.setattr(making, "load", lambda name, device, pipeline: model)
    return model


def files(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "manifest.json").read_text())["files"]


def test_what_is_too_near_is_drawn_again_and_the_manifest_tells(clips: Model, calls: Calls, tmp_path: Path) -> None:
    del clips
    calls.clear()
    result = create.generate_midi(count=3, seed=3, audit=True, out=tmp_path / "out")
    assert result.exit_code == 0
    assert result.as_json()["audit"] == ["3 x compared with the fingerprints of 3 training x; 1 drawn again"]
    told = [file["audit"] for file in files(tmp_path / "out")]
    assert [one["drawn_again"] for one in told] == [0, 1, 0]
    assert told[1] == {"verdict": "passed", "distance": {"view": 9.0}, "farther_than": {"view": 1.0}, "drawn_again": 1}
    assert [call[1]["count"] for call in calls] == [3, 1]
    assert calls[1][1]["seed"] not in (3, 4)
    facts = json.loads((tmp_path / "out" / "manifest.json").read_text())["options"]["audit"]
    assert (facts["farther_than"], facts["n_items"], len(facts["fingerprints"])) == ({"view": 1.0}, 3, 64)


def test_the_same_seed_draws_the_same_again(clips: Model, tmp_path: Path) -> None:
    del clips
    for name in ("a", "b"):
        create.generate_midi(count=3, seed=3, audit=True, out=tmp_path / name)
    first, second = ([file["sha256"] for file in files(tmp_path / name)] for name in "ab")
    assert first == second
    create.generate_midi(count=3, seed=3, out=tmp_path / "plain")
    plain = [file["sha256"] for file in files(tmp_path / "plain")]
    assert [one == other for one, other in zip(plain, first, strict=True)] == [True, False, True]


def test_what_stays_too_near_is_refused(
    fake_model: Model, calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = guarded(fake_model, tmp_path, [1.0])
    near: Any = SimpleNamespace(
        **{**vars(model.verbs), "compare_fingerprints": lambda *given: {"view": np.zeros(len(given[1]))}}
    )
    model = replace(model, _verbs=near)
    monkeypatch.setattr(making, "load", lambda name, device, pipeline: model)
    result = create.generate_midi(count=2, audit=True, out=tmp_path / "out")
    assert (result.files, result.exit_code) == ((), 3)
    assert [refusal.reason for refusal in result.refused] == ["too_near"] * 2
    assert "clip 2 stayed too near" in result.refused[1].message
    assert len(calls) == 1 + 2 * MOST_DRAWS


def test_short_notes_are_compared_whole(
    fake_sound_model: Model, calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = guarded(fake_sound_model, tmp_path, [-1.0])
    monkeypatch.setattr(making, "load", lambda name, device, pipeline: model)
    sounds.generate_notes(pitch="60,64", duration=0.1, audit=True, out=tmp_path / "out")
    assert [call[1].get("duration") for call in calls] == [0.1, None]
    assert [file["audit"]["verdict"] for file in files(tmp_path / "out")] == ["passed", "passed"]
    calls.clear()
    sounds.generate_notes(pitch="60,64", audit=True, out=tmp_path / "whole")
    assert len(calls) == 1, "made once where nothing is cut"


def test_a_model_without_fingerprints_is_told_in_one_line(
    fake_model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(making, "load", lambda name, device, pipeline: fake_model)
    with pytest.raises(UnsupportedError, match=r"--audit: fake has no fingerprints\.safetensors; expected a model"):
        create.generate_midi(count=1, audit=True, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    model = guarded(fake_model, tmp_path, [1.0])
    save(Fingerprints("x", {}, {}, {}), tmp_path / FILE)
    with pytest.raises(UnsupportedError, match="tells no limit"):
        Guard(model)
    (tmp_path / FILE).write_bytes(b"no")
    with pytest.raises(CheckpointError, match="expected the fingerprints of a model"):
        Guard(model)


@pytest.mark.parametrize(("made_for", "found_in"), [("songs", "notes"), ("notes", "songs")])
def test_fingerprints_of_another_pipeline_are_refused(made_for: str, found_in: str, tmp_path: Path) -> None:
    model = load_named(made_for, device="cpu")
    other = PRETRAINED / found_in / FILE
    (tmp_path / FILE).write_bytes(other.read_bytes())
    assert Guard(model).about["n_items"] > 1000
    with pytest.raises(CheckpointError, match=r"fingerprints\.safetensors: fingerprints of \w+; expected those of \w+"):
        Guard(replace(model, folder=tmp_path))


def test_what_is_shared_is_told_as_positive_numbers(clips: Model, tmp_path: Path) -> None:
    marks = load(tmp_path / FILE)
    save(replace(marks, limits={"view": -2.0}), tmp_path / FILE)
    verbs: Any = SimpleNamespace(
        **{**vars(clips.verbs), "compare_fingerprints": lambda config, items, marks: {"view": -np.ones(len(items))}}
    )
    guard = Guard(replace(clips, _verbs=verbs))
    assert guard.about["at_most"] == {"view": 1}
    (one,) = auditing.check_clips(guard, clips, clips.generate(count=1, seed=3), 3, {})
    assert one.facts == {"verdict": "passed", "shared": {"view": 1}, "at_most": {"view": 1}, "drawn_again": 0}


def test_fingerprints_without_an_array_are_refused(tmp_path: Path) -> None:
    model = load_named("songs", device="cpu")
    marks = load(model.folder / FILE)
    save(replace(marks, arrays={"bars": marks.arrays["bars"]}), tmp_path / FILE)
    with pytest.raises(CheckpointError, match="no array 'melodies' of uint8"):
        Guard(replace(model, folder=tmp_path))
    save(replace(marks, limits={"view": 1.0}), tmp_path / FILE)
    with pytest.raises(CheckpointError, match="a limit of 'view'; expected limits of 'bars of equal rhythm'"):
        Guard(replace(model, folder=tmp_path))


# ---- the owner's question


REFUSED = {"file": "x", "reason": "not_midi", "message": "x: not_midi"}


def owned(score: Score, n_copies: int, n_found: int, verdict: str) -> Owned:
    rule = Rule("A hard copies", n_copies / 100, 0.0, 0.05, 100, "pass")
    controls = (Control("planted copies found", n_found, 20), Control("held-out items passed", 20, 20))
    pairs = (Pair(4, 1, "view", 0.5),)
    found = Audit(verdict, (rule,), controls, {"view": 1.0}, (4,) * n_copies, pairs, 2, 300, 100)  # pyright: ignore[reportArgumentType]
    names = ["first.mid, bar 1", "second.mid, bar 5"]
    return Owned(
        found,
        [(pairs[0], score, score)],
        names,
        2,
        {"not_midi": ["x"], "equal to another": ["third.mid"]},
        {"first.mid": {"by_hash": True}},
    )


@pytest.mark.parametrize(
    ("n_copies", "n_found", "verdict", "exit_code", "said"),
    [
        (0, 20, "pass", 5, "0 of 100 outputs are copies of your 2 files (at most 3.6 % with 95 % confidence)"),
        (1, 20, "warn", 1, "1 file was refused: not_midi x1"),
        (1, 20, "warn", 1, "left out: 1 equal to another"),
        (1, 20, "warn", 1, "copied: second.mid, bar 5"),
        (0, 12, "no power", 1, "no power: a control failed"),
    ],
)
def test_an_owner_is_answered(
    fake_model: Model, score: Score, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    n_copies: int, n_found: int, verdict: str, exit_code: int, said: str,
) -> None:  # fmt: skip
    given: list[dict[str, Any]] = []

    def ask(model: Model, folder: Path, *, count: int, seed: int) -> Owned:
        given.append({"model": model.name, "folder": folder, "count": count, "seed": seed})
        return owned(score, n_copies, n_found, verdict)

    verbs: Any = SimpleNamespace(**vars(fake_model.verbs), audit_folder=ask)
    monkeypatch.setattr(auditing, "load_named", lambda name, device: replace(fake_model, _verbs=verbs))
    (tmp_path / "mine").mkdir()
    stated = audit("fake", tmp_path / "mine", count=100, seed=7, out=tmp_path / "out")
    assert given == [{"model": "fake", "folder": tmp_path / "mine", "count": 100, "seed": 7}]
    assert stated.exit_code == exit_code
    assert any(line.startswith(said) for line in stated.as_text())
    assert f"planted copies found: {n_found} of 20" in stated.as_text()
    assert "1 of your 2 files are among what the model learnt from" in stated.as_text()
    written = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (written["n_copies"], written["members"], written["refused"]) == (
        n_copies, {"first.mid": {"by_hash": True}}, [REFUSED],
    )  # fmt: skip
    assert written["left_out"] == {"equal to another": ["third.mid"]}
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["refused"] == [REFUSED]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "01_made.mid", "01_yours.mid", "audit.json", "manifest.json",
    ]  # fmt: skip
    assert files(tmp_path / "out")[1]["yours"] == "second.mid, bar 5"


def test_a_folder_that_is_not_there_and_a_pipeline_without_audit_are_refused(
    fake_model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no such folder; expected a folder of songs or sounds"):
        audit("fake", tmp_path / "none")
    with pytest.raises(UsageError, match="count: 3; expected 8"):
        audit("fake", tmp_path, count=3)
    monkeypatch.setattr(auditing, "load_named", lambda name, device: fake_model)
    with pytest.raises(UnsupportedError, match="has no audit"):
        audit("fake", tmp_path)


# ---- shipping


def test_fingerprints_are_put_beside_a_trained_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def take(cache: Path, config: Any, corpus: Any, *, seed: int) -> Fingerprints:
        asked.append((cache, config, corpus, seed))
        return Fingerprints("x", {}, {"view": 2.0}, {})

    recipe: Any = SimpleNamespace(section=lambda name: name, seed=5)
    prepared = SimpleNamespace(folder=tmp_path / "cache")
    monkeypatch.setattr(auditing, "fill", lambda *given, **options: prepared)
    auditing.ship_fingerprints(recipe, SimpleNamespace(take_fingerprints=take), tmp_path)  # pyright: ignore[reportArgumentType]
    assert asked == [(tmp_path / "cache", "model", "corpus", 5)]
    assert load(tmp_path / FILE).limits == {"view": 2.0}
    auditing.ship_fingerprints(recipe, SimpleNamespace(), tmp_path / "other")  # pyright: ignore[reportArgumentType]
    assert not (tmp_path / "other").exists()
