"""F12: a process of several dies or hangs. All of them stop, start again elsewhere, and end in the same weights."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from audiogan import cli, workflow
from audiogan.adversarial.heartbeat import HEARTBEAT, Heart
from audiogan.errors import UsageError
from audiogan.workflow import supervisor
from audiogan.workflow.supervisor import Ended, Patience, RestartsUsedUpError, supervise
from tests.adversarial import toys
from tests.adversarial.faults.killing import is_alive, wait_for
from tests.adversarial.test_monitor import lines

Together = tuple[Path, dict[str, Any]]


# ---- two processes that train


def test_dead_and_stopped_processes_are_replaced_and_the_weights_are_those_of_a_run_left_alone(
    together: Together,
) -> None:
    folder, outcome = together
    assert outcome["alone"] | {"seconds": 0} == {"code": 0, "failures": [], "seconds": 0}
    died, hung = outcome["hurt"]["failures"]
    assert "process 1 was ended by signal 9" in died
    assert hung == "no process has moved for 6 s"
    assert outcome["hurt"]["code"] == 0
    assert outcome["hurt"]["seconds"] < 60.0
    assert toys.digest(folder / "hurt") == toys.digest(folder / "alone")
    sums = {(folder / name / f"weights-{rank}").read_text() for name in ("alone", "hurt") for rank in (0, 1)}
    assert len(sums) == 1, "both processes hold the same"


def test_two_processes_may_hold_different_terms(together: Together) -> None:
    folder, outcome = together
    assert (outcome["odd"]["code"], outcome["odd"]["failures"]) == (0, [])
    found, calm = lines(folder / "odd"), lines(folder / "alone")
    assert [("discriminator/odd" in line, line.get("generator/odd")) for line in found] == [
        (False, None),
        (True, 7.0),
        (True, 7.0),
    ]
    for line, other in zip(found, calm, strict=True):
        assert line["discriminator/r1"] == pytest.approx(other["discriminator/r1"], rel=1e-5)
    assert (folder / "odd" / "weights-0").read_text() == (folder / "alone" / "weights-0").read_text()


# ---- the supervisor, with processes that only pretend


def run(code: str, patience: Patience | None = None, **options: Any) -> Ended:
    """Supervise a Python script that beats once; `{attempt}` in it is the number of the attempt."""
    beat = f"import os, signal, sys, time; open(os.environ['{HEARTBEAT}'], 'w'); rank = os.environ.get('RANK', '0')\n"

    def command(attempt: int) -> list[str]:
        return [sys.executable, "-c", beat + code.replace("{attempt}", str(attempt))]

    return supervise(command, patience=patience or Patience(stuck=20.0, start=20.0, grace=0.5), **options)


def test_what_the_last_attempt_says_is_what_is_heard() -> None:
    ended = run("print('attempt', {attempt}, flush=True)\nif {attempt} < 2: os.kill(os.getpid(), 9)", restarts=2)
    assert (ended.exit_code, ended.output) == (0, "attempt 2\n")
    assert ended.failures == ("process 0 was ended by signal 9",) * 2


def test_used_up_restarts_are_exit_code_70() -> None:
    with pytest.raises(RestartsUsedUpError, match="died 2 times; the last time: process 0 ended with exit code 1") as e:
        run("sys.exit(1)", restarts=1)
    assert e.value.exit_code == 70


@pytest.mark.parametrize("code", [2, 3, 4, 65, 73, 74, 75])
def test_what_another_attempt_cannot_mend_ends_at_once(code: int) -> None:
    ended = run(f"sys.exit({code} if rank == '1' else 1)", processes=2, restarts=3)
    assert (ended.exit_code, ended.failures) == (code, ())


def test_the_main_process_may_still_write_when_the_others_have_ended() -> None:
    ended = run("if rank == '0': time.sleep(1.0); print('written')", processes=2)
    assert (ended.exit_code, ended.output) == (0, "written\n")


def test_every_attempt_has_a_port_of_its_own_and_every_process_its_number(tmp_path: Path) -> None:
    words = "os.environ['MASTER_PORT'], rank, os.environ['WORLD_SIZE'], os.environ['LOCAL_RANK']"
    code = f"open({str(tmp_path)!r} + '/{{attempt}}-' + rank, 'w').write(' '.join([{words}]))"
    run(code + "\nif {attempt} == 0: sys.exit(1)", processes=2, restarts=1)
    said = {path.name: path.read_text().split() for path in tmp_path.iterdir()}
    assert {name: words[1:] for name, words in said.items()} == {
        f"{attempt}-{rank}": [str(rank), "2", str(rank)] for attempt in (0, 1) for rank in (0, 1)
    }
    assert said["0-0"][0] == said["0-1"][0] != said["1-0"][0]


def test_workers_of_a_dead_process_are_killed_with_their_group(tmp_path: Path) -> None:
    code = (
        f"import subprocess; child = subprocess.Popen(['sleep', '60']); open({str(tmp_path / 'pid')!r}, 'w')"
        ".write(str(child.pid))\nos.kill(os.getpid(), 9)"
    )
    with pytest.raises(RestartsUsedUpError):
        run(code)
    pid = int((tmp_path / "pid").read_text())
    assert wait_for(lambda: not is_alive(pid))


def test_a_group_that_does_not_begin_is_stuck_too() -> None:
    with pytest.raises(RestartsUsedUpError, match=r"no process has moved for 0\.8 s"):
        run("time.sleep(60)", Patience(stuck=0.8, start=0.0))


def test_a_heart_beats_but_not_while_waiting(tmp_path: Path) -> None:
    path = tmp_path / "heart"
    heart = Heart(path, seconds=0.02)
    assert wait_for(path.exists)
    first = path.stat().st_mtime_ns
    assert wait_for(lambda: path.stat().st_mtime_ns > first)
    with heart.waiting():
        time.sleep(0.1)
        before = path.stat().st_mtime_ns
        time.sleep(0.2)
        assert path.stat().st_mtime_ns == before
    assert wait_for(lambda: path.stat().st_mtime_ns > before)
    heart.stop()


def test_a_process_whose_supervisor_died_stops_itself(tmp_path: Path) -> None:
    child = (
        "import os, signal, sys, time\nfrom pathlib import Path\nfrom audiogan.adversarial.heartbeat import Heart\n"
        "signal.signal(signal.SIGTERM, lambda *_: (Path('told').touch(), os._exit(143)))\n"
        "Heart(Path('heart'), seconds=0.05)\ntime.sleep(60)"
    )
    parent = f"import subprocess, sys, os; subprocess.Popen([sys.executable, '-c', {child!r}]); import time\n"
    parent += "while not os.path.exists('heart'): time.sleep(0.02)"
    environment = os.environ | {"PYTHONPATH": str(Path(toys.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", parent], cwd=tmp_path, env=environment, timeout=60, check=True)
    assert wait_for((tmp_path / "told").exists)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_passed_on_and_the_exit_code_comes_back(tmp_path: Path, number: int, code: int) -> None:
    before = signal.getsignal(number)
    said = f"open({str(tmp_path)!r} + '/' + rank, 'w')"
    stopped = f"signal.signal({int(number)}, lambda *_: sys.exit({code})); {said}\ntime.sleep(60)"

    def tell() -> None:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        os.kill(os.getpid(), number)

    teller = threading.Thread(target=tell)
    teller.start()
    ended = run(stopped, processes=2, restarts=5)
    teller.join()
    assert (ended.exit_code, ended.failures) == (code, ())
    assert signal.getsignal(number) == before


# ---- the command line


def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """Let the supervisor only note what it is asked."""
    found: list[tuple[Any, dict[str, Any]]] = []

    def note(command: Any, **options: Any) -> Ended:
        found.append((command, options))
        return Ended(0, "")

    monkeypatch.setattr(supervisor, "supervise", note)
    return found


def test_a_run_that_began_is_resumed_and_one_that_did_not_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, run_folder = asked(monkeypatch), tmp_path / "run"
    run_folder.mkdir()
    (run_folder / "recipe.yaml").write_text("of an attempt that never saved")
    given = {"out": run_folder, "init": "band", "processes": 2, "restarts": 4, "options": ["--device", "cpu"]}
    workflow.train_supervised("multitrack/smoke", ["seed=3"], **given)
    command, options = found[0]
    assert (options["processes"], options["restarts"]) == (2, 4)
    first = ["train", "multitrack/smoke", "seed=3", "--out", str(run_folder), "--init", "band", "--device", "cpu"]
    assert command(0)[4:] == command(1)[4:] == first
    (run_folder / "new").write_text("begun")
    (run_folder / "new").replace(run_folder / "recipe.yaml")
    assert command(1)[4:] == ["train", "seed=3", "--resume", str(run_folder), "--device", "cpu"]
    assert command(1)[:4] == [sys.executable, "-P", "-m", "audiogan"]


def test_under_another_launcher_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="expected one of the two"):
        workflow.train_supervised("multitrack/smoke", restarts=1)


def test_restarts_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run("if {attempt} == 0: sys.exit(1)", restarts=3)
    assert "process 0 ended with exit code 1; starting again, 3 more times at most" in caplog.text


def test_the_command_line_hands_over_and_says_what_the_last_attempt_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[Any] = []

    def note(*given: Any, **options: Any) -> Ended:
        found.append((*given, options))
        return Ended(143, '{"step": 5}\n' if "--json" in options["options"] else "stopped after 5 steps\n")

    monkeypatch.setattr(workflow, "train_supervised", note)
    for more, out in ((), "stopped after 5 steps\n"), (("--json", "--corpus-changed"), '{"step": 5}\n'):
        with pytest.raises(SystemExit) as ended:
            cli.app(["train", "songs", "--seed", "3", "--out", "o", "--restarts", "2", "--jobs", "1", *more])
        assert (ended.value.code, capsys.readouterr().out) == (143, out)
    usual = {"out": Path("o"), "resume": None, "init": None, "restarts": 2, "processes": 1}
    assert found == [
        ("songs", ["seed=3"], usual | {"options": ["--device", "auto", "--jobs", "1", *more]})
        for more in ([], ["--json", "--corpus-changed"])
    ]


def test_a_real_program_is_started_and_its_refusal_comes_back(tmp_path: Path) -> None:
    recipe = ("multitrack/smoke", [f"corpus.folder={tmp_path / 'nowhere'}"])
    ended = workflow.train_supervised(*recipe, out=tmp_path / "run", options=["--json", "--quiet"], restarts=2)
    assert (ended.exit_code, ended.failures) == (3, ())
    assert json.loads(ended.output)["error"] == "missing"
