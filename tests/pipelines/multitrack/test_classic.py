"""Classic networks: published sizes, reduced sizes, every switch, and refusals (M5 to M13, M15 to M17, M22, M24)."""

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from audiogan.errors import RecipeError
from audiogan.pipelines.multitrack.classic import (
    ClassicConfig,
    build_classic,
    decide,
    generate_rolls,
    rolls_of,
    z_from_uniform,
    z_size,
)
from audiogan.pipelines.multitrack.classic_binary import ResidualUnit
from audiogan.pipelines.multitrack.classic_config import bar_growth, halving, latents, tiling
from audiogan.pipelines.multitrack.classic_streams import chroma_of, onsets_of
from audiogan.pipelines.multitrack.classic_v3 import PrivateHead

PAPER_SIZE: dict[str, Any] = {"n_timesteps": 96, "beat_resolution": 24}
SMALL: dict[str, Any] = {
    "n_tracks": 3,
    "n_bars": 2,
    "n_timesteps": 8,
    "n_pitches": 24,
    "beat_resolution": 4,
    "z_dim": 8,
}
VARIANTS = ["v3", "composer", "jamming", "hybrid", "binary"]


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def small(**fields: Any) -> dict[str, Any]:
    return {**SMALL, **fields}


def built(config: ClassicConfig) -> dict[str, Any]:
    return {**build_classic(config)}


def counts(**fields: Any) -> dict[str, int]:
    with torch.device("meta"):
        modules = built(ClassicConfig(**fields))
    return {name: sum(parameter.numel() for parameter in module.parameters()) for name, module in modules.items()}


def drawn_rolls(config: ClassicConfig, n: int = 2, seed: int = 0) -> Tensor:
    shape = (n, config.n_tracks, config.n_bars, config.n_timesteps, config.n_pitches)
    sounding = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.1
    return torch.where(sounding, 1.0, config.low)


def drawn_z(config: ClassicConfig, n: int = 2, seed: int = 0) -> Tensor:
    uniform = torch.rand(n, z_size(config), generator=torch.Generator().manual_seed(seed))
    return z_from_uniform(config, uniform)


def run(config: ClassicConfig) -> tuple[Tensor, Tensor]:
    modules = built(config)
    given = None if config.given_track is None else drawn_rolls(config)[:, config.given_track]
    rolls = generate_rolls(modules, config, drawn_z(config), given, generator=torch.Generator().manual_seed(0))
    assert rolls.shape == (2, config.n_tracks, config.n_bars, config.n_timesteps, config.n_pitches)
    assert config.low <= rolls.min() <= rolls.max() <= 1.0
    logits = modules["discriminator"](rolls)
    logits.sum().backward()
    for name in ("generator", "discriminator"):
        assert all(parameter.grad is not None for parameter in modules[name].parameters()), name
    return rolls, logits


# ---- Published sizes


def test_m9_v3_has_the_published_parameters():
    assert counts() == {"generator": 2_578_127, "discriminator": 1_365_841}


def test_m9_v3_with_one_last_layer_over_all_pairs():
    assert counts(bar_pairs="joined")["discriminator"] == 1_366_865


def test_m9_v3_with_private_branches_that_see_their_own_track():
    # 4 of 5 input tracks less in each of 5 x (12 + 3) x 16 kernels.
    assert counts(edition="paper")["discriminator"] == 1_365_841 - 4 * 5 * (12 + 3) * 16


@pytest.mark.parametrize(
    ("variant", "generator", "paper_generator", "paper_discriminator"),
    [
        pytest.param("composer", 1_562_501, 1_562_501, 1_174_913, id="M6"),
        pytest.param("jamming", 6_473_349, 7_797_125, 5_843_845, id="M7"),
        pytest.param("hybrid", 6_309_413, 7_144_453, 1_174_913, id="M8"),
    ],
)
def test_paper_models_have_the_published_parameters(variant, generator, paper_generator, paper_discriminator):
    code = counts(variant=variant, **PAPER_SIZE)
    assert code == {"generator": generator, "discriminator": 1_174_913}
    paper = counts(variant=variant, edition="paper", **PAPER_SIZE)
    assert paper == {"generator": paper_generator, "discriminator": paper_discriminator}


