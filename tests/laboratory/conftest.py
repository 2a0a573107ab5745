"""One thread: the tensors are small, and sums have one order. And short timings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from directmax.laboratory import _timing


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_timing, "SECONDS", 0.0)
