"""Figure 1: bias and standard deviation of gradients by ε and by τ."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from directmax.laboratory import Point
from directmax.tool.look.content import Cell, Figure, Table
from directmax.tool.measure.curves import FAMILIES, Measured, stage_charts
from directmax.tool.paper.figure1 import PUBLISHED
from directmax.tool.paper.report.layout import Section
from directmax.tool.paper.report.methods import by, data_of, data_title
from directmax.tool.paper.report.results import Outcome, Part, Results
from directmax.tool.paper.report.sections import deviations

NOTE = (
    "Bias as a share of the exact gradient's norm, and under it the variance of one gradient as a "
    "share of the squared norm, and how many gradients are exactly zero. ≤: the bias cannot be "
    "told from 0, and this is the upper end of its 95 % interval. Only the noise is drawn anew. "
    "±: standard deviation over seeds."
)
CURVES = (
    "A line a seed; bands, where there is one seed: 95 % intervals. Where the bias cannot be "
    "told from 0 its line is interrupted; the triangle is the upper end of its interval."
)
TITLE = "Bias and standard deviation of one gradient"
Stages = Mapping[str, Sequence[Measured]]
"""By data and stage of the training: the points of every seed, and the exact gradient's norm."""


def build(results: Results, part: Part) -> Section:
    """The section of figure 1."""
    done = [o for o in results.of(part, "gradients") if o.done and o.norm]
    at_published = [outcome for outcome in done if outcome.cell.get(PUBLISHED)]
    stages = _stages([outcome for outcome in done if outcome not in at_published])
    charts = [chart for stage, each in stages.items() for chart in stage_charts(stage, each)]
    beside = deviations.build(_stages(at_published))
    return Section(
        findings=[
            *beside.findings,
            *(text for stage, each in stages.items() for text in _finding(stage, each)),
        ],
        tables=[*beside.tables, *_tables(stages)],
        figures=[*beside.figures, Figure("figure1", TITLE, charts, note=CURVES)],
    )


def _stages(outcomes: Sequence[Outcome]) -> dict[str, list[Measured]]:
    """Measurements by data and stage of the training."""
    groups = by(outcomes, stage_of).items()
    return {stage: [_measured(outcome) for outcome in group] for stage, group in groups}


def stage_of(outcome: Outcome) -> str:
    """Data and stage of the training, for titles."""
    return f"{data_title(data_of(outcome))}, {outcome.cell['stage']}"


def _measured(outcome: Outcome) -> Measured:
    return [Point.from_dict(dict(row)) for row in outcome.points], float(outcome.norm or 0)


def _tables(stages: Stages) -> list[Table]:
    """A row a setting, a column a stage; what the paper has, and the rest folded."""
    families: dict[str, str] = {}  # of settings, by their labels
    columns = []
    for measured in stages.values():
        found: dict[str, list[tuple[Point, float]]] = {}
        for points, norm in measured:
            for point in points:
                families[point.setting.label] = point.setting.family
                found.setdefault(point.setting.label, []).append((point, norm))
        columns.append({label: _cell(each) for label, each in found.items()})
    tables = []
    for title, inside in (("The paper's estimators", True), ("All other estimators", False)):
        rows = [
            [label, *(column.get(label) for column in columns)]
            for label, family in families.items()
            if (family in FAMILIES) is inside
        ]
        if rows:
            tables.append(Table(title, ("estimator", *stages), rows, NOTE, folded=not inside))
    return tables


def _cell(measured: Sequence[tuple[Point, float]]) -> Cell:
    """One setting at one stage, with the exact gradient's norm of every seed."""
    pairs = [(point.statistics, norm) for point, norm in measured]
    variance = statistics.fmean(each.variance.value / norm**2 for each, norm in pairs)
    zeros = statistics.fmean(each.sparsity.value for each, _ in pairs)
    below = f"variance {_number(variance)}, zeros {100 * zeros:.0f} %"
    biases = [(each.bias, norm) for each, norm in pairs if each.bias is not None]
    if len(biases) < len(pairs):
        return Cell("bias unknown", below)
    high = max(100 * bias.high / norm for bias, norm in biases)
    if all(bias.low > 0 for bias, _ in biases):
        percentages = [100 * bias.value / norm for bias, norm in biases]
        text = _number(statistics.fmean(percentages))
        if len(percentages) > 1:
            text += f" ± {_number(statistics.stdev(percentages))}"
        return Cell(f"{text} %", below)
    return Cell(f"≤ {_number(high)} %" if high > 0 else "0 %", below)


def _number(value: float) -> str:
    """Three digits without powers of ten.

    Example:
        >>> _number(1280.4), _number(0.1358), _number(1e-5), _number(0)
        ('1,280', '0.136', '< 0.001', '0')
    """
    if 0 < value < 0.001:
        return "< 0.001"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _finding(stage: str, measured: Sequence[Measured]) -> list[str]:
    """How often the direct estimator is zero at its smallest step."""
    zeros: dict[float, list[float]] = {}
    for points, _ in measured:
        for point in points:
            step = point.setting.epsilon
            if point.setting.family == "direct" and isinstance(step, int | float):
                zeros.setdefault(step, []).append(point.statistics.sparsity.value)
    if not zeros:
        return []
    mean = 100 * statistics.fmean(zeros[min(zeros)])
    return [f"{stage}: at ε = {min(zeros):g}, {mean:.0f} % of the direct gradients are zero."]
