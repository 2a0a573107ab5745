"""The paper's estimator: the difference of two argmaxes."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._transforms import in_transforms
from directmax._validation import check_count, check_flag
from directmax.distributions import Categorical, DiscreteDistribution, PerturbedArgmax
from directmax.estimators._base import (
    Estimate,
    Estimator,
    average,
    check_independent,
    check_num_samples,
    check_scheduled,
    checked_losses,
    losses_at,
    table_evaluations,
)
from directmax.estimators._crossing import crossing_step
from directmax.estimators._sampled_variables import (
    changes_of_some,
    subset_evaluations,
    subset_of,
)
from directmax.objectives import LinearCost, Objective
from directmax.schedules import Schedule


class Direct(Estimator):
    r"""∇E_q[f] ≈ (∇h(z*) − ∇h(z^ε))/ε, from two maximisations under the same Gumbel noise γ.

    z* = argmax_z h(z) + γ(z) is the sample, z^ε = argmax_z h(z) + γ(z) − ε f(z) the assignment
    that a small step of f would choose. The limit ε → 0 is unbiased; a larger ε gives bias, a
    smaller one variance: most differences are then zero, and the others of size 1/ε.

    With `two_sided` the difference is central, (∇h(z^{−}) − ∇h(z^{+}))/2ε with
    z^{±} = argmax h + γ ∓ ε f: the bias falls from O(ε) to O(ε²).

    With `epsilon="auto"` each problem of the batch has its own ε_b = scale / σ_b, where σ_b is
    the standard deviation of its losses: the root of the mean over variables and samples of the
    variance of f̃_i over the values. A gradient entry is bounded by 1/ε, so a fixed ε cannot
    express losses that differ by more; relative to σ it can, and a rescaled f gives the same
    direction.

    For a `LinearCost` on the set of a `PerturbedArgmax` single changes leave the set, and say
    little of what may be gained in it. There "auto" is scale times twice the step at which, on
    average over the batch, the z of the least loss overtakes z*,

        ε = scale · 2 Σ (h + γ)(z* − z^∞) / Σ f(z* − z^∞),

    one for the batch, by one more maximisation.

    For n > 1 variables f inside z^ε is replaced by f̃, the sum of its single-variable changes
    around z* (section 4.1), so that any solver for h also finds z^ε. For independent variables
    this adds no bias that stays: given the others, the noise of a variable is fresh, and the error
    vanishes with ε. For coupled variables (`PairwiseBinary`) the one-sided estimate keeps a bias,
    often a large one; the two-sided one keeps none where f has interactions of at most two
    variables; `ClampedArgmax` has none at all and less variance. A plain objective is evaluated
    n(k−1) times a sample without gradient, and once with.

    With `rao_blackwell`, for independent variables, each variable's noise is summed out, given the
    others: (z*_i − z^ε_i)/ε becomes its mean,

        (softmax(h_i) − softmax(h_i − ε f̃_i))/ε,

    with the same bias (for a number ε, or n = 1) and less variance; for n = 1 no variance is left.
    As ε → 0 it is `LocalExpectation`. `CorrectedDirect` removes the bias instead.

    For many independent variables `num_variables=m` looks at m of the n in each sample, drawn anew:
    m(k−1)+1 evaluations. Given the others a variable's difference depends on its own f̃_i alone, so
    the m differences, with weight n/m, have the mean of all n: no more bias, about n/m times the
    variance. That is exact for a number ε; "auto" takes σ_b of the variables looked at.

    The defaults here are the plain estimator's; `directmax train` uses `two_sided=True` and, for
    one variable, eight draws.

    Args:
        epsilon: ε > 0 in 1/nats, a schedule of it, or "auto".
        scale: for "auto": the step in standard deviations of the losses, or in steps to the z of
            the least loss; or a schedule of it.
        two_sided: central difference; one more maximisation, no more evaluations of f.
        rao_blackwell: the mean over each variable's noise in place of the two argmaxes.
        num_samples: Gumbel draws to average over. For n = 1 and a `Reconstruction`, which decodes
            every code once, more draws cost next to nothing.
        num_variables: how many variables are looked at in each sample; all, if None or n ≤ m.

    Raises:
        TypeError, ValueError: ε or scale ≤ 0, an unknown word for ε, `num_samples` < 1,
            `num_variables` < 1; at the call, with `rao_blackwell` or `num_variables`, variables
            that are not independent.

    Example:
        >>> import torch
        >>> from directmax import Categorical
        >>> logits = torch.zeros(64, 1, 3, requires_grad=True)
        >>> cost = torch.tensor([0.0, 1.0, 2.0])
        >>> g = torch.Generator().manual_seed(0)
        >>> estimate = Direct(epsilon=0.5, num_samples=100)(
        ...     Categorical(logits), lambda z: (z * cost).sum((-2, -1)), generator=g
        ... )
        >>> estimate.loss.mean().backward()
        >>> grad = logits.grad.sum(0).squeeze()  # descent lowers the costly logits
        >>> bool(grad[0] < grad[1] < grad[2])
        True

    Reference: Lorberbom et al. 2019, theorem 1 (eq. 7) and section 4.1; "auto", `two_sided` and
    `rao_blackwell` and several draws are additions.
    """

    unbiased: ClassVar[bool] = False
    _winner_only: ClassVar[bool] = True  # whether f̃ is for the argmaxes alone
    _pooled: ClassVar[tuple[int, ...]] = (0, 2, 3)  # axes of f̃ of which "auto" takes the deviation

    def __init__(
        self,
        epsilon: float | Schedule | Literal["auto"] = "auto",
        *,
        scale: float | Schedule = 1.0,
        two_sided: bool = False,
        rao_blackwell: bool = False,
        num_samples: int = 1,
        num_variables: int | None = None,
    ) -> None:
        super().__init__()
        if isinstance(epsilon, str):
            if epsilon != "auto":
                raise ValueError(f"epsilon must be 'auto' or a number above 0, got '{epsilon}'")
            self.epsilon: float | Schedule | Literal["auto"] = "auto"
        else:
            self.epsilon = check_scheduled("epsilon", epsilon)
        self.scale = check_scheduled("scale", scale)
        self.two_sided = check_flag("two_sided", two_sided)
        self.rao_blackwell = check_flag("rao_blackwell", rao_blackwell)
        self.num_samples = check_num_samples(num_samples)
        self.num_variables = num_variables
        if num_variables is not None:
            self.num_variables = check_count("num_variables", num_variables)
        self._latest: Tensor | float | None = None

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        """m(k−1)+1 a sample, m = n unless `num_variables` is less; k in all for n = 1."""
        if (few := subset_of(self.num_variables, num_variables)) is not None:
            return subset_evaluations(self.num_samples, few, num_values)
        return table_evaluations(self.num_samples, num_variables, num_values)

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        if self.rao_blackwell:
            q = check_independent("rao_blackwell", q, "; leave it out")
        if self.num_variables is not None:
            q = check_independent("num_variables", q, "; leave it out")
        few = subset_of(self.num_variables, q.num_variables)
        weight = 1.0 if few is None else q.num_variables / few
        noise = q.noise(self.num_samples, generator=generator)
        z = q.argmax(noise)  # z*, (s, b, n, k)
        if few is not None and isinstance(q, Categorical):  # others are left where they are
            loss, changes = changes_of_some(q, objective, z, few, generator)
        else:
            loss, changes = self._found(q, objective, noise, z)
        # A constant for each variable moves no argmax. Relative to the smallest, equal losses are
        # exactly 0, and losses of hundreds of nats do not swallow the noise in float32.
        changes = of_present(q, relative(changes))
        epsilon = self._chosen(q, objective, noise, z, changes)
        if isinstance(epsilon, Tensor) and weight != 1:  # the deviation of those looked at
            epsilon = epsilon / math.sqrt(weight)
        if not in_transforms():  # what a transform wraps must not outlive it
            self._latest = epsilon
        if isinstance(q, Categorical) and self.rao_blackwell:
            gradient = self._rao_blackwell(q, z, changes, epsilon)
            gradient = gradient if weight == 1 else gradient * weight
            return Estimate(loss=q.with_gradient(loss, gradient), sample=z)
        push = each_of(epsilon) * changes
        lower = q.argmax(noise, -push)  # z^ε
        upper = q.argmax(noise, _without_forbidden(push)) if self.two_sided else z
        step = epsilon if weight == 1 else epsilon / weight  # what the difference is divided by
        return Estimate(loss=self._attach(q, loss, upper, lower, step, changes), sample=z)

    def _found(
        self, q: DiscreteDistribution, objective: Objective, noise: Tensor, z: Tensor
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "s_or_1 b n k"]]:
        """f and f̃; where z^ε alone is wanted, f̃ of what may be z^ε, and bounds of the others.

        Value j of variable i beats z*_i only if ε(f̃_i(j) − f(z*)) is below −(s(z*_i) − s(j)), with
        s = h + γ.
        """
        fast = getattr(objective, "losses_and_changes_below", None)
        alone = self._winner_only and not (self.two_sided or self.rao_blackwell)
        if fast is None or not alone or self.epsilon == "auto" or q.num_variables == 1:
            return self._losses_and_changes(q, objective, z)
        branch = q.device.type == "cpu" and not (torch.compiler.is_compiling() or in_transforms())
        if not (isinstance(q, Categorical) and branch):
            return self._losses_and_changes(q, objective, z)
        with torch.no_grad():
            score = q.logits + noise
            behind = score.amax(-1, keepdim=True) - score  # ∞ of a forbidden value
        losses, changes = fast(z.clone(), -behind / self._now(self.epsilon))
        return checked_losses(q, average(losses), changes)

    def _inverse(self, epsilon: Tensor | float) -> Tensor | float:
        """What the difference of the argmaxes is multiplied by."""
        return (0.5 if self.two_sided else 1.0) / epsilon

    def _losses_and_changes(
        self, q: DiscreteDistribution, objective: Objective, z: Float[Tensor, "s b n k"]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "s_or_1 b n k"]]:
        """f, differentiable, and what stands for f̃ inside the argmax."""
        return losses_at(q, objective, z)

    def _attach(
        self,
        q: DiscreteDistribution,
        loss: Float[Tensor, " b"],
        upper: Float[Tensor, "s b n k"],
        lower: Float[Tensor, "s b n k"],
        epsilon: Tensor | float,
        changes: Float[Tensor, "s_or_1 b n k"],
    ) -> Float[Tensor, " b"]:
        """The loss with the gradient of the two argmaxes."""
        return q.attach(loss, upper, lower, self._inverse(epsilon))

    def _rao_blackwell(
        self, q: Categorical, z: Tensor, changes: Tensor, epsilon: Tensor | float
    ) -> Float[Tensor, "b n k"]:
        """The mean of the difference quotient over each variable's noise."""
        return self.expected_difference(q, changes, epsilon)

    def expected_difference(
        self,
        q: Categorical,
        changes: Float[Tensor, "s_or_1 b n k"],
        epsilon: Tensor | float,
    ) -> Float[Tensor, "b n k"]:
        """E_γ of the difference quotient of the argmaxes, each variable given the others.

        mean_s (softmax(h_i) − softmax(h_i − ε f̃_i))/ε, or its central analogue; without gradient.
        """
        logits, each = q.logits.detach(), each_of(epsilon)
        lower = (logits - each * changes).softmax(-1)
        if self.two_sided:
            push = _without_forbidden(each * changes)
            return average((logits + push).softmax(-1) - lower) * (0.5 / each)
        return average(logits.softmax(-1) - lower) * (1.0 / each)

    def _chosen(
        self,
        q: DiscreteDistribution,
        objective: Objective,
        noise: Float[Tensor, "s b n k"],
        z: Float[Tensor, "s b n k"],
        changes: Float[Tensor, "s_or_1 b n k"],
    ) -> Tensor | float:
        """ε of this call: `_epsilon`, except "auto" for a linear f on a set."""
        epsilon = self._step_of(q, changes)
        on_a_set = isinstance(q, PerturbedArgmax) and isinstance(objective, LinearCost)
        if self.epsilon != "auto" or not on_a_set:
            return epsilon
        assert isinstance(q, PerturbedArgmax)
        assert isinstance(objective, LinearCost)
        assert isinstance(epsilon, Tensor)
        scale = self._now(self.scale)
        return scale * crossing_step(q, objective, noise, z, changes, epsilon / scale)

    def _step_of(self, q: DiscreteDistribution, changes: Tensor) -> Tensor | float:
        """`_epsilon`, with a deviation of the losses of the variables that take a value alone."""
        epsilon, present = self._epsilon(changes), q.present()
        if self.epsilon != "auto" or present is None:
            return epsilon
        return epsilon * present.to(changes.dtype).mean(-1).sqrt()

    def _epsilon(self, changes: Float[Tensor, "s b n k"]) -> Tensor | float:
        """ε, a number, or for "auto" one of each problem, `(b,)`."""
        if self.epsilon != "auto":
            return self._now(self.epsilon)
        forbidden = changes == torch.inf
        branch = changes.device.type == "cpu" and not (
            torch.compiler.is_compiling() or in_transforms()
        )
        if branch and bool(forbidden.any()):
            return self._now(self.scale) / self._deviation(changes, forbidden)
        finite = changes.masked_fill(forbidden, 0.0)
        centred = finite - finite.mean(-1, keepdim=True)
        # The root of the mean square; faster here than torch.var.
        norm = torch.linalg.vector_norm(centred, dim=self._pooled)
        count = changes.numel() // max(1, norm.numel())
        # Where all losses are equal both argmaxes are too, and any ε gives the zero gradient.
        tiny = torch.finfo(norm.dtype).tiny ** 0.5
        return self._now(self.scale) * math.sqrt(count) / norm.clamp_min_(tiny)

    def _deviation(self, changes: Tensor, forbidden: Tensor) -> Tensor:
        """Of the losses of allowed changes."""
        finite, allowed = changes.masked_fill(forbidden, 0.0), ~forbidden
        centred = finite - finite.sum(-1, keepdim=True) / allowed.sum(-1, keepdim=True)
        norm = torch.linalg.vector_norm(centred * allowed, dim=self._pooled)
        tiny = torch.finfo(norm.dtype).tiny ** 0.5
        return norm.clamp_min(tiny) / allowed.sum(self._pooled).clamp_min(1).to(norm).sqrt()

    def latest(self) -> dict[str, float]:
        """ε of the latest call; for "auto" the mean over the batch."""
        if isinstance(self._latest, Tensor):
            return {"epsilon": float(self._latest.mean())}
        return {} if self._latest is None else {"epsilon": self._latest}


