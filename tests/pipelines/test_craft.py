"""The tools of the craft in every game of both pipelines, against a discriminator of known slope.

D is made to say p · sum(x), so that its slope has the norm p · sqrt(n) for examples of n values.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from audiogan.adversarial.duel import Contest
from audiogan.adversarial.game import Game, Moment
from audiogan.adversarial.objective import OBJECTIVES
from audiogan.adversarial.runtime import RuntimeConfig, seeded
from audiogan.adversarial.slopes import exact_slope
from audiogan.adversarial.spectral import bake
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.errors import AudioganError, RecipeError
from audiogan.pipelines.multitrack import game as rolls
from audiogan.pipelines.multitrack import networks as roll_networks
from audiogan.pipelines.multitrack.classic import ClassicConfig as RollClassicConfig
from audiogan.pipelines.multitrack.config import Config as RollConfig
from audiogan.pipelines.waveform import game as notes
from audiogan.pipelines.waveform.config import Config as NoteConfig
from audiogan.pipelines.waveform.networks import build_networks
from audiogan.pipelines.waveform.residual import Judged
from tests.pipelines.multitrack.small import CONFIG
from tests.pipelines.waveform.small_planes import CLASSIC, RESIDUAL, STYLE, batch_of, line, picture

SLOPE = 0.5
Modules = dict[str, nn.Module]


class Player(NamedTuple):
    """One game, in small.

    Args:
        section: Name of the tools' section within `game`.
        modules: The networks.
        game: From networks and the `game` section to the game.
        batch: Of so many examples, by a seed.
        known: Make D say p · sum(x), with p a weight of its own.
        n: Values in an example, as far as D looks.
    """

    section: tuple[str, ...]
    modules: Callable[[], Modules]
    game: Callable[[Modules, dict[str, Any]], Game]
    batch: Callable[[int, int], dict[str, Tensor]]
    known: Callable[[Modules], None]
    n: int


def drawn_rolls(shape: tuple[int, ...], seed: int) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.1).to(torch.uint8)


def roll_batch(n: int, seed: int) -> dict[str, Tensor]:
    level = torch.rand(n, 5, 2, 16, generator=torch.Generator().manual_seed(seed))
    return {"roll": drawn_rolls((n, 2, 5, 2, 16, 72), seed), "velocity": level, "timing": level - 0.5}


def say(logit: Callable[[], Tensor], **more: Any) -> Callable[..., Any]:
    """A verdict of known slope; `logit` is looked up at each call, since steps ahead replace it."""

    def judged(x: Tensor, *_: Any, **__: Any) -> Any:
        logits = logit() * x.flatten(1).sum(1)
        return Judged(logits, x.new_zeros(len(x), 25), (2.0 * x.flatten(1),)) if more else logits

    return judged


def know_notes(modules: Modules, method: str) -> None:
    judge: Any = modules["discriminator"]
    nn.init.constant_(judge.logit.bias, SLOPE)
    setattr(judge, method, say(lambda: judge.logit.bias, judged=True))


def know_rolls(modules: Modules, last: str) -> None:
    judge: Any = modules["discriminator"]
    nn.init.constant_(getattr(judge, last).bias, SLOPE)
    judge.forward = say(lambda: getattr(judge, last).bias)


SIZES: dict[str, Any] = {"n_tracks": 2, "n_bars": 2, "n_timesteps": 4, "n_pitches": 12, "beat_resolution": 2}
V3 = RollClassicConfig(variant="v3", z_dim=8, **SIZES)


def roll_game(modules: Modules, section: dict[str, Any]) -> Game:
    tree = {"autoencoder_share": 0.0, "harmony": 0.0, "sight": {"whole": 1.0}} | section
    return rolls.phases(modules, CONFIG, rolls.GameConfig.model_validate(tree), rolls.OptimizersConfig())


def note_game(network: Any) -> Callable[[Modules, dict[str, Any]], Game]:
    config = NoteConfig(network=network)
    return lambda modules, section: notes.phases(
        modules, config, notes.GameConfig.model_validate(section), notes.OptimizersConfig()
    )


def v3_game(modules: Modules, section: dict[str, Any]) -> Game:
    config = RollConfig.model_construct(network=V3)
    return rolls.phases(modules, config, rolls.GameConfig.model_validate(section), rolls.OptimizersConfig())


PLAYERS = {
    "waveform": Player(
        (),
        lambda: build_networks(line(), RESIDUAL),
        note_game(RESIDUAL),
        lambda n, seed: batch_of(line(), n, seed),
        lambda modules: know_notes(modules, "judge"),
        3 * 8 * 18,
    ),
    "waveform classic": Player(
        ("classic",),
        lambda: build_networks(picture(), CLASSIC),
        note_game(CLASSIC),
        lambda n, seed: batch_of(picture(), n, seed),
        lambda modules: know_notes(modules, "forward"),
        2 * 16 * 12,
    ),
    "multitrack": Player(
        (),
        lambda: roll_networks.build(CONFIG),
        roll_game,
        roll_batch,
        lambda modules: know_rolls(modules, "out"),
        5 * 2 * 8,
    ),
    "multitrack classic": Player(
        ("classic",),
        lambda: dict(roll_networks.build(RollConfig.model_construct(network=V3))),
        v3_game,
        lambda n, seed: {"roll": drawn_rolls((n, 2, 2, 2, 4, 12), seed)},
        lambda modules: know_rolls(modules, "last"),
        2 * 2 * 4 * 12,
    ),
}
QUIET = {"r1": 0.0, "r2": 0.0, "wgan_gp": 0.0, "drift": 0.0, "objective": "wgan", "clip": 9.0}
"""No penalty of the game's own."""


