import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audiogan import cli, workflow
from audiogan.errors import CorpusError, TrainingError
from audiogan.pipeline import Model
from audiogan.terminal import Terminal
from audiogan.version import __version__
from audiogan.workflow.cache import Prepared
from audiogan.workflow.learn import Trained

ROOT = Path(__file__).parents[1]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line here and return exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def _fake_load(monkeypatch: pytest.MonkeyPatch, fake_model: Model) -> None:
    for module in ("making", "tour"):
        monkeypatch.setattr(f"audiogan.workflow.{module}.load", lambda model, device, pipeline: fake_model)
    monkeypatch.setattr("audiogan.workflow.tour.has_default", lambda pipeline: False)


def outside(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, in another folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


def test_help_is_quick_and_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom audiogan import cli\ntry:\n    cli.app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'rich', 'yaml', 'symusic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = outside(code, tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0, done.stderr
        assert "generate" in done.stdout
    assert min(seconds) < 0.3, seconds


def test_importing_the_package_imports_no_torch(tmp_path: Path) -> None:
    done = outside("import sys, audiogan, audiogan.workflow\nassert 'torch' not in sys.modules", tmp_path)
    assert done.returncode == 0, done.stderr


def test_inspect_imports_no_torch(tmp_path: Path, clip: Path) -> None:
    code = (
        f"import sys\nfrom audiogan import cli\ntry:\n    cli.app(['inspect', {str(clip)!r}, '--json'])\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\nassert 'torch' not in sys.modules\n"
    )
    done = outside(code, tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["kind"], found["notes"]) == ("ok", "midi", 16)


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "audiogan", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


def test_every_verb_has_help(run: Run) -> None:
    verbs = [command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback]
    assert {"demo", "interpolate", "continue", "accompany", "infill", "vary", "prepare", "train", "evaluate"} <= set(
        verbs
    )
    for verb in verbs:
        code, out, _ = run(verb, "--help")
        assert code == 0
        assert "--json" in out, verb
        assert "--debug" in out, verb


@pytest.mark.parametrize("arguments", [("nothing",), ("generate", "midi", "--count", "x"), ("vary",), ("--nope",)])
def test_wrong_usage_is_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "rror" in err


@pytest.mark.usefixtures("_fake_load")
class TestMaking:
    def test_generate_midi_prints_the_files(self, run: Run, tmp_path: Path) -> None:
        code, out, err = run("generate", "midi", "--count", 2, "--out", tmp_path / "out", "--seed", 1)
        assert (code, err) == (0, "")
        assert out.split() == [str(tmp_path / "out" / name) for name in ("01_clip.mid", "02_clip.mid")]
        assert all(Path(line).is_file() for line in out.split())

    def test_every_option_reaches_the_verb(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: dict[str, Any] = {}
        made = workflow.generate_midi(count=1, out=tmp_path / "made")
        monkeypatch.setattr(workflow, "generate_midi", lambda **options: asked.update(options) or made)
        run(
            *("generate", "midi", "--count", 3, "--bars", 8, "--tempo", 99.5, "--tracks", "a, b", "--key", "Bb"),
            *("--temperature", 0.5, "--audit"),
            *(
                "--model",
                "m",
                "--seed",
                7,
                "--device",
                "cpu",
                "--out",
                "o",
                "--overwrite",
                "--listen",
                "--preview",
                "--quiet",
            ),
        )
        assert asked == {
            "count": 3, "bars": 8, "tempo": 99.5, "tracks": "a, b", "key": "Bb", "temperature": 0.5, "audit": True,
            "model": "m",
            "seed": 7, "device": "cpu", "out": Path("o"), "overwrite": True, "listen": True, "preview": True,
            "progress": None,
        }  # fmt: skip

    def test_json_is_one_object_and_nothing_else(self, run: Run, tmp_path: Path) -> None:
        code, out, err = run("generate", "midi", "--count", 1, "--out", tmp_path / "out", "--json")
        assert (code, err) == (0, "")
        found = json.loads(out)
        assert found["folder"] == str(tmp_path / "out")
        assert [file["file"] for file in found["files"]] == ["01_clip.mid"]
        assert found["refused"] == []

    @pytest.mark.parametrize(
        ("arguments", "verb", "asked"),
        [
            (("continue", "--bars", 6), "continue_clip", {"bars": 6}),
            (("accompany", "--tracks", "drums,bass"), "accompany", {"tracks": ["drums", "bass"]}),
            (("infill", "--bars", "3-4", "--tracks", "piano"), "infill", {"bars": (3, 4), "tracks": ["piano"]}),
            (("vary", "--strength", 0.7), "vary", {"strength": 0.7}),
        ],
    )
    def test_verbs_for_clips(
        self, run: Run, tmp_path: Path, clip: Path, calls: Any, arguments: Any, verb: str, asked: dict[str, Any]
    ) -> None:
        code, out, _ = run(arguments[0], clip, *arguments[1:], "--count", 2, "--seed", 5, "--out", tmp_path / "out")
        assert code == 0
        assert out.splitlines() == [str(tmp_path / "out" / f"0{number}_my_clip.mid") for number in (1, 2)]
        name, given = calls[0]
        given.pop("score")
        assert (name, given) == (verb, asked | {"count": 2, "seed": 5})

    def test_interpolate(self, run: Run, tmp_path: Path, clip: Path) -> None:
        code, out, _ = run("interpolate", clip, clip, "--steps", 3, "--out", tmp_path / "out")
        assert code == 0
        assert len(out.splitlines()) == 3

    def test_demo_says_what_to_open(self, run: Run, tmp_path: Path) -> None:
        code, out, _ = run("demo", "--out", tmp_path / "out")
        assert code == 0
        assert out.splitlines()[-1] == f"open {tmp_path / 'out' / 'index.html'}"

    def test_a_refused_input_is_one_line_and_exit_code_3(self, run: Run, tmp_path: Path) -> None:
        code, out, err = run("vary", tmp_path / "gone.mid", "--out", tmp_path / "out")
        assert (code, out) == (3, "")
        assert err.startswith("audiogan: missing: ")
        assert err.count("\n") == 1

    def test_some_refused_is_exit_code_5(self, run: Run, tmp_path: Path, clip: Path) -> None:
        code, out, err = run("vary", clip, tmp_path / "gone.mid", "--out", tmp_path / "out")
        assert code == 5
        assert out.count("01_my_clip.mid") == 1
        assert f"{tmp_path / 'gone.mid'}: missing: No such file" in err, "the name is told once"
        assert "1 refused, 1 files written" in err

    def test_quiet_still_names_what_was_refused(self, run: Run, tmp_path: Path, clip: Path) -> None:
        code, _, err = run("vary", clip, tmp_path / "gone.mid", "--out", tmp_path / "out", "--quiet")
        assert code == 5
        assert err.count("\n") == 1
        assert "gone.mid: missing:" in err

    @pytest.mark.parametrize("verb", ["continue", "accompany", "infill", "vary", "interpolate"])
    def test_preview_is_an_option_of_every_verb_for_clips(
        self, run: Run, tmp_path: Path, clip: Path, verb: str
    ) -> None:
        more = {"accompany": ("--tracks", "drums"), "infill": ("--bars", "1"), "interpolate": (clip,)}.get(verb, ())
        code, out, _ = run(verb, clip, *more, "--preview", "--out", tmp_path / "out")
        assert code == 0
        assert "01_" in out.split(".png")[0]
        assert out.count(".png") == out.count(".mid")

    def test_an_existing_result_is_exit_code_73(self, run: Run, tmp_path: Path) -> None:
        run("generate", "midi", "--count", 1, "--out", tmp_path)
        code, _, err = run("generate", "midi", "--count", 1, "--out", tmp_path)
        assert code == 73
        assert "--overwrite" in err

    def test_wrong_bars_are_a_usage_error(self, run: Run, clip: Path) -> None:
        assert run("infill", clip, "--bars", "four")[0] == 2


@pytest.fixture
def _fake_sounds(monkeypatch: pytest.MonkeyPatch, fake_sound_model: Model) -> None:
    monkeypatch.setattr("audiogan.workflow.making.load", lambda model, device, pipeline: fake_sound_model)


@pytest.mark.usefixtures("_fake_sounds")
class TestSounding:
    def test_generate_notes_prints_the_files(self, run: Run, tmp_path: Path, calls: Any) -> None:
        arguments = ("--pitch", "C4-D4", "--velocity", 127, "--duration", 2, "--sample-rate", 16000, "--preview")
        code, out, err = run("generate", "notes", *arguments, "--out", tmp_path / "out")
        assert (code, err) == (0, "")
        names = [Path(line).name for line in out.split()]
        assert [name for name in names if name.endswith(".wav")] == [
            "01_note_C4.wav",
            "02_note_Db4.wav",
            "03_note_D4.wav",
        ]
        assert len(names) == 6
        given = {"pitches": [60.0, 61.0, 62.0], "velocity": 1.0, "duration": 2.0, "sample_rate": 16000, "count": 3}
        assert calls == [("generate", given | {"seed": 0, "temperature": 1.0, "first": 0})]

    def test_transfer_writes_the_file_that_was_asked_for(self, run: Run, tmp_path: Path, tone: Path) -> None:
        code, out, _ = run("transfer", tone, "--timbre", "random", "--out", tmp_path / "new.wav", "--json")
        assert code == 0
        assert json.loads(out)["files"][0]["file"] == "new.wav"
        assert {path.name for path in tmp_path.iterdir()} >= {"new.wav", "new.wav.json"}

    def test_render_takes_several_timbres_and_says_what_was_left_out(
        self, run: Run, tmp_path: Path, clip: Path
    ) -> None:
        timbres = ("--timbre", "random", "--timbre", "random", "--glide", 2)
        code, out, err = run("render", clip, *timbres, "--out", tmp_path / "song.flac")
        assert (code, out) == (0, f"{tmp_path / 'song.flac'}\n")
        assert err == "song.flac: 8 notes of drums left out\n"

    def test_interpolate_goes_between_recordings(self, run: Run, tmp_path: Path, tone: Path, clip: Path) -> None:
        code, out, _ = run("interpolate", tone, tone, "--pitch", "A3", "--steps", 3, "--out", tmp_path / "out")
        assert code == 0
        assert out.count("step_A3.wav") == 3
        code, _, err = run("interpolate", tone, clip, "--out", tmp_path / "mixed")
        assert code == 2
        told = "tone_A4.wav is a sound and my clip.mid is a MIDI clip; expected two of a kind"
        assert err == f"audiogan: usage: interpolate: {told}\n"

    @pytest.mark.parametrize(("verb", "more"), [("render", ()), ("transfer", ("--timbre", "random"))])
    def test_listen_says_what_to_open(
        self, run: Run, tmp_path: Path, clip: Path, tone: Path, verb: str, more: tuple[str, ...]
    ) -> None:
        source = clip if verb == "render" else tone
        code, out, _ = run(verb, source, *more, "--listen", "--out", tmp_path / "new.wav")
        assert code == 0
        assert out.splitlines()[-1] == f"open {tmp_path / 'new.html'}"
        assert (tmp_path / "new.html").is_file()

    def test_an_unknown_extension_is_one_line(self, run: Run, tmp_path: Path, clip: Path) -> None:
        code, out, err = run("render", clip, "--out", tmp_path / "x.xyz")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert ".xyz is not written; expected .wav or .flac" in err
        assert not (tmp_path / "x.xyz").exists()

    def test_sigterm_leaves_nothing_behind(
        self, run: Run, tmp_path: Path, fake_sound_model: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stopped(model: Model, timbre: str, folder: Path, **_: Any) -> None:
            (folder / "half.wav").write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("the signal was not heard")

        monkeypatch.setattr(fake_sound_model.verbs, "write_instrument", stopped)
        before = signal.getsignal(signal.SIGTERM)
        code, out, err = run("export", "tones", "--out", tmp_path / "out")
        assert (code, out) == (143, "") and "stopped" in err
        assert not (tmp_path / "out").exists()
        code, out, _ = run("export", "tones", "--json", "--out", tmp_path / "out")
        assert code == 143 and json.loads(out)["error"] == "terminated"
        assert signal.getsignal(signal.SIGTERM) == before

    def test_export_lists_instrument_and_samples(self, run: Run, tmp_path: Path) -> None:
        code, out, _ = run("export", "notes", "--format", "sfz", "--out", tmp_path / "out")
        assert code == 0
        assert out.split() == [str(tmp_path / "out" / name) for name in ("mine.sfz", "samples/c4.wav")]
        assert run("export", "notes", "--format", "onnx")[0] == 2

    def test_verbs_for_midi_refuse_a_model_of_sounds(self, run: Run, tmp_path: Path) -> None:
        code, _, err = run("generate", "midi", "--out", tmp_path / "out")
        assert code == 2
        assert "makes sounds; expected one that makes MIDI" in err


def test_without_a_model_of_notes_the_way_to_one_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiogan.workflow.model.models", lambda folder: [])
    code, _, err = run("generate", "notes")
    assert code == 65
    assert "audiogan train waveform/smoke" in err
    assert err.count("\n") == 1


def test_an_error_with_json_is_an_object_too(run: Run, tmp_path: Path) -> None:
    code, out, err = run("generate", "midi", "--model", tmp_path, "--json")
    assert code == 65
    assert json.loads(out)["error"] == "bad_checkpoint"
    assert err.count("\n") == 1


def test_prepare_tells_what_was_taken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def prepare(recipe: str, overrides: list[str], **options: Any) -> Prepared:
        asked.append((recipe, overrides, options))
        return Prepared(Path("cache"), {"n_songs": 3, "refused": {"not_midi": ["a", "b"]}}, reused=False)

    monkeypatch.setattr(workflow, "prepare", prepare)
    code, out, _ = run("prepare", "songs", "corpus.folder=x", "--jobs", 2, "--overwrite", "--quiet")
    assert code == 5
    assert out.splitlines() == ["n_songs: 3", "refused:", "  not_midi: a, b", "wrote cache"]
    assert asked == [("songs", ["corpus.folder=x"], {"jobs": 2, "overwrite": True, "progress": None})]


@pytest.mark.parametrize(
    ("arguments", "recipe", "overrides", "options"),
    [
        (("songs", "train.batch_size=4"), "songs", ["train.batch_size=4"], {}),
        (("songs", "--seed", 3), "songs", ["seed=3"], {}),
        (
            ("songs", "--init", "m", "--jobs", 2, "--device", "cpu"),
            "songs",
            [],
            {"init": "m", "jobs": 2, "device": "cpu"},
        ),
        (("--resume", "r"), None, [], {"resume": Path("r")}),
        (("train.budget=9 steps", "--resume", "r"), None, ["train.budget=9 steps"], {"resume": Path("r")}),
        (("songs", "--out", "o"), "songs", [], {"out": Path("o")}),
    ],
)
def test_train_hands_over_its_options(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: Any, recipe: Any, overrides: Any, options: Any
) -> None:
    asked: list[Any] = []

    def train(*given: Any, **named: Any) -> Trained:
        asked.append((*given, named))
        return Trained(Path("run"), Path("run/model"), 5, 0)

    monkeypatch.setattr(workflow, "train", train)
    code, out, _ = run("train", *arguments, "--quiet")
    assert (code, out) == (0, "wrote run/model\n")
    usual = {"out": None, "resume": None, "init": None, "device": "auto", "jobs": None, "quiet": True, "progress": None}
    assert asked == [(recipe, overrides, usual | options)]


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [((), {}), (("--count", 9), {"count": 9}), (("--overwrite",), {"overwrite": True})],
)
def test_evaluate_hands_over_its_options(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[Any, ...], extra: dict[str, Any]
) -> None:
    asked: list[Any] = []

    class Measured:
        def as_json(self) -> dict[str, int]:
            return {"rows": 1}

        def as_text(self) -> str:
            return "a table"

    def evaluate(model: str, **options: Any) -> Measured:
        asked.append((model, options))
        return Measured()

    monkeypatch.setattr(workflow, "evaluate", evaluate)
    usual = ("evaluate", "m", "--report", "r", "--reference", "real", "--seed", 3, "--device", "cpu", "--quiet")
    assert run(*usual, *arguments)[1] == "a table\n"
    expected = {"report": Path("r"), "reference": Path("real"), "seed": 3, "device": "cpu", "progress": None}
    expected |= {"count": None, "overwrite": False}
    assert asked == [("m", expected | extra)]


def test_evaluate_can_compare_two_models(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def beside(first: str, second: str, **options: Any) -> Any:
        asked.append((first, second, options["count"], options["report"]))
        return SimpleNamespace(as_json=lambda: {"rows": []}, as_text=lambda: "a is better")

    monkeypatch.setattr(workflow, "beside", beside)
    assert run("evaluate", "a", "--beside", "b", "--count", 9, "--report", "r", "--quiet")[1] == "a is better\n"
    assert asked == [("a", "b", 9, Path("r"))]


def test_a_stopped_run_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "train", lambda *_, **__: Trained(Path("run"), None, 5, 143))
    code, out, _ = run("train", "songs")
    assert (code, out) == (143, "stopped after 5 steps; continue with --resume run\n")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"exit_code": 0, "best_step": 40}, "wrote run/model, the best at step 40 of 50\n"),
        ({"exit_code": 0, "average_width": 0.1}, "wrote run/model, averaged with width 0.1\n"),
        ({"exit_code": 0, "reason": "plateau"}, "stopped after 50 steps, since nothing got better\nwrote run/model\n"),
        (
            {"exit_code": 4, "reason": "collapsed"},
            "stopped after 50 steps, since all fakes had become alike\nwrote run/model\n",
        ),
    ],
)
def test_a_run_says_why_it_ended_and_which_step_was_best(
    run: Run, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], expected: str
) -> None:
    ended = Trained(Path("run"), Path("run/model"), 50, warnings=("overfitting",), **facts)
    monkeypatch.setattr(workflow, "train", lambda *_, **__: ended)
    code, out, err = run("train", "songs")
    assert (code, out) == (facts["exit_code"], expected)
    assert "overfitting: see audiogan/ENGINE.md" in err


