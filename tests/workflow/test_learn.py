import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from audiogan import recipe
from audiogan.adversarial.checkpoint import read_checkpoint
from audiogan.adversarial.game import Game, Moment, OptimizerConfig, Phase
from audiogan.adversarial.scoring import Scoring
from audiogan.errors import CheckpointError, CorpusError, OutputError, RecipeError, UsageError
from audiogan.evaluation.cardtext import markdown
from audiogan.evaluation.provenance import parse
from audiogan.workflow import cache, learn, sections
from audiogan.workflow import model as models

RECIPE = """
pipeline: toy
seed: 4
corpus: {folder: songs}
train: {budget: 6 steps, batch_size: 2, checkpoint_steps: 3, tensorboard: false, window: 2}
"""


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CorpusConfig(Strict):
    folder: str | None = None
    sources: tuple[dict[str, str], ...] = ()


class Config(Strict):
    size: int = Field(2, ge=1)


class GameConfig(Strict):
    weight: float = 1.0
    averaged: bool = True


class OptimizersConfig(Strict):
    generator: OptimizerConfig = OptimizerConfig()


class Points:
    def __len__(self) -> int:
        return 8

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        return {"x": torch.tensor([[float(index), 1.0] for index in indices])}


def toy_pipeline(prepared: list[Path]) -> Any:
    def prepare(
        corpus: CorpusConfig, config: Config, folder: Path, *, jobs: int | None, progress: Any
    ) -> dict[str, Any]:
        prepared.append(folder)
        (folder / "tensors").write_text("here")
        return {"n_songs": 1, "jobs": jobs}

    def open_dataset(folder: Path, config: Config, corpus: CorpusConfig, split: str) -> Points:
        assert (folder / "tensors").read_text() == "here"
        assert split == "train"
        return Points()

    def build(config: Config) -> dict[str, nn.Module]:
        return {"generator": nn.Linear(config.size, 1), "discriminator": nn.Linear(1, 1)}

    def phases(modules: dict[str, nn.Module], config: Config, game: GameConfig, optimizers: OptimizersConfig) -> Game:
        def terms(batch: Any, moment: Moment) -> dict[str, Tensor]:
            return {"square": game.weight * modules["generator"](batch["x"]).square().mean()}

        averaged = {"generator": 0.0} if game.averaged else {}
        return Game([Phase("generator", ("generator",), terms, optimizers.generator)], averaged=averaged)

    def load_modules(tensors: dict[str, dict[str, Tensor]], config: Config) -> dict[str, nn.Module]:
        layer = nn.Linear(config.size, 1)
        layer.load_state_dict(tensors["generator"])
        return {"generator": layer}

    finished: list[tuple[list[str], int, int]] = []

    def finish(modules: dict[str, nn.Module], config: Config, dataset: Points, *, seed: int) -> None:
        finished.append((list(modules), len(dataset), seed))

    return SimpleNamespace(
        finish=finish, finished=finished, Config=Config, CorpusConfig=CorpusConfig, GameConfig=GameConfig,
        OptimizerConfig=OptimizersConfig,
        prepare=prepare, open_dataset=open_dataset, build=build, phases=phases, load_modules=load_modules,
        evaluate=lambda model, **options: (model.name, options),
    )  # fmt: skip


@pytest.fixture
def prepared() -> list[Path]:
    """Folders that the toy pipeline was asked to fill."""
    return []


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: list[Path]) -> Path:
    """A working folder with a recipe, one song and a cache of its own."""
    pipeline = toy_pipeline(prepared)
    for module in (sections, models):
        monkeypatch.setattr(module, "load_pipeline", lambda name: pipeline)
    monkeypatch.setattr("audiogan.pipeline.load_pipeline", lambda name: pipeline)
    monkeypatch.setenv("AUDIOGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.mid").write_bytes(b"one")
    (tmp_path / "own.yaml").write_text(RECIPE)
    return tmp_path


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def test_prepare_fills_the_cache_once(place: Path, prepared: list[Path]) -> None:
    first = learn.prepare("own.yaml", jobs=3)
    assert not first.reused
    assert first.summary == {"n_songs": 1, "jobs": 3}
    second = learn.prepare("own.yaml")
    assert second.reused
    assert second.summary == first.summary
    assert len(prepared) == 1
    assert [path.name for path in (place / "cache").iterdir()] == [first.folder.name]


