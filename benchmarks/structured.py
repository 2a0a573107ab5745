"""A training step with binary variables, independent or coupled, against G in the same run.

    python benchmarks/structured.py [--rounds 20] [--threads 2] [--device cpu] [--no-growth]

G is a plain Gumbel-Softmax step with one variable of 10 values (see common.py). The networks are
the paper's, the batch is 100, and the models train while they are timed. "float32" decodes
candidates without bfloat16. Then the time of a step against n, drawn to
reproductions/structured_steps.svg.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from common import Step, command_line, interleaved, mnist, model_step, parse, ratio, yardstick
from directmax import (
    ClampedArgmax,
    Decoder,
    Direct,
    DiscreteVAE,
    Encoder,
    Estimator,
    LocalExpectation,
    PairwiseEncoder,
)
from directmax._precision import fast_bfloat16
from directmax.tool.files import write_atomic
from directmax.tool.look.palette import LIGHT
from directmax.tool.run.provenance import environment
from solvers import Curve, growth_figure, save

TINY = "--threads 1 --rounds 2 --calls 1 --variables 5 --folder ."
TARGETS = {"independent, direct": 2.0, "super-modular, direct": 2.5, "general, direct": 3.0}
ESTIMATORS: dict[str, dict[str, type[Estimator]]] = {
    "independent": {"direct": Direct, "local-expectation": LocalExpectation},
    "super-modular": {"direct": Direct, "clamped-argmax": ClampedArgmax},
    "general": {"direct": Direct, "clamped-argmax": ClampedArgmax},
}
SOLVERS = {"super-modular": "max-flow", "general": "exhaustive"}


def build(
    kind: str,
    estimator: Estimator,
    *,
    n: int = 15,
    solver: str | None = None,
    unary_kl: bool = False,
    reduced: bool = True,
) -> DiscreteVAE:
    """The paper's networks."""
    torch.manual_seed(0)
    encoder: Encoder | PairwiseEncoder
    if kind == "independent":
        encoder = Encoder(784, n, 2)
    else:
        positive = kind == "super-modular"
        encoder = PairwiseEncoder(784, n, supermodular=positive, solver=solver or SOLVERS[kind])
    decoder = Decoder(n, 2, 784)
    return DiscreteVAE(encoder, decoder, estimator, unary_kl=unary_kl, reduced=reduced)


def report(steps: dict[str, Step], *, rounds: int, calls: int) -> dict[str, list[float]]:
    """Time and print."""
    seconds = interleaved(steps, rounds=rounds, calls=calls, warmup=2)
    for name, times in seconds.items():
        median, low, high = ratio(seconds, name, "G")
        target = TARGETS.get(name, "")
        print(
            f"{name:40s} {1e3 * statistics.median(times):8.2f} "
            f"{median:10.2f} {low:7.2f}–{high:<6.2f} {target:>6}".rstrip()
        )
    return seconds


def ratios(images: Tensor, n: int, rounds: int, calls: int) -> None:
    """Every estimator, and the same step with other packages."""
    print(f"{f'step, n={n}':40s} {'ms':>8s} {'ratio to G':>10s} {'quartiles':>14s} {'target':>6s}")
    steps = {"G": yardstick(images, 10, 1)}
    for kind, estimators in ESTIMATORS.items():
        for name, estimator in estimators.items():
            for reduced in (True, False):
                label = f"{kind}, {name}" + ("" if reduced else ", float32")
                model = build(kind, estimator(), n=n, reduced=reduced)
                steps[label] = model_step(model, images)
    report(steps, rounds=rounds, calls=calls)
    steps = {"G": steps["G"]}
    for kind, solver in (("super-modular", "pymaxflow"), ("general", "cplex")):
        model = build(kind, Direct(), n=n, solver=solver)
        steps[f"{kind}, direct, {solver}"] = model_step(model, images)
    report(steps, rounds=min(5, rounds), calls=1)


GROWTH: tuple[tuple[str, str, bool, tuple[int, ...]], ...] = (
    ("independent", "independent", False, (5, 10, 15, 20, 25, 30, 35, 40)),
    ("super-modular, Gibbs KL", "super-modular", False, (5, 10, 15, 18, 20)),
    ("super-modular, unary KL", "super-modular", True, (5, 10, 15, 20, 25, 30, 35, 40)),
    ("general, Gibbs KL", "general", False, (5, 10, 15, 18, 20)),
)
"""Label, encoder, whether the KL is that of the unary potentials, n."""


