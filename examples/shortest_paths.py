"""Predict the costs of a grid from features, so that the path that looks best is a good one."""

from __future__ import annotations

import argparse

import torch

from directmax.objectives import regret, shortest_path_task, spo_plus

TINY = "--problems 60 --epochs 2"


def main() -> None:
    """Linear models by least squares, by SPO+ and by its perturbed form; regret on other data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=1000, help="to learn from, as many to test")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--degree", type=int, default=4)
    options = parser.parse_args()
    g = torch.Generator().manual_seed(1)
    task = shortest_path_task(2 * options.problems, degree=options.degree, noise=0.5, generator=g)
    paths, (x, test_x), (c, test_c) = task.structure, task.features.chunk(2), task.costs.chunk(2)
    best, optimum = paths.argmax(-c), (test_c * paths.argmax(-test_c)).sum()
    losses = {
        "least squares": lambda guess, i: ((guess - c[i]) ** 2).mean(-1),
        "SPO+": lambda guess, i: spo_plus(guess, c[i], paths, labels=best[i]),
        "perturbed SPO+": lambda guess, i: spo_plus(
            guess, c[i], paths, labels=best[i], noise="gumbel", num_samples=3, generator=g
        ),
    }
    for name, loss in losses.items():
        torch.manual_seed(0)
        model = torch.nn.Linear(x.shape[1], c.shape[1])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(options.epochs):
            for i in torch.randperm(len(x), generator=g).split(32):
                optimizer.zero_grad()
                loss(model(x[i]), i).mean().backward()
                optimizer.step()
        lost = regret(model(test_x).detach(), test_c, paths).sum() / optimum
        print(f"{name:16s} regret {100 * lost:5.2f} %")


if __name__ == "__main__":
    main()
