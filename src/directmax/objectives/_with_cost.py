"""An objective and a cost of every value, with the objective's fast tables."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor

from directmax.distributions import DEFAULT_MAX_STATES
from directmax.objectives._linear_cost import LinearCost
from directmax.objectives._plain_reconstruction import PlainReconstruction
from directmax.objectives._reconstruction import Reconstruction


class WithCost:
    r"""f(z) + Σ_i c_i(z_i), in nats: a reconstruction and a prior of independent variables.

    With c_i(j) = −log p_i(j) the sum is −log p(x|z) − log p(z). Every way in which f is asked for
    many losses at once stays as fast as it is.

    Args:
        objective: f of b problems with n variables of k values.
        cost: c, for all problems or for each of them.

    Raises:
        TypeError: `objective` is no reconstruction, `cost` no `LinearCost`.

    Example:
        >>> import torch
        >>> from directmax import Decoder, Reconstruction
        >>> f = Reconstruction(Decoder(1, 10, 64), torch.rand(5, 64).round())
        >>> cost = LinearCost(torch.arange(10.0).view(1, 10))
        >>> more = WithCost(f, cost).state_losses(1, 10) - f.state_losses(1, 10)
        >>> more[0].round().tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]

    Reference: Lorberbom et al. 2019, eq. 1, whose p(z) is uniform.
    """

    def __init__(self, objective: Reconstruction | PlainReconstruction, cost: LinearCost) -> None:
        if not isinstance(objective, (Reconstruction, PlainReconstruction)):
            raise TypeError(
                "objective must be a Reconstruction or a PlainReconstruction, got "
                f"{type(objective).__name__}"
            )
        if not isinstance(cost, LinearCost):
            raise TypeError(f"cost must be a LinearCost, got {type(cost).__name__}")
        self.objective, self.cost = objective, cost

    def __call__(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """f(z) + c(z), differentiable with respect to f's parameters, the cost and z."""
        return self.objective(z) + self.cost(z)

    def state_losses(
        self, num_variables: int, num_values: int, *, max_states: int = DEFAULT_MAX_STATES
    ) -> Float[Tensor, "b K"]:
        """Of all K = k^n assignments, differentiable.

        Raises:
            ValueError: K > `max_states`.
        """
        sizes = num_variables, num_values
        table = self.objective.state_losses(*sizes, max_states=max_states)
        return table + self.cost.state_losses(*sizes, max_states=max_states)

    def single_change_losses(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b n k"]:
        """After every change of a single variable, without gradient."""
        return self.objective.single_change_losses(z) + self._changes(z)

    def losses_and_changes(
        self, z: Float[Tensor, "*s b n k"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "*s b n k"]]:
        """Of z, differentiable, and of every change, without gradient."""
        losses, changes = self.objective.losses_and_changes(z)
        return losses + self.cost(z), changes + self._changes(z)

    def losses_and_others(
        self, z: Float[Tensor, "*s b n k"], others: Float[Tensor, "c *s b n k"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "c *s b"]]:
        """Of z, differentiable, and of other assignments, without gradient."""
        losses, table = self.objective.losses_and_others(z, others)
        return losses + self.cost(z), table + self.cost(others).detach()

    def losses_of_changes(
        self,
        z: Float[Tensor, "*s b n k"],
        chosen: Int64[Tensor, "*s b m"],
        values: Int64[Tensor, "*s b m v"],
    ) -> Float[Tensor, "*s b c"]:
        """After a change of some variables to some values, c = m·v, without gradient."""
        columns = (chosen.unsqueeze(-1) * z.shape[-1] + values).flatten(-2)
        more = self._changes(z).flatten(-2).gather(-1, columns)
        return self.objective.losses_of_changes(z, chosen, values) + more

    def _changes(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b n k"]:
        return self.cost.single_change_losses(z).detach()
