"""Phases, moments and bursts."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from audiogan.adversarial.game import Game, Moment, OptimizerConfig, Phase, Repeats


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
