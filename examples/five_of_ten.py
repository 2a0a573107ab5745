"""Learn weights of ten elements, so that the five that are drawn are near a target on average."""

from __future__ import annotations

import argparse

import torch

from directmax import ClampedArgmax, Direct, ImplicitMLE, PerturbedArgmax, ScoreFunction
from directmax.distributions import Gibbs
from directmax.structures import Subsets

TINY = "--steps 3"


def main() -> None:
    """E‖z − b‖² after so many steps, by estimators of perturbed and of exact samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    fives, target = Subsets(10, 5), torch.rand(10, generator=torch.Generator().manual_seed(0))
    least = ((fives.argmax(target[None]) - target) ** 2).sum()
    kinds = {
        "clamped argmax": (PerturbedArgmax, ClampedArgmax()),
        "direct, two-sided": (PerturbedArgmax, Direct(two_sided=True)),
        "implicit MLE": (PerturbedArgmax, ImplicitMLE()),
        "score function, Gibbs": (Gibbs, ScoreFunction(num_samples=8)),
    }

    def distance(z: torch.Tensor) -> torch.Tensor:
        return ((z[..., 1] - target.to(z)) ** 2).sum(-1)

    for name, (distribution, estimator) in kinds.items():
        torch.manual_seed(0)
        weights = torch.zeros(1, 10, requires_grad=True)
        optimizer = torch.optim.Adam([weights], lr=0.1)
        for _ in range(options.steps):
            optimizer.zero_grad()
            estimator(distribution(weights, fives), distance).loss.sum().backward()
            optimizer.step()
        drawn = distribution(weights.detach(), fives).sample(10_000)
        print(f"{name:22s} above the least by {distance(drawn).mean() - least:6.3f}")


if __name__ == "__main__":
    main()
