"""Figure 3, middle: seconds of a training step against the number of binary variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from directmax.tool.look.content import Cell, Chart, Figure, Series, Table
from directmax.tool.look.spread import Spread, seconds_text
from directmax.tool.paper import slides
from directmax.tool.paper.figure3 import STATES
from directmax.tool.paper.report.curves import published_line
from directmax.tool.paper.report.layout import Section
from directmax.tool.paper.report.methods import Look, data_title, look
from directmax.tool.paper.report.results import Outcome

MAXFLOW, GENERAL = "supermodular-direct", "pairwise-direct"
LOOKS = {
    MAXFLOW: Look("direct, max-flow", look("direct").color),
    GENERAL: Look("direct, exhaustive", look("direct").color, "dashed"),
    STATES: Look("Gumbel-Softmax, all states", look("gumbel-softmax").color),
}
PUBLISHED = {
    MAXFLOW: slides.STEPS["direct"],
    GENERAL: slides.STEPS["direct"],
    STATES: slides.STEPS["gumbel-softmax"],
}
"""Beside which published curve; the slides do not say by which solver direct is."""
NOTE = (
    "Seconds of a training step with 100 images, the least of eight rounds, all in turn in one "
    "process; in the second line what was published, on another machine. Direct is with a "
    "super-modular encoder by max-flow, and with a general one by exhaustive search. The KL term "
    "is that of the unary potentials, as in the authors' code. Gumbel-Softmax draws noise for all "
    "2^n states and decodes their mean under the softmax. The ratio is to direct by max-flow."
)
Times = Mapping[str, Mapping[int, float]]
"""Seconds by method and number of variables."""


def build(data: str, outcomes: Sequence[Outcome]) -> Section:
    """The part of figure 3.

    Args:
        data: of all outcomes.
        outcomes: measurements of steps.
    """
    done = [outcome for outcome in outcomes if outcome.done and outcome.points]
    if not done:
        return Section()
    times: dict[str, dict[int, float]] = {}
    for point in done[-1].points:
        times.setdefault(point["method"], {})[point["variables"]] = point["seconds"]
    title = f"{data_title(data)}: seconds a step by the number of binary variables"
    columns = ["n", *(LOOKS[name].label for name in LOOKS), "Gumbel-Softmax in steps of direct"]
    sizes = sorted({n for each in times.values() for n in each})
    return Section(
        findings=_findings(data, times),
        tables=[Table(title, columns, [_row(n, times) for n in sizes], NOTE)],
        figures=[Figure(f"figure3-{data}-steps", title, [_chart(times), _ratios(times)])],
    )


def _row(n: int, times: Times) -> list[Any]:
    return [n, *(_cell(n, name, times) for name in LOOKS), _ratio(n, times)]


def _cell(n: int, name: str, times: Times) -> Cell | None:
    if n not in times.get(name, {}):
        return None
    published = _read(PUBLISHED[name]).get(n)
    text = seconds_text(Spread.of([times[name][n]]))
    return Cell(text, "" if published is None else f"paper {published:g}")


def _ratio(n: int, times: Times) -> Cell | None:
    ours, theirs = ratio(n, times), published_ratio(n)
    if ours is None:
        return None
    return Cell(f"{ours:.3g}", "" if theirs is None else f"paper {theirs:.3g}")


def ratio(n: int, times: Times) -> float | None:
    """Of a step of Gumbel-Softmax over all states, in steps of direct by max-flow."""
    pair = (times.get(name, {}).get(n) for name in (STATES, MAXFLOW))
    relaxed, direct = pair
    return relaxed / direct if relaxed and direct else None


def published_ratio(n: int) -> float | None:
    """The same where both were published.

    Example:
        >>> round(published_ratio(15)), published_ratio(8)
        (149, None)
    """
    relaxed, direct = (_read(slides.STEPS[name]).get(n) for name in ("gumbel-softmax", "direct"))
    return relaxed / direct if relaxed and direct else None


def _read(curve: slides.Curve) -> dict[float, float]:
    """The points that were read, without what lies between."""
    return dict(zip(curve.x, curve.y, strict=True))


def _chart(times: Times) -> Chart:
    series = [
        Series(each.label, list(times[name]), list(times[name].values()), color=each.color,
               dash=each.dash, marker="o")
        for name, each in LOOKS.items()
        if name in times
    ]  # fmt: skip
    for method in ("direct", "gumbel-softmax"):
        series.append(published_line(look(method), slides.STEPS[method]))
    return Chart("", "binary variables n", "seconds a step", series, log_y=True)


def _ratios(times: Times) -> Chart:
    """Of Gumbel-Softmax and direct, ours and, where both were read, the published one."""
    sizes = sorted({n for each in times.values() for n in each})
    ours = {n: each for n in sizes if (each := ratio(n, times)) is not None}
    steps = slides.STEPS["gumbel-softmax"]
    theirs = {n: each for n in steps.x if (each := published_ratio(int(n))) is not None}
    color = look("gumbel-softmax").color
    series = [
        Series("", list(ours), list(ours.values()), color=color, marker="o"),
        Series("", list(theirs), list(theirs.values()), color=color, dash="dotted", marker="s"),
    ]
    series = [each for each in series if each.x]
    return Chart("", "binary variables n", "Gumbel-Softmax in steps of direct", series, log_y=True)


def _findings(data: str, times: Times) -> list[str]:
    sizes = sorted(set(times.get(STATES, ())) & set(times.get(MAXFLOW, ())))
    if not sizes:
        return []
    first, last = sizes[0], sizes[-1]
    ours = ratio(last, times)
    theirs = published_ratio(last)
    relaxed = _read(slides.STEPS["gumbel-softmax"]).get(last)
    beside = f" (published: {relaxed:g} s, {theirs:.0f} times)" if theirs and relaxed else ""
    seconds = seconds_text(Spread.of([times[STATES][last]]))
    growth = [times[name][last] / times[name][first] for name in (STATES, MAXFLOW)]
    return [
        f"{data_title(data)}: with n = {last} a step of Gumbel-Softmax over all {2**last:,} states "
        f"takes {seconds} s, {ours:.3g} times one of direct by max-flow{beside}. From n = {first} "
        f"on it grew {growth[0]:.3g}-fold, direct {growth[1]:.3g}-fold."
    ]
