"""Collect finished runs of labels.sh into labels.json and labels.md.

python reproductions/collect_labels.py RUNS_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from collect import load

HERE = Path(__file__).parent


def main() -> None:
    """Read the folder given on the command line, write beside this file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    runs = [load(folder) for folder in sorted(Path(sys.argv[1]).iterdir()) if folder.is_dir()]
    runs = [run for run in runs if run is not None]
    text = [
        "Mixed model, accuracy of the most probable label and bound (nats per image, all values of "
        "z, ten Gaussian samples); the epoch with the best validation accuracy.",
        "",
        "| data | labels | estimator | seed | test accuracy | validation | test bound | epoch |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in runs:
        config, test = run["config"], run["test"]
        name = config["estimator"] + (", Rao-Blackwell" if config["rao_blackwell"] else "")
        text.append(
            f"| {config['data']} | {config['labels']} | {name} | {config['seed']} "
            f"| {100 * test['accuracy']:.2f} % | {100 * run['validation']['accuracy']:.2f} % "
            f"| {test['bound']:.2f} | {run['best_epoch']} of {run['epochs']} |"
        )
    record = {"commands": "reproductions/labels.sh", "runs": runs}
    (HERE / "labels.json").write_text(json.dumps(record) + "\n")
    (HERE / "labels.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
