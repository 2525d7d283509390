"""Melodies in another timbre: pitch curve, loudness and times are those of the recording."""

import sys
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from audiogan.corpus.notes import hz_of
from audiogan.corpus.pitchtrack import has_tracker
from audiogan.corpus.transcription import INSTALL
from audiogan.errors import CorpusError, UnsupportedError, UsageError
from audiogan.pipelines.waveform import pitchcurve
from audiogan.pipelines.waveform.loudness import loudness_curve
from audiogan.pipelines.waveform.segmentation import Heard
from audiogan.pipelines.waveform.timbre import Timbre
from audiogan.pipelines.waveform.transfer import bend_of, transfer
from audiogan.pipelines.waveform.voice import Voice, represent
from audiogan.representation.base import SpectrogramConfig
from audiogan.representation.harmonic import Harmonic
from audiogan.representation.tracks import AMPLITUDE_POWER
from tests.pipelines.waveform.small_sounds import (
    CONFIG,
    RATE,
    Echo,
    is_click_free,
    measured_hz,
    model_of,
    recording,
    tone,
)

PLAIN = Timbre(None, np.zeros(6, np.float32), "plain")
here = sys.modules[transfer.__module__]
needs_tracker = pytest.mark.skipif(not has_tracker(), reason="swift-f0 is not installed")


