"""What an estimator may ask of a distribution."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NoReturn

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._transforms import in_transforms, once, readable
from directmax._validation import (
    check_broadcast,
    check_count,
    check_number,
    check_one_hot,
    check_place,
    check_real,
    check_real_of_shape,
    check_tensor,
)
from directmax.distributions._enumeration import DEFAULT_MAX_STATES
from directmax.distributions._observed import observed_one_hot
from directmax.gumbel import sample_gumbel

RELAXED = (
    "; the relaxed z of GumbelSoftmax, Rebar or Relax has no probability: leave log q out of f, "
    "and add q.entropy() or q.kl_to_uniform() to the loss"
)


class DiscreteDistribution(ABC):
    r"""q(z) ∝ exp h(z) for a batch of b problems over n variables with k values each.

    An estimator needs four things: noise on the single variables, the argmax of potentials that
    were shifted on the single variables, the score h(z), and, where tractable, enumeration.
    Assignments are one-hot, `(*s, b, n, k)`, with any leading sample dimensions.
    """

    batch_size: int
    num_variables: int
    num_values: int
    dtype: torch.dtype
    device: torch.device
    validate: bool = True
    """Whether values are looked at, also those of an objective."""

    def present(self) -> Bool[Tensor, "b_or_1 n"] | None:
        """Which variables take a value; None for all. Those beyond the length of a chain do not."""
        return None

    def noise(self, num_samples: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Gumbel noise γ for `argmax`; here on the single variables, `(num_samples, b, n, k)`."""
        return sample_gumbel(
            (
                check_count("num_samples", num_samples, minimum=0),
                self.batch_size,
                self.num_variables,
                self.num_values,
            ),
            generator=generator,
            dtype=self.dtype,
            device=self.device,
        )

    @abstractmethod
    def argmax(
        self, noise: Tensor, shift: Float[Tensor, "*s b n k"] | None = None
    ) -> Float[Tensor, "*s b n k"]:
        """One-hot argmax_z h(z) + γ(z) + Σ_i shift_i(z_i), without gradient."""

    @abstractmethod
    def argmax_given(
        self, noise: Tensor, labels: Float[Tensor, "b n k"]
    ) -> Float[Tensor, "s b n k"]:
        """The argmax of `argmax(noise)` among assignments in which observed variables have labels.

        `labels` is one-hot, with zero rows where a variable is unobserved.
        """

    @abstractmethod
    def score(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """h(z), differentiable with respect to the potentials."""

    def attach(
        self,
        value: Float[Tensor, " b"],
        first: Float[Tensor, "s b n k"],
        second: Float[Tensor, "s b n k"],
        weight: Float[Tensor, " b"] | float,
    ) -> Float[Tensor, " b"]:
        """`value`, with the gradient of weight · mean_s(h(first) − h(second)) added to its own.

        Args:
            value: `(b,)`.
            first: assignments.
            second: as many.
            weight: one number, or one for every problem.

        Raises:
            TypeError, ValueError: no tensors of these shapes.
        """
        weight = self._check_attached(value, weight, first=first, second=second)
        surrogate = once(weight * (self.score(first) - self.score(second)).mean(0))
        return value + (surrogate - surrogate.detach())  # adds exactly 0

    def attach_log_prob(
        self,
        value: Float[Tensor, " b"],
        z: Float[Tensor, "s b n k"],
        weight: Float[Tensor, "s b"],
    ) -> Float[Tensor, " b"]:
        """`value`, with the gradient of mean_s weight_s log q(z_s) added to its own.

        Raises:
            TypeError, ValueError: no tensors of these shapes.
        """
        self._check_weighted(value, z, weight)
        surrogate = once((weight * self.log_prob(z)).mean(0))
        return value + (surrogate - surrogate.detach())  # adds exactly 0

    def sample(
        self, num_samples: int = 1, *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "s b n k"]:
        """argmax_z h(z) + γ(z): perturb-and-MAP samples, exact for independent variables."""
        return self.argmax(self.noise(num_samples, generator=generator))

    @abstractmethod
    def mode(self) -> Float[Tensor, "b n k"]:
        """The most probable assignment, one-hot."""

    def log_prob(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """log q(z) in nats."""
        self._refuse()

    def entropy(self) -> Float[Tensor, " b"]:
        """−Σ_z q(z) log q(z) in nats."""
        self._refuse()

    def kl_to_uniform(self) -> Float[Tensor, " b"]:
        """KL(q ‖ uniform) = n log k − entropy, in nats."""
        return self.num_variables * math.log(self.num_values) - self.entropy()

    def log_prob_table(self, *, max_states: int = DEFAULT_MAX_STATES) -> Float[Tensor, "b K"]:
        """log q of all K = k^n assignments, in the order of `enumerate_states`, in nats."""
        self._refuse()

    def log_prob_states(self, states: Float[Tensor, "c n k"]) -> Float[Tensor, "b c"]:
        """log q of given assignments, the same for every problem of the batch, in nats."""
        self._refuse()

    def log_prob_given(self, labels: Float[Tensor, "b n k"]) -> Float[Tensor, " b"]:
        """log of the probability under q that the observed variables have their labels, in nats."""
        self._refuse()

    def marginals(self) -> Float[Tensor, "b n k"]:
        """q(z_i = j): the probability of every value of every variable."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} is known by its samples only, expected a distribution with "
            "probabilities; use ClampedArgmax, Direct, ImplicitMLE or LabelledDirect, or the mean "
            "of q.sample(m)"
        )

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.batch_size, self.num_variables, self.num_values

    def _check_tensor(self, name: str, value: object, ending: tuple[int, ...], axes: str) -> None:
        """As `check_tensor`, and on the device of the potentials."""
        check_place(name, check_tensor(name, value, ending, axes), self.device, "the potentials")

    def _check(self, z: Tensor, *, one_hot: bool = False) -> None:
        self._check_tensor("z", z, self._shape, "batch, variables, values")
        if one_hot and self.validate and readable(z):
            check_one_hot("z", z, RELAXED if z.requires_grad else "")

    def _check_shift(self, noise: Tensor, shift: Tensor | None) -> None:
        """What is added to noise on the single variables, as `argmax` takes it."""
        if shift is not None:
            self._check_tensor("shift", shift, self._shape, "batch, variables, values")
            check_broadcast("noise and shift", noise, shift)

    def _check_value(self, value: Tensor) -> None:
        """A number for every problem, to which a gradient is attached."""
        check_real_of_shape("value", value, (self.batch_size,), "batch")
        check_place("value", value, self.device, "the potentials")

    def _check_attached(
        self, value: Tensor, weight: Tensor | float, *, first: Tensor, second: Tensor
    ) -> Tensor | float:
        """What `attach` takes; returns the weight."""
        self._check_value(value)
        for name, z in (("first", first), ("second", second)):
            self._check_tensor(name, check_real(name, z), self._shape, "batch, variables, values")
            if z.ndim != 4:
                raise ValueError(f"{name} must have 4 axes, got shape {tuple(z.shape)}")
        check_broadcast("first and second", first, second)
        if not isinstance(weight, Tensor):
            return check_number("weight", weight)
        weight = check_real_of_shape("weight", weight, (self.batch_size,), "batch")
        return check_place("weight", weight, self.device, "the potentials")

    def _check_weighted(self, value: Tensor, z: Tensor, weight: Tensor) -> None:
        """What `attach_log_prob` takes."""
        self._check_value(value)
        self._check(z)
        if z.ndim != 4:
            raise ValueError(f"z must have 4 axes, got shape {tuple(z.shape)}")
        check_real_of_shape("weight", weight, tuple(z.shape[:2]), "samples, batch")
        check_place("weight", weight, self.device, "the potentials")

    def _check_alternatives(self, noise: Tensor, z: Tensor) -> None:
        """What `alternatives` takes."""
        self._check_tensor(
            "noise", check_real("noise", noise), self._shape, "batch, variables, values"
        )
        self._check_tensor("z", z, tuple(noise.shape), "samples, batch, variables, values")
        if z.shape != noise.shape:
            raise ValueError(
                f"z must have the shape of noise, {tuple(noise.shape)}, got {tuple(z.shape)}"
            )

    def _check_given(self, noise: Tensor, labels: Tensor) -> None:
        """Noise on the single variables, and labels, as `argmax_given` takes them."""
        self._check_tensor(
            "noise", check_real("noise", noise), self._shape, "batch, variables, values"
        )
        self._check_labels(labels)

    def _check_labels(self, labels: Tensor) -> None:
        """One-hot rows of labels, of this batch."""
        self._check_tensor("labels", labels, self._shape, "batch, variables, values")
        if labels.ndim != 3:
            raise ValueError(f"labels must have 3 axes, got shape {tuple(labels.shape)}")

    def _check_states(self, states: Tensor) -> Tensor:
        """States in the type of q."""
        self._check_tensor("states", states, self._shape[1:], "variables, values")
        if states.ndim != 3:
            raise ValueError(
                f"states must have shape (states, variables, values), got {tuple(states.shape)}"
            )
        compiling = torch.compiler.is_compiling() or in_transforms()
        if self.validate and not (states.is_meta or compiling):
            check_one_hot("states", states)
        return states.to(self.dtype)

    def _given(self, labels: Tensor) -> Float[Tensor, "b n k"]:
        """Labels as one-hot rows."""
        validate = self.validate and not (torch.compiler.is_compiling() or in_transforms())
        return observed_one_hot(
            labels, self._shape, dtype=self.dtype, device=self.device, validate=validate
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(batch_size={self.batch_size}, "
            f"num_variables={self.num_variables}, num_values={self.num_values})"
        )
