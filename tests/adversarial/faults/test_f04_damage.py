"""F4: the newest checkpoints are damaged. The last whole one is taken and the user told; without one, exit code 65."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from audiogan.adversarial.checkpoint import Store, read_checkpoint, write_checkpoint
from audiogan.errors import CheckpointError
from tests.adversarial import toys
from tests.adversarial.test_checkpoint import empty, flip, make, truncate

DAMAGES = [truncate, flip, empty, Path.unlink]


@pytest.mark.parametrize("damage", [truncate, flip, empty, Path.unlink])
@pytest.mark.parametrize("name", ["generator.safetensors", "state.json", "manifest.json"])
def test_the_newest_whole_checkpoint_is_taken(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    store = Store(tmp_path)
    for step in (1, 2):
        store.save(make(step))
    damage(store.path(2) / name)
    found = store.load_newest()
    assert found is not None
    assert found.step == 1
    assert (store.folder / "step-00000002.bad").is_dir()
    assert store.steps() == [1]


def test_damaged_checkpoints_alone_are_an_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(make())
    flip(store.path(3) / "ema.safetensors")
    for _ in range(2):
        with pytest.raises(CheckpointError, match="no usable checkpoint"):
            store.load_newest()


@pytest.mark.parametrize(
    "change",
    [
        {"files": [{"name": "../evil", "size": 1, "sha256": "0" * 64}]},
        {"files": [{"name": "state.json"}]},
        {"files": []},
        {"files": 3},
        {"more": 1},
    ],
)
def test_a_manifest_that_lies_is_damage(tmp_path: Path, change: dict[str, object]) -> None:
    path = write_checkpoint(tmp_path, make()) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError):
        read_checkpoint(path.parent)


@pytest.mark.parametrize("n_damaged", [1, 2])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_goes_on_from_the_last_whole_one_and_ends_in_the_same_weights(
    ended: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], n_damaged: int
) -> None:
    shutil.copytree(ended, tmp_path / "hurt")
    store = Store(tmp_path / "hurt")
    for step in store.steps()[-n_damaged:]:
        damage(store.path(step) / "discriminator.safetensors")
    with caplog.at_level(logging.WARNING):
        assert toys.trainer(tmp_path / "hurt", "21 steps").run().step == 21
    assert caplog.text.count("falling back to the one before") == n_damaged
    assert toys.digest(tmp_path / "hurt") == toys.digest(ended)
    assert len(list(store.folder.glob("*.bad"))) == n_damaged, "kept for who wants to look"


def test_where_all_are_damaged_the_run_ends_with_exit_code_65_and_begins_nothing(ended: Path, tmp_path: Path) -> None:
    shutil.copytree(ended, tmp_path / "hurt")
    store = Store(tmp_path / "hurt")
    for step in store.steps():
        flip(store.path(step) / "generator.safetensors")
    for _ in range(2):
        with pytest.raises(CheckpointError, match="no usable checkpoint") as caught:
            toys.trainer(tmp_path / "hurt", "21 steps").run()
        assert caught.value.exit_code == 65
    assert store.steps() == []
    assert len(list(store.folder.glob("*.bad"))) == 3


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 21 steps with checkpoints at 7, 14 and 21."""
    folder = tmp_path_factory.mktemp("ended") / "run"
    toys.trainer(folder, "21 steps").run()
    return folder
