"""GANSynth: the published sizes, growth worked out, and its game."""

import math

import pytest
import torch
from torch import Tensor

from audiogan.adversarial.game import Moment
from audiogan.errors import RecipeError
from audiogan.layers import pixel_norm
from audiogan.pipelines.waveform.classic import ClassicDiscriminator, ClassicGenerator, one_hot
from audiogan.pipelines.waveform.classic_game import ClassicGameConfig, _ClassicTerms, classic_game
from audiogan.pipelines.waveform.network_config import ClassicConfig
from audiogan.pipelines.waveform.networks import build_networks
from audiogan.pipelines.waveform.plan import Plan
from audiogan.pipelines.waveform.progressive import (
    GrowthConfig,
    blend,
    discriminator_alpha,
    downscale,
    generator_alpha,
    newest_block,
    upscale,
)
from tests.pipelines.waveform.small_planes import CLASSIC, PICTURE, batch_of, drawn, picture

PUBLISHED = Plan(
    (2, 1024, 128), False, (24, 84), lambda f0: torch.ones(*f0.shape, 2, 1024, 1), torch.zeros(2, 1024, 128)
)


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def small() -> tuple[ClassicGenerator, ClassicDiscriminator]:
    modules = build_networks(picture(), CLASSIC)
    generator, judge = modules["generator"], modules["discriminator"]
    assert isinstance(generator, ClassicGenerator)
    assert isinstance(judge, ClassicDiscriminator)
    return generator, judge


def moment(share: float = 0.5, step: int = 0) -> Moment:
    return Moment(step=step, share=share, n_seen=0, span_share=share, phase="generator")


# ---- the published networks


def test_the_published_networks_have_as_many_weights_as_published() -> None:
    modules = build_networks(PUBLISHED, ClassicConfig())
    assert set(modules) == {"generator", "discriminator"}
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()}
    assert counts == {"generator": 7_311_246, "discriminator": 6_831_230}


def test_the_published_sizes() -> None:
    config = ClassicConfig()
    assert config.sizes((1024, 128))[0] == (16, 2)
    assert config.sizes((1024, 128))[-1] == (1024, 128)
    assert ClassicConfig(scale="rows", n_blocks=3).sizes((16, 5)) == [(4, 5), (8, 5), (16, 5)]
    assert [config.filters(block) for block in range(1, 8)] == [256, 256, 256, 256, 128, 64, 32]
    with pytest.raises(RecipeError, match="planes of 1024 rows and 100 frames; expected multiples of 64"):
        config.sizes((1024, 100))


def test_the_first_layer_makes_the_whole_first_size_from_one_point() -> None:
    generator, _ = small()
    x = drawn(2, 6 + 25)[..., None, None]
    made = generator.start(x)
    assert made.shape == (2, 8, *generator.sizes[0])
    weight = generator.start.weight.flip(2, 3) * generator.start.scale  # a convolution reads a point backwards
    torch.testing.assert_close(made, torch.einsum("bi,oirf->borf", x[..., 0, 0], weight))
    assert generator.start.scale == pytest.approx(math.sqrt(2 / (31 * 4 * 3)))


def test_images_are_bounded_and_depend_on_z_and_key() -> None:
    generator, judge = small()
    z, velocity = drawn(3, 6), torch.full((3,), 0.5)
    pitch = torch.tensor([48.0, 60.2, 72.0])
    made = generator(z, None, pitch, velocity)
    assert made.shape == (3, *PICTURE)
    assert made.abs().max() <= 1
    assert torch.equal(made, generator(z, None, torch.tensor([48.0, 59.6, 72.0]), velocity))
    assert not torch.equal(made[1], generator(z, None, torch.tensor([48.0, 61.0, 72.0]), velocity)[1])
    assert not torch.equal(made, generator(-z, None, pitch, velocity))
    judged = judge(made)
    assert judged.logits.shape == (3,)
    assert judged.pitch.shape == (3, 25)


def test_keys_as_one_of_many() -> None:
    keys = one_hot(torch.tensor([48.0, 49.6, 90.0]), picture())
    assert keys.argmax(1).tolist() == [0, 2, 24]
    assert keys.sum(1).tolist() == [1, 1, 1]