def moment(step: int = 4, phase: str = "discriminator") -> Moment:
    return Moment(step=step, share=0.9, n_seen=0, span_share=0.5, phase=phase)


def section_of(player: Player, options: dict[str, Any]) -> dict[str, Any]:
    options = dict(options)
    if player.section:  # the known slopes are those of the whole networks
        return {"classic": ({"progressive": False} if player is PLAYERS["waveform classic"] else {}) | options}
    return options


def made(name: str, options: dict[str, Any], *, known: bool = True) -> tuple[Modules, Game]:
    player = PLAYERS[name]
    with seeded(0, "modules"):
        modules = player.modules()
    if known:
        player.known(modules)
    return modules, player.game(modules, section_of(player, options))


def terms_of(name: str, options: dict[str, Any], which: int = 0, step: int = 4) -> dict[str, Tensor]:
    _, game = made(name, QUIET | options)
    phase = [game.phases[0], game.phases[-1]][which]
    return dict(phase.terms(PLAYERS[name].batch(4, 1), moment(step, phase.name)))


def contest_of(name: str, options: dict[str, Any], phase: str, step: int = 4) -> Contest:
    """Who meets whom in the same move."""
    _, game = made(name, QUIET | options)
    terms, batch = game.phases[0].terms.__self__, PLAYERS[name].batch(4, 1)  # type: ignore[attr-defined]
    with torch.no_grad():
        if name == "waveform":
            return terms.pair(batch, moment(step, phase)).contest
        found = terms.contest(batch, moment(step, phase))
    return found[0] if name == "multitrack" else found


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


each_game = pytest.mark.parametrize("name", PLAYERS)

# ---- losses and penalties


