"""A recipe: what to learn from, what to build and how to train it, as one strict YAML file.

A recipe is data: mappings, lists, numbers, strings and at most one `extends:` that names a parent without a parent of
its own. Tags, anchors, aliases and repeated keys are refused, because shared YAML is otherwise a way to run code or to
fill the memory. This module turns the file into plain values, merges the parent, applies `section.key=value` overrides,
and checks each section against the pydantic model that its pipeline supplies. It knows no section's fields itself.
"""

import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from audiogan.errors import RecipeError

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
SECTIONS = ("corpus", "model", "game", "optimizer", "train")
_HEAD = ("extends", "pipeline", "seed")
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")}
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_KEY_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

Tree = dict[str, typing.Any]


@dataclass(frozen=True)
class Recipe:
    """A checked recipe.

    Args:
        source: Where it came from, for messages.
        pipeline: Name of the folder under `audiogan.pipelines`.
        seed: 0 or more; every random stream of the run is derived from it.
        sections: `corpus`, `model`, `game`, `optimizer`, `train`: each the pipeline's own frozen model.
    """

    source: str
    pipeline: str
    seed: int
    sections: Mapping[str, BaseModel]

    def section(self, name: str) -> typing.Any:
        """Return one section's model."""
        return self.sections[name]

    def resolved(self) -> Tree:
        """Return the whole recipe with every default spelled out, as JSON-able values."""
        head: Tree = {"pipeline": self.pipeline, "seed": self.seed}
        return head | {name: model.model_dump(mode="json") for name, model in self.sections.items()}


def shipped_root() -> Path:
    """Return the folder that holds `recipes` and `samples`: the package itself when installed, else the checkout."""
    package = Path(__file__).parent
    return package if (package / "recipes").is_dir() else package.parent


def names() -> list[str]:
    """Return the shipped recipes as `pipeline/name`, sorted; the parents called `base` are left out."""
    root = shipped_root() / "recipes"
    found = (path.relative_to(root).with_suffix("").as_posix() for path in root.glob("*/*.yaml"))
    return sorted(name for name in found if not name.endswith("/base"))


def find(name: str | Path) -> Path:
    """Return the file a recipe name means: a path, or a shipped recipe such as `songs` or `multitrack/songs`.

    Raises:
        RecipeError: No such file, or a short name that two pipelines share.
    """
    text = str(name)
    if Path(text).is_file():
        return Path(text)
    if Path(text).suffix in {".yaml", ".yml"}:
        raise RecipeError(f"no recipe file {text}; expected a file or one of: {', '.join(names())}")
    exact = [known for known in names() if known == text]
    matches = exact or [known for known in names() if known.partition("/")[2] == text]
    if len(matches) == 1:
        return shipped_root() / "recipes" / f"{matches[0]}.yaml"
    if matches:
        raise RecipeError(f"recipe {text!r} could be any of {', '.join(matches)}; write the pipeline too")
    raise RecipeError(f"no recipe {text!r}{_did_you_mean(text, _short_names())}; shipped: {', '.join(names())}")


def read(name: str | Path, overrides: Iterable[str] = ()) -> Tree:
    """Read a recipe with its parent merged and overrides applied, not yet checked against any model.

    Args:
        name: A path or a shipped name.
        overrides: `section.key=value` texts; the value is read as YAML.

    Raises:
        RecipeError: Unreadable, unsafe or malformed, naming the file and what was found.
    """
    path = find(name)
    tree = _read_file(path)
    parent = tree.pop("extends", None)
    if parent is not None:
        tree = merge(_read_parent(parent, path), tree)
    for text in overrides:
        tree = override(tree, text)
    return tree


def parse(text: str, source: str) -> typing.Any:
    """Parse YAML text into plain values, refusing tags, anchors, aliases, repeated keys and deep nesting."""
    try:
        _scan(text, source)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}:{mark.line + 1}" if mark else source
        problem = getattr(error, "problem", None) or "not YAML"
        raise RecipeError(f"{where}: {problem}; expected plain YAML") from None
    return None if node is None else _value(node, source)


def dump(tree: Mapping[str, typing.Any]) -> str:
    """Write a mapping as YAML text, keys in their given order."""
    return yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True, width=100)


def merge(parent: Tree, child: Tree) -> Tree:
    """Lay a child over its parent: mappings merge key by key, anything else is replaced.

    Example:
        >>> merge({"train": {"budget": "1 steps", "batch_size": 8}}, {"train": {"batch_size": 4}})
        {'train': {'budget': '1 steps', 'batch_size': 4}}
    """
    merged = dict(parent)
    for key, value in child.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def override(tree: Tree, text: str) -> Tree:
    """Apply one `section.key=value`.

    Example:
        >>> override({"seed": 0}, "train.batch_size=4")
        {'seed': 0, 'train': {'batch_size': 4}}
    """
    key, equals, value = text.partition("=")
    if not equals or not _KEY_PATH.fullmatch(key):
        raise RecipeError(f"override {text!r}; expected section.key=value, for example train.batch_size=16")
    leaf: typing.Any = parse(value, f"override {key}")
    for part in reversed(key.split(".")):
        leaf = {part: leaf}
    return merge(tree, leaf)


