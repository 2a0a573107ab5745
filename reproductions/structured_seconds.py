"""Seconds of 500 training steps of each run of structured.sh, all in turn in one process.

The runs share a machine with whatever else goes on; their own clocks cannot be compared. This loads
their trained models and takes steps of each in turn, in every round.

python reproductions/structured_seconds.py RUNS_FOLDER [--threads 1] [--rounds 15]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from common import interleaved, model_step, ratio, yardstick
from directmax.training.images import split_images
from directmax.training.run import load_run

STEPS = 500


def main() -> None:
    """Measure and write structured_seconds.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = {}
    for folder in sorted(options.runs.glob("*-0")):
        config, data, model = load_run(folder, device="cpu")
        images = split_images(config, data, "train")
        model.train()
        steps[folder.name.removesuffix("-0")] = model_step(model, images)
    steps["G"] = yardstick(images, 10)
    seconds = interleaved(steps, rounds=options.rounds)
    result = {"threads": options.threads, "rounds": options.rounds, "epochs": {}}
    for name, times in seconds.items():
        median, low, high = ratio(seconds, name, "G")
        result["epochs"][name] = {
            "seconds": round(STEPS * statistics.median(times), 3),
            "ratio_to_G": round(median, 3),
            "quartiles": [round(low, 3), round(high, 3)],
        }
        print(f"{name:24s} {STEPS * statistics.median(times):6.2f} s  {median:5.2f} G")
    path = Path(__file__).with_name("structured_seconds.json")
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