@each_game
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_loss_is_offered(name: str, objective: str) -> None:
    player, contest = PLAYERS[name], contest_of(name, {}, "discriminator")
    found = terms_of(name, {"objective": objective})["adversarial"]
    real, fake = (SLOPE * x.flatten(1).sum(1) for x in (contest.real, contest.fake))
    assert found.item() == pytest.approx(OBJECTIVES[objective](real, fake)[0].item(), rel=1e-3, abs=1e-4)
    contest = contest_of(name, {}, "generator")
    real, fake = (SLOPE * x.flatten(1).sum(1) for x in (contest.real, contest.fake))
    found = terms_of(name, {"objective": objective}, which=1)["adversarial"]
    assert found.item() == pytest.approx(OBJECTIVES[objective](real, fake)[1].item(), rel=1e-3, abs=1e-4)
    assert player.n == contest.real[0].numel()


@each_game
@pytest.mark.parametrize("impl", ["exact", "func", "approx"])
@pytest.mark.parametrize("interval", [1, 4])
def test_every_penalty_is_offered_in_every_way(name: str, impl: str, interval: int) -> None:
    """R1 is gamma/2 · p² n; the penalties that want a slope of 1 are weight · (p sqrt(n) - 1)²."""
    n = PLAYERS[name].n
    options = {"penalty_impl": impl, "penalty_interval": interval, "r1": 2.0, "r2": 1.0}
    found = terms_of(name, options)
    wanted = SLOPE**2 * n
    if impl == "approx":
        shape = contest_of(name, {}, "discriminator").real.shape
        wanted = (SLOPE * moment().normal("slope", *shape).flatten(1).sum(1)).square().mean().item()
    assert found["r1"].item() == pytest.approx(interval * wanted, rel=2e-3)
    assert found["r2"].item() == pytest.approx(interval * 0.5 * wanted, rel=2e-3)
    assert ("r1" in terms_of(name, options, step=5)) == (interval == 1)
    if impl != "approx":
        options |= {"r1": 0.0, "r2": 0.0, "wgan_gp": 10.0, "dragan": 5.0}
        found, norm = terms_of(name, options), SLOPE * n**0.5
        assert found["wgan_gp"].item() == pytest.approx(interval * 10.0 * (norm - 1.0) ** 2, rel=1e-3)
        assert found["dragan"].item() == pytest.approx(interval * 5.0 * (norm - 1.0) ** 2, rel=1e-3)


@each_game
def test_drift_and_clip_are_offered(name: str) -> None:
    contest = contest_of(name, {}, "discriminator")
    real = SLOPE * contest.real.flatten(1).sum(1)
    assert terms_of(name, {"drift": 0.5})["drift"].item() == pytest.approx(0.5 * real.square().mean().item(), rel=1e-3)
    modules, game = made(name, QUIET | {"clip": 0.01}, known=False)
    assert game.phases[0].after_move is not None
    game.phases[0].after_move()
    assert max(value.abs().max().item() for value in modules["discriminator"].parameters()) <= 0.010001


@each_game
def test_a_gamma_may_find_itself(name: str) -> None:
    options = QUIET | {"objective": "nonsaturating", "r1": 2.0, "r2": 2.0, "auto_gamma": {"step": 2}}
    _, game = made(name, options)
    batch = PLAYERS[name].batch(4, 1)
    first, second, third = (game.phases[0].terms(batch, moment(step)) for step in range(3))
    factor = 0.15 * second["adversarial"].item() / (second["r1"] + second["r2"]).item()
    factor = max(factor, 0.01 / 2.0)
    assert first["r1"].item() == pytest.approx(SLOPE**2 * PLAYERS[name].n, rel=1e-3)
    assert third["r1"].item() == pytest.approx(factor * first["r1"].item(), rel=1e-3)
    assert "auto_gamma" in game.extras
    assert game.watch is not None
    assert game.watch(moment())["gamma"] == pytest.approx(2.0 * factor, rel=1e-3)


# ---- what D is shown


