"""F11: checkpoints of other versions. Older ones are migrated, newer ones refused and left alone."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from audiogan.adversarial import checkpoint as module
from audiogan.adversarial.checkpoint import SCHEMA, Store, read_checkpoint, write_checkpoint
from audiogan.adversarial.config import TrainConfig
from audiogan.adversarial.game import Game, OptimizerConfig, Phase
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.trainer import Trainer
from audiogan.errors import CheckpointError
from tests.adversarial import toys
from tests.adversarial.test_checkpoint import make

GOLDEN = Path(__file__).parents[2] / "golden"


def golden_trainer(folder: Path) -> Trainer:
    """Return the trainer of which every version has left its checkpoint of step 4 in `tests/golden`."""
    generator = nn.Linear(2, 2)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 10)
    optimizer = OptimizerConfig(lr=Schedule(start=0.01), betas=(0.0, 0.9))
    phase = Phase(
        "generator", ("generator",), lambda b, _: {"error": (generator(b["real"]) - 1.0).square().mean()}, optimizer
    )
    settings = {"budget": "8 steps", "batch_size": 4, "checkpoint_steps": 4, "tensorboard": False}
    config = TrainConfig(**settings, score=toys.NO_SCORE)
    game = Game([phase], averaged={"generator": 0.0})
    return Trainer({"generator": generator}, game, toys.Ring(), config, folder, {"name": "golden"}, quiet=True)


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_a_run_of_an_older_version_goes_on_where_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, schema: int
) -> None:
    shutil.copytree(GOLDEN / f"checkpoint-{schema}", tmp_path / "old" / "checkpoints")
    manifest = tmp_path / "old" / "checkpoints" / "step-00000004" / "manifest.json"
    assert json.loads(manifest.read_text())["schema"] == schema
    golden_trainer(tmp_path / "new").run()
    old = golden_trainer(tmp_path / "old")
    with caplog.at_level(logging.INFO):
        assert old.run().step == 8
    assert "resuming from" in caplog.text
    (found, expected) = (Store(tmp_path / name).load_newest() for name in ("old", "new"))
    assert found is not None
    assert expected is not None
    assert found.state.keys() == expected.state.keys()
    for stem, tensors in expected.tensors.items():
        for name, tensor in tensors.items():
            assert torch.allclose(tensor, found.tensors[stem][name], atol=1e-5), f"{stem} {name}"


def test_every_step_from_the_first_schema_to_this_one_is_known() -> None:
    assert sorted(module.MIGRATIONS) == list(range(1, SCHEMA))
    assert sorted(path.name for path in GOLDEN.glob("checkpoint-*")) == [f"checkpoint-{n + 1}" for n in range(SCHEMA)]


def test_what_the_first_checkpoints_lacked_is_filled_in() -> None:
    migrated = module.MIGRATIONS[1]({"step": 4, "pins": {"world": 2}})
    assert migrated == {"step": 4, "pins": {"world": 2, "portions": 1}, "rollbacks": 0, "standing": {}}
    kept = {"step": 4, "pins": {"portions": 4}, "rollbacks": 2, "standing": {"best_step": 1}}
    assert module.MIGRATIONS[1](kept) == kept


def test_a_newer_schema_is_refused_and_left_in_place(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(make())
    path = store.path(3) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    with pytest.raises(CheckpointError, match="schema 99; this version reads 1 to 2") as caught:
        store.load_newest()
    assert caught.value.reason == "schema"
    assert store.steps() == [3]


def test_a_state_that_lacks_a_key_is_never_filled_in_silently(tmp_path: Path) -> None:
    trained = golden_trainer(tmp_path)
    trained.run()
    newest = trained.store.load_newest()
    assert newest is not None
    del newest.state["seed"]
    shutil.rmtree(trained.store.folder)
    write_checkpoint(trained.store.folder, newest)
    assert read_checkpoint(trained.store.path(8)).step == 8
    with pytest.raises(CheckpointError, match="seed None, the recipe says 0"):
        golden_trainer(tmp_path).run()
