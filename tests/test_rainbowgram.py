import numpy as np
import pytest

from audiogan.rainbowgram import F_MIN_HZ, analyse, rainbowgram, rows

RATE = 44100


def sine(hz: float, seconds: float = 1.0, sample_rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * sample_rate)) / sample_rate)


@pytest.mark.parametrize("hz", [110.0, 440.0, 3520.0])
def test_a_sine_is_loudest_in_its_row_and_told_to_lie_there(hz: float) -> None:
    magnitude, deviation = analyse(sine(hz), RATE, 20, 256)
    hertz = rows(RATE, 256)
    loudest = magnitude[:, 10].argmax()
    assert abs(hertz[loudest] - hz) <= max(RATE / 4096, 0.02 * hz)
    found_hz = hertz[loudest] + deviation[loudest, 10] * 2.0 * RATE / 4096
    assert found_hz == pytest.approx(hz, rel=1e-3)


def test_colour_tells_on_which_side_the_frequency_lies() -> None:
    _, deviation = analyse(sine(440.0), RATE, 20, 256)
    hertz = rows(RATE, 256)
    below, above = np.searchsorted(hertz, [430.0, 450.0])
    assert deviation[below, 10] > 0 > deviation[above, 10]


def test_low_pitches_stand_at_the_bottom_and_late_ones_to_the_right() -> None:
    magnitude, _ = analyse(np.concatenate([np.zeros(RATE), sine(200.0)]), RATE, 40, 64)
    assert magnitude[:, 30].argmax() < 32
    assert magnitude[:, 5].max() < 1e-6 * magnitude[:, 30].max()


@pytest.mark.parametrize("waveform", [np.zeros(0), np.zeros(1), np.full(100, np.nan), np.full(10, np.inf)])
def test_anything_has_a_picture(waveform: np.ndarray) -> None:
    for sample_rate in (8000, 192_000):
        assert rainbowgram(waveform, sample_rate, width=8, height=8).startswith(b"\x89PNG")


def test_the_same_sound_gives_the_same_bytes() -> None:
    assert rainbowgram(sine(300.0), RATE) == rainbowgram(sine(300.0), RATE)
    assert rainbowgram(sine(300.0), RATE) != rainbowgram(sine(310.0), RATE)


def test_rows_are_even_in_pitch() -> None:
    hertz = rows(RATE, 100)
    assert hertz[0] == F_MIN_HZ
    np.testing.assert_allclose(hertz[1:] / hertz[:-1], hertz[1] / hertz[0])
