"""Collect finished runs of attributes.sh into attributes.json and attributes.md.

python reproductions/collect_attributes.py RUNS_FOLDER
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
    folders = [folder for folder in sorted(Path(sys.argv[1]).iterdir()) if folder.is_dir()]
    runs = [run for run in map(load, folders) if run is not None]
    text = [
        "Images with binary attributes, one per cent of the training images labelled: test "
        "accuracy of the most probable value, in per cent, and bound in nats per image (all "
        "combinations of attributes, one Gaussian sample). Of every run the epoch with the best "
        "validation accuracy; seed 0.",
        "",
        "| run | labels | epochs | each attribute | mean | bound |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for run in runs:
        each = ", ".join(f"{k} {100 * v:.2f}" for k, v in run["test"]["attributes"].items())
        text.append(
            f"| {run['run']} | {run['config']['labels']} | {run['config']['epochs']} | {each} "
            f"| {100 * run['test']['accuracy']:.2f} | {run['test']['bound']:.1f} |"
        )
    record = {"commands": "reproductions/attributes.sh", "runs": runs}
    (HERE / "attributes.json").write_text(json.dumps(record) + "\n")
    (HERE / "attributes.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
