"""A discriminator through a frozen network: what stands still, what is mixed, what learns, and its slopes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from audiogan.adversarial.craft import CraftConfig
from audiogan.adversarial.duel import Contest, Duel
from audiogan.adversarial.game import Moment
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.projected import (
    Frozen,
    Heads,
    ProjectedConfig,
    ProjectedDiscriminator,
    Projection,
    grown,
)
from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.slopes import exact_slope, func_slope
from audiogan.adversarial.spectral import normalise_spectrally
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.errors import RecipeError
from tests.adversarial import toys

NONE = Schedule(start=0.0)
SMALL = ProjectedConfig(width=8)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Layers(nn.Module):
    """Points → two hidden layers, with dropout between them that must never act."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.drop = nn.Linear(2, 6), nn.Linear(6, 5), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> list[Tensor]:
        first = torch.tanh(self.first(x))
        return [first, torch.tanh(self.second(self.drop(first)))]


def layers() -> Layers:
    with seeded(0, "layers"):
        return Layers()


def judge(**options: Any) -> ProjectedDiscriminator:
    config = ProjectedConfig.model_validate({"width": 8} | options)
    with seeded(0, "judge"):
        return ProjectedDiscriminator(layers(), drawn(32, 2), config)


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ---- what stands still


def test_a_frozen_network_has_no_parameters_and_stays_as_in_evaluation() -> None:
    before = layers().state_dict()
    frozen = Frozen(layers())
    assert not list(frozen.parameters())
    assert {name.removeprefix("network."): value.shape for name, value in frozen.state_dict().items()} == {
        name: value.shape for name, value in before.items()
    }
    x = drawn(5, 2).requires_grad_()
    first, second = frozen.train()(x)
    assert torch.equal(second, frozen(x)[1]), "dropout does not act"
    (gradient,) = torch.autograd.grad(first.sum() + second.sum(), x)
    assert (gradient != 0).all(), "gradients pass through to the example"
    assert not any(value.requires_grad for value in frozen.buffers())


def test_neither_clipping_nor_normalisation_touches_what_stands_still() -> None:
    found = judge()
    before = {name: value.clone() for name, value in found.named_buffers()}
    normalise_spectrally(found)
    duel = Duel(CraftConfig(clip=0.01), judge())
    phase = duel.phase(lambda *_: {}, toys_optimizer())
    assert phase.after_move is not None
    phase.after_move()
    for after in (found, duel.judge):
        kept = dict(after.named_buffers())
        assert all(torch.equal(value, kept[name]) for name, value in before.items())
    assert max(value.abs().max().item() for value in duel.judge.parameters()) <= 0.010001


def toys_optimizer() -> Any:
    from audiogan.adversarial.game import OptimizerConfig

    return OptimizerConfig()


# ---- projections


def test_projections_depend_on_their_seed_and_nothing_else() -> None:
    maps = [drawn(4, 3, 8), drawn(4, 5, 4)]
    one, same, other = (Projection(maps, "scales", seed).state_dict() for seed in (0, 0, 1))
    assert one.keys() == {"gain_0", "gain_1", "channels_0", "channels_1", "scales_0"}
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["scales_0"], other["scales_0"])
    assert not torch.equal(one["channels_1"], other["channels_1"])
    assert not list(Projection(maps, "scales", 0).parameters())


@pytest.mark.parametrize("mixing", ["channels", "scales"])
def test_scales_are_mixed_from_coarse_to_fine(mixing: Any) -> None:
    maps = [drawn(4, 3, 8), drawn(4, 5, 4, seed=1), drawn(4, 6, seed=2)]
    projection = Projection(maps, mixing, 0)
    before = projection(maps)
    assert [tuple(found.shape) for found in before] == [(4, 3, 8), (4, 5, 4), (4, 6, 1)]
    for changed in range(3):
        others = [found + (number == changed) for number, found in enumerate(maps)]
        moved = [not torch.allclose(*pair) for pair in zip(projection(others), before, strict=True)]
        wanted = [scale == changed or (mixing == "scales" and scale < changed) for scale in range(3)]
        assert moved == wanted


def test_maps_come_to_size_one_whatever_their_own() -> None:
    maps = [100.0 * drawn(16, 64, 8), 0.01 * drawn(16, 64, 4, seed=1)]
    for mixing in ("channels", "scales"):
        for found in Projection(maps, mixing, 0)(maps):
            assert found.square().mean().sqrt().item() == pytest.approx(1.0, rel=0.2)


def test_one_position_is_repeated_and_more_lie_on_a_line() -> None:
    assert grown(torch.tensor([[[3.0]]]), [4]).tolist() == [[[3.0] * 4]]
    assert grown(torch.tensor([[[0.0, 4.0]]]), [4]).tolist() == [[[0.0, 1.0, 3.0, 4.0]]]
    assert grown(drawn(2, 3, 2, 2), [4, 3]).shape == (2, 3, 4, 3)


# ---- heads


@pytest.mark.parametrize(
    "shapes", [[(6,), (5,)], [(3, 37), (4, 19), (5, 10)], [(3, 16, 12), (4, 8, 6), (5, 4, 3)], [(3, 16), (4, 8), (7,)]]
)
def test_every_scale_gets_a_logit_that_learns(shapes: list[tuple[int, ...]]) -> None:
    maps = [drawn(4, *shape, seed=number) for number, shape in enumerate(shapes)]
    heads = Heads(maps, SMALL, n_condition=2)
    seen = heads(maps, drawn(4, 2, seed=9))
    assert seen.logits.shape == (4, len(shapes))
    assert [tuple(found.shape) for found in seen.features] == [(4, 8)] * len(shapes)
    seen.logits.sum().backward()
    assert all(value.grad is not None and bool((value.grad != 0).any()) for value in heads.parameters())


