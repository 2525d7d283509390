"""An owner of songs learns whether a model gives them back, and whether it learnt from them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audiogan.corpus import midi
from audiogan.corpus.score import Score
from audiogan.errors import CheckpointError, CorpusError
from audiogan.evaluation.fingerprints import FILE, Fingerprints, save
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack import ownership, take_fingerprints
from audiogan.pipelines.multitrack.config import CorpusConfig
from audiogan.pipelines.multitrack.dataset import open_dataset, prepare
from audiogan.pipelines.multitrack.held_out import fine
from audiogan.pipelines.multitrack.ownership import EVERY_CLIP, audit_folder
from audiogan.representation.pianoroll import to_score
from tests.pipelines.multitrack.small import CONFIG, song


def clips_of(folder: Path, cache: Path) -> list[Score]:
    config = fine(CONFIG)
    corpus = CorpusConfig.model_validate({"folder": str(folder), **EVERY_CLIP})
    prepare(corpus, config, cache, jobs=1)
    dataset = open_dataset(cache, config, corpus, "train")
    return [to_score(dataset.notes_of(number), config.grid, config.roles) for number in range(len(dataset))]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The owner's songs, others that were held out, and the model's folder with marks of the owner's."""
    mine, others, model = (tmp_path_factory.mktemp(name) for name in ("mine", "others", "model"))
    for number in range(3):
        midi.write(song(n_bars=8, seed=number), mine / f"song{number}.mid")
    (mine / "twin.mid").write_bytes((mine / "song0.mid").read_bytes())
    (mine / "bad.mid").write_bytes(b"no")
    midi.write(song(n_bars=1, seed=50), mine / "short.mid")
    for number in range(6):
        midi.write(song(n_bars=9, seed=100 + number), others / f"{number}.mid")
    cache = tmp_path_factory.mktemp("cache")
    corpus = CorpusConfig.model_validate({"folder": str(mine), **EVERY_CLIP, "valid_fraction": 0.0})
    prepare(corpus, CONFIG, cache, jobs=1)
    marks = take_fingerprints(cache, CONFIG, corpus)
    save(marks.__class__(marks.kind, marks.arrays, {ownership.BARS: -2.0}, marks.facts), model / FILE)
    own, held = (clips_of(folder, tmp_path_factory.mktemp("cache")) for folder in (mine, others))
    return {"mine": mine, "model": model, "own": own, "held": held}


def audited(
    folders: dict[str, Any], made: list[Score], monkeypatch: pytest.MonkeyPatch, *, own_held: bool = False
) -> Any:
    held = [*folders["held"], *(folders["own"] if own_held else [])]
    songs = [place // 8 for place in range(len(folders["held"]))] + [999] * (len(held) - len(folders["held"]))
    found = SimpleNamespace(clips=held, songs=songs)
    monkeypatch.setattr(ownership, "find", lambda model, reference, *, count: found)
    monkeypatch.setattr(ownership, "generate", lambda model, *, count, seed: made[:count])
    model = Model({}, CONFIG, {}, folders["model"], "m")
    return audit_folder(model, folders["mine"], count=10, seed=0)


def test_copies_are_named_and_so_is_what_a_model_learnt_from(
    folders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = folders["held"][:10]
    made = [*honest[:8], folders["own"][3], folders["own"][9]]
    found = audited(folders, made, monkeypatch)
    assert set(found.found.copies) >= {8, 9}
    named = {found.names[pair.learnt] for pair, _, _ in found.pairs if pair.distance == 0}
    assert {"song0.mid, bar 4", "song1.mid, bar 3"} & named
    names = {why: [Path(name).name for name in names] for why, names in found.refused.items()}
    assert names.pop("equal to another") == ["twin.mid"]
    assert names.pop("without a clip of the model's length and metre") == ["short.mid"]
    assert (found.n_files, list(names.values())) == (3, [["bad.mid"]])
    assert set(found.members) == {"song0.mid", "song1.mid", "song2.mid"}
    assert all(not facts["by_hash"] for facts in found.members.values())


def test_the_owners_own_songs_are_no_honest_ones(folders: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found = audited(folders, folders["held"][:10], monkeypatch, own_held=True)
    assert found.found.n_held_out == len(folders["held"])
    assert min(found.found.limits.values()) < 0 < max(found.found.limits.values())


def test_fingerprints_of_another_pipeline_are_refused(
    folders: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save(Fingerprints("notes", {}, {}, {}), tmp_path / FILE)
    with pytest.raises(CheckpointError, match=r"safetensors: fingerprints of notes; expected those of clips"):
        audited({**folders, "model": tmp_path}, folders["held"][:10], monkeypatch)


def test_a_folder_without_songs_is_refused(
    folders: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = rf"{tmp_path.name}: no song could be read of 0 files; expected a folder with MIDI files"
    with pytest.raises(CorpusError, match=told):
        audited({**folders, "mine": tmp_path}, folders["held"][:10], monkeypatch)
