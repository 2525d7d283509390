"""Notes go to partials and noise and back, in tune, at any pitch, rate and length."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from audiogan.errors import UsageError
from audiogan.representation.base import HarmonicConfig
from audiogan.representation.harmonic import Harmonic
from tests.representation.notes import hz_of, pitch_cents, plucked, snr_db

RATE = 16_000
SECONDS = 1.0
CONFIG = HarmonicConfig(n_rows=32, n_frames=48, grow_frames=16)
FORM = Harmonic(CONFIG, sample_rate=RATE, seconds=SECONDS)
LONG = Harmonic(HarmonicConfig(n_rows=32, n_frames=112, grow_frames=16), sample_rate=RATE, seconds=3.0)


def scalar(hz: float) -> Tensor:
    return torch.tensor(hz, dtype=torch.float64)


def sung(f0: float, *, rate: int = RATE, seconds: float = SECONDS) -> Tensor:
    """A steady tone of partials 1 to 6."""
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    tone = sum(torch.cos(2 * math.pi * k * f0 * time + k) / k for k in range(1, 7) if k * f0 < 0.47 * rate)
    assert isinstance(tone, Tensor)
    return (0.25 * tone).float()


@pytest.mark.parametrize(("pitch", "least_db"), [(36, 14), (48, 20), (60, 20), (72, 20), (84, 20)])
def test_notes_come_back(pitch: int, least_db: float) -> None:
    f0 = hz_of(pitch)
    note = plucked(f0, RATE, SECONDS)
    planes = FORM.encode(note, scalar(f0))
    assert planes.shape == FORM.shape == (3, 32, 49)
    assert planes.abs().max() <= 1
    assert snr_db(note, FORM.decode(planes, scalar(f0), keep_tuning=True)) > least_db


def test_stiff_strings_come_back() -> None:
    note = plucked(330.0, RATE, SECONDS, stretch=0.002)
    again = FORM.decode(FORM.encode(note, scalar(330.0)), scalar(330.0), keep_tuning=True)
    assert snr_db(note, again) > 18


@pytest.mark.parametrize("pitch", range(24, 97, 6))
def test_notes_sound_at_their_pitch_though_they_were_out_of_tune(pitch: int) -> None:
    f0 = hz_of(pitch)
    note = sung(f0 * 2 ** (17 / 1200), seconds=3.0)
    planes = LONG.encode(note, scalar(f0))
    assert float(planes[0, 0, 0]) == pytest.approx(0.17, abs=0.01), "row 0 of the head is the tuning in semitones"
    assert abs(pitch_cents(LONG.decode(planes, scalar(f0)), f0, RATE)) < 1
    assert pitch_cents(LONG.decode(planes, scalar(f0), keep_tuning=True), f0, RATE) == pytest.approx(17, abs=1)


@pytest.mark.parametrize("error", [0.2, 0.9])
def test_a_generator_cannot_detune_a_note(error: float) -> None:
    f0 = scalar(220.0)
    planes = FORM.encode(sung(220.0), f0)
    planes[1, 0, 8:] += error
    left_alone = abs(pitch_cents(FORM.decode(planes, f0, keep_tuning=True), 220.0, RATE))
    assert left_alone > 3
    # Five partials of the six still speak for the old pitch, so a little remains.
    assert abs(pitch_cents(FORM.decode(planes, f0), 220.0, RATE)) < left_alone / 10


def test_a_curve_in_cents_moves_the_pitch() -> None:
    f0 = scalar(220.0)
    planes = FORM.encode(sung(220.0), f0)
    raised = FORM.decode(planes, f0, cents=torch.tensor([30.0, 30.0, 30.0]))
    assert pitch_cents(raised, 220.0, RATE) == pytest.approx(30, abs=1)
    glide = FORM.decode(planes, f0, cents=torch.tensor([0.0, 1200.0]))
    time = torch.arange(RATE, dtype=torch.float64) / RATE
    turns = 220.0 * (torch.exp2(time) - 1) / math.log(2)
    # The curve is linear in cents, so the frequency is a power of two of the time.
    octave = 0.25 * sum((torch.cos(2 * math.pi * k * turns + k) / k for k in range(1, 7)), torch.zeros(RATE))
    assert snr_db(octave[800:], glide[800:].double()) > 12


@pytest.mark.parametrize("rate", [16_000, 22_050, 32_000, 44_100, 48_000])
def test_one_note_sounds_at_every_rate(rate: int) -> None:
    f0 = scalar(220.0)
    planes = FORM.encode(sung(220.0), f0)
    sound = FORM.decode(planes, f0, sample_rate=rate)
    assert sound.shape == (rate,)
    assert abs(pitch_cents(sound, 220.0, rate)) < 1
    assert snr_db(sung(220.0, rate=rate), sound) > 15


def test_noise_keeps_its_loudness_at_every_rate() -> None:
    noise = 0.1 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    planes = FORM.encode(noise, scalar(100.0))
    sounds = {rate: FORM.decode(planes, scalar(100.0), sample_rate=rate) for rate in (RATE, 44_100)}
    loudness = [float(sound[rate // 4 :].std()) for rate, sound in sounds.items()]
    assert loudness[0] == pytest.approx(0.1, rel=0.2)
    assert loudness[1] == pytest.approx(loudness[0], rel=0.15)


def test_the_seed_chooses_the_noise_and_nothing_else_is_random() -> None:
    noise = 0.1 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    planes = FORM.encode(noise, scalar(100.0))
    first, again, other = (FORM.decode(planes, scalar(100.0), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_a_batch_is_its_notes() -> None:
    pitches = torch.tensor([[110.0, 440.0], [880.0, 55.0]])
    notes = torch.stack([plucked(hz, RATE, SECONDS) for hz in pitches.flatten().tolist()]).reshape(2, 2, -1)
    planes = FORM.encode(notes, pitches)
    assert planes.shape == (2, 2, *FORM.shape)
    sounds = FORM.decode(planes, pitches)
    assert torch.equal(planes[1, 0], FORM.encode(notes[1, 0], pitches[1, 0]))
    torch.testing.assert_close(sounds[0, 1], FORM.decode(planes[0, 1], pitches[0, 1]))


@given(pitch=st.floats(24, 96), loudness=st.floats(0, 10), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_random_planes_give_finite_bounded_sound(pitch: float, loudness: float, seed: int) -> None:
    wild = loudness * torch.randn(FORM.shape, generator=torch.Generator().manual_seed(seed))
    sound = FORM.decode(wild, scalar(hz_of(pitch)))
    assert torch.isfinite(sound).all()
    assert sound.abs().max() < CONFIG.n_rows + 20


@pytest.mark.parametrize("n_samples", [0, 1, 777, 20_001])
def test_any_length_is_padded_or_cut(n_samples: int) -> None:
    planes = FORM.encode(torch.full((n_samples,), 0.5), scalar(220.0))
    assert torch.isfinite(planes).all()
    assert FORM.decode(planes, scalar(220.0)).shape == (RATE,)


def test_silence_stays_silent() -> None:
    planes = FORM.encode(torch.zeros(RATE), scalar(220.0))
    assert FORM.decode(planes, scalar(220.0)).abs().max() < 1e-6


def test_what_is_masked_is_constant_and_changes_nothing() -> None:
    f0 = scalar(hz_of(84))
    planes = FORM.encode(plucked(float(f0), RATE, SECONDS), f0)
    outside = FORM.mask(f0)[0, :, 0] == 0
    assert int(outside.sum()) == 32 - 7
    assert (planes[0, outside, 1:] == -1).all()
    assert (planes[1, outside] == 0).all()
    assert (planes[:, outside, 0] == 0).all()
    spoilt = planes.clone()
    spoilt[:2, outside] = 0.7
    assert torch.equal(FORM.decode(spoilt, f0), FORM.decode(planes, f0))


def test_decode_has_gradients() -> None:
    f0 = scalar(220.0)
    planes = FORM.encode(sung(220.0), f0).requires_grad_()
    FORM.decode(planes, f0).square().sum().backward()
    assert planes.grad is not None
    assert torch.isfinite(planes.grad).all()
    assert planes.grad[0, 0, 1:].abs().max() > 0


@pytest.mark.parametrize("seconds", [0.05, 0.3, 1.0, 3.5])
def test_notes_become_longer_and_shorter(seconds: float) -> None:
    f0 = scalar(220.0)
    planes = FORM.encode(sung(220.0), f0)
    sound = FORM.extend(planes, f0, seconds, release=0.2)
    assert len(sound) == math.ceil((seconds + 0.2) * RATE)
    held = sound[: round(seconds * RATE)]
    assert abs(float(sound[-1])) < 1e-3
    body = held[len(held) // 4 : -len(held) // 4]
    assert float(body.std()) == pytest.approx(float(sung(220.0).std()), rel=0.15)


def test_decaying_notes_go_on_decaying() -> None:
    f0 = scalar(220.0)
    note = plucked(220.0, RATE, SECONDS, n_partials=1)
    sound = FORM.extend(FORM.encode(note, f0), f0, 3.0, release=0.0)
    early, late = (sound[round(at * RATE) : round((at + 0.2) * RATE)].std() for at in (0.3, 2.3))
    expected = math.exp(-1.3 * 2.0)
    assert float(late / early) == pytest.approx(expected, rel=0.3)


def test_impossible_lengths_and_rates_are_refused() -> None:
    f0, planes = scalar(220.0), torch.zeros(FORM.shape)
    for seconds in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="expected more than 0 s"):
            FORM.extend(planes, f0, seconds)
    with pytest.raises(UsageError, match="sample rate 100 Hz"):
        FORM.decode(planes, f0, sample_rate=100)
