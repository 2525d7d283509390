from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from audiogan import recipe
from audiogan.errors import RecipeError


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    half_life: float = 1.0


class Small(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["small"] = "small"
    width: int = 1


class Large(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["large"] = "large"
    depth: int = 1


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    batch_size: int = Field(8, ge=1)
    averages: Inner = Inner()
    several: tuple[Inner, ...] = ()
    network: Small | Large = Field(Small(), discriminator="kind")
    word: str = "plain"

    @field_validator("word")
    @classmethod
    def _check(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("word bad; expected a good one")
        if value == "worse":
            raise RecipeError("word worse; expected a good one")
        return value


MODELS: dict[str, type[BaseModel]] = dict.fromkeys(recipe.SECTIONS, Section)


def write(folder: Path, text: str, name: str = "own.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &x 1\nb: 2", "anchor or alias"),
        ("a: 1\nb: *a", "anchor or alias"),
        ("a: !!python/object/apply:os.system [ls]", "tag"),
        ("a: !!str 1", "tag"),
        ("a: 1\na: 2", "'a' appears twice"),
        ("a: 1e-4", "write 0.0001, or quote it"),
        ("a: .inf", "expected a finite number"),
        ("a: .nan", "expected a finite number"),
        ("a: [1", "expected plain YAML"),
        ("? [a]\n: 1", "expected a name"),
        ("<<: {a: 1}", "expected a name"),
        ("[" * 65 + "]" * 65, "nested deeper than 64"),
        ("a: 1\n---\nb: 2", "expected plain YAML"),
    ],
)
def test_unsafe_or_odd_yaml_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(RecipeError, match="own.yaml") as caught:
        recipe.parse(text, "own.yaml")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tag_has_its_own_reason_code() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.parse("a: !x 1", "own.yaml")
    assert caught.value.reason == "unsafe_yaml"


def test_values_read_as_what_they_look_like() -> None:
    text = "a: 1\nb: 0.5\nc: 1.0e-4\nd: true\ne: null\nf: [x, 2]\ng: 2024-01-02\nh: 12:30\ni: '1e-4'"
    expected = {
        "a": 1,
        "b": 0.5,
        "c": 1e-4,
        "d": True,
        "e": None,
        "f": ["x", 2],
        "g": "2024-01-02",
        "h": "12:30",
        "i": "1e-4",
    }
    assert recipe.parse(text, "own.yaml") == expected


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abc xyz", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc_", min_size=1, max_size=5), plain, max_size=4))
def test_dump_then_parse_is_identity(tree: dict[str, Any]) -> None:
    assert (recipe.parse(recipe.dump(tree), "x") or {}) == tree


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a: " + "x" * recipe.MAX_BYTES)
    with pytest.raises(RecipeError, match="at most 1048576"):
        recipe.read(path)


def test_a_file_that_is_no_text_or_no_mapping_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="UTF-8"):
        recipe.read(tmp_path / "own.yaml")
    with pytest.raises(RecipeError, match="holds list"):
        recipe.read(write(tmp_path, "[1]"))


def test_the_parent_is_merged_under_the_child(tmp_path: Path) -> None:
    write(tmp_path, "pipeline: p\ntrain: {a: 1, b: {c: 2, d: 3}}\nlist: [1, 2]", "parent.yaml")
    path = write(tmp_path, "extends: parent.yaml\ntrain: {b: {c: 9}}\nlist: [3]")
    assert recipe.read(path) == {"pipeline": "p", "train": {"a": 1, "b": {"c": 9, "d": 3}}, "list": [3]}


def test_a_parent_may_be_a_shipped_recipe(tmp_path: Path) -> None:
    tree = recipe.read(write(tmp_path, "extends: multitrack/base\nseed: 5"))
    assert tree["pipeline"] == "multitrack"
    assert tree["seed"] == 5


def test_chains_and_odd_parents_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "extends: c.yaml", "b.yaml")
    with pytest.raises(RecipeError, match=r"which extends c.yaml; expected a parent without a parent"):
        recipe.read(write(tmp_path, "extends: b.yaml"))
    with pytest.raises(RecipeError, match="expected the name of one recipe"):
        recipe.read(write(tmp_path, "extends: [a, b]"))
    with pytest.raises(RecipeError, match="no recipe 'nowhere'"):
        recipe.read(write(tmp_path, "extends: nowhere"))