@pytest.fixture(autouse=True)
def _no_transcriber(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests say holds where none is installed; `test_polyphony` has the rest."""
    monkeypatch.setattr(here, "has_transcriber", lambda: False)


def melody(*notes: tuple[float, float, float], rate: int = RATE) -> np.ndarray:
    """Notes as (pitch, seconds, level), with 50 ms of silence after each."""
    parts = []
    for pitch, seconds, loud in notes:
        note = tone(hz_of(pitch), seconds, rate=rate, brightness=0.4) * loud
        note[-round(0.02 * rate) :] *= np.linspace(1, 0, round(0.02 * rate))
        parts += [note, np.zeros(round(0.05 * rate))]
    return np.concatenate(parts).astype(np.float32)


@needs_tracker
def test_notes_times_and_levels_are_carried_over() -> None:
    source = melody((60, 0.5, 1.0), (64, 0.5, 0.3), (67.3, 0.5, 1.0), rate=22_050)
    sound = transfer(model_of(Echo()), recording(source, 22_050), PLAIN)
    assert sound.seconds == pytest.approx(len(source) / 22_050, abs=0.01)
    assert [note["pitch"] for note in sound.facts["notes"]] == pytest.approx([60, 64, 67.3], abs=0.1)
    wave = sound.waveform
    for start, pitch in ((0.1, 60), (0.65, 64), (1.2, 67.3)):
        part = wave[round(start * RATE) : round((start + 0.35) * RATE)]
        assert abs(1200 * np.log2(measured_hz(part, RATE, hz_of(pitch)) / hz_of(pitch))) < 8
    curve = loudness_curve(wave, RATE)
    before = loudness_curve(source, 22_050)
    assert curve[30] - curve[85] == pytest.approx(before[30] - before[85], abs=1.0)
    assert is_click_free(wave, RATE)
    assert np.abs(wave).max() == pytest.approx(0.8, abs=1e-3)


@needs_tracker
def test_vibrato_is_carried_over() -> None:
    time = np.arange(2 * RATE) / RATE
    cents = 40 * np.sin(2 * np.pi * 5 * time)
    phase = 2 * np.pi * np.cumsum(440.0 * 2 ** (cents / 1200)) / RATE
    source = np.sum([0.3 * np.cos(k * phase) / k for k in range(1, 6)], axis=0).astype(np.float32)
    sound = transfer(model_of(Echo()), recording(source), PLAIN)
    assert sound.facts["n_notes"] == 1
    wanted, made = (pitchcurve.follow_pitch(wave, RATE).hz[30:170] for wave in (source, sound.waveform))
    off = 1200 * np.log2(made / wanted)
    assert np.median(np.abs(off)) < 8
    assert np.ptp(np.log(made)) == pytest.approx(np.ptp(np.log(wanted)), rel=0.15)
    assert np.ptp(1200 * np.log2(made / 440)) > 30


@needs_tracker
def test_the_points_of_a_bend_are_10_ms_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[tuple[int, float]] = []
    kept = Voice.dry

    def spy(self: Voice, planes: Tensor, pitch: float, seconds: float, *, cents: Tensor, seed: int) -> Any:
        spans.append((len(cents), seconds))
        return kept(self, planes, pitch, seconds, cents=cents, seed=seed)

    monkeypatch.setattr(Voice, "dry", spy)
    transfer(model_of(Echo()), recording(melody((60, 0.5, 1.0), (64, 0.3, 1.0))), PLAIN)
    assert [0.01 * (n_points - 1) for n_points, _ in spans] == pytest.approx([seconds for _, seconds in spans])


@pytest.mark.parametrize("part", [2, 3])
def test_a_pitch_is_corrected_by_the_ratio_that_was_found(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr(pitchcurve, "check_octave", lambda waveform, rate, hz: hz / part)
    curve = pitchcurve.Curve(np.full(50, 440.0), np.ones(50, dtype=bool))
    found, notes = pitchcurve.check_octaves(curve, [Heard(10, 40, 69.0)], tone(440.0), RATE)
    assert found.hz[20] == pytest.approx(440 / part)
    assert found.hz[5] == 440
    assert hz_of(notes[0].pitch) == pytest.approx(440 / part)


@needs_tracker
def test_a_melody_out_of_range_moves_by_octaves_as_a_whole() -> None:
    source = melody((90, 0.4, 1.0), (93, 0.4, 1.0), (83, 0.4, 1.0))
    sound = transfer(model_of(Echo()), recording(source), PLAIN)
    assert sound.facts["octaves"] == -1
    assert [note["pitch"] for note in sound.facts["notes"]] == pytest.approx([78, 81, 71], abs=0.1)
    assert "moved by -1 octaves" in sound.facts["warnings"][0]


@needs_tracker
@pytest.mark.parametrize("chord", [(60, 64), (60, 67), (60, 64, 67), (48, 55, 64), (57, 60, 64, 69)])
def test_chords_are_refused_with_a_reason(chord: tuple[int, ...]) -> None:
    source = np.mean([tone(hz_of(pitch), 1.5, brightness=0.4) for pitch in chord], axis=0).astype(np.float32)
    with pytest.raises(CorpusError) as refusal:
        transfer(model_of(Echo()), recording(source), PLAIN)
    assert refusal.value.reason in {"polyphonic", "no_pitch"}
    assert "melody of one voice" in str(refusal.value)
    assert str(refusal.value).endswith(INSTALL)
    with pytest.raises(CorpusError, match="melody of one voice$"):
        transfer(model_of(Echo()), recording(source), PLAIN, voices="one")


@pytest.mark.parametrize("kind", ["silence", "noise", "click"])
def test_what_has_no_pitch_is_refused(kind: str) -> None:
    if kind == "noise" and not has_tracker():
        pytest.skip("slow without swift-f0")
    source = np.zeros(RATE // 2, np.float32)
    if kind == "noise":
        source = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    if kind == "click":
        source[100] = 0.9
    with pytest.raises(CorpusError) as refusal:
        transfer(model_of(Echo()), recording(source), PLAIN)
    assert refusal.value.reason in {"polyphonic", "no_pitch"}


@needs_tracker
def test_a_short_recording_is_refused_or_played() -> None:
    for n in (1, 100, 900):
        with pytest.raises(CorpusError):
            transfer(model_of(Echo()), recording(tone(440.0)[:n]), PLAIN)


def test_librosa_follows_the_pitch_where_swift_f0_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import librosa

    def pyin(sound: np.ndarray, *, hop_length: int, **_: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        voiced = np.arange(len(sound) // hop_length + 1) > 10  # the real one takes half a minute to compile
        return np.where(voiced, 220.0, np.nan), voiced, voiced.astype(float)

    monkeypatch.setattr(librosa, "pyin", pyin)
    monkeypatch.setattr(pitchcurve, "has_tracker", lambda: False)
    curve = pitchcurve.follow_pitch(tone(220.0, 0.5), RATE)
    assert np.isfinite(curve.hz).all()
    assert curve.hz == pytest.approx(220.0)
    assert not curve.voiced[:10].any() and curve.voiced[12:48].all()


def test_a_model_that_cannot_bend_says_so() -> None:
    config = CONFIG.model_copy(update={"representation": SpectrogramConfig()})
    model = model_of(Echo())
    model = type(model)(model.modules, config, {}, model.folder)
    with pytest.raises(UnsupportedError, match="needs a model of kind harmonic.*--voices many"):
        transfer(model, recording(tone(440.0)), PLAIN)


def test_other_voices_are_refused() -> None:
    with pytest.raises(UsageError, match="voices 'two'; expected auto, one or many"):
        transfer(model_of(Echo()), recording(tone(440.0)), PLAIN, voices="two")


def test_a_long_recording_is_refused() -> None:
    with pytest.raises(CorpusError, match="at most 600 s"):
        transfer(model_of(Echo()), recording(np.zeros(601 * 8000, np.float32), 8000), PLAIN)


class Slow(Echo):
    """A generator whose notes take a fifth of a second to rise."""

    def forward(self, *given: Any, **more: Any) -> Tensor:
        planes = super().forward(*given, **more)
        representation = represent(CONFIG)
        assert isinstance(representation, Harmonic)
        times = representation.times
        rise = ((times - 0.05) / 0.2).clamp(1e-3, 1)
        louder = (planes[:, 0, :, 1:] + 1) / 2 * rise**AMPLITUDE_POWER
        planes[:, 0, :, 1:] = 2 * louder - 1
        return planes


@needs_tracker
def test_the_attack_of_the_model_does_not_delay_an_onset() -> None:
    source = melody((60, 0.4, 1.0), (64, 0.4, 1.0))
    made, before = (
        loudness_curve(wave, RATE) for wave in (transfer(model_of(Slow()), recording(source), PLAIN).waveform, source)
    )
    for first in (0, 45):
        spans = (levels[first : first + 40] for levels in (made, before))
        begins = [int(np.argmax(span > span.max() - 10)) for span in spans]
        assert abs(begins[0] - begins[1]) <= 1


@needs_tracker
def test_joined_notes_begin_inside_their_attack() -> None:
    hz = np.where(np.arange(RATE) < RATE // 2, hz_of(60), hz_of(64))
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    source = np.sum([0.3 * np.cos(k * phase) / k for k in range(1, 6)], axis=0).astype(np.float32)
    made = transfer(model_of(Slow()), recording(source), PLAIN)
    assert made.facts["n_notes"] == 2
    part = made.waveform[round(0.53 * RATE) : round(0.6 * RATE)]
    assert measured_hz(part, RATE, hz_of(64)) == pytest.approx(hz_of(64), rel=0.01)
    assert is_click_free(made.waveform, RATE)


def test_a_bend_is_level_where_the_pitch_is_not_sure() -> None:
    curve = pitchcurve.Curve(np.linspace(400, 480, 40), np.arange(40) >= 10)
    bend = bend_of(curve, Heard(5, 30, 69.0))
    assert len(bend) == 25
    assert bend[:6] == pytest.approx(1200 * np.log2(curve.hz[10] / 440))
    assert bend[-1] == pytest.approx(1200 * np.log2(curve.hz[29] / 440))


@needs_tracker
def test_notes_made_in_portions_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    source = recording(melody((60, 0.3, 1.0), (64, 0.3, 0.5), (67, 0.3, 1.0)))
    whole = transfer(model_of(Echo()), source, PLAIN)
    monkeypatch.setattr(here, "PLANES_AT_ONCE", 2)
    assert np.array_equal(transfer(model_of(Echo()), source, PLAIN).waveform, whole.waveform)


@needs_tracker
def test_what_has_mostly_no_pitch_is_said() -> None:
    hiss = 0.2 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    source = recording(np.concatenate([melody((60, 0.8, 1.0)), hiss]))
    facts = transfer(model_of(Echo()), source, PLAIN).facts
    assert facts["voiced_share"] < 0.4
    assert any("of what sounds; the rest is left out" in warning for warning in facts["warnings"])
    assert not transfer(model_of(Echo()), recording(melody((60, 0.8, 1.0))), PLAIN).facts["warnings"]
