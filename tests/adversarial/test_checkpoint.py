"""Checkpoints and shared models: exact, whole or absent, and suspicious of what they read."""

import errno
import json
import os
import subprocess
import sys
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
from audiogan.adversarial.disk import FolderInUseError, locked, tensor_bytes, write_atomically
from audiogan.adversarial.model import load_model, save_model
from audiogan.errors import CheckpointError, OutputError


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


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert Store(tmp_path).load_newest() is None


def test_a_newer_schema_is_refused_and_left_in_place(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(make())
    path = store.path(3) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    with pytest.raises(CheckpointError, match="schema 99; this version reads 1 to 1") as caught:
        store.load_newest()
    assert caught.value.reason == "schema"
    assert store.steps() == [3]


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


def test_a_folder_that_another_process_holds_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / "run.lock").read_text()
    holder = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'a+')\nfcntl.lockf(file, fcntl.LOCK_EX)\n"
        "file.write('process 7 on mars')\nfile.flush()\nprint('held', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", holder, str(tmp_path / "run.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(FolderInUseError, match="in use by process 7 on mars") as caught, locked(tmp_path):
            pass
        assert caught.value.exit_code == 75
        process.kill()
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "file" / "run"):
        pass


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
