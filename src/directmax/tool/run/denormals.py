"""Denormal numbers taken for zero while a model is trained on a CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


def _flushes() -> bool:
    """Whether this thread takes denormal numbers for zero."""
    return bool(torch.tensor(1e-30) * torch.tensor(1e-10) == 0)


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Within, numbers below 1e-38 are zero, where the processor can do that.

    Adam's moments of weights without gradient, such as those of pixels that are always white, decay
    into this range after some hundred steps, and a CPU takes many times as long for it. Parameters
    do not feel numbers of that size. Threads that torch starts within take the setting over.

    Example:
        >>> small = torch.tensor([1e-30])
        >>> with flushed_denormals():
        ...     print(float(small * 1e-10))
        0.0
        >>> float(small * 1e-10) > 0
        True
    """
    before = _flushes()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
