"""The encoder begins, a search with the objective ends: q and f learn from where it ends."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._validation import check_count, check_flag
from directmax.distributions import Categorical, DiscreteDistribution, PairwiseBinary
from directmax.estimators._base import (
    Estimate,
    instead_for,
    losses_at,
    table_evaluations,
    without_forbidden,
)
from directmax.estimators._local_divergence import LocalDivergence, divergence_gradient
from directmax.estimators._refine import (
    losses_of_changes,
    moved,
    unary_noise,
)
from directmax.gumbel import one_hot_argmax
from directmax.objectives import Objective, evaluate, real, state_losses
from directmax.schedules import Schedule
from directmax.solvers import pair_products


class LocalSearch(LocalDivergence):
    r"""Learns with a posterior that the encoder only begins and f itself completes.

    For a training loss E_q[f] + T·KL(q ‖ uniform), such as a variational auto-encoder's with
    f = −log p(x|z). A sample z of q moves a few times towards samples of the posterior
    p(z) ∝ e^{−f(z)/T}: each time to a sample of the codes that differ from it in at most one
    variable, in proportion to e^{−f/T}, which is an argmax of −f/T + γ over n(k − 1) + 1 codes.
    Where it ends each variable has its posterior given the others,

        q'_i(j) ∝ exp(−f(z_1, …, z_i = j, …, z_n)/T),

    a product of softmaxes that has seen the image *and* the decoder; for n = 1 the posterior. Then

    - what is inside of f learns from f(z) where z ended (n = 1: from the exact mean under q'), as
      in the M-step of Monte Carlo expectation–maximisation,
    - q learns q': the gradient with respect to its potentials, that of the KL term which the model
      adds included, is that of T·KL(q' ‖ q). With independent variables it is T·(q − q'), with
      coupled ones T·(E_q[z_i z_j] − E_q'[z_i z_j]) for a coupling: exact moments of the Gibbs
      distribution, which so learns what one product cannot say, the mean over draws. No entry
      exceeds T. With α < 1 q has the gradient of `LocalDivergence` at its own sample, where z
      began, in its place: at α = 0 that of its bound.

    `Estimate.kl` is KL(q' ‖ uniform), so that loss + kl is about the bound of q', which `refine`
    and `DiscreteVAE(refined=True)` use after training. Samples of the posterior make f good for
    −log p(x), but nothing asks that the posterior be near a product. With `refined` the moves are
    the best ones, as those of `refine`, and f learns from a draw of the q' where they end: the
    loss is that bound, E_q'[f] + KL(q' ‖ uniform), with q' held fixed. E_q[f] of the encoder's own
    q is **not** minimised: with α = 1 q covers q', and is softer than the best product for it.

    Moves make what q and f hold already firmer, so a training begins without them, goes on with
    them, and ends with `refined`.

    Against training with q alone: what is learned no longer waits for the encoder. A q that is
    wrong asks about changes of a code that is far from every good one, and the decoder adapts to
    codes that it cannot explain. Costs `moves` + 1 tables of n(k − 1) + 1 evaluations in place
    of one; with no moves it is `LocalDivergence`.

    Args:
        moves: of every draw, or a schedule of them; none for n = 1.
        alpha: α from 0 to 1, or a schedule of it; 1 for coupled variables.
        refined: whether f learns from draws of q', or a schedule, of 0 and 1; not for n = 1.
        kl_weight: T > 0, the weight of the KL term that is added, or a schedule of it.
        num_samples: draws of z to average over.

    Raises:
        TypeError, ValueError: `moves` < 0, α outside [0, 1], T ≤ 0, `num_samples` < 1; at the
            call, a distribution that is neither `Categorical` nor `PairwiseBinary`, or a coupled
            one with n > 24 or α < 1.

    Example:
        >>> import torch
        >>> from directmax import Categorical
        >>> logits = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
        >>> q = Categorical(logits)
        >>> f = lambda z: z[..., 0, 0] * 1000  # the second value is far better: q' = (0, 1)
        >>> (LocalSearch()(q, f).loss + q.kl_to_uniform()).sum().backward()
        >>> logits.grad  # q - q'
        tensor([[[ 0.7311, -0.7311]]])

    Reference: directmax. Of the same kind: semi-amortised inference (Kim et al. 2018), Markov
    chains that begin at an encoder's sample (Hoffman 2017; Ruiz and Titsias 2019), and the wake
    phase of reweighted wake–sleep (Bornschein and Bengio 2015).
    """

    unbiased: ClassVar[bool] = False

    def __init__(
        self,
        *,
        moves: int | Schedule = 1,
        alpha: float | Schedule = 1.0,
        refined: bool | Schedule = False,
        kl_weight: float | Schedule = 1.0,
        num_samples: int = 1,
    ) -> None:
        super().__init__(alpha, kl_weight=kl_weight, num_samples=num_samples)
        self.moves = moves if callable(moves) else check_count("moves", moves, minimum=0)
        self.refined = refined if callable(refined) else check_flag("refined", refined)

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        """(moves + 1)(n(k−1)+1) a sample; for n = 1 k in all."""
        table = table_evaluations(self.num_samples, num_variables, num_values)
        return table if num_variables == 1 else (self._moves() + 1) * table

    def _has_state(self) -> bool:
        return super()._has_state() or callable(self.moves) or callable(self.refined)

    def _moves(self) -> int:
        return check_count("moves", int(self._now(self.moves)), minimum=0)

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        alpha, weight = self._now(self.alpha), self._now(self.kl_weight)
        q = _checked(q, alpha)
        self._latest = alpha
        z = q.sample(self.num_samples, generator=generator)
        first = None
        if q.num_variables == 1:
            loss, z, changes = self._alone(q, objective, weight, generator)
        elif self._now(self.refined):
            loss, z, changes, first = self._settled(q, objective, z, weight, generator)
        else:
            z, first = moved(q, objective, z, self._moves(), weight, generator)
            loss, changes = losses_at(q, objective, z)  # (b,), (s, b, n, k)
        with torch.no_grad():
            log_p = (-changes / weight).log_softmax(-1)
            kl = Categorical(log_p.flatten(0, 1), validate=False).kl_to_uniform()
            kl = kl.unflatten(0, log_p.shape[:2]).mean(0)
        if isinstance(q, Categorical):
            ask = changes if alpha == 1 or first is None else first
            loss = q.with_gradient(loss, divergence_gradient(q, ask, alpha, weight))
        else:
            loss = q.with_gradient(loss, *_gibbs_gradient(q, log_p[..., 1].exp(), weight))
        return Estimate(loss=loss, sample=z, kl=kl)

    def _settled(
        self,
        q: Categorical | PairwiseBinary,
        objective: Objective,
        z: Float[Tensor, "s b n k"],
        weight: float,
        generator: torch.Generator | None,
    ) -> tuple[Float[Tensor, " b"], Tensor, Tensor, Tensor]:
        """The mean of f at draws of the q' where best moves end, these, f̃ there and at z."""
        z, first = moved(q, objective, z, self._moves(), weight, best=True)
        with torch.no_grad():
            changes = losses_of_changes(q, objective, z).expand_as(z)
            log_p = (-changes / weight).log_softmax(-1)
            z = one_hot_argmax(log_p + unary_noise(q, self.num_samples, generator)).to(q.dtype)
        loss = real(evaluate(objective, z), q.dtype).mean(0)
        return loss, z, changes, changes if first is None else first

    def _alone(
        self,
        q: Categorical | PairwiseBinary,
        objective: Objective,
        weight: float,
        generator: torch.Generator | None,
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "s b 1 k"], Float[Tensor, "1 b 1 k"]]:
        """Of one variable: the exact mean of f under its posterior, draws of that, and f̃."""
        table = _all_losses(q, objective)  # (b, k), differentiable
        with torch.no_grad():
            changes = without_forbidden(q, table.detach()[None, :, None])
            log_p = (-changes / weight).log_softmax(-1)
            z = one_hot_argmax(log_p + unary_noise(q, self.num_samples, generator)).to(q.dtype)
            probs = log_p[0, :, 0].exp()
        return (probs * table.masked_fill(probs == 0, 0)).sum(-1), z, changes


def _checked(q: DiscreteDistribution, alpha: float) -> Categorical | PairwiseBinary:
    """q, if it is one that can be searched from."""
    if not isinstance(q, (Categorical, PairwiseBinary)):
        raise TypeError(
            f"LocalSearch needs a Categorical or PairwiseBinary, got {type(q).__name__}"
            f"{instead_for(q, '; use ClampedArgmax or Direct')}"
        )
    if isinstance(q, PairwiseBinary) and alpha != 1:
        raise ValueError(
            f"alpha must be 1 for the coupled variables of a PairwiseBinary, got {alpha}; use "
            "ClampedArgmax for the gradient of the bound"
        )
    return q


@torch.no_grad()
def _gibbs_gradient(
    q: PairwiseBinary, on: Float[Tensor, "s b n"], kl_weight: float
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b P"]]:
    """T·∂KL(q' ‖ q) less T·∂KL(q ‖ uniform), q' the mean over draws of products of `on`, q'_i(1).

    The first is E_q[φ] − E_q'[φ], the second Cov_q(h, φ), φ = z_i or z_i z_j.
    """
    sums = q.moments()
    field = sums.first - sums.first_covariance - on.mean(0)
    pairs = sums.second - sums.second_covariance - pair_products(on).mean(0)
    return kl_weight * field, kl_weight * pairs


def _all_losses(q: Categorical | PairwiseBinary, objective: Objective) -> Float[Tensor, "b k"]:
    """f of all values of the one variable, differentiable in what is inside of f."""
    shape = (q.batch_size, 1, q.num_values)
    losses = state_losses(objective, shape, max_states=q.num_values, dtype=q.dtype, device=q.device)
    return real(losses, q.dtype).expand(q.batch_size, -1)