@each_game
def test_instance_noise_is_offered(name: str) -> None:
    shape = contest_of(name, {}, "discriminator").real.shape
    noise = [moment().normal(f"instance-{side}", *shape).flatten(1).sum(1).mean() for side in ("fake", "real")]
    change = terms_of(name, {"instance_noise": 0.1})["adversarial"] - terms_of(name, {})["adversarial"]
    assert change.item() == pytest.approx(0.1 * SLOPE * (noise[0] - noise[1]).item(), rel=1e-2, abs=1e-4)


@each_game
def test_past_fakes_come_back(name: str) -> None:
    """All that was made is either shown now or kept."""
    _, game = made(name, QUIET | {"replay": 4})
    batch = PLAYERS[name].batch(4, 1)
    losses = [game.phases[0].terms(batch, moment(step))["adversarial"].item() for step in (3, 5)]
    contests = [contest_of(name, {}, "discriminator", step) for step in (3, 5)]
    kept = game.extras["replay"].state()["stored"]
    fakes = torch.cat([contest.fake for contest in contests])
    assert not torch.equal(kept, fakes[:4])
    shown = SLOPE * (fakes.sum() - kept.sum()) / 4
    real = SLOPE * contests[1].real.sum() / 4
    assert losses[1] == pytest.approx((shown - real).item(), rel=1e-3, abs=1e-3)


@each_game
def test_augmentation_is_offered_by_schedule_and_adaptive(name: str) -> None:
    plain = terms_of(name, {})["adversarial"]
    changed = terms_of(name, {"augment": {"probability": 1.0}}, which=0)["adversarial"]
    if name != "multitrack classic":  # where nothing is lost, so that a sum stays as it is
        assert changed.item() != pytest.approx(plain.item(), rel=1e-4)
    options = {"objective": "hinge", "augment": {"adaptive": {"start": 0.5, "interval": 1, "ramp": 40.0}}}
    _, game = made(name, QUIET | options)
    before = game.extras["adaptive"].state()["probability"].item()
    game.phases[0].terms(PLAYERS[name].batch(4, 1), moment())
    after = game.extras["adaptive"].state()["probability"].item()
    assert (before, abs(after - before)) == (0.5, pytest.approx(4 / 40.0, abs=1e-6))


# ---- G


@each_game
def test_feature_matching_is_offered(name: str) -> None:
    with_it = terms_of(name, {"feature_matching": 3.0}, which=1) if name.startswith("waveform") else None
    if with_it is not None:  # the known D says that it looked at 2x
        contest = contest_of(name, {}, "generator")
        apart = (contest.fake.mean(0) - contest.real.mean(0)).square().sum()
        assert with_it["feature_matching"].item() == pytest.approx(3.0 * 4.0 * apart.item(), rel=1e-3)
        return
    modules, game = made(name, QUIET | {"feature_matching": 3.0}, known=False)
    found = game.phases[-1].terms(PLAYERS[name].batch(4, 1), moment(phase="generator"))["feature_matching"]
    found.backward()
    assert found.item() > 0.0
    assert any(bool((value.grad != 0).any()) for value in modules["generator"].parameters() if value.grad is not None)


@each_game
def test_steps_ahead_are_offered(name: str) -> None:
    """p learns p += rate (R - F), sums of reals and fakes; so the loss of G is -F (p + k rate (R - F))."""
    contest = contest_of(name, {}, "generator")
    real, fake = (x.flatten(1).sum(1).mean().item() for x in (contest.real, contest.fake))
    found = terms_of(name, {"unrolled": 2, "unrolled_rate": 0.001}, which=1)["adversarial"]
    assert found.item() == pytest.approx(-fake * (SLOPE + 2 * 0.001 * (real - fake)), rel=1e-3, abs=1e-3)


# ---- who moves


class Endless:
    """As many batches as are asked for."""

    def __init__(self, player: Player) -> None:
        self.player = player

    def __len__(self) -> int:
        return 32

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        return self.player.batch(len(indices), sum(indices))


