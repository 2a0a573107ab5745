"""Implicit maximum likelihood estimation: the direct estimator with a linearised loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._transforms import refuse_in_transforms, uncompiled
from directmax.distributions import Categorical, DiscreteDistribution, PerturbedArgmax
from directmax.estimators._base import average, check_independent, without_forbidden
from directmax.estimators._direct import Direct, each_of, of_present, relative
from directmax.estimators._layer import check_linear, own_potentials, with_backward
from directmax.estimators._slope import losses_and_slope
from directmax.objectives import Objective, evaluate


class ImplicitMLE(Direct):
    r"""(∇h(z*) − ∇h(z^ε))/ε with z^ε = argmax_z h(z) + γ(z) − ε ∇f(z*)·z.

    The direct estimator with f̃ replaced by the first-order approximation of f at the sample: one
    evaluation of f and its derivative instead of n(k−1)+1 evaluations. Any solver for h also finds
    z^ε, so it works for coupled variables. Biased, also as ε → 0, unless f is linear in every
    variable; with `two_sided`, where the limit takes the mean of the slopes at both ends of a
    change (`ReinMax` has the same), unless f is quadratic in every variable. f must be
    differentiable at the vertices, and its derivative there should say something about its changes.

    `epsilon="auto"`, as in `Direct`, takes the standard deviation of ∇f over the values of a
    variable in place of that of the losses, so that the step follows the size of the derivative.

    Args:
        epsilon: ε > 0 in 1/nats (λ in the paper), a schedule of it, or "auto".
        scale: for "auto": the step in standard deviations, or a schedule of it.
        two_sided: central difference (the paper's symmetric variant, of AIMLE).
        rao_blackwell: for independent variables, z^ε_i becomes its mean given the sample z*: the
            same expectation and less variance. (Not the mean of `Direct`: the slope at z* depends
            on z*_i, so that the noise of i is not fresh.)
        num_samples: Gumbel draws to average over.

    Raises:
        TypeError, ValueError: as `Direct`; at the call, an f that is not differentiable in z, or a
            torch.func transform.

    Example:
        >>> from directmax import Categorical
        >>> q = Categorical(torch.zeros(1, 2, 3, requires_grad=True))
        >>> ImplicitMLE(epsilon=1.0)(q, lambda z: (z**2)[..., 0].sum(-1)).loss.shape
        torch.Size([1])

    Reference: Niepert, Minervini and Franceschi 2021, Implicit MLE, algorithm 1; Minervini,
    Franceschi and Niepert 2023 (AIMLE). The noise here is Gumbel, not their sum of Gammas; AIMLE's
    adaptive step aims at a share of non-zero gradients, "auto" at the size of the derivative.
    """

    needs_derivative: ClassVar[bool] = True
    _winner_only: ClassVar[bool] = False

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        """One a sample."""
        return self.num_samples

    def _rao_blackwell(
        self, q: Categorical, z: Tensor, changes: Tensor, epsilon: Tensor | float
    ) -> Float[Tensor, "b n k"]:
        each = each_of(epsilon)
        push = each * changes
        lower = conditional_argmax(q.logits, z, push)
        upper = conditional_argmax(q.logits, z, -push) if self.two_sided else z
        return average(upper - lower) * ((0.5 if self.two_sided else 1.0) / each)

    @uncompiled  # differentiates inside, which the compiler cannot trace
    def _losses_and_changes(
        self, q: DiscreteDistribution, objective: Objective, z: Float[Tensor, "s b n k"]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "s b n k"]]:
        refuse_in_transforms("ImplicitMLE, which differentiates f itself,", "use StraightThrough")
        if not torch.is_grad_enabled():
            return average(evaluate(objective, z)), torch.zeros_like(z)
        losses, slopes = losses_and_slope(objective, z)
        if slopes is None:
            raise TypeError("ImplicitMLE needs an f that is differentiable in z")
        return average(losses), without_forbidden(q, slopes)

    def _rsample(self, q: DiscreteDistribution, generator: torch.Generator | None) -> Tensor:
        if self.rao_blackwell:
            q = check_independent("rao_blackwell", q, "; leave it out")
        linear = check_linear("ImplicitMLE", q, learned=True)
        own = own_potentials(q)
        noise = q.noise(self.num_samples, generator=generator)

        def backward(z: Tensor, slopes: Tensor) -> tuple[Tensor, ...]:
            # Those of a mean over the draws; relative to the smallest as in `Direct`.
            slopes = of_present(q, relative(without_forbidden(q, slopes * len(z))))
            epsilon = self._latest = self._step_of(q, slopes)
            if isinstance(q, Categorical) and self.rao_blackwell:
                return (self._rao_blackwell(q, z, slopes, epsilon),)
            push = each_of(epsilon) * slopes
            pull = push.masked_fill(push == torch.inf, -torch.inf)  # on both sides
            upper = q.argmax(noise, pull) if self.two_sided else z
            lower, inverse = q.argmax(noise, -push), self._inverse(epsilon)
            gradient = average(upper - lower) * each_of(inverse)
            return gradient, *_own_gradients(q, own, upper, lower, inverse)

        return with_backward((linear.potentials, *own), q.argmax(noise), backward)


def _own_gradients(
    q: DiscreteDistribution,
    own: tuple[Tensor, ...],
    upper: Float[Tensor, "s b n k"],
    lower: Float[Tensor, "s b n k"],
    inverse: Tensor | float,
) -> tuple[Tensor, ...]:
    """Of the structure's own potentials: those of the difference of its part of the score."""
    if not own:
        return ()
    assert isinstance(q, PerturbedArgmax)
    assert q.structure is not None
    structure = q.structure
    with torch.enable_grad():
        ends = [structure.offset(structure.from_one_hot(z)) for z in (upper, lower)]
        assert ends[0] is not None
        assert ends[1] is not None
        surrogate = (inverse * (ends[0] - ends[1]).mean(0)).sum()
        return torch.autograd.grad(surrogate, own)


@torch.no_grad()
def conditional_argmax(
    logits: Float[Tensor, "b n k"], z: Float[Tensor, "s b n k"], push: Float[Tensor, "s b n k"]
) -> Float[Tensor, "s b n k"]:
    r"""P(argmax h + γ − push = v | argmax h + γ = z_i), for independent variables.

    With exponential variables E_v of rates p_v = softmax(h)_v, z_i = argmin E_v and the other
    argmax is argmin E_v e^{d_v}, d_v = push_v − push_{z_i}. Given z_i and its E = m, the others are
    m plus fresh exponentials, so that at time m s, 0 < s ≤ 1, the value v with d_v < 0 is there
    with the hazard m p_v e^{−d_v}, from s = e^{d_v} on. With G(s) = Σ_v p_v (s e^{−d_v} − 1)^+, and
    m integrated out, the value v is first with probability

        p_v e^{−d_v} ∫_{e^{d_v}}^1 (1 + G(s))^{−2} ds,

    which is a sum over the intervals between the e^{d_u}, on which G is linear; and z_i stays with
    probability 1/(1 + G(1)).

    Args:
        logits: h.
        z: one-hot.
        push: what is taken from the potentials.

    Example:
        >>> logits, push = torch.zeros(1, 1, 2), torch.tensor([[[0.0, -1e3]]])
        >>> conditional_argmax(logits, torch.tensor([[[[1.0, 0.0]]]]), push.unsqueeze(0)).round()
        tensor([[[[0., 1.]]]])
    """
    wide = torch.float32 if logits.device.type == "mps" else torch.float64
    lowest = -80.0 if wide == torch.float32 else -600.0  # e^{−d} must be finite
    probs = logits.to(wide).softmax(-1)
    own = torch.where(z > 0, push, 0.0).sum(-1, keepdim=True)  # infinite where forbidden
    gain = (push - own).to(wide).clamp(lowest, 0.0)  # d
    start, order = gain.exp().sort(-1)  # e^d, from where on a value is there
    rate = (probs.expand(gain.shape) * (-gain).exp()).gather(-1, order)  # p e^{−d}
    ends = torch.cat([start[..., 1:], torch.ones_like(start[..., :1])], -1)
    width = ends - start
    slope = rate.cumsum(-1)  # of G on each interval; width 0 for those that gain nothing
    after = (slope * width).cumsum(-1)
    before = torch.cat([torch.zeros_like(after[..., :1]), after[..., :-1]], -1)
    integral = width / (1 + before) / (1 + after)
    # ∫ from the value's own start on: the intervals behind it.
    rest = integral.flip(-1).cumsum(-1).flip(-1)
    moved = torch.zeros_like(gain).scatter(-1, order, rate * rest)
    moved = torch.where((z > 0) | (gain == 0), 0.0, moved)
    stays = (1 - moved.sum(-1, keepdim=True)).clamp_min(0.0)
    return (moved + stays * z).to(logits.dtype)