def test_a_stopped_run_has_a_model_to_use(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "train", lambda *_, **__: Trained(Path("run"), Path("run/model"), 5, 130))
    code, out, _ = run("train", "songs")
    assert code == 130
    assert out.splitlines() == [
        "stopped after 5 steps; continue with --resume run",
        "wrote run/model, which can be used as it is",
    ]


def test_diverged_training_is_exit_code_4(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any, **__: Any) -> None:
        raise TrainingError("generator: term adversarial is nan at step 3")

    monkeypatch.setattr(workflow, "train", train)
    code, _, err = run("train", "songs")
    assert code == 4
    assert "step 3" in err


def test_a_mistyped_recipe_is_exit_code_2(run: Run) -> None:
    code, _, err = run("train", "sogns")
    assert code == 2
    assert "did you mean 'songs'" in err


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({"status": "ok"}, 0),
        ({"status": "skip"}, 3),
        ({"files": [{"status": "ok"}, {"status": "skip"}]}, 5),
        ({"files": [{"status": "skip"}]}, 3),
        ({"files": [{"status": "ok"}]}, 0),
        ({"files": []}, 3),
    ],
)
def test_inspect_exit_codes(run: Run, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], code: int) -> None:
    monkeypatch.setattr(workflow, "inspect", lambda path: found)
    assert run("inspect", "x", "--json")[0] == code


