"""Super-modular potentials: the argmax is a minimum cut."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from directmax._kernels import over_rows
from directmax.solvers._compiled import CompiledSolver
from directmax.solvers._solution import Status
from directmax.solvers._supermodular import check_supermodular


class MaxFlow(CompiledSolver):
    r"""The argmax where every pairwise potential is 0 or more, for any n, exact, O(n³).

    Σ u_i z_i + Σ_{i<j} p_ij z_i z_j = Σ_i e_i z_i − Σ_{i<j} p_ij/2 |z_i − z_j| with
    e_i = u_i + Σ_j p_ij/2, so the argmax is a minimum cut between the variables with e_i > 0 and
    those with e_i < 0. First the variables are fixed that are the same whatever the others are,
    often most of them; push-relabel finds the cut among the rest, in float64. Compiled, and
    parallel over the batch. Tensors of other devices are copied to the CPU and back.

    Raises:
        ValueError: at the call, a negative pairwise potential; the message names the entry.

    Example:
        >>> unary = torch.tensor([[[0.0, -1.0], [0.0, -1.0]]])
        >>> MaxFlow()(unary, torch.tensor([[3.0]])).value.argmax(-1).tolist()
        [[1, 1]]

    Reference: Boykov, Veksler and Zabih 2001 (as in Lorberbom et al. 2019); Goldberg and Tarjan
    1988 for push-relabel.
    """

    name: ClassVar[str] = "max-flow"
    supermodular_only: ClassVar[bool] = True

    def _search(
        self, field: Float[NDArray, "r n"], pairwise: Float[NDArray, "b P"], negative: bool
    ) -> tuple[UInt8[NDArray, "r n"], Status]:
        from directmax.solvers._max_flow_kernel import maximise

        if negative:
            check_supermodular(torch.from_numpy(pairwise), field.shape[1], self.name)
        bits = np.empty(field.shape, np.uint8)
        over_rows(
            lambda start, stop: maximise(field, pairwise, bits, start, stop),
            len(field),
            minimum=max(1, 5000 // field.shape[1] ** 2),
        )
        return bits, Status.OPTIMAL
