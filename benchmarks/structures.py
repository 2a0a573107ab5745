"""Time of one batched argmax and of sums, for every structure, in units of a sort in the same run.

The yardstick is `torch.sort` of 640 rows of ten numbers.
"""

from __future__ import annotations

import statistics

import torch

from common import command_line, interleaved, parse
from directmax.structures import (
    Arborescence,
    Chain,
    Knapsack,
    Listed,
    Matching,
    Paths,
    ProjectiveTree,
    Ranking,
    SpanningTree,
    Structure,
    Subsets,
)

TINY = "--rounds 2 --calls 1 --small --threads 1"


def problems(small: bool) -> dict[str, tuple[Structure, int]]:
    """Name to structure and batch size."""
    n, b = (4, 3) if small else (20, 96)
    g = torch.Generator().manual_seed(0)
    states = torch.eye(40, dtype=torch.bool)[:, :40].repeat(2, 1)[:70]
    states = (torch.rand(70, 40, generator=g) < 0.3) ^ states
    return {
        "5 of 10": (Subsets(10, 5), 3 if small else 640),
        f"matching, {n} x {n}": (Matching(n), 2 * b),
        f"ranking of {n}": (Ranking(n), b),
        "paths, 5 x 5": (Paths.grid(5, 5), b),
        "paths, 12 x 12, Dijkstra": (
            Paths.grid(12, 12, neighbours="8", on="vertices", clip=True),
            b,
        ),
        f"chain, 50 of {n} states": (Chain(50, n, torch.randn(n, n, generator=g)), b),
        f"arborescence, {n}": (Arborescence(n), b),
        f"projective tree, {n}": (ProjectiveTree(n), b),
        f"spanning tree, {n}": (SpanningTree(n), b),
        "knapsack, 32 in 200": (Knapsack(torch.randint(5, 20, (32,), generator=g), 200), b),
        "listed, 70 of 40": (Listed(states), b),
    }


def main() -> None:
    """Print a line for each: milliseconds (least and median) and the ratio to the yardstick."""
    parser = command_line(__doc__ or "", rounds=20)
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--small", action="store_true", help="few small problems")
    parser.add_argument("--sums", action="store_true", help="log-partitions and marginals too")
    options = parse(parser)
    g = torch.Generator().manual_seed(1)
    yardstick = torch.randn(640, 10, generator=g)
    steps = {"yardstick": lambda: yardstick.sort(-1)}
    for name, (structure, batch) in problems(options.small).items():
        weights = torch.randn(batch, *structure.shape, generator=g)
        steps[name] = lambda s=structure, w=weights: s.argmax(w)
        if structure.tractable and options.sums:
            steps[f"{name}: log Z"] = lambda s=structure, w=weights: s.log_partition(w)
            steps[f"{name}: marginals"] = lambda s=structure, w=weights: s.marginals(w)
    seconds = interleaved(steps, rounds=options.rounds, calls=options.calls, warmup=2)
    print(f"{'':40s} {'ms, least':>10s} {'median':>8s} {'ratio':>8s}")
    for name, times in seconds.items():
        ratio = statistics.median(
            own / base for own, base in zip(times, seconds["yardstick"], strict=True)
        )
        least, middle = 1e3 * min(times), 1e3 * statistics.median(times)
        print(f"{name:40s} {least:10.3f} {middle:8.3f} {ratio:8.2f}")


if __name__ == "__main__":
    main()