def test_inspect_says_a_line_per_file(run: Run, clip: Path) -> None:
    (clip.parent / "bad.mid").write_bytes(b"")
    code, out, _ = run("inspect", clip.parent)
    assert code == 5
    assert f"{clip}: ok, midi, 16 notes, 4.775 s" in out.splitlines()
    assert f"{clip.parent / 'bad.mid'}: refused, empty_file" in out.splitlines()
    assert out.splitlines()[-1] == "empty_file: 1, ok: 1"
    code, out, _ = run("inspect", clip)
    assert (code, out) == (0, "ok, midi, 16 notes, 4.775 s\n")
    code, out, _ = run("inspect", clip.parent / "bad.mid")
    assert (code, out) == (
        3,
        f"refused, empty_file: {clip.parent / 'bad.mid'}: 0 bytes; expected a file with content\n",
    )


def test_inspect_judges_sounds_without_torch(tmp_path: Path, tone: Path) -> None:
    code = (
        f"import sys\nfrom audiogan import cli\ntry:\n    cli.app(['inspect', {str(tone)!r}, '--json'])\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\nassert 'torch' not in sys.modules\n"
    )
    done = outside(code, tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["kind"], found["seconds"]) == ("ok", "audio", 0.5)


def test_inspect_says_a_line_for_a_sound(run: Run, tone: Path) -> None:
    assert run("inspect", tone)[1] == "ok, audio, 0.5 s\n"


