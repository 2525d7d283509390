"""A whole evaluation: the held-out instruments themselves pass, a model that has learnt nothing fails."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiogan.errors import OutputError, UsageError
from audiogan.evaluation.rows import ReportRow
from audiogan.pipeline import Model
from audiogan.pipelines.waveform import evaluation
from audiogan.pipelines.waveform.comparison import Row
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.evaluation import Measured, evaluate, untrained
from audiogan.pipelines.waveform.held_out import hold_out
from audiogan.pipelines.waveform.network_config import ClassicConfig
from audiogan.representation.base import SpectrogramConfig
from tests.pipelines.waveform.instruments import CONFIG, HELD, model_of, write_cache
from tests.pipelines.waveform.perfect import Knower, Player

COUNT = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with its reference notes."""
    folder = tmp_path_factory.mktemp("model")
    hold_out(write_cache(tmp_path_factory.mktemp("cache")), CONFIG, folder)
    return folder


@pytest.fixture(scope="module")
def perfect(folder: Path) -> dict[tuple[str, str], Row]:
    held = hold_out(write_cache(folder), CONFIG, folder)
    modules = {"generator": Player(), "encoder": Knower(held)}
    return rows_of(evaluate(Model(modules, CONFIG, {}, folder, name="perfect", pipeline="waveform"), count=COUNT))


@pytest.fixture(scope="module")
def measured(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Measured, Path, list[tuple[int, int]]]:
    """What evaluating gives, where the report lies, and how progress was told."""
    told: list[tuple[int, int]] = []
    report = tmp_path_factory.mktemp("report") / "new"
    result = evaluate(
        model_of(folder), report=report, count=COUNT, progress=lambda done, total: told.append((done, total))
    )
    return result, report, told


def rows_of(measured: Measured) -> dict[tuple[str, str], Row]:
    return {(one.metric, one.form): one for one in measured.rows}


def values(rows: dict[tuple[str, str], Row], metric: str) -> list[float]:
    return [one.value for (name, _), one in rows.items() if name == metric]


def test_the_instruments_themselves_are_like_real_notes(perfect: dict[tuple[str, str], Row]) -> None:
    for metric in ("kernel_distance", "precision", "recall", "coverage"):
        assert perfect[metric, "timbre vector"].passes, metric
    assert values(perfect, "broken_notes") == [0.0]
    assert values(perfect, "copies") == [0.0]


def test_the_instruments_themselves_are_in_tune(perfect: dict[tuple[str, str], Row]) -> None:
    assert perfect["in_tune", "keys, comb"].value == 1
    assert perfect["in_tune", "quarter-tones, comb"].value == 1
    assert perfect["octave_errors", "keys, comb"].value == 0


def test_velocity_makes_them_brighter(perfect: dict[tuple[str, str], Row]) -> None:
    found = perfect["velocity_brightness", "rank correlation"]
    assert found.value > 0.8
    assert found.floor > 0.8


def test_a_code_that_names_the_instrument_finds_it_and_hides_the_pitch(perfect: dict[tuple[str, str], Row]) -> None:
    assert all(value == 1 for value in values(perfect, "timbre_retrieval"))
    assert perfect["pitch_leak", "within instruments"].value <= 0.01
    assert perfect["timbre_retrieval", "h, any other note"].note.startswith("chance 0.2")


def test_a_recording_made_again_is_itself(perfect: dict[tuple[str, str], Row]) -> None:
    for form in ("log-mel, dB", "timbre vector"):
        found = perfect["reconstruction", form]
        assert found.passes
        assert found.value < 0.3 * found.ceiling
    assert values(perfect, "reconstruction_retrieval")[0] > 0.8


def test_the_way_between_recordings_is_even_also_where_the_model_itself_jumps(
    perfect: dict[tuple[str, str], Row],
) -> None:
    assert perfect["way_ends_at_home", "timbre vector"].value > 0.7
    jump = perfect["way_largest_step", "against the mean step"]
    assert 1.0 < jump.value < 2.5  # 8 by the model alone, which goes all the way in one of eight steps
    assert jump.passes


def test_a_model_that_has_learnt_nothing_is_told_so(measured: tuple[Measured, Path, list[tuple[int, int]]]) -> None:
    rows = rows_of(measured[0])
    assert rows["kernel_distance", "timbre vector"].passes is False
    assert rows["frechet", "timbre vector"].note.startswith("refused")  # of so few notes
    assert rows["reconstruction", "timbre vector"].passes is False


def test_the_report_says_what_was_measured(measured: tuple[Measured, Path, list[tuple[int, int]]]) -> None:
    result, report, told = measured
    written = json.loads((report / "report.json").read_text())
    assert written == json.loads(json.dumps(result.as_json()))
    assert written["n_generated"] == COUNT
    assert written["n_instruments"] == len(HELD)
    assert written["scaled_on"] == "30 training notes"
    page = (report / "report.md").read_text()
    assert page.startswith("# none\n")
    assert "| timbre_retrieval |" in page
    assert [of for _, of in told] == [100] * len(told)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (100, 100)
    assert f"{COUNT} notes beside" in result.as_text()


