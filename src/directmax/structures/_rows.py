"""A compiled kernel over the rows of a batch: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._kernels import over_rows
from directmax._transforms import refuse_wrapped, uncompiled

Answer = tuple[Float[Tensor, "r ..."], Bool[Tensor, " r"] | None]
"""z of every row, and which rows have one; None where all do."""


ARGMAX = "the argmax of a structure"
"""What needs the memory of its tensors."""


@uncompiled
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
        parameters: of the problems; tensors are handed on as arrays.
        minimum: fewer rows than this are not worth a second thread.
    """
    refuse_wrapped(ARGMAX, rows)
    weights = rows.cpu()
    z, ok = torch.zeros_like(weights), np.ones(len(rows), dtype=np.bool_)
    arrays = weights.numpy(), z.numpy(), ok, *_arrays(parameters)
    over_rows(lambda start, stop: kernel(*arrays, start, stop), len(rows), minimum=minimum)
    if rows.device.type != "cpu":
        z = z.to(rows.device)
    return z, None if ok.all() else torch.from_numpy(ok).to(rows.device)


@uncompiled
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
    refuse_wrapped(ARGMAX, rows, z)
    weights, own = rows.cpu(), z.cpu()
    other = weights.new_zeros(rows.shape[1], *rows.shape)
    reached = torch.zeros(other.shape[:2], dtype=torch.bool, device="cpu")
    tensors = weights, own, other, reached
    arrays = _arrays((*tensors, *parameters))
    over_rows(lambda start, stop: kernel(*arrays, start, stop), len(rows))
    return other.to(rows.device), reached.to(rows.device)


def _arrays(parameters: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tensors as arrays."""
    return tuple(each.numpy() if isinstance(each, Tensor) else each for each in parameters)
