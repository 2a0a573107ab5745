"""Freed memory stays with the process: another step of the same faults in hardly a page."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from directmax.tool.run.allocator import keep_freed_memory

assert keep_freed_memory()

def step():
    blocks = [torch.ones(2**21) for _ in range(12)]  # 8 MiB each
    return sum(float(block[0]) for block in blocks)

for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_pages_are_not_faulted_in_again() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500  # of 24,576 pages that the blocks have
