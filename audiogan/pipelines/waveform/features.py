"""The encoder of a trained model as frozen features, and a discriminator of notes that looks through them.

For `game.projected` (arXiv 2111.01007, see `audiogan.adversarial.projected`): D hears a note as the timbre encoder of
another model does, at every size of its trunk, with the head column as the coarsest scale. Weights of that model come
with the game and are kept in every checkpoint; their hash stands in the run's recipe, and a run goes on only with the
same ones. The maps are scaled by notes which that model makes itself, so no corpus is needed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from audiogan.adversarial.disk import MAX_HEADER_BYTES, parse_json, read_limited
from audiogan.adversarial.game import seed_of
from audiogan.adversarial.model import load_model
from audiogan.adversarial.projected import Frozen, Heads, ProjectedConfig
from audiogan.adversarial.runtime import seeded
from audiogan.corpus.names import escape
from audiogan.errors import CheckpointError, RecipeError
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.encoder import TimbreEncoder
from audiogan.pipelines.waveform.networks import load_modules
from audiogan.pipelines.waveform.plan import Plan
from audiogan.pipelines.waveform.residual import Conditions, Generator, Judged, activate, split_head
from audiogan.pipelines.waveform.style import StyleGenerator

PRETRAINED = Path(__file__).parents[2] / "pretrained"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
NEEDED = ("generator", "encoder")
N_NOTES = 32


class EncoderFeatures(nn.Module):
    """Planes and pitch → maps of a timbre encoder, full size first, and at last its view of the head column."""

    def __init__(self, encoder: TimbreEncoder) -> None:
        super().__init__()
        self.plan, self.sheet = encoder.plan, encoder.sheet
        self.given, self.enter, self.trunk = encoder.given, encoder.enter, encoder.trunk
        self.column = None if encoder.head is None else encoder.head.first

    def forward(self, planes: Tensor, pitch: Tensor) -> list[Tensor]:
        """Return `(batch, width, ...)` of every stage, and `(batch, width)` of the head.

        Args:
            planes: `(batch, plane, row, frame)` of the representation.
            pitch: `(batch,)` MIDI.
        """
        x, head = split_head(self.sheet.heard(self.sheet.enter(planes, pitch), pitch), self.plan)
        without_velocity = self.given(pitch, torch.zeros_like(pitch))[:, :-1]
        maps = self.trunk.maps(x, self.enter(without_velocity))
        if self.column is not None and head is not None:
            maps.append(activate(self.column(head)))
        return maps


class Looking(nn.Module):
    """Planes and conditions → `Judged`, through the encoder of another model.

    Args:
        features: What stands still.
        maps: What it makes of some notes.
        config: How they are looked at.
        plan: Of the notes to judge.
        timbre_dim: Values of the timbre that D is told.
    """

    def __init__(
        self, features: Frozen, maps: tuple[Tensor, ...], config: ProjectedConfig, plan: Plan, timbre_dim: int
    ) -> None:
        super().__init__()
        self.features = features
        self.conditions = Conditions(timbre_dim)
        self.heads = Heads(maps, config, self.conditions.n_features)
        self.pitch = nn.Linear(len(maps) * config.width, plan.n_pitches)

    def forward(
        self, planes: Tensor, pitch: Tensor, velocity: Tensor, h: Tensor | None = None, keep: Tensor | None = None
    ) -> Judged:
        """Judge planes of the representation; arguments as `Discriminator.forward`."""
        condition = self.conditions(pitch, velocity, h, keep)
        logits, seen = self.heads(self.features(planes, pitch), condition)
        return Judged(logits, self.pitch(torch.cat(seen, dim=1)), seen)


def looking(projected: ProjectedConfig, config: Config, plan: Plan, timbre_dim: int) -> Looking:
    """Load the model that a recipe names and return a discriminator that looks through its encoder.

    Args:
        projected: Names the model.
        config: Of the model to train.
        plan: Of the model to train.
        timbre_dim: Values of its timbre.

    Raises:
        RecipeError: No such model, another one than the recipe was written with, or one of other planes.
        CheckpointError: Its files are damaged.
    """
    folder = folder_of(projected)
    tensors, told = load_model(folder)
    known = weights_sha256(folder)
    if projected.sha256 not in (None, known):
        found = f"weights {known[:12]}; expected {str(projected.sha256)[:12]}, with which the recipe was written"
        raise RecipeError(f"game.projected: {escape(folder)} has {found}")
    theirs = _config_of(told, folder, config)
    if not set(NEEDED) <= tensors.keys():
        raise RecipeError(f"game.projected: {escape(folder)} has no timbre encoder; expected a model that has")
    with seeded(projected.seed, "projected"), torch.no_grad():
        try:
            modules = load_modules({name: tensors[name] for name in NEEDED}, theirs)
        except RuntimeError as error:  # torch tells of names and shapes by a RuntimeError of many lines
            problem = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{escape(folder / WEIGHTS)}: {problem}; expected what {CONFIG} says") from None
        encoder = modules["encoder"]
        assert isinstance(encoder, TimbreEncoder)
        planes, pitch = _notes_of(modules, encoder)
        features = Frozen(EncoderFeatures(encoder))
        return Looking(features, features(planes, pitch), projected, plan, timbre_dim)


def _notes_of(modules: Mapping[str, nn.Module], encoder: TimbreEncoder) -> tuple[Tensor, Tensor]:
    """Return planes that a model makes of timbres of its own all over its keys, and their pitches."""
    generator = torch.Generator().manual_seed(seed_of("notes to look at"))
    lowest, highest = encoder.plan.pitches
    pitch = torch.linspace(lowest, highest, N_NOTES).round()
    part, velocity = torch.rand(2, N_NOTES, generator=generator)
    h = encoder.mixture.sample(part, torch.randn(N_NOTES, encoder.timbre_dim, generator=generator))
    generate = modules["generator"]
    assert isinstance(generate, Generator | StyleGenerator)
    z = torch.randn(N_NOTES, generate.z_dim, generator=generator)
    return generate(z, h, pitch, velocity), pitch


def _config_of(told: Mapping[str, Any], folder: Path, config: Config) -> Config:
    """Return the config of a model whose planes are those of another, or refuse it."""
    if told.get("pipeline") != "waveform":
        raise RecipeError(f"game.projected: {escape(folder)} makes no notes; expected a model of pipeline waveform")
    try:
        theirs = Config.model_validate(told.get("model"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{escape(folder / CONFIG)}: model.{place}: {first['msg']}") from None
    for name in ("sample_rate", "seconds", "representation"):
        mine, other = getattr(config, name), getattr(theirs, name)
        if mine != other:
            raise RecipeError(f"game.projected: {escape(folder)} has model.{name} {other}; expected {mine}")
    return theirs


# ---- which model


def folder_of(projected: ProjectedConfig) -> Path:
    """Return the folder of the model that a recipe names: a shipped one, a model folder or a run folder.

    Raises:
        RecipeError: There is none.
    """
    shipped = sorted(path.parent.name for path in PRETRAINED.glob(f"*/{WEIGHTS}"))
    if projected.model is None:
        raise RecipeError(f"game.projected without model; expected a folder or one of: {', '.join(shipped) or 'none'}")
    if projected.model in shipped:
        return PRETRAINED / projected.model
    named = Path(projected.model).expanduser()
    for folder in (named, named / "model"):
        if (folder / WEIGHTS).is_file():
            return folder
    options = ", ".join(shipped) or "none shipped"
    raise RecipeError(f"game.projected: no model {escape(named)}; expected a folder or one of: {options}")


def weights_sha256(folder: Path) -> str:
    """Return the hash of a model's weights, as its config tells it; `load_model` checks that they are those.

    Raises:
        CheckpointError: The config is missing or damaged.
    """
    found = parse_json(folder / CONFIG, read_limited(folder / CONFIG, MAX_HEADER_BYTES)).get("sha256")
    if not isinstance(found, str):
        raise CheckpointError(f"{escape(folder / CONFIG)}: no hash of the weights; expected what `train` writes")
    return found


def pinned(game: Any) -> Any:
    """Return a recipe's `game:` section with the place and the hash of the model that its discriminator looks through.

    Args:
        game: As written; one without such a model, or with a hash, stays as it is.

    Raises:
        RecipeError: There is no such model.
        CheckpointError: Its config is damaged.
    """
    projected = game.get("projected") if isinstance(game, Mapping) else None
    if not isinstance(projected, Mapping) or not isinstance(projected.get("model"), str) or projected.get("sha256"):
        return game
    folder = folder_of(ProjectedConfig(model=projected["model"]))
    place = folder.name if folder.parent == PRETRAINED else str(folder.resolve())
    return {**game, "projected": {**projected, "model": place, "sha256": weights_sha256(folder)}}