def growth(
    images: Tensor, largest: int, rounds: int, calls: int
) -> dict[str, list[dict[str, float]]]:
    """The ratio of a Direct() step to G against n."""
    curves: dict[str, list[dict[str, float]]] = {}
    yard = yardstick(images, 10, 1)
    for label, kind, unary_kl, sizes in GROWTH:
        curves[label] = []
        for n in (n for n in sizes if n <= largest):
            model = build(kind, Direct(), n=n, unary_kl=unary_kl)
            steps = {"G": yard, f"{label}, n={n}": model_step(model, images)}
            few = n >= 18 and not unary_kl and kind != "independent"
            seconds = interleaved(
                steps, rounds=min(4, rounds) if few else rounds, calls=1 if few else calls, warmup=2
            )
            name = f"{label}, n={n}"
            median, low, high = (round(each, 4) for each in ratio(seconds, name, "G"))
            milliseconds = round(1e3 * statistics.median(seconds[name]), 3)
            curves[label].append(
                {"n": n, "ratio": median, "low": low, "high": high, "milliseconds": milliseconds}
            )
            print(f"{name:40s} {milliseconds:8.2f} {median:10.2f} {low:7.2f}–{high:.2f}")
    return curves


def draw(record: dict[str, Any]) -> Figure:
    """The ratio to G against n."""
    styles: dict[str, tuple[str, str, tuple[float, float], str]] = {
        "independent": ("blue", "o", (7, -7), "left"),
        "super-modular, Gibbs KL": ("green", "D", (7, -5), "left"),
        "super-modular, unary KL": ("purple", "^", (7, 7), "left"),
        "general, Gibbs KL": ("vermillion", "s", (7, 5), "left"),
    }
    curves: list[Curve] = []
    for label, points in record["curves"].items():
        x, y = [p["n"] for p in points], [p["ratio"] for p in points]
        curves.append((label, x, y, *styles[label]))
    figure = growth_figure(
        curves,
        xlabel="binary variables n",
        ylabel="training step of Direct(), in G",
        right=55,
    )
    axes = figure.axes[0]
    top = 1.4 * max(max(y) for _, _, y, *_ in curves)
    ticks = [tick for tick in (0.5, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500) if tick < top]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(0.7, top)
    axes.minorticks_off()
    axes.axhline(1, color=LIGHT["orange"], linewidth=1.2, linestyle="--")
    axes.annotate(
        f"G, {record['milliseconds_of_g']:.1f} ms",
        (55, 1),
        xytext=(0, 7),
        textcoords="offset points",
        ha="right",
        color=LIGHT["ink"],
    )
    return figure


def main() -> None:
    """Measure, print, draw."""
    parser = command_line(__doc__, rounds=20)
    parser.add_argument("--calls", type=int, default=5, help="steps in a round")
    parser.add_argument("--variables", type=int, default=15, help="n of the ratios")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-growth", action="store_true", help="only the ratios")
    parser.add_argument("--no-ratios", action="store_true", help="only the growth")
    parser.add_argument("--redraw", action="store_true", help="draw structured_steps.json again")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "reproductions")
    options = parse(parser)
    file = options.folder / "structured_steps.json"
    if not options.redraw:
        images = mnist().to(options.device)
        kind = "bfloat16" if fast_bfloat16(images.device) else "float32"
        print(
            f"threads {options.threads}, device {options.device}, batch 100, "
            f"{options.rounds} rounds, candidates in {kind}"
        )
        if not options.no_ratios:
            ratios(images, options.variables, options.rounds, options.calls)
        if options.no_growth:
            return
        largest = 40 if options.variables == 15 else options.variables
        curves = growth(images, largest, max(2, options.rounds // 2), min(3, options.calls))
        quotients = [p["milliseconds"] / p["ratio"] for points in curves.values() for p in points]
        record = {
            "command": f"python benchmarks/structured.py --rounds {options.rounds}",
            "device": options.device,
            "threads": options.threads,
            "candidates": kind,
            "milliseconds_of_g": round(statistics.median(quotients), 2),
            **environment(),
            "curves": curves,
        }
        write_atomic(file, json.dumps(record) + "\n")
    save(draw(json.loads(file.read_text())), options.folder / "structured_steps.svg")


if __name__ == "__main__":
    main()
