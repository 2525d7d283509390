from typing import TYPE_CHECKING, Any

import pytest

from audiogan import pipeline
from audiogan.corpus.score import Score
from audiogan.errors import RecipeError
from audiogan.pipeline import Model, Pipeline, SoundPipeline

if TYPE_CHECKING:
    # The type checker compares every pipeline with the protocol here.
    from audiogan.pipelines import multitrack, waveform

    checked: Pipeline = multitrack
    checked_too: SoundPipeline = waveform

NAMES = [name for name in dir(Pipeline) if not name.startswith("_")]


def test_pipelines_are_found_by_their_folders() -> None:
    assert "multitrack" in pipeline.pipeline_names()


@pytest.mark.parametrize("name", pipeline.pipeline_names())
def test_every_pipeline_exports_the_contract(name: str) -> None:
    module = pipeline.load_pipeline(name)
    assert [wanted for wanted in NAMES if not hasattr(module, wanted)] == []
    for section in ("Config", "CorpusConfig", "GameConfig", "OptimizerConfig"):
        config = getattr(module, section).model_config
        assert config.get("frozen"), section
        assert config.get("extra") == "forbid", section


@pytest.mark.parametrize("name", ["multitrak", "../errors", "os"])
def test_an_unknown_pipeline_is_told_and_not_imported(name: str) -> None:
    with pytest.raises(RecipeError, match="expected one of"):
        pipeline.load_pipeline(name)


def test_a_mistyped_pipeline_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'multitrack'"):
        pipeline.load_pipeline("multitrak")


def test_a_model_hands_its_verbs_to_the_pipeline(
    fake_model: Model, calls: list[tuple[str, dict[str, Any]]], score: Score
) -> None:
    fake_model.generate(count=2, seed=1, bars=3)
    fake_model.interpolate(score, score, steps=4, seed=2)
    fake_model.continue_clip(score, bars=5, count=1, seed=3)
    fake_model.accompany(score, tracks=["drums"], count=1, seed=4)
    fake_model.infill(score, bars=(1, 2), tracks=["bass"], count=1, seed=5)
    fake_model.vary(score, strength=0.5, count=1, seed=6)
    assert fake_model.makes == "multitrack"
    assert calls == [
        ("generate", {"count": 2, "seed": 1, "bars": 3, "device": "cpu"}),
        ("interpolate", {"first": score, "second": score, "count": 4, "seed": 2}),
        ("continue_clip", {"score": score, "bars": 5, "count": 1, "seed": 3}),
        ("accompany", {"score": score, "tracks": ["drums"], "count": 1, "seed": 4}),
        ("infill", {"score": score, "bars": (1, 2), "tracks": ["bass"], "count": 1, "seed": 5}),
        ("vary", {"score": score, "strength": 0.5, "count": 1, "seed": 6}),
    ]
