"""Timbres: drawn, saved, read back, joined, and found in recordings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiogan.corpus import audio
from audiogan.corpus.notes import hz_of
from audiogan.corpus.pitchtrack import has_tracker
from audiogan.errors import CorpusError, UnsupportedError, UsageError
from audiogan.pipelines.waveform import encoding
from audiogan.pipelines.waveform.encoder import Mixture
from audiogan.pipelines.waveform.encoding import timbre_of
from audiogan.pipelines.waveform.network_config import ClassicConfig
from audiogan.pipelines.waveform.settling import fit_mixture
from audiogan.pipelines.waveform.timbre import (
    Timbre,
    along,
    between,
    check_timbre,
    free_timbre,
    load_timbre,
    random_timbre,
    save_timbre,
    slerp,
)
from audiogan.workflow import making, sounds
from tests.pipelines.waveform.small_sounds import CONFIG, RATE, Echo, model_of, recording, tone


def test_a_draw_depends_on_seed_and_number_alone() -> None:
    model = model_of()
    first, again, other = random_timbre(model, 3, 1), random_timbre(model, 3, 1), random_timbre(model, 3, 2)
    assert first.h is not None and again.h is not None and other.h is not None
    assert np.array_equal(first.h, again.h) and np.array_equal(first.z, again.z)
    assert not np.allclose(first.h, other.h) and not np.allclose(first.z, other.z)
    assert np.mean(first.h**2) == pytest.approx(1.0, abs=1e-3)
    assert free_timbre(model, 3, 1).h is None


def test_saving_and_loading_is_exact(tmp_path: Path) -> None:
    model = model_of()
    for timbre in (random_timbre(model, 0), free_timbre(model, 0)):
        save_timbre(timbre, tmp_path / "t.json")
        found = load_timbre(tmp_path / "t.json", model)
        assert np.array_equal(found.z, timbre.z)
        assert (found.h is None) == (timbre.h is None)
        assert timbre.h is None or (found.h is not None and np.array_equal(found.h, timbre.h))
        assert (found.name, found.model) == (timbre.name, model.sha256)


def test_the_facts_of_a_sound_hold_its_timbre(tmp_path: Path) -> None:
    timbre = free_timbre(model_of(), 1)
    (tmp_path / "s.json").write_text(json.dumps({"pitch": 60, "timbre": timbre.as_json()}))
    assert np.array_equal(load_timbre(tmp_path / "s.json").z, timbre.z)


def test_what_lies_beside_a_sound_holds_its_timbre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_tracker():
        pytest.skip("swift-f0 is not installed")
    model = model_of(Echo())
    monkeypatch.setattr(making, "load", lambda *_, **__: model)
    audio.write(tone(hz_of(60))[None], RATE, tmp_path / "source.wav")
    sounds.transfer(tmp_path / "source.wav", seed=3, out=tmp_path / "out.wav")
    assert np.array_equal(load_timbre(tmp_path / "out.wav.json", model).z, random_timbre(model, 3).z)
    sounds.generate_notes(count=2, duration=0.1, out=tmp_path / "several")
    with pytest.raises(CorpusError, match="no timbre"):  # which of the two?
        load_timbre(tmp_path / "several" / "manifest.json", model)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema": "other"}, "no timbre"),
        ({"extra": 1}, "keys missing or unknown"),
        ({"z": []}, "z; expected 1 to 4096"),
        ({"z": ["a"]}, "z; expected 1 to 4096"),
        ({"z": [True] * 6}, "z; expected 1 to 4096"),
        ({"z": [1e30] * 6}, "not finite"),
        ({"z": [0.0] * 7}, "expected 6 and 5"),
        ({"h": [0.0]}, "expected 6 and 5"),
        ({"name": 3}, "expected texts"),
        ({"model": "cd" * 32}, "other weights"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    model = model_of()
    (tmp_path / "t.json").write_text(json.dumps(random_timbre(model, 0).as_json() | change))
    with pytest.raises(CorpusError, match=told) as refusal:
        load_timbre(tmp_path / "t.json", model)
    assert refusal.value.reason == "bad_config"
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"z": NaN}', '{"z": 1, "z": 2}', "\0"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(CorpusError):
        load_timbre(tmp_path / "t.json")


def test_slerp_keeps_the_length_and_is_guarded() -> None:
    a, b = np.array([3, 0, 0], np.float32), np.array([0, 3, 0], np.float32)
    for share in (0.0, 0.25, 0.5, 1.0):
        assert np.linalg.norm(slerp(a, b, share)) == pytest.approx(3.0, abs=1e-5)
    angle = np.arccos(slerp(a, b, 0.25)[0] / 3)
    assert angle == pytest.approx(np.pi / 8, abs=1e-5)
    for other in (a, a * np.float32(1 + 1e-7), -a, 0 * a):
        assert np.isfinite(slerp(a, np.asarray(other, np.float32), 0.5)).all()
    assert slerp(a, a, 0.3) == pytest.approx(a)


def test_the_way_between_two_has_its_ends_and_takes_null_for_no_h() -> None:
    model = model_of()
    first, second = random_timbre(model, 0), free_timbre(model, 1)
    assert between(model, first, second, 0.0) is first
    assert between(model, first, second, 1.0) is second
    middle = between(model, first, second, 0.5)
    assert middle.h is not None and first.h is not None
    null = model.modules["generator"].get_parameter("conditions.null").numpy()
    assert middle.h == pytest.approx((first.h + null) / 2, abs=1e-6)
    assert along(model, [first, second], 3.0) is second
    assert along(model, [first, second], 2.0) is first


def test_a_mixture_finds_the_groups_it_is_fitted_to() -> None:
    centres = 3 * torch.eye(4, 5)
    h = centres[[0] * 20 + [1] * 40 + [2] * 60 + [3] * 80] + 0.05 * torch.randn(
        200, 5, generator=torch.Generator().manual_seed(0)
    )
    mixture = Mixture(5, n_parts=4)
    fit_mixture(mixture, h, seed=0)
    distance = torch.cdist(centres, mixture.mean).amin(1)
    assert distance.max() < 0.05
    assert sorted(mixture.weight.tolist()) == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.02)
    few = Mixture(5, n_parts=4)
    fit_mixture(few, h[:1], seed=0)
    assert torch.isfinite(few.mean).all() and torch.isfinite(few.weight).all()


# ---- recordings


def test_the_pitch_is_given_or_told_by_the_name() -> None:
    model, sound = model_of(), recording(tone(hz_of(57)))
    given, named = timbre_of(model, sound, pitch=57), timbre_of(model, sound, name="x/reed_A3.wav")
    assert given.h is not None and named.h is not None
    assert np.array_equal(given.h, named.h)
    assert named.name == "reed_A3"
    with pytest.raises(UsageError, match="expected MIDI"):
        timbre_of(model, sound, pitch=float("nan"))


def test_level_rate_and_lead_do_not_change_a_timbre() -> None:
    model, note = model_of(), tone(hz_of(57), rate=48_000)
    soon = np.concatenate([np.zeros(2400, np.float32), note])
    later = np.concatenate([np.zeros(9600, np.float32), note * np.float32(0.2)])
    first, second = (timbre_of(model, recording(sound, 48_000), pitch=57).h for sound in (soon, later))
    assert first is not None and second is not None
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert cosine > 0.99


def test_silence_is_refused() -> None:
    with pytest.raises(CorpusError, match="nothing above") as refusal:
        timbre_of(model_of(), recording(np.zeros(RATE, np.float32)), pitch=60)
    assert refusal.value.reason == "silent"


def test_an_unnamed_note_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_tracker():
        pytest.skip("swift-f0 is not installed")
    seen: list[float] = []
    kept = encoding._example

    def spy(config: Any, waveform: Any, rate: int, pitch: float, source: str) -> Any:
        seen.append(pitch)
        return kept(config, waveform, rate, pitch, source)

    monkeypatch.setattr(encoding, "_example", spy)
    timbre_of(model_of(), recording(tone(hz_of(64))))
    assert seen == [pytest.approx(64, abs=0.1)]


def test_refinement_comes_nearer_to_the_note() -> None:
    model, sound = model_of(), recording(tone(hz_of(60)))
    example = encoding._example(CONFIG, sound.waveform, RATE, 60.0, "note")
    start = timbre_of(model, sound, pitch=60)
    moved = timbre_of(model, sound, pitch=60, refine=True)

    def distance(timbre: Timbre) -> float:
        assert timbre.h is not None
        made = model.modules["generator"](
            torch.from_numpy(timbre.z)[None], torch.from_numpy(timbre.h)[None], example.pitch, torch.tensor([0.8])
        )
        return float((made - example.planes)[..., 1:].abs().mean())

    assert distance(moved) < distance(start)
    assert all(not parameter.requires_grad for parameter in model.modules["generator"].parameters())


def test_a_model_without_an_encoder_says_so() -> None:
    config = CONFIG.model_copy(update={"network": ClassicConfig(z_dim=6)})
    model = model_of()
    model = type(model)({"generator": model.modules["generator"]}, config, {}, Path("model"))
    with pytest.raises(UnsupportedError, match="needs an encoder"):
        timbre_of(model, recording(tone(440.0)), pitch=69)
    assert random_timbre(model, 0).h is None
    check_timbre(random_timbre(model, 0), model)


def test_noise_and_a_wrong_pitch_are_refused_where_a_pitch_is_told() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    for sound in (noise, tone(hz_of(61))):
        with pytest.raises(
            CorpusError, match="drum: no partials within half a semitone .* MIDI 60; expected"
        ) as refused:
            timbre_of(model_of(), recording(sound), pitch=60, name="drum.wav")
        assert refused.value.reason == "no_pitch"
    assert timbre_of(model_of(), recording(tone(hz_of(60.4))), pitch=60).details[0].pitch == pytest.approx(
        60.4, abs=0.05
    )


@pytest.mark.skipif(not has_tracker(), reason="swift-f0 is not installed")
def test_one_note_heard_in_two_parts_is_one_note() -> None:
    note = tone(hz_of(60), seconds=1.0)
    twice = np.concatenate([note, np.zeros(RATE // 10, np.float32), note])
    assert len(encoding._examples(CONFIG, recording(twice), None, "twice")) == 1
    other = np.concatenate([note, np.zeros(RATE // 10, np.float32), tone(hz_of(64), seconds=1.0)])
    assert len(encoding._examples(CONFIG, recording(other), None, "two")) == 2
