"""Time and peak memory of a step against k (one variable), each k in a fresh process.

    python benchmarks/scaling.py [--estimator direct] [--threads 2]

Linear in k: the last column, time per code relative to the smallest k that is not dominated by the
encoder, should not grow. Peak memory is the whole process's, images included.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time

from common import command_line, mnist, model_step, parse
from directmax import Decoder, DiscreteVAE, Encoder
from directmax.estimators import ESTIMATORS

TINY = "--threads 1 --values 10"


def measure(k: int, estimator: str) -> None:
    """One k: prints JSON with seconds a step and peak memory."""
    images = mnist()[:5000]
    model = DiscreteVAE(Encoder(784, 1, k), Decoder(1, k, 784), ESTIMATORS[estimator].cls())
    step = model_step(model, images)
    for _ in range(3):
        step()
    seconds = []
    for _ in range(15):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"k": k, "seconds": statistics.median(seconds), "gib": peak}))


def main() -> None:
    """Measure every k in its own process and print a table."""
    parser = command_line(__doc__)
    parser.add_argument("--estimator", default="direct", choices=("direct", "exact"))
    parser.add_argument("--values", type=int, nargs="+", default=(10, 100, 1_000, 3_000, 10_000))
    parser.add_argument("--one", type=int, help="only this k, in this process")
    options = parse(parser)
    if options.one:
        measure(options.one, options.estimator)
        return
    print(f"{options.estimator}, batch 100, threads {options.threads}")
    print(
        f"{'k':>6s} {'ms a step':>10s} {'ratio to k=10':>14s} {'µs a code':>10s} {'peak GiB':>9s}"
    )
    first = None
    for k in options.values:
        command = [sys.executable, __file__, "--one", str(k), "--estimator", options.estimator]
        command += ["--threads", str(options.threads)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        row = json.loads(result.stdout.splitlines()[-1])
        first = first or row["seconds"]
        print(
            f"{k:6d} {1e3 * row['seconds']:10.2f} {row['seconds'] / first:14.1f} "
            f"{1e6 * row['seconds'] / k:10.1f} {row['gib']:9.2f}"
        )


if __name__ == "__main__":
    main()
