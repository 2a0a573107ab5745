"""From a posterior that a network gives to one that the objective has had its say in."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._transforms import readable
from directmax._validation import check_count
from directmax.distributions import Categorical, DiscreteDistribution, PairwiseBinary
from directmax.estimators._base import losses_at
from directmax.gumbel import one_hot_argmax, sample_gumbel
from directmax.objectives import Objective, evaluate, real

SPREADS = (1.0, 2.0, 4.0, 8.0)
"""By how much the noise of candidates is louder than that of samples, in turn: an encoder that is
wrong is often sure of it."""


@torch.no_grad()
def refine(
    q: DiscreteDistribution,
    objective: Objective,
    *,
    moves: int | None = None,
    candidates: int | None = None,
) -> Categorical:
    r"""A product of softmaxes that is nearer to p(z|x) ∝ e^{−f(z)} than an encoder's q.

    Starts at the most probable code of q and makes the best change of a single variable while one
    lowers f: a local search for argmax_z −f(z). Another starts at the best of some candidates,
    argmax h + s·γ with fixed noise γ, s from 1 to 8. Around the code z where the better of them
    ends each variable gets its posterior given the others,

        q'_i(j) ∝ exp(−f(z_1, …, z_i = j, …, z_n)).

    That is a fixed point of mean-field coordinate ascent where q' is sure of z. With one variable
    q' is the posterior itself. As any distribution that is a function of x, q' gives a bound:
    E_{q'}[f] + KL(q' ‖ uniform) ≥ −log p(x). It is no better than q for certain, only as a rule:
    where q' is far from sure, the code z does not stand for the others. Without gradient.

    Args:
        q: of independent variables, or of coupled ones, which do not remain so; forbidden values
            stay forbidden. No structure, whose codes have no single changes.
        objective: f, with one-hot `(s, b, n, k)` to losses `(s, b)`.
        moves: the most of them, of n(k − 1) + 1 evaluations each; by default n, more than was seen.
        candidates: where the second search may start; by default n(k − 1) + 1, as a move has. 0:
            there is none.

    Raises:
        TypeError, ValueError: q of a structure, `moves` or `candidates` no integer of at least 0.

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
    if not isinstance(q, (Categorical, PairwiseBinary)):
        raise TypeError(f"refine needs a Categorical or PairwiseBinary, got {type(q).__name__}")
    n, k = q.num_variables, q.num_values
    moves = n if moves is None else check_count("moves", moves, minimum=0)
    candidates = n * (k - 1) + 1 if candidates is None else candidates
    check_count("candidates", candidates, minimum=0)
    z = q.mode().unsqueeze(0)
    if candidates and n > 1:
        z = torch.cat([z, _best_candidate(q, objective, z, candidates)])
    changes = _searched(q, objective, z, moves if n > 1 else 0)
    # Networks that have diverged are not to be helped without a word.
    h = q.logits if isinstance(q, Categorical) else q.unary
    broken = (h.isnan() | (h == torch.inf)).any(-1).any(-1)
    changes = changes.masked_fill(broken[:, None, None], torch.nan)
    return Categorical(-changes, validate=False)


def candidate_noise(count: int, num_variables: int, num_values: int) -> Float[Tensor, "c n k"]:
    """s·γ, the fixed noise of the candidates argmax h + s·γ of `refine`; s is 1, 2, 4, 8 in turn.

    The same at every call: standard Gumbel draws γ of one seed, float32, on the CPU.

    Args:
        count: of candidates, the first axis.
        num_variables: n.
        num_values: k.

    Example:
        >>> candidate_noise(5, 3, 2).shape
        torch.Size([5, 3, 2])
    """
    generator = torch.Generator().manual_seed(0)
    kind, device = torch.float32, torch.device("cpu")  # whatever the defaults are
    shape = (count, num_variables, num_values)
    noise = sample_gumbel(shape, generator=generator, dtype=kind, device=device)
    rounds = count // len(SPREADS) + 1
    spread = torch.tensor(SPREADS, dtype=kind, device=device).repeat(rounds)[:count]
    return noise * spread[:, None, None]


