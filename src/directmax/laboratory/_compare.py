"""Compare estimators with the exact gradient, for any model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from directmax._choices import check_choice
from directmax._validation import LARGEST, check_callable, check_count, check_flag
from directmax.distributions import DEFAULT_MAX_STATES, DiscreteDistribution
from directmax.estimators import Estimator
from directmax.laboratory._gradients import Gradients, ParameterGradients, PotentialGradients
from directmax.laboratory._measure import (
    FEWEST_DRAWS,
    MAX_PROBLEMS,
    NO_REFERENCE,
    REFERENCE_FACTOR,
    Reference,
    average_reference,
    check_confidence,
    exact_reference,
    measure_gradient,
)
from directmax.laboratory._results import GradientComparison, GradientStatistics
from directmax.objectives import Objective

Progress = Callable[[str, float], object]


def compare_gradients(
    q: DiscreteDistribution | Callable[[], DiscreteDistribution],
    objective: Objective,
    estimators: Mapping[str, Estimator],
    *,
    parameters: Sequence[Tensor] | None = None,
    num_draws: int = 1000,
    reference: Literal["exact", "none"] | Estimator = "exact",
    max_states: int = DEFAULT_MAX_STATES,
    confidence: float = 0.95,
    timing: bool = True,
    max_problems: int = MAX_PROBLEMS,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
) -> GradientComparison:
    r"""Draw estimators many times: bias, variance and cost, with confidence intervals.

    The gradient is that of E_q[f] with respect to the potentials of the single variables, for every
    problem of the batch; with `parameters` that of the batch's mean loss with respect to a model's
    weights. What is measured is said at `GradientStatistics`, how at `GradientComparison`.

    Args:
        q: the distribution; with `parameters` a function that computes it anew.
        objective: f, from one-hot `(*s, b, n, k)` to losses `(*s, b)` in nats.
        estimators: what to compare, by any names.
        parameters: tensors that require a gradient, such as `list(model.parameters())`.
        num_draws: draws of every estimator, at least 4.
        reference: "exact", by enumeration; "none"; or an unbiased estimator, see
            `GradientComparison`.
        max_states: the largest k^n to enumerate.
        confidence: of the intervals.
        timing: also measure seconds and evaluations of f.
        max_problems: draws times batch in one call; bounds memory. The draws depend on it.
        generator: source of randomness, on q's device; torch's default one when None.
        progress: called with a name and the share that is done.

    Raises:
        TypeError: an argument of the wrong type, or an estimator that cannot be used with q.
        ValueError: too many states, a number out of range, a biased reference, a gradient that is
            not finite.

    Example:
        >>> import torch
        >>> from directmax import Categorical, Direct
        >>> q, cost = Categorical(torch.zeros(5, 1, 3)), torch.tensor([0.0, 1.0, 2.0])
        >>> objective = lambda z: (z * cost).sum((-2, -1))
        >>> compare_gradients(q, objective, {"ε = 1": Direct(1.0)})["ε = 1"].bias.low > 0.05
        True

    Reference: Lorberbom et al. 2019, figure 1; the intervals and the other columns are additions.
    """
    check_flag("timing", timing)
    check_callable("progress", progress, optional=True)
    _check(objective, estimators, num_draws, reference, max_states, confidence, max_problems)
    gradients = _gradients(q, objective, parameters)
    draws = _Draws(gradients, num_draws, max_problems, generator, progress)
    target = draws.reference(reference, max_states)
    rows = tuple(draws.measure(*each, target, confidence, timing) for each in estimators.items())
    problems, entries = gradients.shape
    return GradientComparison(rows, target.name, target.norm, problems, entries, confidence)


def _gradients(q: object, objective: Objective, parameters: Sequence[Tensor] | None) -> Gradients:
    """Which gradient is measured."""
    if parameters is not None:
        return ParameterGradients(q, objective, parameters)  # type: ignore[arg-type]
    if callable(q):
        raise TypeError(
            "q must be a distribution; a function that returns one needs parameters=[...]"
        )
    return PotentialGradients(q, objective)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Draws:
    """How draws are made."""

    gradients: Gradients
    count: int
    max_problems: int
    generator: torch.Generator | None
    progress: Progress | None

    def _report(self, label: str) -> Callable[[float], object]:
        return lambda fraction: self.progress(label, fraction) if self.progress else None

    def reference(self, choice: str | Estimator, max_states: int) -> Reference:
        """What estimators are compared with."""
        if choice == "exact":
            return exact_reference(self.gradients, max_states=max_states)
        if not isinstance(choice, Estimator):
            return NO_REFERENCE
        return average_reference(
            self.gradients,
            choice,
            REFERENCE_FACTOR * self.count,
            generator=self.generator,
            max_problems=self.max_problems,
            progress=self._report("reference"),
        )

    def measure(
        self, label: str, estimator: Estimator, target: Reference, confidence: float, timing: bool
    ) -> GradientStatistics:
        """One row."""
        return measure_gradient(
            self.gradients,
            label,
            estimator,
            target,
            num_draws=self.count,
            confidence=confidence,
            timing=timing,
            max_problems=self.max_problems,
            generator=self.generator,
            progress=self._report(label),
        )


def _check(
    objective: object,
    estimators: object,
    num_draws: int,
    reference: object,
    max_states: int,
    confidence: float,
    max_problems: int,
) -> None:
    check_callable("objective", objective)
    if not isinstance(estimators, Mapping):
        raise TypeError(
            "estimators must be a mapping from names to estimators, such as "
            f"{{'direct': Direct()}}, got {type(estimators).__name__}"
        )
    if not estimators:
        raise ValueError("estimators must name at least one estimator, got none")
    for label, estimator in estimators.items():
        if not isinstance(label, str) or not isinstance(estimator, Estimator):
            raise TypeError(
                "estimators must be a mapping from names to estimators, got "
                f"{label!r}: {type(estimator).__name__}"
            )
    check_count("num_draws", num_draws, minimum=FEWEST_DRAWS)
    check_count("max_states", max_states, maximum=LARGEST)
    check_count("max_problems", max_problems, maximum=LARGEST)
    check_confidence(confidence)
    if isinstance(reference, str):
        check_choice("reference", reference, ("exact", "none"))
    elif not isinstance(reference, Estimator):
        raise TypeError(
            f"reference must be 'exact', 'none' or an estimator, got {type(reference).__name__}"
        )
    elif not reference.unbiased:
        raise ValueError(
            "reference must be an unbiased estimator, as its mean stands for the gradient, such as "
            f"LocalExpectation, ClampedArgmax or ScoreFunction, got {reference}"
        )
