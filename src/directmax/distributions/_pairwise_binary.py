"""Binary variables with pairwise potentials."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._choices import check_choice
from directmax._masks import binary_potentials, check_masked
from directmax._precision import no_autocast, widened
from directmax._transforms import OUTSIDE, readable, refuse_recorded
from directmax._validation import (
    check_count,
    check_flag,
    check_float_tensor,
    check_positive,
    check_real,
)
from directmax.distributions._categorical import Categorical
from directmax.distributions._enumeration import (
    DEFAULT_MAX_STATES,
    enumerate_states,
    number_of_states,
)
from directmax.distributions._gibbs import Moments, moments
from directmax.distributions._observed import remaining_potentials
from directmax.distributions._pairwise_potentials import PairwisePotentials
from directmax.gumbel import sample_gumbel
from directmax.solvers import (
    PairwiseSolver,
    Solution,
    Status,
    check_potentials,
    choose_solver,
    pair_products,
    potential,
)

Perturbation = Literal["unary", "states"]


class PairwiseBinary(PairwisePotentials):
    r"""q(z) ∝ exp h(z), h(z) = Σ_i h_i(z_i) + Σ_{i<j} h_ij z_i z_j, for z in {0, 1}^n.

    Two ways to draw samples by maximisation:

    - `perturbation="unary"`, the paper's: Gumbel noise on the single variables,
      z* = argmax_z h(z) + Σ_i γ_i(z_i), found by a solver, for any n. **These are perturb-and-MAP
      samples, not samples of q**: where variables are coupled the two distributions differ (both
      are products of softmaxes where h_ij = 0). `log_prob`, `entropy`, `kl_to_uniform` and
      `marginals` are those of q, the Gibbs distribution. So E[f(z*)] + KL(q ‖ p) is no bound on
      −log p(x); E_q[f] + KL(q ‖ p), by enumeration, is.
    - `perturbation="states"`: Gumbel noise on each of the 2^n states. Exact samples of q; memory
      and time O(2^n), for n up to about 20.

    Everything about q that is not a sample (log-partition, moments, entropy, KL) is a sum over all
    2^n states, n ≤ 24, compiled on a CPU; differentiable once with respect to the potentials.

    Args:
        unary: h_i(0) and h_i(1), `(b, n, 2)`, −∞ for a forbidden value; or weights `(b, n)`, which
            are h_i(1), with h_i(0) = 0.
        pairwise: h_ij of the P = n(n−1)/2 pairs i < j, `(b, P)`, in the order of
            `torch.triu_indices(n, n, 1)`.
        solver: "auto", another name in `directmax.solvers.SOLVERS`, or a `PairwiseSolver`.
        perturbation: "unary" or "states".
        validate: also look at values, see `Categorical` (on a GPU, a synchronisation).

    Raises:
        TypeError: potentials are no floating-point tensors.
        ValueError: shapes that do not fit, a non-finite entry, an unknown or missing solver.

    Example:
        >>> import torch
        >>> unary = torch.zeros(1, 2, 2)
        >>> q = PairwiseBinary(unary, torch.tensor([[2.0]]))  # the two variables like to be on
        >>> q.marginals()[0, 0, 1]  # (e² + 1) / (e² + 3)
        tensor(0.8075)
        >>> q.sample(3).shape
        torch.Size([3, 1, 2, 2])

    Reference: Lorberbom et al. 2019, eq. 8; Papandreou and Yuille 2011 (perturb-and-MAP); Hazan
    and Jaakkola 2012.
    """

    def __init__(
        self,
        unary: Float[Tensor, "b n 2"],
        pairwise: Float[Tensor, "b P"],
        *,
        solver: str | PairwiseSolver = "auto",
        perturbation: Perturbation = "unary",
        validate: bool = True,
    ) -> None:
        refuse_recorded("PairwiseBinary", OUTSIDE)
        if isinstance(unary, Tensor) and unary.ndim == 2:
            unary = binary_potentials("unary", unary)
        if isinstance(unary, Tensor) and unary.is_meta:
            raise TypeError("PairwiseBinary needs data: its solvers cannot work on the meta device")
        axes = ("batch", "variables", "values")
        masked = check_masked("unary", unary, axes, validate)
        check_potentials(unary, pairwise, finite=False)
        check_float_tensor("pairwise", pairwise, ("batch", "pairs"), finite=validate)
        check_choice("perturbation", perturbation, ("unary", "states"))
        self.unary, self.pairwise = masked, widened(pairwise)
        self.batch_size, self.num_variables, self.num_values = unary.shape
        self.dtype, self.device = self.unary.dtype, unary.device
        self.solver = choose_solver(solver)
        self.perturbation, self.validate = perturbation, check_flag("validate", validate)
        looked_at = unary.device.type == "cpu" and readable(self.unary)
        self.forbids = not looked_at or bool((self.unary == -torch.inf).any())
        self._cached: Moments | None = None

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(batch_size={self.batch_size}, "
            f"num_variables={self.num_variables}, solver={self.solver.name!r}, "
            f"perturbation={self.perturbation!r})"
        )

    def moments(self) -> Moments:
        """log Z, E[h], E[φ] and Cov(h, φ) of the Gibbs distribution, φ = z_i or z_i z_j.

        In nats, without gradient, h relative to h(0, …, 0); sums over 2^n states (n ≤ 24).

        Example:
            >>> q = PairwiseBinary(torch.zeros(1, 2, 2), torch.zeros(1, 1))
            >>> q.moments().first, q.moments().second
            (tensor([[0.5000, 0.5000]]), tensor([[0.2500]]))
        """
        if self._cached is None:
            with torch.inference_mode(False):  # so that a later gradient may use them
                self._cached = moments(self.field, self.pairwise)
        return self._cached

    def noise(self, num_samples: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Gumbel noise: on the single variables `(s, b, n, 2)`, or on the states `(s, b, 2^n)`.

        Raises:
            ValueError: noise on more than 2^20 states.
        """
        if self.perturbation == "unary":
            return super().noise(num_samples, generator=generator)
        states = number_of_states(self.num_variables, 2, 2**20)
        return sample_gumbel(
            (check_count("num_samples", num_samples, minimum=0), self.batch_size, states),
            generator=generator,
            dtype=self.dtype,
            device=self.device,
        )

    def argmax(
        self, noise: Tensor, shift: Float[Tensor, "*s b n 2"] | None = None
    ) -> Float[Tensor, "*s b n 2"]:
        """One-hot argmax_z h(z) + γ(z) + Σ_i shift_i(z_i), without gradient."""
        if self.perturbation == "states":
            ending = self.batch_size, 2**self.num_variables
            self._check_tensor("noise", noise, ending, "batch, states")
            return self._argmax_states(noise, None if shift is None else shift.to(self.dtype))
        self._check_tensor("noise", noise, self._shape, "batch, variables, values")
        self._check_shift(noise, shift)
        unary = self.unary.detach() + noise
        return self._solve(unary if shift is None else (unary + shift).to(self.dtype)).value

    @torch.no_grad()
    def _argmax_states(self, noise: Tensor, shift: Tensor | None) -> Tensor:
        states = self._states(2**20)
        score = self._scores(states) + noise  # (s, b, K)
        if shift is not None:
            shift, forbidden = shift.masked_fill(shift == -torch.inf, 0.0), shift == -torch.inf
            with no_autocast(self.device):
                score = score + (shift[..., 1] - shift[..., 0]) @ states[..., 1].T
                never = forbidden.to(score.dtype).flatten(-2) @ states.flatten(1).T
            score = score.masked_fill(never > 0, -torch.inf)
        return states[score.argmax(-1)]

    def relaxed(self, noise: Tensor, temperature: float) -> Float[Tensor, "s b n 2"]:
        """Σ_z w(z) z, w = softmax((h + γ)/τ) over all 2^n states; `argmax(noise)` as τ → 0.

        Args:
            noise: γ on the states, `(s, b, 2^n)`.
            temperature: τ > 0.

        Raises:
            TypeError: noise is no floating-point tensor, or the temperature no number.
            ValueError: noise of another shape, τ ≤ 0, or more than 2^20 states.

        Example:
            >>> q = PairwiseBinary(torch.zeros(1, 2, 2), torch.ones(1, 1), perturbation="states")
            >>> q.relaxed(torch.zeros(1, 1, 4), 1.0)[0, 0, :, 1]  # without noise: the marginals
            tensor([0.6502, 0.6502])

        Reference: Jang et al. 2017 and Maddison et al. 2017 (Gumbel-softmax), over the states.
        """
        states = self._states(2**20)
        ending = self.batch_size, len(states)
        self._check_tensor("noise", check_real("noise", noise), ending, "batch, states")
        temperature = check_positive("temperature", temperature)
        weights = ((self._scores(states) + noise) / temperature).softmax(-1)
        with no_autocast(self.device):
            return (weights @ states.flatten(1)).unflatten(-1, (self.num_variables, 2))

    def argmax_given(
        self, noise: Tensor, labels: Float[Tensor, "b n 2"]
    ) -> Float[Tensor, "s b n 2"]:
        """One-hot argmax_z h(z) + γ(z) subject to the labels, by the solver of the others' problem.

        Args:
            noise: as for `argmax`.
            labels: one-hot, zero rows where unobserved.
        """
        if self.perturbation == "states":
            self._check_labels(labels)
            # A state that contradicts a label falls behind all that do not.
            states = self._states(2**20)
            right = (states.flatten(1) @ labels.flatten(1).T).T  # agreeing variables, (b, K)
            wrong = labels.sum((-2, -1)).unsqueeze(-1) - right
            return self._argmax_states(noise.masked_fill(wrong > 0, -torch.inf), None)
        self._check_given(noise, labels)
        unary, pairwise = self.unary.detach() + noise, self.pairwise.detach()
        rest = remaining_potentials(unary, pairwise, labels)
        if bool(rest.observed.all()):
            return labels.expand(noise.shape)
        z = self._solve(rest.unary, rest.pairwise).value
        return torch.where(rest.observed.unsqueeze(-1), labels, z)

    def log_prob_given(self, labels: Float[Tensor, "b n 2"]) -> Float[Tensor, " b"]:
        """log Σ_{z with the labels} q(z) of the Gibbs distribution, in nats (n ≤ 24)."""
        labels = self._given(labels)
        rest = remaining_potentials(self._finite, self.pairwise, labels)
        clamped = PairwiseBinary(rest.unary, rest.pairwise, validate=False)
        free = rest.observed.sum(-1).to(self.dtype) * math.log(2)
        log_prob = rest.constant + clamped.log_normalizer() - free - self.log_normalizer()
        never = ((self.unary == -torch.inf) & (labels > 0)).any(-1).any(-1)
        return log_prob.masked_fill(never, -torch.inf)

    def _solve(self, unary: Tensor, pairwise: Tensor | None = None) -> Solution:
        pairwise = self.pairwise if pairwise is None else pairwise
        solution = self.solver(unary, pairwise, validate=False)
        self._warn(solution)
        return solution

    def _warn(self, solution: Solution) -> None:
        if solution.status is not Status.OPTIMAL:
            warnings.warn(
                f"the solver '{self.solver.name}' stopped at its {solution.status.value}: its "
                "assignments may not be the argmax, and gradients made of them have no guarantee",
                RuntimeWarning,
                stacklevel=4,
            )

    def alternatives(
        self, noise: Float[Tensor, "s b n 2"], z: Float[Tensor, "s b n 2"]
    ) -> tuple[Float[Tensor, "n s b n 2"], Float[Tensor, "n s b"]]:
        """For every variable the best assignment in which it has the other value than in z*.

        Args:
            noise: on the single variables.
            z: `argmax(noise)`.

        Returns:
            The assignments, and by how much each falls short of z*, γ_i left out of both:
            (max with z_i as in z*) − (max with z_i changed), which may be negative. Where the other
            value is forbidden: z* itself, and infinity.

        Raises:
            TypeError, ValueError: noise, or z, is no tensor of that shape.
        """
        self._check_alternatives(noise, z)
        unary = self.unary.detach() + noise
        pairwise = self.pairwise.detach()
        solution = self.solver.alternatives(unary, pairwise, z, validate=False)
        self._warn(solution)
        best = potential(unary, pairwise, z[..., 1] > 0)
        difference = noise[..., 1] - noise[..., 0]  # γ_i(1) − γ_i(0)
        margin = (difference * (2 * z[..., 1] - 1)).movedim(-1, 0)  # (n, s, b)
        return solution.value, best - solution.objective - margin

    def mode(self) -> Float[Tensor, "b n 2"]:
        """The most probable assignment, one-hot, by the solver."""
        return self._solve(self.unary.detach()).value

    def log_normalizer(self) -> Float[Tensor, " b"]:
        """log Σ_z e^{h(z)}, in nats. Its gradient: the moments of q.

        Raises:
            ValueError: n > 24.
        """
        sums = self.moments()
        relative = self.with_gradient(sums.log_normalizer, sums.first, sums.second)
        return relative + self._finite[..., 0].sum(-1)

    def log_prob(self, z: Float[Tensor, "*s b n 2"]) -> Float[Tensor, "*s b"]:
        """log q(z) = h(z) − log Σ e^h of the Gibbs distribution, in nats (n ≤ 24).

        Raises:
            ValueError: `z` does not end in (b, n, 2), or n > 24.
        """
        self._check(z, one_hot=True)
        return self.score(z) - self.log_normalizer()

    def entropy(self) -> Float[Tensor, " b"]:
        """−Σ_z q(z) log q(z) of the Gibbs distribution, in nats (n ≤ 24).

        log Z − E[h]; its gradient with respect to a potential is −Cov(h, z_i) or −Cov(h, z_i z_j).
        """
        sums = self.moments()
        return self.with_gradient(
            (sums.log_normalizer - sums.energy).clamp_min_(0),
            -sums.first_covariance,
            -sums.second_covariance,
        )

    def unary_kl_to_uniform(self) -> Float[Tensor, " b"]:
        """KL to uniform of Π_i softmax(h_i), which ignores the couplings, in nats.

        The quantity in the authors' code. It is neither the KL of q nor that of the perturb-and-MAP
        samples, and no bound follows from it.
        """
        return Categorical(self.unary, validate=False).kl_to_uniform()

    def marginals(self) -> Float[Tensor, "b n 2"]:
        """q(z_i = j), of the Gibbs distribution, differentiable.

        Raises:
            ValueError: n > 24, or, with gradient, more than 2^20 states.
        """
        if not (
            torch.is_grad_enabled() and (self.unary.requires_grad or self.pairwise.requires_grad)
        ):
            on = self.moments().first
            return torch.stack([1 - on, on], -1).masked_fill(self.unary == -torch.inf, 0.0)
        states = self._states(2**20)
        probs = self.log_prob_table(max_states=2**20).exp()
        with no_autocast(self.device):
            return (probs @ states.flatten(1)).unflatten(-1, (self.num_variables, 2))

    def log_prob_table(self, *, max_states: int = DEFAULT_MAX_STATES) -> Float[Tensor, "b K"]:
        """log q of all K = 2^n assignments, in the order of `enumerate_states`, in nats.

        Raises:
            ValueError: 2^n > `max_states`.
        """
        return self._scores(self._states(max_states)).log_softmax(-1)

    def log_prob_states(self, states: Float[Tensor, "c n 2"]) -> Float[Tensor, "b c"]:
        """log q of given assignments for every problem of the batch, in nats."""
        relative = self.log_normalizer() - self._finite[..., 0].sum(-1)
        return self._scores(self._check_states(states)) - relative.unsqueeze(-1)

    def _states(self, max_states: int) -> Tensor:
        return enumerate_states(
            self.num_variables, 2, max_states=max_states, dtype=self.dtype, device=self.device
        )

    def _scores(self, states: Tensor) -> Tensor:
        """h of the states relative to h(0, …, 0), `(b, c)`."""
        on = states[..., 1]
        with no_autocast(self.device):
            scores = self.field @ on.T + self.pairwise @ pair_products(on).T
            if not self.forbids:
                return scores
            forbidden = (self.unary == -torch.inf).to(scores.dtype)
            return scores.masked_fill(forbidden.flatten(1) @ states.flatten(1).T > 0, -torch.inf)
