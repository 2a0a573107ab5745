"""Time and peak memory of a training step against n, k, batch, image size, states and cores.

    python benchmarks/growth.py [--threads 1] [--only variables values …] [--redraw]

Each point is a process of its own, forked from one that has taken a small step, so that its peak
memory is its own: given is what it adds to that of the imports. A step is the whole of a model's:
pass forward and backward, and Adam; the estimator is named in the table. A line is fitted to the
logarithms of the three largest points: its slope is the exponent, 1 where growth is linear, less
where something of fixed size still counts. Images are random. Writes reproductions/growth.json, and
growth_NAME.svg for each thing.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from common import Step, command_line, model_step
from directmax import Decoder, Direct, DiscreteVAE, Encoder, LocalExpectation, PairwiseEncoder
from directmax.tool.files import write_atomic
from directmax.tool.look.figures import style
from directmax.tool.look.palette import LIGHT
from directmax.tool.run.provenance import environment
from solvers import save

TINY = "--threads 1 --only variables --points 2 --steps 1 --folder ."
SEED = 0


@dataclass(frozen=True)
class Axis:
    """Something that grows: its sizes, what is timed, and what it is called."""

    label: str
    sizes: tuple[int, ...]
    build: Callable[[int], Step]
    step: str
    cores: bool = False


def step_of(
    n: int = 1, k: int = 10, batch: int = 100, pixels: int = 784, *, coupled: bool = False
) -> Step:
    """A step of a model with these sizes."""
    torch.manual_seed(SEED)
    images = (torch.rand(max(batch, 200), pixels) < 0.13).float()
    estimator = Direct() if n == 1 or coupled else LocalExpectation()
    encoder = PairwiseEncoder(pixels, n) if coupled else Encoder(pixels, n, k)
    model = DiscreteVAE(encoder, Decoder(n, k, pixels), estimator)
    return model_step(model, images, batch_size=batch)


AXES = {
    "variables": Axis(
        "binary variables n",
        (5, 10, 20, 40, 80, 160, 320, 640),
        lambda n: step_of(n, 2),
        "LocalExpectation",
    ),
    "values": Axis(
        "values k", (10, 100, 1000, 3000, 10_000), lambda k: step_of(k=k), "Direct, one variable"
    ),
    "batch": Axis(
        "images in a mini-batch",
        (50, 100, 200, 400, 800, 1600),
        lambda batch: step_of(15, 2, batch),
        "LocalExpectation, n = 15",
    ),
    "pixels": Axis(
        "pixels of an image",
        (14**2, 28**2, 56**2, 112**2),
        lambda pixels: step_of(15, 2, pixels=pixels),
        "LocalExpectation, n = 15",
    ),
    "states": Axis(
        "states of coupled variables",
        tuple(2**n for n in (8, 10, 12, 14, 16, 18, 20)),
        lambda states: step_of(states.bit_length() - 1, 2, coupled=True),
        "Direct, exact Gibbs KL",
    ),
    "cores": Axis(
        "threads",
        tuple(1 << i for i in range((os.cpu_count() or 1).bit_length())),
        lambda _: step_of(15, 2),
        "LocalExpectation, n = 15",
        cores=True,
    ),
}


def measure(axis: Axis, size: int, threads: int, steps: int) -> dict[str, float]:
    """Milliseconds a step, and the MiB that the process has grown by at most."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    torch.set_num_threads(size if axis.cores else threads)
    step = axis.build(size)
    step()
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "size": size,
        "milliseconds": round(1e3 * statistics.median(seconds), 3),
        "mebibytes": round(peak / 1024, 1),
    }


def apart(name: str, size: int, threads: int, steps: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_measure, (name, size, threads, steps))


def _measure(name: str, size: int, threads: int, steps: int) -> dict[str, float]:
    return measure(AXES[name], size, threads, steps)


def exponent(points: list[dict[str, float]], key: str) -> float | None:
    """Slope of log time or memory against log size, over the three largest points.

    Example:
        >>> points = [{"size": s, "milliseconds": 3.0 * s * s} for s in (1, 2, 4, 8)]
        >>> round(exponent(points, "milliseconds"), 6)
        2.0
    """
    large = [p for p in points[-3:] if p[key] > 0]
    if len(large) < 2:
        return None
    x, y = [math.log(p["size"]) for p in large], [math.log(p[key]) for p in large]
    return statistics.linear_regression(x, y).slope


def draw(axis: Axis, points: list[dict[str, float]]) -> Figure:
    """Time above, memory below, with the fitted exponents."""
    with style():
        figure = Figure(figsize=(7.6, 5.2), layout="constrained")
        panels = figure.subplots(2, sharex=True)
        rows = (("milliseconds", "ms a step", "blue"), ("mebibytes", "MiB more", "vermillion"))
        for axes, (key, label, color) in zip(panels, rows, strict=True):
            x, y = [p["size"] for p in points], [max(p[key], 0.1) for p in points]
            slope = None if axis.cores else exponent(points, key)
            axes.loglog(x, y, color=LIGHT[color], marker="o", markersize=5, linewidth=1.6)
            if slope is not None:
                text = f"size to the power of {slope:.2f}"
                axes.annotate(text, (0.03, 0.9), xycoords="axes fraction", va="top")
            axes.set_ylabel(label)
            axes.set_xticks(x, [f"{each:,}" for each in x])
            axes.minorticks_off()
            axes.grid(visible=False, axis="x")
        panels[0].set_title(axis.step)
        panels[1].set_xlabel(axis.label)
    return figure


def show(name: str, points: list[dict[str, float]]) -> None:
    """A table and its exponents."""
    print(f"{AXES[name].label} · {AXES[name].step}")
    for point in points:
        size, ms, mib = point["size"], point["milliseconds"], point["mebibytes"]
        print(f"{size:10,d} {ms:10.2f} ms {mib:8.1f} MiB")
    if not AXES[name].cores:
        slopes = [exponent(points, key) for key in ("milliseconds", "mebibytes")]
        words = ["–" if slope is None else f"{slope:.2f}" for slope in slopes]
        print(f"exponents: time {words[0]}, memory {words[1]}")


def main() -> None:
    """Measure, print, draw."""
    parser = command_line(__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(AXES), default=tuple(AXES))
    parser.add_argument("--points", type=int, help="at most so many, the smaller ones")
    parser.add_argument("--steps", type=int, default=7, help="of each point; the median is taken")
    parser.add_argument("--redraw", action="store_true", help="draw growth.json again")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "reproductions")
    options = parser.parse_args()  # torch gets its threads in each point's process
    file = options.folder / "growth.json"
    record: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"curves": {}}
    if not options.redraw:  # what a first step loads; with one thread, so that forks are safe
        torch.set_num_threads(1)
        for coupled in (False, True):
            step_of(3, 2, coupled=coupled)()
    for name in () if options.redraw else options.only:
        sizes = AXES[name].sizes[: options.points]
        points = [apart(name, size, options.threads, options.steps) for size in sizes]
        record["curves"][name] = points
        record |= {"threads": options.threads, **environment()}
        show(name, points)
        write_atomic(file, json.dumps(record) + "\n")
    for name in options.only:
        save(draw(AXES[name], record["curves"][name]), options.folder / f"growth_{name}.svg")


if __name__ == "__main__":
    main()
