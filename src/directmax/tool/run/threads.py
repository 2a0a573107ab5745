"""One thread for a model so small that a second one would wait most of its time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from directmax.tool.config import ResolvedConfig
from directmax.tool.data import AttributeData, ImageData

SMALL_PRODUCT = 2**22
"""Multiplications in the largest matrix product of a step that one thread does as well as several.

The threads that torch starts wait for the next product by spinning, so a second one costs a whole
core however little it does; beside another program on that core, each product waits for it.
"""


@contextlib.contextmanager
def threads_of(
    config: ResolvedConfig, data: ImageData | AttributeData, device: torch.device
) -> Iterator[None]:
    """Within, torch has one thread where the model is small; what OMP_NUM_THREADS says holds."""
    before = torch.get_num_threads()
    few = device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ and is_small(config, data)
    if few:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if few:
            torch.set_num_threads(before)


def is_small(config: ResolvedConfig, data: ImageData | AttributeData) -> bool:
    """Whether no product of a step of fully connected layers is large.

    The largest is that of the last layer with the codes that differ in one variable.
    """
    if not isinstance(data, ImageData) or config.network != "mlp":
        return False
    changes = 1 if config.variables == 1 else config.variables * (config.values - 1)
    codes = max(config.values, config.batch_size * changes)
    return codes * config.hidden * data.train.images.shape[1] <= SMALL_PRODUCT
