import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

import audiogan
from audiogan.adversarial.model import save_model
from audiogan.errors import CheckpointError, OutputError, RecipeError, UsageError
from audiogan.workflow import model


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int = 2


def load_modules(tensors: dict[str, dict[str, torch.Tensor]], config: Config) -> dict[str, nn.Module]:
    modules = build(config)
    for name, weights in tensors.items():
        modules[name].load_state_dict(weights)
    return {name: modules[name] for name in tensors}


def build(config: Config) -> dict[str, nn.Module]:
    return {"generator": nn.Linear(config.size, 1), "discriminator": nn.Linear(1, 1)}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a small model into a folder: `shelf(name, config=..., card=...)`."""
    fake: Any = SimpleNamespace(Config=Config, load_modules=load_modules, build=build)

    def load_pipeline(name: str) -> Any:
        if name != "toy":
            raise RecipeError(f"pipeline: {name!r}; expected one of toy")
        return fake

    monkeypatch.setattr(model, "load_pipeline", load_pipeline)

    def put(name: str, config: dict[str, Any] | None = None, card: Any = None) -> Path:
        folder = tmp_path / "shelf" / name
        shared = {"pipeline": "toy", "model": {"size": 2}} if config is None else config
        save_model(folder, {"generator": nn.Linear(2, 1)}, shared)
        if card is not None:
            (folder / "card.json").write_text(card if isinstance(card, str) else json.dumps(card))
        return folder

    return put


def test_a_model_loads_with_its_weights_config_and_card(shelf: Callable[..., Path]) -> None:
    folder = shelf("band", card={"licence": "CC0-1.0"})
    loaded = model.load(folder, device="cpu")
    assert loaded.config == Config(size=2)
    assert loaded.card["use"]["licence"] == "CC0-1.0"
    assert model.licence_of(loaded.card) == "CC0-1.0"
    assert model.licence_of(model.load(shelf("bare"), device="cpu").card) == "unknown"
    assert (loaded.name, loaded.pipeline, loaded.device, len(loaded.sha256)) == ("band", "toy", "cpu", 64)
    assert not loaded.modules["generator"].training


def test_a_run_folder_is_a_model_too(shelf: Callable[..., Path]) -> None:
    folder = shelf("run/model")
    loaded = model.load(folder.parent, device="cpu")
    assert (loaded.folder, loaded.name) == (folder, "run")


def test_a_shipped_model_is_found_by_name_and_the_default_without(shelf: Callable[..., Path]) -> None:
    shelf("a")
    shipped = shelf("b", card={"default": True}).parent
    assert model.load("a", device="cpu", shipped=shipped).name == "a"
    assert model.load(None, device="cpu", shipped=shipped).name == "b"


def test_models_are_listed_with_the_default_first(shelf: Callable[..., Path]) -> None:
    shelf("a")
    shipped = shelf("b", card={"default": True, "licence": "CC0-1.0"}).parent
    listed = model.models(shipped)
    assert [(one["name"], one["default"], one["pipeline"]) for one in listed] == [
        ("b", True, "toy"),
        ("a", False, "toy"),
    ]
    assert listed[0]["card"]["use"]["licence"] == "CC0-1.0"


def test_without_any_model_the_way_to_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="audiogan train"):
        model.load(None, shipped=tmp_path)


def test_a_mistyped_name_is_answered_with_the_nearest(shelf: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="did you mean band"):
        model.load("bnad", shipped=shelf("band").parent)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        model.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model": {}}, "no 'pipeline'"),
        ({"pipeline": "toy"}, "no 'model'"),
        ({"pipeline": "toy", "model": {"size": "big"}}, "model.size"),
        ({"pipeline": "toy", "model": {"width": 1}}, "model.width"),
        ({"pipeline": "other", "model": {}}, "pipeline: 'other'"),
    ],
)
def test_a_config_that_does_not_fit_is_told(shelf: Callable[..., Path], config: dict[str, Any], told: str) -> None:
    with pytest.raises(CheckpointError, match="config.json") as caught:
        model.load(shelf("odd", config), device="cpu")
    assert told in str(caught.value)


class Loose(nn.Module):
    """A module with one weight of a name that no other has."""

    def __init__(self) -> None:
        super().__init__()
        self.loose = nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize(
    ("modules", "told"),
    [
        ({"generator": nn.Linear(3, 1)}, "size mismatch"),
        ({"generator": nn.Linear(2, 1, bias=False)}, "bias"),
        ({"generator": Loose()}, "loose"),
        ({"generator": nn.Linear(2, 1), "oracle": nn.Linear(1, 1)}, "oracle"),
        ({"discriminator": nn.Linear(1, 1)}, "generator"),
    ],
)
def test_weights_that_do_not_fit_the_config_are_refused(
    shelf: Callable[..., Path], modules: dict[str, nn.Module], told: str
) -> None:
    folder = shelf("odd")
    save_model(folder, modules, {"pipeline": "toy", "model": {"size": 2}})
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*expected the weights of") as caught:
        model.load(folder, device="cpu")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_refused(shelf: Callable[..., Path]) -> None:
    folder = shelf("band")
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        model.load(folder, device="cpu")


DAMAGED = ["[1]", "{", '{"a": ' * 100_000, '{"schema": "audiogan/card/9"}', '{"title": "\\ud800"}']


@pytest.mark.parametrize("card", DAMAGED)
def test_a_damaged_card_is_told_and_refused_where_it_is_needed(
    shelf: Callable[..., Path], card: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shelf("band", card=card)
    assert model.load(folder, device="cpu").card == {}, "music can be made without it"
    assert "card.json" in caplog.text
    for refuse in (lambda: model.load(folder, device="cpu", needs_card=True), lambda: model.card_of(folder)):
        with pytest.raises(CheckpointError, match="card.json") as caught:
            refuse()
        assert "\n" not in str(caught.value)


def test_one_damaged_card_does_not_hide_the_other_models(shelf: Callable[..., Path]) -> None:
    shelf("good", card={"default": True, "licence": "CC0-1.0"})
    shipped = shelf("bad", card="{").parent
    good, bad = model.models(shipped)
    assert ("problem" in good, bad["name"], bad["card"]) == (False, "bad", {})
    assert "card.json" in bad["problem"]


def test_the_card_of_a_model_is_shown_without_loading_it(shelf: Callable[..., Path]) -> None:
    folder = shelf("band", card={"name": "band", "licence": "CC0-1.0", "title": "Some music"})
    (folder / "model.safetensors").write_bytes(b"no weights")
    shown = model.card_of(folder)
    assert (shown["name"], shown["card"]["use"]["licence"]) == ("band", "CC0-1.0")
    assert shown["summary"][0] == "band: Some music"
    with pytest.raises(CheckpointError, match=r"no card\.json"):
        model.card_of(shelf("bare"))


def test_the_cards_of_shipped_models_stay_as_they_are(shelf: Callable[..., Path]) -> None:
    folder = shelf("band")
    assert model.own_folder(folder) == folder
    with pytest.raises(OutputError, match="band: a shipped model"):
        model.own_folder("band", shipped=folder.parent)
    with pytest.raises(OutputError, match="a shipped model"):
        model.own_folder(folder, shipped=folder.parent)


def test_a_device_that_is_not_there_is_told(shelf: Callable[..., Path]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this computer has CUDA")
    with pytest.raises(UsageError, match="cuda"):
        model.load(shelf("band"), device="cuda")


@pytest.mark.parametrize("name", ["banana", "cuda:x", "meta", "cpu:0", ""])
def test_a_device_of_no_known_name_is_told(shelf: Callable[..., Path], name: str) -> None:
    with pytest.raises(UsageError, match="expected auto, cpu, cuda or cuda:N"):
        model.load(shelf("band"), device=name)


def test_the_package_loads_a_model(shelf: Callable[..., Path]) -> None:
    assert audiogan.load(shelf("band"), device="cpu").name == "band"
