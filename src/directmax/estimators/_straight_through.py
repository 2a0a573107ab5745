"""Straight-through estimators: the one-hot sample forward, the derivative of something backward."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._transforms import once
from directmax._validation import check_count, check_positive
from directmax.distributions import Categorical, DiscreteDistribution
from directmax.estimators._base import (
    Estimate,
    Estimator,
    average,
    check_independent,
    check_num_samples,
    check_scheduled,
    losses_through,
)
from directmax.gumbel import conditional_gumbel
from directmax.objectives import Objective
from directmax.schedules import Schedule


class _StraightThrough(Estimator):
    """f at z = argmax h + γ; its derivative there times a matrix in place of dz/dh."""

    unbiased: ClassVar[bool] = False
    needs_derivative: ClassVar[bool] = True

    def __init__(self, *, num_samples: int) -> None:
        super().__init__()
        self.num_samples = check_num_samples(num_samples)
        self._checked = False

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        through = self._rsample(q, generator)
        losses = losses_through(type(self).__name__, objective, through, self._checked)
        self._checked = True
        return Estimate(loss=average(losses), sample=through.detach())

    def _rsample(self, q: DiscreteDistribution, generator: torch.Generator | None) -> Tensor:
        q = check_independent(type(self).__name__, q, "; use ImplicitMLE, Direct or ClampedArgmax")
        z = q.sample(self.num_samples, generator=generator)
        logits = once(q.logits).masked_fill(q.logits == -torch.inf, 0.0)
        moving = logits - logits.detach()  # 0, with the derivative of h
        return z + self._path(q, z, moving, generator)

    @abstractmethod
    def _path(
        self,
        q: Categorical,
        z: Float[Tensor, "s b n k"],
        moving: Float[Tensor, "b n k"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, "s b n k"]:
        """Exactly zero, with the derivative that takes the place of dz/dh."""


def _covariance(probs: Tensor, moving: Tensor) -> Tensor:
    """(diag p − p pᵀ) · moving: how softmax(h) = p moves with h."""
    each = probs * moving
    return each - probs * each.sum(-1, keepdim=True)


class StraightThrough(_StraightThrough):
    r"""∇f(z)ᵀ ∂softmax(h/τ)/∂h, with z ∼ q: the derivative of the probabilities stands for z's.

    Biased; one evaluation of f and its derivative at the vertex z. With τ = 1 it is the local
    expectation gradient with the changes of f replaced by their first-order approximation at z,
    f(z) + ∂_{ij}f(z) − ∂_{i z_i}f(z): unbiased where f is linear in every variable.

    Args:
        temperature: τ > 0, or a schedule of it.
        num_samples: draws to average over.

    Raises:
        TypeError, ValueError: τ ≤ 0, `num_samples` < 1; at the call, variables that are not
            independent.

    Example:
        >>> from directmax import Categorical
        >>> logits = torch.zeros(1, 1, 2, requires_grad=True)
        >>> StraightThrough()(Categorical(logits), lambda z: z[..., 0, 1]).loss.sum().backward()
        >>> logits.grad
        tensor([[[-0.2500,  0.2500]]])

    Reference: Bengio et al. 2013.
    """

    def __init__(self, temperature: float | Schedule = 1.0, *, num_samples: int = 1) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature = check_scheduled("temperature", temperature)

    def _path(
        self, q: Categorical, z: Tensor, moving: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        temperature = self._now(self.temperature)
        probs = (q.logits.detach() / temperature).softmax(-1)
        return _covariance(probs, moving / temperature).expand(z.shape)


class ReinMax(_StraightThrough):
    r"""Straight-through to second order: ∇f(z)ᵀ (2 C(π₁) − ½ C(π)), π₁ = ½ (z + softmax(h/τ)).

    C(p) = diag p − p pᵀ is the derivative of a softmax with value p, and π = softmax(h). Where
    straight-through takes the slope of f at one end, this is the trapezoidal rule (Heun's method):
    unbiased for τ = 1 where f is quadratic in every variable. Biased otherwise; one evaluation of f
    and its derivative at the vertex z, as cheap as straight-through.

    Args:
        temperature: τ > 0 of the softmax in π₁; the paper's experiments take 1 to 1.5.
        num_samples: draws to average over.

    Raises:
        TypeError, ValueError: τ ≤ 0, `num_samples` < 1; at the call, variables that are not
            independent.

    Example:
        >>> from directmax import Categorical
        >>> logits = torch.zeros(1, 1, 2, requires_grad=True)
        >>> square = lambda z: (z[..., 0, 1] - 0.3) ** 2  # 0.49 − 0.09 = 0.4 from 0 to 1
        >>> ReinMax(num_samples=10_000)(Categorical(logits), square).loss.sum().backward()
        >>> bool((logits.grad[0, 0, 1] - 0.4 / 4).abs() < 0.01)
        True

    Reference: Liu et al. 2023, Bridging discrete and backpropagation, algorithm 2.
    """

    def __init__(self, temperature: float = 1.0, *, num_samples: int = 1) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature = check_positive("temperature", temperature)

    def _path(
        self, q: Categorical, z: Tensor, moving: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        logits = q.logits.detach()
        middle = 0.5 * (z + (logits / self.temperature).softmax(-1))
        return 2 * _covariance(middle, moving) - 0.5 * _covariance(logits.softmax(-1), moving)


class GumbelRao(_StraightThrough):
    r"""Straight-through Gumbel-Softmax with the noise summed out, given the sample.

    ∇f(z)ᵀ E[∂ softmax((h + γ)/τ)/∂h | argmax h + γ = z], the expectation over K conditional draws
    of γ. The same mean, hence the same bias, as `GumbelSoftmax(straight_through=True)`, and, for
    K ≥ 2, less variance: a small τ, which costs bias least, becomes usable. One evaluation of f and
    its derivative a sample, whatever K is.

    Args:
        temperature: τ > 0, or a schedule of it.
        num_conditional: K, conditional draws for each sample.
        num_samples: draws to average over.

    Raises:
        TypeError, ValueError: τ ≤ 0, a count < 1; at the call, variables that are not independent.

    Example:
        >>> from directmax import Categorical
        >>> q = Categorical(torch.zeros(1, 1, 3, requires_grad=True))
        >>> GumbelRao(0.1, num_conditional=100)(q, lambda z: z[..., 0, 0]).loss.shape
        torch.Size([1])

    Reference: Paulus, Maddison and Krause 2021, Rao-Blackwellizing the straight-through
    Gumbel-Softmax gradient estimator. Here the noise is held fixed in the derivative, as in
    straight-through Gumbel-Softmax, so that the mean is the same for every K.
    """

    def __init__(
        self,
        temperature: float | Schedule = 0.5,
        *,
        num_conditional: int = 10,
        num_samples: int = 1,
    ) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature = check_scheduled("temperature", temperature)
        self.num_conditional = check_count("num_conditional", num_conditional)

    def _path(
        self, q: Categorical, z: Tensor, moving: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        temperature = self._now(self.temperature)
        with torch.no_grad():
            draws = self.num_conditional
            noise = q.noise(draws * self.num_samples, generator=generator)
            noise = noise.unflatten(0, (draws, self.num_samples))
            perturbed = conditional_gumbel(q.logits, z.expand(draws, *z.shape), noise=noise)
            probs = (perturbed / temperature).softmax(-1)  # (K, s, b, n, k)
        return _covariance(probs, moving / temperature).mean(0)
