"""Seconds of an epoch's training steps of each run in a folder, all in turn in one process.

Runs share a machine with whatever else goes on; their own clocks cannot be compared. This loads the
trained models of seed 0 and takes steps of each in turn, in every round.

python reproductions/seconds.py RUNS_FOLDER OUTPUT.json [--threads 1] [--rounds 15]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from common import interleaved, model_step, ratio, yardstick
from directmax.tool.run.finished import load_binary_run
from directmax.tool.run.images import split_images


def main() -> None:
    """Measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = {}
    for folder in sorted(options.runs.glob("*-0")):
        config, data, model = load_binary_run(folder, device="cpu")
        images = split_images(config, data, "train")
        model.train()
        steps[folder.name.removesuffix("-0")] = model_step(model, images)
    if not steps:
        parser.error(f"{options.runs} holds no run of seed 0")
    steps["G"] = yardstick(images, config.values, config.variables)
    epoch = math.ceil(len(images) / config.batch_size)
    seconds = interleaved(steps, rounds=options.rounds)
    result = {"threads": options.threads, "rounds": options.rounds, "epochs": {}}
    for name, times in seconds.items():
        median, low, high = ratio(seconds, name, "G")
        result["epochs"][name] = {
            "seconds": round(epoch * statistics.median(times), 3),
            "ratio_to_G": round(median, 3),
            "quartiles": [round(low, 3), round(high, 3)],
        }
        print(f"{name:24s} {epoch * statistics.median(times):6.2f} s  {median:5.2f} G")
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
