"""The classic game: losses, penalty, moves, slope, stages (M14, M18 to M23)."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.adversarial.game import Game, Moment, OptimizerConfig, Repeats
from audiogan.errors import RecipeError
from audiogan.pipelines.multitrack.classic import ClassicConfig, build_classic
from audiogan.pipelines.multitrack.classic_game import ClassicGameConfig, SlopeConfig, classic_game

SMALL: dict[str, Any] = {
    "n_tracks": 2,
    "n_bars": 2,
    "n_timesteps": 4,
    "n_pitches": 12,
    "beat_resolution": 2,
    "z_dim": 8,
}
NOW = Moment(step=20, share=0.0, n_seen=0, phase="discriminator")


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def drawn_batch(config: ClassicConfig, n: int = 3) -> dict[str, Tensor]:
    shape = (n, 4, config.n_tracks, config.n_bars, config.n_timesteps, config.n_pitches)
    return {"roll": (torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.2).float()}


def sounding(batch: dict[str, Tensor]) -> Tensor:
    return batch["roll"][:, :2].amax(1)


def built(config: ClassicConfig) -> dict[str, Any]:
    return {**build_classic(config)}


def phases(game: Game) -> dict[str, Any]:
    return {phase.name: phase for phase in game.phases}


class Mean(nn.Module):
    """A discriminator whose logit and gradient can be worked out by hand: slope times the sum of the roll."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, rolls: Tensor) -> Tensor:
        return self.slope * rolls.flatten(1).sum(1)


class Silence(nn.Module):
    """A generator of one constant roll."""

    def __init__(self, config: ClassicConfig) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(-1.0))
        self.shape = (config.n_tracks, config.n_bars, config.n_timesteps, config.n_pitches)

    def forward(self, z: Tensor, *_: object) -> Tensor:
        return self.level.expand(len(z), *self.shape)


@pytest.mark.parametrize("objective", ["wgan", "hinge", "nonsaturating", "minimax"])
def test_m14_losses_are_those_of_the_formula(objective):
    config = ClassicConfig(**SMALL)
    modules = {"generator": Silence(config), "discriminator": Mean(0.01)}
    game = phases(classic_game(modules, config, ClassicGameConfig(objective=objective, wgan_gp=0.0, clip=1.0)))
    batch = drawn_batch(config)
    real, fake = (2.0 * sounding(batch) - 1.0).flatten(1).sum(1) * 0.01, torch.full((3,), -0.01 * 2 * 2 * 4 * 12)
    discriminator = {
        "wgan": fake.mean() - real.mean(),
        "hinge": F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean(),
        "nonsaturating": F.softplus(-real).mean() + F.softplus(fake).mean(),
        "minimax": F.softplus(-real).mean() + F.softplus(fake).mean(),
    }
    generator = {
        "wgan": -fake.mean(),
        "hinge": -fake.mean(),
        "nonsaturating": F.softplus(-fake).mean(),
        "minimax": -F.softplus(fake).mean(),
    }
    terms = game["discriminator"].terms(batch, NOW)
    assert set(terms) == {"adversarial", "pair_sign"}
    torch.testing.assert_close(terms["adversarial"], discriminator[objective])
    torch.testing.assert_close(game["generator"].terms(batch, NOW)["adversarial"], generator[objective])


@pytest.mark.parametrize("weight", [10.0, 2.5])
def test_m14_gradient_penalty_is_weighted_and_takes_whole_clips(weight):
    config = ClassicConfig(**SMALL)
    modules = {"generator": Silence(config), "discriminator": Mean(0.5)}
    game = phases(classic_game(modules, config, ClassicGameConfig(wgan_gp=weight)))
    norm = 0.5 * (2 * 2 * 4 * 12) ** 0.5
    penalty = game["discriminator"].terms(drawn_batch(config), NOW)["wgan_gp"]
    assert penalty.item() == pytest.approx(weight * (norm - 1.0) ** 2, rel=1e-4)


def test_m14_gradient_penalty_takes_tracks_apart_when_each_has_its_judge():
    class PerTrack(nn.Module):
        def forward(self, rolls: Tensor) -> Tensor:
            return 0.5 * rolls.flatten(2).sum(2)

    config = ClassicConfig(variant="jamming", edition="paper", **SMALL)
    modules = {"generator": Silence(config), "discriminator": PerTrack()}
    game = phases(classic_game(modules, config, ClassicGameConfig()))
    norm = 0.5 * (2 * 4 * 12) ** 0.5
    penalty = game["discriminator"].terms(drawn_batch(config), NOW)["wgan_gp"]
    assert penalty.item() == pytest.approx(10.0 * (norm - 1.0) ** 2, rel=1e-4)


