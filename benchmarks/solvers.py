"""Solvers of pairwise binary problems: ratios in one interleaved run, and time against n.

    python benchmarks/solvers.py [--rounds 20] [--threads 2] [--no-growth] [--folder reproductions]

Instances as in `directmax solvers`: unary potentials normal with deviation 2, pairwise ones with
0.7, and Gumbel noise. Super-modular ones have the absolute value of those pairwise ones and are
centred, so that about half of the variables are on. Answers are compared before they are timed.
"""

from __future__ import annotations

import functools
import itertools
import json
import statistics
import time
from pathlib import Path
from typing import Any

import maxflow
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from common import Step, command_line, interleaved, parse, ratio
from directmax.solvers import (
    BranchAndBound,
    Cplex,
    Exhaustive,
    Highs,
    MaxFlow,
    PairwiseSolver,
    PyMaxflow,
    Status,
)
from directmax.tool.files import write_atomic
from directmax.tool.look.figures import style, svg_file
from directmax.tool.look.palette import LIGHT
from directmax.tool.measure.solvers import instances
from directmax.tool.run.provenance import environment

TINY = "--threads 1 --rounds 2 --batch 4 --seconds 0.001 --largest 5 --folder ."
PURPLE, VERMILION = "#cc79a7", "#d55e00"  # also Okabe and Ito's
AUTHORS, LEAN = "PyMaxflow loop, authors'", "PyMaxflow loop, lean"
TARGETS = (
    ("exhaustive, any signs", "cplex, any signs", 1 / 100),
    ("exhaustive", AUTHORS, 1 / 5),
    ("max-flow", AUTHORS, 1 / 20),
    ("exhaustive", LEAN, 1 / 5),
    ("max-flow", LEAN, 1 / 20),
    ("exhaustive", "pymaxflow", None),
    ("max-flow", "pymaxflow", None),
    ("max-flow", "exhaustive", None),
    ("branch-and-bound, any signs", "exhaustive, any signs", None),
)
REPEATS = {"max-flow": 20, "exhaustive": 5, "exhaustive, any signs": 5}
"""Calls in a row, of what is too short to time."""


def authors_loop(unary: Tensor, pairwise: Tensor) -> Tensor:
    """Bits, with a graph an instance and a call an edge, in the manner of the authors' code.

    Each instance is converted by itself, and pairs are looked up in a dictionary.
    """
    n = unary.shape[1]
    bits = []
    for potentials, weights in zip(unary, pairwise, strict=True):
        field = (potentials[:, 1] - potentials[:, 0]).numpy().astype(float)
        weight = weights.numpy().astype(float)
        place = {pair: at for at, pair in enumerate(itertools.combinations(range(n), 2))}
        place |= {(j, i): at for (i, j), at in place.items()}
        graph = maxflow.Graph[float]()
        nodes = graph.add_nodes(n)
        for i in range(n):
            excess = field[i] + 0.5 * sum(weight[place[i, j]] for j in range(n) if j != i)
            graph.add_tedge(i, excess, 0)
            for j in range(i + 1, n):
                half = 0.5 * weight[place[i, j]]
                graph.add_edge(i, j, half, half)
        graph.maxflow()
        bits.append(~graph.get_grid_segments(nodes))
    return torch.from_numpy(np.array(bits))


def lean_loop(unary: Tensor, pairwise: Tensor) -> Tensor:
    """The same graphs, also a call an edge, with as little Python around it as possible."""
    n = unary.shape[1]
    fields = (unary[..., 1] - unary[..., 0]).double().tolist()
    bits = []
    for field, pairs in zip(fields, pairwise.double().tolist(), strict=True):
        graph = maxflow.Graph[float]()
        nodes = graph.add_nodes(n)
        half = iter(pairs)
        for i in range(n):
            for j in range(i + 1, n):
                weight = 0.5 * next(half)
                graph.add_edge(i, j, weight, weight)
                field[i] += weight
                field[j] += weight
        for i in range(n):
            graph.add_tedge(i, max(field[i], 0.0), max(-field[i], 0.0))
        graph.maxflow()
        bits.append(~graph.get_grid_segments(nodes))
    return torch.from_numpy(np.array(bits))


