"""The benchmark of settings: both sides are what they are called, and time belongs to whose turn it is."""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from audiogan import workflow
from audiogan.adversarial.game import Game
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.trainer import TrainConfig
from tests.adversarial.toys import Ring, mlp
from tests.benchmarks import engine_settings
from tests.benchmarks.engine_cases import Case
from tests.benchmarks.engine_options import SteppedTrainer
from tests.benchmarks.engine_settings import BOTH_SIDES, SETTINGS, STEPS_PER_TURN, Setting, compare, row


def small_case(name: str, device: torch.device, n_steps: int, more: Sequence[str]) -> Case:
    def build() -> tuple[dict[str, nn.Module], Game]:
        modules: dict[str, nn.Module] = {"generator": mlp(2, 2), "discriminator": mlp(2, 1)}
        return modules, latent_game(modules, z_dim=2, config=LatentGameConfig())

    precision = "bf16" if "train.runtime.precision=bf16" in more else "fp32"
    given = {"budget": f"{n_steps} steps", "batch_size": 8, "runtime": {"device": "cpu", "precision": precision}}
    return Case(name, build, Ring(), TrainConfig.model_validate(given), n_steps, 1, made_up=True)


def test_a_setting_is_timed_against_the_recipe_turn_by_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[tuple[str, int, int]] = []
    usual = engine_settings._turn
    before = torch.get_num_threads()

    def turn(trainer: SteppedTrainer, number: int, threads: int, clock: object) -> float:
        turns.append((trainer.runtime.precision, number, threads))
        usual(trainer, number, 1, lambda: 0.0)
        return 1.0 if trainer.runtime.precision == "bf16" else 3.0

    monkeypatch.setattr(engine_settings, "_turn", turn)
    monkeypatch.setattr(engine_settings, "open_case", small_case)
    found = compare("toy", Setting(("train.runtime.precision=bf16",), threads=2), torch.device("cpu"), 2)
    torch.set_num_threads(before)
    assert turns == [(own, number, n) for number in range(3) for own, n in (("fp32", 1), ("bf16", 2))]
    step = 1e3 / STEPS_PER_TURN
    assert found == {"speed_up": 3.0, "low": 3.0, "high": 3.0, "ms": 3.0 * step, "ms_other": step}
    assert row("toy", "bf16", found) == "| toy | bf16 | 3.00 [3.00, 3.00] | 750 | 250 |"


def test_no_setting_is_what_the_recipe_says_already() -> None:
    for name in ("multitrack/songs", "waveform/soundfont"):
        alike = BOTH_SIDES.get(name, ())
        plain = workflow.resolve(name, alike)[0].resolved()
        for label, setting in SETTINGS.items():
            other = workflow.resolve(name, [*alike, *setting.given])[0].resolved()
            assert (other != plain) == bool(setting.given), f"{name} {label}"
