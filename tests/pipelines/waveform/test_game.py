"""The game: pairs of equal pitch, what D is told, every term, who moves, and that it learns."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from audiogan.adversarial.augment import AugmentConfig
from audiogan.adversarial.game import Moment
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.trainer import Finished, TrainConfig, Trainer
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.game import (
    GameConfig,
    OptimizersConfig,
    Pair,
    TimbreConfig,
    _Terms,
    default_gamma,
    default_optimizer,
    phases,
)
from audiogan.pipelines.waveform.network_config import ClassicConfig, ResidualConfig, StyleConfig
from audiogan.pipelines.waveform.networks import build_networks
from audiogan.pipelines.waveform.plan import hertz
from audiogan.pipelines.waveform.residual import Judged
from tests.pipelines.waveform.small_planes import (
    CLASSIC,
    LEARNER,
    LINE,
    RESIDUAL,
    STYLE,
    STYLE_LEARNER,
    batch_of,
    drawn,
    line,
    picture,
    stir,
)

N_INSTRUMENTS = 4


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def moment(step: int = 1, share: float = 0.5, phase: str = "generator") -> Moment:
    return Moment(step=step, share=share, n_seen=0, span_share=share, phase=phase)


def terms_of(timbre: TimbreConfig | None = None, network: ResidualConfig | StyleConfig = RESIDUAL, **game) -> _Terms:
    modules = build_networks(line(), network)
    for module in modules.values():
        stir(module, 0.2)
    return _Terms(modules, network, GameConfig(timbre=timbre or TimbreConfig(), **game), "harmonic")


def judged(terms: _Terms, pair: Pair, side: str) -> Callable[[Tensor], Judged]:
    """D as the penalties see it."""
    return terms.duel.side(moment(), side, pair.contest.conditions)


# ---- pairs


def test_both_of_a_pair_are_shown_changed_alike_and_as_often_as_the_recipe_says() -> None:
    seen: dict[float, list[Tensor]] = {}
    for probability in (0.0, 1.0):
        augment = AugmentConfig(probability=Schedule(start=probability))
        terms, batch = terms_of(augment=augment), batch_of(line(), 8)
        shown = seen.setdefault(probability, [])
        terms.judge.judge = lambda planes, *_, shown=shown: shown.append(planes)  # type: ignore[method-assign]
        pair = terms.pair(batch, moment())
        for side in ("real", "fake"):
            judged(terms, pair, side)(pair.real.clone())
    assert torch.equal(seen[0.0][0], pair.real)
    assert not torch.equal(seen[1.0][0], pair.real)
    assert torch.equal(seen[1.0][0], seen[1.0][1])


def test_a_pair_shares_pitch_and_velocity_and_rows() -> None:
    terms, batch = terms_of(), batch_of(line(), 8)
    calls: list[tuple[Tensor, ...]] = []
    terms.judge.judge = lambda *args: calls.append(args)  # type: ignore[method-assign]
    pair = terms.pair(batch, moment())
    torch.testing.assert_close(pair.pitch, batch["pitch"])
    mask = line().mask(batch["f0"]).expand_as(pair.real)
    assert (pair.real[mask < 0.5] == 0).all()
    assert (pair.fake[mask < 0.5] == 0).all()
    judged(terms, pair, "real")(pair.real)
    judged(terms, pair, "fake")(pair.fake)
    assert all(first is second for first, second in zip(calls[0][1:], calls[1][1:], strict=True))


def test_the_discriminator_is_told_the_timbre_of_the_other_note() -> None:
    terms, batch = terms_of(TimbreConfig(dropout=0.0)), batch_of(line(), 8)
    calls: list[tuple[Tensor, ...]] = []
    terms.judge.judge = lambda *args: calls.append(args)  # type: ignore[method-assign]
    pair = terms.pair(batch, moment())
    judged(terms, pair, "real")(pair.real)
    _, _, _, shown, kept = calls[0]
    expected = terms.encoder(batch["partner_planes"], batch["partner_pitch"])
    torch.testing.assert_close(shown, expected)
    assert not shown.requires_grad
    assert kept.tolist() == [1.0] * 8
    from_own = (pair.h == pair.own).all(1)
    assert from_own.any()
    assert (pair.h[~from_own] == pair.other[~from_own]).all()
    assert (~from_own).any()


def test_half_of_the_timbres_are_dropped() -> None:
    terms = terms_of()
    own, other = drawn(4000, 5), drawn(4000, 5, seed=1)
    h, kept, given = terms.timbres(own, other, moment(step=1))
    assert 0.46 < kept.mean().item() < 0.54
    assert torch.equal(kept, given)
    share = (h == own).all(1).float().mean().item()
    assert 0.46 < share < 0.54


def test_a_note_without_a_partner_keeps_no_timbre() -> None:
    """D would be told the timbre of the very note that it judges."""
    terms, batch = terms_of(TimbreConfig(dropout=0.0)), batch_of(line(), 4)
    assert terms.pair(batch, moment()).kept.tolist() == [1, 1, 1, 1]
    assert terms.pair(batch | {"has_partner": torch.tensor([1.0, 0, 1, 0])}, moment()).kept.tolist() == [1, 0, 1, 0]


def test_some_steps_lie_between_timbres() -> None:
    terms = terms_of()
    own = drawn(400, 5)
    h, kept, given = terms.timbres(own, own, moment(step=4))
    assert (given == 1).all()
    assert torch.equal(h[kept > 0.5], own[kept > 0.5])
    ahead, free = own.roll(1, 0), kept < 0.5
    along = (h - own)[free] / (ahead - own)[free]
    assert along.std(dim=1).max() < 1e-2
    assert along.min() >= -1e-3
    assert along.max() <= 1.001
    assert along.mean(1).std() > 0.2
    never = terms_of(TimbreConfig(interpolation_interval=0)).timbres(own, own, moment(step=4))
    assert not (never[2] == 1).all()


def test_free_timbres_may_come_from_the_mixture() -> None:
    terms = terms_of(TimbreConfig(free="mixture"))
    own = drawn(200, 5)
    h, kept, given = terms.timbres(own, own, moment(step=1))
    assert (given == 1).all()
    assert torch.equal(h[kept > 0.5], own[kept > 0.5])
    assert (h[kept < 0.5] - own[kept < 0.5]).abs().amax(1).min() > 1e-3


def test_free_timbres_may_be_both() -> None:
    terms, own = terms_of(TimbreConfig(free="both")), drawn(4000, 5)
    h, kept, given = terms.timbres(own, own, moment(step=1))
    assert 0.46 < kept.mean().item() < 0.54
    assert (given[kept > 0.5] == 1).all()
    assert 0.46 < given[kept < 0.5].mean().item() < 0.54
    from_mixture = (given > 0.5) & (kept < 0.5)
    assert (h[from_mixture] - own[from_mixture]).abs().amax(1).min() > 1e-3
    assert (terms.timbres(own, own, moment(step=4))[2] == 1).all(), "between two timbres nothing is left out"


# ---- terms


def test_the_terms_of_both_players() -> None:
    terms, batch = terms_of(), batch_of(line(), 8)
    for_d = terms.discriminator(batch, moment(phase="discriminator"))
    assert set(for_d) == {"adversarial", "r1", "r2", "pitch", "pair_sign"}
    for_g = terms.generator(batch, moment())
    names = {
        "adversarial",
        "pitch",
        "reconstruction",
        "offsets",
        "features",
        "consistency",
        "contrast",
        "reversal",
        "divergence",
    }
    assert set(for_g) == names
    assert all(bool(term.isfinite()) for term in (*for_d.values(), *for_g.values()))


@pytest.mark.parametrize("name", ["reconstruction", "offsets", "features", "consistency", "contrast", "divergence"])
def test_weights_scale_their_term_and_zero_leaves_it_out(name: str) -> None:
    weight = getattr(TimbreConfig(), name)
    found = [
        terms_of(TimbreConfig(**{name: value})).generator(batch_of(line(), 8), moment())  # pyright: ignore[reportArgumentType]
        for value in (weight, 2 * weight, 0.0)
    ]
    assert found[1][name].item() == pytest.approx(2 * found[0][name].item(), rel=1e-4)
    assert name not in found[2]


def test_reconstruction_is_the_mean_distance_where_cells_mean_something() -> None:
    terms, batch = terms_of(TimbreConfig(dropout=0.0)), batch_of(line(), 8)
    made = terms.generator(batch, moment())["reconstruction"]
    pair = terms.pair(batch, moment())
    mask = line().mask(batch["f0"]).expand_as(pair.real).clone()
    mask[..., 0] = 0.0
    sheet = terms.generate.sheet
    expected = (sheet.heard(pair.real, pair.pitch) - sheet.heard(pair.fake, pair.pitch)).abs()[mask > 0.5].mean()
    assert made.item() == pytest.approx(expected.item(), rel=1e-4)


def test_offsets_are_those_of_partials_that_can_be_heard() -> None:
    terms, batch = terms_of(TimbreConfig(dropout=0.0, offsets=1.0)), batch_of(line(), 8)
    made = terms.generator(batch, moment())["offsets"]
    pair = terms.pair(batch, moment())
    sheet, mask = terms.generate.sheet, line().mask(batch["f0"])[:, 0, :, 0]
    real, fake = (sheet.heard(one, pair.pitch)[:, 0, :, 0] for one in (pair.real, pair.fake))
    assert made.item() == pytest.approx((real - fake).abs()[mask > 0.5].mean().item(), rel=1e-4)


def test_without_a_kept_timbre_nothing_is_compared() -> None:
    """But the terms are there, since processes that train together must have the same ones."""
    none, some = (terms_of(TimbreConfig(dropout=d)).generator(batch_of(line(), 4), moment()) for d in (1.0, 0.0))
    assert list(none) == list(some)
    compared = ("reconstruction", "offsets", "features", "consistency")
    assert all(none[name].item() == 0 < some[name].item() for name in compared)


def test_the_reversal_pushes_pitch_out_of_h() -> None:
    """The same term moves the reader one way and the encoder the other."""
    gradients = []
    for strength in (0.5, 1.0):
        terms = terms_of(TimbreConfig(reversal=Schedule(start=strength)))
        terms.generator(batch_of(line(), 8), moment())["reversal"].backward()
        out, reader = terms.encoder.out.weight.grad, terms.encoder.reader.second.weight.grad
        assert out is not None
        assert reader is not None
        gradients.append((out.clone(), reader.clone()))
    torch.testing.assert_close(gradients[1][0], 2 * gradients[0][0])
    torch.testing.assert_close(gradients[1][1], gradients[0][1])


def test_gradients_reach_generator_and_encoder() -> None:
    terms = terms_of(TimbreConfig(dropout=0.3))
    sum(terms.generator(batch_of(line(), 8), moment()).values(), torch.zeros(())).backward()
    for module in (terms.generate, terms.encoder):
        for key, parameter in module.named_parameters():
            assert parameter.grad is not None, key
            assert (parameter.grad != 0).any(), key


def test_gradients_reach_the_whole_discriminator() -> None:
    terms = terms_of()
    made = terms.discriminator(batch_of(line(), 8), moment(phase="discriminator"))
    (made["adversarial"] + made["r1"] + made["r2"] + made["pitch"]).backward()
    for key, parameter in terms.judge.named_parameters():
        assert parameter.grad is not None, key
        # In relativistic pairs what is added to every logit cancels.
        assert (parameter.grad != 0).any() or key == "logit.bias", key
    assert all(parameter.grad is None for parameter in terms.generate.parameters())


def test_draws_depend_on_the_moment_alone() -> None:
    terms, batch = terms_of(), batch_of(line(), 6)
    first, again, later = (terms.pair(batch, moment(step)).fake for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


# ---- defaults by network


def gammas(terms: _Terms, at: Moment, n_examples: int = 32) -> tuple[float, float]:
    return terms.duel.gammas(at, *terms.schedules(n_examples))


def test_penalties_of_the_default() -> None:
    terms = terms_of()
    assert terms.duel.objective == "rpgan"
    assert gammas(terms, moment(step=3, share=0.0)) == (10.0, 10.0)
    assert gammas(terms, moment(step=3, share=1.0)) == pytest.approx((1.0, 1.0))
    lazy = terms_of(penalty_interval=4, r1=Schedule(start=2.0))
    assert gammas(lazy, moment(step=3)) == (0.0, 0.0)
    assert gammas(lazy, moment(step=4)) == (8.0, 8.0)
    sizes = {(2, 64, 64): 1.0, (2, 128, 256): 10.0, (2, 1024, 128): 50.0}
    for shape, expected in sizes.items():
        assert default_gamma(picture(shape)).start == pytest.approx(expected, rel=0.1)


def test_penalties_of_style() -> None:
    terms = terms_of(network=STYLE)
    assert terms.duel.objective == "nonsaturating"
    assert gammas(terms, moment(step=15)) == (0.0, 0.0)
    expected = 16 * 0.0002 * (3 * 8 * 18) / 32
    assert gammas(terms, moment(step=16)) == (pytest.approx(expected), 0.0)
    made = terms.discriminator(batch_of(line(), 4), moment(step=16, phase="discriminator"))
    assert "r1" in made
    assert "r2" not in made


def test_optimisers_follow_the_network() -> None:
    usual = default_optimizer(ResidualConfig(max_width=256))
    assert usual.lr.at(0.5) == pytest.approx(1.25e-4)
    assert usual.lr.at(1.0) == pytest.approx(5e-5)
    assert usual.lr.at(0.01) < 1.1e-4
    assert usual.beta2 is not None
    assert (usual.beta2.at(0.0), usual.beta2.at(1.0)) == pytest.approx((0.9, 0.99))
    assert default_optimizer(ResidualConfig(max_width=1024)).lr.at(1.0) == pytest.approx(2.5e-5)
    assert default_optimizer(StyleConfig()).lr.at(0.7) == 2.5e-3


def test_who_moves() -> None:
    game = phases(build_networks(line(), RESIDUAL), Config(), GameConfig(), OptimizersConfig())
    assert [(phase.name, phase.modules) for phase in game.phases] == [
        ("discriminator", ("discriminator",)),
        ("generator", ("generator", "encoder")),
    ]
    assert set(game.averaged) == {"generator", "encoder", "discriminator"}
    assert game.watch is not None
    assert game.watch(moment(step=7, share=0.0)) == {"gamma": 10.0}
    lazy = terms_of(network=STYLE, r1=Schedule(start=2.0))
    assert [lazy.watch(moment(step)) for step in (15, 16)] == [{"gamma": 2.0}] * 2
    style = terms_of(network=STYLE)
    style.discriminator(batch_of(line(), 4), moment(step=16, phase="discriminator"))
    assert style.watch(moment(step=17))["gamma"] == pytest.approx(0.0002 * (3 * 8 * 18) / 4)
    own = OptimizersConfig(generator=default_optimizer(StyleConfig()))
    changed = phases(build_networks(line(), RESIDUAL), Config(), GameConfig(), own)
    assert changed.phases[1].optimizer.lr.start == 2.5e-3
    classic = Config(network=ClassicConfig())
    names = [
        phase.name
        for phase in phases(build_networks(picture(), CLASSIC), classic, GameConfig(), OptimizersConfig()).phases
    ]
    assert names == ["discriminator", "generator"]


# ---- learning


class Orchestra:
    """Four instruments whose partials fall at four rates and decay at four; every pitch of two octaves."""

    def __init__(self, plan_line: bool = True) -> None:
        self.plan = line() if plan_line else picture()

    def __len__(self) -> int:
        return 100

    def note(self, instrument: Tensor, pitch: Tensor) -> Tensor:
        k, time = torch.arange(8.0), torch.linspace(0, 1, 17)
        fall = torch.tensor([0.02, 0.1, 0.18, 0.26])[instrument].view(-1, 1, 1)
        decay = torch.tensor([0.9, 0.6, 0.3, 0.0])[instrument].view(-1, 1, 1)
        planes = torch.zeros(len(instrument), *LINE)
        planes[:, 0, :, 1:] = 0.8 - fall * k.view(1, -1, 1) - decay * time
        planes[:, 2, :, 1:] = -0.5
        mask = self.plan.mask(hertz(pitch)) > 0.5
        return torch.where(mask, planes, self.plan.empty)

    def fetch(self, indices: Sequence[int], seeds: Sequence[int]) -> dict[str, Tensor]:
        index = torch.tensor(list(indices))
        instrument, pitch = index % N_INSTRUMENTS, 48.0 + torch.div(index, N_INSTRUMENTS, rounding_mode="floor") % 25
        partner = 48.0 + (torch.tensor([seed % 25 for seed in seeds]) + 0.0)
        return {
            "planes": self.note(instrument, pitch),
            "f0": hertz(pitch),
            "pitch": pitch,
            "velocity": torch.full((len(index),), 0.7),
            "instrument": instrument,
            "partner_planes": self.note(instrument, partner),
            "partner_pitch": partner,
        }


def train(folder: Path, steps: int, timbre: TimbreConfig, network: ResidualConfig | StyleConfig = RESIDUAL, **given):
    """Train on the orchestra; return modules and trainer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        modules = build_networks(line(), network)
    rates = default_optimizer(network)
    if isinstance(network, ResidualConfig):
        rates = rates.model_copy(update={"lr": Schedule(start=2e-3, end=2e-4, shape="cosine")})
    game = phases(
        modules,
        Config(network=network),
        GameConfig(timbre=timbre, r1=Schedule(start=0.3), **given),
        OptimizersConfig(generator=rates, discriminator=rates),
    )
    config = TrainConfig(budget=f"{steps} steps", batch_size=16, checkpoint_steps=10**6, tensorboard=False)
    trainer = Trainer(modules, game, Orchestra(), config, folder, quiet=True)  # type: ignore[arg-type]
    return modules, trainer