def test_a_logit_is_of_its_own_example_and_condition() -> None:
    maps, condition = [drawn(4, 3, 16), drawn(4, 4, 8, seed=1)], drawn(4, 2, seed=2)
    heads = Heads(maps, SMALL, n_condition=2)
    before = heads(maps, condition).logits
    torch.testing.assert_close(heads([found[2:] for found in maps], condition[2:]).logits, before[2:])
    told = condition.clone()
    told[1] += 1.0
    moved = (heads(maps, told).logits - before).abs().amax(dim=1) > 1e-5
    assert moved.tolist() == [False, True, False, False]


# ---- slopes and terms


def test_the_penalty_is_half_gamma_times_the_squared_slope_of_the_sum_of_all_logits() -> None:
    """By differences, in double precision."""
    found, x = judge().double(), drawn(6, 2).double()
    duel = Duel(CraftConfig(objective="hinge"), found)
    at = Moment(step=4, share=0.3, n_seen=0, phase="discriminator")
    terms, _ = duel.discriminator(Contest(x, drawn(6, 2, seed=1).double()), at, Schedule(start=3.0), NONE)
    step, slopes = 1e-5, []
    for axis in torch.eye(2).double():
        up, down = (found(x + sign * step * axis).logits.sum(dim=1) for sign in (1.0, -1.0))
        slopes.append((up - down) / (2.0 * step))
    wanted = 1.5 * torch.stack(slopes).square().sum(dim=0).mean()
    assert terms["r1"].item() == pytest.approx(wanted.item(), rel=1e-4)


def test_all_ways_to_the_slope_agree() -> None:
    found, x = judge(), drawn(6, 2)
    exact, func = exact_slope(found, x)[1], func_slope(found, x)[1]
    torch.testing.assert_close(func, exact, rtol=1e-4, atol=1e-6)
    duel = Duel(CraftConfig(penalty_impl="func"), found)
    duel.tested(found, x)
    assert duel.tested.error is not None
    assert duel.tested.error < 1e-3
    estimate = Duel(CraftConfig(penalty_impl="approx"), found)
    found_by = []
    for step in range(400):
        way = estimate.slope(Moment(step=step, share=0.0, n_seen=0))
        assert way is not None
        found_by.append(way(found, x)[1].mean().item())
    assert sum(found_by) / 400 == pytest.approx(exact.mean().item(), rel=0.15)


EVERYTHING = {
    "objective": "hinge",
    "r1": 0.1,
    "r2": 0.1,
    "penalty_impl": "func",
    "spectral": True,
    "unrolled": 1,
    "feature_matching": 0.5,
    "instance_noise": 0.1,
    "replay": 6,
    "projected": {"width": 8},
}


def trained(options: dict[str, Any], folder: Path, steps: int, seed: int = 0, *, resume: bool = False) -> Trainer:
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {"generator": nn.Linear(2, 2), "discriminator": judge(seed=seed)}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig.model_validate(options))
    config = TrainConfig(budget="4 steps", batch_size=4, tensorboard=False, checkpoint_steps=1)
    trainer = Trainer(modules, game, toys.Ring(), config, folder, quiet=True)
    step = trainer.step

    def limited(number: int, batches: Any) -> None:
        if number == steps:
            raise KeyboardInterrupt
        step(number, batches)

    trainer.step = limited  # type: ignore[method-assign]
    try:
        trainer.run(resume=resume)
    except KeyboardInterrupt:
        assert steps < 4
    return trainer


def test_only_heads_learn_and_a_resumed_run_has_the_same_projections(tmp_path: Path) -> None:
    before = judge().state_dict()
    straight = trained(EVERYTHING, tmp_path / "a", 4).players.capture()[0]
    moved = {name.partition(".")[0] for name, value in before.items() if name in straight["discriminator"]}
    assert moved == {"frozen", "heads"}
    still = {name: value for name, value in before.items() if name.startswith(("frozen", "heads.projection"))}
    assert all(torch.equal(value, straight["discriminator"][name]) for name, value in still.items())
    bias = "heads.heads.0.layers.0.bias"
    assert not torch.equal(before[bias], straight["discriminator"][bias])
    assert not any("frozen" in name for name in straight["optimizer-discriminator"])
    trained(EVERYTHING, tmp_path / "b", 2)
    again = trained(EVERYTHING, tmp_path / "b", 4, seed=5, resume=True).players.capture()[0]
    for stem, tensors in again.items():
        assert all(torch.equal(value, straight[stem][key]) for key, value in tensors.items()), stem


# ---- what does not go together


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ValidationError, match="projected and freeze: heads on a frozen network are new"):
        CraftConfig.model_validate({"projected": {}, "freeze": 1})
    modules = {"generator": nn.Linear(2, 2), "discriminator": nn.Linear(2, 1)}
    with pytest.raises(RecipeError, match="expected a ProjectedDiscriminator"):
        latent_game(modules, z_dim=2, config=LatentGameConfig(projected=SMALL))
