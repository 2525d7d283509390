"""F5: divergence. What is not finite is left out; again and again, or after a loss has exploded, the run goes back.

It goes back to the last good checkpoint with smaller steps and other draws, three times, then it ends.
"""

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiogan.adversarial.checkpoint import Store, read_checkpoint
from audiogan.adversarial.config import TrainConfig
from audiogan.adversarial.game import Batch, Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.guard import MOST_SKIPPED, MOST_STEPS
from audiogan.adversarial.monitor import Hook
from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.trainer import Trainer
from audiogan.errors import TrainingError
from tests.adversarial import toys

Seen = list[tuple[int, float, float, float]]


def poisoned(folder: Path, seen: Seen, poison: Any, more: Any = None, **options: Any) -> Trainer:
    """Return a trainer whose loss is multiplied by `poison(step, times seen)`; notes step, rate, batch and draw.

    `more` returns other terms from step and rate.
    """
    with seeded(0, "modules"):
        modules = {"generator": nn.Linear(2, 2)}
    trained: list[Trainer] = []

    def terms(batch: Mapping[str, Tensor], moment: Moment) -> dict[str, Tensor]:
        rate = trained[0].players.optimizers["generator"].param_groups[0]["lr"]
        seen.append((moment.step, rate, float(batch["real"].sum()), float(moment.normal("z", 1))))
        times = [step for step, *_ in seen].count(moment.step)
        error = (modules["generator"](batch["real"]) - 1.0).square().mean()
        return {"error": error * poison(moment.step, times)} | ({} if more is None else more(moment.step, rate))

    phase = Phase("generator", ("generator",), terms, OptimizerConfig(lr=Schedule(start=0.5), betas=(0.0, 0.9)))
    settings = {"budget": "10 steps", "batch_size": 4, "tensorboard": False, "window": 2, "checkpoint_steps": 3}
    settings |= options
    config = TrainConfig(**settings)
    game = Game([phase], averaged={"generator": 0.0})
    trained.append(Trainer(modules, game, toys.Ring(), config, folder, quiet=True))
    return trained[0]


def bad_at(step: int, n_times: int = 1) -> Any:
    return lambda now, times: float("nan") if now == step and times <= n_times else 1.0


def bad_from(step: int, n_times: int = 1) -> Any:
    """Bad at one step too many from one on, the first so many times that the run comes there."""
    return lambda now, times: float("nan") if step <= now <= step + MOST_SKIPPED and times <= n_times else 1.0


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "stats.jsonl").read_text().splitlines()]


# ---- a move that is not finite is left out


def test_a_loss_that_is_not_a_number_once_costs_a_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen: Seen = []
    held: list[Tensor] = []
    trained = poisoned(tmp_path, seen, lambda step, _: float("nan") if step in (5, 7) else 1.0)
    weight = trained.modules["generator"].get_parameter("weight")
    trained.hooks.append(Hook("hold", lambda _: held.append(weight.detach().clone()), every=0.1))
    assert trained.run().step == 10
    assert [step for step, *_ in seen] == list(range(10))
    assert {rate for _, rate, *_ in seen} == {0.5}
    assert [torch.equal(*pair) for pair in pairwise(held)] == [n in (4, 6) for n in range(9)]
    assert (trained.recovery.times, trained.guard.n_skipped) == (0, 2)
    optimizer = trained.players.optimizers["generator"]
    assert float(optimizer.state[weight]["step"]) == 8.0, "the optimiser has not counted what it did not do"
    assert caplog.text.count("term error is nan at step 5; expected finite numbers; the move is left out") == 1
    assert "at step 7" not in caplog.text, "told once"
    told = [line for line in lines(tmp_path) if "why" in line]
    assert [(line["step"], line["skipped"]) for line in told] == [(6, 1), (8, 2)]
    windows = [line for line in lines(tmp_path) if "generator/error" in line]
    assert [line["skipped"] for line in windows] == [0, 0, 1, 2, 2]
    assert all(line["generator/error"] is not None for line in windows), "means are of the moves that were made"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_gradient_that_is_not_finite_is_left_out_and_enters_nothing(tmp_path: Path, value: float) -> None:
    seen: Seen = []
    trained = poisoned(tmp_path, seen, lambda *_: 1.0)
    weight, poison = trained.modules["generator"].get_parameter("weight"), iter([True])
    weight.register_hook(lambda grad: grad * value if seen[-1][0] == 4 and next(poison, False) else grad)
    assert trained.run().step == 10
    assert (trained.recovery.times, trained.guard.n_skipped) == (0, 1)
    assert [step for step, *_ in seen] == list(range(10))
    tensors = [value for own in trained.players.capture()[0].values() for value in own.values()]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
    assert "the gradient is not finite at step 4" in next(line["why"] for line in lines(tmp_path) if "why" in line)