def spectra(modules: dict[str, nn.Module]) -> tuple[float, float, float]:
    """How far generated notes are from real ones in the amplitude plane.

    Returns:
        With the timbre of another note of the instrument, note by note; with that of a wrong instrument; and of free
        timbres the mean over many notes, where all pitches have partials.
    """
    band, n = Orchestra(), 40
    instrument, pitch, velocity = torch.arange(n) % N_INSTRUMENTS, 48.0 + torch.arange(n) % 12, torch.full((n,), 0.7)
    real, z = band.note(instrument, pitch), drawn(n, 6, seed=3)
    mask = (band.plan.mask(hertz(pitch)).expand_as(real)[:, 0] > 0.5)[..., 1:]

    def distance(other: Tensor) -> float:
        with torch.no_grad():
            h = modules["encoder"](band.note(other, pitch + 7), pitch + 7)
            fake = modules["generator"](z, h, pitch, velocity)
        return float((real - fake)[:, 0, :, 1:].abs()[mask].mean())

    with torch.no_grad():
        free = modules["generator"](z, None, pitch, velocity)
    typical = [planes[:, 0, :4, 1:].mean(0) for planes in (real, free)]
    wrong = (instrument + 2) % N_INSTRUMENTS
    return distance(instrument), distance(wrong), float((typical[0] - typical[1]).abs().mean())


