"""What every estimator takes and returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._transforms import in_transforms
from directmax._validation import check_count, check_positive
from directmax.distributions import Categorical, DiscreteDistribution
from directmax.objectives import Objective, evaluate, single_change_losses, state_losses
from directmax.schedules import Schedule, at


@dataclass(frozen=True)
class Estimate:
    """An estimate of E_q[f] that can be differentiated.

    Attributes:
        loss: `(b,)`, nats; with GumbelSoftmax, of the relaxed objective. Its gradient with respect
            to the potentials of q is the estimator's, with respect to everything inside the
            objective the ordinary one.
        sample: the assignments that were used, `(num_samples, b, n, k)`, without gradient:
            one-hot, except relaxed with GumbelSoftmax; two a draw with Arm and DisArm; None where
            none was drawn.

    Example:
        >>> from directmax import Categorical, Direct
        >>> q = Categorical(torch.zeros(5, 1, 3, requires_grad=True))
        >>> estimate = Direct(num_samples=2)(q, lambda z: z[..., 0].sum(-1))
        >>> estimate.loss.shape, estimate.sample.shape
        (torch.Size([5]), torch.Size([2, 5, 1, 3]))
    """

    loss: Float[Tensor, " b"]
    sample: Float[Tensor, "s b n k"] | None


class Estimator(nn.Module, ABC):
    """Base class: `estimator(q, objective, generator=g)` returns an `Estimate`.

    An estimator is a module, because some have state (a schedule's step; in other families
    baselines or networks) that belongs in a checkpoint. In training mode (`.train()`, the
    default) every call advances the step by one; in `.eval()` mode the step stays.

    Attributes:
        unbiased: whether the expected gradient is the gradient of the expectation.
        needs_derivative: whether f must be differentiable in z, and so be defined off the vertices.
        needs_binary: whether it is for binary variables (k = 2) only.
        step: number of calls made in training mode; schedules are evaluated at it.

    Example:
        >>> from directmax import Categorical, Direct, Exact
        >>> estimators = [Direct(epsilon=0.1), Exact()]
        >>> [estimator.unbiased for estimator in estimators]
        [False, True]
        >>> q = Categorical(torch.zeros(1, 2, 2))
        >>> estimate = estimators[1](q, lambda z: z[..., 1].sum(-1))
        >>> estimate.loss, estimators[1].step
        (tensor([1.]), 1)
    """

    unbiased: ClassVar[bool]
    needs_derivative: ClassVar[bool] = False
    needs_binary: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        # A tensor, always on the CPU: torch.compile would compile a number in, anew at every call.
        self._step = torch.zeros((), dtype=torch.int64)

    @property
    def step(self) -> int:
        """Number of calls made in training mode."""
        return int(self._step)

    @step.setter
    def step(self, value: int) -> None:
        self._step.fill_(value)

    def forward(
        self,
        q: DiscreteDistribution,
        objective: Objective,
        *,
        generator: torch.Generator | None = None,
    ) -> Estimate:
        """Estimate E_q[f].

        Args:
            q: the distribution.
            objective: f, from one-hot `(*s, b, n, k)` to losses `(*s, b)` in nats.
            generator: source of randomness; torch's default one when None.

        Raises:
            TypeError, ValueError: `q` is no distribution, `objective` no callable, or its result
                has a wrong shape.
        """
        if not isinstance(q, DiscreteDistribution):
            raise TypeError(
                f"q must be a distribution, such as Categorical(logits), got {type(q).__name__}"
            )
        if not callable(objective):
            raise TypeError(f"objective must be callable, got {type(objective).__name__}")
        estimate = self._estimate(q, objective, generator)
        if self.training:
            self._step += 1
        return estimate

    @abstractmethod
    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate: ...

    @abstractmethod
    def evaluations(self, num_variables: int, num_values: int) -> int:
        """Assignments for which a call computes f, for each problem; derivatives not counted.

        Example:
            >>> from directmax import Direct, Exact
            >>> Direct().evaluations(15, 2), Exact().evaluations(15, 2)
            (16, 32768)
        """

    def latest(self) -> dict[str, float]:
        """Numbers worth a curve, such as ε or τ as used by the latest call; reads tensors."""
        return {}

    def get_extra_state(self) -> Tensor:
        """The step, as a tensor, so that it can be saved without pickle."""
        return self._step.clone()

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the step."""
        self.step = int(state)