class PoisonedRing(toys.Ring):
    """Batches that are not numbers from the seventh on, so many of them."""

    def __init__(self, seen: Seen, n_bad: int) -> None:
        super().__init__()
        self.seen, self.left = seen, n_bad

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        batch = super().fetch(indices, seeds)
        if len(self.seen) < 7 or self.left == 0:
            return batch
        self.left -= 1
        return {"real": batch["real"] * torch.nan}


@pytest.mark.parametrize(("n_bad", "n_skipped", "times"), [(1, 1, 0), (5, 5, 0), (6, 0, 1), (18, 0, 3), (24, 0, None)])
def test_batches_that_are_not_numbers_are_left_out_and_then_passed_over(
    tmp_path: Path, n_bad: int, n_skipped: int, times: int | None
) -> None:
    seen: Seen = []
    trained = poisoned(tmp_path, seen, lambda *_: 1.0, budget="20 steps")
    trained.dataset = PoisonedRing(seen, n_bad)
    if times is None:
        with pytest.raises(TrainingError, match="last good checkpoint .*step-00000006"):
            trained.run()
    else:
        assert trained.run().exit_code == 0
        assert (trained.guard.n_skipped, trained.recovery.times) == (n_skipped, times)


def test_a_batch_that_is_not_a_number_leaves_no_trace_in_anything_with_memory(tmp_path: Path) -> None:
    trained = toys.trainer(tmp_path, "6 steps", averages={"half_life": 0.0})
    states: list[dict[str, Tensor]] = []

    def hold(_: object) -> None:
        tensors, numbers = trained.players.capture()
        held = {f"{stem}/{name}": t.clone() for stem, own in tensors.items() for name, t in own.items()}
        states.append(held | {"count": torch.tensor(numbers["memory"]["count"])})

    class Ring(toys.Ring):
        count = 0

        def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
            self.count += 1
            return {"real": super().fetch(indices, seeds)["real"] * (torch.nan if self.count == 2 else 1.0)}

    trained.dataset = Ring()
    trained.hooks.append(Hook("hold", hold, every=1 / 6))
    trained.run()
    assert trained.guard.n_skipped == 1
    before, after = states[0], states[1]
    assert before.keys() == after.keys()
    assert "encoder/1.running_mean" in after
    assert "extra/memory.buffer" in after
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(states[1]["encoder/1.running_mean"], states[2]["encoder/1.running_mean"])


def test_skips_long_ago_do_not_add_up(tmp_path: Path) -> None:
    seen: Seen = []
    trained = poisoned(tmp_path, seen, lambda step, _: float("nan") if step % 11 == 10 else 1.0, budget="200 steps")
    trained.run()
    assert (trained.guard.n_skipped, trained.recovery.times) == (18, 0)


# ---- again and again: back


