"""A timbre from several recordings: blended between them by pitch, mixed group by group, saved and refused."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiogan.corpus.notes import hz_of
from audiogan.errors import CorpusError, UnsupportedError
from audiogan.pipelines.waveform.detail import (
    FADE_SEMITONES,
    MOST_DETAILS,
    N_KNOTS,
    Detail,
    groups_of,
    mixed,
    shares_at,
    total_weight,
    with_details,
)
from audiogan.pipelines.waveform.encoding import MOST_REGISTERS, Example, spread, timbre_of, timbre_of_several
from audiogan.pipelines.waveform.timbre import between, load_timbre, save_timbre
from audiogan.pipelines.waveform.voice import Played, make_planes, represent
from tests.pipelines.waveform.small_sounds import CONFIG, RATE, model_of, recording, tone

EMPTY = np.zeros((3, 1, 1 + N_KNOTS), np.int8)


def detail(pitch: float, weight: float = 1.0, group: int = 0, level: int = 0) -> Detail:
    return Detail(EMPTY + np.int8(level), pitch, weight, group)


def example(pitch: float, weight: float = 1.0) -> Example:
    return Example(torch.zeros(1, 3, 4, 5), torch.tensor([pitch]), weight)


# ---- by pitch


@given(st.lists(st.integers(24, 96), min_size=1, max_size=8, unique=True), st.floats(20, 100))
def test_inside_a_group_nothing_fades_and_outside_its_end_does(keys: list[int], pitch: float) -> None:
    shares = shares_at([detail(float(key)) for key in keys], pitch)
    beyond = max(min(keys) - pitch, pitch - max(keys), 0.0)
    if len(keys) == 1:
        beyond = abs(keys[0] - pitch)
    assert sum(share.added for share in shares) == pytest.approx(np.exp(-beyond / FADE_SEMITONES))
    assert sum(share.kept for share in shares) == 1
    (whole,) = (share.detail.pitch for share in shares if share.kept)
    assert abs(whole - pitch) == pytest.approx(min(abs(key - pitch) for key in keys))


def test_half_way_between_two_recordings_lies_their_mean() -> None:
    silent, cells = torch.zeros(3, 1, 1 + N_KNOTS), torch.ones(3, 1, 1)
    two = [detail(60.0, level=10), detail(66.0, level=30)]
    made = [float(with_details(silent, two, pitch, cells)[0, 0, 5] * 63) for pitch in (60.0, 61.5, 63.0, 66.0)]
    assert made == pytest.approx([10, 15, 20, 30], rel=1e-5)


# ---- groups


def test_groups_are_mixed_as_a_whole() -> None:
    low, high = [detail(50.0), detail(60.0)], [detail(55.0), detail(70.0), detail(80.0)]
    way = mixed(low, high, 0.25)
    assert [[one.pitch for one in group] for group in groups_of(way)] == [[50, 60], [55, 70, 80]]
    assert [group[0].weight for group in groups_of(way)] == [0.75, 0.25]
    assert total_weight(way) == 1
    again = mixed(way, low, 0.5)
    assert [group[0].weight for group in groups_of(again)] == [0.375, 0.125, 0.5]


def test_of_too_many_the_lightest_groups_are_left_out() -> None:
    many, few = [detail(float(pitch)) for pitch in range(40, 40 + MOST_DETAILS)], [detail(60.0)]
    assert {one.pitch for one in mixed(many, few, 0.75)} == {60.0}
    kept = mixed(many, few, 0.25)
    assert (len(kept), total_weight(kept)) == (MOST_DETAILS, 0.75)
    assert {one.group for one in mixed(many, few, 0.75)} == {0}


# ---- from recordings


def test_notes_of_all_registers_are_chosen_evenly() -> None:
    many = [example(float(pitch)) for pitch in range(30, 90)]
    found = [float(one.pitch) for one in spread(many)]
    assert (found[0], found[-1], len(found)) == (30, 89, MOST_REGISTERS)
    assert {b - a for a, b in pairwise(found)} <= {5, 6}
    assert [float(one.pitch) for one in spread([example(60.0, 0.4), example(60.2), example(70.0, 0.4)])] == [
        pytest.approx(60.2)
    ]


def test_every_recording_comes_back_at_its_own_pitch() -> None:
    model = model_of()
    pitches = [float(CONFIG.lowest_pitch + step) for step in (2, 8, 14)]
    sounds = [tone(hz_of(pitch), brightness=bright) for pitch, bright in zip(pitches, (0.2, 0.5, 0.8), strict=True)]
    named = {f"tone_{number}": recording(sound) for number, sound in enumerate(sounds)}
    several = timbre_of_several(model, named, pitches=dict(zip(named, pitches, strict=True)), name="tones")
    assert [one.pitch for one in several.details] == pytest.approx(pitches, abs=0.05)
    one = timbre_of(model, recording(sounds[0]), pitch=pitches[0])

    def error(timbre: Any, sound: np.ndarray, pitch: float) -> float:
        wanted = represent(CONFIG).encode(torch.from_numpy(sound)[None], torch.tensor([hz_of(pitch)]))[0]
        made = make_planes(model, [Played(timbre, pitch, 0.8)])[0]
        return float((made - wanted)[[0, 2], :, 1:].abs().mean())

    assert all(error(several, sound, pitch) < 0.05 for sound, pitch in zip(sounds, pitches, strict=True))
    assert error(several, sounds[2], pitches[2]) < 0.6 * error(one, sounds[2], pitches[2])


def test_one_refused_recording_stops_or_is_told() -> None:
    model, told = model_of(), []
    named = {"a_C4.wav": recording(tone(hz_of(60))), "b_C5.wav": recording(np.zeros(RATE, np.float32))}
    with pytest.raises(CorpusError, match="b_C5"):
        timbre_of_several(model, named)
    found = timbre_of_several(model, named, on_refusal=lambda name, error: told.append((name, error.reason)))
    assert told == [("b_C5.wav", "silent")]
    assert len(found.details) == 1
    with pytest.raises(CorpusError, match=r"mine: no recording that can be used; expected one or more"):
        timbre_of_several(model, {}, name="mine")


def test_several_need_an_encoder() -> None:
    model = model_of()
    bare = replace(model, modules={"generator": model.modules["generator"]})
    with pytest.raises(UnsupportedError, match="needs an encoder"):
        timbre_of_several(bare, {"a": recording(tone(hz_of(60)))})


# ---- files


def test_groups_are_saved_and_older_files_name_none(tmp_path: Path) -> None:
    model = model_of()
    low, high = (timbre_of(model, recording(tone(hz_of(pitch))), pitch=pitch) for pitch in (60, 64))
    save_timbre(between(model, low, high, 0.5), tmp_path / "way.json")
    found = json.loads((tmp_path / "way.json").read_text())
    assert [one["group"] for one in found["details"]] == [0, 1]
    for one in found["details"]:
        del one["group"]
    (tmp_path / "old.json").write_text(json.dumps(found))
    assert [one.group for one in load_timbre(tmp_path / "old.json", model).details] == [0, 1]
    for one in found["details"]:
        one["group"] = 0
        one["pitch"] = 60.0
    (tmp_path / "odd.json").write_text(json.dumps(found))
    with pytest.raises(CorpusError, match="expected one weight, and pitches that differ"):
        load_timbre(tmp_path / "odd.json")