def test_binary_has_the_published_parameters():
    published = {"generator": 1_580_440, "discriminator": 2_155_297, "refiner": 76_848}
    assert counts(variant="binary", n_tracks=8, **PAPER_SIZE) == published
    each = counts(variant="binary", n_tracks=8, bar_pairs="each", **PAPER_SIZE)
    assert each["discriminator"] == 2_155_297 - 2 * 512


def test_m13_v3_with_a_given_track_has_four_heads_and_an_encoder():
    assert counts(given_track=2) == {"generator": 3_601_292, "discriminator": 1_365_841, "encoder": 288_080}


def test_published_v3_makes_four_bars_of_five_tracks():
    config = ClassicConfig()
    modules = built(config)
    with torch.no_grad():
        rolls = generate_rolls(modules, config, drawn_z(config, 1))
        assert rolls.shape == (1, 5, 4, 48, 84)
        assert modules["discriminator"](rolls).shape == (1,)


# ---- Sizes


@pytest.mark.parametrize(
    ("variant", "size"),
    [
        *[("v3", size) for size in ["5x4x48x84/12", "5x4x16x72/4", "3x3x36x84/12", "2x5x24x96/6", "2x2x40x60/10"]],
        *[("composer", size) for size in ["3x3x36x84/12", "1x1x12x12/4", "2x5x24x96/6", "2x2x40x60/10"]],
        *[("jamming", size) for size in ["5x4x96x84/24", "2x2x8x24/2"]],
        ("hybrid", "4x2x16x48/4"),
        *[("binary", size) for size in ["8x4x96x84/24", "5x4x16x72/4", "1x1x12x12/4"]],
    ],
)
def test_m5_every_size_that_divides_builds(variant, size):
    *sizes, beat_resolution = map(int, size.replace("/", "x").split("x"))
    names = ("n_tracks", "n_bars", "n_timesteps", "n_pitches")
    with torch.device("meta"):
        fields = dict(zip(names, sizes, strict=True))
        config = ClassicConfig(variant=variant, beat_resolution=beat_resolution, **fields)
        modules = built(config)
        rolls = generate_rolls(modules, config, torch.empty(2, z_size(config)))
        assert list(rolls.shape) == [2, *sizes]
        assert modules["discriminator"](rolls).shape == (2,)


def test_bar_growth_multiplies_to_the_bar():
    for n_timesteps in range(4, 200, 4):
        assert 2 * math.prod(bar_growth(n_timesteps)) == n_timesteps
        assert len(bar_growth(n_timesteps)) == 5


def test_halving_leaves_no_cell_out():
    for length, kernel in itertools.product(range(1, 60), (3, 4)):
        found = halving(length, kernel)
        assert 1 <= found <= length
        assert (length - found) % 2 == 0


