"""The right moment to stop: the best checkpoint, patience, collapse, overfitting, and what a failing metric does."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiogan.adversarial.checkpoint import read_checkpoint
from audiogan.adversarial.config import TrainConfig
from audiogan.adversarial.game import Batch, Game, Moment, Phase
from audiogan.adversarial.monitor import Hook
from audiogan.adversarial.scoring import ScoreConfig, Scoring, Standing, overfitting
from audiogan.adversarial.trainer import Trainer
from audiogan.errors import OutputError
from tests.adversarial import toys


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def counting(folder: Path, scores: Any, probes: Any = None, **options: Any) -> Trainer:
    """Return a trainer of one weight that is the number of steps done, scored at every step by `scores(step)`."""
    modules = {"generator": nn.Linear(1, 1, bias=False), "discriminator": nn.Linear(1, 1)}
    nn.init.zeros_(modules["generator"].weight)

    def terms(batch: Batch, moment: Moment) -> dict[str, Tensor]:
        del batch, moment
        return {"down": -modules["generator"].weight.sum()}

    def count() -> None:
        with torch.no_grad():
            modules["generator"].weight.copy_(modules["generator"].weight.detach().round())

    from audiogan.adversarial.game import OptimizerConfig
    from audiogan.adversarial.schedule import Schedule

    phase = Phase(
        "g", ("generator",), terms, OptimizerConfig(lr=Schedule(start=1.0), betas=(0.0, 0.0)), after_move=count
    )
    score = {"every": 0.1, "least_steps": 1} | options.pop("score", {})
    settings = {"budget": "10 steps", "batch_size": 2, "tensorboard": False, "window": 5, "keep": 2} | options

    def step_of(found: Mapping[str, nn.Module]) -> int:
        return round(float(found["generator"].get_parameter("weight").detach()))

    scoring = Scoring(
        lambda found, _: scores(step_of(found)), None if probes is None else lambda found, _: probes(step_of(found))
    )
    config = TrainConfig(**settings, score=ScoreConfig(**score))
    return Trainer(modules, Game([phase]), toys.Ring(), config, folder, scoring=scoring, quiet=True)


def distances(*values: float) -> Callable[[int], dict[str, float]]:
    return lambda step: {"distance": values[step - 1]}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "stats.jsonl").read_text().splitlines()]


# ---- the best


def test_the_best_checkpoint_survives_pruning_and_is_what_can_be_taken(tmp_path: Path) -> None:
    trained = counting(tmp_path, distances(5, 1, 3, float("nan"), 2, 4, 6, 7, 8, 9), checkpoint_steps=1)
    ended = trained.run()
    assert (ended.step, ended.exit_code, ended.reason, ended.warnings) == (10, 0, "budget", ())
    assert trained.store.best() == {"step": 2, "metric": "score/distance", "value": 1.0}
    assert trained.store.steps() == [2, 9, 10]
    assert trained.modules["generator"].get_parameter("weight").item() == 10.0
    assert trained.saver.take_best() == 2
    assert trained.modules["generator"].get_parameter("weight").item() == 2.0


def test_the_best_is_the_latest_within_one_standard_error_of_the_lowest(tmp_path: Path) -> None:
    values = [9.0, 5.0, 4.5, 5.6, 5.2, 5.4, 9, 5.6, 9, 9]
    trained = counting(tmp_path, lambda step: {"distance": values[step - 1], "error": 1.0})
    trained.run()
    assert (trained.standing.best_step, trained.standing.best_distance) == (6, 5.4)
    assert trained.standing.lowest == 4.5, "it does not creep up"


def test_patience_is_renewed_by_clear_progress_only(tmp_path: Path) -> None:
    creeping = [5.0, 4.7, 4.4, 4.1, 3.8, 3.5, 3.2, 2.9, 2.6, 2.3]
    standing = Standing(ScoreConfig(every=0.1, least_steps=1), 0.0, 10)
    counts = []
    for step, value in enumerate(creeping, start=1):
        assert standing.take(step, {"distance": value, "error": 1.0}).improved
        counts.append(standing.n_worse)
    assert counts == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_a_damaged_best_checkpoint_leaves_the_last(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained = counting(tmp_path, distances(5, 1, 3, 3, 3, 3, 3, 3, 3, 3))
    trained.run()
    (trained.store.path(2) / "generator.safetensors").write_bytes(b"")
    assert trained.saver.take_best() is None
    assert trained.modules["generator"].get_parameter("weight").item() == 10.0
    assert "the last checkpoint is used instead" in caplog.text


def test_a_best_that_the_disk_refuses_is_no_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = counting(tmp_path, distances(5, 4, 1, 3, 9, 9, 9, 9, 9, 9))
    save = trained.store.save

    def refusing(found: Any) -> Path:
        if found.step == 3:
            raise OSError(28, "No space left on device")
        return save(found)

    monkeypatch.setattr(trained.store, "save", refusing)
    trained.run()
    assert trained.store.best() == {"step": 4, "metric": "score/distance", "value": 3.0}
    assert trained.saver.take_best() == 4


def test_scores_come_at_their_intervals_and_begin_with_the_averages() -> None:
    def dues(begin: float, n_steps: int, **config: Any) -> list[int]:
        standing = Standing(ScoreConfig(**config), begin, n_steps)
        return [done for done in range(1, n_steps + 1) if standing.due(done)]

    assert dues(0.0, 10, every=0.2, least_steps=1) == [2, 4, 6, 8, 10]
    assert dues(0.5, 10, every=0.2, least_steps=1) == [6, 8, 10]
    assert dues(0.0, 10, every=0.1, least_steps=5) == [5, 10]
    assert dues(0.0, 10) == [10]
    assert dues(0.0, 10, every=None) == []


# ---- when to stop


def test_patience_ends_the_run_where_nothing_gets_better(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    falling = distances(5, 4, 3, 3, 3, 3, 3, 3, 3, 3)
    trained = counting(tmp_path, falling, score={"patience": 0.4})
    ended = trained.run()
    assert (ended.step, ended.exit_code, ended.reason) == (7, 0, "plateau")
    assert ended.checkpoint.is_dir()
    assert "no better score for 4 scores; training ends" in caplog.text
    assert counting(tmp_path, falling, score={"patience": 0.4}).run() == ended, "it stays ended"
    assert counting(tmp_path, falling).run().step == 10, "without patience it goes on"


def test_patience_waits_for_its_share(tmp_path: Path) -> None:
    ended = counting(tmp_path, distances(*[1.0] * 10), score={"patience": 0.2, "patience_from": 0.8}).run()
    assert (ended.step, ended.reason) == (8, "plateau")


# ---- alarms


def test_overfitting_is_where_held_out_items_lie_between_training_items_and_fakes() -> None:
    spread = torch.tensor([-1.0, 1.0])
    logits = {"train": 4.0 + spread, "valid": 1.0 + spread, "fake": torch.zeros(3)}
    found = overfitting(logits)
    assert (found["train"], found["valid"], found["fake"]) == (4.0, 1.0, 0.0)
    assert found["overfitting"] == pytest.approx(0.75)
    assert found["overfitting_error"] == pytest.approx(2.0**0.5 / 4)  # variance 2 of two values, twice, over 4
    assert "overfitting" not in overfitting(logits | {"fake": torch.full((3,), 5.0)})
    assert "overfitting_error" not in overfitting(logits | {"valid": torch.ones(1)}), "one group tells no noise"


def test_a_discriminator_that_memorises_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def probes(step: int) -> dict[str, Tensor]:
        level = {"train": 1.0, "valid": 1.0 if step < 5 else 0.2, "fake": 0.0}
        return {name: torch.full((4,), value) for name, value in level.items()}

    ended = counting(tmp_path, distances(*[1.0] * 10), probes).run()
    assert ended.warnings == ("overfitting",)
    assert caplog.text.count("memorises") == 1
    assert "step 6: the discriminator memorises: overfitting 0.80" in caplog.text
    found = [line["probe/overfitting"] for line in lines(tmp_path) if line.get("hook") == "probe"]
    assert found == pytest.approx([0.0] * 4 + [0.8] * 6)


def test_a_difference_within_the_noise_is_no_memory() -> None:
    standing = Standing(ScoreConfig(every=0.1, least_steps=1), 0.0, 10)
    for done in (1, 2, 3):
        assert standing.take(done, {"overfitting": 0.9, "overfitting_error": 0.5}).news == ()
    for done in (4, 5, 6):
        assert standing.take(done, {"overfitting": 0.9}).news == (), "nobody knows the noise"
    assert standing.warnings == ()


# ---- exactness


def test_scoring_does_not_change_the_training(tmp_path: Path) -> None:
    toys.trainer(tmp_path / "alone", "20 steps").run()
    toys.trainer(tmp_path / "scored", "20 steps", score=toys.SCORE).run()
    alone, scored = (
        read_checkpoint(max((tmp_path / name / "checkpoints").glob("step-*"))) for name in ("alone", "scored")
    )
    for stem, tensors in alone.tensors.items():
        assert all(torch.equal(tensor, scored.tensors[stem][name]) for name, tensor in tensors.items()), stem


def test_a_resumed_run_knows_its_scores(tmp_path: Path) -> None:
    straight = toys.trainer(tmp_path / "straight", "20 steps", score=toys.SCORE)
    straight.run()
    broken = toys.trainer(tmp_path / "broken", "20 steps", score=toys.SCORE)
    broken.hooks.append(Hook("stop", lambda snapshot: _interrupt(snapshot.step), every=0.05))
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    resumed = toys.trainer(tmp_path / "broken", "20 steps", score=toys.SCORE)
    resumed.run()
    assert resumed.standing.state() == straight.standing.state()
    assert toys.digest(tmp_path / "broken") == toys.digest(tmp_path / "straight")
    assert resumed.store.best() == straight.store.best()


def _interrupt(step: int) -> None:
    if step == 15:
        raise KeyboardInterrupt


def test_the_name_of_the_best_is_mended_on_resume(tmp_path: Path) -> None:
    half = counting(tmp_path, distances(5, 1, *[9.0] * 8), checkpoint_steps=1)
    half.run()
    (tmp_path / "best.json").unlink()
    again = counting(tmp_path, distances(5, 1, *[9.0] * 8), checkpoint_steps=1)
    again.run()
    assert again.store.best() == {"step": 2, "metric": "score/distance", "value": 1.0}


def test_a_run_without_a_place_to_save_keeps_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = counting(tmp_path, distances(*[float(10 - n) for n in range(10)]))

    def refusing(_: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trained.store, "save", refusing)
    with pytest.raises(OutputError, match="No space left"):
        trained.run()
