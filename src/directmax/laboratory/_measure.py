"""The statistics of one estimator, from streamed draws."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._validation import LARGEST, check_count, check_flag, check_number
from directmax.distributions import DEFAULT_MAX_STATES, number_of_states
from directmax.estimators import Estimator, Exact
from directmax.laboratory._gradients import Gradients
from directmax.laboratory._moments import GroupMoments, Jackknifed, Pooled, jackknife
from directmax.laboratory._results import GradientStatistics, Measured
from directmax.laboratory._timing import Cost, measure_cost

GROUPS = 20
"""Groups of draws that the jackknife leaves out one at a time."""
FEWEST_DRAWS = 4
FEWEST_SEEN = 10
"""Draws other than 0 from which on the scatter of draws says how far their mean may be off."""
MAX_PROBLEMS = 10_000
"""Problems (draws times batch) in one call of an estimator."""
REFERENCE_FACTOR = 10
"""An average as the reference has so many times the draws of the estimators."""

Share = Callable[[float], object]


@dataclass(frozen=True)
class Reference:
    """What estimators are compared with.

    Attributes:
        value: `(b, m)`, float64; None: nothing.
        name: "exact", "none", or which average.
        noise: mean over problems of the squared error to be expected of an average; else 0.
        rounding: deviations up to this are rounding.
    """

    value: Float[Tensor, "b m"] | None
    name: str
    noise: float = 0.0
    rounding: float = 0.0

    @property
    def norm(self) -> float | None:
        """√mean_b‖g*_b‖², nats."""
        return None if self.value is None else math.sqrt(_mean_square(self.value))


NO_REFERENCE = Reference(None, "none")


def exact_reference(gradients: Gradients, *, max_states: int = DEFAULT_MAX_STATES) -> Reference:
    """The enumerated gradient, in float64.

    Args:
        gradients: which gradient.
        max_states: how many states may be summed over.

    Raises:
        ValueError: more states than `max_states`.

    Example:
        >>> from directmax import Categorical
        >>> from directmax.laboratory import PotentialGradients
        >>> q = Categorical(torch.zeros(5, 1, 2))
        >>> reference = exact_reference(PotentialGradients(q, lambda z: z[..., 1].sum(-1)))
        >>> reference.name, reference.value[0]
        ('exact', tensor([-0.2500,  0.2500], dtype=torch.float64))
    """
    _check(gradients=gradients, max_states=max_states)
    q = gradients.distribution()
    if number_of_states(q.num_variables, q.num_values) > max_states:
        raise ValueError(
            f"the exact gradient is a sum over {q.num_values}^{q.num_variables} states, and at "
            f"most max_states={max_states:,}: raise it, or give reference= an estimator to "
            "average, or 'none'"
        )
    with torch.enable_grad():
        exact = gradients.exact(max_states)
    return Reference(exact.value, "exact", rounding=exact.rounding * 8)


def average_reference(
    gradients: Gradients,
    estimator: Estimator,
    num_draws: int,
    *,
    generator: torch.Generator | None = None,
    max_problems: int = MAX_PROBLEMS,
    progress: Share = lambda fraction: None,
) -> Reference:
    """The mean of many draws of an estimator, where there are too many states to enumerate.

    Args:
        gradients: which gradient.
        estimator: an unbiased one, or the one whose bias is to count as none.
        num_draws: how many, at least 4.
        generator: of the noise.
        max_problems: draws times batch in one call of the estimator.
        progress: told of the share that is done, in [0, 1].

    Raises:
        ValueError: a gradient is not finite.

    Example:
        >>> from directmax import Categorical, LocalExpectation
        >>> from directmax.laboratory import PotentialGradients
        >>> q = Categorical(torch.zeros(1, 20, 2))
        >>> gradients = PotentialGradients(q, lambda z: z[..., 1].sum(-1) ** 2)
        >>> reference = average_reference(gradients, LocalExpectation(), 100)
        >>> reference.name
        'the mean of 100 draws of LocalExpectation(num_samples=1)'
        >>> reference.noise > 0
        True
    """
    _check(gradients, estimator, num_draws=num_draws, max_problems=max_problems)
    frozen = _frozen(estimator)
    moments = _stream(
        gradients, frozen, num_draws, None, generator, max_problems, progress, "reference"
    )
    pooled = moments.pooled()
    name = f"the mean of {num_draws:,} draws of {_name(frozen)}"
    return Reference(pooled.mean, name, noise=pooled.variance / pooled.count)


def measure_gradient(
    gradients: Gradients,
    label: str,
    estimator: Estimator,
    reference: Reference,
    *,
    num_draws: int = 1000,
    confidence: float = 0.95,
    timing: bool = True,
    max_problems: int = MAX_PROBLEMS,
    generator: torch.Generator | None = None,
    progress: Share = lambda fraction: None,
) -> GradientStatistics:
    """Draw one estimator many times and compare; see `compare_gradients`.

    The estimator is copied and put into evaluation mode: its state, and yours, stays.

    Args:
        gradients: which gradient.
        label: what to call the estimator in messages and tables.
        estimator: what is measured.
        reference: what it is compared with, such as `exact_reference(gradients)`.
        num_draws: how many gradients are drawn.
        confidence: of the intervals.
        timing: whether seconds and evaluations of f are measured too.
        max_problems: draws times batch in one call of the estimator.
        generator: of the noise.
        progress: told of the share that is done, in [0, 1].

    Raises:
        ValueError: a gradient is not finite.

    Example:
        >>> from directmax import Categorical, LocalExpectation
        >>> from directmax.laboratory import PotentialGradients
        >>> q = Categorical(torch.zeros(5, 1, 2))
        >>> gradients = PotentialGradients(q, lambda z: z[..., 1].sum(-1))
        >>> exact = exact_reference(gradients)
        >>> found = measure_gradient(gradients, "local", LocalExpectation(), exact, timing=False)
        >>> found.bias.value, found.variance.value  # exact where there is one variable
        (0.0, 0.0)
    """
    _check(gradients, estimator, num_draws=num_draws, max_problems=max_problems)
    check_confidence(confidence)
    check_flag("timing", timing)
    if not isinstance(label, str):
        raise TypeError(f"label must be a string, got {type(label).__name__}")
    if not isinstance(reference, Reference):
        raise TypeError(f"reference must be a Reference, got {type(reference).__name__}")
    cost = measure_cost(gradients, estimator, confidence=confidence) if timing else None
    if isinstance(estimator, Exact):  # has no noise
        num_draws = FEWEST_DRAWS
    frozen = _frozen(estimator)
    moments = _stream(
        gradients, frozen, num_draws, reference.value, generator, max_problems, progress, label
    )
    return _statistics(label, frozen, num_draws, moments, reference, confidence, cost)


def _check(gradients: object, *estimators: object, **counts: object) -> None:
    """What the three functions take."""
    if not isinstance(gradients, Gradients):
        raise TypeError(f"gradients must be Gradients, got {type(gradients).__name__}")
    for estimator in estimators:
        if not isinstance(estimator, Estimator):
            raise TypeError(f"estimator must be an Estimator, got {type(estimator).__name__}")
    for name, count in counts.items():
        if name == "num_draws":
            check_count(name, count, FEWEST_DRAWS)
        else:
            check_count(name, count, maximum=LARGEST)


def check_confidence(value: object) -> None:
    """Refuse, as argument `confidence`, what is no number between 0 and 1."""
    if not 0 < check_number("confidence", value) < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {value}")


def _statistics(
    label: str,
    estimator: Estimator,
    num_draws: int,
    moments: GroupMoments,
    reference: Reference,
    confidence: float,
    cost: Cost | None,
) -> GradientStatistics:
    found = jackknife(moments, lambda pooled: _metrics(pooled, reference))
    interval = _Intervals(found, _student(len(moments.counts) - 1, confidence))
    norm = reference.norm
    has_norm = norm is not None
    # Where next to all draws are 0, nothing is known of the others, which may be large. So it is
    # where they are all alike but not what the estimator says that their mean is.
    rare = has_norm and num_draws > FEWEST_DRAWS
    rare = rare and _is_rare(moments, reference, estimator.unbiased)
    tested = has_norm and reference.noise == 0 and not rare
    bias = interval.root("squared_bias") if has_norm else None
    if bias is not None and rare:
        bias = Measured(bias.value, 0.0, max(bias.high, bias.value), bias.error)
    return GradientStatistics(
        label=label,
        estimator=_name(estimator),
        unbiased=estimator.unbiased,
        num_draws=num_draws,
        bias=bias,
        relative_bias=_scaled(bias, 1 / norm) if bias is not None and norm else None,
        bias_p_value=_p_value(moments, reference) if tested else None,
        variance=interval("variance", 0),
        mse=interval("mse", 0) if has_norm else None,
        cosine=interval("cosine", -1, 1) if has_norm else None,
        signal_to_noise=interval("signal_to_noise", 0),
        sparsity=interval("sparsity", 0, 1),
        seconds=None if cost is None else cost.seconds,
        evaluations=None if cost is None else cost.evaluations,
    )


def _name(estimator: Estimator) -> str:
    """Its settings, on one line."""
    return " ".join(str(estimator).split())


def _frozen(estimator: Estimator) -> Estimator:
    """A copy whose state does not change."""
    return copy.deepcopy(estimator).eval().requires_grad_(False)


def _stream(
    gradients: Gradients,
    estimator: Estimator,
    num_draws: int,
    exact: Tensor | None,
    generator: torch.Generator | None,
    max_problems: int,
    progress: Share,
    label: str,
) -> GroupMoments:
    """Draws in chunks, each forgotten when the next one comes; scalars: cosine, share of zeros."""
    groups = min(GROUPS, num_draws // 2)
    moments = GroupMoments(groups, gradients.shape, extras=2)
    most = gradients.most(estimator, max_problems)
    done = 0
    for group in range(groups):
        remaining = num_draws * (group + 1) // groups - num_draws * group // groups
        while remaining:
            count = min(most, remaining)
            with torch.enable_grad():
                draws = gradients.draws(estimator, count, generator)
            zeros = (draws == 0).all(-1)  # (c, b)
            moments.seen += (~zeros).sum(0)
            zero = zeros.double().mean(-1)  # (c,)
            scalars = torch.stack([_cosine(draws, exact), zero], -1)
            if not bool(torch.isfinite(draws).all()):
                raise ValueError(f"'{label}' has a gradient that is not finite: {_name(estimator)}")
            moments.add(group, draws, scalars)
            remaining -= count
            done += count
            progress(done / num_draws)
    return moments


def _cosine(draws: Tensor, exact: Tensor | None) -> Tensor:
    """Of every draw with the exact gradient, `(c,)`; 0 where one of them is 0."""
    if exact is None:
        return draws.new_zeros(len(draws))
    flat = draws.flatten(1)
    lengths = flat.norm(dim=1) * exact.norm()
    return torch.where(lengths > 0, flat @ exact.flatten() / lengths, 0.0)


def _metrics(pooled: Pooled, reference: Reference) -> dict[str, float]:
    chance = pooled.variance / pooled.count
    signal = max(0.0, _mean_square(pooled.mean) - chance)
    cosine, sparsity = pooled.extras.tolist()
    metrics = {
        "variance": pooled.variance,
        "signal_to_noise": signal / pooled.variance if pooled.variance else _infinite(signal),
        "sparsity": sparsity,
    }
    if reference.value is not None:
        squared_bias = _mean_square(pooled.mean - reference.value) - chance - reference.noise
        metrics |= {
            "squared_bias": squared_bias,
            "mse": squared_bias + pooled.variance,
            "cosine": cosine,
        }
    return metrics


def _infinite(signal: float) -> float:
    return math.inf if signal else 0.0


def _mean_square(vectors: Tensor) -> float:
    return float(vectors.square().sum(-1).mean())


def _is_rare(moments: GroupMoments, reference: Reference, unbiased: bool) -> bool:
    """Whether a problem that has a gradient has shown fewer than `FEWEST_SEEN` that are not 0.

    Of an unbiased estimator also: that differ, while their mean is another.
    """
    if reference.value is None:
        return False
    has_one = reference.value.square().sum(-1).sqrt() > reference.rounding
    few = moments.seen < FEWEST_SEEN
    if unbiased:
        off = (moments.pooled().mean - reference.value).square().sum(-1).sqrt()
        few |= (moments.moved < FEWEST_SEEN) & (off > reference.rounding)
    return bool((few & has_one).any())


def _p_value(moments: GroupMoments, reference: Reference) -> float | None:
    if reference.value is None:
        return None
    return moments.sign_test(reference.value, reference.rounding)


def _student(freedom: int, confidence: float) -> float:
    """How many standard errors the interval is wide to each side."""
    from scipy.special import stdtrit  # slow to import

    return float(stdtrit(freedom, (1 + confidence) / 2))


@dataclass(frozen=True)
class _Intervals:
    """Student's intervals around jackknifed values."""

    found: Jackknifed
    width: float

    def __call__(self, name: str, least: float, most: float = math.inf) -> Measured:
        """A value between two bounds."""
        value, error = self.found.values[name], self.found.errors[name]
        if not math.isfinite(value) or math.isnan(error):
            return Measured(value, value, value)
        low, high = value - self.width * error, value + self.width * error
        value, low, high = (min(max(each, least), most) for each in (value, low, high))
        return Measured(value, low, high, error)

    def root(self, name: str) -> Measured:
        """The root of a value; below 0 it is 0, and the interval is that around 0."""
        square = self(name, 0)
        value, low = math.sqrt(square.value), math.sqrt(square.low)
        high = math.sqrt(square.value + self.width * (square.error or 0.0))
        error = square.error / (2 * value) if square.error is not None and value else None
        return Measured(value, low, high, error)


def _scaled(measured: Measured, factor: float) -> Measured:
    error = None if measured.error is None else measured.error * factor
    return Measured(
        measured.value * factor, measured.low * factor, measured.high * factor, error=error
    )