def steps(batch: int, generator: torch.Generator) -> dict[str, Step]:
    """What is timed, after a comparison of the answers."""
    dense = instances(15, batch, supermodular=False, generator=generator)
    positive = instances(15, batch, supermodular=True, generator=generator)
    best = {id(p): Exhaustive()(*p) for p in (dense, positive)}
    loops = {AUTHORS: authors_loop, LEAN: lean_loop}
    for name, loop in loops.items():
        equal = (loop(*positive) == (best[id(positive)].value[..., 1] > 0)).all(-1).sum()
        print(f"{name}: {int(equal)} of {batch} assignments are those of exhaustive search")
    on = float(best[id(positive)].value[..., 1].mean())
    print(f"super-modular instances: {100 * on:.0f} % of the variables are on")

    def step(solver: PairwiseSolver, problem: tuple[Tensor, Tensor], name: str) -> Step:
        found = solver(*problem).objective
        if not torch.allclose(found, best[id(problem)].objective, rtol=0, atol=1e-3):
            raise SystemExit(f"{name} disagrees with exhaustive search")

        def repeated() -> None:
            for _ in range(REPEATS.get(name, 1)):
                solver(*problem, validate=False)

        return repeated

    solvers = {
        "exhaustive, any signs": (Exhaustive(), dense),
        "branch-and-bound, any signs": (BranchAndBound(), dense),
        "cplex, any signs": (Cplex(), dense),
        "exhaustive": (Exhaustive(), positive),
        "max-flow": (MaxFlow(), positive),
        "pymaxflow": (PyMaxflow(), positive),
    }
    result = {name: step(*pair, name) for name, pair in solvers.items()}
    for name, loop in loops.items():
        result[name] = functools.partial(loop, *positive)
    return result


def ratios(rounds: int, batch: int) -> None:
    """Print times, and ratios with their targets."""
    threads = torch.get_num_threads()
    made = steps(batch, torch.Generator().manual_seed(0))
    seconds = interleaved(made, rounds=rounds, calls=1, warmup=2)
    for name, times in seconds.items():
        seconds[name] = [each / REPEATS.get(name, 1) for each in times]
    print(f"n = 15, batch {batch}, {rounds} rounds; super-modular where no signs are given")
    print(f"cplex: one thread an instance, {threads} instances at a time; PyMaxflow: one thread")
    print(f"{'solver':28s} {'ms':>9s} {'µs an instance':>15s}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:28s} {1e3 * median:9.3f} {1e6 * median / batch:15.1f}")
    print(f"{'ratio':50s} {'median':>8s} {'quartiles':>15s} {'target':>7s}")
    for name, yard, target in TARGETS:
        median, low, high = ratio(seconds, name, yard)
        verdict = "" if target is None else f"{target:7.3f} {'yes' if median <= target else 'no'}"
        print(f"{f'{name} / {yard}':50s} {median:8.4f} {low:7.4f}–{high:.4f} {verdict}".rstrip())


GROWTH: tuple[tuple[str, type[PairwiseSolver], bool, tuple[int, ...], int], ...] = (
    ("exhaustive", Exhaustive, False, tuple(range(5, 25)), 100),
    ("branch-and-bound", BranchAndBound, False, (5, 8, 10, 12, 15, 18, 20, 25, 30, 35, 40), 100),
    ("max-flow", MaxFlow, True, (5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200), 100),
    ("highs", Highs, False, (5, 8, 10, 12, 15, 18, 20, 25, 30), 10),
    ("cplex", Cplex, False, (5, 8, 10, 12, 15, 18, 20, 25, 30, 35), 10),
)
"""Name, class, whether super-modular, n, instances at most."""


def growth(seconds: float, largest: int) -> dict[str, list[dict[str, float]]]:
    """Time an instance against n, of the batch as a whole; about `seconds` a point at most."""
    curves: dict[str, list[dict[str, float]]] = {}
    for name, kind, supermodular, sizes, most in GROWTH:
        curves[name] = []
        solver = kind()
        for n in (n for n in sizes if n <= largest):
            generator = torch.Generator().manual_seed(n)
            problem = instances(n, most, supermodular=supermodular, generator=generator)
            point = measure(solver, problem, seconds)
            if point is None:
                break
            curves[name].append({"n": n, **point})
            print(f"{name:18s} n = {n:3d} {point['microseconds']:12.2f} µs an instance")
            if point["microseconds"] > 5e5 * seconds:
                break
    return curves


