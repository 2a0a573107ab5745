"""Learn trees that nobody has seen: values of small ListOps expressions through arborescences."""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from directmax import Gibbs, ImplicitMLE, PerturbedArgmax, ScoreFunction
from directmax.structures import Arborescence
from listops_task import LENGTH, Expressions, Network, expressions

TINY = "--steps 2 --seeds 0 --count 60"
METHODS = (
    "implicit MLE",
    "score function",
    "straight-through",
    "marginals",
    "true trees",
)


def loss_of(method: str, network: Network, batch: Expressions) -> torch.Tensor:
    """E[−log p(value | tree)] of the batch, with the gradient of a method."""
    trees, weights = Arborescence(LENGTH, lengths=batch.lengths), network.weights(batch.tokens)

    def f(z: torch.Tensor) -> torch.Tensor:
        return network.losses(batch.tokens, z, batch.values)

    if method == "score function":
        return ScoreFunction(num_samples=2)(Gibbs(weights, trees), f).loss.mean()
    q = PerturbedArgmax(weights, trees)
    if method == "implicit MLE":
        return ImplicitMLE(num_samples=2)(q, f).loss.mean()
    if method == "true trees":
        return f(batch.heads).mean()
    marginals = trees.marginals(weights)
    if method == "marginals":
        return f(marginals).mean()
    return f(q.sample(2) + (marginals - marginals.detach())).mean()


@torch.no_grad()
def judge(method: str, network: Network, batch: Expressions) -> tuple[float, float]:
    """Per cent of right values by the most probable tree, and of right heads."""
    z = Arborescence(LENGTH, lengths=batch.lengths).argmax(network.weights(batch.tokens))
    z = batch.heads if method == "true trees" else z
    right = network.logits(batch.tokens, z).argmax(-1) == batch.values
    heads = (z * batch.heads).sum() / batch.heads.sum()
    return 100 * float(right.float().mean()), 100 * float(heads)


def main() -> None:
    """Train by each method, and print what it learned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--count", type=int, default=5000)
    options = parser.parse_args()
    data, test = expressions(options.count, 0), expressions(1000, 1)
    print(f"{'':18s} values right, %  ±    heads right, %   ms a step")
    for method in options.methods:
        found, began = [], time.process_time()
        for seed in options.seeds:
            torch.manual_seed(seed)
            network = Network()
            optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
            for _ in range(options.steps):
                optimizer.zero_grad()
                loss_of(method, network, data[torch.randint(options.count, (32,))]).backward()
                optimizer.step()
            found.append(judge(method, network, test))
        spent = 1e3 * (time.process_time() - began) / len(options.seeds) / options.steps
        values, heads = zip(*found, strict=True)
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        mean = statistics.mean(values)
        print(
            f"{method:18s} {mean:10.1f} {spread:8.1f} {statistics.mean(heads):12.1f} {spent:13.1f}"
        )


if __name__ == "__main__":
    main()
