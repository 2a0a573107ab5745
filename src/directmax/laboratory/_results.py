"""What a comparison of estimators finds, as data and as a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measured:
    """A value with its confidence interval.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end.
        error: the standard error; None where there is none on this scale (the root of 0, medians).

    Example:
        >>> str(Measured(0.5, 0.49, 0.51))
        '0.5 ±0.01'
    """

    value: float
    low: float
    high: float
    error: float | None = None

    def __str__(self) -> str:
        if not self.high - self.low > 1e-6 * abs(self.value):
            return _short(self.value)
        if self.low == 0:  # cannot be told from 0
            return f"≤ {_short(self.high, 2)}"
        return f"{_short(self.value)} ±{_short((self.high - self.low) / 2, 1)}"

    def to_dict(self) -> dict[str, float | None]:
        """As a JSON-ready dictionary; what is infinite or no number becomes None."""
        return {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in vars(self).items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, float | None]) -> Measured:
        """From such a dictionary; None becomes infinite, the only such value there is."""
        ends = {name: math.inf if values[name] is None else values[name] for name in _ENDS}
        return cls(**ends, error=values["error"])  # type: ignore[arg-type]


_ENDS = ("value", "low", "high")


@dataclass(frozen=True)
class GradientStatistics:
    r"""One estimator, compared with the exact gradient.

    g_b is the gradient for problem b in one draw, μ_b = E g_b, g*_b the exact gradient; mean_b is
    the mean over problems, N the number of draws. Losses are in nats and potentials have no unit,
    so gradients are in nats. Without a reference the entries that need g* are None.

    Attributes:
        label: what the estimator was called.
        estimator: its settings.
        unbiased: whether it says that it is unbiased.
        num_draws: N.
        bias: √mean_b‖μ_b − g*_b‖², nats. The mean of N draws is off by chance as well; that part,
            variance/N, is subtracted under the root, and what falls below 0 is 0.
        relative_bias: bias / √mean_b‖g*_b‖².
        bias_p_value: how probable a mean as far from g* is for an unbiased estimator, by random
            signs of the deviations of groups of draws; at least 1/10,000. None where the reference
            is itself an average, and where some problem has shown fewer than 10 draws other than 0:
            then too little is known of rare ones, and the interval of the bias begins at 0.
        variance: mean_b E‖g_b − μ_b‖², nats²: the trace of the covariance matrix.
        mse: mean_b E‖g_b − g*_b‖² = bias² + variance, nats².
        cosine: mean cosine between g and g*, each the vector of the whole batch; 0 where g is 0.
        signal_to_noise: mean_b‖μ_b‖² / variance, the part of chance, variance/N, subtracted above;
            infinite without variance.
        sparsity: the share of pairs of draw and problem in which g_b is exactly 0.
        seconds: the median time of a call for the whole batch in training mode with its backward
            pass; None where it was not timed.
        evaluations: for how many assignments of a problem f was computed in such a call; tables
            count their distinct entries. None where it was not timed.

    Example:
        >>> import torch
        >>> from directmax import Categorical, LocalExpectation, compare_gradients
        >>> q, estimator = Categorical(torch.zeros(1, 1, 2)), LocalExpectation()
        >>> result = compare_gradients(q, lambda z: z[..., 0, 1], {"local": estimator})
        >>> result["local"].mse.value, result["local"].evaluations  # the sample and the other value
        (0.0, 2)
    """

    label: str
    estimator: str
    unbiased: bool
    num_draws: int
    bias: Measured | None
    relative_bias: Measured | None
    bias_p_value: float | None
    variance: Measured
    mse: Measured | None
    cosine: Measured | None
    signal_to_noise: Measured
    sparsity: Measured
    seconds: Measured | None
    evaluations: int | None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        return {
            name: value.to_dict() if isinstance(value, Measured) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GradientStatistics:
        """From such a dictionary."""
        entries: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            value = values[field.name]
            entries[field.name] = Measured.from_dict(value) if isinstance(value, dict) else value
        return cls(**entries)


@dataclass(frozen=True, repr=False)
class GradientComparison:
    """Estimators of one gradient, side by side; how `compare_gradients` measures them.

    Draws with respect to potentials (`logits` of a `Categorical`, `unary` of a `PairwiseBinary`)
    are made by one call with copies of the problems, so an estimator that looks at other problems
    of the batch sees more of them than in training. Those with respect to a model's parameters take
    one call and one backward pass each. They are streamed: memory holds one chunk of them, and
    means of 20 groups of draws. Intervals are Student's, from the jackknife over the groups.
    Estimators are copied, and drawn in evaluation mode: train what they learn before. Time and
    evaluations of f are those of a plain call in training mode.

    An estimator as reference stands for problems too large to enumerate: its mean over ten times
    the draws is taken. The noise of that mean is subtracted from the bias, and is not in the
    intervals. For coupled variables with noise on the single variables the samples are not those of
    q, the Gibbs distribution, but the exact reference is the gradient of E_q[f]: an estimator that
    is unbiased for the samples' distribution then shows a bias.

    Attributes:
        rows: one for each estimator, in the order given.
        reference: what they are compared with: "exact", "none", or which average.
        norm: √mean_b‖g*_b‖², nats; None without a reference.
        num_problems: b; 1 for the gradient of a model's parameters.
        num_entries: m, entries of the gradient of one problem.
        confidence: of the intervals.

    Example:
        >>> import torch
        >>> from directmax import Categorical, Exact, compare_gradients
        >>> result = compare_gradients(
        ...     Categorical(torch.zeros(1, 1, 2)), lambda z: z[..., 0, 1], {"exact": Exact()}
        ... )
        >>> result
        GradientComparison(1 estimators, 1 problems of 2 entries, reference exact)
        >>> result["exact"].variance.value
        0.0
    """

    rows: tuple[GradientStatistics, ...]
    reference: str
    norm: float | None
    num_problems: int
    num_entries: int
    confidence: float

    def __getitem__(self, label: str) -> GradientStatistics:
        for row in self.rows:
            if row.label == label:
                return row
        raise KeyError(label)

    def __iter__(self) -> Iterator[GradientStatistics]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self.rows)} estimators, {self.num_problems} problems of "
            f"{self.num_entries} entries, reference {self.reference})"
        )

    def __str__(self) -> str:
        return self.table()

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        return {**vars(self), "rows": [row.to_dict() for row in self.rows]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GradientComparison:
        """From such a dictionary."""
        names = [field.name for field in dataclasses.fields(cls)]
        rows = tuple(GradientStatistics.from_dict(row) for row in values["rows"])
        return cls(**{**{name: values[name] for name in names}, "rows": rows})

    def table(self, *, width: int | None = None) -> str:
        """For people, as text; ± is half of the interval.

        Args:
            width: of the screen, in characters; where it is too small columns are left out.
        """
        columns = {
            column.title: [column.title, *cells]
            for column in COLUMNS
            if any(cells := [column.cell(row) for row in self.rows])
        }
        labels = ["", *(row.label for row in self.rows)]
        for title in LEFT_OUT:
            if width is None or sum(_widths([labels, *columns.values()])) <= width:
                break
            columns.pop(title, None)
        reference_text = (
            "" if self.norm is None else f", {self.reference} gradient {self.norm:.3g} nats"
        )
        lines = [f"{self.num_problems} gradients of {self.num_entries} entries{reference_text}"]
        first, *widths = _widths([labels, *columns.values()])
        for label, *cells in zip(labels, *columns.values(), strict=True):
            numbers = [f"{cell:>{w - 2}}  " for cell, w in zip(cells, widths, strict=True)]
            lines.append("".join([f"{label:<{first}}", *numbers]).rstrip())
        return "\n".join(lines)


def _widths(columns: list[list[str]]) -> list[int]:
    """Of columns, with two blanks behind each."""
    return [max(map(len, column)) + 2 for column in columns]


@dataclass(frozen=True)
class _Column:
    title: str
    cell: Callable[[GradientStatistics], str]


def _measured(name: str) -> Callable[[GradientStatistics], str]:
    def cell(row: GradientStatistics) -> str:
        value = getattr(row, name)
        return "" if value is None else str(value)

    return cell


def _plain(name: str, scale: float = 1.0, digits: int = 3) -> Callable[[GradientStatistics], str]:
    def cell(row: GradientStatistics) -> str:
        value = getattr(row, name)
        return "" if value is None else _short(scale * value.value, digits)

    return cell


def _percent(value: Measured | None) -> str:
    if value is None:
        return ""
    if value.low == 0 < value.high:
        return f"≤ {100 * value.high:.1f} %"
    return f"{100 * value.value:.1f} %"


def _share(value: Measured) -> str:
    return f"{100 * value.value:.1f} %"


def _short(value: float, digits: int = 3) -> str:
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if value and not 1e-4 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e")
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:g}" if abs(rounded) < 10**digits else f"{value:.0f}"


COLUMNS = (
    _Column("bias", _measured("bias")),
    _Column("of exact", lambda row: _percent(row.relative_bias)),
    _Column("variance", _measured("variance")),
    _Column("MSE", _plain("mse")),
    _Column("cosine", _plain("cosine", digits=2)),
    _Column("S/N", _plain("signal_to_noise", digits=2)),
    _Column("zero", lambda row: _share(row.sparsity)),
    _Column("f", lambda row: "" if row.evaluations is None else f"{row.evaluations}"),
    _Column("ms", _plain("seconds", 1e3)),
)
LEFT_OUT = ("S/N", "MSE", "of exact", "cosine", "ms", "f", "zero")
"""What a narrow table is without, in this order."""
