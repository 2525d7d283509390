from typing import Any

import pytest
from pydantic import ValidationError

from audiogan import recipe
from audiogan.pipelines.waveform.config import Config, CorpusConfig

RECIPES = [name for name in recipe.names() if name.startswith("waveform/")]


def corpus(**values: Any) -> CorpusConfig:
    return CorpusConfig.model_validate(values)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_describe_a_note_and_a_corpus(name: str) -> None:
    tree = recipe.read(name)
    config = Config.model_validate(tree["model"])
    assert config.represent().n_samples == config.n_samples
    assert corpus(**tree["corpus"]).places


def test_shipped_models_learn_from_two_fonts_only() -> None:
    places = corpus(**recipe.read("waveform/soundfont")["corpus"]).places
    assert [(place.family_name, place.licence) for place in places] == [
        ("FluidR3", "MIT"),
        ("GeneralUser", "GeneralUser GS 2.0"),
    ]


def test_one_source_has_a_short_form() -> None:
    (place,) = corpus(kind="soundfont", folder="a/FluidR3_GM.sf2", licence="MIT").places
    assert (place.kind, place.family_name, place.licence, place.split) == ("soundfont", "FluidR3", "MIT", None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "expected `folder` or `sources`"),
        ({"folder": "a", "sources": [{"folder": "b"}]}, "expected `folder` or `sources`"),
        ({"folder": "a", "valid_fraction": 0.6, "test_fraction": 0.4}, "nothing to train on"),
        ({"folder": "a", "velocities": [0, 64]}, "numbers from 1 to 127"),
        ({"folder": "a", "velocities": [64, 64]}, "each once"),
        ({"folder": "a", "programs": [118]}, "expected some of 0, 1, 2"),
        (
            {"sources": [{"folder": "FluidR3_GM.sf2"}, {"folder": "FluidR3Mono_GM.sf3", "split": "test"}]},
            "family FluidR3 has sources with different `split`",
        ),
        ({"folder": "a", "kind": "magic"}, "soundfont"),
        ({"folder": "a", "colour": 1}, "colour"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        corpus(**values)


def test_a_range_has_a_lowest_and_a_highest_pitch() -> None:
    assert Config(lowest_pitch=60, highest_pitch=60).n_pitches == 1
    with pytest.raises(ValidationError, match="lowest_pitch 61 above highest_pitch 60"):
        Config(lowest_pitch=61, highest_pitch=60)
