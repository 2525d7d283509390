"""Notes as data: a model that plays the very instruments is as good as recordings, one that knows nothing is not."""

from pathlib import Path

import pytest

from audiogan.evaluation.distances import fit_scaler
from audiogan.evaluation.usefulness import Use
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.evaluation import untrained
from audiogan.pipelines.waveform.held_out import HeldOut, hold_out
from audiogan.pipelines.waveform.listening import Judged
from audiogan.pipelines.waveform.usefulness import usefulness_of_notes
from tests.pipelines.waveform.instruments import CONFIG, model_of, write_cache
from tests.pipelines.waveform.perfect import Knower, Player

PITCHES = tuple(float(pitch) for pitch in range(55, 68))


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> HeldOut:
    folder = tmp_path_factory.mktemp("many")
    return hold_out(write_cache(folder, pitches=PITCHES), CONFIG, folder)


def answers(model: Model, held: HeldOut, form: str = "as played") -> dict[str, Use]:
    asked = Judged(model, untrained(model, 0), held, fit_scaler(held.vectors), 0, len(held))
    return {one.question: one for one in usefulness_of_notes(asked) if one.form == form}


def test_a_model_that_plays_the_instruments_is_as_good_as_recordings(held: HeldOut, tmp_path: Path) -> None:
    modules = {"generator": Player(), "encoder": Knower(held)}
    found = answers(Model(modules, CONFIG, {}, tmp_path, name="perfect", pipeline="waveform"), held)
    assert found["generated to real"].value > 0.95
    assert found["generated to real"].n == 4 * 19
    assert found["gain"].verdict != "worse"


def test_a_model_that_knows_nothing_is_not_but_for_the_details(held: HeldOut, tmp_path: Path) -> None:
    model = model_of(tmp_path)
    alone, played = (answers(model, held, form)["generated to real"] for form in ("without details", "as played"))
    assert alone.high < played.low <= played.beside


def test_few_recordings_or_no_encoder_have_no_answer(held: HeldOut, tmp_path: Path) -> None:
    model = model_of(tmp_path)
    bare = Model({"generator": model.modules["generator"]}, CONFIG, {}, tmp_path, name="bare", pipeline="waveform")
    assert answers(bare, held) == {}
    few = hold_out(write_cache(tmp_path, pitches=(60.0, 63.0)), CONFIG, tmp_path)
    assert answers(model, few) == {}