def measure(
    solver: PairwiseSolver, problem: tuple[Tensor, Tensor], seconds: float
) -> dict[str, float] | None:
    """Median and quartiles over calls of as many instances as there is time for."""

    def call(count: int) -> float:
        began = time.perf_counter()
        status = solver(*(part[:count] for part in problem), validate=False).status
        assert status is Status.OPTIMAL
        return time.perf_counter() - began

    most = len(problem[0])
    try:
        call(1)
        each = min(call(2), call(2)) / 2
    except ValueError:  # beyond the Community Edition
        return None
    count = max(2, min(most, int(seconds / each / 5)))
    times = [call(count)]
    while sum(times) < seconds and len(times) < 30:
        times.append(call(count))
    low, middle, high = statistics.quantiles(times, n=4) if len(times) > 1 else [times[0]] * 3
    scale = 1e6 / count
    return {
        "microseconds": round(scale * middle, 3),
        "low": round(scale * low, 3),
        "high": round(scale * high, 3),
        "instances": count,
        "calls": len(times),
    }


Curve = tuple[str, list[float], list[float], str, str, tuple[float, float], str]
"""Label, x, y, colour, marker, where the label is (points from its end), its alignment."""


def growth_figure(
    curves: list[Curve], *, xlabel: str, ylabel: str, right: float, log_x: bool = False
) -> Figure:
    """Curves on a logarithmic scale, each with its name beside it."""
    with style():
        figure = Figure(figsize=(7.6, 4.4), layout="constrained")
        axes = figure.subplots()
        for label, x, y, color, marker, offset, align in curves:
            axes.plot(x, y, color=LIGHT[color], marker=marker, markersize=5, linewidth=1.6)
            axes.annotate(
                label, (x[-1], y[-1]), xytext=offset, textcoords="offset points", ha=align,
                va="center",
            )  # fmt: skip
        axes.set_yscale("log")
        if log_x:
            axes.set_xscale("log")
        axes.set_xlim(right=right)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.grid(visible=False, axis="x")
    return figure


def save(figure: Figure, path: Path) -> None:
    """An SVG file that follows the reader's choice of a light or dark screen."""
    axes = figure.axes[0]
    title = f"{axes.get_ylabel()} by {axes.get_xlabel()}"
    write_atomic(path, svg_file(figure, path.stem, title))


def draw(record: dict[str, Any]) -> Figure:
    """Time an instance against n."""
    styles: dict[str, tuple[str, str, tuple[float, float], str]] = {
        "exhaustive": ("blue", "o", (7, 0), "left"),
        "branch-and-bound": ("vermillion", "s", (7, 0), "left"),
        "max-flow": ("green", "D", (7, 0), "left"),
        "highs": ("purple", "^", (-8, 4), "right"),
        "cplex": ("orange", "v", (8, 0), "left"),
    }
    names = {"max-flow": "max-flow\n(super-modular)"}
    curves: list[Curve] = []
    for name, points in record["curves"].items():
        x, y = [p["n"] for p in points], [p["microseconds"] for p in points]
        curves.append((names.get(name, name), x, y, *styles[name]))
    figure = growth_figure(
        curves,
        xlabel="variables n",
        ylabel=f"time an instance, {record['threads']} threads",
        right=520,
        log_x=True,
    )
    axes = figure.axes[0]
    axes.set_xticks([5, 10, 20, 40, 100, 200], ["5", "10", "20", "40", "100", "200"])
    units = ("1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s")
    axes.set_yticks([10**power for power in range(7)], units)
    axes.set_ylim(0.3, 1.5e6)
    axes.minorticks_off()
    return figure


def main() -> None:
    """Measure, print, draw."""
    parser = command_line(__doc__, rounds=20)
    parser.add_argument("--batch", type=int, default=100, help="instances of the ratios")
    parser.add_argument("--largest", type=int, default=200, help="n of the growth")
    parser.add_argument("--seconds", type=float, default=0.5, help="for a point of the growth")
    parser.add_argument("--no-growth", action="store_true", help="only the ratios")
    parser.add_argument("--redraw", action="store_true", help="draw solvers.json again")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "reproductions")
    options = parse(parser)
    file = options.folder / "solvers.json"
    if not options.redraw:
        ratios(options.rounds, options.batch)
        if options.no_growth:
            return
        record = {
            "command": f"python benchmarks/solvers.py --seconds {options.seconds:g}",
            "threads": options.threads,
            **environment(),
            "curves": growth(options.seconds, options.largest),
        }
        write_atomic(file, json.dumps(record) + "\n")
    save(draw(json.loads(file.read_text())), options.folder / "solvers.svg")


if __name__ == "__main__":
    main()
