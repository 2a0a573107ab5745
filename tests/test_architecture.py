"""The shape of the source: which way imports point, what is private, how long things are."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "directmax"
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
ORDER = (
    *("gumbel", "schedules", "solvers", "structures", "distributions", "objectives"),
    *("estimators", "laboratory", "models", "tool"),
)
"""A room imports from those before it only."""
BLOCKED = (
    *("directmax.tool", "rich", "tyro", "lightning_fabric", "matplotlib", "sklearn", "PIL"),
    *("pooch", "requests", "safetensors", "tensorboard", "jinja2"),
)
"""What the library works without."""
DOORS = ("directmax.__main__", "directmax._load")
"""From the library to the tool, which they import when they are called."""


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def imports(name: str) -> frozenset[str]:
    """The package's modules that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            parent = node.module or ""
            full = {f"{parent}.{alias.name}" for alias in node.names}
            found |= {each if each in modules() else parent for each in full}
    return frozenset(found & set(modules())) - {name}


def room(name: str) -> str:
    """`estimators` of `directmax.estimators._direct`; of a file at the top its own name."""
    return name.split(".")[1] if "." in name else ""


def arrows() -> Iterator[tuple[str, str]]:
    for name in modules():
        if name not in ("directmax", *DOORS):  # on first use
            yield from ((name, other) for other in imports(name))


def test_every_room_has_its_place() -> None:
    rooms = {room(name) for name in modules()} - {""}
    assert {each for each in rooms if not each.startswith("_")} == set(ORDER)


def test_no_two_modules_import_each_other() -> None:
    """Nor do more of them, in a circle."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path[path.index(name) :], name))
        if name in done:
            return
        for other in imports(name):
            # A package's `__init__` names what its modules export.
            if not name.startswith(f"{other}."):
                visit(other, (*path, name))
        done.add(name)

    for name in modules():
        if name != "directmax":
            visit(name, ())


def test_imports_point_down() -> None:
    for name, other in arrows():
        if room(other) in ORDER:
            if room(name) not in ORDER:
                pytest.fail(f"{name}, which all may import, imports the room of {other}")
            assert ORDER.index(room(other)) <= ORDER.index(room(name)), f"{name} imports {other}"


def test_private_files_stay_in_their_room() -> None:
    for name, other in arrows():
        folder, _, last = other.rpartition(".")
        if last.startswith("_") and folder != "directmax":
            assert name == folder or name.startswith(f"{folder}."), f"{name} imports {other}"


def test_the_library_imports_nothing_of_the_tool() -> None:
    library = [name for name in modules() if room(name) != "tool" and name not in DOORS]
    for name in library:
        assert not any(room(other) == "tool" for other in imports(name)), name


def test_importing_the_library() -> None:
    """What it exports brings little more than torch; the rest of it nothing of the tool.

    No compiler, no numba and no scipy with the exports: they cost as much as torch itself.
    """
    library = [name for name in modules() if room(name) != "tool" and name not in DOORS]
    script = f"""
import importlib, sys, torch
blocked = {BLOCKED!r}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if any(name == each or name.startswith(each + ".") for each in blocked):
            raise AssertionError("imports " + name)
sys.meta_path.insert(0, Refuse())
before = set(sys.modules)
import directmax
for name in directmax.__all__:
    getattr(directmax, name)
new = {{name.split(".")[0] for name in set(sys.modules) - before}} - set(sys.stdlib_module_names)
print(*sorted(new - {{name.split(".")[0] for name in before}}), "torch._dynamo" in sys.modules)
for name in {library!r}:
    importlib.import_module(name)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["directmax", "jaxtyping", "False"]


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All below a node; expressions, most of a tree, hold none."""
    for name in ("body", "orelse", "handlers", "finalbody", "cases"):
        for below in getattr(node, name, ()):
            if isinstance(below, ast.stmt):
                yield below
            yield from _statements(below)


def test_files_and_functions_are_short() -> None:
    long = set()
    for folder in ("src", "tests", "benchmarks", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text, where = path.read_text(), str(path.relative_to(ROOT))
            if text.count("\n") > MOST_LINES:
                long.add(where)
            for node in _statements(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = (node.end_lineno or 0) - node.lineno + 1
                    if lines > MOST_FUNCTION_LINES:
                        long.add(f"{where}:{node.name}")
    assert not long
