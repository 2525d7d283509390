"""The usual game: every option reaches the terms, with answers worked out by hand."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from audiogan.adversarial.adaptive import AdaptiveConfig
from audiogan.adversarial.augment import AugmentConfig, Transform
from audiogan.adversarial.autogamma import AutoGammaConfig
from audiogan.adversarial.game import Game, Moment
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.objective import OBJECTIVES, Objective
from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.slopes import PENALTY_IMPLS, PenaltyImpl
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.errors import RecipeError
from tests.adversarial import toys

SLOPE = torch.tensor([3.0, 4.0])


def moment(**options: Any) -> Moment:
    return Moment(**({"step": 3, "share": 0.3, "n_seen": 30, "seed": 0, "phase": "generator"} | options))


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
    which: int, batch: dict[str, torch.Tensor], at: Moment, transforms: Sequence[Transform] = (), **options: Any
) -> dict[str, torch.Tensor]:
    modules = {"generator": Shift(), "discriminator": Slope()}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig(**options), transforms=transforms)
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
    always = AugmentConfig(probability=Schedule(start=1.0))
    doubled = terms(0, REAL, moment(), [lambda x, _: 2.0 * x], objective="wgan", r1=2.0, augment=always)
    assert doubled["adversarial"].item() == pytest.approx(2.0 * plain.item(), rel=1e-5)
    # The gradient is taken before the augmentation, which doubles it.
    assert doubled["r1"].item() == pytest.approx(4.0 * 25.0)


# ---- the tools of the craft


@pytest.mark.parametrize("impl", PENALTY_IMPLS)
def test_every_way_to_the_slope_gives_the_penalties(impl: PenaltyImpl) -> None:
    found = terms(0, REAL, moment(step=4), r1=2.0, r2=1.0, penalty_interval=2, penalty_impl=impl)
    # Weight times interval; the estimate is the squared slope along the draw instead of 25.
    along = (moment(step=4).normal("slope", 4, 2) @ SLOPE).square().mean().item()
    wanted = along if impl == "approx" else 25.0
    assert found["r1"].item() == pytest.approx(2 * 0.5 * 2.0 * wanted, rel=1e-3)
    assert found["r2"].item() == pytest.approx(2 * 0.5 * 1.0 * wanted, rel=1e-3)
    assert "r1" not in terms(0, REAL, moment(step=5), r1=2.0, penalty_interval=2, penalty_impl=impl)


def test_func_gives_the_two_sided_penalties() -> None:
    found = terms(0, REAL, moment(), objective="wgan", wgan_gp=10.0, dragan=5.0, penalty_impl="func")
    assert found["wgan_gp"].item() == pytest.approx(160.0, rel=1e-5)
    assert found["dragan"].item() == pytest.approx(80.0, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"penalty_impl": "approx", "dragan": 1.0}, "expected 'exact' or 'func'"),
        ({"auto_gamma": {}}, "an r1 above 0"),
        ({"auto_gamma": {}, "r1": 1.0, "objective": "wgan"}, "another objective"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LatentGameConfig.model_validate(options)


@pytest.mark.parametrize("layer", [nn.Dropout(0.1), nn.BatchNorm1d(2)])
def test_an_estimate_refuses_a_discriminator_that_is_never_twice_the_same(layer: nn.Module) -> None:
    modules = {"generator": Shift(), "discriminator": nn.Sequential(nn.Linear(2, 2), layer, nn.Linear(2, 1))}
    with pytest.raises(RecipeError, match="approx"):
        latent_game(modules, z_dim=2, config=LatentGameConfig(penalty_impl="approx"))


def test_instance_noise_is_of_the_scheduled_strength_on_both_sides() -> None:
    sigma = Schedule(start=0.5, end=0.0, shape="linear")
    at = moment(span_share=0.5)
    plain = terms(0, REAL, at, objective="wgan")["adversarial"].item()
    noisy = terms(0, REAL, at, objective="wgan", instance_noise=sigma)["adversarial"].item()
    # f - r of a linear D moves by sigma times the mean of (noise on fakes - noise on reals) times its slope.
    difference = at.normal("instance-fake", 4, 2) - at.normal("instance-real", 4, 2)
    assert noisy - plain == pytest.approx(0.25 * (difference @ SLOPE).mean().item(), rel=1e-4)
    ended = terms(0, REAL, moment(span_share=1.0), objective="wgan", instance_noise=sigma)["adversarial"].item()
    assert ended == pytest.approx(plain, rel=1e-6)


class Watching(Slope):
    """Discriminator x · w whose inner activation is 2x."""

    def features(self, x: Tensor) -> list[Tensor]:
        return [2.0 * x]


def test_feature_matching_is_for_the_generator_alone() -> None:
    modules = {"generator": Shift(), "discriminator": Watching()}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig(objective="hinge", feature_matching=3.0))
    at = moment()
    found = game.phases[1].terms(REAL, at)["feature_matching"]
    apart = at.normal("z", 4, 2).mean(0) - REAL["real"].mean(0)
    assert found.item() == pytest.approx(3.0 * 4.0 * apart.square().sum().item(), rel=1e-5)
    assert "feature_matching" not in game.phases[0].terms(REAL, at)
    with pytest.raises(AssertionError, match="features"):
        latent_game(
            {"generator": Shift(), "discriminator": Slope()}, z_dim=2, config=LatentGameConfig(feature_matching=1.0)
        )


@pytest.mark.parametrize("n_steps", [1, 3])
def test_unrolled_wasserstein_players_worked_out(n_steps: int) -> None:
    """D = x·w learns w += rate (r - f) in each of k steps, so the loss of G is -f·(w + k rate (r - f))."""
    modules = {"generator": Shift(), "discriminator": Slope()}
    config = LatentGameConfig(objective="wgan", unrolled=n_steps, unrolled_rate=0.5)
    at = moment()
    loss = latent_game(modules, z_dim=2, config=config).phases[1].terms(REAL, at)["adversarial"]
    loss.backward()
    real, fake, reach = REAL["real"].mean(0), at.normal("z", 4, 2).mean(0), 0.5 * n_steps
    assert loss.item() == pytest.approx(-(fake @ (SLOPE + reach * (real - fake))).item(), rel=1e-5)
    slope = modules["generator"].bias.grad
    assert isinstance(slope, Tensor)
    assert torch.allclose(slope, -SLOPE - reach * (real - 2.0 * fake), rtol=1e-4)
    assert modules["discriminator"].weight.grad is None
    assert torch.equal(modules["discriminator"].weight, SLOPE)


class Biased(Slope):
    """Discriminator x · w + b."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return super().forward(x, label) + self.bias


