"""What every estimator takes and returns."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._randomness import check_generator
from directmax._transforms import in_transforms, recomputing
from directmax._validation import LARGEST, check_callable, check_count, check_positive
from directmax.distributions import Categorical, DiscreteDistribution, Gibbs, PairwiseBinary
from directmax.objectives import (
    Objective,
    evaluate,
    real,
    single_change_losses,
    state_losses,
    tabled,
)
from directmax.schedules import Schedule, at


@dataclass(frozen=True)
class Estimate:
    """An estimate of E_q[f] that can be differentiated.

    Attributes:
        loss: `(b,)`, nats, float32 or wider; with GumbelSoftmax, of the relaxed objective. Its
            gradient with respect to the potentials of q is the estimator's, with respect to
            everything inside the objective the ordinary one.
        sample: the assignments that were used, `(num_samples, b, n, k)`, without gradient:
            one-hot, except relaxed with GumbelSoftmax; two a draw with Arm and DisArm; None where
            none was drawn.
        kl: `(b,)`, nats: where the assignments are not those of q but of a refined posterior, its
            KL to uniform, without gradient; else None.

    Example:
        >>> from directmax import Categorical, Direct
        >>> q = Categorical(torch.zeros(5, 1, 3, requires_grad=True))
        >>> estimate = Direct(num_samples=2)(q, lambda z: z[..., 0].sum(-1))
        >>> estimate.loss.shape, estimate.sample.shape
        (torch.Size([5]), torch.Size([2, 5, 1, 3]))
    """

    loss: Float[Tensor, " b"]
    sample: Float[Tensor, "s b n k"] | None
    kl: Float[Tensor, " b"] | None = None


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
    num_samples: int
    __call__: Callable[..., Estimate]  # of a Module anything, which type checkers would keep

    def __init__(self) -> None:
        super().__init__()
        # A tensor, always on the CPU: torch.compile would compile a number in, anew at every call.
        # Not one of inference mode or the meta device, where the estimator may be made.
        with torch.inference_mode(False):
            self._step = torch.zeros((), dtype=torch.int64, device="cpu")

    @property
    def step(self) -> int:
        """Number of calls made in training mode."""
        return int(self._step)

    @step.setter
    def step(self, value: int) -> None:
        self._step.fill_(check_count("step", value, 0, maximum=LARGEST))

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
        check_callable("objective", objective)
        check_generator(generator)
        again = recomputing()
        if again and (generator is not None or (self.training and self._has_state())):
            raise TypeError(
                f"{type(self).__name__} cannot be computed again in the backward pass, as under "
                "torch.utils.checkpoint, with a generator or a state (a schedule, a baseline, "
                "parameters): leave the estimator out of what is checkpointed"
            )
        estimate = self._estimate(q, objective, generator)
        if q.validate and not (torch.compiler.is_compiling() or in_transforms()):
            _check_losses(estimate.loss)
        if self.training and not again:
            self._count()
        return estimate

    def _count(self) -> None:
        """One step more. torch.func.grad lets nobody write to what was made outside of it."""
        if torch.compiler.is_compiling() or not in_transforms():
            self._step.add_(1)
            return
        try:
            self._step.add_(1)
        except RuntimeError:
            if self._has_state():
                raise TypeError(
                    f"a schedule of {type(self).__name__} does not work inside torch.func "
                    "transforms, where steps cannot be counted: give a number, or use .eval()"
                ) from None

    def rsample(
        self, q: DiscreteDistribution, *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "s b n k"]:
        """z with a gradient: a layer that any network may follow.

        In place of `F.gumbel_softmax` and of layers that argue by ∂f/∂z: the backward pass takes
        what arrives at z for the derivative of f, and passes the estimator's gradient on to the
        potentials. Average the loss, or z, over the draws, the first axis. One-hot, except relaxed
        with GumbelSoftmax; of a structure's elements, `z[..., 1]`. Counts as a call.

        Args:
            q: the distribution.
            generator: source of randomness; torch's default one when None.

        Raises:
            TypeError: the estimator asks f itself for losses, so that ∂f/∂z is not enough.

        Example:
            >>> from directmax import ImplicitMLE, PerturbedArgmax
            >>> from directmax.structures import Subsets
            >>> weights = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
            >>> q = PerturbedArgmax(weights, Subsets(3, 2), noise="none")
            >>> z = ImplicitMLE(epsilon=2.0).rsample(q)[..., 1]
            >>> z
            tensor([[[0., 1., 1.]]], grad_fn=<SelectBackward0>)
            >>> z[..., 2].sum().backward()  # the third costs 1: with ε = 2 the first is better
            >>> weights.grad
            tensor([[-0.5000,  0.0000,  0.5000]])
        """
        if not isinstance(q, DiscreteDistribution):
            raise TypeError(
                f"q must be a distribution, such as Categorical(logits), got {type(q).__name__}"
            )
        z = self._rsample(q, generator)
        if self.training:
            self._count()
        return z

    def _rsample(self, q: DiscreteDistribution, generator: torch.Generator | None) -> Tensor:
        raise TypeError(
            f"{type(self).__name__} needs f as a function, expected an estimator that argues by "
            "∂f/∂z: ImplicitMLE, NoiseScore, GumbelSoftmax, StraightThrough, ReinMax or GumbelRao"
        )

    def _now(self, value: float | Schedule) -> float:
        """The number itself, or a schedule's value at this step, which is else not read."""
        return at(value, self.step) if callable(value) else value

    def _has_state(self) -> bool:
        """Whether a call depends on earlier ones: by a schedule, here."""
        return any(callable(vars(self).get(name)) for name in ("epsilon", "scale", "temperature"))

    @abstractmethod
    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate: ...

    def evaluations(self, num_variables: int, num_values: int) -> int:
        """Assignments for which a call computes f, for each problem; derivatives not counted.

        Of a sample one, where a class needs no more: m(k−1)+1 where the changes of single variables
        are looked at (k in all for n = 1; m = n unless the estimator's `num_variables` is less),
        (moves + 1) times that with LocalSearch, n + 1 with ClampedArgmax, two with Arm and DisArm,
        three with Rebar and Relax; in all k^n with Exact.

        Args:
            num_variables: n.
            num_values: k.

        Raises:
            TypeError, ValueError: no positive integers, or k^n beyond 2^63 with Exact.

        Example:
            >>> from directmax import Direct, Exact
            >>> Direct().evaluations(15, 2), Exact().evaluations(15, 2)
            (16, 32768)
        """
        return self._evaluations(
            check_count("num_variables", num_variables), check_count("num_values", num_values)
        )

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        return self.num_samples

    def extra_repr(self) -> str:
        """The settings, for `repr`: what the constructor takes and keeps under its name."""
        names = inspect.signature(type(self).__init__).parameters
        values = {name: vars(self)[name] for name in names if name in vars(self)}
        return ", ".join(f"{name}={value!r}" for name, value in values.items())

    def latest(self) -> dict[str, float]:
        """Numbers worth a curve, such as ε or τ as used by the latest call; reads tensors."""
        return {}

    def get_extra_state(self) -> Tensor:
        """The step, as a tensor, so that it can be saved without pickle."""
        return self._step.clone()

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the step."""
        self.step = int(state)


def _check_losses(loss: Tensor) -> None:
    """Refuse NaN and infinities."""
    if loss.is_meta or bool(loss.isfinite().all()):
        return
    problem = int((~loss.isfinite()).nonzero()[0])
    raise ValueError(
        "the objective must not be NaN, nor, at assignments that q draws, infinite or so large "
        f"that its square is: that of problem {problem} is, or that of a change of its assignment"
    )


def check_scheduled(name: str, value: float | Schedule) -> float | Schedule:
    """A positive number, or a schedule that starts with one."""
    first = check_positive(name, at(value, 0))
    return value if callable(value) else first


def check_num_samples(value: int) -> int:
    """A sample count of at least one."""
    return check_count("num_samples", value)


def instead_for(q: DiscreteDistribution, hint: str) -> str:
    """What a refusal of q advises: the hint, or what takes a Gibbs, as most do not."""
    if isinstance(q, Gibbs):
        return "; use ScoreFunction or Exact, or a PerturbedArgmax on its structure"
    return hint


def check_independent(name: str, q: DiscreteDistribution, hint: str) -> Categorical:
    """q, if its variables are independent.

    Raises:
        TypeError: they are not; with the hint, or what takes a Gibbs.
    """
    if not isinstance(q, Categorical):
        raise TypeError(
            f"{name} needs independent variables (Categorical), got {type(q).__name__}"
            f"{instead_for(q, hint)}"
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
    return checked_losses(q, *_tables(q, objective, z))


def checked_losses(
    q: DiscreteDistribution, losses: Tensor, changes: Tensor
) -> tuple[Float[Tensor, " b"], Float[Tensor, "s_or_1 b n k"]]:
    """Real numbers, ∞ for what q forbids, and NaN where the loss of a change is none."""
    losses, changes = real(losses, q.dtype), without_forbidden(q, real(changes, q.dtype))
    if q.validate:  # a change of which the loss is no number would choose without a word
        losses = losses.masked_fill(changes.isnan().any(-1).any(-1).any(0), torch.nan)
    return losses, changes


def _tables(q: DiscreteDistribution, objective: Objective, z: Tensor) -> tuple[Tensor, Tensor]:
    if q.num_variables == 1 and hasattr(objective, "losses_and_table"):
        losses, table = objective.losses_and_table(average(z).squeeze(1))
        tabled("losses_and_table", losses, (q.batch_size,), "problems")
        tabled("losses_and_table", table, (q.batch_size, q.num_values), "problems, values")
        return losses, table[None, :, None, :]
    if q.num_variables == 1 and hasattr(objective, "state_losses"):
        shape = (q.batch_size, 1, q.num_values)
        table = state_losses(objective, shape, max_states=q.num_values)  # (b, k)
        weights = average(z).squeeze(1)  # (b, k)
        drawn = torch.where(weights > 0, table, 0.0) if getattr(q, "forbids", True) else table
        return (drawn * weights).sum(-1), table.detach()[None, :, None, :]
    if q.num_variables > 1 and hasattr(objective, "losses_and_changes"):
        losses, changes = objective.losses_and_changes(z.clone())
        tabled("losses_and_changes", losses, tuple(z.shape[:-2]), "samples, problems")
        axes = "samples, problems, variables, values"
        tabled("losses_and_changes", changes, tuple(z.shape), axes)
        return average(losses), changes
    losses = evaluate(objective, z)
    if q.num_variables == 1:  # the changes are all its values, whatever the sample
        return average(losses), single_change_losses(objective, z[:1], losses=losses[:1].detach())
    return average(losses), single_change_losses(objective, z, losses=losses.detach())


def without_forbidden(q: DiscreteDistribution, changes: Tensor) -> Tensor:
    """f̃ with ∞ for the values that variables, independent or coupled, may not have."""
    if not isinstance(q, (Categorical, PairwiseBinary)) or not q.forbids:
        return changes
    potentials = q.logits if isinstance(q, Categorical) else q.unary
    return changes.masked_fill(potentials.detach() == -torch.inf, torch.inf)


def average(samples: Float[Tensor, s * shape]) -> Float[Tensor, "*shape"]:
    """The mean over samples; one operation less where there is one."""
    return samples.squeeze(0) if samples.shape[0] == 1 else samples.mean(0)
