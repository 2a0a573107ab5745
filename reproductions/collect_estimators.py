"""Collect finished runs of estimators.sh into estimators.json, estimators.md and estimators.svg.

python reproductions/collect_estimators.py RUNS_FOLDER

The time axis is that of estimators_seconds.json, measured by seconds.py for all runs in turn.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from collect import load
from collect_structured import curves, spread
from matplotlib import rc_context
from matplotlib.figure import Figure

HERE = Path(__file__).parent
# Okabe and Ito's colours; dashed what came after the paper.
STYLES = {
    "local-expectation": ("#000000", "-"),
    "direct": ("#0072b2", "-"),
    "gumbel-softmax": ("#d55e00", "-"),
    "rebar": ("#009e73", "-"),
    "relax": ("#e69f00", "-"),
    "arm": ("#cc79a7", "-"),
    "disarm": ("#cc79a7", "--"),
    "score-function": ("#56b4e9", "--"),
    "reinmax": ("#d55e00", "--"),
    "direct-rao-blackwell": ("#0072b2", "--"),
}
NOTES = {
    "direct": "direct, ε = 0.1",
    "direct-rao-blackwell": "direct, Rao-Blackwell, ε auto",
    "score-function": "score-function, 4 samples",
    "local-expectation": "local-expectation (ours)",
}
MEASURES = {"bound": "bound", "nll": "−log p(x)"}
Groups = dict[str, list[dict[str, Any]]]


def rank(groups: Groups) -> list[str]:
    """Estimators by test −log p(x), the best first."""
    return sorted(groups, key=lambda name: statistics.mean(r["test"]["nll"] for r in groups[name]))


def table(groups: Groups, seconds: dict[str, Any]) -> str:
    """Test results as Markdown."""
    text = [
        "Fashion-MNIST, 15 independent binary variables, structured decoder, 100 epochs; nats per "
        "image, mean ± half the range over seeds; bound, KL and −log p(x) exact over all 32,768 "
        "states, on the test images, of the epoch with the best validation bound.",
        "",
        "| estimator | −log p(x) | bound | KL | best epoch | seeds | a step, in those of G |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in rank(groups):
        runs = groups[name]
        cost = seconds.get("epochs", {}).get(name)
        text.append(
            f"| {NOTES.get(name, name)} | {spread([run['test']['nll'] for run in runs])} "
            f"| {spread([run['test']['bound'] for run in runs])} "
            f"| {spread([run['test']['kl'] for run in runs])} "
            f"| {', '.join(str(run['best_epoch']) for run in runs)} "
            f"| {len(runs)} | {cost['ratio_to_G'] if cost else '–'} |"
        )
    return "\n".join(text) + "\n"


def picture(groups: Groups, seconds: dict[str, Any]) -> Figure:
    """Validation bound and −log p(x), by epoch and by time."""
    figure = Figure(figsize=(10, 7.4), layout="constrained")
    grid = figure.subplots(2, 2, sharey="row", sharex="col")
    for row, (measure, title) in zip(grid, MEASURES.items(), strict=True):
        ends = []
        for name, runs in groups.items():
            color, style = STYLES[name]
            epoch = seconds.get("epochs", {}).get(name, {}).get("seconds")
            for run in runs:
                values = run["curves"][measure]
                ends.append(values[-1])
                epochs = range(1, len(values) + 1)
                options = {"color": color, "linestyle": style, "linewidth": 1.4}
                row[0].plot(epochs, values, **options)
                if epoch is not None:
                    row[1].plot([epoch * e / 60 for e in epochs], values, **options)
        row[0].set_ylim(min(ends) - 3, min(max(ends), min(ends) + 100) + 25)
        row[0].set_ylabel(f"{title}, validation, nats per image")
    grid[1][0].set_xlabel("epoch")
    grid[1][1].set_xlabel("minutes, one thread")
    for axes in grid.flat:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    handles = [
        grid[0][0].plot([], [], color=c, linestyle=s, linewidth=1.8, label=NOTES.get(name, name))[0]
        for name, (c, s) in ((name, STYLES[name]) for name in rank(groups))
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def main() -> None:
    """Read the folder given on the command line, write beside this file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    groups: Groups = {}
    for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
        run = load(folder)
        if run is not None:
            run.pop("validation_bound_by_epoch")
            name = folder.name.rsplit("-", 1)[0]
            groups.setdefault(name, []).append({**run, "curves": curves(folder)})
    if not groups:
        sys.exit(f"{sys.argv[1]} holds no finished run")
    path = HERE / "estimators_seconds.json"
    seconds = json.loads(path.read_text()) if path.exists() else {}
    runs = [run for name in STYLES for run in groups.get(name, [])]
    record = {"commands": "reproductions/estimators.sh", "runs": runs}
    (HERE / "estimators.json").write_text(json.dumps(record) + "\n")
    (HERE / "estimators.md").write_text(table(groups, seconds))
    with rc_context({"svg.hashsalt": "estimators"}):
        picture(groups, seconds).savefig(HERE / "estimators.svg", metadata={"Date": None})
    print(table(groups, seconds))


if __name__ == "__main__":
    main()
