"""The edges of a graph, as they are given."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from directmax._validation import check_integers


def check_edges(edges: object, vertices: int | None = None) -> Int[Tensor, "m 2"]:
    """The edges as a tensor of their own, on the CPU.

    Raises:
        TypeError, ValueError: no pairs of different vertices, each once, of a graph with so many.

    Example:
        >>> check_edges([(0, 1), (1, 2)]).shape
        torch.Size([2, 2])
    """
    try:
        table = torch.as_tensor(edges, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise TypeError("edges must be pairs of vertices, (tail, head)") from None
    check_integers("edges", table)
    if table.ndim != 2 or table.shape[1] != 2 or not len(table):
        raise ValueError(f"edges must be integers (edges, 2), got shape {tuple(table.shape)}")
    if int(table.min()) < 0 or bool((table[:, 0] == table[:, 1]).any()):
        raise ValueError("edges must be between different vertices, numbered from 0")
    if vertices is not None and int(table.max()) >= vertices:
        raise ValueError(f"edges must be of {vertices} vertices, got vertex {int(table.max())}")
    if len(table.unique(dim=0)) != len(table):
        raise ValueError("edges must be different, got one of them twice")
    return table.long().clone()
