"""Compiled kernels give the same bits in the process that compiles them and from numba's cache."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from numba import njit

from directmax._kernels import over_rows

FORK = """
import os
if child := os.fork():
    os.waitpid(child, 0)
"""
"""What follows is done by two processes: the child compiles, then its parent loads."""
PROGRAMS = {
    "losses": f"""
import torch
from directmax.objectives._bernoulli_kernel import loss_changes
{FORK}
g = torch.Generator().manual_seed(0)
logits, change = torch.randn(50, 784, generator=g) * 3, torch.randn(50, 10, 784, generator=g)
images = torch.rand(50, 784, generator=g).round()
out = torch.zeros(50, 10)
kind = change.bfloat16().view(torch.int16)
loss_changes(*(t.numpy() for t in (logits, kind, images, out)), 0, 50)
print(out.view(torch.int32).sum().item(), out[0, 0].item())
""",
    "moments": f"""
import torch
from directmax import PairwiseBinary
{FORK}
g = torch.Generator().manual_seed(0)
for kind in (torch.float32, torch.float64):
    unary = torch.randn(20, 11, 2, generator=g).to(kind).requires_grad_()
    pairwise = torch.randn(20, 55, generator=g).to(kind).requires_grad_()
    kl = PairwiseBinary(unary, pairwise).kl_to_uniform()
    kl.sum().backward()
    for tensor in (kl.detach(), unary.grad, pairwise.grad):
        print(tensor.contiguous().view(torch.int32).sum().item())
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_and_loaded_alike(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    command = [sys.executable, "-c", PROGRAMS[name]]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = result.stdout.split()
    compiled, loaded = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    assert list(tmp_path.rglob("*.nbc"))
    assert loaded == compiled
    assert len(set(compiled)) > 1


def test_compiling_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Of kernels of this package alone, and not where they are loaded from the cache."""
    from numba import njit
    from numba.core import event

    from directmax._compiled_math import COMPILING, Compiling

    def plain(x: float) -> float:
        return x + 1

    def ours(x: float) -> float:
        return x + 1

    ours.__module__ = "directmax.made_up"
    caplog.set_level(logging.INFO, "directmax")
    njit(ours)(1.0)  # the listener of this process has said it now
    caplog.clear()
    with event.install_listener("numba:compile", Compiling()):
        njit(plain)(1.0)
        assert not caplog.records
        for x in (1.0, 1):  # two types are two compilations
            njit(ours)(x)
    assert [record.getMessage() for record in caplog.records] == [COMPILING]


def test_torch_compile_does_not_look_into_kernels() -> None:
    """Where numba compiles, or loads, a kernel at its first call: torch.compile failed in it."""
    kernel = njit(nogil=True)(_double)

    def doubled(rows: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(rows)
        arrays = rows.detach().numpy(), out.numpy()
        over_rows(lambda start, stop: kernel(*arrays, start, stop), len(rows))
        return out

    torch.compiler.reset()
    compiled = torch.compile(doubled, backend="eager")
    torch.testing.assert_close(compiled(torch.ones(3)), torch.full((3,), 2.0))


def _double(rows: Any, out: Any, start: int, stop: int) -> None:
    for row in range(start, stop):
        out[row] = 2 * rows[row]
