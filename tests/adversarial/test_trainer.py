"""The trainer on toy games: who moves, exact resume, budgets, hooks, and how it stops."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiogan.adversarial import trainer as module
from audiogan.adversarial.game import Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.monitor import Hook, Snapshot
from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.trainer import Finished, TrainConfig, Trainer
from audiogan.errors import CheckpointError, OutputError, TrainingError
from tests.adversarial import toys


def one_phase(terms: Any, folder: Path, **options: Any) -> Trainer:
    """Return a trainer of one linear module."""
    with seeded(0, "modules"):
        modules = {"generator": nn.Linear(2, 2)}
    phase = Phase("generator", ("generator",), lambda batch, moment: terms(modules["generator"], batch, moment))
    settings = {"budget": "10 steps", "batch_size": 4, "tensorboard": False, "window": 5} | options
    hooks = settings.pop("hooks", ())
    game = Game([phase], averaged={"generator": 0.0}, watch=lambda moment: {"watched": 2.0 * moment.step})
    return Trainer(modules, game, toys.Ring(), TrainConfig(**settings), folder, hooks=hooks, quiet=True)


def fit(generator: nn.Module, batch: Mapping[str, Tensor], _: Moment) -> dict[str, Tensor]:
    return {"error": (generator(batch["real"]) - 1.0).square().mean()}


def weights(trained: Trainer) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.clone() for name, m in trained.modules.items() for key, value in m.state_dict().items()
    }


# ---- who moves


def test_only_the_modules_of_the_phase_move(tmp_path: Path) -> None:
    seen: list[tuple[str, int, dict[str, bool]]] = []
    modules = {"first": nn.Linear(2, 2), "second": nn.Linear(2, 2), "still": nn.Linear(2, 2)}
    modules["still"].requires_grad_(requires_grad=False)
    before = {name: m.weight.detach().clone() for name, m in modules.items()}

    def terms_of(name: str) -> Any:
        def terms(batch: Mapping[str, Tensor], moment: Moment) -> dict[str, Tensor]:
            changed = {key: not torch.equal(m.weight, before[key]) for key, m in modules.items()}
            seen.append((name, moment.step, changed))
            assert [key for key, m in modules.items() if m.weight.requires_grad] == [name]
            return {"all": sum((m(batch["real"]).square().mean() for m in modules.values()), torch.zeros(()))}

        return terms

    phases = [
        Phase("a", ("first",), terms_of("first"), span=(0.0, 0.5)),
        Phase("b", ("second",), terms_of("second"), span=(0.5, 1.0), interval=2),
    ]
    config = TrainConfig(budget="8 steps", batch_size=4, tensorboard=False)
    Trainer(modules, Game(phases), toys.Ring(), config, tmp_path, quiet=True).run()
    assert [(name, step) for name, step, _ in seen] == [*(("first", n) for n in range(4)), ("second", 4), ("second", 6)]
    assert seen[-1][2] == {"first": True, "second": True, "still": False}
    assert seen[3][2] == {"first": True, "second": False, "still": False}
    assert modules["first"].weight.requires_grad
    assert not modules["still"].weight.requires_grad


def test_repeats_draw_their_own_batches_and_numbers(tmp_path: Path) -> None:
    seen = []

    def terms(generator: nn.Module, batch: Mapping[str, Tensor], moment: Moment) -> dict[str, Tensor]:
        seen.append((moment.repeat, batch["real"].sum().item(), moment.normal("z", 1).item()))
        return fit(generator, batch, moment)

    modules = {"generator": nn.Linear(2, 2)}
    phase = Phase(
        "generator", ("generator",), lambda batch, moment: terms(modules["generator"], batch, moment), repeats=3
    )
    config = TrainConfig(budget="1 steps", batch_size=4, tensorboard=False)
    Trainer(modules, Game([phase]), toys.Ring(), config, tmp_path, quiet=True).run()
    assert [repeat for repeat, _, _ in seen] == [0, 1, 2]
    assert len({total for _, total, _ in seen}) == 3
    assert len({draw for _, _, draw in seen}) == 3


def test_a_term_without_gradient_is_recorded_and_moves_nothing(tmp_path: Path) -> None:
    def with_constant(generator: nn.Module, batch: Mapping[str, Tensor], moment: Moment) -> dict[str, Tensor]:
        return fit(generator, batch, moment) | {"seven": torch.tensor(7.0)}

    plain, watched = one_phase(fit, tmp_path / "plain"), one_phase(with_constant, tmp_path / "watched")
    plain.run()
    watched.run()
    assert all(torch.equal(value, weights(plain)[name]) for name, value in weights(watched).items())
    line = json.loads((tmp_path / "watched" / "stats.jsonl").read_text().splitlines()[-1])
    assert line["generator/seven"] == 7.0
    assert line["watched"] == 18.0


def test_rate_and_beta2_follow_their_schedules_over_the_span(tmp_path: Path) -> None:
    seen = []
    optimizer = OptimizerConfig(
        lr=Schedule(start=1.0, end=0.0, shape="linear"), beta2=Schedule(start=0.9, end=0.99, shape="linear")
    )
    modules = {"generator": nn.Linear(2, 2)}
    trained: list[Trainer] = []

    def terms(batch: Mapping[str, Tensor], moment: Moment) -> dict[str, Tensor]:
        group = trained[0].players.optimizers["late"].param_groups[0]
        seen.append((moment.share, moment.span_share, group["lr"], group["betas"]))
        return fit(modules["generator"], batch, moment)

    game = Game([Phase("late", ("generator",), terms, optimizer, span=(0.5, 1.0))])
    config = TrainConfig(budget="4 steps", batch_size=4, tensorboard=False)
    trained.append(Trainer(modules, game, toys.Ring(), config, tmp_path, quiet=True))
    trained[0].run()
    assert seen == [(0.5, 0.0, 1.0, (0.0, 0.9)), (0.75, 0.5, 0.5, (0.0, pytest.approx(0.945)))]


def test_after_move_clips(tmp_path: Path) -> None:
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {"generator": toys.mlp(2, 2), "discriminator": toys.mlp(2, 1)}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig(objective="wgan", clip=0.01))
    config = TrainConfig(budget="1 steps", batch_size=4, tensorboard=False)
    Trainer(modules, game, toys.Ring(), config, tmp_path, quiet=True).run()
    assert max(p.abs().max().item() for p in modules["discriminator"].parameters()) <= 0.01 + 1e-9
    assert max(p.abs().max().item() for p in modules["generator"].parameters()) > 0.01


# ---- exactness


def test_ten_steps_equal_five_saved_loaded_and_five(tmp_path: Path) -> None:
    straight = toys.trainer(tmp_path / "straight", "20 steps")
    straight.run()
    halves = toys.trainer(tmp_path / "halves", "20 steps", checkpoint_steps=10)
    halves.hooks.append(Hook("stop", lambda snapshot: _interrupt(snapshot, 10), every=0.05))
    with pytest.raises(KeyboardInterrupt):
        halves.run()
    resumed = toys.trainer(tmp_path / "halves", "20 steps")
    assert resumed.store.steps() == [10]
    assert resumed.run() == Finished(20, tmp_path / "halves" / "checkpoints" / "step-00000020")
    assert toys.digest(tmp_path / "halves") == toys.digest(tmp_path / "straight")


def _interrupt(snapshot: Snapshot, after: int) -> None:
    if snapshot.step > after:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "lost", ["ema", "optimizer-autoencoder", "optimizer-generator", "extra", "discriminator", "encoder"]
)
def test_every_part_of_a_checkpoint_matters(tmp_path: Path, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = toys.trainer(tmp_path / "straight", "12 steps", checkpoint_steps=None)
    straight.run()
    broken = toys.trainer(tmp_path / "broken", "12 steps", checkpoint_steps=6 if lost != "optimizer-autoencoder" else 3)
    broken.hooks.append(Hook("stop", lambda snapshot: _interrupt(snapshot, 6), every=1 / 12))
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    resumed = toys.trainer(tmp_path / "broken", "12 steps")
    capture = resumed.players.restore
    if lost == "optimizer-autoencoder":
        # Its phase is over at step 6; go back to where it still moves.
        (tmp_path / "broken" / "checkpoints" / "step-00000006").rename(tmp_path / "gone")

    def forgetful(tensors: Any, numbers: Any, where: str) -> None:
        fresh = toys.trainer(tmp_path / "fresh", "12 steps").players.capture()[0][lost]
        capture({**tensors, lost: fresh}, numbers if lost != "extra" else {"memory": {"count": 0}}, where)

    monkeypatch.setattr(resumed.players, "restore", forgetful)
    resumed.run()
    assert toys.digest(tmp_path / "broken") != toys.digest(tmp_path / "straight")


def test_the_seed_decides_and_worker_processes_do_not(tmp_path: Path) -> None:
    for name, options in (("one", {}), ("again", {"workers": 2}), ("other", {"seed": 1})):
        toys.trainer(tmp_path / name, "6 steps", **options).run()
    tensors = {}
    for name in ("one", "again", "other"):
        found = module.Store(tmp_path / name).load_newest()
        assert found is not None
        tensors[name] = found.tensors["generator"]["0.weight"]
    assert torch.equal(tensors["one"], tensors["again"])
    assert not torch.equal(tensors["one"], tensors["other"])


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    one_phase(fit, tmp_path).run()
    again = one_phase(lambda *_: pytest.fail("trained again"), tmp_path)
    assert again.run().step == 10


def test_hooks_do_not_disturb_training(tmp_path: Path) -> None:
    def meddle(snapshot: Snapshot) -> dict[str, float]:
        assert not snapshot.modules["discriminator"].training
        assert not torch.is_grad_enabled()
        torch.randn(7)
        return {"value": 1.0}

    toys.trainer(tmp_path / "alone", "20 steps").run()
    watched = toys.trainer(tmp_path / "watched", "20 steps")
    watched.hooks.append(Hook("samples", meddle, every=0.1))
    watched.run()
    assert toys.digest(tmp_path / "watched") == toys.digest(tmp_path / "alone")


# ---- refusals


@pytest.mark.parametrize(("key", "value"), [("seed", 5), ("batch_size", 8)])
def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, key: str, value: int) -> None:
    one_phase(fit, tmp_path).run()
    with pytest.raises(CheckpointError, match=f"{key} .* the recipe says {value}"):
        one_phase(fit, tmp_path, **{key: value}).run()


def test_another_game_is_refused(tmp_path: Path) -> None:
    one_phase(fit, tmp_path).run()
    other = toys.trainer(tmp_path, "10 steps", batch_size=4)
    with pytest.raises(CheckpointError, match="expected"):
        other.run()


def test_starting_afresh_never_overwrites(tmp_path: Path) -> None:
    one_phase(fit, tmp_path).run(resume=False)
    with pytest.raises(OutputError, match="holds a run already"):
        one_phase(fit, tmp_path).run(resume=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_term_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path: Path, value: float) -> None:
    def poisoned(generator: nn.Module, batch: Mapping[str, Tensor], moment: Moment) -> dict[str, Tensor]:
        factor = value if moment.step >= 7 else 1.0
        return {"good": generator(batch["real"]).mean(), "bad": factor * generator(batch["real"]).square().mean()}

    with pytest.raises(
        TrainingError, match=rf"phase generator: term bad is {value} at step 12.*step-00000006"
    ) as caught:
        one_phase(poisoned, tmp_path, budget="20 steps", checkpoint_steps=3, rollbacks=0).run()
    assert caught.value.exit_code == 4
    assert module.Store(tmp_path).steps() == [3, 6]


# ---- budgets


def test_examples_are_counted_in_batches(tmp_path: Path) -> None:
    assert one_phase(fit, tmp_path, budget="21 examples").run().step == 6


def test_minutes_become_steps_once(tmp_path: Path) -> None:
    began = time.monotonic()
    first = one_phase(fit, tmp_path, budget="0.02 minutes").run()
    assert time.monotonic() - began < 10.0
    assert first.step > 10
    settled = json.loads((tmp_path / "budget.json").read_text())
    assert settled == {"budget": "0.02 minutes", "n_steps": first.step}


def test_the_rehearsal_of_a_minutes_budget_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "minutes").mkdir()
    rehearsed = toys.trainer(tmp_path / "rehearsed", "0.001 minutes")
    n_steps = rehearsed.run().step
    straight = toys.trainer(tmp_path / "straight", f"{n_steps} steps")
    straight.run()
    assert all(torch.equal(value, weights(straight)[name]) for name, value in weights(rehearsed).items())


def test_a_budget_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a number above 0"):
        TrainConfig(budget="soon")


# ---- hooks, best, disk


def test_hooks_run_at_their_shares_and_at_the_end(tmp_path: Path) -> None:
    seen = []
    hook = Hook("samples", lambda snapshot: seen.append(snapshot.step), every=0.3)
    one_phase(fit, tmp_path, hooks=[hook]).run()
    assert seen == [3, 6, 9, 10]


def test_checkpoints_follow_the_clock(tmp_path: Path) -> None:
    def slow(generator: nn.Module, batch: Mapping[str, Tensor], moment: Moment) -> dict[str, Tensor]:
        time.sleep(0.03)
        return fit(generator, batch, moment)

    trained = one_phase(slow, tmp_path, checkpoint_minutes=0.001, keep=100)
    trained.run()
    assert 2 <= len(trained.store.steps()) <= 10


def test_the_start_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        one_phase(fit, tmp_path).run()
    assert "step 0 of 10, seed 0" in caplog.text
    assert "generator: 6 parameters" in caplog.text
    assert "96 examples" in caplog.text


# ---- learning


def test_a_ring_of_points_is_learnt(tmp_path: Path) -> None:
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {"generator": toys.mlp(2, 2, 48), "discriminator": toys.mlp(2, 1, 48)}
    optimizer = OptimizerConfig(lr=Schedule(start=4e-3, end=4e-4, shape="cosine"), betas=(0.0, 0.9))
    config = LatentGameConfig(r1=Schedule(start=0.2), r2=Schedule(start=0.2))
    game = latent_game(
        modules, z_dim=2, config=config, generator_optimizer=optimizer, discriminator_optimizer=optimizer
    )
    settings = TrainConfig(budget="500 steps", batch_size=32, tensorboard=False)
    trained = Trainer(modules, game, toys.Ring(512), settings, tmp_path, quiet=True)
    trained.run()
    z = torch.randn(512, 2, generator=torch.Generator().manual_seed(1))
    radius = trained.averages["generator"](z).norm(dim=1)
    assert abs(radius.mean().item() - 1.0) < 0.1
    assert radius.std().item() < 0.2


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_move_starts_from_zero_gradients(tmp_path: Path) -> None:
    def slope(generator: nn.Module, *_: object) -> dict[str, Tensor]:
        return {"sum": generator.get_parameter("weight").sum()}

    one_phase(slope, tmp_path, window=1).run()
    lines = [json.loads(text) for text in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert [line["generator/grad_norm"] for line in lines] == [2.0] * 10
