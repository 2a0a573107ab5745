"""Freed memory stays with the process: another step of the same faults in hardly a page."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
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
areas = open("/proc/self/smaps").read().split("VmFlags:")
advised = [int(area.split("Size:")[1].split()[0]) for area, flags in zip(areas, areas[1:])
           if " hg" in flags.splitlines()[0]]
print(sum(advised))
"""
NEIGHBOURS = """
import resource
import torch
from directmax.models import _groups
from directmax.tool.run.allocator import keep_freed_memory

torch.set_num_threads(1)
assert keep_freed_memory()
_groups.DISTANCES = 2**22  # 16 MiB
images = torch.rand(12_000, 8)
_groups.neighbours(images[:600], 5)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
_groups.neighbours(images, 5)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


SAMPLED = """
import resource

import torch

from directmax import Decoder, DiscreteVAE, Encoder, LocalExpectation
from directmax.models import _bound
from directmax.tool.run.allocator import keep_freed_memory

torch.set_num_threads(1)
assert keep_freed_memory()
_bound.TABLE_ELEMENTS = 2**21
parts = Encoder(784, 20, 4, hidden=8), Decoder(20, 4, 784, hidden=8)
model = DiscreteVAE(*parts, LocalExpectation())
images = torch.rand(1_200, 784).round()
model.bound(images[:100], num_samples=100, max_states=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.bound(images, num_samples=100, max_states=1)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
@pytest.mark.parametrize(
    ("program", "most"),
    [
        pytest.param(NEIGHBOURS, 80, id="neighbours, 35 blocks of 16 MiB one at a time"),
        pytest.param(SAMPLED, 40, id="a sampled bound, of 26 images at a time"),
    ],
)
def test_many_images_take_the_memory_of_some(program: str, most: int) -> None:
    """Between blocks, one at a time, what is found stays. In MiB."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < most


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_pages_are_not_faulted_in_again() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    faults, advised = map(int, done.stdout.split())
    assert faults < 500  # of 24,576 pages that the blocks have
    if SWITCH.exists():  # a system with large pages
        assert advised > 2**19  # KiB
