"""Checkpoints and shared models: exact, whole or absent, and suspicious of what they read."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from audiogan.adversarial import checkpoint as module
from audiogan.adversarial.checkpoint import (
    Checkpoint,
    Store,
    model_tensors,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from audiogan.adversarial.disk import tensor_bytes, write_atomically
from audiogan.adversarial.model import load_model, save_model
from audiogan.errors import CheckpointError


def make(step: int = 3) -> Checkpoint:
    tensors = {
        "generator": {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(step)},
        "ema": {"generator.weight": torch.full((2, 3), 0.1), "generator.count": torch.tensor(step)},
        "extra": {},
    }
    return Checkpoint(step, {"pi": 0.1 + 0.2, "n_steps": 10}, tensors, {"name": "toy"})


def test_what_is_written_is_read_back_exactly(tmp_path: Path) -> None:
    found = read_checkpoint(write_checkpoint(tmp_path, make()))
    assert found.step == 3
    assert found.state == {"pi": 0.1 + 0.2, "n_steps": 10, "step": 3}
    assert found.recipe == {"name": "toy"}
    assert found.tensors.keys() == make().tensors.keys()
    assert torch.equal(found.tensors["generator"]["weight"], make().tensors["generator"]["weight"])
    assert found.tensors["generator"]["count"].dtype == torch.int64


def test_equal_tensors_make_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_checkpoint(tmp_path / name, make())
    for path in (tmp_path / "a" / "step-00000003").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "step-00000003" / path.name).read_bytes()


def test_shared_and_strided_tensors_are_saved() -> None:
    weight = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    assert tensor_bytes("m", {"a": weight, "tied": weight, "slice": weight[0], "turned": torch.randn(2, 3).T})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_not_saved(tmp_path: Path, value: float) -> None:
    bad = make()
    bad.tensors["generator"]["weight"][0, 0] = value
    with pytest.raises(CheckpointError, match=r"tensor weight holds NaN or infinity"):
        write_checkpoint(tmp_path, bad)
    with pytest.raises(CheckpointError, match="expected finite numbers"):
        write_checkpoint(tmp_path, Checkpoint(1, {"loss": value}, {}))
    assert list(tmp_path.iterdir()) == []


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert Store(tmp_path).load_newest() is None


def test_the_newest_three_and_the_best_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=3)
    for step in range(1, 7):
        store.save(make(step))
        if step == 2:
            store.mark_best(2, "metric/kad", 0.5)
    assert store.steps() == [2, 4, 5, 6]
    assert store.best() == {"step": 2, "metric": "metric/kad", "value": 0.5}


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    left = store.folder / ".tmp-step-00000001-999999"
    left.mkdir(parents=True)
    (left / "generator.safetensors").write_bytes(b"half")
    store.save(make())
    assert [path.name for path in store.folder.iterdir()] == ["step-00000003"]


def test_one_that_cannot_be_removed_leaves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, 1)
    names = [f".tmp-gone-{number}" for number in range(3)]
    for name in names:
        (store.folder / name).mkdir(parents=True)
    remove = shutil.rmtree

    def refuse(path: Path) -> None:
        if path.name == names[1]:
            raise PermissionError("not yours")
        remove(path)

    monkeypatch.setattr("audiogan.adversarial.checkpoint.shutil.rmtree", refuse)
    store.prune()
    assert [path.name for path in store.folder.glob(".tmp-*")] == [names[1]]


def test_a_full_disk_leaves_the_old_checkpoints_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.save(make(1))

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "write_synced", full)
    with pytest.raises(OSError, match="No space left"):
        store.save(make(2))
    assert [path.name for path in store.folder.iterdir()] == ["step-00000001"]


def test_atomic_writes_replace_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


# ---- the lock


# ---- sharing


def shared() -> dict[str, nn.Module]:
    return {"generator": nn.Linear(2, 3), "encoder": nn.BatchNorm1d(4)}


def test_a_shared_model_comes_back(tmp_path: Path) -> None:
    modules, again = shared(), shared()
    save_model(tmp_path, modules, {"z_dim": 2})
    tensors, config = load_model(tmp_path)
    assert config == {"z_dim": 2}
    for name, own in again.items():
        restore(own, tensors[name], name)
        for mine, theirs in zip(own.state_dict().values(), modules[name].state_dict().values(), strict=True):
            assert mine.dtype == theirs.dtype
            assert torch.equal(mine, theirs.half().to(theirs.dtype))  # stored at half precision
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "config.json"}


@pytest.mark.parametrize("damage", [truncate, flip, empty, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_model_is_refused(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    save_model(tmp_path, shared(), {"z_dim": 2})
    damage(tmp_path / name)
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_model(tmp_path)


def test_a_tensor_of_no_module_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, shared(), {})
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"modules": ["generator"]}))
    with pytest.raises(CheckpointError, match="belongs to none of the modules"):
        load_model(tmp_path)


def test_weights_must_fit_name_and_shape() -> None:
    own = nn.Linear(2, 3)
    with pytest.raises(CheckpointError, match=r"lacks \['bias'\]"):
        restore(own, {"weight": torch.zeros(3, 2)}, "model")
    with pytest.raises(CheckpointError, match=r"weight has shape \(2, 3\); expected \(3, 2\)"):
        restore(own, {"weight": torch.zeros(2, 3), "bias": torch.zeros(3)}, "model")


def test_a_checkpoint_gives_averages_where_it_has_them() -> None:
    tensors = {
        "generator": {"w": torch.zeros(1)},
        "discriminator": {"w": torch.ones(1)},
        "ema": {"generator.w": torch.full((1,), 5.0)},
        "extra": {},
        "optimizer-generator": {},
    }
    found = model_tensors(Checkpoint(1, {}, tensors))
    assert {name: values["w"].item() for name, values in found.items()} == {"generator": 5.0, "discriminator": 1.0}
