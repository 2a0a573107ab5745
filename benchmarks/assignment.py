"""Quadratic assignment: a loss of pairs on a set, by several estimators and by hand.

    OMP_NUM_THREADS=1 python benchmarks/assignment.py [--only WORD …] [--seeds 3]

Eight strips of images of digits, one pixel wide, are to be put in an order in which neighbours
differ least. One problem; its weights (8, 8) say which strip comes where, and are what is trained,
300 steps of Adam with rate 0.05. The number is the distance of the best order under the weights in
the end, of each seed; the least of all 40,320 orders is printed first.

"by hand": Gumbel-Sinkhorn (Mena et al. 2018), τ = 0.3, 20 rounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from common import command_line, parse
from directmax import (
    ClampedArgmax,
    Direct,
    Estimator,
    Gibbs,
    NoiseScore,
    PerturbedArgmax,
    ScoreFunction,
)
from directmax.gumbel import sample_gumbel
from directmax.structures import Matching

TINY = "--threads 1 --seeds 1 --steps 2"
COUNT = 8
MATCHING = Matching(COUNT)


def strips() -> Tensor:
    """Distances of the strips, with mean 1."""
    images = torch.tensor(load_digits().data, dtype=torch.float32).view(-1, COUNT, COUNT) / 16
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    columns = images[:, :, order].permute(2, 0, 1).flatten(1)
    distances = torch.cdist(columns, columns)
    return distances / distances.mean()


DISTANCES = strips()


def length(z: Tensor) -> Tensor:
    """Of neighbours: z is one-hot, or relaxed, `(…, place, strip)`."""
    between = z @ DISTANCES @ z.transpose(-1, -2)
    return between.diagonal(offset=1, dim1=-2, dim2=-1).sum(-1)


def sinkhorn(weights: Tensor) -> Tensor:
    scores = (weights + sample_gumbel(weights.shape)) / 0.3
    for _ in range(20):
        scores = scores - scores.logsumexp(-1, keepdim=True)
        scores = scores - scores.logsumexp(-2, keepdim=True)
    return length(scores.exp())


def of_elements(potentials: Tensor) -> Tensor:
    """The best assignment as 64 binary variables."""
    weights = (potentials[..., 1] - potentials[..., 0]).unflatten(-1, (COUNT, COUNT))
    return MATCHING.argmax(weights).flatten(-2).bool()


def perturbed(estimator: Estimator) -> Callable[[Tensor], Tensor]:
    return lambda weights: estimator(PerturbedArgmax(weights, MATCHING), length).loss


def gibbs(estimator: Estimator) -> Callable[[Tensor], Tensor]:
    return lambda weights: estimator(Gibbs(weights, MATCHING), length).loss


def elements(estimator: Estimator) -> Callable[[Tensor], Tensor]:
    def losses(weights: Tensor) -> Tensor:
        q = PerturbedArgmax(weights.flatten(1), of_elements)
        return estimator(q, lambda z: length(z[..., 1].unflatten(-1, (COUNT, COUNT)))).loss

    return losses


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "ClampedArgmax() of 64 elements": elements(ClampedArgmax()),
    "ScoreFunction(16) on a Gibbs": gibbs(ScoreFunction(num_samples=16)),
    "Gumbel-Sinkhorn by hand": sinkhorn,
    "NoiseScore(16)": perturbed(NoiseScore(num_samples=16)),
    "Direct(4), two_sided": perturbed(Direct(num_samples=4, two_sided=True)),
    "Direct(4)": perturbed(Direct(num_samples=4)),
    "Direct()": perturbed(Direct()),
}


def trained(way: Callable[[Tensor], Tensor], seed: int, steps: int) -> float:
    """The length of the best order under the trained weights."""
    torch.manual_seed(seed)
    weights = nn.Parameter(0.1 * torch.randn(1, COUNT, COUNT))
    optimizer = torch.optim.Adam([weights], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        way(weights).sum().backward()
        optimizer.step()
    return float(length(MATCHING.one_hot(MATCHING.argmax(weights.detach()))))


def main() -> None:
    """Train and print."""
    parser = command_line(__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="words in the names of ways")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    options = parse(parser)
    orders = torch.tensor(list(itertools.permutations(range(COUNT))))
    print(f"the best order: {float(DISTANCES[orders[:, :-1], orders[:, 1:]].sum(-1).min()):.2f}")
    for name, way in WAYS.items():
        if any(word in name for word in options.only):
            found = [trained(way, seed, options.steps) for seed in range(options.seeds)]
            print(f"{name:32s}", *(f"{each:.2f}" for each in found), flush=True)


if __name__ == "__main__":
    main()
