"""Collect finished runs of NAME.sh, labels.sh or labels-turned.sh, into NAME.json and NAME.md.

python reproductions/collect_labels.py RUNS_FOLDER NAME
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from collect import load

HERE = Path(__file__).parent


def spread(values: list[float], digits: int = 2) -> str:
    """Mean ± deviation over seeds; of one seed its value."""
    text = f"{statistics.mean(values):.{digits}f}"
    return f"{text} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


def main() -> None:
    """Read the folder given on the command line, write beside this file."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    name = sys.argv[2]
    folders = [folder for folder in sorted(Path(sys.argv[1]).iterdir()) if folder.is_dir()]
    runs = [run for run in map(load, folders) if run is not None]
    cells: dict[tuple[str, int], dict[str, list[dict[str, Any]]]] = {}
    for run in sorted(runs, key=lambda run: run["config"]["labels"]):
        config = run["config"]
        methods = cells.setdefault((config["data"], config["labels"]), {})
        methods.setdefault(config["estimator"], []).append(run)
    text = [
        "The mixed model: accuracy of the most probable label and bound of the test images (nats "
        "per image, all values of z, ten Gaussian samples), mean ± deviation over seeds; the seed "
        "also draws the labelled images. Of every run the epoch with the best validation accuracy.",
        "",
        "| data | labels | estimator | seeds | accuracy, % | of each seed | bound |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (data, labels), methods in sorted(cells.items(), key=lambda cell: (cell[0][0] != "mnist",)):
        for estimator, of_method in methods.items():
            accuracy = [100 * run["test"]["accuracy"] for run in of_method]
            text.append(
                f"| {data} | {labels} | {estimator} | {len(of_method)} | {spread(accuracy)} "
                f"| {', '.join(f'{value:.2f}' for value in accuracy)} "
                f"| {spread([run['test']['bound'] for run in of_method])} |"
            )
    record = {"commands": f"reproductions/{name}.sh", "runs": runs}
    (HERE / f"{name}.json").write_text(json.dumps(record) + "\n")
    (HERE / f"{name}.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
