"""What every game shares: who is shown what, what goes together, what is made ready before."""

from typing import Any, NamedTuple

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from audiogan.adversarial.augment import AugmentConfig
from audiogan.adversarial.craft import CraftConfig
from audiogan.adversarial.duel import Contest, Duel, activations, is_steady, process_mean, ready
from audiogan.adversarial.freeze import children_of
from audiogan.adversarial.game import Moment
from audiogan.adversarial.schedule import Schedule
from audiogan.errors import RecipeError

NONE = Schedule(start=0.0)


def moment(**options: Any) -> Moment:
    return Moment(**({"step": 4, "share": 0.3, "n_seen": 30, "seed": 0, "phase": "discriminator"} | options))


class Verdict(NamedTuple):
    logits: Tensor
    heads: tuple[Tensor, ...]


class Judge(nn.Module):
    """x · w + condition, with a head beside the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([3.0, 4.0]))

    def forward(self, x: Tensor, told: Tensor) -> Verdict:
        return Verdict(x @ self.weight + told, (2.0 * x,))


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


CONTEST = Contest(drawn(0, 4, 2), drawn(1, 4, 2), (torch.tensor([0.0, 1.0, 2.0, 3.0]),))


@pytest.mark.parametrize("impl", ["exact", "func", "approx"])
def test_a_verdict_may_hold_more_than_logits(impl: str) -> None:
    config = CraftConfig.model_validate({"penalty_impl": impl, "objective": "wgan"})
    terms, on_real = Duel(config, Judge()).discriminator(CONTEST, moment(), Schedule(start=2.0), NONE)
    torch.testing.assert_close(on_real.heads[0], 2.0 * CONTEST.real)
    along = (moment().normal("slope", 4, 2) @ torch.tensor([3.0, 4.0])).square().mean().item()
    assert terms["r1"].item() == pytest.approx(along if impl == "approx" else 25.0, rel=1e-3)
    difference = (CONTEST.fake - CONTEST.real).mean(0) @ torch.tensor([3.0, 4.0])
    assert terms["adversarial"].item() == pytest.approx(difference.item(), rel=1e-4)


def test_both_sides_are_changed_alike_only_where_the_game_says_so() -> None:
    config = CraftConfig(augment=AugmentConfig(probability=Schedule(start=0.5)))
    many = torch.zeros(200, 2)
    for alike in (False, True):
        duel = Duel(config, Judge(), transforms=[lambda x, _: x + 1.0], alike=alike)
        shown = [duel.shown(many, moment(), side) for side in ("real", "fake")]
        assert 50 < shown[0].sum() / 2 < 150
        assert torch.equal(*shown) == alike


def test_instance_noise_differs_on_both_sides_of_a_pair() -> None:
    duel = Duel(CraftConfig(instance_noise=Schedule(start=0.5)), Judge(), alike=True)
    real, fake = (duel.shown(torch.zeros(4000, 2), moment(), side) for side in ("real", "fake"))
    assert real.std().item() == pytest.approx(0.5, rel=0.03)
    assert (real * fake).mean().item() == pytest.approx(0.0, abs=0.02)


def test_a_generator_asks_for_the_verdict_on_reals_only_where_it_is_needed() -> None:
    for objective, wants, found in (("hinge", False, False), ("hinge", True, True), ("rpgan", False, True)):
        duel = Duel(CraftConfig(objective=objective), Judge())
        assert (duel.generator(CONTEST, moment(), wants_real=wants)[1] is not None) == found


def test_the_gap_of_a_penalty_is_filled_by_its_weight() -> None:
    duel = Duel(CraftConfig(penalty_interval=4), Judge())
    assert duel.gammas(moment(step=8), Schedule(start=2.0), NONE) == (8.0, 0.0)
    assert duel.gammas(moment(step=9), Schedule(start=2.0), NONE) == (0.0, 0.0)


def test_means_are_over_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.tensor([1.0, 2.0])
    assert process_mean(values) is values
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda mine: mine.add_(torch.tensor([3.0, 6.0])))
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    assert process_mean(values).tolist() == [2.0, 4.0]
    assert values.tolist() == [1.0, 2.0]


# ---- what goes together


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"penalty_impl": "approx", "wgan_gp": 1.0}, "expected 'exact' or 'func'"),
        ({"penalty_impl": "approx", "spectral": True}, "which moves D; expected 'exact' or 'func'"),
        ({"spectral": True, "clip": 0.1}, "both bound the weights of D"),
        ({"auto_gamma": {}, "r1": 0.0}, "an r1 above 0"),
        ({"auto_gamma": {}, "r1": 1.0, "objective": "wgan"}, "another objective"),
        ({"augment": {"probability": 0.2, "adaptive": {}}}, "two ways to say how often"),
        ({"r1": -3.0}, "r1 goes below 0"),
        ({"instance_noise": {"start": 1.0, "end": -1.0, "shape": "linear"}}, "instance_noise goes below 0"),
    ],
)
def test_tools_that_do_not_go_together_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CraftConfig.model_validate(options)


def test_less_than_one_move_is_refused() -> None:
    with pytest.raises(RecipeError, match="discriminator_repeats: 0` in game; expected 1 or more"):
        CraftConfig(discriminator_repeats=0)


def test_tools_that_were_named_are_known() -> None:
    assert CraftConfig().named() == []
    assert CraftConfig.model_validate(CraftConfig().model_dump()).named() == []
    assert CraftConfig(replay=4, drift=0.1).named() == ["drift", "replay"]


@pytest.mark.parametrize(
    ("layer", "steady"),
    [(nn.Dropout(0.1), False), (nn.Dropout(0.0), True), (nn.BatchNorm1d(2), False), (nn.LayerNorm(2), True)],
)
def test_only_a_steady_discriminator_can_be_estimated(layer: nn.Module, steady: bool) -> None:
    judge = nn.Sequential(nn.Linear(2, 2), layer, nn.Linear(2, 1))
    assert is_steady(judge) == steady
    if not steady:
        with pytest.raises(RecipeError, match="approx"):
            ready(CraftConfig(penalty_impl="approx"), judge, children_of(judge))


def test_a_discriminator_is_made_ready() -> None:
    judge = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    ready(CraftConfig(freeze=1, spectral=True), judge, children_of(judge))
    still = {name for name, value in judge.named_parameters() if not value.requires_grad}
    assert still == {"0.bias", "0.parametrizations.weight.original"}
    assert torch.linalg.matrix_norm(judge(torch.eye(2)) - judge(torch.zeros(2, 2)), 2) <= 1.001


def test_activations_are_seen_without_a_trace() -> None:
    first, last = nn.Linear(2, 3), nn.Linear(3, 1)
    judge = nn.Sequential(first, nn.ReLU(), last)
    x = drawn(3, 5, 2)
    seen = activations([first, judge[1]], judge, x)
    assert torch.equal(seen[0], first(x))
    assert torch.equal(seen[1], first(x).relu())
    judge(x)
    assert len(seen) == 2
