"""n independent categorical variables with k values."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._masks import binary_potentials, check_masked, chosen, may_forbid
from directmax._precision import no_autocast, widened
from directmax._transforms import refuse_traced
from directmax._validation import check_flag, check_float_tensor
from directmax.distributions._enumeration import (
    DEFAULT_MAX_STATES,
    enumerate_states,
    number_of_states,
)
from directmax.distributions._linear import LinearPotentials
from directmax.gumbel import one_hot_argmax


class Categorical(LinearPotentials):
    r"""q(z) = Π_i softmax(h_i)(z_i), for n independent variables with k values each.

    Args:
        logits: potentials h `(b, n, k)`; need not be normalised. A value with −∞ is forbidden, and
            is never drawn. Half-precision types are computed with in float32.
        validate: also look at values: of the logits, of a z whose probability is asked for, and of
            losses, of which none may be NaN. Reads them (on a GPU, a synchronisation): training
            loops that watch their loss switch it off.

    Raises:
        TypeError: `logits` is no floating-point tensor.
        ValueError: `logits` has not three axes, n < 1, k < 2, NaN, +∞, or a variable all of whose
            values are forbidden.

    Example:
        >>> import torch
        >>> q = Categorical(torch.tensor([[[0.0, 0.0, 0.0]]]))
        >>> q.sample(5, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([5, 1, 1, 3])
        >>> round(q.entropy().item(), 4), round(q.kl_to_uniform().item(), 4)
        (1.0986, 0.0)

    Reference: Lorberbom et al. 2019, eq. 3 (the unstructured encoder of section 5).
    """

    def __init__(self, logits: Float[Tensor, "b n k"], *, validate: bool = True) -> None:
        refuse_traced("Categorical")
        self.validate = check_flag("validate", validate)
        axes = ("batch", "variables", "values")
        check_float_tensor("logits", logits, axes, finite=False)
        self.forbids = may_forbid(logits)
        self.logits = widened(logits)
        if self.forbids:
            self.logits = check_masked("logits", logits, axes, validate, forbids=True)
        self.batch_size, self.num_variables, self.num_values = logits.shape
        self.dtype, self.device = self.logits.dtype, logits.device
        if self.num_variables < 1 or self.num_values < 2:
            raise ValueError(
                "logits must have at least 1 variable and 2 values, got shape "
                f"(batch, variables, values) = {tuple(logits.shape)}"
            )

    @property
    def potentials(self) -> Float[Tensor, "b n k"]:
        """The logits."""
        return self.logits

    # Not cached: a second backward pass through a shared graph would fail.
    @property
    def log_probs(self) -> Float[Tensor, "b n k"]:
        """log softmax(h): the log-probability of every value of every variable, in nats."""
        return self.logits.log_softmax(-1)

    @property
    def probs(self) -> Float[Tensor, "b n k"]:
        """softmax(h): the probability of every value of every variable."""
        return self.log_probs.exp()

    def marginals(self) -> Float[Tensor, "b n k"]:
        """`probs`, under the name that every distribution has."""
        return self.probs

    def argmax(
        self, noise: Float[Tensor, "*s b n k"], shift: Float[Tensor, "*s b n k"] | None = None
    ) -> Float[Tensor, "*s b n k"]:
        """One-hot argmax_z Σ_i h_i(z_i) + γ_i(z_i) + shift_i(z_i), without gradient."""
        self._check_tensor("noise", noise, self._shape, "batch, variables, values")
        scores = self.logits.detach() + noise
        self._check_shift(noise, shift)
        return one_hot_argmax(scores if shift is None else scores + shift)

    @classmethod
    def binary(cls, weights: Float[Tensor, "b n"], *, validate: bool = True) -> Categorical:
        """n variables that are on with probability σ(weight): h_i(1) is the weight, h_i(0) is 0.

        Raises:
            TypeError, ValueError: as the constructor.

        Example:
            >>> import torch
            >>> Categorical.binary(torch.zeros(1, 3)).probs[0, 0]
            tensor([0.5000, 0.5000])
        """
        return cls(binary_potentials("weights", weights), validate=validate)

    def argmax_given(
        self, noise: Float[Tensor, "s b n k"], labels: Float[Tensor, "b n k"]
    ) -> Float[Tensor, "s b n k"]:
        """`argmax(noise)` with observed variables at their labels; the others do not notice."""
        self._check_given(noise, labels)
        z = self.argmax(noise)
        return labels + z * (labels.sum(-1, keepdim=True) == 0)

    def log_prob_given(self, labels: Float[Tensor, "b n k"]) -> Float[Tensor, " b"]:
        """Σ_i log softmax(h_i)(label_i) over the observed variables, in nats."""
        return chosen(self.log_probs, self._given(labels))

    def mode(self) -> Float[Tensor, "b n k"]:
        """The most probable assignment, one-hot."""
        return one_hot_argmax(self.logits)

    def attach_log_prob(
        self,
        value: Float[Tensor, " b"],
        z: Float[Tensor, "s b n k"],
        weight: Float[Tensor, "s b"],
    ) -> Float[Tensor, " b"]:
        """`value`, with the gradient of mean_s weight_s log q(z_s), weight_s (z_s − probs)."""
        self._check_weighted(value, z, weight)
        each = weight[..., None, None]
        gradient = (each * z).mean(0) - each.mean(0) * self.probs.detach()
        return self.with_gradient(value, gradient)

    def log_prob(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """log q(z) = Σ_i log softmax(h_i)(z_i), in nats.

        Raises:
            ValueError: `z` does not end in (b, n, k).
        """
        self._check(z, one_hot=True)
        if self.forbids or z.requires_grad:
            return chosen(self.log_probs, z)
        return (self.log_probs * z).sum((-2, -1))

    def entropy(self) -> Float[Tensor, " b"]:
        """−Σ_i Σ_k q_i(k) log q_i(k), in nats."""
        return -self._mean_log_prob()

    def kl_to_uniform(self) -> Float[Tensor, " b"]:
        """KL(q ‖ uniform) = n log k − entropy, in nats."""
        return self.num_variables * math.log(self.num_values) + self._mean_log_prob()

    def _mean_log_prob(self) -> Float[Tensor, " b"]:
        log_probs = finite = self.log_probs
        if self.forbids:
            finite = log_probs.masked_fill(log_probs == -torch.inf, 0.0)
        return (log_probs.exp() * finite).sum((-2, -1))

    def log_prob_table(self, *, max_states: int = DEFAULT_MAX_STATES) -> Float[Tensor, "b K"]:
        """log q of all K = k^n assignments, in the order of `enumerate_states`, in nats.

        Raises:
            ValueError: k^n > `max_states`.
        """
        if self.num_variables == 1:  # no identity matrix: k may be large
            number_of_states(1, self.num_values, max_states)
            return self.log_probs.squeeze(1)
        states = enumerate_states(
            self.num_variables,
            self.num_values,
            max_states=max_states,
            dtype=self.dtype,
            device=self.device,
        )
        return self._log_prob_states(states)

    def log_prob_states(self, states: Float[Tensor, "c n k"]) -> Float[Tensor, "b c"]:
        """log q of given assignments, the same for every problem of the batch, in nats."""
        return self._log_prob_states(self._check_states(states))

    def _log_prob_states(self, states: Tensor) -> Tensor:
        with no_autocast(self.device):
            # −∞ times 0 is no number: the lowest ones in its place, of which a state has few.
            lowest = torch.finfo(self.dtype).min / (2 * self.num_variables)
            table = self.log_probs.clamp_min(lowest).flatten(1) @ states.flatten(1).T
            return table.masked_fill(table < lowest / 2, -torch.inf)
