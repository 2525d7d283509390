"""Averages of modules."""

import pytest
import torch
from torch import nn

from audiogan.adversarial.ema import Averages, AveragesConfig, decay


def scalar(value: float) -> nn.BatchNorm1d:
    module = nn.BatchNorm1d(1)
    with torch.no_grad():
        module.weight.fill_(value)
    return module


def test_a_step_counts_half_after_the_half_life() -> None:
    live = scalar(0.0)
    averages = Averages({"g": live}, {"g": 0.0}, AveragesConfig(half_life=1000.0, ramp=None))
    with torch.no_grad():
        live.weight.fill_(1.0)
    for step in range(10):
        averages.update((step + 1) * 100, 100, 10_000)
    assert averages["g"].get_parameter("weight").item() == pytest.approx(0.5, abs=1e-6)


def test_the_ramp_shortens_the_half_life_at_first() -> None:
    config = AveragesConfig(half_life=1000.0, ramp=0.05)
    assert decay(2000.0, 100, config) == pytest.approx(0.5)
    assert decay(20_000.0, 1000, config) == pytest.approx(0.5)
    assert decay(2_000_000.0, 1000, config) == pytest.approx(0.5)
    assert decay(100.0, 100, config) < 1e-5


def test_until_its_start_an_average_is_a_copy() -> None:
    live = {"early": scalar(0.0), "late": scalar(0.0)}
    averages = Averages(live, {"early": 0.0, "late": 0.5}, AveragesConfig(half_life=1000.0, ramp=None))
    for step in range(10):
        with torch.no_grad():
            for module in live.values():
                module.weight.fill_(float(step + 1))
        averages.update((step + 1) * 100, 100, 1000)
        if step == 4:
            assert averages["late"].get_parameter("weight").item() == 5.0
            assert averages["early"].get_parameter("weight").item() < 5.0
    assert 5.0 < averages["late"].get_parameter("weight").item() < 10.0


def test_buffers_are_copied_and_copies_are_still() -> None:
    live = scalar(1.0)
    averages = Averages({"g": live}, {"g": 0.0}, AveragesConfig())
    live(torch.randn(8, 1) + 3.0)
    averages.update(100, 100, 1000)
    copied = averages["g"]
    assert torch.equal(copied.get_buffer("running_mean"), live.get_buffer("running_mean"))
    assert copied.get_buffer("num_batches_tracked").item() == 1
    assert not copied.training
    assert not any(parameter.requires_grad for parameter in copied.parameters())


def test_half_life_zero_keeps_nothing() -> None:
    assert decay(500.0, 100, AveragesConfig(half_life=0.0)) == 0.0
