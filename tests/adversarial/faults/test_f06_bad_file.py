"""F6: bad files in the corpus. They are skipped with a reason, and training is that on the good files alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from audiogan.corpus import midi
from audiogan.errors import CorpusError
from audiogan.pipelines.multitrack.config import CorpusConfig
from audiogan.pipelines.multitrack.dataset import open_dataset, prepare
from audiogan.workflow.contents import contents_of
from tests.pipelines.multitrack.small import CONFIG, song

N_GOOD = 5


@pytest.fixture
def corpora(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of good songs, and one of the same songs among bad ones."""
    good, mixed = tmp_path / "good", tmp_path / "mixed"
    good.mkdir()
    for number in range(N_GOOD):
        midi.write(song(seed=number), good / f"song{number}.mid")
    shutil.copytree(good, mixed)
    whole = (good / "song0.mid").read_bytes()
    (mixed / "a_empty.mid").write_bytes(b"")
    (mixed / "b_cut.mid").write_bytes(whole[: len(whole) // 2])
    (mixed / "c_text.mid").write_text("this is no music")
    (mixed / "song0_twice.mid").write_bytes(whole)
    return good, mixed


def prepared(corpus: Path, cache: Path, **options: Any) -> dict[str, Any]:
    cache.mkdir()
    return prepare(CorpusConfig(folder=str(corpus), **options), CONFIG, cache, jobs=1).as_json()


def test_bad_files_are_listed_with_a_reason_and_change_nothing(corpora: tuple[Path, Path], tmp_path: Path) -> None:
    good, mixed = corpora
    alone, among = prepared(good, tmp_path / "alone"), prepared(mixed, tmp_path / "among")
    refused = {reason: [Path(text.split(":")[0]).name for text in texts] for reason, texts in among["refused"].items()}
    assert {name for names in refused.values() for name in names} == {"a_empty.mid", "b_cut.mid", "c_text.mid"}
    assert refused["empty_file"] == ["a_empty.mid"]
    assert (among["n_duplicates"], among["n_songs"]) == (1, alone["n_songs"])
    config = CorpusConfig(folder=str(good))
    datasets = [open_dataset(tmp_path / name, CONFIG, config, "train") for name in ("alone", "among")]
    assert len(datasets[0]) > 4
    for first, second in zip(*(list_of(dataset) for dataset in datasets), strict=True):
        assert first.keys() == second.keys()
        assert all(bool((first[name] == second[name]).all()) for name in first)
    assert contents_of(tmp_path / "alone") == contents_of(tmp_path / "among"), "a run of the one resumes on the other"
    assert json.dumps(alone["n_clips"]) == json.dumps(among["n_clips"])


def list_of(dataset: Any) -> list[Any]:
    return [dataset.fetch(list(range(begin, begin + 2)), [begin, begin + 1]) for begin in range(0, len(dataset) - 1, 2)]


def test_too_many_bad_files_end_the_preparation(corpora: tuple[Path, Path], tmp_path: Path) -> None:
    _, mixed = corpora
    for number in range(9):
        (mixed / f"bad{number}.mid").write_bytes(b"")
    with pytest.raises(CorpusError, match="max_refused") as caught:
        prepared(mixed, tmp_path / "cache")
    assert caught.value.exit_code == 3
