"""The default networks: shapes, what passes through unchanged, what depends on what."""

import pytest
import torch

from audiogan.pipelines.multitrack.config import CellsConfig, Config, TrackConfig
from audiogan.pipelines.multitrack.networks import NEVER, Generator, build, load_modules, on_sphere
from tests.pipelines.multitrack.small import CONFIG, NETWORK

LEAD = TrackConfig(name="lead", program=80, sources=((80, 87),))
KIT = TrackConfig(name="drums", is_drum=True)
HANDS = TrackConfig(name="percussion", is_drum=True)


def roll_of(config: Config, batch: int = 3) -> torch.Tensor:
    grid = config.grid
    shape = (batch, 2, len(config.tracks), grid.n_bars, grid.n_timesteps, grid.n_pitches)
    return (torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.05).to(torch.uint8)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        Config(n_bars=1, network=NETWORK),
        Config(n_bars=2, beat_resolution=12, network=NETWORK),
        Config(n_bars=2, metre="6/8", network=NETWORK),
        Config(n_bars=2, metre="3/4", beat_resolution=12, network=NETWORK),
        Config(n_bars=2, tracks=(KIT,), network=NETWORK),
        Config(n_bars=2, tracks=(LEAD,), network=NETWORK),
        Config(n_bars=2, tracks=(LEAD, KIT, HANDS), drum_map="gm47", network=NETWORK),
    ],
    ids=str,
)
def test_a_roll_goes_to_codes_and_back_in_shape(config: Config) -> None:
    modules, roll = build(config), roll_of(config)
    codes = modules["encoder"](roll)
    assert codes.shape == (3, len(config.tracks), config.n_bars, NETWORK.code_dim)
    assert torch.allclose(codes.square().mean(-1), torch.ones(codes.shape[:-1]), atol=1e-3)
    logits, velocity, timing = modules["decoder"](codes)
    assert logits.shape == roll.shape
    assert velocity.shape == timing.shape == (roll.shape[0], *roll.shape[2:5])
    assert velocity.min() >= 0
    assert velocity.max() <= 1
    assert timing.abs().max() <= 0.5


def test_drums_sound_on_their_rows_only_and_are_never_held() -> None:
    config = Config(n_bars=2, tracks=(LEAD, KIT), network=NETWORK)
    logits = build(config)["decoder"](torch.randn(2, 2, 2, 8))[0]
    rows = [pitch - 24 for pitch in config.grid.drum_pitches]
    others = [row for row in range(72) if row not in rows]
    assert (logits[:, :, 1][..., others] == NEVER).all()
    assert (logits[:, 1, 1] == NEVER).all()
    assert (logits[:, 0, 1][..., rows] > NEVER).all()


def test_a_code_belongs_to_one_cell() -> None:
    encoder = build(CONFIG)["encoder"]
    roll = roll_of(CONFIG)
    changed = roll.clone()
    changed[:, :, 2, 1] = 1 - changed[:, :, 2, 1]
    same = (encoder(roll) == encoder(changed)).all(-1)
    assert not same[:, 2, 1].any()
    same[:, 2, 1] = True
    assert same.all()


def test_known_codes_pass_and_hidden_ones_are_not_looked_at() -> None:
    generator = build(CONFIG)["generator"]
    assert isinstance(generator, Generator)
    known, z = on_sphere(torch.randn(4, 5, 2, 8)), torch.randn(4, generator.z_dim)
    mask = (torch.rand(4, 5, 2, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    made = generator(z, known, mask)
    assert torch.equal(made[mask > 0.5], known[mask > 0.5])
    blind = torch.where(mask.unsqueeze(-1) > 0.5, known, 100.0)
    assert torch.equal(generator(z, blind, mask), made)
    assert not torch.equal(generator(z, known.flip(0), mask)[mask < 0.5], made[mask < 0.5])
    assert not torch.equal(generator(torch.randn_like(z), known, mask)[mask < 0.5], made[mask < 0.5])


def test_every_weight_is_used() -> None:
    modules, roll = build(CONFIG), roll_of(CONFIG)
    for module in modules.values():  # the branches that begin silent
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, 0.0, 0.3)
    codes = modules["encoder"](roll)
    generator = modules["generator"]
    assert isinstance(generator, Generator)
    made = generator(torch.randn(3, generator.z_dim), codes, torch.zeros(3, 5, 2))
    logits, velocity, timing = modules["decoder"](made)
    judged = modules["discriminator"](codes, torch.zeros(3, 5, 2))
    heard = modules["harmony"](torch.rand(3, 4, 8, 12), torch.zeros(3, 4, 2))
    (logits.clamp(min=-20).square().sum() + velocity.sum() + timing.sum() + judged.sum() + heard.sum()).backward()
    for name, module in modules.items():
        for key, parameter in module.named_parameters():
            assert parameter.grad is not None, f"{name}.{key}"
            assert (parameter.grad != 0).any(), f"{name}.{key}"


def test_weights_come_back() -> None:
    modules = build(CONFIG)
    again = load_modules({name: module.state_dict() for name, module in modules.items()}, CONFIG)
    assert not any(module.training for module in again.values())
    roll = roll_of(CONFIG)
    assert torch.equal(again["encoder"](roll), modules["encoder"](roll))


def test_the_default_fits_the_box() -> None:
    modules = build(Config(network=CellsConfig(width=256)))
    n_weights = sum(p.numel() for module in modules.values() for p in module.parameters())
    assert 2 * n_weights < 16_000_000  # bytes, at half precision


@pytest.mark.parametrize("sources", [[[200, 300]], [[39, 32]], [[-1, 5]]])
def test_programs_out_of_range_are_refused(sources: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="two programs from 0 to 127"):
        TrackConfig.model_validate({"name": "x", "sources": sources})


def test_drums_that_fill_all_rows_are_never_held_either() -> None:
    config = Config(n_bars=2, tracks=(LEAD, KIT), drum_map="gm47", lowest_pitch=35, n_pitches=47, network=NETWORK)
    assert (build(config)["decoder"](torch.randn(2, 2, 2, 8))[0][:, 1, 1] == NEVER).all()
