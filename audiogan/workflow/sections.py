"""From the name of a recipe to checked sections and the pipeline that understands them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from audiogan import recipe as recipes
from audiogan.errors import RecipeError
from audiogan.pipeline import Pipeline, load_pipeline
from audiogan.recipe import Recipe

PLACES = ("folder", "sources")


def resolve(recipe: str | Path, overrides: Iterable[str] = ()) -> tuple[Recipe, Pipeline]:
    """Read and check a recipe, and load its pipeline.

    Args:
        recipe: A file or a shipped name such as `songs`.
        overrides: `section.key=value` texts; `corpus.folder` and `corpus.sources` take the place of each other.

    Raises:
        RecipeError: Anything wrong with it, naming the file and what was found.
    """
    path, overrides = recipes.find(recipe), list(overrides)
    tree = _with_one_place(recipes.read(path, overrides), overrides)
    pipeline = load_pipeline(recipes.pipeline_name(tree, str(path)))
    return recipes.check(_settled(tree, path), _section_models(pipeline), str(path)), pipeline


def _with_one_place(tree: recipes.Tree, overrides: list[str]) -> recipes.Tree:
    """Drop a recipe's own songs when an override names others in the other form."""
    corpus, given = tree.get("corpus"), {text.partition("=")[0] for text in overrides}
    chosen = [place for place in PLACES if f"corpus.{place}" in given]
    if not isinstance(corpus, dict) or len(chosen) != 1 or not corpus[chosen[0]]:
        return tree
    return tree | {"corpus": {key: value for key, value in corpus.items() if key in chosen or key not in PLACES}}


def _settled(tree: recipes.Tree, path: Path) -> recipes.Tree:
    """Make the corpus folders absolute and hand the recipe's one seed to the trainer."""
    corpus, train_section = tree.get("corpus"), tree.get("train") or {}
    if isinstance(corpus, dict):
        sources = corpus.get("sources")
        listed = [_with_folder(source, path) for source in sources] if isinstance(sources, list) else sources
        tree = tree | {"corpus": _with_folder(corpus if listed is None else corpus | {"sources": listed}, path)}
    if isinstance(train_section, dict):
        seed = tree.get("seed", 0)
        if train_section.get("seed", seed) != seed:
            raise RecipeError(f"{path}: train.seed: {train_section['seed']}; write it once, as `seed` at the top")
        tree = tree | {"train": train_section | {"seed": seed}}
    return tree


def _with_folder(values: Any, path: Path) -> Any:
    """Find a corpus folder from here, from beside the recipe, or among the shipped samples."""
    if not isinstance(values, dict) or not isinstance(values.get("folder"), str):
        return values
    places = [Path.cwd(), path.resolve().parent, recipes.shipped_root()]
    found = [place / Path(values["folder"]).expanduser() for place in places]
    return values | {"folder": str(next((candidate for candidate in found if candidate.exists()), found[0]))}


def _section_models(pipeline: Pipeline) -> dict[str, Any]:
    from audiogan.adversarial.trainer import TrainConfig

    return {
        "corpus": pipeline.CorpusConfig,
        "model": pipeline.Config,
        "game": pipeline.GameConfig,
        "optimizer": pipeline.OptimizerConfig,
        "train": TrainConfig,
    }