def test_the_page_lets_hear_and_see(measured: tuple[Measured, Path, list[tuple[int, int]]]) -> None:
    result, report, _ = measured
    shelves = {shelf.heading: shelf.exhibits for shelf in result.shelves}
    assert [len(exhibits) for exhibits in shelves.values()] == [8, 12, 7]
    page = (report / "report.html").read_text()
    assert page.count("<audio") == page.count("<img") == 27
    assert any(name in page for name in HELD)
    exhibits = shelves["Real notes and the model's"]
    assert [one.title for one in exhibits[:2]] == ["Real note 1", "Made again by the model"]
    assert exhibits[0].sound != exhibits[1].sound


def test_rows_come_in_the_shape_of_every_pipeline(measured: tuple[Measured, Path, list[tuple[int, int]]]) -> None:
    rows = {(one["metric"], one["form"]): one for one in json.loads((measured[1] / "report.json").read_text())["rows"]}
    kernel = rows["kernel_distance", "timbre vector"]
    assert list(kernel) == [one.name for one in fields(ReportRow)]
    assert kernel["embedding"] == "timbre vector"
    assert len(kernel["embedding_sha256"]) == 64
    assert kernel["real"] == kernel["floor"]
    assert kernel["split"] == "held out"
    assert rows["in_tune", "keys, comb"]["embedding"] == ""


def test_a_killed_evaluation_goes_on_and_tells_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(model_of(folder), report=tmp_path / "straight", count=8)
    asked: list[str] = []
    whole = dict(evaluation.ROWS)

    def noting(name: str, *, stops: bool = False) -> Any:
        ask, share = whole[name]

        def note(judged: Any, tell: Any) -> Any:
            asked.append(name)
            if stops:
                raise KeyboardInterrupt
            return ask(judged, tell)

        return note, share

    monkeypatch.setattr(evaluation, "ROWS", {name: noting(name, stops=name == "velocity") for name in whole})
    with pytest.raises(KeyboardInterrupt):
        evaluate(model_of(folder), report=tmp_path / "stopped", count=8)
    assert not list((tmp_path / "stopped").glob("report.*"))
    before, asked[:] = list(asked), []
    monkeypatch.setattr(evaluation, "ROWS", {name: noting(name) for name in whole})
    evaluate(model_of(folder), report=tmp_path / "stopped", count=8)
    assert before[-1] == "velocity"
    assert asked[0] == "velocity"
    assert not {*before[:-1]} & {*asked}
    files = [sorted(path.name for path in (tmp_path / one).iterdir()) for one in ("straight", "stopped")]
    assert files[0] == files[1] == ["report.html", "report.json", "report.md"]
    for name in files[0]:
        assert (tmp_path / "straight" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes(), name


def test_the_untrained_networks_see_planes_as_the_model_does(folder: Path) -> None:
    model = model_of(folder)
    for module in model.modules.values():
        module.get_buffer("sheet.scale").fill_(3.0)
        module.get_buffer("sheet.shift").fill_(-0.5)
    for module in untrained(model, 0).modules.values():
        assert {float(module.get_buffer("sheet.scale").mean()), float(module.get_buffer("sheet.shift").mean())} == {
            3,
            -0.5,
        }


def test_the_same_seed_measures_the_same(folder: Path) -> None:
    first, second = (evaluate(model_of(folder), count=8, seed=3).as_json() for _ in range(2))
    assert first == second


def test_a_model_without_timbre_is_measured_too(tmp_path: Path) -> None:
    cache = write_cache(tmp_path)
    classic = Config(
        sample_rate=CONFIG.sample_rate, seconds=CONFIG.seconds, lowest_pitch=55, highest_pitch=67,
        representation=SpectrogramConfig(kind="lin_if", n_fft=256, hop_length=64),
        network=ClassicConfig(z_dim=6, n_blocks=3, filters_base=32, filters_max=8),
    )  # fmt: skip
    shape = classic.represent().shape
    n_notes = len(json.loads((cache / "instruments.json").read_text())) * 15
    np.save(cache / "planes.npy", np.random.default_rng(0).uniform(-1, 0, (n_notes, *shape)).astype(np.float16))
    hold_out(cache, classic, tmp_path)
    metrics = {one.metric for one in evaluate(model_of(tmp_path, classic), count=8).rows}
    assert "timbre_retrieval" not in metrics
    assert {"kernel_distance", "in_tune", "way_largest_step"} <= metrics


def test_without_real_notes_or_a_place_to_write_nothing_is_begun(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reference folder"):
        evaluate(model_of(tmp_path / "run" / "model"), count=8)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="expected a folder"):
        evaluate(model_of(folder), report=tmp_path / "file" / "report", count=8)
