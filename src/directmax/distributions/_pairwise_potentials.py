"""Pairwise potentials of binary variables: h(z) = Σ_i h_i(z_i) + Σ_{i<j} h_ij z_i z_j."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from directmax._masks import chosen, without_infinities
from directmax._transforms import once, refuse_wrapped
from directmax._validation import check_place, check_real_of_shape
from directmax.distributions._base import DiscreteDistribution
from directmax.distributions._gibbs import WithGradient
from directmax.solvers import coupling_reach, pair_products

FORBIDDEN = 50.0
"""A forbidden value has less than e^{−100} of the probability of the other, whatever the rest."""


class PairwisePotentials(DiscreteDistribution):
    """What follows from h alone: its score, and gradients without autograd."""

    unary: Float[Tensor, "b n 2"]
    pairwise: Float[Tensor, "b P"]
    forbids: bool
    """Whether some value may be forbidden."""

    @property
    def _finite(self) -> Float[Tensor, "b n 2"]:
        """Potentials whose forbidden values are so unlikely that no sum over states notices."""
        if not self.forbids:
            return self.unary
        reach = coupling_reach(self.pairwise, self.num_variables).unsqueeze(-1)
        return without_infinities(self.unary, reach + FORBIDDEN)

    @property
    def field(self) -> Float[Tensor, "b n"]:
        """h_i(1) − h_i(0); large where a value is forbidden."""
        return self._finite[..., 1] - self._finite[..., 0]

    def score(self, z: Float[Tensor, "*s b n 2"]) -> Float[Tensor, "*s b"]:
        """h(z), differentiable with respect to the potentials."""
        self._check(z)
        pairs = (pair_products(z[..., 1]) * self.pairwise).sum(-1)
        return chosen(self.unary, z) + pairs

    def attach(
        self,
        value: Float[Tensor, " b"],
        first: Float[Tensor, "s b n 2"],
        second: Float[Tensor, "s b n 2"],
        weight: Float[Tensor, " b"] | float,
    ) -> Float[Tensor, " b"]:
        """`value`, with the gradient of weight · mean_s(h(first) − h(second)) added to its own.

        That is weight · mean_s(first − second) for the unary potentials and the same difference of
        z_i z_j for the pairwise ones: h is linear in both.
        """
        weight = self._check_attached(value, weight, first=first, second=second)
        each = weight[:, None] if isinstance(weight, Tensor) else weight
        on, other = first[..., 1], second[..., 1]  # (s, b, n)
        return self.with_gradient(
            value,
            (on - other).mean(0) * each,
            (pair_products(on) - pair_products(other)).mean(0) * each,
        )

    def with_gradient(
        self,
        value: Float[Tensor, " b"],
        field: Float[Tensor, "b n"],
        pairwise: Float[Tensor, "b P"],
    ) -> Float[Tensor, " b"]:
        """`value`, with these gradients of h_i(1) − h_i(0) and h_ij added to its own.

        Args:
            value: `(b,)`.
            field: of h_i(1) − h_i(0).
            pairwise: of h_ij.

        Raises:
            TypeError, ValueError: no floating-point tensors of these shapes.
        """
        self._check_value(value)
        refuse_wrapped("an estimated gradient of coupled variables", self.field, self.pairwise)
        check_real_of_shape("field", field, self._shape[:2], "batch, variables")
        check_real_of_shape("pairwise", pairwise, tuple(self.pairwise.shape), "batch, pairs")
        for name, gradient in (("field", field), ("pairwise", pairwise)):
            check_place(name, gradient, self.device, "the potentials")
        if self.validate:  # as of one variable: a value is no number where its gradient is none
            value = value + (0 * (field.sum(-1) + pairwise.sum(-1))).to(value.dtype)
        potentials = once(self.field), once(self.pairwise)
        both: Tensor = WithGradient.apply(value, *potentials, field, pairwise)
        return both