def test_divergence_goes_back_with_smaller_steps_and_other_draws(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: Seen = []
    ended = poisoned(tmp_path, seen, bad_from(7), budget="15 steps").run()
    assert (ended.step, ended.exit_code) == (15, 0)
    assert MOST_SKIPPED == 5
    assert [step for step, *_ in seen] == [*range(13), *range(6, 15)]
    assert [rate for _, rate, *_ in seen] == [0.5] * 13 + [0.25] * 9
    first, second = seen[6], seen[13]
    assert first[2] != second[2], "other data"
    assert first[3] != second[3], "other random numbers"
    assert "term error is nan at step 12" in caplog.text
    assert "back to step 6, step sizes times 0.5 (1 of 3 times)" in caplog.text


def test_three_times_then_the_end_and_the_last_good_checkpoint_stays(tmp_path: Path) -> None:
    seen: Seen = []
    trained = poisoned(tmp_path, seen, bad_from(7, 99), budget="15 steps")
    with pytest.raises(TrainingError, match=r"term error is nan at step 12.*step-00000006") as caught:
        trained.run()
    assert caught.value.exit_code == 4
    assert trained.store.steps() == [3, 6], "none while moves are left out"
    assert [rate for step, rate, *_ in seen if step == 7] == [0.5, 0.25, 0.125, 0.0625]


def test_before_the_first_checkpoint_the_run_begins_again(tmp_path: Path) -> None:
    seen: Seen = []
    trained = poisoned(tmp_path, seen, bad_from(1), checkpoint_steps=None)
    assert trained.run().step == 10
    assert [step for step, *_ in seen] == [*range(7), *range(10)]
    with seeded(0, "modules"):
        fresh = nn.Linear(2, 2)
    other: Seen = []
    again = poisoned(tmp_path / "again", other, lambda *_: 1.0, checkpoint_steps=None)
    again.recovery.times = 1
    assert torch.equal(again.modules["generator"].get_parameter("weight"), fresh.weight)
    again.run()
    assert other == seen[7:], "as if it had begun carefully"
    assert torch.equal(
        again.averages["generator"].get_parameter("weight"), trained.averages["generator"].get_parameter("weight")
    )


@pytest.mark.parametrize(("at", "steps"), [(5, [*range(11), *range(3, 14)]), (6, [*range(6), *range(3, 14)])])
def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, at: int, steps: list[int]) -> None:
    """Found as six steps are left out, or at once where a checkpoint is due."""
    seen: Seen = []
    trained = poisoned(tmp_path, seen, lambda *_: 1.0, budget="14 steps", keep=9)
    broken = [True]

    def spoil(snapshot: Any) -> None:
        if snapshot.step == at and broken:
            broken.clear()
            with torch.no_grad():
                trained.modules["generator"].get_parameter("weight").fill_(float("inf"))

    trained.hooks.append(Hook("spoil", spoil, every=1 / 14))
    assert trained.run().step == 14
    assert [step for step, *_ in seen] == steps
    assert trained.recovery.times == 1
    assert trained.store.steps() == [3, 6, 9, 12, 14]
    for step in trained.store.steps():
        found = read_checkpoint(trained.store.path(step))
        assert all(bool(torch.isfinite(value).all()) for own in found.tensors.values() for value in own.values())


# ---- a loss that explodes


def exploding(n_steps: int, since: int = 70) -> Any:
    """A term that is one, and a million for so many steps, until the run has gone back."""

    def more(step: int, rate: float) -> dict[str, Tensor]:
        bad = since <= step < since + n_steps and rate == 0.5
        return {"level": torch.tensor(1e6 if bad else 1.0)}

    return more


