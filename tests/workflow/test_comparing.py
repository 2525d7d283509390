"""Comparing two models: what is handed over, kept and refused."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audiogan.errors import OutputError, UsageError
from audiogan.pipeline import Model
from audiogan.workflow.comparing import beside


@pytest.fixture
def asked(fake_model: Model, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the pipeline was asked for; the model `sounds` is of another pipeline."""
    found: list[Any] = []

    def compare(first: Model, second: Model, **options: Any) -> Any:
        found.append((first.name, second.name, options))
        return SimpleNamespace(as_json=lambda: {"rows": []})

    def load(name: str, **_: Any) -> Model:
        pipeline: Any = SimpleNamespace(beside=compare)
        kind = "waveform" if name == "sounds" else "multitrack"
        return replace(fake_model, name=name, pipeline=kind, _verbs=pipeline)

    monkeypatch.setattr("audiogan.workflow.comparing.load", load)
    return found


def test_both_models_are_handed_over_and_the_result_is_kept(asked: list[Any], tmp_path: Path) -> None:
    beside("a", "b", report=tmp_path / "r", count=8, seed=3, reference=Path("x"))
    assert asked == [("a", "b", {"seed": 3, "count": 8, "reference": Path("x")})]
    assert json.loads((tmp_path / "r" / "beside.json").read_text()) == {"rows": []}
    with pytest.raises(OutputError, match="--overwrite") as caught:
        beside("a", "b", report=tmp_path / "r")
    assert caught.value.reason == "exists"
    beside("a", "b", report=tmp_path / "r", overwrite=True)


def test_what_cannot_be_compared_is_refused_before_any_work(asked: list[Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a of multitrack and sounds of waveform; expected two models of one pipeline"):
        beside("a", "sounds")
    with pytest.raises(UsageError, match="count: 7; expected 8"):
        beside("a", "b", count=7)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="expected a folder that can be written to"):
        beside("a", "b", report=tmp_path / "file" / "r")
    assert not asked
