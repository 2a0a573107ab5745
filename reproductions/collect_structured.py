"""Collect finished runs of structured.sh into structured.json, structured.md and structured.svg.

python reproductions/collect_structured.py RUNS_FOLDER

The time axis is that of structured_seconds.json, measured for all runs in turn in one process.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from collect import load
from matplotlib import rc_context
from matplotlib.figure import Figure

HERE = Path(__file__).parent
ENCODERS = {
    "independent": ("independent", "#009e73"),
    "supermodular": ("super-modular, max-flow", "#e69f00"),
    "pairwise": ("general, exhaustive", "#0072b2"),
}
ESTIMATORS = {
    "direct": ("direct", "--"),
    "clamped": ("clamped argmax (independent: local expectation)", "-"),
}
MEASURES = {"bound": "Gibbs bound", "nll": "−log p(x)"}


def estimator_of(encoder: str, estimator: str) -> str:
    """The part of a run's name."""
    return "local" if (encoder, estimator) == ("independent", "clamped") else estimator


def curves(folder: Path) -> dict[str, list[float]]:
    """Validation terms by epoch."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {name: [round(x["validation"][name], 3) for x in lines] for name in (*MEASURES, "kl")}


def spread(values: list[float]) -> str:
    """Mean, and half the range where there is one."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ± {(max(values) - min(values)) / 2:.2f}"


def table(runs: dict[str, dict[str, Any]], seconds: dict[str, Any]) -> str:
    """Test results as Markdown."""
    text = [
        "Fashion-MNIST, 15 binary variables, structured decoder, 100 epochs; test, nats per image, "
        "mean ± half the range over seeds; bound, KL and −log p(x) exact over all 32,768 states.",
        "",
        "| encoder | estimator | −log p(x) | Gibbs bound | KL | authors' quantity (no bound) "
        "| seeds | an epoch, in those of G |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for encoder, (label, _) in ENCODERS.items():
        for estimator in ESTIMATORS:
            name = f"{encoder}-{estimator_of(encoder, estimator)}"
            found = [run for key, run in runs.items() if key.rsplit("-", 1)[0] == name]
            if not found:
                continue
            tests = [run["test"] for run in found]
            authors = [test["authors"] for test in tests if test["authors"] is not None]
            cost = seconds.get("epochs", {}).get(name)
            text.append(
                f"| {label} | {found[0]['config']['estimator']} "
                f"| {spread([t['nll'] for t in tests])} | {spread([t['bound'] for t in tests])} "
                f"| {spread([t['kl'] for t in tests])} | {spread(authors) if authors else '–'} "
                f"| {len(found)} | {cost['ratio_to_G'] if cost else '–'} |"
            )
    return "\n".join(text) + "\n"


def picture(runs: dict[str, dict[str, Any]], seconds: dict[str, Any]) -> Figure:
    """Validation bound and −log p(x), by epoch and by time."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    grid = figure.subplots(2, 2, sharey="row")
    for row, (measure, title) in zip(grid, MEASURES.items(), strict=True):
        ends = []
        for encoder, (_, color) in ENCODERS.items():
            for estimator, (_, style) in ESTIMATORS.items():
                name = f"{encoder}-{estimator_of(encoder, estimator)}"
                epoch = seconds.get("epochs", {}).get(name, {}).get("seconds")
                for key, run in runs.items():
                    if key.rsplit("-", 1)[0] != name:
                        continue
                    values = run["curves"][measure]
                    ends.append(values[-1])
                    epochs = range(1, len(values) + 1)
                    options = {"color": color, "linestyle": style, "linewidth": 1.4}
                    row[0].plot(epochs, values, **options)
                    if epoch is not None:
                        row[1].plot([epoch * e / 60 for e in epochs], values, **options)
        if ends:
            low, high = min(ends), max(ends)
            row[0].set_ylim(low - 2, high + 18)
        row[0].set_ylabel(f"{title}, validation, nats")
    grid[1][0].set_xlabel("epoch")
    grid[1][1].set_xlabel("minutes, one thread")
    for axes in grid.flat:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    by_encoder = [
        grid[0][0].plot([], [], color=color, label=label)[0] for label, color in ENCODERS.values()
    ]
    by_estimator = [
        grid[0][0].plot([], [], color="#555555", linestyle=style, label=label)[0]
        for label, style in ESTIMATORS.values()
    ]
    handles = by_encoder + by_estimator
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure


def main() -> None:
    """Read the folder given on the command line, write beside this file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    runs = {}
    for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
        run = load(folder)
        if run is not None:
            run.pop("validation_bound_by_epoch")
            runs[folder.name] = {**run, "curves": curves(folder)}
    path = HERE / "structured_seconds.json"
    seconds = json.loads(path.read_text()) if path.exists() else {}
    record = {"commands": "reproductions/structured.sh", "runs": list(runs.values())}
    (HERE / "structured.json").write_text(json.dumps(record) + "\n")
    (HERE / "structured.md").write_text(table(runs, seconds))
    with rc_context({"svg.hashsalt": "structured"}):
        picture(runs, seconds).savefig(HERE / "structured.svg", metadata={"Date": None})
    print(table(runs, seconds))


if __name__ == "__main__":
    main()
