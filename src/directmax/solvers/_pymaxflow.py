"""Minimum cuts with the package PyMaxflow."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax.solvers._linearisation import missing_package
from directmax.solvers._pairwise import PairwiseSolver
from directmax.solvers._solution import Status
from directmax.solvers._supermodular import check_supermodular


class PyMaxflow(PairwiseSolver):
    r"""The argmax of super-modular potentials by PyMaxflow (Boykov–Kolmogorov), exact.

    Needs `pip install 'directmax[maxflow]'`. With every h_ij ≥ 0,

        Σ_i field_i z_i + Σ_{i<j} h_ij z_i z_j = Σ_i e_i z_i − Σ_{i<j} h_ij/2 |z_i − z_j|,

    e_i = field_i + Σ_j h_ij/2, which is largest at a minimum cut between a source, joined to the
    variables with e_i > 0, and a sink, joined to those with e_i < 0. `MaxFlow` does the same
    without a package, and is the faster of the two on batches; this one suits a few large and
    sparse problems, and is an independent check.

    Raises:
        ValueError: PyMaxflow is not installed; at the call, a negative pairwise potential.

    Example:
        >>> unary = torch.tensor([[[0.0, -1.0], [0.0, -1.0]]])
        >>> PyMaxflow()(unary, torch.tensor([[3.0]])).value.argmax(-1).tolist()
        [[1, 1]]

    Reference: Boykov and Kolmogorov 2004, "An experimental comparison of min-cut/max-flow
    algorithms for energy minimization in vision".
    """

    name: ClassVar[str] = "pymaxflow"
    supermodular_only: ClassVar[bool] = True

    def __init__(self) -> None:
        reason = self.missing()
        if reason is not None:
            raise ValueError(reason)

    def __repr__(self) -> str:
        return "PyMaxflow()"

    @classmethod
    def missing(cls) -> str | None:
        """Why this solver cannot be used here, with the command that helps; None if it can."""
        return missing_package("maxflow", "PyMaxflow", "maxflow")

    def _maximise(
        self, field: Float[Tensor, "s b n"], pairwise: Float[Tensor, "b P"]
    ) -> tuple[Bool[Tensor, "s b n"], Status]:
        import maxflow

        n = field.shape[-1]
        check_supermodular(pairwise, n, self.name)
        rows = field.flatten(0, 1).cpu().double().numpy()
        half = 0.5 * pairwise.cpu().double().numpy()
        first, second = np.triu_indices(n, 1)
        bits = np.empty(rows.shape, dtype=bool)
        for row in range(len(rows)):  # the package holds the GIL: threads would not help
            weight = half[row % len(half)]
            excess = rows[row] + np.bincount(first, weight, n) + np.bincount(second, weight, n)
            used = np.flatnonzero(weight)
            graph = maxflow.GraphFloat(n, len(used))
            nodes = graph.add_nodes(n)
            graph.add_grid_tedges(nodes, np.maximum(excess, 0), np.maximum(-excess, 0))
            graph.add_edges(first[used], second[used], weight[used], weight[used])
            graph.maxflow()
            bits[row] = ~graph.get_grid_segments(nodes)  # the source's side
        return torch.from_numpy(bits).view(field.shape).to(field.device), Status.OPTIMAL
