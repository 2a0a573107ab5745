"""Compare estimators with the exact gradient, for any model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from directmax._choices import check_choice
from directmax._validation import check_count
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
    exact_reference,
    measure_gradient,
)
from directmax.laboratory._results import GradientComparison
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

    The gradient is that of E_q[f] with respect to the potentials of the single variables (`logits`
    of a `Categorical`, `unary` of a `PairwiseBinary`), for every problem of the batch. Many draws
    are made by one call, with copies of the problems. So an estimator that looks at other problems
    of the batch sees more of them than in training.

    With `parameters` it is that of the mean loss of the batch with respect to a model's weights,
    one call and one backward pass a draw; `q` is then a function that computes the distribution
    anew.

    Draws are streamed: memory holds one chunk of them, and means of 20 groups of draws. Intervals
    are Student's, from the jackknife over the groups. Estimators are copied, and drawn in
    evaluation mode: train what they learn before. Time and evaluations of f are those of a plain
    call in training mode. What is measured is defined at `GradientStatistics`.

    For coupled variables with noise on the single variables the samples are not those of q, the
    Gibbs distribution, but the reference is the gradient of E_q[f]. An estimator that is unbiased
    for the samples' distribution then shows a bias.

    Args:
        q: the distribution; with `parameters` a function that returns it.
        objective: f, from one-hot `(*s, b, n, k)` to losses `(*s, b)` in nats.
        estimators: what to compare, by any names.
        parameters: tensors that require a gradient, such as `list(model.parameters())`.
        num_draws: draws of every estimator, at least 4.
        reference: "exact", by enumeration; "none"; or an estimator whose mean over ten times
            `num_draws` is taken, for problems too large to enumerate. The noise of that mean is
            subtracted from the bias, and is not in the intervals.
        max_states: the largest k^n to enumerate.
        confidence: of the intervals.
        timing: also measure seconds and evaluations of f.
        max_problems: draws times batch in one call; bounds memory. The draws depend on it.
        generator: source of randomness, on q's device; torch's default one when None.
        progress: told of the name and the share that is done.

    Raises:
        TypeError: an argument of the wrong type, or an estimator that cannot be used with q.
        ValueError: too many states, a number out of range, a gradient that is not finite.

    Example:
        >>> import torch
        >>> from directmax import Categorical, Direct, LocalExpectation
        >>> q = Categorical(torch.zeros(5, 1, 3))
        >>> cost = torch.tensor([0.0, 1.0, 2.0])
        >>> result = compare_gradients(
        ...     q,
        ...     lambda z: (z * cost).sum((-2, -1)),
        ...     {"ε = 1": Direct(1.0), "exact in one": LocalExpectation()},
        ...     generator=torch.Generator().manual_seed(0),
        ... )
        >>> result["ε = 1"].bias.low > 0.05, result["exact in one"].variance.value
        (True, 0.0)

    Reference: Lorberbom et al. 2019, figure 1; the intervals and the other columns are additions.
    """
    _check(objective, estimators, num_draws, reference, max_states, confidence, max_problems)
    gradients: Gradients
    if parameters is None:
        if callable(q):
            raise TypeError(
                "q must be a distribution; a function that returns one needs parameters=[...]"
            )
        gradients = PotentialGradients(q, objective)
    else:
        gradients = ParameterGradients(q, objective, parameters)  # type: ignore[arg-type]

    def told(label: str) -> Callable[[float], object]:
        return lambda share: progress(label, share) if progress else None

    target: Reference
    if reference == "exact":
        target = exact_reference(gradients, max_states=max_states)
    elif isinstance(reference, Estimator):
        target = average_reference(
            gradients,
            reference,
            REFERENCE_FACTOR * num_draws,
            generator=generator,
            max_problems=max_problems,
            progress=told("reference"),
        )
    else:
        target = NO_REFERENCE
    rows = [
        measure_gradient(
            gradients,
            label,
            estimator,
            target,
            num_draws=num_draws,
            confidence=confidence,
            timing=timing,
            max_problems=max_problems,
            generator=generator,
            progress=told(label),
        )
        for label, estimator in estimators.items()
    ]
    return GradientComparison(
        rows=tuple(rows),
        reference=target.name,
        norm=target.norm,
        num_problems=gradients.shape[0],
        num_entries=gradients.shape[1],
        confidence=confidence,
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
    if not callable(objective):
        raise TypeError(f"objective must be callable, got {type(objective).__name__}")
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
    check_count("max_states", max_states)
    check_count("max_problems", max_problems)
    if isinstance(confidence, bool) or not isinstance(confidence, int | float):
        raise TypeError(f"confidence must be a number between 0 and 1, got {confidence!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    if isinstance(reference, str):
        check_choice("reference", reference, ("exact", "none"))
    elif not isinstance(reference, Estimator):
        raise TypeError(
            f"reference must be 'exact', 'none' or an estimator, got {type(reference).__name__}"
        )
