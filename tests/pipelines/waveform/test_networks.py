"""The default and the style networks: shapes, masks, what depends on what, resampling, exact penalties."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogan.adversarial.penalty import r1_r2
from audiogan.layers import Scaled, batch_deviation, double, halve, pixel_norm
from audiogan.pipelines.waveform.encoder import TimbreEncoder
from audiogan.pipelines.waveform.network_config import ResidualConfig, StyleConfig
from audiogan.pipelines.waveform.networks import build_networks
from audiogan.pipelines.waveform.plan import Plan, Sheet, hertz, midi_pitch, set_normalizer
from audiogan.pipelines.waveform.residual import Discriminator, Generator, pitch_features, stage_lengths
from audiogan.pipelines.waveform.style import Modulated, StyleGenerator
from audiogan.representation.base import Normalizer
from tests.pipelines.waveform.small_planes import LINE, PICTURE, RESIDUAL, STYLE, batch_of, drawn, line, picture, stir

CASES = [(line, RESIDUAL), (picture, RESIDUAL), (line, STYLE), (picture, STYLE)]
IDS = ["line", "picture", "line-style", "picture-style"]


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def made(modules: dict[str, nn.Module], n: int = 4, seed: int = 0, **given: Tensor) -> Tensor:
    usual = {
        "z": drawn(n, 6, seed=seed),
        "h": drawn(n, 5, seed=seed + 1),
        "pitch": torch.linspace(49.3, 71.0, n),
        "velocity": torch.linspace(0.2, 1.0, n),
    }
    return modules["generator"](**(usual | given))


# ---- layers


def test_halving_and_doubling_worked_out() -> None:
    x = torch.tensor([[1.0, 5.0, 9.0]])
    assert halve(x, 1).tolist() == [[2.0, 8.0]]  # (1 + 2 + 5) / 4, (5 + 18 + 9) / 4
    assert double(x, 1, 6).tolist() == [[1.0, 2.0, 4.0, 6.0, 8.0, 9.0]]
    assert double(x, 1, 5).tolist() == [[1.0, 2.0, 4.0, 6.0, 8.0]]
    assert halve(torch.tensor([[[1.0, 3.0, 5.0, 3.0]]]), 2).tolist() == [[[1.5, 4.0]]]


def test_equalised_layers_act_like_plain_ones_and_keep_their_weights_large() -> None:
    plain, equal = Scaled(50, 400, (3,)), Scaled(50, 400, (3,), equalised=True)
    x = drawn(8, 50, 20)
    assert plain(x)[..., 1:-1].std().item() == pytest.approx(2**0.5, rel=0.05)
    assert equal(x)[..., 1:-1].std().item() == pytest.approx(2**0.5, rel=0.05)
    assert equal.weight.std().item() == pytest.approx(1.0, rel=0.02)
    expected = F.conv1d(x, equal.weight * (2 / 150) ** 0.5, equal.bias, padding=1)
    torch.testing.assert_close(equal(x), expected)


def test_pixel_norm_and_batch_deviation_worked_out() -> None:
    assert pixel_norm(torch.tensor([[3.0, 3.0], [0.0, 4.0]])).tolist()[0] == pytest.approx([1.0, 1.0])
    spread = batch_deviation(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), eps=0.0)
    assert spread.item() == pytest.approx(0.5)  # deviations 1 and 0


def test_modulation_scales_the_weights_of_each_example() -> None:
    layer = Modulated(4, 3, (5,), 6)
    stir(layer, 1.0)
    x, w = drawn(2, 4, 9), drawn(2, 6, seed=1)
    style = layer.style(w)
    for row in range(2):
        weight = layer.conv.weight * layer.conv.scale * style[row].view(1, -1, 1)
        weight = weight / weight.square().sum((1, 2), keepdim=True).sqrt()
        expected = F.conv1d(x[row : row + 1], weight, layer.conv.bias, padding=2)
        torch.testing.assert_close(layer(x, w)[row : row + 1], expected, atol=1e-5, rtol=1e-4)


# ---- sizes


@pytest.mark.parametrize(
    ("lengths", "smallest", "last"),
    [((192,), 8, (12,)), ((256,), 8, (8,)), ((17,), 8, (9,)), ((7,), 8, (7,)), ((1024, 128), 4, (4, 4))],
)
def test_stages_end_small(lengths: tuple[int, ...], smallest: int, last: tuple[int, ...]) -> None:
    stages = stage_lengths(lengths, smallest)
    assert stages[0] == lengths
    assert stages[-1] == last


def big_plan(rows: int, frames: int) -> Plan:
    shape = (3, rows, 1 + frames)
    return Plan(shape, True, (24, 96), lambda f0: torch.ones(*f0.shape, *shape[:2], 1), torch.zeros(shape))


def big_picture() -> Plan:
    shape = (2, 1024, 128)
    return Plan(shape, False, (24, 96), lambda f0: torch.ones(*f0.shape, *shape[:2], 1), torch.zeros(shape))


@pytest.mark.parametrize("kind", [ResidualConfig, StyleConfig])
@pytest.mark.parametrize("plan", [big_plan(64, 192), big_plan(96, 256), big_picture()], ids=["64", "96", "picture"])
def test_networks_of_the_usual_size_fit_into_16_megabytes(plan: Plan, kind: type) -> None:
    network = kind() if plan.head else kind(max_width=128)
    sizes = {name: sum(p.numel() for p in m.parameters()) for name, m in build_networks(plan, network).items()}
    assert 2 * sum(sizes.values()) < 16e6
    assert 1e6 < sizes["generator"] < 4e6
    assert 1e6 < sizes["discriminator"] < 4e6


def test_wider_networks_are_larger() -> None:
    small, large = (
        build_networks(big_plan(64, 192), network)["generator"]
        for network in (ResidualConfig(), ResidualConfig(width=64, max_width=512, depth=2))
    )
    assert sum(p.numel() for p in large.parameters()) > 5 * sum(p.numel() for p in small.parameters())


# ---- what they give


@pytest.mark.parametrize(("plan", "network"), CASES, ids=IDS)
def test_shapes(plan, network) -> None:
    modules = build_networks(plan(), network)
    planes = made(modules)
    assert planes.shape == (4, *plan().shape)
    pitch, velocity, h = torch.tensor([50.0, 60.5, 70.0, 71.0]), torch.rand(4), drawn(4, 5)
    judged = modules["discriminator"](planes, pitch, velocity, h)
    assert judged.logits.shape == (4,)
    assert judged.pitch.shape == (4, 25)
    assert modules["encoder"](planes, pitch).shape == (4, 5)
    assert modules["generator"](drawn(4, 6), None, pitch, velocity).shape == planes.shape
    assert modules["discriminator"](planes, pitch, velocity).logits.shape == (4,)


@pytest.mark.parametrize("network", [RESIDUAL, STYLE], ids=["residual", "style"])
def test_rows_that_mean_nothing_are_silent_and_never_looked_at(network) -> None:
    modules = build_networks(line(), network)
    for module in modules.values():
        stir(module, 0.2)
    pitch = torch.full((4,), 70.0)  # 466 Hz: four partials below 2000
    planes = made(modules, pitch=pitch)
    assert (planes[:, 0, 4:] == -1).all()
    assert (planes[:, 1, 4:] == 0).all()
    assert (planes[:, :2, :4].abs() < 0.999).any()
    spoilt = planes.clone()
    spoilt[:, :2, 4:] = 7.0
    velocity, h = torch.rand(4), drawn(4, 5)
    judge, encoder = modules["discriminator"], modules["encoder"]
    assert torch.equal(judge(planes, pitch, velocity, h).logits, judge(spoilt, pitch, velocity, h).logits)
    assert torch.equal(encoder(planes, pitch), encoder(spoilt, pitch))
    spoilt[:, 0, 3] = 7.0
    assert not torch.equal(encoder(planes, pitch), encoder(spoilt, pitch))
    assert not torch.equal(judge(planes, pitch, velocity, h).logits, judge(spoilt, pitch, velocity, h).logits)


def test_penalties_do_not_count_rows_that_mean_nothing() -> None:
    judge = build_networks(line(), RESIDUAL)["discriminator"]
    assert isinstance(judge, Discriminator)
    stir(judge)
    normal, pitch = drawn(2, *LINE).requires_grad_(), torch.full((2,), 70.0)
    judge.judge(normal, pitch, torch.ones(2)).logits.sum().backward()
    assert normal.grad is not None
    assert (normal.grad[:, :2, 4:] == 0).all()
    assert (normal.grad[:, :2, :4] != 0).any()


@pytest.mark.parametrize(("plan", "network"), CASES, ids=IDS)
def test_every_condition_matters_to_the_generator(plan, network) -> None:
    modules = build_networks(plan(), network)
    first = made(modules)
    n, pitch = 4, torch.linspace(49.3, 71.0, 4)
    others = {
        "z": made(modules, z=drawn(n, 6, seed=9)),
        "h": made(modules, h=drawn(n, 5, seed=9)),
        "quarter-tone": made(modules, pitch=pitch + 0.5),
        "velocity": made(modules, velocity=torch.zeros(n)),
        "null": made(modules, keep=torch.zeros(n)),
    }
    for name, other in others.items():
        assert (other - first).flatten(1).abs().amax(1).min() > 1e-4, name
    nothing = modules["generator"](drawn(n, 6), None, pitch, torch.linspace(0.2, 1.0, n))
    assert torch.equal(nothing, others["null"])
    assert torch.equal(made(modules), first)


@pytest.mark.parametrize(("plan", "network"), CASES, ids=IDS)
def test_every_condition_matters_to_the_discriminator(plan, network) -> None:
    modules = build_networks(plan(), network)
    judge, planes = modules["discriminator"], made(modules)
    stir(judge)
    pitch, velocity, h = torch.full((4,), 50.0), torch.full((4,), 0.5), drawn(4, 5)
    first = judge(planes, pitch, velocity, h).logits
    for other in (
        judge(planes, pitch + 0.5, velocity, h),
        judge(planes, pitch, velocity + 0.3, h),
        judge(planes, pitch, velocity, -h),
        judge(planes, pitch, velocity, h, torch.zeros(4)),
        judge(planes.flip(-1), pitch, velocity, h),
    ):
        assert (other.logits - first).abs().min() > 1e-5


def test_the_discriminator_sees_that_all_are_alike() -> None:
    judge = build_networks(line(), RESIDUAL)["discriminator"]
    stir(judge)
    planes, pitch, velocity = drawn(4, *LINE), torch.full((4,), 50.0), torch.full((4,), 0.5)
    alone = judge(planes[:1].expand(4, -1, -1, -1), pitch, velocity).logits[0]
    assert (judge(planes, pitch, velocity).logits[0] - alone).abs() > 1e-4


def test_the_head_is_read_and_written_apart() -> None:
    modules = build_networks(line(), RESIDUAL)
    planes = made(modules)
    pitch, velocity = torch.full((4,), 50.0), torch.full((4,), 0.5)
    changed = planes.clone()
    changed[..., 0] = changed[..., 0] + 0.5
    for name, given in (("discriminator", (pitch, velocity)), ("encoder", (pitch,))):
        first, second = modules[name](planes, *given), modules[name](changed, *given)
        first, second = (item.logits if name == "discriminator" else item for item in (first, second))
        assert not torch.equal(first, second), name
    assert planes[..., 0].std() > 0


@pytest.mark.parametrize(("plan", "network"), CASES, ids=IDS)
def test_every_weight_is_used(plan, network) -> None:
    modules, batch = build_networks(plan(), network), batch_of(plan(), 4)
    for module in modules.values():
        stir(module)
    pitch, velocity, keep = batch["pitch"], batch["velocity"], torch.tensor([1.0, 0.0, 1.0, 0.0])
    h = modules["encoder"](batch["planes"], pitch)
    planes = modules["generator"](drawn(4, 6), h, pitch, velocity, keep)
    judged = modules["discriminator"](batch["planes"], pitch, velocity, h, keep)
    (planes.square().sum() + judged.logits.square().sum() + judged.pitch.square().sum()).backward()
    encoder = modules["encoder"]
    assert isinstance(encoder, TimbreEncoder)
    encoder.reader(h.detach()).square().sum().backward()
    for name, module in modules.items():
        for key, parameter in module.named_parameters():
            assert parameter.grad is not None, f"{name}.{key}"
            assert (parameter.grad != 0).any(), f"{name}.{key}"


def test_penalties_are_exact() -> None:
    """The squared gradient that R1 takes equals finite differences, and its own gradient reaches the weights."""
    judge = build_networks(line(), RESIDUAL)["discriminator"].double()
    assert isinstance(judge, Discriminator)
    stir(judge)
    for parameter in judge.parameters():
        parameter.data = parameter.data.double()
    pitch, velocity = torch.full((2,), 50.0).double(), torch.full((2,), 0.5).double()
    real = drawn(2, *LINE).double() * judge.sheet.mask(pitch)

    def logits(x: Tensor) -> Tensor:
        return judge.judge(x, pitch, velocity).logits

    terms = r1_r2(logits, logits, real, real, 2.0, 0.0)[2]
    eps, total = 1e-6, 0.0
    for cell in range(real[0].numel()):
        step = torch.zeros_like(real).flatten(1)
        for row in range(2):
            step.zero_()
            step[row, cell] = eps
            bump = step.view_as(real)
            total += float(((logits(real + bump) - logits(real - bump)).sum() / (2 * eps)).square().detach())
    assert terms["r1"].item() == pytest.approx(total / 2, rel=1e-3)
    terms["r1"].backward()
    weight = judge.trunk.blocks[0][0].first.weight  # pyright: ignore[reportIndexIssue]
    assert weight.grad is not None
    analytic = weight.grad.flatten()[7].item()
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.view(-1)[7] += sign * 1e-3
        values.append(r1_r2(logits, logits, real, real, 2.0, 0.0)[2]["r1"].item())
        with torch.no_grad():
            weight.view(-1)[7] -= sign * 1e-3
    assert analytic == pytest.approx((values[0] - values[1]) / 2e-3, rel=1e-2)


# ---- pitch and scale


def test_pitch_and_frequency_are_inverse() -> None:
    pitch = torch.tensor([24.0, 60.5, 69.0, 96.0])
    assert hertz(torch.tensor(69.0)).item() == pytest.approx(440.0)
    torch.testing.assert_close(midi_pitch(hertz(pitch)), pitch)


def test_every_pitch_has_features_of_its_own_and_near_ones_are_alike() -> None:
    features = pitch_features(torch.arange(24.0, 96.5, 0.5))
    distance = torch.cdist(features, features)
    assert (distance + torch.eye(len(features))).min() > 0.1
    assert distance.diagonal(1).max() < 1.5 < distance.max()


def test_a_normaliser_changes_what_networks_see_but_not_what_planes_mean() -> None:
    modules = build_networks(line(), RESIDUAL)
    before = made(modules)
    scale, shift = torch.tensor([2.0, 10.0, 1.0]).view(3, 1, 1), torch.tensor([0.5, 0.0, 0.1]).view(3, 1, 1)
    set_normalizer(modules, Normalizer(scale, shift))
    after = made(modules)
    pitch = torch.linspace(49.3, 71.0, 4)
    generator = modules["generator"]
    assert isinstance(generator, Generator)
    mask = generator.sheet.mask(pitch)
    torch.testing.assert_close(after * mask, ((before - shift) / scale) * mask)
    torch.testing.assert_close(generator.sheet.leave(generator.sheet.enter(before, pitch), pitch), before)
    assert torch.equal(after[:, 0, -1][mask[:, 0, -1, 0] < 0.5], before[:, 0, -1][mask[:, 0, -1, 0] < 0.5])
    assert "sheet.scale" in generator.state_dict()
    assert "sheet.empty" not in generator.state_dict()


def test_style_can_be_reached_by_w() -> None:
    generator = build_networks(picture(), STYLE)["generator"]
    assert isinstance(generator, StyleGenerator)
    pitch, velocity = torch.full((3,), 60.0), torch.full((3,), 0.5)
    w = generator.style(drawn(3, 6), None, pitch, velocity)
    assert w.shape == (3, 16)
    torch.testing.assert_close(
        generator.sheet.leave(generator.of_style(w, pitch), pitch), generator(drawn(3, 6), None, pitch, velocity)
    )
    assert generator.of_style(w, pitch).shape == (3, *PICTURE)


def test_deviation_and_offset_count_as_much_as_their_partial() -> None:
    sheet = Sheet(line())
    pitch = torch.full((1,), 60.0)
    normal = torch.zeros(1, *line().shape)
    normal[0, 0, 0], normal[0, 0, 1], normal[0, 0, 2] = 1.0, 0.0, -1.0  # loud, half as loud, silent
    normal[0, 1], normal[0, 0, :, 0] = 0.8, 0.6
    heard = sheet.heard(normal, pitch)
    torch.testing.assert_close(heard[0, 1, :3, 5], torch.tensor([0.8, 0.4, 0.0]))
    torch.testing.assert_close(heard[0, 1, :3, 0], torch.full((3,), 0.8))  # the head holds phases
    torch.testing.assert_close(heard[0, 0, :3, 1:], normal[0, 0, :3, 1:])
    torch.testing.assert_close(heard[0, 0, :3, 0], torch.tensor([0.6, 0.3, 0.0]))
    normal[0, 0, 0] = -1.0
    assert sheet.heard(normal, pitch)[0, 0, 0, 0] == -1.0, "row 0 holds the tuning, however quiet its partial"