def test_it_learns_the_timbres_of_an_orchestra(tmp_path: Path) -> None:
    modules, trainer = train(tmp_path, 160, TimbreConfig(), LEARNER)
    before = spectra(modules)
    assert isinstance(trainer.run(), Finished)
    right, wrong, free = spectra(modules)
    assert right < 0.6 * before[0], (right, before)
    assert right < 0.7 * wrong, (right, wrong)
    assert free < 0.35 * before[2], (free, before)


def test_the_style_network_learns_as_well(tmp_path: Path) -> None:
    modules, trainer = train(tmp_path, 120, TimbreConfig(), STYLE_LEARNER, penalty_interval=4)
    before = spectra(modules)
    trainer.run()
    assert spectra(modules)[2] < 0.5 * before[2]


def test_it_learns_from_the_discriminator_alone(tmp_path: Path) -> None:
    alone = TimbreConfig(dropout=1.0, contrast=0.0, divergence=0.0, reversal=Schedule(start=0.0))
    modules, trainer = train(tmp_path, 140, alone, LEARNER, generator_pitch=0.0, discriminator_pitch=0.0)
    before = spectra(modules)
    trainer.run()
    assert spectra(modules)[2] < 0.5 * before[2]


def test_a_short_training_moves_everything_and_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def go(folder: Path, stop: int | None) -> dict[str, nn.Module]:
        modules, trainer = train(folder, 8, TimbreConfig())
        trainer.config = trainer.config.model_copy(update={"checkpoint_steps": 3})
        if stop is None:
            assert isinstance(trainer.run(), Finished)
        else:
            stop_after(trainer, stop, monkeypatch)
            with pytest.raises(KeyboardInterrupt):
                trainer.run()
        return modules

    straight = go(tmp_path / "straight", None)
    go(tmp_path / "broken", 4)
    resumed = go(tmp_path / "broken", None)
    fresh, _ = train(tmp_path / "fresh", 8, TimbreConfig())
    for name, module in straight.items():
        weights, others, first = module.state_dict(), resumed[name].state_dict(), fresh[name].state_dict()
        assert all(torch.equal(weights[key], others[key]) for key in weights), name
        still = [key for key in weights if torch.equal(weights[key], first[key])]
        # The scales are set beforehand; what is added to every logit cancels in relativistic pairs.
        assert all(key.startswith("sheet.") or key == "logit.bias" for key in still), still


def stop_after(trainer: Trainer, n_steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break off in the middle of a step, as a power cut would."""
    step = trainer.step

    def broken(number: int, batches: Iterator[dict[str, Tensor]]) -> None:
        step(number, batches)
        if number == n_steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "step", broken)
