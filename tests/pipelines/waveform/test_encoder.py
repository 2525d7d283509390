"""The timbre encoder: what h is, and every term by which it is learnt."""

import math

import pytest
import torch

from audiogan.pipelines.waveform.encoder import (
    Mixture,
    TimbreEncoder,
    divergence,
    info_nce,
    on_sphere,
    pitch_loss,
    pitch_targets,
    reverse_gradient,
)
from tests.pipelines.waveform.small_planes import LINE, PICTURE, RESIDUAL, drawn, line, picture, stir


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_h_lies_on_a_sphere() -> None:
    encoder = TimbreEncoder(line(), RESIDUAL)
    h = encoder(drawn(5, *LINE), torch.full((5,), 60.0))
    assert h.shape == (5, 5)
    torch.testing.assert_close(h.square().mean(1), torch.ones(5), atol=1e-3, rtol=1e-3)
    assert on_sphere(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("n_frames", [1, 2, 7, 17, 40, 129])
def test_any_number_of_frames_is_heard(n_frames: int) -> None:
    encoder = TimbreEncoder(line(), RESIDUAL)
    assert encoder(drawn(2, 3, 8, 1 + n_frames), torch.full((2,), 60.0)).isfinite().all()


def test_a_note_that_stays_the_same_sounds_alike_at_any_length() -> None:
    encoder = TimbreEncoder(line(), RESIDUAL)
    stir(encoder)
    column = drawn(3, 3, 8, 1)
    short, long = (encoder(column.expand(-1, -1, -1, 1 + n), torch.full((3,), 50.0)) for n in (200, 400))
    assert (short - long).abs().max() < 0.15
    assert (short - short.roll(1, 0)).abs().max() > 0.3


def test_pictures_are_heard_too() -> None:
    encoder = TimbreEncoder(picture(), RESIDUAL)
    low, high = torch.zeros(1, *PICTURE), torch.zeros(1, *PICTURE)
    low[:, :, :4], high[:, :, -4:] = 1.0, 1.0
    stir(encoder)
    pitch = torch.tensor([60.0])
    assert (encoder(low, pitch) - encoder(high, pitch)).abs().max() > 0.01  # rows are not averaged away
    assert encoder(drawn(1, 2, 16, 30), pitch).shape == (1, 5)


def test_the_encoder_is_told_the_pitch() -> None:
    encoder = TimbreEncoder(line(), RESIDUAL)
    stir(encoder)
    planes = drawn(2, *LINE)
    assert not torch.equal(encoder(planes, torch.full((2,), 50.0)), encoder(planes, torch.full((2,), 50.5)))


# ---- pitch adversary


def test_a_reversed_gradient() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 0.25)
    assert torch.equal(y, x)
    (3.0 * y).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [-0.75, -0.75]


def test_the_adversary_learns_while_the_encoder_unlearns() -> None:
    encoder = TimbreEncoder(line(), RESIDUAL)
    h = drawn(40, 5).requires_grad_()
    pitch = 48 + 24 * torch.rand(40, generator=torch.Generator().manual_seed(1))
    before = pitch_loss(encoder.reader(reverse_gradient(h, 1.0)), pitch, 48)
    before.backward()
    assert h.grad is not None
    with torch.no_grad():
        worse = pitch_loss(encoder.reader(h - 5.0 * h.grad), pitch, 48)
        for parameter in encoder.reader.parameters():
            assert parameter.grad is not None
            parameter -= 0.05 * parameter.grad
        better = pitch_loss(encoder.reader(h), pitch, 48)
    assert worse > before + 1e-3
    assert better < before - 1e-3


def test_pitches_between_keys_are_divided() -> None:
    found = pitch_targets(torch.tensor([48.0, 49.25, 72.0, 80.0, 40.0]), 48, 25)
    assert found.sum(1).tolist() == pytest.approx([1.0] * 5)
    assert found[1, :4].tolist() == pytest.approx([0.0, 0.75, 0.25, 0.0])
    assert [found[row].argmax().item() for row in (0, 2, 3, 4)] == [0, 24, 24, 0]
    flat = pitch_loss(torch.zeros(5, 25), torch.tensor([48.0, 49.25, 72.0, 80.0, 40.0]), 48)
    assert flat.item() == pytest.approx(math.log(25))


# ---- contrast and spread


def test_contrast_worked_out() -> None:
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    instrument = torch.tensor([0, 1])
    expected = math.log(1 + math.exp(-1 / 0.5))  # own likeness 1, the other 0
    assert info_nce(first, first, instrument, 0.5).item() == pytest.approx(expected)
    assert info_nce(first, first.flip(0), instrument, 0.5).item() == pytest.approx(expected + 2.0)
    assert info_nce(3 * first, first, instrument, 0.5).item() == pytest.approx(expected)


def test_notes_of_one_instrument_are_no_counterexamples() -> None:
    h = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    other = info_nce(h, h, torch.tensor([0, 0, 1]), 0.5)
    expected = math.log(1 + math.exp(-2.0)), math.log(1 + 2 * math.exp(-2.0))
    assert other.item() == pytest.approx((2 * expected[0] + expected[1]) / 3)


def test_divergence_worked_out() -> None:
    batch = torch.tensor([[2.0], [-2.0]])
    assert divergence(batch).item() == pytest.approx(0.5 * (4 - 1 - math.log(4)), rel=1e-3)
    assert divergence(torch.tensor([[1.0], [-1.0]])).item() == pytest.approx(0.0, abs=1e-4)
    assert divergence(batch + 3) > divergence(batch)


# ---- mixture


def test_the_mixture_finds_two_clouds() -> None:
    mixture = Mixture(4, n_parts=2)
    rng = torch.Generator().manual_seed(0)
    centres = torch.tensor([[1.4, 1.4, 0.0, 0.0], [0.0, 0.0, -1.4, 1.4]])
    for _ in range(300):
        h = centres[(torch.rand(32, generator=rng) < 0.25).long()] + 0.1 * torch.randn(32, 4, generator=rng)
        mixture.update(h, 0.05)
    order = mixture.weight.argsort(descending=True)
    torch.testing.assert_close(mixture.mean[order], centres, atol=0.1, rtol=0)
    assert mixture.weight[order].tolist() == pytest.approx([0.75, 0.25], abs=0.08)
    assert mixture.variance.max() < 0.05
    draws = mixture.sample(torch.rand(2000, generator=rng), torch.randn(2000, 4, generator=rng))
    near = torch.cdist(draws, on_sphere(centres)) < 0.6
    assert near.any(1).float().mean() > 0.95
    assert near.float().mean(0).tolist() == pytest.approx([0.75, 0.25], abs=0.08)


def test_the_mixture_is_saved_and_never_learnt_by_gradient() -> None:
    encoder = TimbreEncoder(line(), RESIDUAL)
    assert {"mixture.mean", "mixture.variance", "mixture.weight"} <= set(encoder.state_dict())
    assert not any(name.startswith("mixture") for name, _ in encoder.named_parameters())