def test_what_is_frozen_stays_so_in_the_steps_ahead() -> None:
    """With w held still only a bias is left to learn, which the Wasserstein loss of D does not move."""
    judge = Biased()
    judge.weight.requires_grad = False
    config = LatentGameConfig(objective="wgan", unrolled=2, unrolled_rate=0.5)
    game = latent_game({"generator": Shift(), "discriminator": judge}, z_dim=2, config=config)
    at = moment()
    loss = game.phases[1].terms(REAL, at)["adversarial"].item()
    assert loss == pytest.approx(-(at.normal("z", 4, 2).mean(0) @ SLOPE).item(), rel=1e-5)


def test_past_fakes_keep_their_labels_and_never_meet_a_pair() -> None:
    """D = x·w + label, fakes are z + label: what the buffer gives back is judged with the label it was made with."""
    modules = {"generator": Shift(), "discriminator": Slope()}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig(objective="wgan", replay=4))
    for step in range(3):
        label = torch.full((4,), 10.0 * step)
        loss = game.phases[0].terms(REAL | {"label": label}, moment(step=step))["adversarial"].item()
        state = game.extras["replay"].state()
        assert ((state["stored"].mean(1) - state["condition-0"]).abs() < 5.0).all()
        made = sum((moment(step=n).normal("z", 4, 2) + 10.0 * n).sum(0) @ SLOPE + 40.0 * n for n in range(step + 1))
        kept = (state["stored"] @ SLOPE + state["condition-0"]).sum()
        if step == 1:  # all that was made is shown now or kept
            real = (REAL["real"] @ SLOPE + label).mean()
            assert loss == pytest.approx(((made - kept) / 4 - real).item(), rel=1e-4)
    with pytest.raises(AssertionError, match="other conditions"):
        terms(0, REAL | {"label": torch.zeros(4)}, moment(), replay=4)


def test_past_fakes_come_back() -> None:
    """What D is shown is what was made, less what the buffer keeps."""
    modules = {"generator": Shift(), "discriminator": Slope()}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig(objective="wgan", replay=4))
    first, second = moment(step=0), moment(step=1)
    game.phases[0].terms(REAL, first)
    loss = game.phases[0].terms(REAL, second)["adversarial"].item()
    made, kept = torch.cat([at.normal("z", 4, 2) for at in (first, second)]), game.extras["replay"].state()["stored"]
    assert not torch.equal(kept, made[:4])
    shown = (made.sum(0) - kept.sum(0)) / 4
    assert loss == pytest.approx(((shown - REAL["real"].mean(0)) @ SLOPE).item(), rel=1e-4)


