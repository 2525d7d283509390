"""A discriminator of notes that looks through the encoder of another model: what it hears, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiogan.adversarial.checkpoint import restore
from audiogan.adversarial.game import Moment
from audiogan.adversarial.model import save_model
from audiogan.adversarial.projected import ProjectedConfig
from audiogan.adversarial.runtime import RuntimeConfig, seeded
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.errors import AudioganError, CheckpointError, RecipeError
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.encoder import TimbreEncoder
from audiogan.pipelines.waveform.features import PRETRAINED, EncoderFeatures, looking, pinned, weights_sha256
from audiogan.pipelines.waveform.game import GameConfig, OptimizersConfig, phases
from audiogan.pipelines.waveform.networks import build, load_modules
from audiogan.pipelines.waveform.plan import hertz, set_normalizer
from audiogan.pipelines.waveform.residual import Discriminator, activate, split_head
from audiogan.representation.base import Normalizer
from tests.pipelines.waveform.small_planes import RESIDUAL, drawn, stir

HARMONIC = {"kind": "harmonic", "n_rows": 8, "n_frames": 24, "grow_frames": 4}
TREE: dict[str, Any] = {
    "sample_rate": 16000,
    "seconds": 0.5,
    "lowest_pitch": 48,
    "highest_pitch": 72,
    "representation": HARMONIC,
    "network": RESIDUAL.model_dump() | {"encoder_width": 12},
}
CONFIG = Config.model_validate(TREE | {"network": RESIDUAL.model_dump()})


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scaled(scale: float, shift: float) -> Normalizer:
    return Normalizer(torch.full((1, 1, 1), scale), torch.full((1, 1, 1), shift))


def save(folder: Path, tree: dict[str, Any] = TREE, *, pipeline: str = "waveform", without: str = "") -> Path:
    """A model with weights of its own and another scale of planes."""
    config = Config.model_validate(tree)
    with seeded(3, "other"):
        modules = build(config)
    stir(modules["encoder"], 0.2)
    set_normalizer(modules, scaled(0.5, 0.1))
    kept = {name: module for name, module in modules.items() if name not in ("discriminator", without)}
    save_model(folder, kept, {"pipeline": pipeline, "model": config.model_dump(mode="json")})
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(tmp_path / "other")


class Notes:
    """As many made-up notes as are asked for."""

    def __len__(self) -> int:
        return 32

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
        del seeds
        n, shape = len(indices), CONFIG.represent().shape
        rng = torch.Generator().manual_seed(sum(indices))
        pitch = 48 + 24 * torch.rand(n, generator=rng)
        return {
            "planes": 0.3 * drawn(n, *shape, seed=sum(indices)),
            "partner_planes": 0.3 * drawn(n, *shape, seed=sum(indices) + 1),
            "pitch": pitch,
            "f0": hertz(pitch),
            "partner_pitch": pitch.flip(0),
            "velocity": torch.rand(n, generator=rng),
            "instrument": torch.arange(n) % 4,
        }


def made(model: Path, **options: Any) -> tuple[dict[str, torch.nn.Module], Any]:
    with seeded(0, "modules"):
        modules = build(CONFIG)
    game = GameConfig.model_validate({"projected": {"model": str(model), "width": 8}} | options)
    return modules, phases(modules, CONFIG, game, OptimizersConfig())


# ---- what it hears


def test_features_are_what_the_encoder_goes_by(model: Path) -> None:
    from audiogan.adversarial.model import load_model

    tensors, told = load_model(model)
    encoder = load_modules(tensors, Config.model_validate(told["model"]))["encoder"]
    assert isinstance(encoder, TimbreEncoder)
    batch = Notes().fetch([1, 2, 3], [])
    planes, pitch = batch["planes"], batch["pitch"]
    h = encoder(planes, pitch)
    maps = EncoderFeatures(encoder)(planes, pitch)
    assert [found.shape[1] for found in maps] == [12, 16, 128]
    coarse = activate(maps[-2])
    _, head = split_head(encoder.sheet.heard(encoder.sheet.enter(planes, pitch), pitch), encoder.plan)
    assert encoder.head is not None
    assert head is not None
    pooled = torch.cat([coarse.mean(dim=-1), coarse.amax(dim=-1)], dim=1).flatten(1)
    again = encoder.out(activate(encoder.dense(pooled) + encoder.head.second(maps[-1])))
    torch.testing.assert_close(again / again.square().mean(dim=1, keepdim=True).sqrt(), h, rtol=1e-4, atol=1e-5)


def test_notes_scaled_for_this_model_reach_the_other_at_its_own_scale(model: Path) -> None:
    modules, _ = made(model)
    judge = modules["discriminator"]
    assert isinstance(judge, Discriminator)
    batch = Notes().fetch([1, 2, 3], [])
    told = (batch["pitch"], batch["velocity"])
    set_normalizer({"judge": judge.sheet}, scaled(2.0, -0.3))
    assert judge.through is not None
    said = judge(batch["planes"], *told)
    assert said.logits.shape == (3, 3)
    torch.testing.assert_close(said.logits, judge.through(batch["planes"], *told).logits, rtol=1e-3, atol=1e-4)
    assert said.pitch.shape == (3, 25)


def test_the_own_layers_are_given_up_and_the_other_model_is_no_parameter(model: Path) -> None:
    modules, game = made(model)
    names = {name.split(".")[0] + "." + name.split(".")[1] for name, _ in modules["discriminator"].named_parameters()}
    assert names == {"through.conditions", "through.heads", "through.pitch"}
    assert "discriminator" not in game.averaged, "the shared model would hold heads without their network"
    assert any(name.startswith("through.features") for name in modules["discriminator"].state_dict())


TOOLS: list[dict[str, Any]] = [
    {},
    {"penalty_impl": "func", "feature_matching": 0.5, "unrolled": 1},
    {"penalty_impl": "approx"},
    {"objective": "hinge", "spectral": True, "r1": 0.0, "r2": 0.0, "replay": 4},
]


@pytest.mark.parametrize("tools", TOOLS)
def test_every_term_reaches_who_it_is_for(model: Path, tools: dict[str, Any]) -> None:
    modules, game = made(model, **tools)
    batch = Notes().fetch([1, 2, 3, 4], [])
    for phase in game.phases:
        terms = phase.terms(batch, Moment(step=0, share=0.5, n_seen=0, phase=phase.name))
        assert all(torch.isfinite(term) for term in terms.values())
        if phase.name == "generator":
            (term,) = torch.autograd.grad(terms["adversarial"], [modules["generator"].out.weight], retain_graph=True)  # type: ignore[union-attr]
            assert (term != 0).any()
        torch.stack(list(terms.values())).sum().backward()
    heads = modules["discriminator"].through.heads.parameters()  # type: ignore[union-attr]
    assert all(value.grad is not None for value in heads)


def test_a_resumed_run_hears_the_same_though_the_model_has_gone_astray(model: Path, tmp_path: Path) -> None:
    """What stands still is in the checkpoint."""
    modules, game = made(model)
    config = TrainConfig(budget="2 steps", batch_size=4, tensorboard=False, runtime=RuntimeConfig(device="cpu"))
    trainer = Trainer(modules, game, Notes(), config, tmp_path / "run", quiet=True)
    trainer.run()
    kept = trainer.players.capture()[0]["discriminator"]
    others, _ = made(save(tmp_path / "again"))
    for value in others["discriminator"].buffers():
        value.zero_()
    restore(others["discriminator"], kept, "kept")
    batch = Notes().fetch([5, 6], [])
    told = (batch["planes"], batch["pitch"], batch["velocity"])
    assert torch.equal(others["discriminator"](*told).logits, modules["discriminator"](*told).logits)


# ---- which model


def test_the_recipe_tells_the_place_and_the_weights(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    known = json.loads((model / "config.json").read_text())["sha256"]
    found = GameConfig.model_validate({"projected": {"model": "other"}})
    assert found.projected == ProjectedConfig(model=str(model.resolve()), sha256=known)
    assert GameConfig.model_validate(found.model_dump()).projected == found.projected
    assert pinned({"projected": None}) == {"projected": None}
    (model / "config.json").unlink()
    kept = GameConfig.model_validate(found.model_dump())  # what is pinned is not read again
    assert kept == found


@pytest.mark.skipif(not (PRETRAINED / "notes").is_dir(), reason="no shipped model")
def test_a_shipped_model_is_known_by_its_name() -> None:
    found = GameConfig.model_validate({"projected": {"model": "notes"}}).projected
    assert found is not None
    assert (found.model, found.sha256) == ("notes", weights_sha256(PRETRAINED / "notes"))


def refused(model: Path, config: Config = CONFIG, **more: Any) -> str:
    game = GameConfig.model_validate({"projected": {"model": str(model)} | more})
    assert game.projected is not None
    plan = build(CONFIG)["generator"].plan
    with pytest.raises(AudioganError) as caught:
        looking(game.projected, config, plan, 5)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_models_that_do_not_fit_are_refused_in_one_line(model: Path, tmp_path: Path) -> None:
    longer = Config.model_validate(TREE | {"seconds": 1.0})
    assert "has model.seconds 0.5; expected 1.0" in refused(model, longer)
    rows = Config.model_validate(TREE | {"representation": HARMONIC | {"n_rows": 9}})
    assert "has model.representation kind='harmonic' n_rows=8" in refused(model, rows)
    assert "expected " + "0" * 12 in refused(model, sha256="0" * 64)
    assert "makes no notes" in refused(save(tmp_path / "songs", pipeline="multitrack"))
    assert "has no timbre encoder" in refused(save(tmp_path / "mute", without="encoder"))
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert "does not match the sum" in refused(model)


def test_no_model_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"game.projected: no model nowhere; expected a folder or one of: .*notes"):
        GameConfig.model_validate({"projected": {"model": "nowhere"}})
    with pytest.raises(RecipeError, match="game.projected without model"):
        looking(ProjectedConfig(), CONFIG, build(CONFIG)["generator"].plan, 5)  # type: ignore[arg-type]


def test_a_model_without_its_config_is_refused(model: Path) -> None:
    (model / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json"):
        GameConfig.model_validate({"projected": {"model": str(model)}})


def test_networks_that_grow_are_refused(model: Path) -> None:
    with pytest.raises(RecipeError, match="projected` in game with growth"):
        GameConfig.model_validate({"projected": {"model": str(model)}, "growth": {}})