def test_inspect_says_that_a_folder_holds_nothing(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("inspect", tmp_path)
    expected = "expected .mid files, .npz or .npy rolls, or sounds such as .wav and .flac"
    assert (code, out) == (3, f"{tmp_path}: no music files there; {expected}\n")


def test_long_lists_are_shown_by_their_beginning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        workflow, "doctor", lambda: {"a": list("xyz123456"), "b": [{"c": 1}, {"d": 2}], "e": list("xyzu1234")}
    )
    assert run("doctor")[1].splitlines() == ["a: x, y, z and 6 more", "b: 2", "e: x, y, z, u, 1, 2, 3, 4"]


def test_models_lists_what_is_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"name": "band", "pipeline": "multitrack", "megabytes": 2.5, "card": {"use": {"licence": "CC0-1.0"}}}
    monkeypatch.setattr(workflow, "models", lambda: [model])
    assert run("models")[1] == "band  multitrack  2.5 MB  CC0-1.0\n"
    assert json.loads(run("models", "--json")[1]) == {"models": [model]}
    monkeypatch.setattr(workflow, "models", list)
    assert "audiogan train multitrack/smoke" in run("models")[1]


def test_models_shows_the_card_of_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {"name": "band", "folder": "x/band", "summary": ["band: music"], "card": {"name": "band"}}
    asked: list[str] = []
    monkeypatch.setattr(workflow, "card_of", lambda name: asked.append(name) or shown)
    assert run("models", "band")[1] == "band: music\nall of it: x/band\n"
    assert json.loads(run("models", "band", "--json")[1]) == shown
    assert asked == ["band", "band"]


