"""Objectives around an objective: for several copies of its problems, and one that counts."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from directmax.objectives import Objective, evaluate

FAST = ("state_losses", "single_change_losses", "losses_and_changes", "losses_and_others")
"""The optional methods of an objective."""


class _Around:
    """Has those of the optional methods that the objective inside has."""

    def __init__(self, objective: Objective) -> None:
        self.objective: Any = objective
        for name in FAST:
            if hasattr(objective, name):
                setattr(self, name, getattr(self, f"_{name}"))
        if hasattr(objective, "chunk_assignments"):
            self.chunk_assignments = objective.chunk_assignments


class Repeated(_Around):
    """f for c copies of its b problems: one-hot `(*s, c·b, n, k)` in, `(*s, c·b)` out.

    One call of an estimator with copies of the potentials gives c independent draws. What an
    objective decodes once for all problems, it still decodes once.

    Args:
        objective: f.
        copies: c.

    Example:
        >>> import torch
        >>> cost = torch.tensor([1.0, 2.0, 3.0])  # one for each problem
        >>> Repeated(lambda z: z[..., 0, 0] * cost, 2)(torch.ones(6, 1, 2))
        tensor([1., 2., 3., 1., 2., 3.])
    """

    def __init__(self, objective: Objective, copies: int) -> None:
        super().__init__(objective)
        self.copies = copies

    def __call__(self, z: Float[Tensor, "*s cb n k"]) -> Float[Tensor, "*s cb"]:
        """f(z)."""
        return evaluate(self.objective, self._apart(z)).flatten(-2)

    def _apart(self, z: Tensor) -> Tensor:
        return z.unflatten(-3, (self.copies, -1))  # (*s, c, b, n, k)

    def _state_losses(self, num_variables: int, num_values: int, **settings: Any) -> Tensor:
        table: Tensor = self.objective.state_losses(num_variables, num_values, **settings)
        return table if len(table) == 1 else table.repeat(self.copies, 1)

    def _single_change_losses(self, z: Tensor) -> Tensor:
        table: Tensor = self.objective.single_change_losses(self._apart(z))
        return table.flatten(-4, -3)

    def _losses_and_changes(self, z: Tensor) -> tuple[Tensor, Tensor]:
        losses, changes = self.objective.losses_and_changes(self._apart(z))
        return losses.flatten(-2), changes.flatten(-4, -3)

    def _losses_and_others(self, z: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        losses, rest = self.objective.losses_and_others(self._apart(z), self._apart(others))
        return losses.flatten(-2), rest.flatten(-2)


class Counted(_Around):
    """Counts for how many assignments of a problem f is computed.

    Tables count the assignments that are different: k^n states, n(k−1)+1 single changes of every
    sample; for n = 1 the k values, which serve all samples.

    Args:
        objective: f.

    Attributes:
        evaluations: the count.

    Example:
        >>> import torch
        >>> counted = Counted(lambda z: z[..., 0, 0])
        >>> losses = counted(torch.ones(5, 3, 1, 2))  # 5 samples of 3 problems
        >>> counted.evaluations
        5
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__(objective)
        self.evaluations = 0

    def __call__(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """f(z)."""
        self.evaluations += _samples(z)
        losses: Tensor = self.objective(z)
        return losses

    def _state_losses(self, num_variables: int, num_values: int, **settings: Any) -> Tensor:
        self.evaluations += num_values**num_variables
        table: Tensor = self.objective.state_losses(num_variables, num_values, **settings)
        return table

    def _single_change_losses(self, z: Tensor) -> Tensor:
        n, k = z.shape[-2:]
        self.evaluations += k if n == 1 else (n * (k - 1) + 1) * _samples(z)
        table: Tensor = self.objective.single_change_losses(z)
        return table

    def _losses_and_changes(self, z: Tensor) -> tuple[Tensor, Tensor]:
        n, k = z.shape[-2:]
        samples = _samples(z)
        self.evaluations += k + samples if n == 1 else (n * (k - 1) + 1) * samples
        both: tuple[Tensor, Tensor] = self.objective.losses_and_changes(z)
        return both

    def _losses_and_others(self, z: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        self.evaluations += _samples(z) + _samples(others)
        both: tuple[Tensor, Tensor] = self.objective.losses_and_others(z, others)
        return both


def _samples(z: Tensor) -> int:
    """Assignments of each problem: the product of the leading axes."""
    return z.shape[:-3].numel()
