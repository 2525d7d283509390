"""Spectrograms go to planes and back; what each kind keeps is stated in decibels."""

import math

import numpy as np
import pytest
import torch

from audiogan.errors import UnsupportedError
from audiogan.representation.base import SpectrogramConfig
from audiogan.representation.pghi import integrate_phase
from audiogan.representation.phase import instantaneous_frequency, unwrap
from audiogan.representation.specgram import (
    MEL_BREAK_HZ,
    MEL_Q,
    Specgram,
    mel_inverse,
    mel_matrix,
    spectrogram_of,
    to_mel,
)
from tests.representation.notes import plucked, snr_db

RATE = 16_000
A4 = torch.tensor(440.0)


def make(kind: str, seconds: float = 1.0, **sizes: int) -> Specgram:
    config = SpectrogramConfig.model_validate({"kind": kind, **sizes})
    found = spectrogram_of(config, sample_rate=RATE, seconds=seconds)
    assert isinstance(found, Specgram)
    return found


def test_gansynth_has_128_frames_of_1024_rows() -> None:
    assert make("mel_if", 4.0).shape == (2, 1024, 128)
    assert make("mag_pghi", 4.0).shape == (1, 1024, 128)


@pytest.mark.parametrize(("kind", "least_db"), [("lin_if", 55), ("complex_stft", 60), ("mel_if", 3)])
def test_notes_come_back(kind: str, least_db: float) -> None:
    form = make(kind)
    note = plucked(440.0, RATE, 1.0)
    planes = form.encode(note, A4)
    assert planes.shape == form.shape
    assert planes.abs().max() <= 1
    assert snr_db(note, form.decode(planes, A4)) > least_db


@pytest.mark.parametrize("kind", ["lin_if", "complex_stft"])
def test_both_edges_come_back(kind: str) -> None:
    form = make(kind)
    noise = torch.rand(RATE, generator=torch.Generator().manual_seed(0)) - 0.5
    again = form.decode(form.encode(noise, A4), A4)
    for edge in (slice(0, 64), slice(-64, None)):
        assert snr_db(noise[edge], again[edge]) > 25


@pytest.mark.parametrize("kind", ["lin_if", "mel_if", "mag_pghi", "complex_stft"])
@pytest.mark.parametrize("n_samples", [1, 501, 4000, 9000])
def test_any_length_is_padded_or_cut(kind: str, n_samples: int) -> None:
    form = make(kind, 0.25, n_fft=256, hop_length=64)
    notes = torch.full((2, n_samples), 0.5)
    again = form.decode(form.encode(notes, torch.full((2,), 220.0)), torch.full((2,), 220.0))
    assert again.shape == (2, 4000)
    assert torch.isfinite(again).all()


@pytest.mark.parametrize("kind", ["lin_if", "mel_if", "mag_pghi", "complex_stft"])
def test_silence_stays_silent_and_random_planes_stay_finite(kind: str) -> None:
    form = make(kind, 0.25, n_fft=256, hop_length=64)
    silence = form.encode(torch.zeros(4000), A4)
    assert form.decode(silence, A4).abs().max() < 1e-4
    wild = 3 * torch.randn(form.shape, generator=torch.Generator().manual_seed(0))
    sound = form.decode(wild, A4, seed=1)
    assert torch.isfinite(sound).all()
    assert sound.abs().max() < form.shape[1]


def test_a_sine_peaks_in_its_row_and_its_frequency_is_constant() -> None:
    form = make("lin_if")
    sine = 0.5 * torch.sin(2 * math.pi * 440 / RATE * torch.arange(RATE))
    log_mag, inst_freq = form.encode(sine, A4)
    row = round(440 * form.n_fft / RATE) - 1  # DC is left out
    assert int(log_mag[:, 10].argmax()) == row
    inside = inst_freq[row, 8:24] / 0.8
    expected = math.remainder(2 * 440 * form.hop_length / RATE, 2)
    torch.testing.assert_close(inside, torch.full_like(inside, expected), atol=1e-4, rtol=0)


def test_unwrap_is_numpys() -> None:
    phase = 20 * torch.randn(5, 200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    phase[0, 1], phase[0, 0] = math.pi, 0.0
    np.testing.assert_allclose(unwrap(phase).numpy(), np.unwrap(phase.numpy()), atol=1e-9)


def test_phase_is_the_sum_of_instantaneous_frequency() -> None:
    phase = 20 * torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inst_freq = instantaneous_frequency(phase)
    assert inst_freq.abs().max() <= 1
    again = torch.cumsum(inst_freq * math.pi, dim=-1)
    torch.testing.assert_close(torch.cos(again), torch.cos(phase))


def test_the_mel_matrix_has_gansynths_fault() -> None:
    matrix = mel_matrix(1024, RATE)
    assert (matrix.sum(1) == 0).nonzero()[:, 0].tolist() == [0], "row 0 stands for a DC that is not there"
    assert (matrix.sum(0) == 0).nonzero()[:, 0].tolist() == [0]
    # A bin of the spectrogram, whose first row is bin 1, is taken for one bin less: by 7.8 Hz at 16 kHz.
    centre = MEL_BREAK_HZ * (torch.expm1(torch.linspace(0, float(to_mel(torch.tensor(8000.0))), 1026) / MEL_Q))
    row = 512
    seen_hz = float((matrix[row] * centre[1:-1]).sum() / matrix[row].sum())
    assert seen_hz == pytest.approx(8000 * row / 1023, abs=3)
    assert mel_inverse(matrix).shape == (1024, 1024)


def test_heap_integration_finds_the_phase_of_a_tone_and_of_a_click() -> None:
    form = make("mag_pghi", 0.5, n_fft=512, hop_length=128)
    time = torch.arange(8000) / RATE
    tone = 0.5 * torch.sin(2 * math.pi * (500 + 400 * time) * time)
    click = torch.zeros(8000)
    click[4000] = 0.8
    for sound in (tone, click):
        again = form.decode(form.encode(sound, A4), A4)
        first, second = (form.transform(one).abs() for one in (sound, again))
        assert float((first - second).norm() / first.norm()) < 0.12
    quiet = integrate_phase(np.zeros((4, 4)), n_fft=8, hop_length=2)
    assert np.isfinite(quiet).all()


def test_spectrograms_have_one_pitch_and_one_rate() -> None:
    form = make("lin_if", 0.25)
    planes = torch.zeros(form.shape)
    with pytest.raises(UnsupportedError, match="no pitch curve"):
        form.decode(planes, A4, cents=torch.zeros(2))
    with pytest.raises(UnsupportedError, match="44100 Hz"):
        form.decode(planes, A4, sample_rate=44_100)