def test_channels_are_normalised_after_every_convolution() -> None:
    generator, _ = small()
    seen: list[Tensor] = []
    generator.second[1].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    generator(drawn(2, 6), None, torch.full((2,), 60.0), torch.ones(2))
    torch.testing.assert_close(seen[0].square().mean(1), torch.ones_like(seen[0][:, 0]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(pixel_norm(seen[0]), seen[0], atol=1e-4, rtol=1e-4)


# ---- growth


def test_published_growth() -> None:
    growth = GrowthConfig()
    images = [0.4e6, 0.8e6, 1.2e6, 1.6e6, 2.0e6, 2.8e6, 9.6e6, 10.9e6]
    found = [growth.progress(n / 11e6, 7) for n in images]
    assert found == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0, 1.5, 6.0, 6.0])
    boundaries = growth.boundaries(7)
    assert len(boundaries) == 14  # 13 stages
    assert boundaries[1:13] == pytest.approx([0.8 / 11 * n for n in range(1, 13)])


def test_alphas_of_the_generator_sum_to_one_and_walk_up() -> None:
    for progress in (0.0, 0.3, 1.0, 1.9, 4.5, 6.0):
        alphas = [generator_alpha(block, 7, progress) for block in range(1, 8)]
        assert sum(alphas) == pytest.approx(1.0)
        assert sum(alpha > 0 for alpha in alphas) <= 2
    assert [generator_alpha(b, 3, 0.25) for b in (1, 2, 3)] == [0.75, 0.25, 0.0]
    assert [generator_alpha(b, 3, 2.0) for b in (1, 2, 3)] == [0.0, 0.0, 1.0]
    assert [discriminator_alpha(b, 0.25) for b in (1, 2, 3)] == [0.75, 1.0, 1.0]
    assert [newest_block(3, p) for p in (0.0, 0.01, 1.0, 1.5)] == [1, 2, 2, 3]


def test_scaling_and_blending_worked_out() -> None:
    image = torch.tensor([[[[0.0, 4.0], [8.0, 12.0]]]])
    assert downscale(image, (1, 1)).item() == 6.0
    assert upscale(torch.tensor([[[[1.0, 2.0]]]]), (2, 4)).tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]
    sizes = [(1, 1), (2, 2)]
    assert blend(image, sizes, 0.0).flatten().tolist() == [6.0] * 4
    assert blend(image, sizes, 0.25).flatten().tolist() == [4.5, 5.5, 6.5, 7.5]  # 0.75 x 6 + 0.25 x value
    assert torch.equal(blend(image, sizes, 1.0), image)


def test_the_generator_blends_its_blocks() -> None:
    generator, _ = small()
    pitch, velocity, z = torch.full((2,), 60.0), torch.ones(2), drawn(2, 6)
    coarse, fine = (generator(z, None, pitch, velocity, progress=p) for p in (0.0, 1.0))
    torch.testing.assert_close(coarse, upscale(downscale(coarse, (4, 3)), (16, 12)))
    torch.testing.assert_close(fine, upscale(downscale(fine, (8, 6)), (16, 12)))
    assert (fine - upscale(downscale(fine, (4, 3)), (16, 12))).abs().max() > 0.01
    between = generator(z, None, pitch, velocity, progress=0.25)
    torch.testing.assert_close(between, 0.75 * coarse + 0.25 * fine)
    assert torch.equal(generator(z, None, pitch, velocity), generator(z, None, pitch, velocity, progress=2.0))


def test_the_discriminator_blends_its_blocks() -> None:
    _, judge = small()
    image = drawn(2, *PICTURE)
    same_coarse = image + drawn(2, *PICTURE, seed=5)
    same_coarse = same_coarse - upscale(downscale(same_coarse - image, (4, 3)), (16, 12))
    at_start = [judge(x, progress=0.0).logits for x in (image, same_coarse)]
    torch.testing.assert_close(at_start[0], at_start[1], atol=1e-5, rtol=1e-4)
    later = [judge(x, progress=0.5).logits for x in (image, same_coarse)]
    assert (later[0] - later[1]).abs().min() > 1e-4
    near, start = judge(image, progress=1e-6).logits, judge(image, progress=0.0).logits
    torch.testing.assert_close(near, start, atol=1e-4, rtol=1e-3)  # no jump when a block enters
    before, after = judge(image, progress=1.0 - 1e-6).logits, judge(image, progress=1.0).logits
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-3)


