"""Recipes as the command line resolves them: the README's own line, and a folder given in place of a recipe's own."""

import re
import shlex
from pathlib import Path

import pytest

from audiogan.errors import RecipeError
from audiogan.workflow import sections

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_s_line_for_own_songs_resolves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my-songs").mkdir()
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^audiogan train (.*)$", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(lines) == 1
    recipe, *rest = shlex.split(lines[0])
    overrides = [word for word in rest if "=" in word]
    corpus = sections.resolve(recipe, overrides)[0].section("corpus")
    assert [place.folder for place in corpus.places] == [str(tmp_path / "my-songs")]


@pytest.mark.parametrize("recipe", ["songs", "multitrack/folder", "multitrack/smoke"])
def test_a_folder_takes_the_place_of_a_recipe_s_own_songs(recipe: str, tmp_path: Path) -> None:
    (place,) = sections.resolve(recipe, [f"corpus.folder={tmp_path}"])[0].section("corpus").places
    assert place.folder == str(tmp_path)


@pytest.mark.parametrize("recipe", ["songs", "multitrack/folder", "multitrack/smoke"])
def test_sources_take_the_place_of_a_recipe_s_own_songs(recipe: str, tmp_path: Path) -> None:
    (place,) = sections.resolve(recipe, [f"corpus.sources=[{{folder: {tmp_path}}}]"])[0].section("corpus").places
    assert place.folder == str(tmp_path)


def test_a_folder_and_sources_given_together_are_refused() -> None:
    with pytest.raises(RecipeError, match="one of them"):
        sections.resolve("songs", ["corpus.folder=a", "corpus.sources=[{folder: b}]"])


def test_a_copy_of_the_folder_recipe_works_anywhere(tmp_path: Path) -> None:
    shipped = sections.resolve("multitrack/folder")[0]
    copy = tmp_path / "mine.yaml"
    copy.write_bytes(Path(shipped.source).read_bytes())
    assert sections.resolve(copy)[0].resolved() == shipped.resolved()