def test_models_warns_of_a_damaged_card(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"name": "band", "pipeline": "multitrack", "megabytes": 2.5, "card": {}, "problem": "card.json: torn"}
    monkeypatch.setattr(workflow, "models", lambda: [model])
    code, out, err = run("models")
    assert (code, out, err) == (0, "band  multitrack  2.5 MB  unknown\n", "audiogan: card.json: torn\n")


def test_evaluate_writes_into_the_card_when_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Measured:
        def as_json(self) -> dict[str, int]:
            return {"rows": 1}

        def as_text(self) -> str:
            return "a table"

    kept: list[Any] = []
    monkeypatch.setattr(workflow, "evaluate", lambda *_, **__: Measured())
    monkeypatch.setattr(workflow, "own_folder", lambda model: Path("runs") / model)
    monkeypatch.setattr(workflow, "keep_measures", lambda *given: kept.append(given))
    assert run("evaluate", "m", "--quiet")[0] == 0
    assert kept == []
    run("evaluate", "m", "--card", "--seed", 3, "--count", 9, "--reference", "my/real", "--quiet")
    assert kept == [(Path("runs/m"), {"rows": 1}, "audiogan evaluate --seed 3 --count 9", "the music in real")]


def test_evaluate_leaves_shipped_cards_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "evaluate", lambda *_, **__: pytest.fail("measured before it was refused"))
    code, _, err = run("evaluate", "songs", "--card", "--quiet")
    assert (code, "--card: songs: a shipped model" in err) == (73, True)


