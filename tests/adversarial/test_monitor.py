"""The record of a run: lines, windows, hooks, a refusing disk, progress."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from audiogan.adversarial import view
from audiogan.adversarial.ema import Averages
from audiogan.adversarial.monitor import Hook, Monitor, drop_after
from tests.adversarial import toys


def monitor(folder: Path, **options: Any) -> Monitor:
    return Monitor(
        folder, **({"n_steps": 8, "batch_size": 4, "window": 4, "tensorboard": False, "quiet": True} | options)
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "stats.jsonl").read_text().splitlines()]


def test_a_line_holds_the_means_of_its_window(tmp_path: Path) -> None:
    record = monitor(tmp_path)
    with record.opened(0):
        for step in range(8):
            record.add("d", ["loss"], torch.tensor([float(step)]))
            record.add("d", ["loss"], torch.tensor([float(step) + 1.0]))
            if step % 4 == 0:
                record.add("d", ["loss", "r1"], torch.tensor([9.0, 2.0]))
            assert record.finite()
            if record.end_step(step + 1):
                record.record(step + 1, {"d/lr": 0.1})
    first, second = lines(tmp_path)
    assert (first["step"], first["share"], first["n_seen"]) == (4, 0.5, 16)
    assert first["d/loss"] == pytest.approx((0 + 1 + 2 + 3 + 1 + 2 + 3 + 4 + 9) / 9)
    assert first["d/r1"] == 2.0
    assert first["d/lr"] == 0.1
    assert second["d/loss"] == pytest.approx((4 + 5 + 6 + 7 + 5 + 6 + 7 + 8 + 9) / 9)
    assert first["items_per_second"] > 0.0
    assert 0.0 <= first["wait_share"] <= 1.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_found_and_named(tmp_path: Path, value: float) -> None:
    record = monitor(tmp_path)
    record.add("d", ["loss", "r1"], torch.tensor([1.0, 2.0]))
    assert record.finite()
    record.add("g", ["loss", "pitch"], torch.tensor([1.0, value]))
    assert not record.finite()
    assert record.trouble(5) == f"phase g: term pitch is {value} at step 5; expected finite numbers"


def test_a_move_that_was_not_made_is_named_though_its_terms_are_finite(tmp_path: Path) -> None:
    record = monitor(tmp_path)
    record.add("d", ["loss", "r1"], torch.tensor([1.0, 2.0]))
    record.add("g", ["loss"], torch.tensor([3.0]))
    assert not record.finite([torch.tensor(0.0), torch.tensor(1.0)])
    assert record.trouble(5) == "phase g: the gradient is not finite at step 5; expected finite numbers"
    assert record.sizes() == {"d": 3.0, "g": 3.0}


def test_the_record_has_the_mean_over_the_processes_that_hold_a_term(tmp_path: Path) -> None:
    other = {"d/loss": (9.0, 1), "d/odd": (4.0, 2)}
    record = monitor(tmp_path, gather=lambda own: [own, other])
    with record.opened(0):
        record.add("d", ["loss", "own"], torch.tensor([3.0, 5.0]))
        assert record.finite()
        record.end_step(4)
        record.record(4, {})
    line = lines(tmp_path)[0]
    assert (line["d/loss"], line["d/own"], line["d/odd"]) == (6.0, 5.0, 2.0)


def test_waiting_and_pauses_are_told_apart(tmp_path: Path) -> None:
    record = monitor(tmp_path)
    with record.opened(0):
        record._seconds["wait"], record._seconds["pause"], record._seconds["d"] = 1.0, 100.0, 3.0
        record._began -= 108.0
        record.record(4, {})
    line = lines(tmp_path)[0]
    assert line["wait_share"] == pytest.approx(1.0 / 8.0, rel=0.01)
    assert line["items_per_second"] == pytest.approx(4 * 4 / 8.0, rel=0.01)
    assert line["d/ms"] == pytest.approx(3e3 / 4)


@pytest.mark.parametrize(("owner", "name", "ms"), [(Averages, "update", 10.0), (Monitor, "_write", 2.5)])
def test_what_the_engine_does_between_moves_is_no_waiting_for_data(
    owner: type, name: str, ms: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, usual = [0.0], getattr(owner, name)

    def slow(*given: Any) -> None:
        now[0] += 0.01
        usual(*given)

    monkeypatch.setattr(owner, name, slow)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    toys.plain_trainer(tmp_path).run()
    recorded = [line for line in lines(tmp_path) if "ms_per_step" in line]
    assert len(recorded) == 3
    assert recorded[1]["engine/ms"] == pytest.approx(ms)  # every step, or once in a window of four
    assert [line["wait_share"] for line in recorded] == [0.0, 0.0, 0.0]


def test_lines_after_the_resumed_step_and_half_lines_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text('{"step": 2}\n{"step": 4}\n{"step": 6}\n{"step": 4, "hook": "x"}\n{"ste')
    drop_after(path, 4)
    assert lines(tmp_path) == [{"step": 2}, {"step": 4}, {"step": 4, "hook": "x"}]
    drop_after(tmp_path / "absent.jsonl", 4)


def test_hooks_are_due_when_their_share_has_passed() -> None:
    hook = Hook("samples", lambda _: None, every=0.1)
    assert [done for done in range(1, 31) if hook.due(done, 30)] == list(range(3, 31, 3))
    assert [done for done in range(1, 8) if Hook("m", lambda _: None, every=0.4).due(done, 7)] == [3, 6, 7]


def test_what_somebody_finds_is_recorded_and_finite_numbers_come_back(tmp_path: Path) -> None:
    record = monitor(tmp_path)
    with record.opened(0):
        assert record.observe("m", 4, lambda: {"kad": 0.5, "n": 3}) == {"kad": 0.5, "n": 3.0}
        assert record.observe("m", 4, lambda: {"kad": float("nan"), "n": 2}) == {"n": 2.0}
        assert record.observe("m", 4, lambda: None) == {}
    assert lines(tmp_path)[1]["m/kad"] is None
    assert lines(tmp_path)[0] == {"step": 4, "hook": "m", "m/kad": 0.5, "m/n": 3.0}


@pytest.mark.parametrize("bad", [lambda: 1 / 0, lambda: {"kad": "many"}, lambda: 7])
def test_a_metric_that_raises_is_recorded_as_failed(tmp_path: Path, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    record = monitor(tmp_path)
    with record.opened(0):
        assert record.observe("m", 4, bad) == {}
    assert lines(tmp_path)[0]["failed"]
    assert "hook m failed at step 4; training goes on" in caplog.text


def test_a_disk_that_refuses_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "stats.jsonl").mkdir()
    record = monitor(tmp_path)
    record._write(1, {"step": 1})
    record._write(2, {"step": 2})
    assert caplog.text.count("cannot be written") == 1


def test_tensorboard_gets_every_scalar(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record = monitor(tmp_path, tensorboard=True)
    with record.opened(0):
        record.add("d", ["loss"], torch.tensor([2.0]))
        record.end_step(4)
        record.record(4, {"d/lr": 0.5})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("d/loss")] == [(4, 2.0)]
    assert [event.value for event in events.Scalars("d/lr")] == [0.5]


def test_progress_is_plain_lines_where_there_is_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = monitor(tmp_path, quiet=False)
    with record.opened(0):
        record.add("d", ["adversarial"], torch.tensor([0.25]))
        record.end_step(8)
        record.record(8, {})
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("step 8/8 (100%), ")
    assert "0 min 00 s left, d/adversarial 0.250" in err


def test_quiet_and_other_processes_show_and_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ({"quiet": True}, {"quiet": False, "active": False}):
        record = monitor(tmp_path / "x", **options)
        (tmp_path / "x").mkdir(exist_ok=True)
        with record.opened(0):
            record.record(8, {})
    assert capsys.readouterr() == ("", "")
    assert len(lines(tmp_path / "x")) == 1


def test_a_bar_is_drawn_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    record = monitor(tmp_path, quiet=False)
    with record.opened(2):
        record.end_step(4)
        record.record(4, {})
    assert "4/8 steps" in capsys.readouterr().err


def test_the_bar_takes_no_time_from_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    now, threads = [0.0], threading.active_count()
    monkeypatch.setattr(view.time, "monotonic", lambda: now[0])
    record = monitor(tmp_path, quiet=False)
    with record.opened(0):
        assert threading.active_count() == threads  # nobody draws it meanwhile
        capsys.readouterr()
        for done, moment in ((1, 0.4), (2, 0.6), (3, 0.7)):
            now[0] = moment
            record.end_step(done)
            assert ("2/8 steps" in capsys.readouterr().err) == (done == 2)
