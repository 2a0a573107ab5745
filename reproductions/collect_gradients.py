"""Collect what gradients.sh measured into gradients.json, gradients.md, figure1*.svg and pictures.

python reproductions/collect_gradients.py RUNS_FOLDER
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODELS = {
    "mnist": "MNIST, one variable with ten values",
    "binary": "Fashion-MNIST, 15 binary variables",
}
STAGES = {"start": "initialisation", "middle": "mid-training"}
MEASURED = ("bias", "variance", "mse", "cosine", "signal_to_noise", "sparsity", "seconds")


def short(value: Any) -> Any:
    """Five digits of every number."""
    if isinstance(value, dict):
        return {key: short(entry) for key, entry in value.items() if key != "error"}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def slim(record: dict[str, Any]) -> dict[str, Any]:
    """Without what can be derived."""
    rows = [
        {key: short(row[key]) for key in ("label", "unbiased", "evaluations", *MEASURED)}
        for row in record["rows"]
    ]
    kept = ("configuration", "versions", "machine", "git_commit", "norm", "notes")
    return {**{key: record[key] for key in kept}, "rows": rows}


def table(records: dict[str, dict[str, Any]]) -> str:
    """Bias and variance relative to the exact gradient, before and during training, as Markdown."""
    text = []
    for model, title in MODELS.items():
        found = {stage: records.get(f"{model}-{stage}") for stage in STAGES}
        if None in found.values():
            continue
        config = found["middle"]["configuration"]
        text += [
            f"**{title}**: {config['images']} training images, {config['draws']} draws; exact "
            f"gradient {found['start']['norm']:.3g} nats at initialisation, "
            f"{found['middle']['norm']:.3g} in mid-training. Bias as a share of it, variance and "
            "mean squared error as shares of its square, zero: gradients that are exactly zero.",
            "",
            "| estimator | f | bias, start | bias | variance, start | variance | MSE | zero |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        start = {row["label"]: row for row in found["start"]["rows"]}
        for row in found["middle"]["rows"]:
            first = start[row["label"]]
            cells = [row["label"], str(row["evaluations"])]
            cells += [bias(first, found["start"]["norm"]), bias(row, found["middle"]["norm"])]
            cells.append(share(first["variance"], found["start"]["norm"]))
            cells += [share(row[key], found["middle"]["norm"]) for key in ("variance", "mse")]
            cells.append(f"{100 * row['sparsity']['value']:.0f} %")
            text.append(f"| {' | '.join(cells)} |")
        text.append("")
    return "\n".join(text)


def bias(row: dict[str, Any], norm: float) -> str:
    """As a share of the exact gradient; ≤ where it cannot be told from 0."""
    value = row["bias"]
    if value["high"] < 1e-4 * norm:
        return "0"
    unresolved = value["low"] <= 0
    percent = 100 * value["high" if unresolved else "value"] / norm
    text = f"{percent:.0f}" if percent >= 10 else f"{percent:.2g}"
    return f"≤ {text} %" if unresolved else f"{text} %"


def share(value: dict[str, Any], norm: float) -> str:
    """In squared norms of the exact gradient."""
    number = value["value"] / norm**2
    return "0" if number < 1e-9 else f"{number:.2g}"


def main() -> None:
    """Read the folder given on the command line, write beside this file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    records = {}
    for path in sorted(folder.glob("*-*/gradients.json")):
        records[path.parent.name] = slim(json.loads(path.read_text()))
        shutil.copyfile(path.with_name("gradients.svg"), HERE / f"gradients-{path.parent.name}.svg")
    for path in folder.glob("figure1*.svg"):
        shutil.copyfile(path, HERE / path.name)
    record = {"commands": "reproductions/gradients.sh", **records}
    (HERE / "gradients.json").write_text(json.dumps(record, ensure_ascii=False) + "\n")
    (HERE / "gradients.md").write_text(table(records))
    print(table(records))


if __name__ == "__main__":
    main()
