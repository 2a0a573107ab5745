"""The names that the package exports."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch

import directmax
import directmax.estimators

NAMES = sorted(set(directmax.__all__) - {"__version__"})


def test_all_names_resolve() -> None:
    assert len(set(directmax.__all__)) == len(directmax.__all__)
    for name in directmax.__all__:
        assert getattr(directmax, name) is not None
    assert set(dir(directmax)) >= set(directmax.__all__)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Dirct'"):
        directmax.Dirct  # noqa: B018
    assert not hasattr(directmax, "torch")


def test_type_checkers_see_every_name() -> None:
    """`from room import *` of a package of lazy names is nothing for them, and all of it Any."""
    root = Path(directmax.__file__).parent
    assert [str(each) for each in root.rglob("*.py") if "import *" in each.read_text()] == []
    assert set(directmax.estimators.__all__) <= set(directmax.__all__)


@pytest.mark.parametrize("name", ["Direct", "DiscreteVAE", "MixedVAE"])
def test_type_checkers_are_told_what_a_call_returns(name: str) -> None:
    """A module's call is typed as anything, so that mypy saw no mistake in what follows."""
    exported = getattr(directmax, name)
    called = get_args(get_type_hints(exported)["__call__"])
    assert called == (..., get_type_hints(exported.forward)["return"])


@pytest.mark.parametrize("name", NAMES)
def test_documented_with_an_example(name: str) -> None:
    exported = getattr(directmax, name)
    text = inspect.getdoc(exported)
    assert text, name
    assert "Example:\n" in text, f"{name} has no Example"
    assert ">>> " in text


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_annotated(name: str) -> None:
    exported = getattr(directmax, name)
    function = exported.__init__ if inspect.isclass(exported) else exported
    for parameter in list(inspect.signature(function).parameters.values()):
        if parameter.name not in ("self", "args", "kwargs"):
            assert parameter.annotation is not inspect.Parameter.empty, (name, parameter)


@pytest.mark.parametrize(
    "module",
    [
        "tool.data",
        "tool",
        "distributions",
        "estimators",
        "models",
        "objectives",
        "solvers",
        "structures",
    ],
)
def test_rooms_name_what_they_export(module: str) -> None:
    room = importlib.import_module(f"directmax.{module}")
    for name in room.__all__:
        assert hasattr(room, name), f"directmax.{module}.{name}"


def test_typed() -> None:
    assert (Path(directmax.__file__).parent / "py.typed").exists()


def test_importing_is_light_and_has_no_side_effect() -> None:
    script = """
import sys
import directmax
import directmax.tool.cli
heavy = {"torch", "lightning_fabric", "matplotlib", "scipy", "sklearn"} & set(sys.modules)
assert not heavy, heavy
assert directmax.__version__
assert "torch" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_without_the_packages_of_the_tool() -> None:
    script = """
import runpy, sys
sys.modules["tyro"] = None  # as if it were not installed
runpy.run_module("directmax", run_name="__main__")
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "pip install 'directmax[tool]'" in result.stderr


def test_estimators_of_others_need_no_declaration() -> None:
    class Mine(directmax.LocalExpectation):
        unbiased = True

    q = directmax.Categorical(torch.zeros(2, 1, 3, requires_grad=True))
    Mine()(q, lambda z: z[..., 0].sum(-1)).loss.sum().backward()
    model = directmax.DiscreteVAE(directmax.Encoder(4, 1, 3), directmax.Decoder(1, 3, 4), Mine())
    assert isinstance(model.estimator, Mine)