def test_overrides_are_read_as_yaml_and_win(tmp_path: Path) -> None:
    path = write(tmp_path, "train: {a: 1, b: 2}")
    tree = recipe.read(path, ["train.a=[0.0, 0.9]", "corpus.folder=/my songs/x=y", "train.budget=3 steps"])
    assert tree == {"train": {"a": [0.0, 0.9], "b": 2, "budget": "3 steps"}, "corpus": {"folder": "/my songs/x=y"}}


@pytest.mark.parametrize("text", ["train.a", "=1", "train..a=1", "9=1", "a-b=1"])
def test_a_malformed_override_shows_the_form(text: str) -> None:
    with pytest.raises(RecipeError, match=r"expected section.key=value"):
        recipe.override({}, text)


def test_an_override_is_as_safe_as_a_file() -> None:
    with pytest.raises(RecipeError, match="override train.lr"):
        recipe.override({}, "train.lr=1e-4")


def check(tree: dict[str, Any]) -> recipe.Recipe:
    return recipe.check({"pipeline": "p"} | tree, MODELS, "own.yaml")


def test_sections_are_checked_and_resolved_with_defaults() -> None:
    checked = check({"seed": 3, "train": {"batch_size": 2}})
    assert checked.section("train").batch_size == 2
    resolved = checked.resolved()
    assert resolved["corpus"] == {
        "batch_size": 8,
        "averages": {"half_life": 1.0},
        "several": [],
        "network": {"kind": "small", "width": 1},
        "word": "plain",
    }
    assert check(resolved).resolved() == resolved


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"trian": {}}, "own.yaml: unknown section 'trian', did you mean 'train'?"),
        ({"train": {"bach_size": 2}}, "own.yaml: train.bach_size: unknown key, did you mean 'batch_size'?"),
        ({"train": {"averages": {"halflife": 2}}}, "train.averages.halflife: unknown key, did you mean 'half_life'?"),
        (
            {"train": {"several": [{}, {"halflife": 2}]}},
            "train.several.1.halflife: unknown key, did you mean 'half_life'?",
        ),
        (
            {"train": {"network": {"kind": "large", "width": 2}}},
            "did you mean 'depth'?; known: depth, kind",
        ),
        ({"train": {"batch_size": 0}}, "own.yaml: train.batch_size: 0; input should be greater than or equal to 1"),
        ({"train": {"word": "bad"}}, "train.word: 'bad'; word bad; expected a good one"),
        ({"train": {"word": "worse"}}, "own.yaml: train: word worse; expected a good one"),
        ({"train": {"batch_size": "x" * 200}}, "..."),
        ({"train": 5}, "own.yaml: train: 5; expected settings"),
        ({"seed": -1}, "own.yaml: seed: -1; expected a whole number"),
        ({"seed": True}, "own.yaml: seed: True; expected a whole number"),
        ({"pipeline": 3}, "own.yaml: pipeline: 3; expected a name"),
    ],
)
def test_a_wrong_recipe_is_told_in_one_line(tree: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        check(tree)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_is_told_before_other_faults() -> None:
    with pytest.raises(RecipeError, match="unknown key"):
        check({"train": {"batch_size": 0, "wrod": "x"}})


def test_shipped_recipes_are_found_by_short_and_full_name() -> None:
    assert "multitrack/smoke" in recipe.names()
    assert not any(name.endswith("base") for name in recipe.names())
    assert recipe.find("songs") == recipe.find("multitrack/songs")
    with pytest.raises(RecipeError, match="write the pipeline too"):
        recipe.find("smoke")


def test_a_mistyped_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'songs'"):
        recipe.find("sogns")
    with pytest.raises(RecipeError, match="no recipe file nowhere.yaml"):
        recipe.find("nowhere.yaml")


def test_a_short_name_of_two_pipelines_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pipeline in ("a", "b"):
        (tmp_path / "recipes" / pipeline).mkdir(parents=True)
        write(tmp_path / "recipes" / pipeline, "seed: 0", "songs.yaml")
    monkeypatch.setattr(recipe, "shipped_root", lambda: tmp_path)
    with pytest.raises(RecipeError, match="could be any of a/songs, b/songs"):
        recipe.find("songs")


@pytest.mark.parametrize("name", recipe.names())
def test_every_shipped_recipe_reads(name: str) -> None:
    tree = recipe.read(name)
    assert tree["pipeline"] == name.partition("/")[0]


def test_the_digest_ignores_the_order_of_keys() -> None:
    assert recipe.digest({"a": 1, "b": 2}) == recipe.digest({"b": 2, "a": 1})
    assert recipe.digest({"a": 1}) != recipe.digest({"a": 2})