def test_the_gamma_found_multiplies_both_penalties() -> None:
    config = LatentGameConfig(r1=Schedule(start=2.0), r2=Schedule(start=1.0), auto_gamma=AutoGammaConfig(step=2))
    game = latent_game({"generator": Shift(), "discriminator": Slope()}, z_dim=2, config=config)
    found = [dict(game.phases[0].terms(REAL, moment(step=step))) for step in range(3)]
    assert [each["r1"].item() for each in found[:2]] == pytest.approx([25.0, 25.0])
    factor = 0.15 * found[1]["adversarial"].item() / 37.5
    assert found[2]["r1"].item() == pytest.approx(25.0 * factor, rel=1e-5)
    assert found[2]["r2"].item() == pytest.approx(12.5 * factor, rel=1e-5)
    assert game.watch is not None
    assert game.watch(moment())["gamma"] == pytest.approx(2.0 * factor)


def test_adaptive_augmentation_is_shown_the_logits() -> None:
    augment = AugmentConfig(adaptive=AdaptiveConfig(interval=1, ramp=40.0))
    config = LatentGameConfig(objective="nonsaturating", augment=augment)
    modules = {"generator": Shift(), "discriminator": Slope()}
    game = latent_game(modules, z_dim=2, config=config, transforms=[lambda x, _: x + 1.0])
    reals = {"real": torch.ones(4, 2)}  # logits 7, all known
    for step in range(2):
        game.phases[0].terms(reals, moment(step=step))
    assert game.watch is not None
    assert game.watch(moment())["augment"] == pytest.approx(2 * 4 / 40.0)


# ---- through the trainer


def everything() -> tuple[dict[str, nn.Module], Game]:
    """A game with every option that has memory, draws or buffers of its own."""
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {"generator": toys.mlp(2, 2), "discriminator": toys.mlp(2, 1)}
    config = LatentGameConfig(
        r1=Schedule(start=0.2),
        r2=Schedule(start=0.2),
        penalty_impl="func",
        auto_gamma=AutoGammaConfig(step=4, window=3),
        instance_noise=Schedule(start=0.1),
        replay=10,
        unrolled=1,
        spectral=True,
        augment=AugmentConfig(adaptive=AdaptiveConfig(start=0.3, interval=2, ramp=200.0)),
    )
    return modules, latent_game(modules, z_dim=2, config=config, transforms=[lambda x, draws: x + 0.1 * draws[:, :2]])


def run(folder: Path, steps: int, budget: int = 10) -> dict[str, dict[str, Tensor]]:
    """Train in one go or, with fewer steps than the budget, until stopped there and then to the end by another."""
    config = TrainConfig(budget=f"{budget} steps", batch_size=4, tensorboard=False, checkpoint_steps=steps, keep=9)
    trained = Trainer(*everything(), toys.Ring(), config, folder, quiet=True)
    trained.run()
    return trained.players.capture()[0]


def test_every_memory_survives_a_restart_bit_for_bit(tmp_path: Path) -> None:
    straight = run(tmp_path / "a", 5)
    for newest in (tmp_path / "a" / "checkpoints").glob("step-*10"):
        for file in newest.iterdir():
            file.unlink()
        newest.rmdir()
    resumed = run(tmp_path / "a", 5)
    assert {"replay.stored", "adaptive.probability", "auto_gamma.sums"} <= straight["extra"].keys()
    assert any("_u" in name for name in straight["discriminator"])
    for file, tensors in straight.items():
        assert all(torch.equal(value, resumed[file][name]) for name, value in tensors.items()), file


def test_frozen_blocks_stand_still_and_the_rest_moves(tmp_path: Path) -> None:
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {"generator": toys.mlp(2, 2), "discriminator": toys.mlp(2, 1)}
    before = {name: value.clone() for name, value in modules["discriminator"].state_dict().items()}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig(r1=Schedule(start=0.2), unrolled=1, freeze=1))
    config = TrainConfig(budget="3 steps", batch_size=4, tensorboard=False)
    Trainer(modules, game, toys.Ring(), config, tmp_path, quiet=True).run()
    after = modules["discriminator"].state_dict()
    moved = {name.partition(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"2", "5"}


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
