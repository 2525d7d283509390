"""Every recipe that is shipped loads and builds; the smallest one goes the whole way."""

import json
from pathlib import Path

import pytest

from audiogan import recipe, workflow
from audiogan.pipeline import pipeline_names

NAMES = [name for name in recipe.names() if name.partition("/")[0] in pipeline_names()]


@pytest.mark.parametrize("name", [name for name in NAMES if "classic" not in name])
def test_a_shipped_recipe_resolves_and_builds(name: str) -> None:
    checked, pipeline = workflow.resolve(name)
    modules = pipeline.build(checked.section("model"))
    game = pipeline.phases(modules, checked.section("model"), checked.section("game"), checked.section("optimizer"))
    assert {module for phase in game.phases for module in phase.modules} <= modules.keys()


@pytest.mark.parametrize("name", [name for name in NAMES if "classic" in name])
def test_a_classic_recipe_resolves(name: str) -> None:
    checked, _ = workflow.resolve(name)
    assert checked.section("model").network.variant in name or checked.section("model").network.variant == "v3"


def test_smoke_goes_from_songs_to_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    tiny = ["train.budget=4 steps", "train.batch_size=2", "model.network.width=16", "model.network.depth=1"]
    trained = workflow.train("multitrack/smoke", tiny, out="run", device="cpu", jobs=1)
    assert (trained.exit_code, trained.step) == (0, 4)
    taken = json.loads((tmp_path / "run" / "corpus.json").read_text())
    assert taken["refused"] == {}
    result = workflow.generate_midi(model="run", count=1, out="clips", device="cpu")
    assert (
        (tmp_path / "clips" / result.files[0]["file"]).read_bytes().startswith(b"MThd")
    )  # four steps may teach silence
