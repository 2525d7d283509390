"""What a discriminator is shown instead of a note: louder, quieter, with a gap, and never anything else."""

from typing import Any

import pytest
import torch

from audiogan.adversarial.augment import Augment, AugmentConfig
from audiogan.adversarial.game import Moment
from audiogan.adversarial.schedule import Schedule
from audiogan.pipelines.waveform.augment import N_DRAWS, WIDEST_GAP, curve, gap, transforms_of
from audiogan.pipelines.waveform.plan import Sheet, hertz, plan_of
from audiogan.pipelines.waveform.voice import represent
from audiogan.representation.base import SpectrogramConfig, representation_of
from audiogan.representation.harmonic import Harmonic
from audiogan.representation.tracks import from_planes
from tests.pipelines.waveform.small_sounds import CONFIG, tone

PITCH = torch.tensor([60.0, 69.0])


def draws(seed: int = 0, n: int = 2) -> torch.Tensor:
    return torch.rand(n, N_DRAWS, generator=torch.Generator().manual_seed(seed))


def sheet() -> Sheet:
    made = Sheet(plan_of(represent(CONFIG), CONFIG.lowest_pitch, CONFIG.highest_pitch))
    made.scale.fill_(1.7)
    made.shift.fill_(0.4)
    return made


def notes() -> torch.Tensor:
    waves = torch.stack([torch.from_numpy(tone(float(hz))) for hz in hertz(PITCH)])
    return represent(CONFIG).encode(waves, hertz(PITCH))


def test_curves_are_smooth_and_of_one_size() -> None:
    many = curve(torch.rand(2000, 4, generator=torch.Generator().manual_seed(0)), 64)
    assert many.shape == (2000, 64)
    assert 0.8 < float(many.std()) < 1.2 and abs(float(many.mean())) < 0.1
    assert float(many.diff(dim=1)[:, 8:].abs().max()) < 0.7


def test_colour_and_envelope_are_gains_of_partials_and_noise_and_leave_head_and_deviations() -> None:
    page, planes = sheet(), notes()
    normal = page.enter(planes, PITCH)
    representation = represent(CONFIG)
    assert isinstance(representation, Harmonic)
    times = representation.times
    before = from_planes(planes, hertz(PITCH), times)
    for number, change in enumerate(transforms_of(page, "harmonic")[:2]):
        changed = change(normal, draws())
        assert torch.equal(changed[:, 1], normal[:, 1]) and torch.equal(changed[..., 0], normal[..., 0])
        after = from_planes(page.leave(changed, PITCH), hertz(PITCH), times)
        gain = after.amplitude[0, 8:40, :6] / before.amplitude[0, 8:40, :6]
        along, across = gain.std(dim=0).mean() / gain.mean(), gain.std(dim=1).mean() / gain.mean()
        assert (across > 0.1 and along < 0.01) if number == 0 else (along > 0.05 and across < 0.01)


def test_a_flat_curve_changes_nothing() -> None:
    page, planes = sheet(), notes()
    flat = torch.full((2, N_DRAWS), 0.5)  # heights of 0
    for change in transforms_of(page, "harmonic")[:2]:
        torch.testing.assert_close(change(page.enter(planes, PITCH), flat), page.enter(planes, PITCH))


def test_a_gap_is_a_small_block_in_all_planes() -> None:
    normal = torch.ones(50, 3, 32, 65)
    holes = (gap(normal, draws(1, 50)) == 0).float()
    assert torch.equal(holes[:, 0], holes[:, 1])
    assert 0 < float(holes.mean()) < float(holes.mean(dim=(1, 2, 3)).max()) <= WIDEST_GAP**2 + 0.03
    rows, frames = holes[:, 0].amax(dim=2), holes[:, 0].amax(dim=1)
    assert torch.equal(holes[:, 0], rows[:, :, None] * frames[:, None, :])


def test_all_changes_let_gradients_through_and_differ_between_examples() -> None:
    page = sheet()
    normal = page.enter(notes()[:1].repeat(2, 1, 1, 1), PITCH[:1].repeat(2)).requires_grad_()
    for change in transforms_of(page, "harmonic"):
        changed = change(normal, draws())
        assert not torch.equal(changed[0], changed[1])
        (gradient,) = torch.autograd.grad(changed.square().sum(), normal)
        assert torch.isfinite(gradient).all() and float(gradient.abs().sum()) > 0


@pytest.mark.parametrize("kind", ["lin_if", "mel_if", "mag_pghi"])
def test_spectrograms_change_in_magnitude_alone(kind: Any) -> None:
    config = SpectrogramConfig(kind=kind, n_fft=256, hop_length=64)
    planes = representation_of(config, sample_rate=16000, seconds=0.25)
    page = Sheet(plan_of(planes, 36, 84))
    normal = torch.zeros(2, *planes.shape)
    for change in transforms_of(page, kind)[:2]:
        changed = change(normal, draws())
        assert float(changed[:, 0].abs().max()) > 0.01 and torch.equal(changed[:, 1:], normal[:, 1:])


def test_complex_planes_hold_no_magnitude_and_get_gaps_alone() -> None:
    assert transforms_of(sheet(), "complex_stft") == (gap,)


def test_both_of_a_pair_are_changed_alike() -> None:
    page = sheet()
    augment = Augment(AugmentConfig(probability=Schedule(start=1.0)), transforms_of(page, "harmonic"), n_draws=N_DRAWS)
    moment = Moment(step=3, share=0.2, n_seen=0, phase="discriminator")
    normal = page.enter(notes(), PITCH)
    once, again = (augment(normal, moment, "pair") for _ in range(2))
    assert torch.equal(once, again) and not torch.equal(once, normal)