def check(tree: Tree, models: Mapping[str, type[BaseModel]], source: str) -> Recipe:
    """Check every section against its model.

    Args:
        tree: What `read` returned.
        models: One strict model per name in `SECTIONS`.
        source: The file, for messages.

    Raises:
        RecipeError: The first unknown key (with the nearest known one) or impossible value.
    """
    known = (*_HEAD, *SECTIONS)
    for key in tree:
        if key not in known:
            raise RecipeError(
                f"{source}: unknown section {key!r}{_did_you_mean(key, known)}; known: {', '.join(known)}"
            )
    seed = tree.get("seed", 0)
    if type(seed) is not int or not 0 <= seed < 1 << 63:
        raise RecipeError(f"{source}: seed: {seed!r}; expected a whole number of 0 or more")
    sections = {name: _section(tree.get(name), models[name], f"{source}: {name}") for name in SECTIONS}
    return Recipe(source, pipeline_name(tree, source), seed, sections)


def pipeline_name(tree: Tree, source: str) -> str:
    """Return which pipeline a recipe is for."""
    name = tree.get("pipeline")
    if not isinstance(name, str):
        raise RecipeError(f"{source}: pipeline: {name!r}; expected a name such as multitrack")
    return name


def digest(value: typing.Any) -> str:
    """Return the sha256 of a JSON-able value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _short_names() -> list[str]:
    return [*names(), *(name.partition("/")[2] for name in names())]


def _read_parent(parent: typing.Any, path: Path) -> Tree:
    if not isinstance(parent, str):
        raise RecipeError(f"{path}: extends: {parent!r}; expected the name of one recipe")
    beside = path.parent / parent
    shipped = shipped_root() / "recipes" / f"{parent}.yaml"
    found = beside if beside.is_file() else shipped if shipped.is_file() else find(parent)
    tree = _read_file(found)
    if "extends" in tree:
        raise RecipeError(
            f"{path}: extends {parent}, which extends {tree['extends']}; expected a parent without a parent"
        )
    return tree


def _read_file(path: Path) -> Tree:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError(f"{path}: {path.stat().st_size} bytes; expected a recipe of at most {MAX_BYTES}")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error}); expected UTF-8 text") from None
    tree = parse(text, str(path))
    if not isinstance(tree, dict):
        raise RecipeError(f"{path}: holds {type(tree).__name__}; expected sections such as pipeline, model and train")
    return tree


def _scan(text: str, source: str) -> None:
    """Walk the events before anything is built, so that a small file cannot grow large."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise RecipeError(f"{source}:{event.start_mark.line + 1}: anchor or alias; expected plain values")
        if getattr(event, "tag", None):
            raise RecipeError(f"{source}:{event.start_mark.line + 1}: tag; expected plain values", "unsafe_yaml")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise RecipeError(f"{source}: nested deeper than {MAX_DEPTH}; expected sections of plain values")


def _value(node: yaml.Node, source: str) -> typing.Any:
    where = f"{source}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, source)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, source) for child in node.value]
    assert isinstance(node, yaml.ScalarNode)
    if node.style is None and node.tag.endswith(":str") and _EXPONENT.fullmatch(node.value):
        number = yaml.safe_dump(float(node.value)).split()[0]
        raise RecipeError(f"{where}: {node.value} reads as text in YAML; write {number}, or quote it")
    if node.tag not in _PLAIN_TAGS or ":" in node.value:
        return node.value  # dates and base-60 numbers stay the text they look like
    value = yaml.constructor.SafeConstructor().construct_object(node)
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"{where}: {node.value}; expected a finite number")
    return value


def _mapping(node: yaml.MappingNode, source: str) -> Tree:
    tree: Tree = {}
    for key_node, value_node in node.value:
        where = f"{source}:{key_node.start_mark.line + 1}"
        key = key_node.value
        if not isinstance(key_node, yaml.ScalarNode) or key == "<<":
            raise RecipeError(f"{where}: key {key_node.tag.rsplit(':')[-1]}; expected a name")
        if key in tree:
            raise RecipeError(f"{where}: {key!r} appears twice; expected one value")
        tree[key] = _value(value_node, source)
    return tree


def _section(values: typing.Any, model: type[BaseModel], where: str) -> BaseModel:
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise RecipeError(f"{where}: {values!r}; expected settings such as `name: value`")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RecipeError(_first_problem(error, model, where)) from None
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}", error.reason) from None


def _first_problem(error: ValidationError, model: type[BaseModel], where: str) -> str:
    # An unknown key explains other failures (its intended field is missing), so it is told first.
    problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    place = ".".join([where, *map(str, first["loc"])])
    if first["type"] == "extra_forbidden":
        known = sorted(_fields_at(model, first["loc"][:-1]))
        return f"{place}: unknown key{_did_you_mean(str(first['loc'][-1]), known)}; known: {', '.join(known)}"
    reason = first["msg"].removeprefix("Value error, ")
    return f"{place}: {_short(first['input'])}; {reason[0].lower()}{reason[1:]}"


def _short(value: typing.Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _fields_at(model: type[BaseModel], place: tuple[int | str, ...]) -> set[str]:
    """Return the field names of the model nested at `place`, whose parts are keys, list positions and union tags."""
    models = {model}
    for part in place:
        fields = [outer.model_fields[part] for outer in models if isinstance(part, str) and part in outer.model_fields]
        inner = {found for field in fields for found in _models_in(field.annotation)}
        models = inner or {outer for outer in models if _has_tag(outer, part)} or models
    return {name for found in models for name in found.model_fields}


def _has_tag(model: type[BaseModel], tag: int | str) -> bool:
    """Whether a model of a union answers to `tag`: one of its fields is a literal that allows it."""
    return any(tag in typing.get_args(field.annotation) for field in model.model_fields.values())


def _models_in(annotation: typing.Any) -> set[type[BaseModel]]:
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, BaseModel)
    ):
        return {annotation}
    return {model for argument in typing.get_args(annotation) for model in _models_in(argument)}


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""
