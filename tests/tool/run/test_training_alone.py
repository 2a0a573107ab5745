"""A training in one process on a CPU: without Lightning Fabric and torch's compiler."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from command_line import TINY, read, succeed
from directmax import _precision
from directmax.tool.run import processes
from directmax.tool.run import train as training
from directmax.tool.run.adam import Adam
from directmax.tool.run.checkpoint import optimizer_tensors, restore_optimizer
from directmax.tool.run.processes import Alone, make_fabric, used_precision


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    draw = (torch.randn(shape, generator=generator) for shape in ((5, 3), (7,), ()))
    wide = torch.randn(4, generator=generator, dtype=torch.float64)
    return [nn.Parameter(each) for each in (*draw, wide)]


def descend(optimizers: list, parameters: list[list[nn.Parameter]], steps: range) -> None:
    """The same gradients for all; the second parameter has none at first."""
    for step in steps:
        for optimizer, own in zip(optimizers, parameters, strict=True):
            generator = torch.Generator().manual_seed(step)
            for number, each in enumerate(own):
                drawn = torch.randn(each.shape, generator=generator, dtype=each.dtype)
                each.grad = None if number == 1 and step < 3 else drawn
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
            optimizer.step()
            optimizer.zero_grad()


def test_adam_is_that_of_torch() -> None:
    ours, theirs = weights(), weights()
    optimizers = [Adam(ours, 0.1), torch.optim.Adam(theirs, lr=0.1, fused=True)]
    descend(optimizers, [ours, theirs], range(6))
    others = [weights(), weights()]
    with torch.no_grad():
        for own in others:
            for each, value in zip(own, ours, strict=True):
                each.copy_(value)
    # Each goes on from what the other one saved.
    resumed = [Adam(others[0], 0.1), torch.optim.Adam(others[1], lr=0.1, fused=True)]
    for new, old in zip(resumed, reversed(optimizers), strict=True):
        saved = {name: each.clone() for name, each in optimizer_tensors(old).items()}
        restore_optimizer(new, saved)
    everything = [ours, theirs, *others]
    descend([*optimizers, *resumed], everything, range(6, 9))
    for same in zip(*everything, strict=True):
        assert all(torch.equal(each, same[0]) for each in same)
        assert all(each.grad is None for each in same)


def test_adam_begins_anew_once_its_state_is_cleared() -> None:
    """As another start of a training does."""
    ours, theirs = weights(), weights()
    optimizers = [Adam(ours, 0.1), torch.optim.Adam(theirs, lr=0.1, fused=True)]
    descend(optimizers, [ours, theirs], range(3, 6))
    for optimizer in optimizers:
        optimizer.state.clear()
    descend(optimizers, [ours, theirs], range(3, 6))
    assert all(torch.equal(*both) for both in zip(ours, theirs, strict=True))
    counts = [each for name, each in optimizer_tensors(optimizers[0]).items() if "step" in name]
    assert counts == [3.0] * 4
    assert len({each.data_ptr() for each in counts}) == 4  # a file has no memory twice


def test_adam_refuses_the_state_of_another() -> None:
    optimizer = Adam(weights(), 0.1)
    descend([optimizer], [optimizer.parameters], range(4))
    tensors = optimizer_tensors(optimizer)
    with pytest.raises(LookupError):
        restore_optimizer(Adam(weights()[:2], 0.1), tensors)
    with pytest.raises(LookupError):
        restore_optimizer(optimizer, {"0.step": tensors["0.step"]})
    with pytest.raises(ValueError, match="shape"):
        restore_optimizer(Adam(weights()[::-1], 0.1), tensors)


@pytest.mark.parametrize(
    ("device", "settings", "alone"),
    [
        ("cpu", (1, "32-true"), True),
        ("cpu", (2, "32-true"), False),
        ("cpu", (1, "bf16-mixed"), False),
        ("cpu", (1, "64-true"), False),
        ("cpu", (1, "32-true", "ddp"), False),
    ],
)
def test_where_fabric_is_needed(device: str, settings: tuple, alone: bool) -> None:
    fabric = make_fabric(device, *settings)
    assert isinstance(fabric, Alone) is alone
    assert fabric.device.type == "cpu"
    assert fabric.is_global_zero


def test_nothing_slow_is_imported_for_it(tmp_path: Path) -> None:
    script = """
import sys
from directmax.tool.cli import main
assert main(sys.argv[1:]) == 0
slow = {"torch._dynamo", "lightning_fabric", "sklearn", "scipy.optimize", "scipy.stats"}
slow |= {"requests"}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""
    command = [sys.executable, "-c", script, *TINY, "--run-dir", str(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("fast", [False, True])
def test_auto_is_what_is_faster(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "fast_bfloat16", lambda device: fast)
    fabric = make_fabric("cpu", 1, "auto")
    assert isinstance(fabric, Alone) is not fast
    assert used_precision("auto", torch.device("cpu")).startswith("bf16" if fast else "32")


@pytest.mark.parametrize(
    ("has", "gain", "fast"), [(True, 3.0, True), (True, 0.6, False), (False, 3.0, False)]
)
def test_bfloat16_is_fast_where_it_is_measured_to_be(
    has: bool, gain: float, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some CPUs have instructions for it that are slower than float32."""
    monkeypatch.setattr(_precision, "cpu_has_bfloat16", lambda: has)
    seconds = iter([0.0, 1.0, 1.0, 1.0 + 1.0 / gain] * _precision.ROUNDS)
    monkeypatch.setattr(_precision.time, "perf_counter", lambda: next(seconds))
    monkeypatch.setattr(_precision, "_measured", None)
    assert _precision.fast_bfloat16(torch.device("cpu")) is fast


def test_a_run_goes_on_with_the_arithmetic_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is measured later; before it was measured, instructions decided."""
    cpu, seen, run = torch.device("cpu"), [], tmp_path / "run"
    original = training.make_fabric

    def noted(*arguments: Any, **settings: Any) -> object:
        seen.append(_precision.fast_bfloat16(cpu))
        return original(*arguments, **settings)

    monkeypatch.setattr(_precision, "cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(_precision, "_measured", True)
    monkeypatch.setattr(training, "make_fabric", noted)
    succeed(*TINY, "--run-dir", run)
    record = read(run / "config.json")
    monkeypatch.setattr(_precision, "_measured", False)
    succeed("train", "--resume", "--device", "cpu", "--run-dir", run)
    for has in (True, False):
        old = {name: part for name, part in record.items() if name != "bfloat16"}
        (run / "config.json").write_text(json.dumps(old))
        monkeypatch.setattr(training, "cpu_has_bfloat16", lambda has=has: has)
        succeed("train", "--resume", "--device", "cpu", "--run-dir", run)
    assert (record["bfloat16"], seen) == (True, [True, True, True, False])
    assert not _precision.fast_bfloat16(cpu)
