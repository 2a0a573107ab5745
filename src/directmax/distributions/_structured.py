"""Weights over a structure, as potentials of one-hot variables."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._precision import widened
from directmax._transforms import OUTSIDE, refuse_recorded
from directmax._validation import check_flag
from directmax.distributions._linear import LinearPotentials
from directmax.structures import Structure


class StructuredPotentials(LinearPotentials):
    """h(z) = ⟨w, z⟩ + c(z) on a structure Z, with z as n one-hot variables.

    An element of the structure is a variable with two values, 0 and 1.
    """

    structure: Structure | None
    unary: Float[Tensor, "b n k"]
    validate: bool

    def _set(self, weights: Tensor, structure: Structure, validate: bool) -> None:
        """Check and keep."""
        refuse_recorded(type(self).__name__, OUTSIDE)
        structure.check(weights, validate=check_flag("validate", validate))
        if weights.ndim != len(structure.shape) + 1:
            raise ValueError(
                f"weights must have shape (batch, {', '.join(map(str, structure.shape))}), got "
                f"{tuple(weights.shape)}"
            )
        self.structure, self.validate = structure, validate
        self.weights = widened(weights)
        self.unary = structure.potentials(self.weights.detach())
        self.batch_size, self.num_variables, self.num_values = self.unary.shape
        self.dtype, self.device = self.weights.dtype, weights.device

    @property
    def potentials(self) -> Float[Tensor, "b n k"]:
        """h_i(j); 0 where it is −∞, which z never has. Not kept: backward frees its graph."""
        if self.structure is None:
            return self.unary
        return self.structure.potentials(self.weights.masked_fill(self.weights == -torch.inf, 0))

    def present(self) -> Bool[Tensor, "b_or_1 n"] | None:
        """Those of the structure that take a value."""
        present = None if self.structure is None else self.structure.present()
        return None if present is None else present.to(self.device)

    def score(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """h(z), differentiable with respect to the weights and the structure's own potentials.

        Raises:
            ValueError: `z` does not end in (b, n, k).
        """
        if self.structure is None:
            return super().score(z)
        self._check(z)
        return self.structure.score(self.weights, self.structure.from_one_hot(z))

    def attach(
        self,
        value: Float[Tensor, " b"],
        first: Float[Tensor, "s b n k"],
        second: Float[Tensor, "s b n k"],
        weight: Float[Tensor, " b"] | float,
    ) -> Float[Tensor, " b"]:
        """`value`, with the gradient of weight · mean_s(h(first) − h(second)) added to its own."""
        value = super().attach(value, first, second, weight)
        ahead, behind = self._offset(first), self._offset(second)
        if ahead is None or behind is None:
            return value
        surrogate = weight * (ahead - behind).mean(0)
        return value + (surrogate - surrogate.detach())

    def with_switches(
        self,
        value: Float[Tensor, " b"],
        rows: Float[Tensor, "b r n"],
        weights: Float[Tensor, "b r 1"],
        present: Float[Tensor, "b n"],
    ) -> Float[Tensor, " b"]:
        """`value`, with the gradient of Σ_r weight_r h(row_r) of binary variables added.

        Args:
            value: what is added to.
            rows: zeros and ones.
            weights: of the rows.
            present: 0 beyond the length of a problem, else 1.
        """
        field = (weights * rows).sum(1)
        value = self.with_gradient(value, torch.stack([-field, field], -1))
        bits = rows.transpose(0, 1)
        offset = self._offset(torch.stack([present - bits, bits], -1))  # (r, b)
        if offset is None:
            return value
        surrogate = (weights.squeeze(-1).T * offset).sum(0)
        return value + (surrogate - surrogate.detach())

    def _offset(self, z: Float[Tensor, "s b n k"]) -> Float[Tensor, "s b"] | None:
        """c(z), if it has a gradient."""
        if self.structure is None:
            return None
        offset = self.structure.offset(self.structure.from_one_hot(z))
        return offset if offset is not None and offset.requires_grad else None
