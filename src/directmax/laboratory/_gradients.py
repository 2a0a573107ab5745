"""Which gradient is measured, and how independent draws of it are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._validation import shown
from directmax.distributions import (
    Categorical,
    DiscreteDistribution,
    PairwiseBinary,
    number_of_states,
)
from directmax.estimators import Estimator, Exact
from directmax.laboratory._objectives import Repeated
from directmax.objectives import Objective, state_losses

MAX_ELEMENTS = 2**22
"""A call of an estimator is given at most about so many one-hot entries."""


@dataclass(frozen=True)
class ExactGradient:
    """The enumerated gradient `(b, m)`, float64, and how far rounding may be off."""

    value: Tensor
    rounding: float


class Gradients(ABC):
    """A gradient as a vector of m entries for each of b problems, `(b, m)`.

    Draws are float64 and on the CPU, whatever the model is. `PotentialGradients` and
    `ParameterGradients` are the two.
    """

    objective: Objective
    shape: tuple[int, int]

    @abstractmethod
    def distribution(self) -> DiscreteDistribution:
        """q, its potentials requiring a gradient: for one plain call of an estimator."""

    @abstractmethod
    def draws(
        self, estimator: Estimator, count: int, generator: torch.Generator | None
    ) -> Float[Tensor, "count b m"]:
        """Independent draws."""

    @abstractmethod
    def most(self, estimator: Estimator, max_problems: int) -> int:
        """How many draws to make at a time."""

    @abstractmethod
    def exact(self, max_states: int) -> ExactGradient:
        """The gradient of E_q[f], by enumeration.

        Raises:
            ValueError: more states than `max_states`.
        """


class PotentialGradients(Gradients):
    """With respect to the potentials of the single variables, for each problem of the batch.

    Draws are made together: one call with c copies of every problem gives c of them.

    Args:
        q: a `Categorical` or a `PairwiseBinary`.
        objective: f.

    Raises:
        TypeError: another distribution.

    Example:
        >>> from directmax import LocalExpectation
        >>> cost = torch.tensor([0.0, 1.0, 2.0])
        >>> q = Categorical(torch.zeros(5, 1, 3))
        >>> gradients = PotentialGradients(q, lambda z: (z * cost).sum((-2, -1)))
        >>> gradients.exact(max_states=3).value[0]  # q(z)(f(z) − E_q[f])
        tensor([-0.3333,  0.0000,  0.3333], dtype=torch.float64)
        >>> gradients.draws(LocalExpectation(), 7, None).shape
        torch.Size([7, 5, 3])
    """

    def __init__(self, q: DiscreteDistribution, objective: Objective) -> None:
        if not isinstance(q, (Categorical, PairwiseBinary)):
            raise TypeError(
                "q must be a Categorical or a PairwiseBinary, or a function that returns a "
                f"distribution, with parameters=[...], got {type(q).__name__}"
            )
        self.q, self.objective = q, objective
        self.shape = (q.batch_size, q.num_variables * q.num_values)

    def _copies(self, count: int) -> tuple[DiscreteDistribution, Tensor]:
        q = self.q
        if isinstance(q, Categorical):
            leaf = q.logits.detach().repeat(count, 1, 1).requires_grad_()
            return Categorical(leaf, validate=False), leaf
        leaf = q.unary.detach().repeat(count, 1, 1).requires_grad_()
        pairwise = q.pairwise.detach().repeat(count, 1)
        copies = PairwiseBinary(
            leaf, pairwise, solver=q.solver, perturbation=q.perturbation, validate=False
        )
        return copies, leaf

    def distribution(self) -> DiscreteDistribution:
        """q of potentials that are leaves."""
        return self._copies(1)[0]

    def draws(
        self, estimator: Estimator, count: int, generator: torch.Generator | None
    ) -> Float[Tensor, "count b m"]:
        """By one call."""
        q, leaf = self._copies(count)
        loss = estimator(q, Repeated(self.objective, count), generator=generator).loss
        (gradient,) = _gradient(loss, [leaf])
        return _wide(gradient).unflatten(0, (count, -1)).flatten(2)

    def most(self, estimator: Estimator, max_problems: int) -> int:
        """So many that neither problems nor one-hot entries are too many."""
        q = self.q
        samples = getattr(estimator, "num_samples", 1)
        entries = q.num_variables * q.num_values
        if isinstance(q, PairwiseBinary):
            entries *= q.num_variables  # an alternative for every variable
            if q.perturbation == "states":
                entries = max(entries, 2**q.num_variables)
        one = q.batch_size * samples
        return max(1, min(max_problems // one, MAX_ELEMENTS // (one * entries)))

    def exact(self, max_states: int) -> ExactGradient:
        """The sums are in float64, f is in the type that the estimators see."""
        q = self.q
        sizes = (q.batch_size, q.num_variables, q.num_values)
        number_of_states(q.num_variables, q.num_values, max_states)
        with torch.no_grad():
            table = state_losses(
                self.objective, sizes, max_states=max_states, dtype=q.dtype, device=q.device
            )
            losses = _wide(table)
        wide: Categorical | PairwiseBinary
        if isinstance(q, Categorical):
            leaf = _wide(q.logits).requires_grad_()
            wide = Categorical(leaf)
        else:
            leaf = _wide(q.unary).requires_grad_()
            wide = PairwiseBinary(leaf, _wide(q.pairwise))
        probs = wide.log_prob_table(max_states=max_states).exp()
        # What has no probability has no loss that matters, infinite ones included.
        impossible = probs.detach() == 0
        least = losses.masked_fill(impossible, torch.inf).amin(-1, keepdim=True)
        losses = losses.masked_fill(impossible, 0.0)
        rounding = torch.finfo(q.dtype).eps * float(losses.abs().amax())
        value = (probs * (losses - least).masked_fill(impossible, 0.0)).sum()
        (gradient,) = _gradient(value, [leaf])
        return ExactGradient(gradient.flatten(1), rounding)


class ParameterGradients(Gradients):
    """Of the mean loss of a batch, with respect to a model's parameters; one call a draw.

    All parameters are one vector: b = 1, m their number.

    Args:
        posterior: returns the distribution, computed anew.
        objective: f.
        parameters: with respect to what.

    Raises:
        TypeError, ValueError: `parameters` are no tensors that require a gradient.

    Example:
        >>> from directmax import Direct
        >>> encoder, x = torch.nn.Linear(4, 3), torch.randn(5, 4)
        >>> gradients = ParameterGradients(
        ...     lambda: Categorical(encoder(x).unsqueeze(1)),
        ...     lambda z: z[..., 0].sum(-1),
        ...     list(encoder.parameters()),
        ... )
        >>> gradients.draws(Direct(0.1), 7, None).shape  # 4·3 weights and 3 biases
        torch.Size([7, 1, 15])
    """

    def __init__(
        self,
        posterior: Callable[[], DiscreteDistribution],
        objective: Objective,
        parameters: Sequence[Tensor],
    ) -> None:
        if not callable(posterior) or isinstance(posterior, DiscreteDistribution):
            raise TypeError(
                "with parameters, q must be a function that returns the distribution, such as "
                f"lambda: Categorical(encoder(x)), got {type(posterior).__name__}"
            )
        if not isinstance(parameters, Iterable) or not getattr(parameters, "shape", (1,)):
            raise TypeError(
                "parameters must be tensors, such as list(model.parameters()), got "
                f"{shown(parameters)}"
            )
        self.parameters = list(parameters)
        for parameter in self.parameters:
            if not isinstance(parameter, Tensor) or not parameter.requires_grad:
                received = "one that does not" if isinstance(parameter, Tensor) else repr(parameter)
                raise TypeError(
                    f"parameters must be tensors that require a gradient, got {received}"
                )
        if not self.parameters:
            raise ValueError("parameters must not be empty")
        self.posterior, self.objective = posterior, objective
        self.shape = (1, sum(parameter.numel() for parameter in self.parameters))

    def distribution(self) -> DiscreteDistribution:
        """What the function returns."""
        return self.posterior()

    def _vector(self, loss: Tensor) -> Tensor:
        parts = _gradient(loss.mean(), self.parameters)
        return torch.cat([_wide(part).flatten() for part in parts])

    def draws(
        self, estimator: Estimator, count: int, generator: torch.Generator | None
    ) -> Float[Tensor, "count 1 m"]:
        """One after the other."""
        vectors = [
            self._vector(estimator(self.posterior(), self.objective, generator=generator).loss)
            for _ in range(count)
        ]
        return torch.stack(vectors).unsqueeze(1)

    def most(self, estimator: Estimator, max_problems: int) -> int:
        """So many that their vectors are small."""
        return max(1, min(max_problems, MAX_ELEMENTS // self.shape[1]))

    def exact(self, max_states: int) -> ExactGradient:
        """In the type of q."""
        q = self.posterior()
        loss = Exact(max_states=max_states)(q, self.objective).loss
        rounding = torch.finfo(q.dtype).eps * float(loss.detach().abs().max())
        return ExactGradient(self._vector(loss).unsqueeze(0), rounding)


def _gradient(loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Of the sum; zeros where the loss does not depend on an input.

    Raises:
        ValueError: a loss is NaN or infinite.
    """
    if not bool(loss.isfinite().all()):
        wrong = loss.detach()[~loss.isfinite()][0].item()
        raise ValueError(f"the objective must be finite wherever q has probability, got {wrong}")
    if not loss.requires_grad:
        return [torch.zeros_like(each) for each in inputs]
    found = torch.autograd.grad(loss.sum(), inputs, allow_unused=True)
    pairs = zip(found, inputs, strict=True)
    return [torch.zeros_like(of) if one is None else one for one, of in pairs]


def _wide(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float64)
