"""An objective and a cost of every value, with the objective's fast tables."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from directmax._validation import check_float_tensor
from directmax.distributions import DEFAULT_MAX_STATES, enumerate_states


class WithCosts:
    r"""f(z) + Σ_i c_i(z_i): what a prior of independent variables adds to a reconstruction.

    Every way in which f is asked for many losses at once stays as fast as it is.

    Args:
        objective: f, a `Reconstruction` or a `PlainReconstruction`.
        costs: c, `(n, k)`, in nats.

    Raises:
        TypeError, ValueError: costs are no floating-point tensor of variables and values.

    Example:
        >>> from directmax import Decoder, Reconstruction
        >>> f = Reconstruction(Decoder(1, 10, 64), torch.rand(5, 64).round())
        >>> costs = torch.arange(10.0).view(1, 10)
        >>> more = WithCosts(f, costs).state_losses(1, 10) - f.state_losses(1, 10)
        >>> more[0].round().tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    """

    def __init__(self, objective: Any, costs: Float[Tensor, "n k"]) -> None:
        check_float_tensor("costs", costs, ("variables", "values"), finite=False)
        self.objective, self.costs = objective, costs

    def __call__(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """f(z) + c(z), differentiable with respect to f's parameters, the costs and z."""
        losses: Tensor = self.objective(z)
        return losses + self._cost(z)

    def state_losses(
        self, num_variables: int, num_values: int, *, max_states: int = DEFAULT_MAX_STATES
    ) -> Float[Tensor, "b K"]:
        """Of all K = k^n assignments, differentiable.

        Raises:
            ValueError: K > `max_states`.
        """
        sizes = num_variables, num_values
        table: Tensor = self.objective.state_losses(*sizes, max_states=max_states)
        if num_variables == 1:
            return table + self.costs
        states = enumerate_states(
            *sizes, max_states=max_states, dtype=self.costs.dtype, device=self.costs.device
        )
        return table + self._cost(states)

    @torch.no_grad()
    def single_change_losses(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b n k"]:
        """After every change of a single variable, without gradient."""
        changes: Tensor = self.objective.single_change_losses(z)
        return changes + self._changed_cost(z)

    def losses_and_changes(
        self, z: Float[Tensor, "*s b n k"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "*s b n k"]]:
        """Of z, differentiable, and of every change, without gradient."""
        losses, changes = self.objective.losses_and_changes(z)
        with torch.no_grad():
            changes = changes + self._changed_cost(z)
        return losses + self._cost(z), changes

    def losses_and_others(
        self, z: Float[Tensor, "*s b n k"], others: Float[Tensor, "c *s b n k"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "c *s b"]]:
        """Of z, differentiable, and of other assignments, without gradient."""
        losses, table = self.objective.losses_and_others(z, others)
        return losses + self._cost(z), table + self._cost(others).detach()

    @torch.no_grad()
    def losses_of_changes(
        self,
        z: Float[Tensor, "*s b n k"],
        chosen: Int64[Tensor, "*s b m"],
        values: Int64[Tensor, "*s b m v"],
    ) -> Float[Tensor, "*s b c"]:
        """After a change of some variables to some values, c = m·v, without gradient."""
        table: Tensor = self.objective.losses_of_changes(z, chosen, values)
        columns = self._changed_cost(z).flatten(-2)
        changed = (chosen.unsqueeze(-1) * z.shape[-1] + values).flatten(-2)
        return table + columns.gather(-1, changed)

    def _cost(self, z: Float[Tensor, "*s n k"]) -> Float[Tensor, "*s"]:
        return (z * self.costs).sum((-2, -1))

    def _changed_cost(self, z: Float[Tensor, "*s n k"]) -> Float[Tensor, "*s n k"]:
        """c after every change of a single variable."""
        held = (z * self.costs).sum(-1, keepdim=True)
        return self._cost(z)[..., None, None] + self.costs - held
