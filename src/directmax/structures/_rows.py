"""A compiled kernel over the rows of a batch: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._kernels import over_rows

Answer = tuple[Float[Tensor, "r ..."], Bool[Tensor, " r"] | None]
"""z of every row, and which rows have one; None where all do."""


def solve_rows(
    kernel: Callable[..., None],
    rows: Float[Tensor, "r ..."],
    *parameters: Any,
    minimum: int = 1,
) -> Answer:
    """kernel(rows, z, ok, *parameters, start, stop) on slices, on as many threads as torch uses.

    Args:
        kernel: writes z, zero before, of its rows, and False into `ok` where there is none.
        rows: weights; copied to the CPU where they are elsewhere.
        parameters: of the problems.
        minimum: fewer rows than this are not worth a second thread.
    """
    weights = rows.cpu()
    z, ok = torch.zeros_like(weights), np.ones(len(rows), dtype=np.bool_)
    arrays = weights.numpy(), z.numpy(), ok
    over_rows(
        lambda start, stop: kernel(*arrays, *parameters, start, stop), len(rows), minimum=minimum
    )
    if rows.device.type != "cpu":
        z = z.to(rows.device)
    return z, None if ok.all() else torch.from_numpy(ok).to(rows.device)


def solve_others(
    kernel: Callable[..., None],
    rows: Float[Tensor, "r ..."],
    z: Float[Tensor, "r ..."],
    *parameters: Any,
) -> tuple[Float[Tensor, "n r ..."], Bool[Tensor, "n r"]]:
    """As `solve_rows`, kernel(rows, z, other, reached, *parameters, start, stop).

    Args:
        kernel: writes, for every variable, the best assignment with it changed, zero before, and
            whether there is one, False before.
        rows: weights.
        z: assignments.
        parameters: of the problems.
    """
    weights, own = rows.cpu(), z.cpu()
    other = weights.new_zeros(rows.shape[1], *rows.shape)
    reached = torch.zeros(other.shape[:2], dtype=torch.bool)
    arrays = weights.numpy(), own.numpy(), other.numpy(), reached.numpy()
    over_rows(lambda start, stop: kernel(*arrays, *parameters, start, stop), len(rows))
    return other.to(rows.device), reached.to(rows.device)
