"""A compiled step trains as the one that is not, up to rounding."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch

from command_line import TINY, metrics, read, refuse, succeed
from directmax.tool.run import loop

pytestmark = pytest.mark.usefixtures("no_report")

VARIANTS: dict[str, tuple[str, ...]] = {
    "direct": (),
    "paper": ("--preset", "paper", "--data", "digits"),
    "gumbel-softmax": ("--estimator", "gumbel-softmax"),
    "local-expectation": ("--variables", "4", "--values", "3", "--candidates", "full"),
    "changes": ("--variables", "4", "--values", "3"),
    "mixed": ("--model", "mixed", "--labels", "50"),
}


def assert_same(one: Path, two: Path) -> None:
    for first, second in zip(metrics(one), metrics(two), strict=True):
        for part in ("train", "validation"):
            for term in ("bound", "reconstruction", "kl"):
                assert second[part][term] == pytest.approx(first[part][term], rel=1e-4, abs=1e-4)
    first, second = read(one / "summary.json"), read(two / "summary.json")
    assert (first["compiled"], second["compiled"]) == (False, True)
    assert second["test"]["bound"] == pytest.approx(first["test"]["bound"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_as_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What the compiler captures, without the minute that it takes to compile it."""
    torch._dynamo.reset()
    used = []
    original = torch.compile

    def captured(model: torch.nn.Module, **options: object) -> object:
        used.append(model)
        return original(model, **{**options, "backend": "aot_eager"})

    monkeypatch.setattr(loop.torch, "compile", captured)
    arguments = (*TINY, *VARIANTS[name])
    succeed(*arguments, "--run-dir", tmp_path / "one")
    assert not used
    succeed(*arguments, "--compile", "--run-dir", tmp_path / "two")
    assert used
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert_same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_a_resumed_run_may_be_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of the configuration, and checkpoints fit both ways."""
    torch._dynamo.reset()
    quick = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(loop.torch, "compile", quick)
    succeed(*TINY, "--compile", "--run-dir", tmp_path / "run")
    succeed("train", "--device", "cpu", "--resume", "--run-dir", tmp_path / "run")
    succeed("evaluate", tmp_path / "run")


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: object, inputs: object) -> object:
        raise OSError("no C++ compiler")

    torch._dynamo.reset()
    monkeypatch.setattr(loop.torch, "compile", functools.partial(torch.compile, backend=broken))
    message = refuse(*TINY, "--compile", "--run-dir", tmp_path / "run")
    assert "torch cannot compile the step here" in message
    assert "no C++ compiler" in message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["direct", "gumbel-softmax"])
def test_compiled_in_earnest(tmp_path: Path, name: str) -> None:
    torch._dynamo.reset()
    arguments = (*TINY, *VARIANTS[name])
    succeed(*arguments, "--run-dir", tmp_path / "one")
    succeed(*arguments, "--compile", "--run-dir", tmp_path / "two")
    assert_same(tmp_path / "one", tmp_path / "two")


@pytest.mark.gpu
@pytest.mark.parametrize("name", VARIANTS)
def test_on_a_gpu(tmp_path: Path, name: str) -> None:
    torch._dynamo.reset()
    arguments = (*TINY, *VARIANTS[name], "--device", "cuda")
    succeed(*arguments, "--run-dir", tmp_path / "one")
    succeed(*arguments, "--compile", "--run-dir", tmp_path / "two")
    assert_same(tmp_path / "one", tmp_path / "two")