def test_blocks_that_do_not_count_yet_do_not_move() -> None:
    generator, judge = small()
    judge(generator(drawn(2, 6), None, torch.full((2,), 60.0), torch.ones(2), progress=0.5), progress=0.5)
    made = generator(drawn(2, 6), None, torch.full((2,), 60.0), torch.ones(2), progress=0.5)
    judge(made, progress=0.5).logits.square().sum().backward()
    for module, late, early in (
        (generator, ("first.2", "second.2", "to_image.2"), ("start", "first.1", "to_image.0", "to_image.1")),
        (judge, ("from_image.2", "first.1", "second.1"), ("from_image.0", "from_image.1", "first.0", "whole")),
    ):
        for key, parameter in module.named_parameters():
            if key.startswith(late):
                assert parameter.grad is None, key
            if key.startswith(early):
                assert parameter.grad is not None, key
                assert bool((parameter.grad != 0).any()), key


def test_every_weight_counts_some_time() -> None:
    generator, judge = small()
    for progress in (0.0, 0.5, 1.5, 2.0):
        judged = judge(generator(drawn(3, 6), None, drawn(3) + 60, torch.ones(3), progress=progress), progress=progress)
        (judged.logits.square().sum() + judged.pitch.square().sum()).backward()
    for module in (generator, judge):
        assert all(p.grad is not None and bool((p.grad != 0).any()) for p in module.parameters())


# ---- the game


def test_terms_are_the_published_ones() -> None:
    modules = build_networks(picture(), CLASSIC)
    options = ClassicGameConfig(progressive=False)
    terms, batch = _ClassicTerms(modules, options), batch_of(picture())
    made = terms.discriminator(batch, moment())
    assert set(made) == {"adversarial", "pitch", "drift", "wgan_gp", "pair_sign"}
    judge = modules["discriminator"]
    real = judge(batch["planes"])
    with torch.no_grad():
        fake = judge(terms.fake(batch, moment()))
    assert made["adversarial"].item() == pytest.approx((fake.logits.mean() - real.logits.mean()).item(), rel=1e-4)
    assert made["drift"].item() == pytest.approx(0.001 * real.logits.square().mean().item(), rel=1e-4)
    keys = (batch["pitch"].round() - 48).long()
    expected = torch.nn.functional.cross_entropy(real.pitch, keys)
    assert made["pitch"].item() == pytest.approx(10 * expected.item(), rel=1e-4)
    for_g = terms.generator(batch, moment())
    assert for_g["adversarial"].item() == pytest.approx(-fake.logits.mean().item(), rel=1e-4)


def test_real_notes_are_as_coarse_as_the_networks() -> None:
    modules, seen = build_networks(picture(), CLASSIC), []
    terms = _ClassicTerms(modules, ClassicGameConfig(growth=GrowthConfig(stable=0.2, fade=0.2)))
    modules["discriminator"].register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    batch = batch_of(picture())
    terms.discriminator(batch, moment(0.1))
    torch.testing.assert_close(seen[0], upscale(downscale(batch["planes"], (4, 3)), (16, 12)))
    seen.clear()
    terms.discriminator(batch, moment(0.9))
    assert torch.equal(seen[0], batch["planes"])


def test_phases_carry_adam_over_or_restart_it_at_every_stage() -> None:
    modules = build_networks(picture(), CLASSIC)
    game = classic_game(modules, ClassicGameConfig())
    assert [phase.name for phase in game.phases] == ["discriminator", "generator"]
    optimizer = game.phases[0].optimizer
    assert (optimizer.lr.at(0.3), optimizer.betas, optimizer.eps) == (8e-4, (0.0, 0.99), 1e-8)
    assert game.watch is not None
    assert game.watch(moment(1.2 / 11)) == {"progress": pytest.approx(0.5)}
    parity = classic_game(modules, ClassicGameConfig(restart_adam=True))
    assert len(parity.phases) == 2 * 5  # stages of three blocks
    for share in (0.0, 0.1, 0.2, 0.5, 0.99):
        assert [phase.name.partition("-")[0] for phase, _ in parity.moves(3, share)] == ["discriminator", "generator"]
