"""The networks of both pipelines can be compiled, and train as they do without."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from audiogan.adversarial import compiling
from audiogan.adversarial.game import Game
from audiogan.adversarial.runtime import Runtime, RuntimeConfig, seeded
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.pipelines import multitrack, waveform
from audiogan.pipelines.waveform.config import Config as WaveformConfig
from audiogan.pipelines.waveform.network_config import ResidualConfig
from audiogan.representation.base import HarmonicConfig
from tests.benchmarks.engine_cases import made_up
from tests.pipelines.multitrack.small import CONFIG as CLIPS

NOTES = WaveformConfig(
    sample_rate=8000,
    seconds=0.25,
    lowest_pitch=60,
    highest_pitch=64,
    representation=HarmonicConfig(n_rows=8, n_frames=16, grow_frames=8),
    network=ResidualConfig(width=8, max_width=8, encoder_width=8, encoder_max_width=8, mapping_width=8, depth=1),
)
EVERY_OTHER = {"penalty_interval": 2, "penalty_impl": "func"}


def notes() -> tuple[dict[str, nn.Module], Game]:
    modules = waveform.build(NOTES)
    game = waveform.GameConfig.model_validate(EVERY_OTHER)
    return modules, waveform.phases(modules, NOTES, game, waveform.OptimizerConfig())


def clips() -> tuple[dict[str, nn.Module], Game]:
    modules = multitrack.build(CLIPS)
    game = multitrack.GameConfig.model_validate(EVERY_OTHER | {"autoencoder_share": 0.0})
    return modules, multitrack.phases(modules, CLIPS, game, multitrack.OptimizerConfig())


@pytest.mark.slow
@pytest.mark.skipif("AUDIOGAN_SLOW" not in os.environ, reason="tracing whole networks takes a while")
@pytest.mark.parametrize(("build", "config"), [(notes, NOTES), (clips, CLIPS)])
def test_a_compiled_game_is_the_plain_one(
    build: Any, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    torch.compiler.reset()
    trained = []
    for compiles in ("off", "on"):
        with seeded(0, "modules"):
            modules, game = build()
        runtime = Runtime(RuntimeConfig(device="cpu", compile=compiles))
        train = TrainConfig(budget="2 steps", batch_size=4, tensorboard=False)
        with caplog.at_level(logging.WARNING):
            Trainer(modules, game, made_up(config, 8), train, tmp_path / compiles, runtime=runtime, quiet=True).run()
        trained.append([weight.detach() for module in modules.values() for weight in module.parameters()])
    assert all(each.is_on and each._passed for each in game.compilable)
    assert not [text for text in caplog.messages if "compiled" in text]
    assert all(torch.allclose(a, b, atol=2e-4) for a, b in zip(*trained, strict=True))
