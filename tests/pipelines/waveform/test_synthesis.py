"""New notes and ladders: in tune, clean, loud enough, and the same whatever is made beside them."""

import json
from typing import Any, cast

import numpy as np
import pytest
import torch

from audiogan.corpus.notes import hz_of
from audiogan.errors import CorpusError, UnsupportedError, UsageError
from audiogan.pipelines.waveform import synthesis
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.encoder import TimbreEncoder, on_sphere
from audiogan.pipelines.waveform.loudness import loudness
from audiogan.pipelines.waveform.network_config import ClassicConfig
from audiogan.pipelines.waveform.synthesis import generate, interpolate
from audiogan.pipelines.waveform.timbre import Timbre, random_timbre
from audiogan.pipelines.waveform.voice import Voice, into_range, represent
from audiogan.representation.base import SpectrogramConfig
from tests.pipelines.waveform.small_sounds import (
    CONFIG,
    RATE,
    Echo,
    Silence,
    cents_off,
    is_click_free,
    measured_hz,
    model_of,
    tone,
)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_notes_sound_at_the_pitch_asked_for(rate: int) -> None:
    pitches = [40.0, 57.5, 60.25, 72.0, 84.0]
    sounds = generate(model_of(Echo()), seed=0, pitches=pitches, sample_rate=rate)
    assert len(sounds) == 5
    for pitch, sound in zip(pitches, sounds, strict=True):
        assert sound.sample_rate == rate
        assert cents_off(sound.waveform, rate, pitch) < 2
        assert sound.facts["pitch"] == pitch
        assert is_click_free(sound.waveform, rate)


