"""What a timbre carries of its recording: taken, added again, mixed, saved, and refused where it is none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiogan.corpus.notes import hz_of
from audiogan.errors import CorpusError
from audiogan.pipelines.waveform.detail import MOST_DETAILS, N_KNOTS, STEP, Detail, detail_of, mixed, with_details
from audiogan.pipelines.waveform.encoding import _last_frame, timbre_of
from audiogan.pipelines.waveform.synthesis import interpolate
from audiogan.pipelines.waveform.timbre import between, load_timbre, save_timbre
from audiogan.pipelines.waveform.voice import Played, make_planes, represent
from audiogan.representation.harmonic import Harmonic
from tests.pipelines.waveform.small_sounds import CONFIG, RATE, model_of, recording, tone

N_ROWS, N_FRAMES = 4, 160


def planes_of(seed: int) -> torch.Tensor:
    """Planes that change slowly, well inside -1 to 1."""
    drawn = torch.rand(3, N_ROWS, 9, generator=torch.Generator().manual_seed(seed)) - 0.5
    return torch.nn.functional.interpolate(drawn, size=1 + N_FRAMES, mode="linear")


def test_made_planes_with_their_detail_are_the_wanted_ones() -> None:
    made, wanted, all_cells = planes_of(0), planes_of(1), torch.ones(3, N_ROWS, 1)
    again = with_details(made, [detail_of(made, wanted, 60.0, N_FRAMES)], 60.0, all_cells)
    before, after = ((planes - wanted)[[0, 2], :, 1:].abs().mean() for planes in (made, again))
    assert after < 0.1 * before


def test_deviations_and_head_are_the_recordings_where_a_partial_can_be_heard_there() -> None:
    made, wanted = planes_of(0), planes_of(1)
    made[0, 0], wanted[0, 0] = -1.0, 0.8  # the model does not play the first partial
    made[0, 1], wanted[0, 1] = 0.8, -1.0  # nor the recording the second
    again = with_details(made, [detail_of(made, wanted, 60.0, N_FRAMES)], 60.0, torch.ones(3, N_ROWS, 1))
    for row, other in ((0, wanted), (1, made)):
        assert (again - other)[1, row, 1:].abs().mean() < 0.02
        torch.testing.assert_close(again[:, row, 0], other[:, row, 0], atol=0.02, rtol=0)


def test_a_partial_that_the_model_leaves_out_comes_back_whole() -> None:
    made, wanted = (torch.full((3, N_ROWS, 1 + N_FRAMES), level) for level in (-1.0, 0.95))
    again = with_details(made, [detail_of(made, wanted, 60.0, N_FRAMES)], 60.0, torch.ones(3, N_ROWS, 1))
    assert float((again - wanted).abs().max()) < STEP


def test_cells_that_mean_nothing_stay_and_planes_stay_in_range() -> None:
    detail = Detail(np.full((3, N_ROWS, 1 + N_KNOTS), 127, np.int8), 60.0)
    mask = torch.tensor([[[1.0], [1.0], [0.0], [0.0]]] * 3)
    again = with_details(planes_of(0), [detail], 60.0, mask)
    assert torch.equal(again[:, 2:], planes_of(0)[:, 2:])
    assert again.max() == 1.0


def test_a_detail_fades_with_the_distance_in_pitch_and_by_its_weight() -> None:
    detail = Detail(np.full((3, N_ROWS, 1 + N_KNOTS), 30, np.int8), 60.0, 0.5)
    silent, mask = torch.zeros(3, N_ROWS, 1 + N_FRAMES), torch.ones(3, N_ROWS, 1)
    made = [with_details(silent, [detail], pitch, mask) for pitch in (60.0, 72.0, 84.0)]
    at = [float(one[0, 0, 5]) for one in made]
    assert at[0] == pytest.approx(0.5 * 30 * STEP)
    assert at[1:] == pytest.approx([at[0] * np.exp(-0.5), at[0] * np.exp(-1)], rel=1e-5)
    assert [float(one[1, 0, 5]) for one in made] == pytest.approx([0.5 * 30 * STEP] * 3)  # deviations do not fade


def test_silence_after_a_short_recording_is_no_part_of_its_timbre() -> None:
    made, wanted = torch.zeros(3, N_ROWS, 1 + N_FRAMES), torch.zeros(3, N_ROWS, 1 + N_FRAMES)
    wanted[:, :, 1:] = 0.3
    wanted[:, :, 81:] = -1.0
    values = detail_of(made, wanted, 60.0, 79).values
    assert (values[[0, 2], :, 1:] == round(0.3 / STEP)).all()


def test_details_mix_by_their_weights_and_stay_few() -> None:
    one, other = (Detail(np.zeros((3, 1, 1 + N_KNOTS), np.int8), pitch) for pitch in (50.0, 70.0))
    way = mixed([one], [other], 0.25)
    assert [(detail.pitch, detail.weight) for detail in way] == [(50.0, 0.75), (70.0, 0.25)]
    assert [detail.weight for detail in mixed([one], [other], 0.0)] == [1.0]
    assert [detail.group for detail in way] == [0, 1]


def test_a_recording_comes_back_at_its_own_pitch_and_the_way_begins_and_ends_there() -> None:
    model = model_of()
    pitch = float(CONFIG.lowest_pitch + 5)
    low, high = (timbre_of(model, recording(tone(hz_of(p))), pitch=p) for p in (pitch, pitch + 4))
    wanted = represent(CONFIG).encode(torch.from_numpy(tone(hz_of(pitch)))[None], torch.tensor([hz_of(pitch)]))[0]
    bare = make_planes(model, [Played(between(model, low, low, 0.0), pitch, 0.8)])[0]
    plain = make_planes(model, [Played(type(low)(low.h, low.z), pitch, 0.8)])[0]
    kept = [0, 2]
    assert (bare - wanted)[kept, :, 1:].abs().mean() < 0.4 * (plain - wanted)[kept, :, 1:].abs().mean()
    ways = interpolate(model, low, high, steps=3)
    assert [way.facts["pitch"] for way in ways] == [pitch + 2] * 3  # half-way between the recordings
    assert len(between(model, low, high, 0.5).details) == 2


def test_details_are_saved_exactly_and_belong_to_the_size_of_the_model(tmp_path: Path) -> None:
    model = model_of()
    timbre = timbre_of(model, recording(tone(hz_of(60))), pitch=60)
    save_timbre(timbre, tmp_path / "t.json")
    found = load_timbre(tmp_path / "t.json", model)
    assert np.array_equal(found.details[0].values, timbre.details[0].values)
    assert found.details[0].pitch == timbre.details[0].pitch
    broken = json.loads((tmp_path / "t.json").read_text())
    broken["details"][0]["values"] = Detail(np.zeros((3, 3, 1 + N_KNOTS), np.int8), 60.0).as_json()["values"]
    (tmp_path / "b.json").write_text(json.dumps(broken))
    with pytest.raises(CorpusError, match="details of another size"):
        load_timbre(tmp_path / "b.json", model)


@pytest.mark.parametrize(
    "change",
    [
        {"pitch": 200}, {"pitch": "60"}, {"weight": 2}, {"weight": True}, {"values": "!"}, {"values": 5},
        {"values": "AAAA"}, {"values": ""}, {"more": 1}, {"pitch": float("nan")},
        {"group": -1}, {"group": 1.0}, {"group": 32},
    ],
)  # fmt: skip
def test_odd_details_are_refused_in_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    timbre = timbre_of(model_of(), recording(tone(hz_of(60))), pitch=60).as_json()
    timbre["details"][0] |= change
    (tmp_path / "odd.json").write_text(json.dumps(timbre))
    with pytest.raises(CorpusError, match="expected") as refused:
        load_timbre(tmp_path / "odd.json")
    assert "\n" not in str(refused.value)


def test_too_many_details_are_refused(tmp_path: Path) -> None:
    timbre = timbre_of(model_of(), recording(tone(hz_of(60))), pitch=60).as_json()
    timbre["details"] *= MOST_DETAILS + 1
    (tmp_path / "odd.json").write_text(json.dumps(timbre))
    with pytest.raises(CorpusError, match="at most 32"):
        load_timbre(tmp_path / "odd.json")


def test_details_that_weigh_more_than_one_together_are_refused(tmp_path: Path) -> None:
    timbre = timbre_of(model_of(), recording(tone(hz_of(60))), pitch=60).as_json()
    timbre["details"] = [timbre["details"][0] | {"group": group} for group in (0, 1)]
    (tmp_path / "odd.json").write_text(json.dumps(timbre))
    with pytest.raises(CorpusError, match="expected at most 1 together"):
        load_timbre(tmp_path / "odd.json")


def test_a_note_that_dies_away_is_followed_to_its_end_and_one_let_go_is_not() -> None:
    representation = represent(CONFIG)
    assert isinstance(representation, Harmonic)

    def last_frame(sound: np.ndarray) -> int:
        planes = representation.encode(torch.from_numpy(sound)[None], torch.tensor([hz_of(60)]))[0]
        return _last_frame(planes, representation.times)

    n_frames = len(representation.times)
    let_go = np.concatenate([tone(hz_of(60), seconds=0.5), np.zeros(RATE // 2, np.float32)])
    assert last_frame(tone(hz_of(60), decay=70.0)) == n_frames
    assert 0.4 * n_frames < last_frame(let_go) < 0.95 * n_frames


def test_a_note_too_short_to_confirm_its_pitch_is_believed() -> None:
    short = np.random.default_rng(0).standard_normal(RATE // 5).astype(np.float32) * 0.1
    assert timbre_of(model_of(), recording(short), pitch=60).details
