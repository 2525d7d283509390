"""Stages: what is stored is not made again, and a stopped evaluation ends as one that was never stopped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiogan.errors import OutputError
from audiogan.evaluation.stages import Stage, Tell, check_writable, forget, is_unfinished, publish, run_stages


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    data: bytes = b""
    n: int = 0


def _three() -> Any:
    """Three, as numpy counts."""
    return np.int64(3)


class Work:
    """Three stages that count how often they are done; `stops_in` names one that is interrupted."""

    def __init__(self, stops_in: str = "") -> None:
        self.done: list[str] = []
        self.stops_in = stops_in

    def stages(self) -> list[Stage]:
        def stage(name: str, answer: Callable[[Mapping[str, Any]], list[Figure]]) -> Stage:
            def make(tell: Tell, results: Mapping[str, Any]) -> list[Figure]:
                if name == self.stops_in:
                    raise KeyboardInterrupt
                self.done.append(name)
                tell(1, 2)
                return answer(results)

            return Stage(name, make, list[Figure])

        return [
            stage("first", lambda _: [Figure("a", 0.1 + 0.2, b"\xff\x00", _three())]),
            stage("second", lambda results: [Figure("b", results["first"][0].value), Figure("c", float("nan"))]),
            stage("third", lambda results: [Figure("d", len(results["second"]))]),
        ]


def test_results_come_back_exactly_as_they_were_stored(tmp_path: Path) -> None:
    found = run_stages(Work().stages(), tmp_path, {})
    assert found["first"] == [Figure("a", 0.30000000000000004, b"\xff\x00", 3)]
    assert np.isnan(found["second"][1].value)
    assert found["third"][0].value == 2


def test_a_stopped_evaluation_goes_on_where_it_was(tmp_path: Path) -> None:
    stopped = Work(stops_in="third")
    with pytest.raises(KeyboardInterrupt):
        run_stages(stopped.stages(), tmp_path, {"seed": 1})
    assert is_unfinished(tmp_path)
    again = Work()
    found = run_stages(again.stages(), tmp_path, {"seed": 1})
    assert again.done == ["third"]
    assert repr(found) == repr(run_stages(Work().stages(), None, {"seed": 1}))


@pytest.mark.parametrize("change", ["options", "damaged", "half"])
def test_what_does_not_belong_is_made_anew(tmp_path: Path, change: str) -> None:
    run_stages(Work().stages(), tmp_path, {"seed": 1})
    stored = tmp_path / ".evaluation" / "second.json"
    if change == "damaged":
        stored.write_bytes(b'["x", [{"name": 3}]]')
    if change == "half":
        stored.write_bytes(stored.read_bytes()[:-9])
    again = Work()
    run_stages(again.stages(), tmp_path, {"seed": 2 if change == "options" else 1})
    assert again.done == (["first", "second", "third"] if change == "options" else ["second"])


def test_progress_goes_from_stage_to_stage_and_inside_them(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    run_stages(Work().stages(), tmp_path, {}, lambda done, of: told.append((done, of)))
    assert told == [(16, 100), (33, 100), (50, 100), (66, 100), (83, 100), (100, 100)]
    told.clear()
    run_stages(Work().stages(), tmp_path, {}, lambda done, of: told.append((done, of)))
    assert told[-1] == (100, 100)


def test_a_finished_report_leaves_nothing_behind(tmp_path: Path) -> None:
    run_stages(Work().stages(), tmp_path, {})
    publish(tmp_path, {"report.html": b"a", "report.json": b"b"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_until_its_last_file_is_written_a_report_counts_as_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audiogan.evaluation import stages

    run_stages(Work().stages(), tmp_path, {})
    write = stages.write_whole

    def stop_at_json(path: Path, data: bytes) -> None:
        if path.suffix == ".json":
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(stages, "write_whole", stop_at_json)
    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path, {"report.html": b"a", "report.json": b"b"})
    assert is_unfinished(tmp_path)
    assert not (tmp_path / "report.json").exists()


def test_forgetting_and_places_that_cannot_be_written(tmp_path: Path) -> None:
    run_stages(Work().stages(), tmp_path / "r", {})
    forget(tmp_path / "r")
    assert list((tmp_path / "r").iterdir()) == []
    forget(tmp_path / "nowhere")
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="expected a folder that can be written to"):
        check_writable(tmp_path / "file")