@pytest.mark.parametrize("duration", [0.05, 0.4, 3.0])
def test_a_note_lasts_as_long_as_asked_and_is_released(duration: float) -> None:
    (sound,) = generate(model_of(Echo()), seed=0, pitches=[60], duration=duration)
    assert sound.seconds == pytest.approx(duration + 0.3, abs=0.01)
    assert is_click_free(sound.waveform, RATE)
    end = round(duration * RATE)
    assert np.abs(sound.waveform[max(0, end - 400) : end]).max() > 0.2
    assert np.abs(sound.waveform[end + RATE // 4 :]).max() < 0.02


@pytest.mark.parametrize("pitches", [None, [48.0, 60.5]])
def test_groups_of_notes_are_the_notes_made_at_once(pitches: list[float] | None) -> None:
    model = model_of()
    whole = generate(model, count=5, seed=4, pitches=pitches, duration=0.1)
    parts = [generate(model, count=n, first=at, seed=4, pitches=pitches, duration=0.1) for at, n in ((0, 3), (3, 2))]
    for one, other in zip(whole, parts[0] + parts[1], strict=True):
        assert one.facts == other.facts
        assert np.array_equal(one.waveform, other.waveform)


def test_velocity_changes_level_and_timbre() -> None:
    model = model_of(Echo())
    sounds = [generate(model, seed=0, pitches=[60], velocity=v / 10)[0].waveform for v in range(1, 11)]
    levels = [loudness(sound, RATE) for sound in sounds]
    assert levels == sorted(levels)
    assert np.abs(sounds[-1]).max() == pytest.approx(0.8, abs=0.01)
    brightness = []
    for sound in sounds:
        spectrum = np.abs(np.fft.rfft(sound))
        brightness.append(float((spectrum * np.arange(len(spectrum))).sum() / spectrum.sum()))
    assert brightness[-1] > 1.2 * brightness[0]


def test_a_note_depends_on_seed_and_number_alone() -> None:
    model = model_of()
    three, ten = generate(model, count=3, seed=5), generate(model, count=10, seed=5)
    for first, second in zip(three, ten, strict=False):
        assert np.array_equal(first.waveform, second.waveform)
        assert first.facts == second.facts
    other = generate(model, count=3, seed=6)
    assert not np.array_equal(three[0].waveform, other[0].waveform)
    assert not np.array_equal(ten[0].waveform[:100], ten[9].waveform[:100])


def test_new_notes_have_the_timbres_that_evaluate_measures() -> None:
    model = model_of()
    for number, sound in enumerate(generate(model, count=3, seed=5)):
        assert sound.facts["timbre"] == random_timbre(model, 5, number).as_json()


def test_without_temperature_a_timbre_is_the_middle_of_its_part() -> None:
    model = model_of()
    encoder = model.modules["encoder"]
    assert isinstance(encoder, TimbreEncoder)
    middles = on_sphere(encoder.mixture.mean).numpy()
    for number in range(4):
        cold, warm = (random_timbre(model, 0, number, temperature=t) for t in (0.0, 1.0))
        assert cold.h is not None and warm.h is not None
        nearest, own = (float(np.abs(middles - timbre.h).max(axis=1).min()) for timbre in (cold, warm))
        assert nearest < 1e-5 < 0.05 < own
        assert not cold.z.any()


def test_pitches_left_out_are_spread_over_the_range() -> None:
    pitches = [sound.facts["pitch"] for sound in generate(model_of(), count=12, seed=0, duration=0.05)]
    assert all(36 <= pitch <= 84 and pitch == int(pitch) for pitch in pitches)
    assert max(np.diff(sorted([36, *pitches, 84]))) <= 12


def test_a_pitch_outside_the_range_is_played_octaves_away_and_told() -> None:
    (sound,) = generate(model_of(Echo()), seed=0, pitches=[30], sample_rate=48_000)
    assert sound.facts["pitch"] == 42 and sound.facts["asked_pitch"] == 30
    assert cents_off(sound.waveform, 48_000, 42) < 3
    assert "outside the trained range 36-84, played at 42" in sound.facts["warnings"][0]
    assert "nothing sounds above 8000 Hz" in sound.facts["warnings"][1]
    json.dumps(dict(sound.facts))


def test_octaves_lead_to_the_nearest_pitch_in_range() -> None:
    assert [into_range(pitch, CONFIG) for pitch in (0, 24, 35, 35.6, 36, 84.4, 85, 127)] == [3, 1, 1, 0, 0, 0, -1, -4]
    narrow = CONFIG.model_copy(update={"lowest_pitch": 60, "highest_pitch": 62})
    assert [into_range(pitch, narrow) for pitch in (48, 64, 67, 100)] == [1, 0, -1, -3]


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_silent_and_broken_notes_are_silence(value: float) -> None:
    for duration in (None, 0.02, 2.0):
        (sound,) = generate(model_of(Silence(value)), seed=0, pitches=[60], duration=duration)
        assert np.isfinite(sound.waveform).all()
        assert len(sound.waveform)


def test_an_untrained_model_stays_within_full_scale() -> None:
    for sound in generate(model_of(), count=4, seed=0, temperature=2.0):
        assert np.isfinite(sound.waveform).all()
        assert 0.3 < np.abs(sound.waveform).max() <= 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"count": 0}, "0 notes"),
        ({"pitches": [128]}, "pitch 128"),
        ({"pitches": [float("nan")]}, "pitch nan"),
        ({"pitches": []}, "no pitches"),
        ({"velocity": 1.5}, "velocity 1.5"),
        ({"duration": 0.0}, "duration 0"),
        ({"duration": float("inf")}, "duration inf"),
        ({"sample_rate": 8000}, "sample rate 8000"),
        ({"temperature": -1.0}, "temperature -1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        generate(model_of(), **cast("Any", {"count": 1, "seed": 0} | options))


def test_a_timbre_of_another_model_is_refused() -> None:
    timbre = Timbre(None, np.zeros(6, np.float32), "t", "cd" * 32)
    with pytest.raises(CorpusError, match="other weights"):
        generate(model_of(), count=1, seed=0, timbre=timbre)


# ---- ladders


def test_a_ladder_has_one_pitch_and_one_loudness() -> None:
    model = model_of(Echo())
    dull, bright = (Timbre(np.array([x, 0, 0, 0, 0], np.float32), random_timbre(model, 0).z, "t") for x in (-1, 1))
    sounds = interpolate(model, dull, bright, steps=5, seed=0, pitch=62.5)
    levels = [loudness(sound.waveform, RATE) for sound in sounds]
    assert max(levels) - min(levels) < 0.1
    assert all(cents_off(sound.waveform, RATE, 62.5) < 2 for sound in sounds)
    assert [sound.facts["share"] for sound in sounds] == [0, 0.25, 0.5, 0.75, 1]
    assert max(np.abs(sound.waveform).max() for sound in sounds) == pytest.approx(0.8 * 0.64, abs=0.01)


def test_the_ends_of_a_ladder_do_not_depend_on_its_steps() -> None:
    model = model_of()
    ends = random_timbre(model, 0), random_timbre(model, 1)
    short, long = (interpolate(model, *ends, steps=steps, seed=0, duration=0.2) for steps in (2, 4))
    for first, second in ((short[0], long[0]), (short[1], long[3])):
        gain = np.abs(first.waveform).max() / np.abs(second.waveform).max()
        assert first.waveform == pytest.approx(second.waveform * gain, abs=1e-5)


def test_one_step_is_refused() -> None:
    timbre = random_timbre(model_of(), 0)
    with pytest.raises(UsageError, match="both ends"):
        interpolate(model_of(), timbre, timbre, steps=1)


# ---- other representations and verbs


def test_notes_of_spectrograms_can_be_held_and_resampled() -> None:
    config = CONFIG.model_copy(update={"representation": SpectrogramConfig(kind="lin_if", n_fft=512, hop_length=128)})
    model = model_of(Echo(config), config)
    (sound,) = generate(model, seed=0, pitches=[60], duration=3.0, sample_rate=44_100)
    assert sound.seconds == pytest.approx(3.3, abs=0.01)
    assert abs(1200 * np.log2(measured_hz(sound.waveform, 44_100, hz_of(60)) / hz_of(60))) < 5
    assert is_click_free(sound.waveform, 44_100)


def test_a_classic_model_says_that_it_has_no_quarter_tones() -> None:
    config = CONFIG.model_copy(update={"network": ClassicConfig(z_dim=6)})
    (sound,) = generate(model_of(Echo(), CONFIG), seed=0, pitches=[60.5])
    assert not sound.facts["warnings"]
    note = synthesis.Played(Timbre(None, np.zeros(6, np.float32)), 60.5, 0.5)
    assert "between keys" in synthesis.note_facts(config, 60.5, note, RATE)["warnings"][0]


@pytest.mark.parametrize("verb", ["continue_clip", "accompany", "infill", "vary"])
def test_verbs_on_clips_are_refused(verb: str) -> None:
    with pytest.raises(UnsupportedError, match="use a multitrack model"):
        getattr(synthesis, verb)(None, None, bars=(1, 2))


@pytest.mark.parametrize("held", [True, False])
def test_a_note_let_go_early_can_be_held_and_one_that_dies_away_is_not(held: bool) -> None:
    config = CONFIG.model_copy(update={"seconds": 3.0})
    representation = represent(config)
    note = tone(hz_of(57.5), 0.9, decay=0.0 if held else 60.0)
    planes = representation.encode(torch.from_numpy(note)[None], torch.tensor([hz_of(57.5)]))[0]
    wave = Voice(config, RATE).note(planes, 57.5, 5.0)
    late = wave[4 * RATE : 5 * RATE]
    if held:
        assert np.abs(late).max() > 0.3
        assert cents_off(late, RATE, 57.5) < 3
        assert is_click_free(wave, RATE)
    else:
        assert np.abs(late).max() < 0.01
    short, long = (Voice(config, RATE).dry(planes, 57.5, seconds) for seconds in (1.0, 4.0))
    assert short[: RATE // 2] == pytest.approx(long[: RATE // 2], abs=1e-6)


def test_a_note_of_its_own_length_ends_with_a_release() -> None:
    """Also where its planes sound to the end: no cut after which a loud note is silent at once."""
    config = Config(sample_rate=16_000, seconds=1.0)
    voice = Voice(config, 16_000)
    tone = 0.5 * np.sin(2 * np.pi * 220 * np.arange(16_000) / 16_000).astype(np.float32)
    f0 = torch.tensor([220.0])
    planes = config.represent().encode(torch.from_numpy(tone)[None], f0)[0]
    sound = voice.note(planes, 57.0, None)
    assert len(sound) == pytest.approx(16_000, abs=160)
    loud, late = np.abs(sound[6_000:8_000]).max(), np.abs(sound[-1_600:-800]).max()
    assert late < 0.5 * loud
