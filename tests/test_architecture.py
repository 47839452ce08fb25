"""The size of files and functions, and names that the package gave up, over all of its source."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
FILES = sorted(SOURCE.rglob("*.py"))
FILE_LINES, FUNCTION_LINES, PARAMETERS, FACADE_LINES = 350, 60, 8, 200
GIVEN_UP = {
    "Ground", "LightStops", "Material", "Meaning", "Reply", "Seen", "Sightings", "stops_and_matter", "Sweep", "Tally",
    "ViewMemory", "World",
}  # fmt: skip
"""Private words for things that have names in the field, or that are now one type with another."""
GIVEN_UP_CLASSES = {"Rotation"}
"""Names that a class of ours may not have, though one of another package does."""

PATH_TESTS = {"exists", "is_file", "is_dir", "is_symlink", "resolve", "samefile"}
"""Methods of `Path` that raise at a name that is too long, a loop of links or a folder without access."""
PATH_FUNCTIONS = {"isfile", "isdir", "realpath", "samefile", "getsize"}
"""Functions of `os.path` that `lerf.files` has others for; its `exists` and `lexists` raise nothing."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: str) -> Iterator[tuple[Function, bool]]:
    """All functions of a file, and whether each is a method that is handed its object or class."""
    for node in ast.walk(ast.parse(source)):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                static = any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in child.decorator_list)
                yield child, isinstance(node, ast.ClassDef) and not static


def lines(function: Function) -> int:
    """From its `def` to its last line."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def parameters(function: Function, method: bool) -> int:
    """Without `self` or `cls`."""
    given = function.args
    starred = [one for one in (given.vararg, given.kwarg) if one is not None]
    return len([*given.posonlyargs, *given.args, *given.kwonlyargs, *starred]) - method


def names(source: str) -> set[str]:
    """Every word of the code that is a name: none of comments, docstrings and other strings."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def classes(source: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)}


def path_tests(source: str) -> Iterator[str]:
    """Calls that look at paths and may raise, each as its line and name; entries of `os.scandir` may be asked."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of, name = ast.unparse(node.func.value), node.func.attr
            if name in (PATH_FUNCTIONS if of == "os.path" else PATH_TESTS) and of != "entry":
                yield f"{node.lineno} {of}.{name}"


def where(path: Path, function: Function) -> str:
    return f"{path.relative_to(SOURCE)}:{function.lineno} {function.name}"


def test_there_is_source_to_check() -> None:
    assert {path.parent.name for path in FILES} >= {"lerf", "lerf_scenes", "queries", "hash_grid"}


def test_how_things_are_counted() -> None:
    source = """
class Thing:
    @property
    def size(self): return self.Tally

    @staticmethod
    def make(a, /, b, *rest, c=1, **more):
        # Ground
        "Sweep"

        return a
"""
    (size, make), (method, static) = zip(*functions(source), strict=True)
    assert (parameters(size, method), lines(size)) == (0, 1)
    assert (parameters(make, static), lines(make)) == (5, 5)
    assert names(source) & GIVEN_UP == {"Tally"}
    assert classes(source) == {"Thing"}


def test_files_are_short() -> None:
    counted = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: count for name, count in counted.items() if count > FILE_LINES} == {}
    assert counted["lerf/model.py"] < FACADE_LINES


def test_functions_are_short_and_take_few_parameters() -> None:
    long, wide = {}, {}
    for path in FILES:
        for function, method in functions(path.read_text()):
            if lines(function) > FUNCTION_LINES:
                long[where(path, function)] = lines(function)
            # A GPU's kernel is given the addresses of tensors and their sizes one by one.
            on_gpu = any(ast.unparse(mark) == "triton.jit" for mark in function.decorator_list)
            if parameters(function, method) > PARAMETERS and not on_gpu:
                wide[where(path, function)] = parameters(function, method)
    assert long == {}
    assert wide == {}


def test_what_looks_at_a_path_is_told_from_the_rest() -> None:
    source = """
def look(path, run, entry):
    is_file(path), run.exists, os.path.exists(path), os.path.lexists(path), entry.is_dir()
    (path / "a").exists(), path.resolve().name, os.path.isfile(path)
"""
    assert sorted(path_tests(source)) == ["4 os.path.isfile", "4 path / 'a'.exists", "4 path.resolve"]


def test_paths_are_looked_at_through_files() -> None:
    found = {str(path.relative_to(SOURCE)): [*path_tests(path.read_text())] for path in FILES}
    del found["lerf/files.py"]
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_names_that_were_given_up_stay_away() -> None:
    found = {}
    for path in FILES:
        source = path.read_text()
        if again := (names(source) & GIVEN_UP) | (classes(source) & GIVEN_UP_CLASSES):
            found[str(path.relative_to(SOURCE))] = sorted(again)
    assert found == {}
