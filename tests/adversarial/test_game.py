"""Phases, moments, bursts and the latent game."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from audiogan.adversarial.augment import Augment, AugmentConfig
from audiogan.adversarial.game import Game, LatentGameConfig, Moment, OptimizerConfig, Phase, Repeats, latent_game
from audiogan.adversarial.objective import OBJECTIVES, Objective
from audiogan.adversarial.schedule import Schedule


def phase(**options: Any) -> Phase:
    return Phase(**({"name": "p", "modules": ("m",), "terms": lambda batch, moment: {}} | options))


def moment(**options: Any) -> Moment:
    return Moment(**({"step": 3, "share": 0.3, "n_seen": 30, "seed": 0, "phase": "generator"} | options))


# ---- moments


def test_draws_depend_on_seed_stream_phase_repeat_and_step_and_on_nothing_else() -> None:
    first = moment().normal("z", 2, 3)
    assert torch.equal(first, moment(share=0.9, n_seen=1, span_share=0.5).normal("z", 2, 3))
    others = [moment(seed=1), moment(phase="d"), moment(repeat=1), moment(step=4)]
    assert not any(torch.equal(first, other.normal("z", 2, 3)) for other in others)
    assert not torch.equal(first, moment().normal("label", 2, 3))


def test_draws_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    moment().uniform("z", 4)
    assert torch.equal(before, torch.get_rng_state())


def test_processes_draw_the_rows_of_one_global_draw() -> None:
    whole = moment().normal("z", 6, 2)
    assert torch.equal(moment(rank=1, world=3).normal("z", 2, 2), whole[1::3])
    assert torch.equal(moment(rank=0, world=2).uniform("u", 3), moment().uniform("u", 6)[::2])


# ---- phases


def test_a_phase_moves_in_its_span_at_its_interval() -> None:
    lazy = phase(interval=4, repeats=2, span=(0.25, 0.75))
    assert [step for step in range(20) if lazy.moves(step, step / 20)] == [8, 12]
    assert lazy.moves(8, 0.4) == 2
    assert [lazy.span_share(share) for share in (0.0, 0.25, 0.5, 0.9)] == [0.0, 0.0, 0.5, 1.0]


def test_bursts() -> None:
    repeats = Repeats(usual=5, burst=100, burst_steps=2, burst_every=500)
    assert [repeats.at(step) for step in (0, 1, 2, 499, 500, 501)] == [100, 100, 5, 5, 100, 5]
    assert phase(repeats=repeats).most_repeats == 100


@pytest.mark.parametrize("options", [{"modules": ()}, {"interval": 0}, {"span": (0.5, 0.5)}, {"span": (0.0, 1.5)}])
def test_a_phase_that_cannot_move_is_a_bug(options: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        phase(**options)


def test_games_know_their_moves_and_boundaries() -> None:
    game = Game(
        [phase(name="a", span=(0.0, 0.4)), phase(name="b", repeats=2, span=(0.4, 1.0)), phase(name="c", interval=2)]
    )
    assert game.boundaries() == [0.0, 0.4, 1.0]
    assert [(each.name, repeat) for each, repeat in game.moves(1, 0.5)] == [("b", 0), ("b", 1)]
    assert [(each.name, repeat) for each, repeat in game.moves(2, 0.1)] == [("a", 0), ("c", 0)]
    with pytest.raises(AssertionError, match="repeat"):
        Game([phase(), phase()])


def test_optimizer_config_takes_what_a_recipe_holds() -> None:
    config = OptimizerConfig.model_validate({"lr": 0.0001, "betas": [0, 0.99]})
    assert config.betas == (0.0, 0.99)
    assert all(type(beta) is float for beta in config.betas)
    assert config.lr.at(0.5) == 0.0001


@pytest.mark.parametrize("value", [{"betas": [0.0, 1.0]}, {"betas": [0.9]}, {"lr": -1.0}, {"eps": 0}, {"momentum": 1}])
def test_optimizer_config_refuses_nonsense(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OptimizerConfig.model_validate(value)


# ---- the latent game


class Shift(nn.Module):
    """Generator z + bias."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, z: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        return z + self.bias + (0.0 if label is None else label[:, None])


