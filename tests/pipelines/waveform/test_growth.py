"""The residual networks grow by letting the branches of one stage after another fade in."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from audiogan.adversarial.augment import AugmentConfig
from audiogan.adversarial.game import Moment
from audiogan.adversarial.runtime import RuntimeConfig, seeded
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.errors import RecipeError
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.game import GameConfig, OptimizersConfig, phases
from audiogan.pipelines.waveform.networks import build_networks
from audiogan.pipelines.waveform.plan import hertz
from audiogan.pipelines.waveform.progressive import GrowthConfig, stage_weight
from audiogan.pipelines.waveform.residual import Discriminator, Generator
from tests.pipelines.waveform.small_planes import CLASSIC, RESIDUAL, STYLE, batch_of, drawn, line, picture, stir

PITCH, VELOCITY = torch.tensor([50.0, 60.0, 70.0]), torch.ones(3)


def networks() -> tuple[Generator, Discriminator]:
    modules = build_networks(picture((2, 32, 32)), RESIDUAL)
    generator, judge = modules["generator"], modules["discriminator"]
    assert isinstance(generator, Generator)
    assert isinstance(judge, Discriminator)
    for module in modules.values():
        stir(module)
    return generator, judge


def test_stages_fade_in_from_the_coarsest() -> None:
    weights = [[stage_weight(stage, progress) for stage in range(4)] for progress in (0.0, 0.5, 1.0, 2.75, 3.0)]
    assert weights == [[1, 0, 0, 0], [1, 0.5, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0.75], [1, 1, 1, 1]]


def grown(module: nn.Module, made: Tensor) -> set[str]:
    """Names of the blocks that a gradient reaches."""
    module.zero_grad()
    made.square().sum().backward()
    found = {name for name, value in module.named_parameters() if "blocks." in name and value.grad is not None}
    return {name.partition("blocks.")[2].partition(".")[0] for name in found}


def test_only_the_stages_that_have_come_are_computed() -> None:
    generator, judge = networks()
    z, planes = drawn(3, 6), drawn(3, 2, 32, 32)
    n = len(generator.stages)
    assert n == 4
    for come in range(n):
        made = generator.draw(z, None, PITCH, VELOCITY, progress=float(come))
        assert grown(generator, made) == {str(stage) for stage in range(come + 1)}
        logits = judge.judge(planes, PITCH, VELOCITY, progress=float(come)).logits
        assert grown(judge, logits) == {str(n - 1 - stage) for stage in range(come + 1)}, "D counts from the finest"


def test_half_faded_lies_half_way_before_the_last_stage_and_full_size_is_as_ever() -> None:
    generator, judge = networks()
    z, planes = drawn(3, 6), drawn(3, 2, 32, 32)
    last = float(len(generator.stages) - 1)
    assert torch.equal(
        generator.draw(z, None, PITCH, VELOCITY, progress=last), generator.draw(z, None, PITCH, VELOCITY)
    )
    whole = judge.judge(planes, PITCH, VELOCITY)
    assert torch.equal(judge.judge(planes, PITCH, VELOCITY, progress=last).logits, whole.logits)
    # What is added at the finest stage is x + w (block(x) - x); behind it lie an activation and one linear layer.
    seen: list[Tensor] = []
    generator.out.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    with torch.no_grad():
        generator.out.forward = lambda x: x[:, :2]  # type: ignore[method-assign]
        for progress in (last - 1.0, last - 0.5, last):
            generator.draw(z, None, PITCH, VELOCITY, progress=progress)
    opened = [torch.where(x < 0, x / 0.2, x) for x in seen]
    torch.testing.assert_close(opened[1], 0.5 * (opened[0] + opened[2]), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(opened[0], opened[2], atol=1e-2)


def test_a_game_that_grows_moves_fine_stages_late(tmp_path: Path) -> None:
    def blocks(judge: nn.Module) -> list[Tensor]:
        return [value.clone() for name, value in judge.named_parameters() if "trunk.blocks.0." in name]

    moved = []
    for stable in (0.9, 0.1):
        with seeded(0, "modules"):
            modules = build_networks(line(), RESIDUAL)
        before = blocks(modules["discriminator"])
        game = phases(
            modules, Config(network=RESIDUAL), GameConfig(growth=GrowthConfig(stable=stable, fade=0.1)),
            OptimizersConfig(),
        )  # fmt: skip
        assert game.watch is not None
        assert game.watch(Moment(step=0, share=0.0, n_seen=0))["progress"] == 0.0

        class Notes:
            def __len__(self) -> int:
                return 32

            def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
                return batch_of(line(), len(indices), sum(indices))

        config = TrainConfig(budget="4 steps", batch_size=4, tensorboard=False, runtime=RuntimeConfig(device="cpu"))
        Trainer(modules, game, Notes(), config, tmp_path / str(stable), quiet=True).run()
        after = blocks(modules["discriminator"])
        moved.append(any(not torch.equal(one, other) for one, other in zip(before, after, strict=True)))
    assert moved == [False, True]


@pytest.mark.parametrize(
    ("options", "network", "words"),
    [
        ({"growth": {}}, STYLE, "growth with network.variant style"),
        ({"growth": {}}, CLASSIC, "expected game.classic.growth"),
        ({"growth": {}, "penalty_impl": "func"}, RESIDUAL, "penalty_impl func` in game with growth"),
        ({"growth": {}, "replay": 4, "objective": "hinge"}, RESIDUAL, "replay` in game with growth"),
    ],
)
def test_growth_goes_with_the_residual_networks_only(options, network, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        phases(
            build_networks(picture() if network is CLASSIC else line(), network),
            Config(network=network),
            GameConfig.model_validate(options),
            OptimizersConfig(),
        )


def test_the_rest_of_the_tools_goes_with_growth() -> None:
    section = GameConfig(
        growth=GrowthConfig(), augment=AugmentConfig(), spectral=True, unrolled=1, feature_matching=1.0
    )
    with seeded(0, "modules"):
        modules = build_networks(line(), RESIDUAL)
    game = phases(modules, Config(network=RESIDUAL), section, OptimizersConfig())
    batch = batch_of(line(), 4) | {"f0": hertz(batch_of(line(), 4)["pitch"])}
    for phase in game.phases:
        found = phase.terms(batch, Moment(step=4, share=0.1, n_seen=0, phase=phase.name))
        assert all(bool(term.isfinite()) for term in found.values())