def test_tiling_of_published_sizes():
    assert tiling(ClassicConfig()) == (4, 4, 3, 3, 3, 2)
    assert tiling(ClassicConfig(**PAPER_SIZE)) == (4, 4, 6, 3, 3, 2)
    for octaves in range(1, 11):
        assert tiling(ClassicConfig(n_pitches=12 * octaves)).octaves == octaves


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_pitches": 80}, "`n_pitches: 80` in model; expected a multiple of 12 (whole octaves)."),
        ({"n_timesteps": 50}, "`n_timesteps: 50` in model; expected a multiple of beat_resolution 12."),
        ({"given_track": 5}, "`given_track: 5` in model; expected less than n_tracks 5."),
        ({"n_tracks": 1, "given_track": 0}, "`n_tracks: 1` in model; expected 2 or more, since one track is given."),
        (
            {"variant": "jamming", "n_timesteps": 18, "beat_resolution": 6},
            "`n_timesteps: 18` in model; expected a multiple of 4 for jamming.",
        ),
        ({"variant": "hybrid", "z_dim": 66}, "`z_dim: 66` in model; expected a multiple of 4 for hybrid."),
        ({"variant": "composer", "z_dim": 65}, "`z_dim: 65` in model; expected a multiple of 2 for composer."),
        (
            {"main_stream": False, "chroma_stream": False, "onset_stream": False},
            "`main_stream: false` in model; expected true, or chroma_stream or onset_stream true: D needs one stream.",
        ),
        (
            {"growth": "step_first", "given_track": 0},
            "`growth: step_first` in model; expected 'beat_octave' with a given track, whose encoder mirrors it.",
        ),
        (
            {"variant": "binary", "neuron": "none"},
            "`neuron: none` in model; expected 'deterministic' or 'stochastic' for binary.",
        ),
        (
            {"variant": "binary", "given_track": 0},
            "`given_track: 0` in model; expected none for binary; the other variants take one.",
        ),
        (
            {"variant": "binary", "growth": "step_first"},
            "`growth: step_first` in model; expected 'beat_octave' for binary; the others are ablations of v3.",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused_by_name(fields, message):
    with pytest.raises(RecipeError) as refusal:
        ClassicConfig(**fields)
    assert str(refusal.value) == message


# ---- Variants and switches, at a reduced size


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_generates_and_scores(variant):
    rolls, logits = run(ClassicConfig(variant=variant, **SMALL))
    assert logits.shape == (2,)
    assert not torch.equal(rolls[0], rolls[1])


@pytest.mark.parametrize("variant", ["composer", "jamming", "hybrid"])
@pytest.mark.parametrize("fields", [{"temporal": "recurrent"}, {"edition": "paper"}, {"n_bars": 1}], ids=str)
def test_m10_m11_m12_paper_models_take_every_form(variant, fields):
    run(ClassicConfig(variant=variant, **small(**fields)))


@pytest.mark.parametrize(
    ("variant", "several_bars", "one_bar"),
    [
        ("composer", (64, 64, 0, 0), (0, 128, 0, 0)),
        ("jamming", (0, 0, 64, 64), (0, 0, 0, 128)),
        ("hybrid", (32, 32, 32, 32), (0, 64, 0, 64)),
    ],
)
def test_m10_m11_z_has_the_published_parts(variant, several_bars, one_bar):
    for n_bars, parts in ((4, several_bars), (1, one_bar)):
        config = ClassicConfig(variant=variant, n_bars=n_bars, **PAPER_SIZE)
        assert latents(config) == parts
        assert z_size(config) == sum(parts[:2]) + 5 * sum(parts[2:])


def test_m10_each_kind_of_latent_moves_what_it_should():
    config = ClassicConfig(variant="hybrid", **SMALL)
    generator = built(config)["generator"].eval()
    generator.temporal[0].bars.norm.bias.data.fill_(5.0)  # no ReLU closes
    z = drawn_z(config, 1)
    before = torch.stack(generator.bar_vectors(z), 1)  # (1, track, bar, z_dim)

    def moved(first: int) -> Tensor:
        other = z.clone()
        other[:, first : first + 2] += 30.0
        return (torch.stack(generator.bar_vectors(other), 1) - before).abs()[0]

    # z = shared varying 2, shared fixed 2, track varying 3 x 2, track fixed 3 x 2.
    assert (moved(0).sum(-1) > 0.0).all()  # shared varying: all tracks, all bars
    assert moved(0)[:, 0].ne(moved(0)[:, 1]).any()  # and not alike in every bar
    assert (moved(2) == moved(2)[:1, :1]).all()  # shared fixed: alike in every track and bar
    own, others = moved(4 + 2)[1], moved(4 + 2)[[0, 2]]
    assert own.any()
    assert own[0].ne(own[1]).any()
    assert not others.any()  # one track varying
    own, others = moved(10 + 2)[1], moved(10 + 2)[[0, 2]]
    assert own.any()
    assert torch.equal(own[0], own[1])
    assert not others.any()  # one track fixed


def test_m12_recurrent_temporal_generator_looks_back_and_not_ahead():
    config = ClassicConfig(variant="composer", temporal="recurrent", **small(n_bars=3))
    temporal = built(config)["generator"].temporal[0]
    z = drawn_z(config, 1)[:, : 3 * 4]
    other = z.clone()
    other[:, 4:8] += 1.0
    changed = (temporal(z) - temporal(other)).abs().sum(-1)[0] > 0.0
    assert changed.tolist() == [False, True, True]


@pytest.mark.parametrize("given_track", [0, 1, 2])
@pytest.mark.parametrize("variant", ["v3", "composer", "jamming", "hybrid"])
def test_m13_given_track_is_kept_and_heard(variant, given_track):
    config = ClassicConfig(variant=variant, given_track=given_track, **SMALL)
    modules = built(config)
    z, rolls = drawn_z(config, 2), drawn_rolls(config)
    full = generate_rolls(modules, config, z, rolls[:, given_track])
    assert torch.equal(full[:, given_track], rolls[:, given_track])
    others = [track for track in range(3) if track != given_track]
    again = generate_rolls(modules, config, z, drawn_rolls(config, seed=5)[:, given_track])
    assert not torch.equal(full[:, others], again[:, others])
    full.sum().backward()
    assert all(parameter.grad is not None for parameter in modules["encoder"].parameters())


@pytest.mark.parametrize("streams", [s for s in itertools.product([True, False], repeat=3) if any(s)])
@pytest.mark.parametrize("variant", ["v3", "binary"])
def test_m15_each_stream_can_be_switched_off(variant, streams):
    names = ("main_stream", "chroma_stream", "onset_stream")
    config = ClassicConfig(variant=variant, **SMALL, **dict(zip(names, streams, strict=True)))
    discriminator = built(config)["discriminator"]
    found = [getattr(discriminator, name) is not None for name in ("main", "chroma", "onset")]
    assert found == list(streams)
    assert discriminator(drawn_rolls(config)).shape == (2,)


def test_m15_chroma_folds_octaves_and_sums_beats():
    grid = torch.zeros(1, 1, 8, 24, 1)
    grid[0, 0, 1, 3] = 1.0
    grid[0, 0, 3, 15] = 1.0  # the same pitch class an octave higher, in the same beat
    grid[0, 0, 4, 4] = 1.0  # the next beat
    chroma = chroma_of(grid, 4)[0, 0, :, :, 0]
    assert chroma.nonzero().tolist() == [[0, 3], [1, 4]]
    assert chroma[0, 3] == 2.0


def test_m15_onsets_are_changes_within_a_bar():
    grid = torch.zeros(1, 2, 4, 3, 1)
    grid[0, 0, 1:3, :2] = 1.0  # two pitches start at step 1 and end at step 3
    grid[0, 1, 0, 0] = 1.0  # one sounds on the first step of the next bar
    assert onsets_of(grid)[0, :, :, 0, 0].tolist() == [[0.0, 2.0, 0.0, -2.0], [1.0, -1.0, 0.0, 0.0]]


@pytest.mark.parametrize("order", ["both", "pitch_time", "time_pitch"])
@pytest.mark.parametrize("variant", ["v3", "binary"])
def test_m15_order_of_pitch_and_time(variant, order):
    config = ClassicConfig(variant=variant, order=order, **SMALL)
    run(config)
    head = built(config)["generator"].private[0]
    assert (head.pitch_time is not None, head.time_pitch is not None) == (order != "time_pitch", order != "pitch_time")


@pytest.mark.parametrize("growth", ["beat_octave", "semitone_first", "step_first"])
def test_m15_order_of_growth(growth):
    run(ClassicConfig(growth=growth, **SMALL))
    # Published kernels: beats 4, parts 4, steps 3; octaves 7, semitones 12.
    kernels = {
        "beat_octave": [(4, 1, 1), (1, 4, 3), (1, 4, 3)],
        "semitone_first": [(4, 1, 1), (1, 4, 1), (1, 4, 1), (1, 1, 12)],
        "step_first": [(4, 1, 1), (1, 3, 3), (1, 4, 3)],
    }
    with torch.device("meta"):
        generator = built(ClassicConfig(growth=growth))["generator"]
    assert [layer.conv.kernel for layer in generator.shared] == kernels[growth]


@pytest.mark.parametrize("variant", VARIANTS)
def test_m24_layer_norm_keeps_examples_apart(variant):
    config = ClassicConfig(variant=variant, norm="layer", **SMALL)
    modules = built(config)
    z = drawn_z(config, 3)
    whole, single = generate_rolls(modules, config, z), generate_rolls(modules, config, z[:1])
    torch.testing.assert_close(whole[:1], single, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("neuron", ["deterministic", "stochastic"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_m18_m19_binary_neurons_make_binary_rolls(variant, neuron):
    config = ClassicConfig(variant=variant, neuron=neuron, **SMALL)
    rolls, _ = run(config)
    assert set(rolls.unique().tolist()) == {config.low, 1.0}


@pytest.mark.parametrize("edition", ["code", "paper"])
def test_private_branches_see_what_the_edition_says(edition):
    config = ClassicConfig(edition=edition, **SMALL)
    branch = built(config)["discriminator"].main.pitch_time
    grid = drawn_rolls(config, 1).transpose(0, 1).unsqueeze(-1)
    rolls = grid if edition == "paper" else grid.squeeze(-1).movedim(0, -1).unsqueeze(0)
    rolls = rolls.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(branch(rolls)[0].sum(), rolls)
    seen = gradient.flatten(1).any(1) if edition == "paper" else gradient.flatten(0, -2).any(0)
    assert seen.tolist() == ([True, False, False] if edition == "paper" else [True, True, True])


def test_m7_paper_jamming_has_one_judge_per_track():
    config = ClassicConfig(variant="jamming", edition="paper", **SMALL)
    discriminator = built(config)["discriminator"]
    rolls = drawn_rolls(config)
    logits = discriminator(rolls)
    assert logits.shape == (2, 3)
    rolls[:, 1] = -1.0
    assert (discriminator(rolls) != logits).tolist() == [[False, True, False]] * 2


def test_phrase_discriminator_compares_bars():
    # Bars in another order make another phrase: what the released code could not tell.
    config = ClassicConfig(variant="composer", **SMALL)
    discriminator = built(config)["discriminator"]
    for parameter in discriminator.parameters():
        parameter.data.mul_(3.0)
    rolls = drawn_rolls(config)
    assert not torch.allclose(discriminator(rolls), discriminator(rolls.flip(2)), atol=1e-9)


# ---- Against plain convolutions


def plain_grow(layer: Any, image: Tensor) -> Tensor:
    conv = layer.conv
    grown = F.conv_transpose3d(image, conv.weight.permute(0, 4, 1, 2, 3), conv.bias, conv.stride)
    normed = F.batch_norm(grown, None, None, layer.norm.weight, layer.norm.bias, training=True, eps=1e-3)
    return F.relu(normed)


def test_private_head_equals_plain_transposed_convolutions():
    config = ClassicConfig(**small(n_pitches=36))
    head: Any = PrivateHead(config, 6, (5, 4), 12, 2, 0.2)
    grid = torch.randn(2, 2, 4, 3, 6, generator=torch.Generator().manual_seed(0))
    image = grid.movedim(-1, 1)
    branches = [plain_grow(b.second, plain_grow(b.first, image)) for b in (head.pitch_time, head.time_pitch)]
    merged = F.conv3d(torch.cat(branches, 1), head.merge.weight[:, :, None, None, None], head.merge.bias)
    expected = F.batch_norm(merged, None, None, training=True, eps=1e-3).squeeze(1)
    torch.testing.assert_close(head(grid), expected, atol=6e-6, rtol=1e-4)
    assert head(grid).shape == (2, 2, 8, 36)


def test_main_stream_equals_plain_convolutions():
    config = ClassicConfig(**small(n_pitches=36))
    main = built(config)["discriminator"].main
    rolls = drawn_rolls(config)

    def plain(layers: Any, image: Tensor, track: int | None = None) -> Tensor:
        for conv in layers[::2]:
            weight, bias = (conv.weight, conv.bias) if track is None else (conv.weight[track], conv.bias[track])
            image = F.leaky_relu(F.conv3d(image, weight.permute(4, 3, 0, 1, 2), bias, conv.stride), 0.2)
        return image

    merged = [
        plain(main.merged, torch.cat([plain(main.pitch_time, rolls, t), plain(main.time_pitch, rolls, t)], 1), t)
        for t in range(3)
    ]
    expected = plain(main.shared, torch.cat(merged, 1))
    torch.testing.assert_close(main(rolls).movedim(-1, 1), expected, atol=6e-6, rtol=1e-4)


# ---- z, data, decisions


def test_z_of_v3_is_normal_within_two_deviations():
    z = drawn_z(ClassicConfig(), 400)
    assert z.abs().max() <= 2.0
    assert z.std().item() == pytest.approx(0.8796, abs=0.01)


@pytest.mark.parametrize(("variant", "std"), [("composer", 0.1), ("jamming", 0.1), ("hybrid", 0.1), ("binary", 1.0)])
def test_z_of_the_others_is_normal(variant, std):
    config = ClassicConfig(variant=variant)
    z = drawn_z(config, 400)
    assert z.std().item() == pytest.approx(std, rel=0.02)
    assert z.mean().item() == pytest.approx(0.0, abs=0.02 * std)
    assert z_from_uniform(config, torch.zeros(1, z_size(config))).isfinite().all()


@pytest.mark.parametrize(("variant", "low"), [("v3", -1.0), ("composer", -1.0), ("binary", 0.0)])
def test_rolls_of_data_sound_where_onset_or_sustain_is(variant, low):
    config = ClassicConfig(variant=variant, **SMALL)
    planes = torch.zeros(1, 4, 3, 2, 8, 24)
    planes[0, 0, 1, 0, 0, 7] = 1.0
    planes[0, 1, 1, 0, 1, 7] = 1.0
    planes[0, 2:, 0] = 0.4  # velocity and timing are not sound
    rolls = rolls_of(planes, config)
    assert (rolls == 1.0).nonzero().tolist() == [[0, 1, 0, 0, 7], [0, 1, 0, 1, 7]]
    assert rolls.min() == low


def test_rolls_of_data_of_another_shape_are_refused():
    config = ClassicConfig(**SMALL)
    message = r"pitch\) \(3, 2, 8, 36\) in the data; the model has \(3, 2, 8, 24\)\.$"
    with pytest.raises(RecipeError, match=message):
        rolls_of(torch.zeros(1, 4, 3, 2, 8, 36), config)


@pytest.mark.parametrize("variant", ["v3", "binary"])
def test_m16_threshold_is_the_middle(variant):
    config = ClassicConfig(variant=variant)
    middle = (1.0 + config.low) / 2.0
    rolls = torch.tensor([config.low, middle - 0.01, middle + 0.01, 1.0])
    assert decide(rolls, config).tolist() == [False, False, True, True]


@pytest.mark.parametrize("variant", ["v3", "binary"])
def test_m17_bernoulli_decides_by_probability(variant):
    config = ClassicConfig(variant=variant)
    probabilities = torch.tensor([0.0, 0.25, 0.8, 1.0])
    rolls = (config.low + (1.0 - config.low) * probabilities).repeat(20000, 1)
    sounds = decide(rolls, config, "bernoulli", torch.Generator().manual_seed(0))
    torch.testing.assert_close(sounds.float().mean(0), probabilities, atol=0.015, rtol=0.0)
    assert not sounds[:, 0].any()
    assert sounds[:, 3].all()


# ---- Refiner


def test_m22_refiner_starts_as_a_threshold_at_one_half():
    config = ClassicConfig(variant="binary", **SMALL)
    refiner = built(config)["refiner"]
    for parameter in refiner.parameters():
        if parameter.dim() > 1:
            parameter.data.zero_()
    probabilities = torch.rand(2, 3, 2, 8, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(refiner(probabilities), (probabilities > 0.5).float())


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_m22_residual_unit_equals_plain_convolutions_with_same_padding():
    unit: Any = ResidualUnit(ClassicConfig(variant="binary", **SMALL), bias=0.1)
    image = torch.randn(2, 1, 8, 24, generator=torch.Generator().manual_seed(0))
    maps = F.conv2d(F.relu(unit.widen_norm(image)), unit.widen.weight, unit.widen.bias, padding="same")
    correction = F.conv2d(F.relu(unit.narrow_norm(maps)), unit.narrow.weight, unit.narrow.bias, padding="same")
    torch.testing.assert_close(unit(image), image + correction, atol=6e-6, rtol=1e-5)


def test_m22_without_refiner_binary_rolls_are_probabilities():
    config = ClassicConfig(variant="binary", **SMALL)
    modules = built(config)
    soft = generate_rolls(modules, config, drawn_z(config), refine=False)
    assert len(soft.unique()) > 2
    assert set(generate_rolls(modules, config, drawn_z(config)).unique().tolist()) == {0.0, 1.0}