def relative(changes: Float[Tensor, "s b n k"]) -> Float[Tensor, "s b n k"]:
    """f̃ minus its smallest value for each variable; zero where every value is forbidden.

    Example:
        >>> relative(torch.tensor([[3.0, 1.0, torch.inf], [torch.inf] * 3]))
        tensor([[2., 0., inf],
                [0., 0., 0.]])
    """
    least = changes.amin(-1, keepdim=True)
    return torch.where(least == torch.inf, 0.0, changes - least)


def of_present(
    q: DiscreteDistribution, changes: Float[Tensor, "s b n k"]
) -> Float[Tensor, "s b n k"]:
    """f̃, 0 for variables that take no value, such as those beyond the length of a chain."""
    present = q.present()
    return changes if present is None else changes.masked_fill(~present.unsqueeze(-1), 0.0)


def _without_forbidden(push: Tensor) -> Tensor:
    """Infinite losses keep a value from being chosen, on both sides of a central difference."""
    return push.masked_fill(push == torch.inf, -torch.inf)


def each_of(epsilon: Tensor | float) -> Tensor | float:
    """ε of every problem (or variable), broadcast over its variables and values."""
    if not isinstance(epsilon, Tensor):
        return epsilon
    return epsilon[:, None, None] if epsilon.ndim == 1 else epsilon[:, :, None]
