"""Find, list and load trained models.

A model is a folder with `model.safetensors`, `config.json` and a card, `card.json` and `card.md`, which says what it
learnt from and under which licence. Shipped models lie in `audiogan/pretrained`; a training run keeps its own in
`RUN/model`. Listing reads JSON only; torch is imported when a model is loaded. A model whose card is damaged still
makes music, with a warning; only what needs the card refuses it.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from audiogan.corpus.names import escape
from audiogan.errors import AudioganError, CheckpointError, OutputError
from audiogan.evaluation.cardtext import summary
from audiogan.evaluation.provenance import UNKNOWN
from audiogan.pipeline import MUSIC, Model, Pipeline, load_pipeline
from audiogan.workflow.cards import CARD, for_pipelines, read_card

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

PRETRAINED = Path(__file__).parents[1] / "pretrained"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
NOT_SHARED = {"discriminator"}
"""Networks that a model may leave out: making music does not need them."""
MAX_JSON_BYTES = 1 << 20


def models(folder: Path = PRETRAINED) -> list[dict[str, Any]]:
    """List the models at hand with the facts of their cards, the default one first.

    Args:
        folder: Where to look.

    Returns:
        One mapping per model: `name`, `folder`, `pipeline`, `megabytes`, `default`, `card`, and of a card that cannot
        be read `problem`.
    """
    found = [_facts(path.parent) for path in sorted(folder.glob(f"*/{WEIGHTS}"))]
    return sorted(found, key=lambda facts: not facts["default"])


def load(
    name_or_folder: str | Path | None = None,
    *,
    device: str = "auto",
    shipped: Path | None = None,
    pipeline: str | None = None,
    needs_card: bool = False,
) -> Model:
    """Load a model, ready to make music.

    Args:
        name_or_folder: A shipped name, a model folder or a run folder; None for the default model.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        shipped: Where shipped models lie; None for the package's own.
        pipeline: Whose default model None means; None for any.
        needs_card: Whether a damaged card is refused, and not only told.

    Raises:
        CheckpointError: No such model, or its files are damaged or do not belong together.
        UsageError: The device is not there.
    """
    folder = find_folder(name_or_folder, PRETRAINED if shipped is None else shipped, pipeline)
    from audiogan.adversarial.model import load_model
    from audiogan.adversarial.runtime import choose_device

    chosen = choose_device(device)
    tensors, config = load_model(folder)
    where = escape(folder / CONFIG)
    try:
        pipeline_name = str(config["pipeline"])
        verbs = load_pipeline(pipeline_name)
        model_config = verbs.Config.model_validate(config["model"])
    except KeyError as error:
        raise CheckpointError(f"{where}: no {error}; expected the names pipeline and model") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{where}: model.{place}: {first['msg']}; expected what training wrote") from None
    except AudioganError as error:
        raise CheckpointError(f"{where}: {error}") from None
    loaded = _load_modules(verbs, tensors, model_config, folder / WEIGHTS)
    modules = {name: module.to(chosen).eval() for name, module in loaded.items()}
    sha256 = sha256_of(folder / WEIGHTS)
    card = _card(folder, needs_card=needs_card)
    return Model(modules, model_config, card, folder, _name(folder), sha256, pipeline_name, str(chosen))


def card_of(name_or_folder: str | Path, *, shipped: Path | None = None) -> dict[str, Any]:
    """Return the card of a model and its summary, without loading the model.

    Args:
        name_or_folder: A shipped name, a model folder or a run folder.
        shipped: Where shipped models lie; None for the package's own.

    Returns:
        `name`, `folder`, `summary` (a list of lines) and `card` (JSON-able; see `audiogan.evaluation.provenance`).

    Raises:
        CheckpointError: No such model, no card, or a damaged one.
    """
    folder = find_folder(name_or_folder, PRETRAINED if shipped is None else shipped)
    card = read_card(folder)
    if card is None:
        raise CheckpointError(f"{escape(folder)}: no {CARD}; expected the card that training wrote", "missing")
    return {"name": _name(folder), "folder": str(folder), "summary": summary(card), "card": card.as_json()}


def _card(folder: Path, *, needs_card: bool) -> dict[str, Any]:
    """Return the card as pipelines read it; empty where there is none."""
    try:
        card = read_card(folder)
    except CheckpointError as error:
        if needs_card:
            raise
        logger.warning("%s; the model is used without its card", error)
        return {}
    return {} if card is None else for_pipelines(card)


def track_names(model: Model) -> list[str]:
    """Return the names of the tracks a model writes; none for a model without tracks."""
    return [str(track.name) for track in getattr(model.config, "tracks", ())]


def _load_modules(pipeline: Pipeline, tensors: Mapping[str, Any], config: Any, path: Path) -> "dict[str, nn.Module]":
    """Build the networks and give them their weights, which may be another network's."""
    try:
        known = set(pipeline.build(config))
        missing, unknown = sorted(known - NOT_SHARED - tensors.keys()), sorted(tensors.keys() - known)
        if not missing and not unknown:
            return pipeline.load_modules(tensors, config)
        problem = f"lacks the networks {missing} and has unknown {unknown}"
    except (RuntimeError, KeyError) as error:  # torch tells of names and shapes by a RuntimeError of many lines
        problem = " ".join(str(error).split())[:300]
    raise CheckpointError(f"{escape(path)}: {problem}; expected the weights of the network in {CONFIG}")


