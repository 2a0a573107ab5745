"""An unbiased gradient of perturb-and-MAP expectations, from argmaxes with one variable clamped."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from directmax._precision import no_autocast
from directmax.distributions import DiscreteDistribution, PairwiseBinary, PerturbedArgmax
from directmax.estimators._base import (
    Estimate,
    Estimator,
    average,
    check_num_samples,
    instead_for,
)
from directmax.objectives import Objective, evaluate, evaluate_many, real, tabled


class ClampedArgmax(Estimator):
    r"""∇E_γ[f(z*)] for z* = argmax_z h(z) + Σ_i γ_i(z_i), without ε and without bias.

    Let z^{i,v} be the argmax under the condition z_i = v, t_i the difference of the two maxima
    (z_i = 1 minus z_i = 0), without γ_i, which moves neither maximiser, and D_i the variables in
    which the two differ. As γ_i(1) − γ_i(0), a logistic variable, grows, z* switches from z^{i,0}
    to z^{i,1}, once, at −t_i. Summed over the places where z* switches, each weighted by how fast
    the potentials move it,

        ∇E[f(z*)] = E Σ_i w_i σ′(t_i) [f(z^{i,1}) − f(z^{i,0})] [∇h(z^{i,1}) − ∇h(z^{i,0})].

    A switch that changes several variables is met along the noise of each of them; any weights with
    Σ_{i ∈ D} w_i = 1 make it count once. For a unary potential w_i = 1 along its own noise will do,
    ∂E[f]/∂h_i = E σ′(t_i) [f(z^{i,1}) − f(z^{i,0})]. Here w_i ∝ 1/σ′(δ_i), δ the noise
    differences at the switch (the balance heuristic of Veach and Guibas 1995): it takes
    20 to 50 % off the variance under strong couplings. Derived in `docs/mathematics.md`.

    One of z^{i,0}, z^{i,1} is z* itself, so a sample takes n more maximisations and n + 1
    evaluations of f, with no derivative of f, like `Direct`. **Unbiased for the perturb-and-MAP
    distribution**, the one that `q.sample()` draws from; where variables are coupled that is not
    the Gibbs distribution. Needs Gumbel noise on the single variables and solvers that reach the
    optimum.

    The set of assignments may be any (`PerturbedArgmax`): f is evaluated on it only, and a variable
    that can only have the value that it has in z* gets no gradient.

    Args:
        num_samples: Gumbel draws to average over.

    Raises:
        TypeError, ValueError: `num_samples` < 1; at the call, a distribution that is neither
            `PairwiseBinary` nor a `PerturbedArgmax` of binary variables, or is perturbed on its
            states.

    Example:
        >>> from directmax import PairwiseBinary
        >>> unary = torch.zeros(1, 2, 2, requires_grad=True)
        >>> q = PairwiseBinary(unary, torch.zeros(1, 1))
        >>> ClampedArgmax()(q, lambda z: z[..., 0, 1]).loss.sum().backward()
        >>> unary.grad[0, 0]  # ∓σ′(0)
        tensor([-0.2500,  0.2500])

    Reference: directmax; the unary part is the local expectation of Titsias and Lázaro-Gredilla
    2015, carried from sampling to maximisation.
    """

    unbiased: ClassVar[bool] = True

    def __init__(self, *, num_samples: int = 1) -> None:
        super().__init__()
        self.num_samples = check_num_samples(num_samples)

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        """(n + 1) a sample."""
        return self.num_samples * (num_variables + 1)

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        q = _checked(q)
        noise = q.noise(self.num_samples, generator=generator)
        z = q.argmax(noise)  # (s, b, n, 2)
        with torch.no_grad():
            other, gap = q.alternatives(noise, z)  # (n, s, b, n, 2), (n, s, b)
        losses, other_losses = self._losses(objective, z, other)  # (s, b), (n, s, b)
        with torch.no_grad():
            # An alternative of infinite loss, which is forbidden, is none.
            change = torch.where(other_losses == torch.inf, 0.0, other_losses - losses).to(q.dtype)
            difference = noise[..., 1] - noise[..., 0]
            scale = q.scale if isinstance(q, PerturbedArgmax) else 1.0  # of the noise
            rows, weights = self._switches(
                z[..., 1], other[..., 1], difference / scale, gap / scale, change / scale
            )
        loss = average(losses).masked_fill(other_losses.isnan().any(0).any(0), torch.nan)
        if isinstance(q, PairwiseBinary):
            field = (weights * rows).sum(1)  # (b, n)
            loss = q.with_gradient(loss, field, self._pairs(rows, weights))
        else:
            loss = q.with_switches(loss, rows, weights, z[0].sum(-1))
        return Estimate(loss=loss, sample=z)

    @staticmethod
    def _losses(objective: Objective, z: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """f(z*), differentiable, and f of the alternatives, without gradient."""
        fast = getattr(objective, "losses_and_others", None)
        if fast is not None:
            first, others = fast(z.clone(), other.clone())
            tabled("losses_and_others", first, tuple(z.shape[:-2]), "samples, problems")
            axes = "others, samples, problems"
            tabled("losses_and_others", others, tuple(other.shape[:-2]), axes)
            return real(first, z.dtype), real(others, z.dtype)
        losses = evaluate(objective, z)
        with torch.no_grad():
            return losses, evaluate_many(objective, other)

    @staticmethod
    def _switches(
        z: Tensor, other: Tensor, difference: Tensor, gap: Tensor, change: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Assignments `(b, r, n)` and weights `(b, r, 1)`; the gradient is Σ_r weight_r ∇h(row_r).

        Args:
            z: z* as zeros and ones, `(s, b, n)`.
            other: the argmaxes with variable i changed, `(n, s, b, n)`.
            difference: γ_i(1) − γ_i(0), `(s, b, n)`.
            gap: the maximum with z_i as in z* minus the other, without γ_i, `(n, s, b)`; ±t_i.
            change: f of the other minus f(z*), `(n, s, b)`.
        """
        n, samples = z.shape[-1], z.shape[0]
        # Σ_{j ∈ D_i} 1/σ′(δ_j) at the switch along i, 1/σ′(x) = 2 + 2 cosh x: there δ_i = −t_i, and
        # the noise of the others is what it is.
        identity = torch.eye(n, dtype=torch.bool, device=z.device)[:, None, None]
        weight_sum = torch.where((other != z) & ~identity, 2 + 2 * torch.cosh(difference), 0).sum(
            -1
        )
        weight = change / ((weight_sum + 2 + 2 * torch.cosh(gap)) * samples)
        # Σ_i w_i (φ(other_i) − φ(z*))
        rows = torch.cat([other, z.expand(1, *z.shape)])  # (n + 1, s, b, n)
        weights = torch.cat([weight, -weight.sum(0, keepdim=True)]).unsqueeze(-1)
        rows = rows.movedim(2, 0).flatten(1, 2)  # (b, (n + 1)·s, n)
        return rows, weights.movedim(2, 0).flatten(1, 2)

    @staticmethod
    @torch.no_grad()
    def _pairs(rows: Tensor, weights: Tensor) -> Tensor:
        """With respect to h_ij, `(b, P)`: Σ_r weight_r z_i z_j, as one product of matrices."""
        n = rows.shape[-1]
        first, second = torch.triu_indices(n, n, 1, device=rows.device)
        with no_autocast(rows.device):
            products: Tensor = (weights * rows).mT @ rows  # (b, n, n)
        return products[:, first, second]


def _checked(q: DiscreteDistribution) -> PairwiseBinary | PerturbedArgmax:
    """q, if it is one whose variables can be clamped."""
    if not isinstance(q, (PairwiseBinary, PerturbedArgmax)):
        independent = "; for independent variables use LocalExpectation, which is the same there"
        raise TypeError(
            f"ClampedArgmax needs a PairwiseBinary or PerturbedArgmax, got {type(q).__name__}"
            f"{instead_for(q, independent)}"
        )
    if q.num_values != 2:
        raise TypeError(
            f"ClampedArgmax needs binary variables, got {q.num_values} values; use Direct, or a "
            "variable for each value"
        )
    if isinstance(q, PerturbedArgmax) and q.noise_kind != "gumbel":
        raise ValueError(f"ClampedArgmax needs noise='gumbel', got {q.noise_kind!r}; use Direct")
    if isinstance(q, PairwiseBinary) and q.perturbation != "unary":
        raise ValueError("ClampedArgmax needs perturbation='unary', got 'states'; use Direct")
    return q