def _best_candidate(
    q: Categorical | PairwiseBinary, objective: Objective, mode: Tensor, count: int
) -> Float[Tensor, "1 b n k"]:
    """The code of least f among argmax h + s·γ; given the mode of the others where coupled."""
    potentials = q.logits if isinstance(q, Categorical) else given_others(q, mode.squeeze(0))
    noise = candidate_noise(count, q.num_variables, q.num_values).to(potentials).unsqueeze(1)
    z = one_hot_argmax(potentials.detach() + noise)  # (c, b, n, k)
    best = real(evaluate(objective, z), q.dtype).argmin(0)  # (b,)
    return z[best, torch.arange(len(best), device=z.device)].unsqueeze(0)


@torch.no_grad()
def given_others(q: PairwiseBinary, z: Float[Tensor, "b n 2"]) -> Float[Tensor, "b n 2"]:
    """Potentials of each variable where the others are as in z: h_i(z_i) + z_i Σ_j h_ij z_j."""
    n = q.num_variables
    first, second = torch.triu_indices(n, n, 1, device=q.device)
    couplings = q.pairwise.new_zeros(q.batch_size, n, n)
    couplings[:, first, second] = couplings[:, second, first] = q.pairwise
    on = (couplings * z[..., None, :, 1]).sum(-1)  # (b, n)
    return torch.stack([q.unary[..., 0], q.unary[..., 1] + on], -1)


def _searched(
    q: DiscreteDistribution, objective: Objective, z: Float[Tensor, "s b n k"], moves: int
) -> Float[Tensor, "b n k"]:
    """The losses of the changes around the code of least f, of those where the searches end."""
    changes = losses_of_changes(q, objective, z)  # (s, b, n, k)
    for _ in range(moves):
        moved = moved_once(z, changes)
        if readable(z) and bool((moved == z).all()):
            break
        z = moved
        changes = losses_of_changes(q, objective, z)
    if len(z) == 1:
        return changes.squeeze(0)
    here = changes[..., 0, :].masked_fill(z[..., 0, :] == 0, 0.0).sum(-1)  # f(z)
    best = here.argmin(0)  # (b,)
    return changes[best, torch.arange(len(best), device=z.device)]


def losses_of_changes(
    q: DiscreteDistribution, objective: Objective, z: Float[Tensor, "s b n k"]
) -> Float[Tensor, "s_or_1 b n k"]:
    """f of every change of one variable, ∞ where q forbids it; without gradient."""
    return losses_at(q, objective, z)[1].detach()


def unary_noise(
    q: DiscreteDistribution, num_samples: int, generator: torch.Generator | None
) -> Float[Tensor, "s b n k"]:
    """Standard Gumbel noise on the single variables, also where q is perturbed on its states."""
    if isinstance(q, PairwiseBinary) and q.perturbation == "states":
        return DiscreteDistribution.noise(q, num_samples, generator=generator)
    return q.noise(num_samples, generator=generator)


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
    best = one_hot_argmax(score.flatten(-2)).unflatten(-1, (n, k)).to(z.dtype)  # not the losses'
    return z * (1 - best.sum(-1, keepdim=True)) + best


@torch.no_grad()
def moved(
    q: DiscreteDistribution,
    objective: Objective,
    z: Float[Tensor, "s b n k"],
    moves: int,
    temperature: float,
    generator: torch.Generator | None = None,
    *,
    best: bool = False,
) -> tuple[Float[Tensor, "s b n k"], Float[Tensor, "s b n k"] | None]:
    """z after some moves towards samples of p ∝ e^{−f/T}, or the best ones, and f̃ at the start."""
    first = None
    for _ in range(moves):
        changes = losses_of_changes(q, objective, z).expand_as(z)
        first = changes if first is None else first
        noise = None if best else unary_noise(q, z.shape[0], generator)
        z = moved_once(z, changes / temperature, noise=noise)
    return z, first
