"""Binary neurons: exact values forward, the gradient of a sigmoid backward (M18, M19, M20)."""

import pytest
import torch

from audiogan.pipelines.multitrack.binary import bernoulli, sounding, straight_through

LOGITS = torch.tensor([-2.0, -0.1, 0.0, 0.3, 4.0])


def test_m18_deterministic_neuron_fires_above_zero():
    assert straight_through(LOGITS).tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_m19_stochastic_neuron_fires_with_the_probability_of_the_sigmoid():
    logits = torch.tensor([-1.0, 0.0, 2.0]).repeat(20000, 1)
    rates = bernoulli(logits, 5.0, torch.Generator().manual_seed(0)).mean(0)
    torch.testing.assert_close(rates, torch.sigmoid(logits[0]), atol=0.015, rtol=0.0)


def test_m19_stochastic_neuron_repeats_with_its_generator():
    logits = torch.zeros(100)
    draws = [bernoulli(logits, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("slope", [1.0, 3.0])
@pytest.mark.parametrize("neuron", ["deterministic", "stochastic"])
def test_m20_gradient_is_that_of_a_sigmoid_of_that_slope(neuron, slope):
    logits = LOGITS.clone().requires_grad_()
    out = sounding(logits, neuron, 0.0, slope, torch.Generator().manual_seed(0))
    assert set(out.tolist()) <= {0.0, 1.0}
    out.sum().backward()
    soft = torch.sigmoid(slope * LOGITS)
    torch.testing.assert_close(logits.grad, slope * soft * (1.0 - soft))


@pytest.mark.parametrize(
    ("neuron", "low", "expected"),
    [
        ("none", -1.0, torch.tanh(LOGITS)),
        ("none", 0.0, torch.sigmoid(LOGITS)),
        ("deterministic", -1.0, torch.tensor([-1.0, -1.0, -1.0, 1.0, 1.0])),
        ("deterministic", 0.0, torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0])),
    ],
)
def test_sounding_spans_low_to_one(neuron, low, expected):
    torch.testing.assert_close(sounding(LOGITS, neuron, low), expected)
