"""Real notes kept with a model: what is chosen, what comes back, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audiogan.errors import CorpusError, UsageError
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.held_out import HeldOut, find, first_notes, hold_out, load, save, spread_over
from audiogan.pipelines.waveform.note_net import N_FEATURES
from audiogan.pipelines.waveform.timbre_vector import NAMES
from tests.pipelines.waveform.instruments import CONFIG, model_of, write_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def kept(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[HeldOut, Path]:
    folder = tmp_path_factory.mktemp("model")
    return hold_out(cache, CONFIG, folder, n_notes=10, n_described=20), folder


def test_all_instruments_come_before_any_comes_again() -> None:
    instrument = np.array([0] * 50 + [1] * 3 + [2] * 50)
    chosen = instrument[spread_over(instrument, 12)]
    assert np.bincount(chosen).tolist() == [5, 3, 4] or np.bincount(chosen).tolist() == [4, 3, 5]
    assert sorted(chosen[:3].tolist()) == [0, 1, 2]


def test_only_held_out_instruments_are_kept_and_few_planes(kept: tuple[HeldOut, Path]) -> None:
    held, folder = kept
    assert set(held.instruments) == {"soft", "hollow", "bright", "plucked"}
    assert len(held) == 20
    assert held.planes.shape == (10, *CONFIG.represent().shape)
    assert np.isfinite(held.vectors).all()
    assert len(held.learnt) == len(held.learnt_features)
    assert held.features.shape == (20, N_FEATURES)
    assert sum(path.stat().st_size for path in (folder / "reference").iterdir()) < 2e6


def test_what_is_kept_comes_back(kept: tuple[HeldOut, Path]) -> None:
    held, folder = kept
    again = load(folder / "reference", CONFIG)
    for name in ("pitch", "velocity", "gain", "instrument", "rms_db", "vectors", "learnt", "planes"):
        np.testing.assert_allclose(getattr(again, name), getattr(held, name), rtol=1e-5, atol=1e-5)
    for name in ("features", "learnt_features"):
        np.testing.assert_allclose(getattr(again, name), getattr(held, name), rtol=2e-3, atol=2e-3)
    assert again.instruments == held.instruments
    assert np.isfinite(again.level_db).all()


def test_a_model_brings_its_own_notes(kept: tuple[HeldOut, Path]) -> None:
    found = find(model_of(kept[1]), None, count=8)
    assert len(found) == len(found.planes) == 8
    assert len(set(found.groups)) == 4
    assert first_notes(kept[0], 100).planes.shape == kept[0].planes.shape


def test_no_notes_at_hand_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not at hand"):
        find(model_of(tmp_path / "model"), None, count=8)


def test_too_few_notes_are_refused(tmp_path: Path) -> None:
    cache = write_cache(tmp_path, held=("soft",), pitches=(60.0, 64.0))
    with pytest.raises(UsageError, match="expected 8 or more"):
        hold_out(cache, CONFIG, tmp_path)


def spoil(folder: Path, **changed: object) -> None:
    facts = json.loads((folder / "notes.json").read_text())
    (folder / "notes.json").write_text(json.dumps(facts | changed))


def test_notes_of_another_version_or_model_are_refused(kept: tuple[HeldOut, Path], tmp_path: Path) -> None:
    held, _ = kept
    for number, (change, match) in enumerate(
        [
            ({"descriptors": list(NAMES[:-1])}, "another version"),
            ({"schema": "x"}, "another version"),
            ({"instruments": []}, "no instruments"),
            ({"instruments": ["soft"]}, "out of range"),
        ]
    ):
        save(held, tmp_path / str(number))
        spoil(tmp_path / str(number), **change)
        with pytest.raises(CorpusError, match=match):
            load(tmp_path / str(number), CONFIG)
    save(replace(held, planes=held.planes[:, :, :-1]), tmp_path / "rows")
    with pytest.raises(CorpusError, match="do not belong together"):
        load(tmp_path / "rows", CONFIG)
    with pytest.raises(CorpusError):
        load(tmp_path / "nowhere", CONFIG)


def test_features_of_another_network_are_not_used(kept: tuple[HeldOut, Path], tmp_path: Path) -> None:
    held, _ = kept
    save(held, tmp_path)
    np.save(tmp_path / "features.npy", np.ones((20, N_FEATURES), np.float16))
    spoil(tmp_path, note_net="another")
    again = load(tmp_path, CONFIG)  # notes with planes are heard again
    np.testing.assert_allclose(again.features, held.features[:10], rtol=0.02, atol=0.02)
    assert again.learnt_features.shape == (0, N_FEATURES)
    assert len(first_notes(again, 5).features) == 5


@pytest.mark.parametrize("broken", [np.ones((19, N_FEATURES)), np.full((20, N_FEATURES), np.nan)])
def test_broken_features_are_refused(kept: tuple[HeldOut, Path], tmp_path: Path, broken: np.ndarray) -> None:
    save(kept[0], tmp_path)
    np.save(tmp_path / "features.npy", broken.astype(np.float16))
    with pytest.raises(CorpusError, match="features"):
        load(tmp_path, CONFIG)


def test_pickles_are_refused(kept: tuple[HeldOut, Path], tmp_path: Path) -> None:
    save(kept[0], tmp_path)
    np.save(tmp_path / "vectors.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CorpusError, match="pickle|objects"):
        load(tmp_path, CONFIG)


def test_a_folder_of_recordings_is_read_and_known_instruments_are_left_out(tmp_path: Path) -> None:
    from tests.pipelines.waveform.instruments import write_recordings

    folder = write_recordings(tmp_path / "mine")
    model = model_of(tmp_path / "model")
    held = find(model, folder, count=64)
    assert len(set(held.groups)) == 4
    assert not len(held.learnt)
    trained = [{"name": name, "split": "train"} for name in held.instruments]
    some = Model(model.modules, CONFIG, {"summary": {"instruments": trained[:1]}}, model.folder, name="m")
    assert len(set(find(some, folder, count=64).groups)) == 3
    every = Model(model.modules, CONFIG, {"summary": {"instruments": trained}}, model.folder, name="m")
    with pytest.raises(UsageError, match="trained on all"):
        find(every, folder, count=64)
