"""The condition under which a minimum cut is the argmax."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def check_supermodular(
    pairwise: Float[Tensor, "b P"], num_variables: int, solver: str = "max-flow"
) -> None:
    """Refuse pairwise potentials below 0.

    Args:
        pairwise: `(b, P)`, as in `PairwiseSolver`.
        num_variables: n, to name the pair.
        solver: the solver's name, for the message.

    Raises:
        ValueError: an entry is negative; the message names the first one.

    Example:
        >>> check_supermodular(torch.tensor([[0.5, 0.0, 2.0]]), 3)
    """
    if not pairwise.numel() or float(pairwise.amin()) >= 0 or not bool((pairwise < 0).any()):
        return
    problem, pair = (int(i) for i in (pairwise < 0).nonzero()[0])
    pairs = torch.triu_indices(num_variables, num_variables, 1, device="cpu")
    first, second = pairs[:, pair].tolist()
    raise ValueError(
        f"{solver} needs pairwise potentials of 0 or more, got "
        f"{pairwise[problem, pair].item():.6g} for variables ({first}, {second}) of problem "
        f"{problem}; choose 'exhaustive' or 'branch-and-bound'"
    )