def trained(name: str, options: dict[str, Any], folder: Path, steps: int = 2) -> tuple[Modules, Trainer]:
    modules, game = made(name, {"discriminator_repeats": 1} | options, known=False)
    config = TrainConfig(budget=f"{steps} steps", batch_size=4, tensorboard=False, runtime=RuntimeConfig(device="cpu"))
    trainer = Trainer(modules, game, Endless(PLAYERS[name]), config, folder, quiet=True)
    trainer.run()
    return modules, trainer


@each_game
def test_d_may_move_several_times(name: str) -> None:
    _, game = made(name, QUIET | {"discriminator_repeats": 3})
    assert [phase.moves(20, 0.5) for phase in game.phases] == [3, 1]


@each_game
def test_frozen_blocks_stand_still(name: str, tmp_path: Path) -> None:
    player = PLAYERS[name]
    with seeded(0, "modules"):
        before = player.modules()["discriminator"].state_dict()
    modules, _ = trained(name, {"freeze": 1}, tmp_path)
    judge = modules["discriminator"]
    still = {key for key, value in judge.named_parameters() if torch.equal(value, before[key])}
    frozen = {key for key, value in judge.named_parameters() if not value.requires_grad}
    first = {"waveform": "trunk.stem.weight", "multitrack": "enter.weight"}
    assert frozen <= still
    assert first.get(name, "") in {"", *frozen}
    assert 0 < len(frozen) < len(before) - 2
    assert len(still) < len(before) - 2, "the rest learns"
    with pytest.raises(RecipeError, match=r"freeze 99 blocks of \d+; expected fewer"):
        made(name, {"freeze": 99})


@each_game
def test_normalised_layers_are_no_steeper_than_one_and_leave_plain_weights(name: str, tmp_path: Path) -> None:
    modules, trainer = trained(name, QUIET | {"clip": 0.0, "objective": "hinge", "spectral": True}, tmp_path, 4)
    for module in modules["discriminator"].modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and isinstance(module, nn.Linear):
            assert torch.linalg.matrix_norm(weight, 2) < 1.1
    copies = dict(trainer.averages.copies) or modules
    plain = PLAYERS[name].modules()
    for key, module in copies.items():
        bake(module)
        plain[key].load_state_dict(module.state_dict())


EVERYTHING = {
    "penalty_impl": "func",
    "objective": "nonsaturating",
    "r1": 0.1,
    "r2": 0.1,
    "wgan_gp": 0.1,
    "dragan": 0.1,
    "auto_gamma": {"step": 2},
    "spectral": True,
    "unrolled": 1,
    "feature_matching": 0.5,
    "instance_noise": 0.1,
    "replay": 6,
    "augment": {"adaptive": {"start": 0.5}},
    "discriminator_repeats": 1,
    "freeze": 1,
}


@each_game
def test_all_at_once_train_and_resume_bit_for_bit(name: str, tmp_path: Path) -> None:
    straight, trainer = trained(name, EVERYTHING, tmp_path / "a", 3)
    expected = trainer.players.capture()[0]
    config = trainer.config.model_copy(update={"checkpoint_steps": 1})
    trainer = None
    for steps in (2, 3):
        modules, game = made(name, EVERYTHING, known=False)
        again = Trainer(modules, game, Endless(PLAYERS[name]), config, tmp_path / "b", quiet=True)
        if steps == 2:
            step = again.step

            def broken(number: int, batches: Any, step: Any = step) -> None:
                if number == 2:
                    raise KeyboardInterrupt
                step(number, batches)

            again.step = broken  # type: ignore[method-assign]
            with pytest.raises(KeyboardInterrupt):
                again.run()
        else:
            again.run()
            trainer = again
    assert trainer is not None
    for stem, tensors in trainer.players.capture()[0].items():
        assert all(torch.equal(value, expected[stem][key]) for key, value in tensors.items()), stem
    assert straight.keys() == modules.keys()


