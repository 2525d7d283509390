"""An evaluation looks for copies where training notes are at hand, shows the closest pairs, and else says nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audiogan.pipelines.waveform import copying
from audiogan.pipelines.waveform.auditing import PARTIALS
from audiogan.pipelines.waveform.copying import copying_of
from audiogan.pipelines.waveform.held_out import REFERENCE
from tests.pipelines.waveform.instruments import model_of, write_cache

NOTES = [SimpleNamespace(pitch=55.0, velocity=0.5), SimpleNamespace(pitch=60.0, velocity=0.9)] * 4


def asked_of(folder: Path) -> Any:
    return SimpleNamespace(model=model_of(folder), made_notes=NOTES, seed=0)


def test_all_training_notes_are_looked_at(tmp_path: Path) -> None:
    cache = write_cache(tmp_path, held=("soft", "hollow"), pitches=(55.0, 60.0))
    found, (shelf,) = copying_of(asked_of(tmp_path), None, cache)
    assert found is not None
    assert (found.n_made, found.n_learnt) == (8, 12)
    assert found.verdict == "no power", "few notes are held out"
    assert {pair.view for pair in found.pairs} == {PARTIALS}
    assert [one.title for one in shelf.exhibits[:2]] == ["Pair 1, generated", "Pair 1, training note"]
    assert shelf.exhibits[1].caption.split(" at ")[0] in ("learnt", "known")
    assert len(shelf.exhibits) == 8


def test_nothing_is_said_without_training_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run" / "model"
    folder.mkdir(parents=True)
    assert copying_of(asked_of(folder), None) == (None, [])
    (folder.parent / "recipe.yaml").write_text("corpus:\n  folder: sounds\n")
    prepared = []

    def prepare(corpus: Any, config: Any, cache: Path) -> Any:
        prepared.append(corpus.folder)
        write_cache(cache, held=("soft",), pitches=(55.0,))
        return SimpleNamespace(instruments=[])

    monkeypatch.setattr(copying, "prepare", prepare)
    monkeypatch.setattr(copying, "check_parted_as_before", lambda *given: None)
    assert copying_of(asked_of(folder), tmp_path) == (None, []), "compared with a folder of recordings"
    found, _ = copying_of(asked_of(folder), None)
    assert found is not None
    assert [Path(str(one)).name for one in prepared] == ["sounds"]
    (folder / REFERENCE).mkdir()
    assert copying_of(asked_of(folder), None) == (None, []), "the held-out notes came with the model"
    split = np.load(write_cache(tmp_path, held=(), pitches=(55.0,)) / "split.npy")
    assert not split.any()
    assert copying_of(asked_of(folder), None, tmp_path) == (None, []), "nothing was held out"
