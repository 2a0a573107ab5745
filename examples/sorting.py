"""Learn to sort numbers from sorted lists: scores of a network, a ranking, and its loss."""

from __future__ import annotations

import argparse

import torch

from directmax.objectives import fenchel_young
from directmax.structures import Ranking

TINY = "--steps 3"


def main() -> None:
    """A score for every number; the loss of the ranks that the scores give."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, default=10)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    torch.manual_seed(0)
    ranking = Ranking(options.numbers)
    network = torch.nn.Sequential(
        torch.nn.Linear(1, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1), torch.nn.Flatten(-2)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(options.steps):
        numbers = torch.rand(32, options.numbers, 1)
        ranks = numbers.squeeze(-1).argsort(-1).argsort(-1).float()  # known, as from sorted lists
        optimizer.zero_grad()
        fenchel_young(network(numbers), ranks, ranking).mean().backward()
        optimizer.step()
    numbers = torch.rand(1000, options.numbers, 1)
    found = ranking.argmax(network(numbers).detach())
    wrong = found != numbers.squeeze(-1).argsort(-1).argsort(-1)
    print(f"{100 * wrong.float().mean():.2f} % of the ranks are wrong")


if __name__ == "__main__":
    main()
