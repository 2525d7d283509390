"""Averages whose length is chosen afterwards, against averages of that length tracked on the way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from audiogan.adversarial.game import Game
from audiogan.adversarial.latent import latent_game
from audiogan.adversarial.monitor import Snapshot
from audiogan.adversarial.posthoc import (
    FOLDER,
    TRACKED,
    PosthocConfig,
    PowerAverages,
    average_of,
    exponent_of,
    fit,
    kept,
    overlap,
    with_posthoc,
)
from audiogan.adversarial.runtime import RuntimeConfig, seeded
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.errors import CheckpointError, RecipeError
from tests.adversarial import toys


def snapshot(folder: Path, step: int) -> Snapshot:
    return Snapshot(step, 0.5, 0, {}, folder, torch.device("cpu"))


def walk(folder: Path, exponents: list[float], n_moves: int = 400, every: int = 20) -> tuple[list[float], float]:
    """Let a weight wander, store averages of it, and return averages with other exponents and the last value."""
    live = nn.Linear(1, 1)
    power = PowerAverages({"g": live}, ["g"])
    steps = torch.randn(n_moves, generator=torch.Generator().manual_seed(0)).tolist()
    direct, value = [0.0] * len(exponents), 0.0
    for move in range(1, n_moves + 1):
        value += steps[move - 1]
        nn.init.constant_(live.weight, value)
        power.update()
        weights = [kept(move, exponent) for exponent in exponents]
        direct = [weight * old + (1.0 - weight) * value for weight, old in zip(weights, direct, strict=True)]
        if move % every == 0:
            power.store(snapshot(folder, move))
    return direct, value


# ---- profiles


def test_widths_and_exponents_of_the_paper() -> None:
    assert [round(exponent_of(width), 2) for width in TRACKED] == [16.97, 6.94]
    for width in (0.01, 0.1, 0.25):
        gamma = exponent_of(width)
        tau = (np.arange(200_000) + 0.5) / 200_000
        profile = (gamma + 1.0) * tau**gamma
        centre = (profile * tau).mean()
        assert np.sqrt((profile * (tau - centre) ** 2).mean()) == pytest.approx(width, rel=1e-4)


def test_a_flat_profile_is_the_mean_of_all_that_was_seen() -> None:
    live = nn.Linear(1, 1, bias=False)
    power = PowerAverages({"g": live}, ["g"])
    power.exponents = [0.0, 1.0]
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(live.weight, value)
        power.update()
    # Exponent 1: (1 - 1/2)² = 1/4 of 1 and 3/4 of 2 is 1.75; (1 - 1/3)² = 4/9 of that and 5/9 of 6.
    assert power.averages[0]["g.weight"].item() == pytest.approx(3.0)
    assert power.averages[1]["g.weight"].item() == pytest.approx(1.75 * 4 / 9 + 6.0 * 5 / 9)


def test_overlaps_are_integrals_of_products() -> None:
    (a, p), (b, q) = (3.0, 2.0), (5.0, 4.0)
    tau = (np.arange(100_000) + 0.5) * 3.0 / 100_000
    product = (p + 1) * tau**p / a ** (p + 1) * (q + 1) * tau**q / b ** (q + 1)
    assert overlap((a, p), (b, q)) == pytest.approx(product.mean() * 3.0, rel=1e-6)
    assert overlap((b, q), (a, p)) == pytest.approx(overlap((a, p), (b, q)))


def test_a_stored_profile_is_its_own_fit() -> None:
    stored = [(time, exponent_of(width)) for time in (100.0, 200.0, 300.0) for width in TRACKED]
    weights = fit(stored, stored[5])
    assert weights.round(6).tolist() == [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    # A profile that ended earlier is found as well.
    assert fit(stored, stored[2]).round(6).tolist() == [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]


def test_weights_of_a_fit_sum_to_about_one() -> None:
    stored = [(time, exponent_of(width)) for time in np.arange(1, 26) * 40.0 for width in TRACKED]
    for width in (0.02, 0.07, 0.15, 0.25):
        assert fit(stored, (1000.0, exponent_of(width))).sum() == pytest.approx(1.0, abs=0.01)


def test_any_width_comes_near_to_one_tracked_on_the_way(tmp_path: Path) -> None:
    widths = [0.03, 0.07, 0.15, 0.22]
    direct, last = walk(tmp_path, [exponent_of(width) for width in widths])
    found = [average_of(tmp_path, width)["g"]["weight"].item() for width in widths]
    assert found == pytest.approx(direct, abs=0.25)
    # The averages lie well apart, so that none is taken for another.
    apart = np.abs(np.subtract.outer(direct, [*direct, last])) + 9.0 * np.eye(4, 5)
    assert apart.min() > 0.8


def test_without_snapshots_there_is_nothing_to_choose(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="averages.posthoc"):
        average_of(tmp_path, 0.1)
    PowerAverages({"g": nn.Linear(1, 1)}, ["g"]).store(snapshot(tmp_path, 0))
    assert not (tmp_path / FOLDER).exists(), "before the first move there is no average"


@pytest.mark.parametrize("widths", [[0.0], [0.3], []])
def test_widths_that_no_power_has_are_refused(widths: list[float]) -> None:
    with pytest.raises(ValidationError):
        PosthocConfig.model_validate({"widths": widths})


# ---- in a run


def played(**options: Any) -> tuple[dict[str, nn.Module], Game]:
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {"generator": toys.mlp(2, 2), "discriminator": toys.mlp(2, 1)}
    return modules, latent_game(modules, z_dim=2, **options)


def run(folder: Path, stop: int | None = None, config: PosthocConfig | None = None) -> Trainer:
    modules, game = played()
    hooks = []
    if config is not None:
        game, hook = with_posthoc(game, modules, ["generator"], config)
        hooks = [hook]
    settings = TrainConfig(
        budget="10 steps", batch_size=4, tensorboard=False, checkpoint_steps=2, runtime=RuntimeConfig(device="cpu")
    )
    trainer = Trainer(modules, game, toys.Ring(), settings, folder, hooks=hooks, quiet=True)
    if stop is None:
        trainer.run()
        return trainer
    step = trainer.step

    def broken(number: int, batches: Any) -> None:
        if number == stop:
            raise KeyboardInterrupt
        step(number, batches)

    trainer.step = broken  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    return trainer


def test_a_run_stores_its_averages_and_is_not_changed_by_it(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain").players.capture()[0]
    kept_run = run(tmp_path / "kept", config=PosthocConfig(every=0.2))
    assert [path.name for path in sorted((tmp_path / "kept" / FOLDER).iterdir())] == [
        f"step-{step:08d}.safetensors" for step in (2, 4, 6, 8, 10)
    ]
    found = kept_run.players.capture()[0]
    for stem in ("generator", "discriminator", "ema", "optimizer-generator"):
        assert all(torch.equal(value, found[stem][key]) for key, value in plain[stem].items())
    names = set(average_of(tmp_path / "kept", 0.1)["generator"])
    assert names == {name for name, _ in kept_run.modules["generator"].named_parameters()}
    memory = kept_run.game.extras["posthoc"].state()
    assert memory["n_moves"] == 10


def test_tracked_averages_survive_a_restart_bit_for_bit(tmp_path: Path) -> None:
    config = PosthocConfig(every=0.5)
    run(tmp_path / "straight", config=config)
    run(tmp_path / "broken", 7, config)
    run(tmp_path / "broken", None, config)
    for path in (tmp_path / "straight" / FOLDER).iterdir():
        assert path.read_bytes() == (tmp_path / "broken" / FOLDER / path.name).read_bytes()


def test_a_phase_keeps_what_it_does_after_its_move() -> None:
    modules, game = played()
    calls: list[str] = []
    phases = [phase.__class__(**{**vars(phase), "after_move": lambda: calls.append("own")}) for phase in game.phases]
    changed, _ = with_posthoc(Game(phases), modules, ["generator"], PosthocConfig())
    for phase in changed.phases:
        assert phase.after_move is not None
        phase.after_move()
    assert calls == ["own", "own"]
    assert changed.extras["posthoc"].state()["n_moves"] == 1, "only moves of the generator count"


def test_a_game_without_averages_is_refused() -> None:
    modules, game = played()
    with pytest.raises(RecipeError, match="keeps no averages"):
        with_posthoc(game, modules, [], PosthocConfig())
