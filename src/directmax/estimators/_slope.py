"""f and its derivative at one-hot assignments."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.objectives import Objective, evaluate


def losses_and_slope(
    objective: Objective, z: Float[Tensor, "s b n k"]
) -> tuple[Float[Tensor, "s b"], Float[Tensor, "s b n k"] | None]:
    """f(z), differentiable in what is inside of f, and ∂f/∂z, None where f does not depend on z.

    Losses need a gradient only where something inside of f does: z asked for its own already.

    Example:
        >>> losses, slope = losses_and_slope(lambda z: (z**2).sum((-2, -1)), torch.ones(1, 1, 1, 2))
        >>> losses, slope
        (tensor([[2.]]), tensor([[[[2., 2.]]]]))
    """
    leaf = z.detach().requires_grad_()
    losses, slope = evaluate(objective, leaf), None
    if losses.requires_grad:
        (slope,) = torch.autograd.grad(losses.sum(), leaf, retain_graph=True, allow_unused=True)
    return (losses if _learns(losses, leaf) else losses.detach()), slope


def _learns(losses: Tensor, known: Tensor) -> bool:
    """Whether a backward pass would reach a leaf other than this one."""
    left, seen = [losses.grad_fn], set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if not node.next_functions and getattr(node, "variable", None) is not known:
            return True
        left += [each for each, _ in node.next_functions]
    return False