def test_m14_clip_bounds_every_weight_of_the_discriminator_after_its_move():
    config = ClassicConfig(**SMALL)
    modules = built(config)
    game = phases(classic_game(modules, config, ClassicGameConfig(wgan_gp=0.0, clip=0.01)))
    assert "wgan_gp" not in game["discriminator"].terms(drawn_batch(config), NOW)
    before = [parameter.clone() for parameter in modules["generator"].parameters()]
    game["discriminator"].after_move()
    assert max(parameter.abs().max().item() for parameter in modules["discriminator"].parameters()) == pytest.approx(
        0.01
    )
    assert all(torch.equal(a, b) for a, b in zip(before, modules["generator"].parameters(), strict=True))
    assert game["generator"].after_move is None


def test_m14_discriminator_moves_five_times_and_fifty_in_the_first_ten_steps():
    config = ClassicConfig(**SMALL)
    modules = built(config)
    discriminator, generator = classic_game(modules, config, ClassicGameConfig()).phases
    assert [discriminator.moves(step, 0.0) for step in (0, 9, 10, 500)] == [50, 50, 5, 5]
    assert [generator.moves(step, 0.0) for step in (0, 9, 10)] == [1, 1, 1]
    options = ClassicGameConfig(discriminator_repeats=Repeats(usual=5, burst=100, burst_steps=25, burst_every=500))
    discriminator = classic_game(modules, config, options).phases[0]
    assert [discriminator.moves(step, 0.0) for step in (0, 24, 25, 500, 501)] == [100, 100, 5, 100, 5]
    assert classic_game(modules, config, ClassicGameConfig(discriminator_repeats=3)).phases[0].moves(0, 0.0) == 3


def test_m14_each_player_has_its_optimiser():
    config = ClassicConfig(**SMALL)
    slow, fast = OptimizerConfig(betas=(0.1, 0.9)), OptimizerConfig(betas=(0.2, 0.9))
    options = ClassicGameConfig(generator_optimizer=slow, discriminator_optimizer=fast)
    game = phases(classic_game(built(config), config, options))
    assert (game["generator"].optimizer, game["discriminator"].optimizer) == (slow, fast)
    assert ClassicGameConfig().generator_optimizer.betas == (0.5, 0.9)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"wgan_gp": 0.0}, "`objective: wgan` in game with wgan_gp 0 and clip 0; expected one of them above 0."),
        ({"discriminator_repeats": 0}, "`discriminator_repeats: 0` in game; expected 1 or more."),
        (
            {"slope": {"begin": 0.5, "until": 0.5}},
            "`slope.until: 0.5` in game; expected more than slope.begin 0.5.",
        ),
    ],
)
def test_options_that_contradict_are_refused(fields, message):
    with pytest.raises(RecipeError) as refusal:
        ClassicGameConfig(**fields)
    assert str(refusal.value) == message


def test_m21_slope_rises_linearly_to_five():
    slope = SlopeConfig()
    assert [slope.at(share) for share in (0.0, 0.2, 0.6, 1.0)] == [1.0, 1.0, 3.0, 5.0]


def test_m21_slope_rises_by_a_tenth_an_epoch():
    slope = SlopeConfig(end=1.1**20, begin=0.0, growth="geometric")
    assert slope.at(7 / 20) == pytest.approx(1.1**7)


def test_m21_slope_reaches_the_neurons_and_the_record():
    config = ClassicConfig(neuron="deterministic", **SMALL)
    modules = built(config)
    game = classic_game(modules, config, ClassicGameConfig(slope=SlopeConfig(end=9.0, begin=0.0)))
    seen = []
    modules["generator"].register_forward_hook(lambda module, args, out: seen.append(args[2]))
    for share in (0.0, 0.5):
        game.phases[1].terms(drawn_batch(config), Moment(step=0, share=share, n_seen=0))
    assert seen == [1.0, 5.0]
    assert game.watch is not None
    assert game.watch(Moment(step=0, share=0.5, n_seen=0)) == {"slope": 5.0}
    plain = classic_game(modules, ClassicConfig(**SMALL), ClassicGameConfig()).watch
    assert plain is not None
    assert plain(Moment(step=0, share=0.5, n_seen=0)) == {}


