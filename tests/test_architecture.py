"""The house rules that a machine can check: the map is true, files are small, nothing runs code from files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import audiogan

PACKAGE = Path(audiogan.__file__).parent
ROOT = PACKAGE.parent
MAP = (PACKAGE / "ARCHITECTURE.md").read_text(encoding="utf-8")
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
SHIPPED = [name for name in MODULES if not name.startswith(("recipes/", "samples/"))]
TREES = {name: ast.parse((PACKAGE / name).read_text(encoding="utf-8")) for name in SHIPPED}

MAX_LINES = 400
MAX_FUNCTION_LINES = 60


def on_the_map() -> set[str]:
    """Every `path.py` that stands in the first column of a table."""
    return set(re.findall(r"^\| `([\w/]+\.py)` \|", MAP, flags=re.MULTILINE))


def test_the_map_shows_every_file_and_no_other() -> None:
    expected = {name for name in SHIPPED if not (name.endswith("__init__.py") and not _has_code(name))}
    assert on_the_map() - expected == set(), "on the map, not in the tree"
    assert expected - on_the_map() == set(), "in the tree, not on the map"


def _has_code(name: str) -> bool:
    """Whether an `__init__.py` holds more than its docstring."""
    return any(not isinstance(node, ast.Expr) for node in TREES[name].body)


def test_every_file_begins_with_what_it_is() -> None:
    assert [name for name in SHIPPED if not ast.get_docstring(TREES[name])] == []


def test_files_are_short() -> None:
    lengths = {name: len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) for name in SHIPPED}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the end."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return 0 if not body else (function.end_lineno or 0) - body[0].lineno + 1


def test_functions_are_short() -> None:
    long = {
        f"{name}:{function.name}": _body_lines(function)
        for name, tree in TREES.items()
        for function in _functions(tree)
        if _body_lines(function) > MAX_FUNCTION_LINES
    }
    assert long == {}


def _dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a chain of names; what is no name becomes `?`."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


CALLS = {
    name: [(_dotted(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for name, tree in TREES.items()
}


def test_no_file_that_is_opened_can_run_code() -> None:
    banned = {"eval", "exec", "compile", "torch.load", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "os.system"}
    found = [(name, call) for name, calls in CALLS.items() for call, _ in calls if call in banned]
    assert found == []
    for name, calls in CALLS.items():
        for _, node in calls:
            switched_on = {word.arg for word in node.keywords if getattr(word.value, "value", False) is True}
            assert not switched_on & {"allow_pickle", "shell"}, name


DOORS = {
    "soundfile": "corpus/audio.py",
    "soxr": "corpus/audio.py",
    "symusic": "corpus/midi.py",
    "pretty_midi": "corpus/midi.py",
    "mido": "corpus/midi.py",
    "yaml": "recipe.py",
    "accelerate": "adversarial/runtime.py",
}


def _imports(tree: ast.AST) -> set[str]:
    """Names of the libraries that a file imports anywhere, also inside functions."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


IMPORTS = {name: _imports(tree) for name, tree in TREES.items()}


def test_libraries_come_in_through_their_door() -> None:
    found = {(library, name) for name, imported in IMPORTS.items() for library in imported & DOORS.keys()}
    assert found <= set(DOORS.items())


def test_names_are_imported_in_one_place_only() -> None:
    users = {name for name, calls in CALLS.items() for call, _ in calls if call.endswith("import_module")}
    assert users == {"pipeline.py"}


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = re.compile(r"(utils?|helpers?|common|misc|base_\w+)\.py$")
    assert [name for name in SHIPPED if drawers.search(name)] == []


def test_no_address_is_ever_called() -> None:
    libraries = {"urllib", "requests", "httpx", "http", "socketserver", "huggingface_hub", "ftplib"}
    assert {name: imported & libraries for name, imported in IMPORTS.items() if imported & libraries} == {}


def _command(mark: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    match = re.search(rf"<!-- {mark} -->\n```bash\n(.*?)\n```\n<!-- /{mark} -->", text, flags=re.DOTALL)
    assert match, mark
    return match[1]


@pytest.mark.parametrize(("mark", "ends"), [("demo-command", "audiogan demo"), ("test-command", "pytest")])
def test_the_readme_has_one_command_each(mark: str, ends: str) -> None:
    command = _command(mark)
    assert "\n" not in command
    assert command.endswith(ends)


def test_documents_name_files_that_exist() -> None:
    for path in [ROOT / "README.md", *PACKAGE.glob("*.md"), ROOT / "samples" / "README.md"]:
        for link in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_changelog_has_a_place_for_what_is_next() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
