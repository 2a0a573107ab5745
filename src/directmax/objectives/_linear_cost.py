"""A loss that is a sum over variables."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._masks import binary_potentials
from directmax._validation import check_flag, check_place, check_real, check_tensor
from directmax.distributions import DEFAULT_MAX_STATES, enumerate_states, number_of_states


class LinearCost:
    r"""f(z) = Σ_i c_i(z_i): the length of a path, the price of a matching, a Hamming distance.

    Its tables cost next to nothing, where a plain function is evaluated n(k−1)+1 times, and f̃ is
    f itself up to a constant: z^ε of `Direct` is the maximiser of h + γ − ε f, exactly.

    Args:
        cost: c `(b, n, k)`, or `(n, k)` for all problems; receives gradients.
        binary: `cost` is `(b, n)`, what a variable costs that is on.

    Raises:
        TypeError, ValueError: `cost` is no floating-point tensor with two or three axes.

    Example:
        >>> cost = LinearCost(torch.tensor([[[1.0, 2.0], [10.0, 20.0]]]))
        >>> z = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
        >>> cost(z), cost.single_change_losses(z)
        (tensor([11.]), tensor([[[11., 12.],
                 [11., 21.]]]))
    """

    def __init__(self, cost: Float[Tensor, "b n k"], *, binary: bool = False) -> None:
        check_real("cost", cost)
        if check_flag("binary", binary):
            cost = binary_potentials("cost", cost)
        if cost.ndim == 2:
            cost = cost.unsqueeze(0)
        if cost.ndim != 3:
            raise ValueError(
                "cost must have shape (batch, variables, values) or (variables, values), got "
                f"{tuple(cost.shape)}"
            )
        self.cost = cost

    def __call__(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """f(z).

        Raises:
            ValueError: z is for other sizes.
        """
        rows, elements = self.cost.shape[-2:]
        if isinstance(z, Tensor) and z.shape[-3:] == (rows, elements, 2) and elements != 2:
            raise ValueError(
                f"z is of {elements} elements, got a cost of shape {(rows, elements)} of variables "
                "and values: what elements cost, (batch, elements), is LinearCost(cost, "
                "binary=True)"
            )
        check_tensor("z", z, tuple(self.cost.shape[1:]), "variables, values")
        check_place("z", z, self.cost.device, "cost")
        if z.ndim < 3 or len(self.cost) not in (1, z.shape[-3]):
            raise ValueError(
                f"z must be for costs of shape {tuple(self.cost.shape)}, got shape {tuple(z.shape)}"
            )
        return self._terms(z).sum((-2, -1))

    def state_losses(
        self, num_variables: int, num_values: int, *, max_states: int = DEFAULT_MAX_STATES
    ) -> Float[Tensor, "b K"]:
        """f of all k^n assignments, differentiable.

        Raises:
            ValueError: k^n > `max_states`.
        """
        if num_variables == 1:  # no identity matrix: k may be large
            number_of_states(1, num_values, max_states)
            return self.cost.squeeze(1)
        states = enumerate_states(
            num_variables,
            num_values,
            max_states=max_states,
            dtype=self.cost.dtype,
            device=self.cost.device,
        )
        return self(states.unsqueeze(1).expand(-1, len(self.cost), -1, -1)).T

    def single_change_losses(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b n k"]:
        """f̃, without gradient."""
        return self.losses_and_changes(z)[1]

    def losses_and_changes(
        self, z: Float[Tensor, "*s b n k"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "*s b n k"]]:
        """f(z), differentiable, and f̃."""
        losses = self(z)
        with torch.no_grad():
            own = self._terms(z).sum(-1, keepdim=True)
            changes = losses[..., None, None] - own + self.cost
        return losses, changes

    def _terms(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b n k"]:
        """c·z, 0 for a forbidden value that z has not.

        Only where ∞ · 0 would be: the derivative by z at a value that it has not is its cost, which
        straight-through estimators take.
        """
        return torch.where((z == 0) & ~self.cost.isfinite(), 0.0, self.cost) * z
