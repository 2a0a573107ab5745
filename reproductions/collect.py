"""Collect finished runs of mixture.sh into mixture.json, mixture.md and mixture.svg.

python reproductions/collect.py RUNS_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

VALUES = (10, 20, 30, 40, 50)
# Test −log p(x) of the same mixture by expectation-maximisation: best of 3 restarts,
# uniform weights, threshold binarisation, 50,000 training images.
EM = {
    "mnist": (164.49, 152.26, 146.09, 142.25, 139.62),
    "fashion-mnist": (221.38, 197.14, 187.99, 182.07, 178.07),
}
# Table 1 of the paper: the best of its three methods in each cell.
PAPER = {
    "mnist": (164.53, 152.31, 147.38, 142.86, 140.38),
    "fashion-mnist": (222.86, 198.39, 189.44, 184.21, 180.31),
}
HERE = Path(__file__).parent


def load(folder: Path) -> dict[str, Any] | None:
    """What is kept of a run; None while it is not finished."""
    if not (folder / "summary.json").exists():
        return None
    record = json.loads((folder / "config.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "run": folder.name,
        "config": record["config"],
        "digest": record["digest"],
        **{key: summary[key] for key in ("test", "validation", "best_epoch", "epochs")},
        "seconds_per_epoch": summary["seconds_per_epoch"],
        "versions": summary["versions"],
        "machine": summary["machine"],
        "git_commit": summary["git_commit"],
        "validation_bound_by_epoch": [round(line["validation"]["bound"], 3) for line in lines],
    }


def table(runs: dict[str, dict[str, Any]]) -> str:
    """Test bounds beside the paper's and expectation-maximisation, as Markdown."""
    text = []
    for data in PAPER:
        text += [
            f"**{data}**: test, nats per image",
            "",
            "| k | bound | −log p(x) | paper, best of three | EM | bound − paper | bound − EM |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for k, paper, em in zip(VALUES, PAPER[data], EM[data], strict=True):
            run = runs.get(f"default-{data}-{k}")
            if run is None:
                continue
            bound, nll = run["test"]["bound"], run["test"]["nll"]
            text.append(
                f"| {k} | {bound:.2f} | {nll:.2f} | {paper:.2f} | {em:.2f} "
                f"| {bound - paper:+.2f} | {bound - em:+.2f} |"
            )
        text.append("")
    protocol = [run for name, run in runs.items() if name.startswith("paper-")]
    if protocol:
        text += [
            "**The paper's protocol** (`--preset paper --kl-gradient off`, direct, 150 epochs)",
            "",
            "| run | test bound | −log p(x) | paper, direct |",
            "| --- | --- | --- | --- |",
        ]
        published = {"paper-mnist-10": 165.26, "paper-mnist-50": 140.38}
        for run in protocol:
            text.append(
                f"| {run['run']} | {run['test']['bound']:.2f} | {run['test']['nll']:.2f} "
                f"| {published[run['run']]:.2f} |"
            )
        text.append("")
    others = [run for name, run in runs.items() if name.startswith("seed")]
    if others:
        text += [
            "**Another seed** of the default",
            "",
            "| data, k | seed | validation bound | test bound |",
            "| --- | --- | --- | --- |",
        ]
        for run in others:
            config = run["config"]
            default = runs[f"default-{config['data']}-{config['values']}"]
            for each in (default, run):
                text.append(
                    f"| {config['data']}, {config['values']} | {each['config']['seed']} "
                    f"| {each['validation']['bound']:.2f} | {each['test']['bound']:.2f} |"
                )
        text.append("")
    return "\n".join(text)


def picture(runs: dict[str, dict[str, Any]]) -> Figure:
    """Excess over expectation-maximisation, by k."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, data in zip(figure.subplots(1, 2), PAPER, strict=True):
        found = [(k, runs.get(f"default-{data}-{k}")) for k in VALUES]
        ours = [
            (k, run["test"]["bound"] - em)
            for (k, run), em in zip(found, EM[data], strict=True)
            if run is not None
        ]
        paper = [p - em for p, em in zip(PAPER[data], EM[data], strict=True)]
        axes.axhline(0, color="#808080", linewidth=1)
        axes.plot(VALUES, paper, "s--", color="#e69f00", label="paper, best of three methods")
        if ours:
            axes.plot(*zip(*ours, strict=True), "o-", color="#0072b2", label="directmax, default")
        axes.set_title(data)
        axes.set_xlabel("k")
        axes.set_ylabel("test bound − EM, nats")
        axes.set_xticks(VALUES)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return figure


def main() -> None:
    """Read the folder given on the command line, write beside this file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folders = sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir())
    runs = {folder.name: run for folder in folders if (run := load(folder)) is not None}
    record = {"commands": "reproductions/mixture.sh", "runs": list(runs.values())}
    (HERE / "mixture.json").write_text(json.dumps(record) + "\n")
    (HERE / "mixture.md").write_text(table(runs))
    picture(runs).savefig(HERE / "mixture.svg", metadata={"Date": None})
    print(table(runs))


if __name__ == "__main__":
    main()
