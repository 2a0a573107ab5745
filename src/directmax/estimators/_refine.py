"""From a posterior that a network gives to one that the objective has had its say in."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._validation import check_count
from directmax.distributions import Categorical, DiscreteDistribution, PairwiseBinary
from directmax.estimators._base import losses_at
from directmax.gumbel import one_hot_argmax
from directmax.objectives import Objective


@torch.no_grad()
def refine(
    q: DiscreteDistribution, objective: Objective, *, moves: int | None = None
) -> Categorical:
    r"""A product of softmaxes that is nearer to p(z|x) ∝ e^{−f(z)} than an encoder's q.

    Starts at the most probable code of q and makes the best change of a single variable while one
    lowers f: a local search for argmax_z −f(z). Around the code z where it ends, each variable gets
    its posterior given the others,

        q'_i(j) ∝ exp(−f(z_1, …, z_i = j, …, z_n)).

    That is a fixed point of mean-field coordinate ascent where q' is sure of z. With one variable
    q' is the posterior itself. As any distribution that is a function of x, q' gives a bound:
    E_{q'}[f] + KL(q' ‖ uniform) ≥ −log p(x). It is no better than q for certain, only as a rule:
    where q' is far from sure, the code z does not stand for the others.

    Without gradient. A move takes n(k − 1) + 1 evaluations of f (k for n = 1, and no move).

    Args:
        q: of independent variables, whose forbidden values stay forbidden, or of coupled ones,
            which do not remain so; no structure, whose codes have no single changes.
        objective: f, with one-hot `(s, b, n, k)` to losses `(s, b)`.
        moves: the most of them; by default n, which is more than any search took that was seen.

    Raises:
        TypeError, ValueError: q of a structure, `moves` is no integer of at least 0.

    Example:
        >>> from directmax import Categorical
        >>> q = Categorical(torch.zeros(1, 2, 2))
        >>> f = lambda z: 3 * (z[..., 0, 1] - 1) ** 2 + z[..., 1, 1]  # best: 1, 0
        >>> refine(q, f).probs
        tensor([[[0.0474, 0.9526],
                 [0.7311, 0.2689]]])

    Reference: directmax; the local search is the iterated conditional modes of Besag 1986, the
    use of a posterior that an encoder only begins is that of semi-amortised inference (Kim et al.
    2018).
    """
    if not isinstance(q, Categorical | PairwiseBinary):
        raise TypeError(f"refine needs a Categorical or PairwiseBinary, got {type(q).__name__}")
    if moves is None:
        moves = 0 if q.num_variables == 1 else q.num_variables
    check_count("moves", moves, minimum=0)
    z = q.mode().unsqueeze(0)
    changes = losses_at(q, objective, z)[1]
    for _ in range(moves):
        moved = moved_once(z, changes)
        if bool((moved == z).all()):
            break
        z = moved
        changes = losses_at(q, objective, z)[1]
    potentials = q.logits if isinstance(q, Categorical) else q.unary
    # Networks that have diverged are not to be helped without a word.
    broken = (potentials.isnan() | (potentials == torch.inf)).any(-1).any(-1)
    changes = changes.squeeze(0).masked_fill(broken[:, None, None], torch.nan)
    return Categorical(-changes, validate=False)


@torch.no_grad()
def moved_once(
    z: Float[Tensor, "s b n k"],
    changes: Float[Tensor, "s b n k"],
    *,
    noise: Float[Tensor, "s b n k"] | None = None,
) -> Float[Tensor, "s b n k"]:
    """z, or one of its changes of a variable: of least loss, or drawn in proportion to e^{−f}.

    Args:
        z: one-hot.
        changes: f of every change of one variable, with f(z) itself n times.
        noise: standard Gumbel, for a sample of the codes that differ from z in at most one place.
    """
    n, k = z.shape[-2:]
    score = -changes
    if noise is not None:  # the largest of n noises is a Gumbel variable + log n
        score = torch.where(z > 0, score - math.log(n), score) + noise
    best = one_hot_argmax(score.flatten(-2)).unflatten(-1, (n, k))
    return z * (1 - best.sum(-1, keepdim=True)) + best


@torch.no_grad()
def sampled_moves(
    q: DiscreteDistribution,
    objective: Objective,
    z: Float[Tensor, "s b n k"],
    moves: int,
    temperature: float,
    generator: torch.Generator | None,
) -> Float[Tensor, "s b n k"]:
    """z after some moves towards samples of p ∝ e^{−f/T}; with one variable a sample of it."""
    for _ in range(moves):
        changes = losses_at(q, objective, z)[1].expand_as(z) / temperature
        noise = q.noise(z.shape[0], generator=generator)
        z = moved_once(z, changes, noise=noise)
    return z