def test_doctor_prints_lines_or_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "doctor", lambda: {"python": "3", "torch": {"cuda": []}})
    assert run("doctor")[1] == "python: 3\ntorch:\n  cuda: \n"
    assert json.loads(run("doctor", "--json")[1]) == {"python": "3", "torch": {"cuda": []}}


def ended(error: BaseException, **options: Any) -> int:
    with pytest.raises(SystemExit) as caught, Terminal(**options):
        raise error
    return int(caught.value.code or 0)


def test_a_bug_is_told_as_one_and_shown_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(ValueError("oops")) == 1
    err = capsys.readouterr().err
    assert "a bug in audiogan: ValueError: oops" in err
    assert "Traceback" not in err
    assert ended(ValueError("oops"), debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_refusal_shows_no_traceback_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = CorpusError("a.mid: text;\nexpected MIDI", "not_midi")
    assert ended(refusal) == 3
    assert capsys.readouterr().err == "audiogan: not_midi: a.mid: text; expected MIDI\n"
    ended(refusal, debug=True)
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_exit_code_130() -> None:
    assert ended(KeyboardInterrupt()) == 130


def test_quiet_silences_progress_but_not_errors(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(quiet=True)
    assert terminal.progress("files") is None
    terminal.say("hello")
    assert capsys.readouterr().err == ""
    ended(CorpusError("no", "missing"), quiet=True)
    assert "missing" in capsys.readouterr().err


def test_plain_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 12.0, 13.0, 99.0])
    monkeypatch.setattr("audiogan.terminal.time.monotonic", lambda: next(clock))
    tell = Terminal().progress("files")
    assert tell
    for done in (1, 2, 3, 4):
        tell(done, 4)
    assert capsys.readouterr().err == "files: 2 of 4, about 12 s left\n"


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with pytest.raises(SystemExit), Terminal() as terminal:
        tell = terminal.progress("files")
        assert tell
        tell(1, 2)
    assert capsys.readouterr().out == ""


def test_a_terminal_without_the_letters_gets_them_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Terminal().show({}, ["Für ♪"])
    assert raw.getvalue() == b"F\\xfcr \\u266a\n"