def check_scheduled(name: str, value: float | Schedule) -> float | Schedule:
    """A positive number, or a schedule that starts with one."""
    check_positive(name, at(value, 0))
    return value


def check_num_samples(value: int) -> int:
    """A sample count of at least one."""
    return check_count("num_samples", value)


def check_independent(name: str, q: DiscreteDistribution, hint: str) -> Categorical:
    """q, if its variables are independent.

    Raises:
        TypeError: they are not.
    """
    if not isinstance(q, Categorical):
        raise TypeError(
            f"{name} needs independent variables (Categorical), got {type(q).__name__}{hint}"
        )
    return q


def losses_through(name: str, objective: Objective, z: Tensor, checked: bool) -> Tensor:
    """f(z) for an estimator whose gradient passes through z.

    Args:
        name: the estimator's, for the message.
        objective: f.
        z: with gradient.
        checked: when False, look whether f depends on z: that costs a backward pass.

    Raises:
        TypeError: the losses do not depend on z, so that q would get no gradient.
    """
    losses = evaluate(objective, z)
    if checked or not z.requires_grad or torch.compiler.is_compiling() or in_transforms():
        return losses
    slope = None
    if losses.requires_grad:
        (slope,) = torch.autograd.grad(losses.sum(), z, retain_graph=True, allow_unused=True)
    if slope is None and losses.numel():
        raise TypeError(f"{name} needs an f that is differentiable in z")
    return losses


def table_evaluations(num_samples: int, num_variables: int, num_values: int) -> int:
    """n(k−1)+1 a sample: itself and its single-variable changes. For n = 1, k serve all samples."""
    if num_variables == 1:
        return num_values
    return num_samples * (num_variables * (num_values - 1) + 1)


def losses_at(
    q: DiscreteDistribution, objective: Objective, z: Float[Tensor, "s b n k"]
) -> tuple[Float[Tensor, " b"], Float[Tensor, "s_or_1 b n k"]]:
    """mean_s f(z), differentiable, and the table f̃ of single-variable changes, without gradient.

    For n = 1 the table is the same for every sample and has one leading entry for all of them; an
    objective with a state table is then asked once for both.
    """
    if q.num_variables == 1 and hasattr(objective, "losses_and_table"):
        losses, table = objective.losses_and_table(average(z).squeeze(1))
        return losses, table[None, :, None, :]
    if q.num_variables == 1 and hasattr(objective, "state_losses"):
        shape = (q.batch_size, 1, q.num_values)
        table = state_losses(objective, shape, max_states=q.num_values)  # (b, k)
        weights = average(z).squeeze(1)  # (b, k)
        return (table * weights).sum(-1), table.detach()[None, :, None, :]
    if q.num_variables > 1 and hasattr(objective, "losses_and_changes"):
        losses, changes = objective.losses_and_changes(z)
        return average(losses), changes
    losses = evaluate(objective, z)
    if q.num_variables == 1:  # the changes are all its values, whatever the sample
        return average(losses), single_change_losses(objective, z[:1], losses=losses[:1].detach())
    return average(losses), single_change_losses(objective, z, losses=losses.detach())


def average(samples: Float[Tensor, s * shape]) -> Float[Tensor, "*shape"]:
    """The mean over samples; one operation less where there is one."""
    return samples.squeeze(0) if samples.shape[0] == 1 else samples.mean(0)