def test_prepare_again_when_a_song_or_a_setting_changed(place: Path, prepared: list[Path]) -> None:
    folders = {learn.prepare("own.yaml").folder}
    (place / "songs" / "b.mid").write_bytes(b"two")
    folders.add(learn.prepare("own.yaml").folder)
    os.utime(place / "songs" / "b.mid", ns=(1, 1))
    folders.add(learn.prepare("own.yaml").folder)
    folders.add(learn.prepare("own.yaml", ["model.size=3"]).folder)
    assert len(folders) == len(prepared) == 4
    learn.prepare("own.yaml", ["train.batch_size=4"])
    assert len(prepared) == 4, "training settings do not touch the cache"


def test_prepare_again_when_asked(prepared: list[Path]) -> None:
    learn.prepare("own.yaml")
    assert not learn.prepare("own.yaml", overwrite=True).reused
    assert len(prepared) == 2


def test_a_failed_preparation_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise CorpusError("nothing to use", "no_notes")

    monkeypatch.setattr(sections.load_pipeline("toy"), "prepare", fail)
    with pytest.raises(CorpusError):
        learn.prepare("own.yaml")
    assert not list((place / "cache").iterdir())


def test_a_stopped_preparation_is_continued_where_the_pipeline_can(
    place: Path, prepared: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = sections.load_pipeline("toy")
    prepare = pipeline.prepare

    def stop(corpus: Any, config: Any, folder: Path, **options: Any) -> None:
        found.append(sorted(path.name for path in folder.iterdir()))
        (folder / f"shard{len(found)}").write_text("done")
        (folder / "more").mkdir(exist_ok=True)
        raise KeyboardInterrupt

    for resumes, expected in ((False, [[], []]), (True, [[], ["more", "shard1"]])):
        found: list[list[str]] = []
        monkeypatch.setattr(pipeline, "prepare", stop)
        monkeypatch.setattr(pipeline, "RESUMES_PREPARE", resumes, raising=False)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                learn.prepare("own.yaml")
        assert found == expected
    monkeypatch.setattr(pipeline, "prepare", prepare)
    done = learn.prepare("own.yaml").folder
    assert sorted(path.name for path in done.iterdir()) == ["more", "shard1", "shard2", "summary.json", "tensors"]
    assert [path.name for path in (place / "cache").iterdir()] == [done.name]
    monkeypatch.setattr(pipeline, "prepare", stop)
    with pytest.raises(KeyboardInterrupt):
        learn.prepare("own.yaml", overwrite=True)
    assert found[-1] == [], "made again from the beginning"


def test_what_a_killed_preparation_left_is_thrown_away(place: Path, prepared: list[Path]) -> None:
    done = learn.prepare("own.yaml").folder
    done.rename(prepared[0])
    (prepared[0] / "stale").write_text("half")
    assert not (learn.prepare("own.yaml").folder / "stale").exists()


def test_one_process_waits_for_another_that_prepares_the_same(
    place: Path, prepared: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from threading import Event, Thread

    pipeline = sections.load_pipeline("toy")
    prepare, began, go_on = pipeline.prepare, Event(), Event()

    def slow(*given: Any, **options: Any) -> dict[str, Any]:
        began.set()
        assert go_on.wait(20)
        return prepare(*given, **options)

    monkeypatch.setattr(pipeline, "prepare", slow)
    found: list[cache.Prepared] = []
    threads = [Thread(target=lambda: found.append(learn.prepare("own.yaml"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert began.wait(20)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert sorted(one.reused for one in found) == [False, True]
    assert len(prepared) == 1


def test_a_pipeline_settles_once_before_a_new_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[tuple[list[str], int, int]] = []

    def settle(modules: dict[str, nn.Module], config: Config, dataset: Points) -> None:
        settled.append((sorted(modules), config.size, len(dataset)))
        torch.nn.init.constant_(modules["generator"].weight, 3.0)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(sections.load_pipeline("toy"), "settle", settle, raising=False)
    still = ["optimizer.generator.lr=0", "train.averages.half_life=0"]
    learn.train("own.yaml", [*still, "train.budget=3 steps"], out="run")
    learn.train(None, ["train.budget=6 steps"], resume="run")
    assert settled == [(["discriminator", "generator"], 2, 8)]
    assert torch.equal(models.load("run", device="cpu").modules["generator"].weight, torch.full((1, 2), 3.0))  # pyright: ignore[reportArgumentType]


def test_a_missing_folder_is_told(place: Path) -> None:
    with pytest.raises(CorpusError, match="nowhere") as caught:
        learn.prepare("own.yaml", ["corpus.folder=nowhere"])
    assert caught.value.reason == "missing"


def test_a_cache_that_cannot_be_written_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "file").write_text("")
    monkeypatch.setenv("AUDIOGAN_CACHE", str(place / "file"))
    with pytest.raises(OutputError, match="cache folder"):
        learn.prepare("own.yaml")


@pytest.mark.parametrize(("refused", "code"), [({}, 0), ({"not_midi": ["a.txt"]}, 5)])
def test_refused_files_show_in_the_exit_code(refused: dict[str, list[str]], code: int) -> None:
    assert cache.Prepared(Path("x"), {"refused": refused}, reused=False).exit_code == code


def test_the_cache_lies_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AUDIOGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_root() == tmp_path / "audiogan"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert cache.cache_root() == Path.home() / ".cache" / "audiogan"


def test_every_source_counts(place: Path) -> None:
    (place / "more").mkdir()
    values = ["corpus.folder=null", "corpus.sources=[{folder: songs}, {folder: more}]"]
    first = learn.prepare("own.yaml", values).folder
    (place / "more" / "x.mid").write_bytes(b"")
    assert learn.prepare("own.yaml", values).folder != first


def test_a_corpus_is_looked_for_here_beside_the_recipe_and_among_the_samples(place: Path) -> None:
    def folder(text: str) -> str:
        return sections.resolve(place / "sub" / "own.yaml", [f"corpus.folder={text}"])[0].section("corpus").folder

    (place / "sub" / "tunes").mkdir(parents=True)
    (place / "sub" / "own.yaml").write_text(RECIPE)
    assert folder("songs") == str(place / "songs")
    assert folder("tunes") == str(place / "sub" / "tunes")
    assert folder("samples/corpus") == str(recipe.shipped_root() / "samples/corpus")
    assert folder("nowhere") == str(place / "nowhere")


def test_the_seed_is_written_once() -> None:
    assert sections.resolve("own.yaml")[0].section("train").seed == 4
    assert sections.resolve("own.yaml", ["train.seed=4"])[0].seed == 4
    with pytest.raises(RecipeError, match=r"train\.seed: 5; write it once"):
        sections.resolve("own.yaml", ["train.seed=5"])


def test_training_leaves_a_model_a_recipe_and_a_card(place: Path) -> None:
    trained = learn.train("own.yaml", out="run")
    assert (trained.exit_code, trained.step, trained.model) == (0, 6, Path("run/model"))
    stored = recipe.parse((place / "run" / "recipe.yaml").read_text(), "stored")
    assert stored == sections.resolve("own.yaml")[0].resolved()
    card = card_of(place / "run")
    training = card["training"]
    assert (card["recipe"]["name"], training["steps"], training["n_seen"], training["seeds"]) == ("own", 6, 12, [4])
    assert str(place) not in json.dumps(card), "folders of this computer stay here"
    assert models.load("run", device="cpu").config == Config(size=2)


def scored(monkeypatch: pytest.MonkeyPatch, *figures: dict[str, float]) -> list[int]:
    """Let the toy pipeline score, with one of the figures each time; returns the counts it was asked with."""
    asked, left = [], list(figures)

    def scoring(folder: Path, config: Config, corpus: CorpusConfig, *, count: int) -> Scoring:
        assert (folder / "tensors").read_text() == "here"
        asked.append(count)
        return Scoring(lambda modules, seed: left.pop(0))

    monkeypatch.setattr(sections.load_pipeline("toy"), "scoring", scoring, raising=False)
    return asked


OFTEN = ["train.score.every=0.1", "train.score.least_steps=1", "train.score.count=9"]


@pytest.mark.parametrize("averaged", ["true", "false"])
def test_the_model_is_the_best_of_the_run(place: Path, monkeypatch: pytest.MonkeyPatch, averaged: str) -> None:
    asked = scored(monkeypatch, *({"distance": value} for value in (5.0, 1.0, 3.0, 2.0, 2.0, 2.0)))
    trained = learn.train("own.yaml", [*OFTEN, f"game.averaged={averaged}", "train.keep=1"], out="run")
    assert asked == [9]
    assert (trained.step, trained.best_step, trained.reason, trained.exit_code) == (6, 2, "budget", 0)
    assert trained.as_json()["best_step"] == 2
    best = read_checkpoint(place / "run" / "checkpoints" / "step-00000002").tensors
    wanted = best["ema"]["generator.weight"] if averaged == "true" else best["generator"]["weight"]
    made = models.load("run", device="cpu").modules["generator"].state_dict()["weight"]
    assert torch.equal(made, wanted.half().float())
    training = card_of(place / "run")["training"]
    assert (training["steps"], training["n_seen"]) == (2, 4)


def test_a_plateau_ends_the_run_and_a_collapse_can(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored(monkeypatch, *({"distance": value} for value in (1.0, 3.0, 2.0, 2.0, 2.0, 2.0)))
    ended = learn.train("own.yaml", [*OFTEN, "train.score.patience=0.3"], out="plateau")
    assert (ended.step, ended.best_step, ended.reason, ended.exit_code) == (3, 1, "plateau", 0)
    scored(monkeypatch, *[{"distance": 1.0, "variety": 0.01}] * 6)
    stopped = learn.train("own.yaml", [*OFTEN, "train.score.on_collapse=stop"], out="collapse")
    assert (stopped.step, stopped.reason, stopped.exit_code, stopped.warnings) == (3, "collapsed", 4, ("collapsed",))
    assert models.load("collapse", device="cpu").name == "collapse"


def test_without_scores_the_model_is_the_last(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = scored(monkeypatch)
    assert learn.train("own.yaml", ["train.score.every=null"], out="off").best_step is None
    assert asked == []
    monkeypatch.setattr(sections.load_pipeline("toy"), "scoring", lambda *_, **__: None)
    assert learn.train("own.yaml", out="none").best_step is None
    assert "too little is held out" in caplog.text
    assert weights(place / "off") == weights(place / "none")


def test_a_game_without_averages_keeps_what_moved_but_not_the_discriminator(place: Path) -> None:
    learn.train("own.yaml", ["game.averaged=false"], out="live")
    learn.train("own.yaml", ["train.averages.half_life=0"], out="averaged")
    assert weights(place / "live") == weights(place / "averaged")
    assert json.loads((place / "live" / "model" / "config.json").read_text())["modules"] == ["generator"]


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(place: Path) -> None:
    for name, overrides in (("a", []), ("b", []), ("c", ["seed=5"])):
        learn.train("own.yaml", overrides, out=name)
    assert weights(place / "a") == weights(place / "b")
    assert weights(place / "a") != weights(place / "c")


def test_a_run_is_not_trained_over(place: Path) -> None:
    learn.train("own.yaml", out="run")
    with pytest.raises(OutputError, match="--resume run"):
        learn.train("own.yaml", out="run")


def test_the_default_run_folder_has_the_recipe_s_name(place: Path) -> None:
    assert learn.train("own.yaml").run == Path("runs/own")


def test_a_longer_budget_resumes_the_same_run(place: Path) -> None:
    constant = ["train.averages.half_life=0"]
    learn.train("own.yaml", [*constant, "train.budget=3 steps"], out="short")
    resumed = learn.train(None, ["train.budget=6 steps"], resume="short")
    learn.train("own.yaml", constant, out="straight")
    assert resumed.step == 6
    assert weights(place / "short") == weights(place / "straight")


def test_resuming_with_another_recipe_is_refused(place: Path) -> None:
    learn.train("own.yaml", out="run")
    learn.train("own.yaml", resume="run")
    with pytest.raises(RecipeError, match="model differs"):
        (place / "own.yaml").write_text(RECIPE + "model: {size: 3}\n")
        learn.train("own.yaml", resume="run")


def test_resume_needs_a_run_and_no_out(place: Path) -> None:
    with pytest.raises(UsageError, match="expected the folder of an earlier run"):
        learn.train(None, resume="nowhere")
    with pytest.raises(UsageError, match="--out and --resume"):
        learn.train(None, out="a", resume="b")
    with pytest.raises(UsageError, match="no recipe"):
        learn.train(None)


def test_init_begins_with_the_weights_of_a_model(place: Path) -> None:
    learn.train("own.yaml", out="first")
    still = ["optimizer.generator.lr=0", "train.averages.half_life=0"]
    learn.train("own.yaml", ["seed=9", *still], out="second", init="first")
    first, second = (
        models.load(place / name, device="cpu").modules["generator"].state_dict() for name in ("first", "second")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def card_of(run: Path) -> dict[str, Any]:
    """The card of a run's model, by the schema, and beside it the text that is drawn from it."""
    card = parse((run / "model" / "card.json").read_bytes(), "card")
    assert (run / "model" / "card.md").read_text() == markdown(card)
    return card.as_json()


def repeatable(run: Path) -> dict[str, Any]:
    """The card without what differs between two runs that do the same: their names and what they took."""
    card = card_of(run)
    return {**card, "name": "", "training": {**card["training"], "effort": {}}}


def test_a_resumed_run_has_the_card_of_an_undisturbed_one(place: Path) -> None:
    learn.train("own.yaml", ["seed=9"], out="first")
    constant = ["train.averages.half_life=0"]
    learn.train("own.yaml", [*constant, "train.budget=3 steps"], out="short", init="first")
    learn.train(None, ["train.budget=6 steps"], resume="short")
    learn.train("own.yaml", constant, out="straight", init="first")
    assert repeatable(place / "short") == repeatable(place / "straight")
    assert card_of(place / "short")["recipe"]["name"] == "own"
    parent = card_of(place / "short")["training"]["parent"]
    assert (parent["name"], parent["seeds"], parent["recipe"]) == ("first", [9], "own")
    assert parent["weights_sha256"] == card_of(place / "first")["model"]["weights_sha256"]


def test_other_settings_on_resume_are_told(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    learn.train("own.yaml", ["train.budget=3 steps"], out="run")
    learn.train(None, ["train.budget=6 steps"], resume="run")
    assert "changed on the command line" not in caplog.text, "a longer budget is what resuming is for"
    learn.train(None, ["train.budget=9 steps", "optimizer.generator.lr=0.5"], resume="run")
    assert "optimizer changed on the command line; the run is another from here on" in caplog.text


def test_a_run_without_an_origin_still_resumes(place: Path) -> None:
    learn.train("own.yaml", ["train.budget=3 steps"], out="run")
    (place / "run" / "origin.json").unlink()
    learn.train(None, ["train.budget=6 steps"], resume="run")
    assert card_of(place / "run")["training"]["parent"] is None


def test_the_parent_s_card_is_found_by_its_shipped_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn.train("own.yaml", ["seed=9"], out="first")
    (place / "box").mkdir()
    (place / "first" / "model").rename(place / "box" / "band")
    monkeypatch.setattr(models, "PRETRAINED", place / "box")
    learn.train("own.yaml", out="second", init="band")
    parent = card_of(place / "second")["training"]["parent"]
    assert (parent["name"], parent["seeds"], parent["steps"], parent["parent"]) == ("band", [9], 6, None)


def test_a_parent_without_a_card_is_named_by_its_weights(place: Path) -> None:
    learn.train("own.yaml", out="first")
    sha256 = card_of(place / "first")["model"]["weights_sha256"]
    (place / "first" / "model" / "card.json").unlink()
    learn.train("own.yaml", out="second", init="first")
    parent = card_of(place / "second")["training"]["parent"]
    assert (parent["name"], parent["weights_sha256"], parent["steps"]) == ("first", sha256, "unknown")


def test_refusals_on_the_card_name_files_only(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "my songs" / "sub").mkdir(parents=True)
    where = place / "my songs"
    told = [
        f"{where}/a.mid: starts with b'RIFF'; expected MThd, 4/4",
        f"{where}/sub/b c.mid: 12 bytes",
        f"{where}: Permission denied",
    ]
    refused = {"refused": {"not_midi": told}, "warned": {"bad_header": 1}}
    pipeline = sections.load_pipeline("toy")
    prepare = pipeline.prepare
    monkeypatch.setattr(pipeline, "prepare", lambda *given, **named: prepare(*given, **named) | refused)
    learn.train("own.yaml", ["corpus.folder=my songs"], out="run")
    refused = card_of(place / "run")["corpus"]["refused"]["not_midi"]
    assert refused["n"] == 3
    assert refused["messages"] == [
        "a.mid: starts with b'RIFF'; expected MThd, 4/4",
        "b c.mid: 12 bytes",
        "my songs: Permission denied",
    ]
    assert str(place) in (place / "run" / "corpus.json").read_text(), "the run itself says where they are"


def test_init_and_resume_exclude_each_other(place: Path) -> None:
    learn.train("own.yaml", out="run")
    with pytest.raises(UsageError, match="--init and --resume"):
        learn.train(None, resume="run", init="run")


def test_init_from_a_model_of_another_size_is_refused(place: Path) -> None:
    learn.train("own.yaml", out="first")
    with pytest.raises(CheckpointError, match="shape"):
        learn.train("own.yaml", ["model.size=3"], out="second", init="first")


def test_the_device_option_reaches_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("this computer has CUDA")
    with pytest.raises(UsageError, match="cuda"):
        learn.train("own.yaml", out="run", device="cuda")


def test_evaluate_hands_over_to_the_pipeline(place: Path) -> None:
    learn.train("own.yaml", out="run")
    assert learn.evaluate("run", report="r", device="cpu", seed=2) == ("run", {"report": Path("r"), "seed": 2})


@pytest.mark.parametrize(
    ("wrong", "told"), [({"count": 7}, "count: 7; expected 8"), ({"seed": -1}, "seed: -1; expected 0")]
)
def test_evaluate_refuses_wrong_numbers_before_any_work(place: Path, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        learn.evaluate("nowhere", report="r", **wrong)
    assert not (place / "r").exists()


def test_evaluate_overwrites_no_report_unless_asked(place: Path) -> None:
    learn.train("own.yaml", out="run")
    (place / "r").mkdir()
    (place / "r" / "notes.txt").write_text("mine")
    learn.evaluate("run", report="r", device="cpu")
    (place / "r" / "report.md").write_text("measured")
    with pytest.raises(OutputError, match="--overwrite") as caught:
        learn.evaluate("nowhere", report="r", device="cpu")
    assert caught.value.reason == "exists"
    assert learn.evaluate("run", report="r", device="cpu", count=8, overwrite=True)[1]["count"] == 8


def test_an_evaluation_that_was_stopped_goes_on_unless_it_shall_begin_anew(place: Path) -> None:
    learn.train("own.yaml", out="run")
    store = place / "r" / ".evaluation"
    store.mkdir(parents=True)
    (store / "sets.json").write_text("[]")
    (place / "r" / "report.html").write_text("written when it was stopped")
    learn.evaluate("run", report="r", device="cpu")
    assert (store / "sets.json").exists()
    learn.evaluate("run", report="r", device="cpu", overwrite=True)
    assert not store.exists()


def test_what_remains_after_training_is_done_to_the_shared_model(place: Path) -> None:
    learn.train("own.yaml", out=place / "run", device="cpu")
    assert vars(sections.load_pipeline("toy"))["finished"] == [(["generator"], 8, 4)]
