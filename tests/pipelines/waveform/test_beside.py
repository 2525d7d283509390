"""Two models of notes side by side: the instruments themselves are better than a model that has learnt nothing."""

from pathlib import Path

import pytest

from audiogan.errors import UsageError
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.beside import beside
from audiogan.pipelines.waveform.held_out import hold_out
from tests.pipelines.waveform.instruments import CONFIG, HELD, model_of, write_cache
from tests.pipelines.waveform.test_evaluation import Knower, Player


def test_the_instruments_themselves_are_better(tmp_path: Path) -> None:
    held = hold_out(write_cache(tmp_path), CONFIG, tmp_path)
    modules = {"generator": Player(), "encoder": Knower(held)}
    perfect = Model(modules, CONFIG, {}, tmp_path, name="perfect", pipeline="waveform")
    found = beside(perfect, model_of(tmp_path), count=32)
    rows = {(row.embedding, row.metric): row for row in found.rows}
    assert rows["timbre vector", "kernel distance"].better == "first"
    assert rows["timbre vector", "coverage"].better == "first"
    assert rows["note_net", "kernel distance"].better == "first"
    assert (found.first, found.items, found.n_generated) == ("perfect", "notes", 32)


def test_three_instruments_are_too_few(tmp_path: Path) -> None:
    hold_out(write_cache(tmp_path, HELD[:3]), CONFIG, tmp_path)
    with pytest.raises(UsageError, match="3 held-out instruments; expected 4 or more"):
        beside(model_of(tmp_path), model_of(tmp_path), count=8)