def has_default(pipeline: str) -> bool:
    """Whether a model of a pipeline is shipped, so that its verbs work without `--model`."""
    return any(facts["pipeline"] == pipeline for facts in models(PRETRAINED))


def _default(pipeline: str | None, shipped: Path) -> Path:
    """Return the folder of the first shipped model of a pipeline."""
    for facts in models(shipped):
        if pipeline in (None, facts["pipeline"]):
            return shipped / facts["name"]
    of_kind = "" if pipeline is None else f" of pipeline {pipeline}"
    raise CheckpointError(
        f"no model{of_kind} at hand; train one with `audiogan train {pipeline or MUSIC}/smoke --out runs/first` "
        "and pass --model runs/first"
    )


def find_folder(name_or_folder: str | Path | None, shipped: Path, pipeline: str | None = None) -> Path:
    """Return the folder of a model.

    Args:
        name_or_folder: A shipped name, a model folder or a run folder; None for the default model.
        shipped: Where shipped models lie.
        pipeline: Whose default model None means; None for any.

    Raises:
        CheckpointError: No such model.
    """
    if name_or_folder is None:
        return _default(pipeline, shipped)
    at_hand = [facts["name"] for facts in models(shipped)]
    if str(name_or_folder) in at_hand:
        return shipped / str(name_or_folder)
    folder = Path(name_or_folder)
    for candidate in (folder, folder / "model"):
        if (candidate / WEIGHTS).is_file():
            return candidate
    if folder.is_dir():
        raise CheckpointError(
            f"{escape(folder)}: no {WEIGHTS}; expected a model folder or the folder of a finished run"
        )
    close = get_close_matches(str(name_or_folder), at_hand, n=1, cutoff=0.5)
    hint = f", did you mean {close[0]}?" if close else ""
    raise CheckpointError(
        f"no model {escape(folder)}{hint}; expected a folder or one of: {', '.join(at_hand) or 'none shipped'}"
    )


def own_folder(name_or_folder: str | Path, *, shipped: Path | None = None) -> Path:
    """Return the folder of a model whose card may be changed: any but a shipped one.

    Args:
        name_or_folder: A model folder or a run folder.
        shipped: Where shipped models lie; None for the package's own.

    Raises:
        CheckpointError: No such model.
        OutputError: A shipped one.
    """
    place = PRETRAINED if shipped is None else shipped
    folder = find_folder(name_or_folder, place)
    if folder.resolve().parent == place.resolve():
        told = "a shipped model, whose card stays as it is; expected a model of your own"
        raise OutputError(f"--card: {escape(folder.name)}: {told}", "read_only")
    return folder


def _name(folder: Path) -> str:
    return folder.resolve().parent.name if folder.name == "model" else folder.resolve().name


def _facts(folder: Path) -> dict[str, Any]:
    card, problem = None, {}
    try:
        card = read_card(folder)
    except CheckpointError as error:  # the other models are still to be listed
        problem = {"problem": str(error)}
    return {
        "name": folder.name,
        "folder": str(folder),
        "pipeline": (load_card(folder / CONFIG).get("config") or {}).get("pipeline"),
        "megabytes": round((folder / WEIGHTS).stat().st_size / 1e6, 1),
        "default": card is not None and card.default,
        "card": {} if card is None else card.as_json(),
        **problem,
    }


def licence_of(card: Mapping[str, Any]) -> str:
    """Return the licence of a model's weights, as its card says; `unknown` where it does not.

    Args:
        card: A card as JSON, or an empty mapping.
    """
    return str(card["use"]["licence"]) if "use" in card else UNKNOWN


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_card(path: Path) -> dict[str, Any]:
    """Read a small JSON object; a missing file is an empty one."""
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise CheckpointError(
                f"{escape(path)}: over {MAX_JSON_BYTES} bytes; expected a small JSON file", "too_large"
            )
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise CheckpointError(f"{escape(path)}: not JSON; expected what training wrote", "bad_config") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{escape(path)}: {type(value).__name__}; expected a JSON object", "bad_config")
    return value
