"""The Gibbs distribution on a structure with tractable sums."""

from __future__ import annotations

from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._precision import no_autocast
from directmax._validation import shown
from directmax.distributions._enumeration import DEFAULT_MAX_STATES, enumerate_states
from directmax.distributions._structured import StructuredPotentials
from directmax.structures import Structure, all_states


class Gibbs(StructuredPotentials):
    r"""q(z) ∝ exp(⟨w, z⟩ + c(z)) on a structure Z, with exact samples, entropy and KL.

    Unlike a `PerturbedArgmax` on the same structure it has probabilities: `ScoreFunction` and
    `Exact` estimate gradients through it, and a model with it has a bound. It has no argmax of
    perturbed weights; estimators that need one refuse it.

    Args:
        weights: `(b, m)`, or `(b, n, k)` for a structure of variables; −∞ for a mask.
        structure: one with sums, such as `Subsets`, `Chain`, `Arborescence` or `Listed`.
        validate: also look at the values of the weights (on a GPU, a synchronisation).

    Raises:
        TypeError, ValueError: a structure without sums, or weights that do not fit it.

    Example:
        >>> from directmax import ScoreFunction
        >>> from directmax.structures import Subsets
        >>> weights = torch.zeros(2, 4, requires_grad=True)
        >>> q = Gibbs(weights, Subsets(4, 2))
        >>> q.sample(3).shape, round(q.marginals()[0, 0, 1].item(), 4)
        (torch.Size([3, 2, 4, 2]), 0.5)
        >>> estimate = ScoreFunction(num_samples=5)(q, lambda z: z[..., 0, 1])
        >>> (estimate.loss + q.kl_to_uniform()).sum().backward()

    Reference: Papandreou and Yuille 2011 (against perturb-and-MAP).
    """

    structure: Structure

    def __init__(
        self,
        weights: Float[Tensor, "b m"] | Float[Tensor, "b n k"],
        structure: Structure,
        *,
        validate: bool = True,
    ) -> None:
        if not isinstance(structure, Structure):
            raise TypeError(f"structure must be a Structure, got {type(structure).__name__}")
        if not structure.tractable:
            raise TypeError(f"Gibbs needs a structure with sums, got {shown(structure)}")
        self._set(weights, structure, validate)

    def __repr__(self) -> str:
        return f"Gibbs(batch_size={self.batch_size}, {self.structure!r})"

    def argmax(self, noise: Tensor, shift: Tensor | None = None) -> NoReturn:
        """Refused: the argmax of perturbed weights is no sample of q."""
        _refuse()

    def argmax_given(self, noise: Tensor, labels: Tensor) -> NoReturn:
        """Refused, as `argmax`."""
        _refuse()

    def sample(
        self, num_samples: int = 1, *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "s b n k"]:
        """Exact samples of q."""
        z = self.structure.sample(self.weights.detach(), num_samples, generator=generator)
        return self.structure.one_hot(z)

    def mode(self) -> Float[Tensor, "b n k"]:
        """The most probable z."""
        best = self.structure.argmax(self.weights.detach(), validate=self.validate)
        return self.structure.one_hot(best)

    def log_prob(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """log q(z) in nats, of z in Z."""
        return self.score(z) - self.structure.log_partition(self.weights)

    def log_prob_given(self, labels: Float[Tensor, "b n k"]) -> Float[Tensor, " b"]:
        """log of the probability that the observed variables have their labels, in nats.

        Sums over the z that have them: other values have weight −∞, and elements that must be
        chosen one so large that no z without them counts.

        Raises:
            ValueError: no z in Z has the labels (of elements, asked with `validate` only).
        """
        observed = labels.sum(-1, keepdim=True) > 0
        banned = observed & (labels == 0)
        if len(self.structure.shape) == 2:
            inside = self.weights.masked_fill(banned, -torch.inf)
            added = torch.zeros_like(self.weights[:, 0, 0])
        else:
            chosen = labels[..., 1]
            added = self.structure.reach(self.weights)  # (b,)
            inside = self.weights.masked_fill(banned[..., 1], -torch.inf)
            inside = inside + added.unsqueeze(-1) * chosen
            added = added * chosen.sum(-1)
            if self.validate:
                best = self.structure.argmax(inside.detach())
                wrong = ((chosen - best) * chosen).sum(-1) > 0
                if bool(wrong.any()):
                    raise ValueError(
                        f"no z of {self.structure!r} has the labels of problem "
                        f"{int(wrong.nonzero()[0])}: they must be of an assignment in it"
                    )
        given = self.structure.log_partition(inside) - added
        return given - self.structure.log_partition(self.weights)

    def log_prob_states(self, states: Float[Tensor, "c n k"]) -> Float[Tensor, "b c"]:
        """log q of given assignments, the same for every problem, in nats; −∞ outside of Z."""
        states = self._check_states(states)
        if self.structure.batch_size is not None:
            every = states.unsqueeze(1).expand(-1, self.batch_size, -1, -1)
            inside = self.structure.is_feasible(self.structure.from_one_hot(every)).T
            return torch.where(inside, self.log_prob(every).T, -torch.inf)
        z = self.structure.from_one_hot(states)  # the same set for all
        outside = ~self.structure.is_feasible(z.unsqueeze(1)).T
        return self._log_prob_inside(z).masked_fill(outside, -torch.inf)

    def log_prob_members(
        self, *, max_states: int = DEFAULT_MAX_STATES
    ) -> tuple[Float[Tensor, "K n k"], Float[Tensor, "b K"]] | None:
        """The z in Z, one-hot, and log q of each in nats; None where Z is not the same for all.

        Fewer than the k^n assignments of `log_prob_table`: the subsets, not all bits.

        Args:
            max_states: the largest K allowed.

        Returns:
            z, `(K, n, k)`, in the order of `all_states`, and log q(z) = ⟨w, z⟩ − log Σ_y exp⟨w, y⟩
            over y in Z, `(b, K)`, −∞ where a weight that z has is.

        Raises:
            ValueError: Z has more than `max_states`.

        Example:
            >>> from directmax.structures import Subsets
            >>> states, log_probs = Gibbs(torch.zeros(1, 4), Subsets(4, 2)).log_prob_members()
            >>> states.shape, log_probs.exp().sum().round(decimals=4).item()
            (torch.Size([6, 4, 2]), 1.0)
        """
        states = all_states(self.structure, max_states)
        if states is None:
            return None
        states = states.to(self.device, self.dtype)
        return self.structure.one_hot(states), self._log_prob_inside(states)

    def _log_prob_inside(self, states: Float[Tensor, "c ..."]) -> Float[Tensor, "b c"]:
        """log q of z in Z, −∞ where a weight is."""
        z = states.unsqueeze(1)  # (c, 1, *shape)
        masked = self.weights == -torch.inf
        flat = z.flatten(1)
        with no_autocast(self.device):
            scores = self.weights.masked_fill(masked, 0.0).flatten(1) @ flat.T  # (b, c)
            outside = masked.to(flat).flatten(1) @ flat.T > 0
        offset = self.structure.offset(z)
        if offset is not None:
            scores = scores + offset.T
        total = self.structure.log_partition(self.weights).unsqueeze(-1)
        return (scores - total).masked_fill(outside, -torch.inf)

    def log_prob_table(self, *, max_states: int = DEFAULT_MAX_STATES) -> Float[Tensor, "b K"]:
        """log q of all K = k^n assignments, in the order of `enumerate_states`, in nats.

        Raises:
            ValueError: k^n > `max_states`, or a problem's z are none of these (`lengths`).
        """
        n, k = self.num_variables, self.num_values
        states = enumerate_states(n, k, max_states=max_states, dtype=self.dtype, device=self.device)
        table = self.log_prob_states(states)
        if self.validate and not bool((table > -torch.inf).any(-1).all()):
            raise ValueError(
                f"{self.structure!r} has no z in which all variables have a value, expected one "
                "without lengths; use ScoreFunction"
            )
        return table

    def entropy(self) -> Float[Tensor, " b"]:
        """−Σ_z q(z) log q(z) in nats."""
        return self.structure.entropy(self.weights)

    def kl_to_uniform(self) -> Float[Tensor, " b"]:
        """KL(q ‖ the uniform distribution on Z) = log |Z| − entropy, in nats."""
        return self.structure.kl_to_uniform(self.weights)

    def marginals(self) -> Float[Tensor, "b n k"]:
        """q(z_i = j)."""
        return self.structure.one_hot(self.structure.marginals(self.weights))


def _refuse() -> NoReturn:
    raise TypeError(
        "Gibbs has no argmax of perturbed weights, expected a PerturbedArgmax on the structure; "
        "use that, or ScoreFunction or Exact"
    )
