"""Settings and fixtures of the whole suite."""

from __future__ import annotations

import gc
import os
import signal

# The problems are small: several threads would only wait for each other, very long on a machine
# that is busy. Before torch is imported; processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings

for module in (
    "significance",
    "reference",
    "solver_conformance",
    "pairwise_conformance",
    "structure_conformance",
    "estimator_suite",
    "estimator_modes",
    "estimator_conformance",
    "coupled_conformance",
    "comparisons",
    "estimator_problems",
):
    pytest.register_assert_rewrite(module)

# The same examples every time, without a database. Conformance classes are inherited, so the same
# property runs in several classes on purpose.
settings.register_profile(
    "directmax",
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors],
)
settings.load_profile("directmax")


def pytest_configure() -> None:
    """Programs that tests start hear Ctrl-C, which shells make jobs in the background ignore.

    Nothing waits for the disk: no test cuts the power, and a short run waits longer than it trains.
    """
    os.fsync = lambda handle: None
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test draws the same numbers, whichever ran before it in its process."""
    torch.manual_seed(0)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: collections of garbage need not look at them."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def generator() -> torch.Generator:
    """Randomness with a fixed seed."""
    return torch.Generator().manual_seed(20190)
