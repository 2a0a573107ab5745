"""Super-modular potentials: the argmax is a minimum cut."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._kernels import over_rows
from directmax.solvers._pairwise import PairwiseSolver
from directmax.solvers._solution import Status
from directmax.solvers._supermodular import check_supermodular


class MaxFlow(PairwiseSolver):
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

    def _maximise(
        self, field: Float[Tensor, "s b n"], pairwise: Float[Tensor, "b P"]
    ) -> tuple[Bool[Tensor, "s b n"], Status]:
        from directmax.solvers._max_flow_kernel import maximise

        check_supermodular(pairwise, field.shape[-1], self.name)
        rows = field.flatten(0, 1).cpu()
        bits = torch.empty(rows.shape, dtype=torch.bool, device="cpu")
        arrays = rows.numpy(), pairwise.cpu().numpy(), bits.numpy().view(np.uint8)
        over_rows(
            lambda start, stop: maximise(*arrays, start, stop),
            len(rows),
            minimum=max(1, 5000 // rows.shape[1] ** 2),
        )
        return bits.view(field.shape).to(field.device), Status.OPTIMAL