def test_the_discriminator_of_codes_may_be_told_how_far_its_batch_spreads() -> None:
    network = CONFIG.network.model_copy(update={"spread": True})
    with seeded(0, "modules"):
        judge = roll_networks.build(CONFIG.model_copy(update={"network": network}))["discriminator"]
    assert isinstance(judge, roll_networks.Discriminator)
    nn.init.zeros_(judge.out.weight)
    nn.init.ones_(judge.out.weight[:, -1:])
    nn.init.zeros_(judge.out.bias)
    codes, mask = torch.randn(6, 5, 2, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(6, 5, 2)
    alike = judge(codes[:1].repeat(6, 1, 1, 1), mask)
    assert alike.tolist() == pytest.approx([1e-3] * 6)  # the root of what keeps its slope finite
    assert judge(codes, mask).min() > 0.05
    plain = roll_networks.build(CONFIG)["discriminator"]
    assert plain.state_dict().keys() == judge.state_dict().keys()


# ---- what does not go together


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("waveform", {"replay": 4}, "game.replay with objective rpgan, whose pairs share a pitch"),
        ("multitrack", {"replay": 4}, "game.replay with objective rpgan, whose pairs share cells"),
        ("waveform classic", {"progressive": True, "penalty_impl": "func"}, "func` with progressive networks"),
        ("waveform classic", {"progressive": True, "replay": 4}, "replay` with progressive networks"),
        ("multitrack", {"auto_gamma": {}, "gamma": 0.0}, "auto_gamma with gamma 0.0"),
        ("waveform", {"projected": {}}, "game.projected without model; expected a folder or one of"),
        ("multitrack", {"projected": {}}, "whose D judges codes, features of the run's own encoder"),
        ("waveform classic", {"projected": {}}, "for which no trained network is at hand"),
        ("multitrack classic", {"projected": {}}, "for which no trained network is at hand"),
    ],
)
def test_what_cannot_work_is_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises((AudioganError, ValidationError), match=words):
        made(name, options)


@pytest.mark.parametrize("name", ["waveform classic", "multitrack classic"])
def test_classic_networks_take_their_own_section(name: str) -> None:
    player = PLAYERS[name]
    with pytest.raises(RecipeError, match=r"game.spectral with a classic network; expected game.classic.spectral"):
        player.game(player.modules(), {"spectral": True})
    if name == "waveform classic":
        with pytest.raises(RecipeError, match=r"game.projected with a classic network, .* expected residual"):
            player.game(player.modules(), {"projected": {}})


def test_estimated_slopes_are_right_on_average_though_the_judge_sees_its_batch_spread() -> None:
    """The deviation of the batch is one number among many, so that rows hardly touch each other."""
    modules, game = made("waveform", {"penalty_impl": "approx"}, known=False)
    for parameter in modules["discriminator"].parameters():
        nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(parameter.numel()))
    duel = game.phases[0].terms.__self__.duel  # type: ignore[attr-defined]
    contest = contest_of("waveform", {}, "discriminator")
    judge = duel.side(moment(), "real", contest.conditions)
    exact = exact_slope(judge, contest.real)[1].mean().item()
    found = [duel.slope(moment(step))(judge, contest.real)[1].mean().item() for step in range(60)]
    assert sum(found) / 60 == pytest.approx(exact, rel=0.25)


def test_the_style_network_has_the_tools_too(tmp_path: Path) -> None:
    config = NoteConfig(network=STYLE)
    with seeded(0, "modules"):
        modules = build_networks(line(), STYLE)
    section = notes.GameConfig.model_validate(EVERYTHING | {"penalty_interval": 1})
    game = notes.phases(modules, config, section, notes.OptimizersConfig())
    settings = TrainConfig(budget="2 steps", batch_size=4, tensorboard=False, runtime=RuntimeConfig(device="cpu"))
    trained = Trainer(modules, game, Endless(PLAYERS["waveform"]), settings, tmp_path, quiet=True)
    assert trained.run().step == 2
