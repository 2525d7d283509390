"""F5: divergence. Back to the last good checkpoint with smaller steps and other draws, three times, then the end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiogan.adversarial.checkpoint import Store
from audiogan.adversarial.config import TrainConfig
from audiogan.adversarial.game import Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.monitor import Hook
from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.trainer import Trainer
from audiogan.errors import TrainingError
from tests.adversarial import toys

Seen = list[tuple[int, float, float, float]]


def poisoned(folder: Path, seen: Seen, poison: Any, **options: Any) -> Trainer:
    """Return a trainer whose loss is multiplied by `poison(step, times seen)`; notes step, rate, batch and draw."""
    with seeded(0, "modules"):
        modules = {"generator": nn.Linear(2, 2)}
    trained: list[Trainer] = []

    def terms(batch: Mapping[str, Tensor], moment: Moment) -> dict[str, Tensor]:
        rate = trained[0].players.optimizers["generator"].param_groups[0]["lr"]
        seen.append((moment.step, rate, float(batch["real"].sum()), float(moment.normal("z", 1))))
        times = [step for step, *_ in seen].count(moment.step)
        error = (modules["generator"](batch["real"]) - 1.0).square().mean()
        return {"error": error * poison(moment.step, times)}

    phase = Phase("generator", ("generator",), terms, OptimizerConfig(lr=Schedule(start=0.5), betas=(0.0, 0.9)))
    settings = {
        "budget": "10 steps",
        "batch_size": 4,
        "tensorboard": False,
        "window": 2,
        "checkpoint_steps": 3,
    } | options
    config = TrainConfig(**settings)
    game = Game([phase], averaged={"generator": 0.0})
    trained.append(Trainer(modules, game, toys.Ring(), config, folder, quiet=True))
    return trained[0]


def bad_at(step: int, n_times: int = 1) -> Any:
    return lambda now, times: float("nan") if now == step and times <= n_times else 1.0


def test_divergence_goes_back_with_smaller_steps_and_other_draws(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: Seen = []
    ended = poisoned(tmp_path, seen, bad_at(7)).run()
    assert (ended.step, ended.exit_code) == (10, 0)
    assert [step for step, *_ in seen] == [0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9]
    assert [rate for _, rate, *_ in seen] == [0.5] * 8 + [0.25] * 4
    first, second = seen[6], seen[8]
    assert first[2] != second[2], "other data"
    assert first[3] != second[3], "other random numbers"
    assert "term error is nan at step 7" in caplog.text
    assert "back to step 6, step sizes times 0.5 (1 of 3 times)" in caplog.text


def test_three_times_then_the_end_and_the_last_good_checkpoint_stays(tmp_path: Path) -> None:
    seen: Seen = []
    trained = poisoned(tmp_path, seen, bad_at(7, 99))
    with pytest.raises(TrainingError, match=r"term error is nan at step 7.*step-00000006") as caught:
        trained.run()
    assert caught.value.exit_code == 4
    assert trained.store.steps() == [3, 6]
    assert [rate for step, rate, *_ in seen if step == 7] == [0.5, 0.25, 0.125, 0.0625]


def test_before_the_first_checkpoint_the_run_begins_again(tmp_path: Path) -> None:
    seen: Seen = []
    trained = poisoned(tmp_path, seen, bad_at(1), checkpoint_steps=None)
    assert trained.run().step == 10
    assert [step for step, *_ in seen] == [0, 1, *range(10)]
    with seeded(0, "modules"):
        fresh = nn.Linear(2, 2)
    other: Seen = []
    again = poisoned(tmp_path / "again", other, lambda *_: 1.0, checkpoint_steps=None)
    again.recovery.times = 1
    assert torch.equal(again.modules["generator"].get_parameter("weight"), fresh.weight)
    again.run()
    assert other == seen[2:], "as if it had begun carefully"
    assert torch.equal(
        again.averages["generator"].get_parameter("weight"), trained.averages["generator"].get_parameter("weight")
    )


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    seen: Seen = []
    trained = poisoned(tmp_path, seen, lambda *_: 1.0)
    broken = [True]

    def spoil(_: Any) -> None:
        if broken.pop() if broken and len(seen) == 6 else False:
            with torch.no_grad():
                trained.modules["generator"].get_parameter("weight").fill_(float("inf"))

    trained.hooks.append(Hook("spoil", spoil, every=0.1))
    assert trained.run().step == 10
    assert [step for step, *_ in seen] == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 9]
    assert trained.store.steps() == [6, 9, 10]


@pytest.mark.parametrize("at", [4, 5], ids=["found in the next step", "found by the save"])
def test_a_gradient_that_is_not_a_number_is_found_within_a_step(tmp_path: Path, at: int) -> None:
    seen: Seen = []
    trained = poisoned(tmp_path, seen, lambda *_: 1.0)
    weight, poison = trained.modules["generator"].get_parameter("weight"), iter([True])
    weight.register_hook(lambda grad: grad * torch.nan if seen[-1][0] == at and next(poison, False) else grad)
    assert trained.run().step == 10
    assert trained.recovery.times == 1
    assert [step for step, *_ in seen] == [*range(6), *range(3, 10)], "back to the checkpoint of step 3"
    assert bool(torch.isfinite(trained.averages["generator"].get_parameter("weight")).all())


@pytest.mark.parametrize(("n_bad", "times"), [(1, 1), (3, 3), (4, None)])
def test_batches_that_are_not_numbers_are_passed_over_three_times(
    tmp_path: Path, n_bad: int, times: int | None
) -> None:
    class Poisoned(toys.Ring):
        left = n_bad

        def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
            batch = super().fetch(indices, seeds)
            if len(seen) < 7 or self.left == 0:
                return batch
            self.left -= 1
            return {"real": batch["real"] * torch.nan}

    seen: Seen = []
    trained = poisoned(tmp_path, seen, lambda *_: 1.0)
    trained.dataset = Poisoned()
    if times is None:
        with pytest.raises(TrainingError, match="last good checkpoint .*step-00000006"):
            trained.run()
    else:
        assert trained.run().exit_code == 0
        assert trained.recovery.times == times


def test_a_killed_run_repeats_its_going_back(tmp_path: Path) -> None:
    def run(name: str, stop: int) -> Trainer:
        seen: Seen = []
        # Poisoned whenever it is still at full speed: what a resumed process sees of it must not depend on its past.
        trained = poisoned(
            tmp_path / name, seen, lambda step, _: float("nan") if step == 7 and seen[-1][1] == 0.5 else 1.0
        )
        trained.hooks.append(Hook("stop", lambda snapshot: _interrupt(snapshot.step, stop), every=0.1))
        trained.run()
        return trained

    run("straight", 99)
    for stop in (7, 8, 10):
        with pytest.raises(KeyboardInterrupt):
            run("broken", stop)
    resumed = run("broken", 99)
    assert resumed.recovery.times == 1
    assert toys.digest(tmp_path / "broken") == toys.digest(tmp_path / "straight")


def _interrupt(step: int, stop: int) -> None:
    if step == stop:
        raise KeyboardInterrupt


def test_two_processes_go_back_together_when_the_loss_of_one_is_not_a_number(
    together: tuple[Path, dict[str, Any]],
) -> None:
    folder, outcome = together
    assert outcome["poisoned"]["code"] == outcome["poisoned one"]["code"] == 0
    assert outcome["poisoned"]["failures"] == []
    two, one, calm = (Store(folder / name).load_newest() for name in ("poisoned", "poisoned one", "alone"))
    assert two is not None
    assert one is not None
    assert calm is not None
    assert (two.step, two.state["rollbacks"], calm.state["rollbacks"]) == (12, 1, 0)
    sums = [(folder / "poisoned" / f"weights-{rank}").read_text() for rank in (0, 1)]
    assert sums[0] == sums[1]
    for stem in ("generator", "discriminator", "ema"):
        for name, tensor in two.tensors[stem].items():
            assert torch.allclose(tensor, one.tensors[stem][name], atol=2e-6), f"{stem} {name}"
    moved = [found.tensors["generator"]["0.weight"] for found in (two, calm)]
    assert not torch.allclose(moved[0], moved[1], atol=1e-5), "other draws after going back"


def test_lines_of_the_way_that_was_given_up_are_dropped(tmp_path: Path) -> None:
    import json

    seen: Seen = []
    poisoned(tmp_path, seen, bad_at(9)).run()
    steps = [json.loads(text)["step"] for text in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6, 8, 10]
