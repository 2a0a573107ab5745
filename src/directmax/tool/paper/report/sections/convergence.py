"""Figure 2: the bound by epoch and by time, and what an epoch costs."""

from __future__ import annotations

from directmax.tool.paper import published
from directmax.tool.paper.report.curves import by_epoch, by_time, timings
from directmax.tool.paper.report.layout import (
    NOTHING,
    Cell,
    Figure,
    Section,
    Table,
    compared,
    seconds_text,
)
from directmax.tool.paper.report.methods import (
    by,
    data_of,
    data_sets,
    data_title,
    entry,
    look,
    method_of,
    methods,
)
from directmax.tool.paper.report.results import (
    Outcome,
    Part,
    Results,
    cost_of,
    mean_of,
    on_one_machine,
    on_test,
    seconds_of,
)

NOTE = (
    "Training time without validation. {how} The ratio is to Gumbel-Softmax of the same data and k."
)
CURVES = (
    "Validation bound: the test images are used once a run, at its end, so there is no test curve "
    "(deviation 25). By time, the starts that our default did not continue come first. Lines: mean "
    "over seeds; bands: ± one standard deviation."
)


def build(results: Results, part: Part) -> Section:
    """The section of figure 2."""
    outcomes = results.of(part, "train")
    charts, rows = [], []
    ratios: dict[str, list[float]] = {}
    groups: dict[str, list[Outcome]] = {}
    for data in data_sets(outcomes):
        group = by(outcomes, data_of)[data]
        for values in sorted(by(group, entry("values"))):
            chosen = [o for o in group if entry("values")(o) == values]
            title = f"{data_title(data)}, k = {values}"
            groups[title] = chosen
            cost, comparable = cost_of(chosen), on_one_machine(chosen)
            lines = {
                look(name): [o for o in chosen if method_of(o) == name] for name in methods(chosen)
            }
            charts += [by_epoch(title, lines, "bound"), by_time(title, lines, "bound", cost)]
            base = seconds_of([o for o in chosen if method_of(o) == "gumbel-softmax"], cost)
            for name in methods(chosen):
                mine = [o for o in chosen if method_of(o) == name]
                seconds = seconds_of(mine, cost)
                bound = mean_of(mine, on_test("bound"))
                ratio = None
                if comparable and seconds is not None and base is not None:
                    ratio = seconds.mean / base.mean
                    ratios.setdefault(name, []).append(ratio)
                slowdown = published.SLOWDOWN.value if name == "direct" else None
                rows.append(
                    (
                        Cell(title if name == methods(chosen)[0] else ""),
                        Cell(look(name).label),
                        Cell(seconds_text(seconds), faint=seconds is None),
                        compared(ratio, f"{ratio or 0:.2f}", slowdown, "paper"),
                        Cell(NOTHING if bound is None else str(bound), faint=bound is None),
                    )
                )
    how = timings(groups)
    columns = ("", "method", "seconds an epoch", "in those of Gumbel-Softmax", "test bound")
    findings = []
    for name in ("direct", "ours"):
        if found := ratios.get(name):
            span = " to ".join(dict.fromkeys(f"{end:.2f}" for end in (min(found), max(found))))
            paper = f" (paper: {published.SLOWDOWN.value})" if name == "direct" else ""
            findings.append(
                f"An epoch of {'our default' if name == 'ours' else 'the direct method'} takes "
                f"{span} times that of Gumbel-Softmax{paper}."
            )
    source = published.FIGURES["figure2"]
    return Section(
        part.name,
        part.title,
        part.caption,
        source=f"{source.source}: {source.note}.",
        claims=published.CLAIMS["figure2"],
        findings=tuple(findings),
        tables=[Table("Cost of an epoch", columns, tuple(rows), NOTE.format(how=how), words=(1,))]
        if rows
        else [],
        figures=[Figure("figure2", "The bound by epoch and by time", tuple(charts), note=CURVES)]
        if charts
        else [],
    )