def test_a_loss_far_above_its_median_for_long_goes_back_to_before_it_rose(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: Seen = []
    more = exploding(99)
    trained = poisoned(tmp_path, seen, lambda *_: 1.0, more, budget="130 steps", checkpoint_steps=10, keep=99)
    assert trained.run().exit_code == 0
    assert MOST_STEPS == 50
    assert [step for step, *_ in seen] == [*range(120), *range(70, 130)]
    assert (trained.recovery.times, trained.guard.n_skipped) == (1, 0)
    assert "phase generator: loss 1e+06, above 1.02e+04 for 50 steps" in caplog.text


@pytest.mark.parametrize(("n_steps", "since"), [(49, 70), (99, 20)], ids=["not for long", "before there is a median"])
def test_a_loss_that_is_high_for_another_reason_goes_on(tmp_path: Path, n_steps: int, since: int) -> None:
    seen: Seen = []
    more = exploding(n_steps, since)
    trained = poisoned(tmp_path, seen, lambda *_: 1.0, more, budget="130 steps", checkpoint_steps=None)
    trained.run()
    assert trained.recovery.times == 0


def test_a_player_that_comes_back_from_no_loss_at_all_has_not_exploded(tmp_path: Path) -> None:
    def more(step: int, _rate: float) -> dict[str, Tensor]:
        return {"level": torch.tensor(1e-9 if step < 70 else 50.0)}

    trained = poisoned(tmp_path, [], lambda *_: 1e-9, more, budget="130 steps", checkpoint_steps=None)
    trained.run()
    assert trained.recovery.times == 0


# ---- kills


def test_a_killed_run_repeats_its_going_back(tmp_path: Path) -> None:
    def run(name: str, stop: int) -> Trainer:
        seen: Seen = []
        # Poisoned whenever it is still at full speed: what a resumed process sees of it must not depend on its past.
        trained = poisoned(
            tmp_path / name, seen, lambda step, _: float("nan") if step >= 7 and seen[-1][1] == 0.5 else 1.0,
            budget="20 steps",
        )  # fmt: skip
        trained.hooks.append(Hook("stop", lambda snapshot: _interrupt(snapshot.step, stop), every=0.05))
        trained.run()
        return trained

    run("straight", 99)
    for stop in (7, 9, 13, 14, 17):
        with pytest.raises(KeyboardInterrupt):
            run("broken", stop)
    resumed = run("broken", 99)
    assert resumed.recovery.times == 1
    assert toys.digest(tmp_path / "broken") == toys.digest(tmp_path / "straight")


@pytest.mark.parametrize(("bad", "times"), [((5, 6, 17), 0), ((5, 6, 9, 10, 13, 14), 1)])
def test_a_killed_run_repeats_what_it_left_out(tmp_path: Path, bad: tuple[int, ...], times: int) -> None:
    """With skips before and after the kill, also where they are too many only together."""

    def run(name: str, stop: int) -> Trainer:
        trained = toys.trainer(tmp_path / name, "24 steps", checkpoint_steps=8)

        def faulty(phase: Phase) -> Phase:
            def terms(batch: Batch, moment: Moment) -> dict[str, Tensor]:
                poison = torch.nan if moment.step in bad and trained.recovery.times == 0 else 1.0
                return phase.terms({"real": batch["real"] * poison}, moment)  # pyright: ignore[reportReturnType]

            return replace(phase, terms=terms)

        trained.game = trained.players.game = replace(trained.game, phases=[*map(faulty, trained.game.phases)])
        trained.hooks.append(Hook("stop", lambda snapshot: _interrupt(snapshot.step, stop), every=1 / 24))
        trained.run()
        return trained

    assert run("straight", 99).recovery.times == times
    for stop in (9, 12, 18):
        with pytest.raises(KeyboardInterrupt):
            run("broken", stop)
    resumed = run("broken", 99)
    assert (resumed.recovery.times, resumed.guard.n_skipped) == (times, 2 if times else len(bad))
    assert toys.digest(tmp_path / "broken") == toys.digest(tmp_path / "straight")


def test_a_killed_run_repeats_an_explosion(tmp_path: Path) -> None:
    def run(name: str, stop: int) -> Trainer:
        trained = poisoned(
            tmp_path / name, [], lambda *_: 1.0, exploding(99), budget="130 steps", checkpoint_steps=None,
        )  # fmt: skip
        trained.hooks.append(Hook("stop", lambda snapshot: _stop(snapshot.step, stop), every=1 / 130))
        trained.run()
        return trained

    run("straight", 999)
    assert run("broken", 90).recovery.times == 0
    assert run("broken", 999).recovery.times == 1
    found = [Store(tmp_path / name).load_newest() for name in ("straight", "broken")]
    assert all(one is not None and one.step == 130 for one in found)
    assert len({json.dumps(one.state["guard"]["usual"]) for one in found if one is not None}) == 2, "from 0 and from 90"


def _interrupt(step: int, stop: int) -> None:
    if step == stop:
        raise KeyboardInterrupt


def _stop(step: int, stop: int) -> None:
    if step == stop:
        os.kill(os.getpid(), signal.SIGTERM)


# ---- two processes


@pytest.mark.parametrize(("fault", "rollbacks", "n_skipped"), [("poisoned", 0, 1), ("diverged", 1, 0)])
def test_two_processes_leave_out_and_go_back_together_when_the_loss_of_one_is_not_a_number(
    together: tuple[Path, dict[str, Any]], fault: str, rollbacks: int, n_skipped: int
) -> None:
    folder, outcome = together
    assert outcome[fault]["code"] == outcome[f"{fault} one"]["code"] == 0
    assert outcome[fault]["failures"] == []
    two, one, calm = (Store(folder / name).load_newest() for name in (fault, f"{fault} one", "alone"))
    assert two is not None
    assert one is not None
    assert calm is not None
    assert (two.step, two.state["rollbacks"], two.state["guard"]["skipped"]) == (12, rollbacks, n_skipped)
    assert (calm.state["rollbacks"], calm.state["guard"]["skipped"]) == (0, 0)
    sums = [(folder / fault / f"weights-{rank}").read_text() for rank in (0, 1)]
    assert sums[0] == sums[1]
    for stem in ("generator", "discriminator", "ema"):
        for name, tensor in two.tensors[stem].items():
            assert torch.allclose(tensor, one.tensors[stem][name], atol=2e-6), f"{stem} {name}"
    moved = [found.tensors["generator"]["0.weight"] for found in (two, calm)]
    assert not torch.allclose(moved[0], moved[1], atol=1e-5), "a step less, or other draws after going back"


def test_lines_of_the_way_that_was_given_up_are_dropped(tmp_path: Path) -> None:
    seen: Seen = []
    poisoned(tmp_path, seen, bad_from(9), budget="16 steps").run()
    assert [line["step"] for line in lines(tmp_path)] == [2, 4, 6, 8, 10, 12, 14, 16]
