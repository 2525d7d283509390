import numpy as np
import pytest

from audiogan.corpus.tuning import check_octave, measure_tuning

RATE = 44_100


def tone(hz: float, ranks: tuple[int, ...] = (1, 2, 3, 4, 5), seconds: float = 1.5, vibrato: float = 0.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    cents = vibrato * np.sin(2 * np.pi * 5 * time)
    phase = 2 * np.pi * np.cumsum(hz * 2 ** (cents / 1200)) / RATE
    return sum(np.sin(rank * phase) / rank for rank in ranks).astype(np.float32)  # type: ignore[union-attr]


@pytest.mark.parametrize("hz", [32.7, 110.0, 440.0, 2000.0])
@pytest.mark.parametrize("cents", [-40, -3, 0, 25])
def test_tuning_is_measured_within_a_cent(hz: float, cents: int) -> None:
    found = measure_tuning(tone(hz * 2 ** (cents / 1200)), RATE, hz)
    assert found is not None
    assert found[0] == pytest.approx(cents, abs=1.0)
    assert found[1] > 0.9


def test_vibrato_is_measured_at_its_middle() -> None:
    found = measure_tuning(tone(440 * 2 ** (10 / 1200), vibrato=30), RATE, 440)
    assert found is not None
    assert found[0] == pytest.approx(10, abs=3)


def test_noise_and_other_keys_have_no_tuning() -> None:
    assert measure_tuning(np.random.default_rng(0).standard_normal(RATE).astype(np.float32), RATE, 440) is None
    assert measure_tuning(tone(440 * 2**0.5), RATE, 440) is None
    assert measure_tuning(tone(440), RATE, 30_000) is None


@pytest.mark.parametrize("n_samples", [1, 2, 63, 1000])
def test_short_sounds_do_no_harm(n_samples: int) -> None:
    part = tone(440)[100 : 100 + n_samples]
    measure_tuning(part, RATE, 440)
    assert check_octave(part, RATE, 440) > 0
    assert check_octave(np.zeros(n_samples, np.float32), RATE, 440) == 440


@pytest.mark.parametrize(("estimate", "right"), [(220, 220), (440, 220), (110, 220), (660, 220), (880, 220)])
def test_an_estimate_that_is_off_is_led_back(estimate: float, right: float) -> None:
    assert check_octave(tone(220), RATE, estimate) == pytest.approx(right)


def test_a_clarinet_keeps_its_octave() -> None:
    assert check_octave(tone(220, (1, 3, 5, 7)), RATE, 220) == 220


@pytest.mark.filterwarnings("error")
def test_a_note_of_a_few_periods_has_no_tuning_rather_than_none_that_is_a_number() -> None:
    for hz in (30.0, 349.2):
        wave = np.sin(2 * np.pi * hz * np.arange(2205) / 44100).astype(np.float32)
        found = measure_tuning(wave, 44100, hz)
        assert found is None or np.isfinite(found).all()
