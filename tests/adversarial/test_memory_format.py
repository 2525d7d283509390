"""Layouts of image weights: chosen by time, kept by a run, and unknown to checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from audiogan.adversarial import memory_format
from audiogan.adversarial.checkpoint import Store
from audiogan.adversarial.game import Batch, Moment, OptimizerConfig, Phase, Terms
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.memory_format import fastest, has_images, lay_out
from audiogan.adversarial.runtime import Runtime, RuntimeConfig, seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.adversarial.tuning import Tuning
from tests.adversarial.toys import NO_SCORE, plain_trainer


class Pictures:
    """Pictures `(1, 6, 5)` of one colour each."""

    def __len__(self) -> int:
        return 8

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        return {"real": torch.tensor(indices).view(-1, 1, 1, 1).expand(-1, 1, 6, 5) / 8.0}


def networks() -> dict[str, nn.Module]:
    with seeded(0, "modules"):
        grow = [nn.Linear(2, 90), nn.Unflatten(1, (3, 6, 5)), nn.Conv2d(3, 4, 3, padding=1), nn.LeakyReLU()]
        shrink = [nn.Conv2d(1, 4, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(36, 1)]
        return {
            "generator": nn.Sequential(*grow, nn.Conv2d(4, 1, 3, padding=1)),
            "discriminator": nn.Sequential(*shrink),
        }


def trainer(folder: Path, wanted: str = "channels_last", n_steps: int = 6) -> Trainer:
    modules = networks()
    gamma, rate = Schedule(start=0.5), OptimizerConfig(lr=Schedule(start=0.01))
    config = LatentGameConfig(r1=gamma, r2=gamma)
    game = latent_game(modules, z_dim=2, config=config, generator_optimizer=rate, discriminator_optimizer=rate)
    settings = {"batch_size": 4, "checkpoint_steps": 3, "tensorboard": False, "score": NO_SCORE}
    runtime = Runtime(RuntimeConfig.model_validate({"device": "cpu", "memory_format": wanted}))
    train = TrainConfig.model_validate({"budget": f"{n_steps} steps"} | settings)
    return Trainer(modules, game, Pictures(), train, folder, runtime=runtime, quiet=True)


def images(module: nn.Module) -> list[Tensor]:
    return [weight for weight in module.parameters() if weight.dim() == 4 and weight.shape[1] > 1]


def is_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()


def newest(folder: Path) -> dict[str, dict[str, Tensor]]:
    found = Store(folder).load_newest()
    assert found is not None
    return {stem: dict(tensors) for stem, tensors in found.tensors.items()}


def test_weights_optimisers_and_averages_take_the_layout_and_checkpoints_do_not(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.run()
    weights = [*images(run.modules["generator"]), *images(run.modules["discriminator"])]
    states = [optimizer.state for optimizer in run.players.optimizers.values()]
    moments = [state[weight]["exp_avg"] for state in states for weight in state if weight in set(weights)]
    copies = images(run.averages["generator"])
    assert len(weights) == len(moments) == 3
    assert all(is_last(each) for each in (*weights, *moments, *copies))
    found = Store(tmp_path).load_newest()
    assert found is not None
    assert found.state["pins"]["memory_format"] == "channels_last"
    assert all(tensor.is_contiguous() for own in found.tensors.values() for tensor in own.values())


def test_a_run_with_the_other_layout_is_the_same_but_for_rounding_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    trainer(tmp_path / "plain", "contiguous").run()
    trainer(tmp_path / "whole").run()
    (tmp_path / "resumed" / "checkpoints").mkdir(parents=True)
    Store(tmp_path / "resumed").path(3).symlink_to(Store(tmp_path / "whole").path(3))
    resumed = trainer(tmp_path / "resumed")
    resumed.run()
    assert all(is_last(each) for each in images(resumed.modules["discriminator"]))
    plain, one, two = (newest(tmp_path / name) for name in ("plain", "whole", "resumed"))
    begun = networks()["generator"].state_dict()
    assert not torch.allclose(one["ema"]["generator.2.weight"], begun["2.weight"], atol=1e-3), "averages stood still"
    for stem, tensors in one.items():
        for name, tensor in tensors.items():
            assert torch.equal(tensor, two[stem][name]), f"{stem} {name}"
            assert torch.allclose(tensor, plain[stem][name], atol=1e-4), f"{stem} {name}"


@pytest.mark.parametrize("quick", ["contiguous", "channels_last"])
def test_the_faster_layout_is_taken_and_nothing_has_moved(
    quick: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(tmp_path, "contiguous")
    before = {name: value.clone() for name, value in run.modules["discriminator"].state_dict().items()}
    asked: list[str] = []

    def seconds(phase: Phase, move: object) -> float:
        asked.append(phase.name)
        last = is_last(images(run.modules["discriminator"])[0])
        return 1.0 if last == (quick == "channels_last") else 2.0

    monkeypatch.setattr(memory_format, "_seconds", seconds)
    tuning = Tuning("off", "auto", free=True)
    tuning.settle(run.players, lambda phase: True, lambda own: own, {})
    assert asked == ["discriminator", "generator"] * 2
    assert tuning.memory_format == quick
    assert is_last(images(run.modules["generator"])[0]) == (quick == "channels_last")
    for name, value in run.modules["discriminator"].state_dict().items():
        assert torch.equal(value, before[name])
    again = Tuning("off", "auto", free=True)
    again.settle(run.players, lambda phase: True, lambda own: own, {"device": "cuda"} | tuning.pins())
    assert again.memory_format == quick, "a resumed run keeps what it began with"
    assert len(asked) == 4


def test_processes_agree_on_the_layout_by_the_slowest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(tmp_path, "contiguous")
    monkeypatch.setattr(memory_format, "_seconds", lambda phase, move: 1.0)
    assert fastest(run.players, lambda phase: True, lambda own: [9.0, 8.0]) == "channels_last"
    assert fastest(run.players, lambda phase: True, lambda own: [8.0, 9.0]) == "contiguous"


def test_moves_are_really_made_while_timing_and_leave_no_trace(tmp_path: Path) -> None:
    run = trainer(tmp_path, "contiguous")
    run.runtime.tuning = Tuning("off", "auto", free=True)
    before = {name: value.clone() for name, value in run.modules["generator"].state_dict().items()}
    moved: list[str] = []
    usual = run.runtime.backward

    def counted(*given: object) -> object:
        moved.append(given[2].phase)  # type: ignore[attr-defined]
        return usual(*given)  # type: ignore[arg-type]

    run.runtime.backward = counted  # type: ignore[method-assign,assignment]
    run.runtime.settle(run.players, Pictures(), 4, {})
    each = memory_format.WARMING_MOVES + memory_format.TIMED_MOVES
    assert {name: moved.count(name) for name in set(moved)} == {"discriminator": 2 * each, "generator": 2 * each}
    for name, value in run.modules["generator"].state_dict().items():
        assert torch.equal(value, before[name])
    assert all(weight.requires_grad and weight.grad is None for weight in run.players.everyone)


@pytest.mark.parametrize("full", ["contiguous", "channels_last"])
def test_a_layout_that_memory_does_not_suffice_for_is_not_the_faster_one(full: str, tmp_path: Path) -> None:
    run = trainer(tmp_path, "contiguous")
    run.runtime.tuning = Tuning("off", "auto", free=True)

    def failing(phase: Phase) -> Phase:
        def terms(batch: Batch, moment: Moment) -> Terms:
            if is_last(images(run.modules["discriminator"])[0]) == (full == "channels_last"):
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return phase.terms(batch, moment)

        return replace(phase, terms=terms)

    run.game = run.players.game = replace(run.game, phases=[*map(failing, run.game.phases)])
    run.runtime.settle(run.players, Pictures(), 4, {})
    assert run.runtime.tuning.memory_format != full
    assert run.runtime.portions.failed == "", "nothing has failed in the run itself"


def test_networks_without_images_have_no_layout(tmp_path: Path) -> None:
    run = plain_trainer(tmp_path)
    assert not has_images(run.players)
    tuning = Tuning("off", "channels_last", free=False)
    tuning.settle(run.players, lambda phase: True, lambda own: own, {})
    assert tuning.pins() == {}


def test_a_layout_changes_no_value_and_no_parameter_object(tmp_path: Path) -> None:
    run = trainer(tmp_path, "contiguous")
    before = {weight: weight.detach().clone() for weight in run.modules["discriminator"].parameters()}
    lay_out(run.players, "channels_last")
    assert all(torch.equal(weight, before[weight]) for weight in run.modules["discriminator"].parameters())


def test_nothing_is_timed_on_a_cpu_or_where_runs_repeat_exactly() -> None:
    tuning = Runtime(RuntimeConfig(device="cpu")).tuning
    assert not tuning.times_formats
    assert tuning.memory_format == "contiguous"