class Slope(nn.Module):
    """Discriminator x · w."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([3.0, 4.0]))

    def forward(self, x: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        return x @ self.weight + (0.0 if label is None else label)


def terms(
    which: int, batch: dict[str, torch.Tensor], at: Moment, augment: Augment | None = None, **options: Any
) -> dict[str, torch.Tensor]:
    modules = {"generator": Shift(), "discriminator": Slope()}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig(**options), augment=augment)
    return dict(game.phases[which].terms(batch, at))


REAL = {"real": torch.randn(4, 2, generator=torch.Generator().manual_seed(0))}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_gives_both_players_a_loss(objective: Objective) -> None:
    for which in (0, 1):
        loss = terms(which, REAL, moment(), objective=objective)["adversarial"]
        assert loss.requires_grad
        assert torch.isfinite(loss)


def test_penalties_come_from_the_config() -> None:
    found = terms(0, REAL, moment(step=4), objective="wgan", r1=2.0, r2=1.0, wgan_gp=10.0, dragan=5.0, drift=0.001)
    assert found["r1"].item() == pytest.approx(25.0)
    assert found["r2"].item() == pytest.approx(12.5)
    assert found["wgan_gp"].item() == pytest.approx(160.0, rel=1e-5)
    assert found["dragan"].item() == pytest.approx(80.0, rel=1e-5)
    assert found["drift"].item() == pytest.approx(
        0.001 * (REAL["real"] @ torch.tensor([3.0, 4.0])).square().mean().item()
    )
    assert not found["pair_sign"].requires_grad


def test_a_lazy_penalty_weighs_more_on_its_steps() -> None:
    due = terms(0, REAL, moment(step=4), r1=2.0, wgan_gp=1.0, penalty_interval=4)
    assert due["r1"].item() == pytest.approx(4 * 25.0)
    assert due["wgan_gp"].item() == pytest.approx(4 * 16.0, rel=1e-5)
    assert terms(0, REAL, moment(step=5), r1=2.0, wgan_gp=1.0, penalty_interval=4).keys() == {
        "adversarial",
        "pair_sign",
    }


def test_gamma_follows_its_schedule() -> None:
    gamma = Schedule(start=2.0, end=0.2, shape="linear")
    assert terms(0, REAL, moment(span_share=0.5), r1=gamma)["r1"].item() == pytest.approx(0.5 * 1.1 * 25.0)


def test_labels_reach_both_players() -> None:
    label = torch.tensor([0.0, 1.0, 2.0, 3.0])
    at = moment()
    fake = at.normal("z", 4, 2) + label[:, None]
    expected = -(fake @ torch.tensor([3.0, 4.0]) + label).mean()
    assert terms(1, REAL | {"label": label}, at, objective="wgan")["adversarial"].item() == pytest.approx(
        expected.item()
    )


def test_instance_noise_and_augmentation_act_before_the_discriminator() -> None:
    plain = terms(0, REAL, moment(), objective="wgan")["adversarial"]
    noisy = terms(0, REAL, moment(), objective="wgan", instance_noise=0.5)["adversarial"]
    assert plain.item() != noisy.item()
    augment = Augment(AugmentConfig(probability=Schedule(start=1.0)), [lambda x, _: 2.0 * x])
    doubled = terms(0, REAL, moment(), augment, objective="wgan", r1=2.0)
    assert doubled["adversarial"].item() == pytest.approx(2.0 * plain.item(), rel=1e-5)
    # The gradient is taken before the augmentation, which doubles it.
    assert doubled["r1"].item() == pytest.approx(4.0 * 25.0)


# ---- augmentation


def test_augmentation_touches_the_scheduled_part_of_the_batch() -> None:
    config = AugmentConfig(probability=Schedule(start=0.0, end=0.5, shape="linear"))
    augment = Augment(config, [lambda x, _: x + 1.0, lambda x, _: x + 10.0])
    zeros = torch.zeros(4000, 1)
    assert augment(zeros, moment(share=0.0)) is zeros
    changed = augment(zeros, moment(share=1.0))
    assert set(changed.unique().tolist()) == {0.0, 1.0, 10.0, 11.0}
    assert (changed % 2 == 1).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(changed, augment(zeros, moment(share=1.0)))
    assert not torch.equal(changed, augment(zeros, moment(share=1.0), "fake"))


def test_transforms_get_draws_of_their_own() -> None:
    seen = []

    def note(x: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        seen.append(draws)
        return x

    Augment(AugmentConfig(probability=Schedule(start=1.0)), [note, note], n_draws=3)(torch.zeros(5, 2), moment())
    assert [draws.shape for draws in seen] == [(5, 3), (5, 3)]
    assert not torch.equal(*seen)


def test_a_probability_above_one_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"expected values in \[0, 1\]"):
        AugmentConfig(probability=Schedule(start=1.5))