@pytest.mark.parametrize(
    ("stages", "moving"),
    [
        ("two_stage", {0.1: {"generator"}, 0.9: {"refiner"}}),
        ("joint", {0.1: {"generator"}, 0.9: {"generator", "refiner"}}),
        ("end_to_end", {0.1: {"generator", "refiner"}, 0.9: {"generator", "refiner"}}),
    ],
)
def test_m23_stages_say_who_moves_and_what_the_discriminator_sees(stages, moving):
    config = ClassicConfig(variant="binary", **SMALL)
    modules = built(config)
    game = classic_game(modules, config, ClassicGameConfig(stages=stages, first_stage=0.4))
    seen: list[Tensor] = []
    modules["discriminator"].register_forward_hook(lambda module, args, out: seen.append(args[0].detach()))
    for share, names in moving.items():
        active = {name for phase in game.phases if phase.moves(30, share) for name in phase.modules}
        assert active == names | {"discriminator"}
        seen.clear()
        phase = next(phase for phase in game.phases if phase.name != "discriminator" and phase.moves(30, share))
        terms = phase.terms(drawn_batch(config), Moment(step=0, share=share, n_seen=0, phase=phase.name))
        terms["adversarial"].backward()
        assert all(parameter.grad is not None for name in names for parameter in modules[name].parameters())
        binary = set(seen[0].unique().tolist()) <= {0.0, 1.0}
        assert binary == ("refiner" in names)


@pytest.mark.parametrize("variant", ["v3", "composer", "jamming", "hybrid"])
def test_m13_encoder_moves_with_the_generator_and_the_discriminator_sees_the_given_track(variant):
    config = ClassicConfig(variant=variant, given_track=1, **SMALL)
    modules = built(config)
    game = phases(classic_game(modules, config, ClassicGameConfig()))
    assert game["generator"].modules == ("generator", "encoder")
    seen: list[Tensor] = []
    modules["discriminator"].register_forward_hook(lambda module, args, out: seen.append(args[0].detach()))
    batch = drawn_batch(config)
    game["generator"].terms(batch, NOW)["adversarial"].backward()
    assert torch.equal(seen[0][:, 1], 2.0 * sounding(batch)[:, 1] - 1.0)
    assert all(parameter.grad is not None for parameter in modules["encoder"].parameters())


def test_discriminator_phase_gives_the_generator_no_gradient():
    config = ClassicConfig(**SMALL)
    modules = built(config)
    terms = phases(classic_game(modules, config, ClassicGameConfig()))["discriminator"].terms(drawn_batch(config), NOW)
    (terms["adversarial"] + terms["wgan_gp"]).backward()
    assert all(parameter.grad is not None for parameter in modules["discriminator"].parameters())
    assert all(parameter.grad is None for parameter in modules["generator"].parameters())


@pytest.mark.parametrize("neuron", ["none", "stochastic"])
def test_terms_repeat_at_the_same_moment(neuron):
    config = ClassicConfig(neuron=neuron, **SMALL)
    game = classic_game(built(config), config, ClassicGameConfig())
    batch = drawn_batch(config)
    first, again = (game.phases[0].terms(batch, NOW) for _ in range(2))
    other = game.phases[0].terms(batch, Moment(step=21, share=0.0, n_seen=0, phase="discriminator"))
    for name in first:
        assert torch.equal(first[name], again[name])
        assert name == "pair_sign" or not torch.equal(first[name], other[name])


def test_a_few_moves_separate_data_from_fakes():
    config = ClassicConfig(**SMALL)
    modules = built(config)
    discriminator = phases(classic_game(modules, config, ClassicGameConfig()))["discriminator"]
    adam = torch.optim.Adam(modules["discriminator"].parameters(), 1e-3, (0.5, 0.9))
    losses: list[Any] = []
    for step in range(20):
        terms = discriminator.terms(drawn_batch(config, 8), Moment(step=step, share=0.0, n_seen=0))
        losses.append(sum(terms.values()))
        adam.zero_grad()
        losses[-1].backward()
        adam.step()
    assert losses[-1] < losses[0] - 1.0
