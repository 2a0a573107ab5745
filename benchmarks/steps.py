"""One training step of each estimator against G, a plain Gumbel-Softmax step, in the same run.

    python benchmarks/steps.py [--rounds 30] [--device cpu] [--many | --binary | --codebook]
    python benchmarks/steps.py --networks

Prints median ratios with quartiles; an absolute time on a shared machine means little.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from common import Step, command_line, interleaved, mnist, model_step, parse, ratio, yardstick
from directmax import (
    Arm,
    CodebookDecoder,
    CorrectedDirect,
    Decoder,
    Direct,
    DisArm,
    DiscreteVAE,
    Encoder,
    Estimator,
    Exact,
    GumbelRao,
    GumbelSoftmax,
    ImplicitMLE,
    LocalExpectation,
    Rebar,
    ReinMax,
    Relax,
    ScoreFunction,
    StraightThrough,
    Surrogate,
)
from directmax.models import NETWORKS, named_decoder, named_trunk

TINY = (
    "--threads 1 --rounds 2 --calls 1",
    "--threads 1 --rounds 2 --calls 1 --binary",
    "--threads 1 --rounds 2 --calls 1 --codebook",
    "--threads 1 --rounds 2 --calls 1 --networks",
)
TARGETS = {"direct, k=10": 0.55, "direct, k=50": 0.80, "exact, k=50": 0.75}
SINGLE, FOUR = 2.5, 3.0
"""Targets of n = 15 binary variables: one sample, and four of the score function."""


def build(n: int, k: int, estimator: Estimator, *, reduced: bool = True) -> DiscreteVAE:
    """The paper's networks."""
    torch.manual_seed(0)
    return DiscreteVAE(Encoder(784, n, k), Decoder(n, k, 784), estimator, reduced=reduced)


class Plain(nn.Module):
    """A codebook before a network, as they are often written: only the result is known."""

    def __init__(self, n: int, k: int, dimensions: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(n, k, dimensions))
        self.layers = nn.Sequential(nn.Linear(n * dimensions, 300), nn.ReLU(), nn.Linear(300, 784))

    def forward(self, z: Tensor) -> Tensor:
        """Pixel logits."""
        logits: Tensor = self.layers(torch.einsum("bnk,nkd->bnd", z, self.vectors).flatten(1))
        return logits


def codebooks(images: Tensor, n: int = 8, k: int = 16) -> dict[str, Step]:
    """A plain function, the codebook with tables, and a linear layer in its place.

    Of a plain function also with one variable of the eight, and the slope for the others.
    """
    decoders = {
        "plain function": Plain(n, k, 16),
        "codebook": CodebookDecoder(n, k, 784, dimensions=16),
        "linear": Decoder(n, k, 784),
    }
    steps = {"G": yardstick(images, k, n)}
    for name, decoder in decoders.items():
        model = DiscreteVAE(Encoder(784, n, k), decoder, LocalExpectation())
        steps[name] = model_step(model, images)
    one = LocalExpectation(num_variables=1, slope=True)
    model = DiscreteVAE(Encoder(784, n, k), Plain(n, k, 16), one)
    steps["plain function, of 1, slope"] = model_step(model, images)
    return steps


def networks(images: Tensor, n: int, k: int, estimator: Estimator) -> dict[str, Step]:
    """The networks by name, all with the same estimator; mlp is the yardstick."""
    steps = {}
    for name in NETWORKS:
        trunk, decoder = named_trunk(name, (28, 28), 300), named_decoder(name, n, k, (28, 28), 300)
        model = DiscreteVAE(Encoder(784, n, k, trunk=trunk), decoder, estimator)
        steps["G" if name == "mlp" else name] = model_step(model, images)
    return steps


def table(title: str, steps: dict[str, Step], options: argparse.Namespace) -> None:
    """Measure steps and print them."""
    seconds = interleaved(steps, rounds=options.rounds, calls=options.calls, warmup=2)
    print(title)
    for name in steps:
        median, low, high = ratio(seconds, name, "G")
        middle = sorted(seconds[name])[len(seconds[name]) // 2]
        print(f"{name:38s} {1e3 * middle:7.2f} {median:10.2f} {low:6.2f}–{high:.2f}")


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__, rounds=30)
    parser.add_argument("--calls", type=int, default=10, help="steps in a round")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--many", action="store_true", help="also n=20, k=10 (slow)")
    parser.add_argument("--binary", action="store_true", help="n=15, k=2 instead: every estimator")
    parser.add_argument("--codebook", action="store_true", help="8 variables with 16 values")
    parser.add_argument("--networks", action="store_true", help="by name, relative to mlp")
    options = parse(parser)
    images = mnist().to(options.device)
    if options.codebook:
        table("8 variables with 16 values, local-expectation", codebooks(images), options)
        return
    if options.networks:
        steps = networks(images, 1, 10, Direct(num_samples=8))
        table("G is mlp, one variable with 10 values, direct", steps, options)
        steps = networks(images, 4, 2, LocalExpectation())
        table("G is mlp, 4 binary variables, local-expectation", steps, options)
        return
    print(f"threads {options.threads}, device {options.device}, batch 100, {options.rounds} rounds")
    print(f"{'step':38s} {'ms':>7s} {'ratio to G':>10s} {'quartiles':>13s} {'target':>7s}")
    for n, k, estimators in cases(options.many, options.binary):
        steps = {"G": yardstick(images, k, n)}
        for name, estimator in estimators.items():
            model = build(n, k, estimator, reduced="float32" not in name)
            steps[name] = model_step(model, images)
        few = max(2, options.rounds // 5) if n == 20 else options.rounds
        seconds = interleaved(steps, rounds=few, calls=options.calls, warmup=min(4, few))
        for name in steps:
            median, low, high = ratio(seconds, name, "G")
            label = f"{name}, k={k}" if n == 1 else f"{name}, n={n}, k={k}"
            target = TARGETS.get(label)
            if options.binary and name != "G":
                target = FOUR if "four" in name else SINGLE
            print(
                f"{label:38s} {1e3 * sorted(seconds[name])[len(seconds[name]) // 2]:7.2f} "
                f"{median:10.2f} {low:6.2f}–{high:.2f} {target if target else '':>7}"
            )


def cases(many: bool, only_binary: bool) -> list[tuple[int, int, dict[str, Estimator]]]:
    """n, k and estimators that are timed together."""
    if only_binary:
        return [(15, 2, binary())]
    one: dict[str, Estimator] = {
        "direct": Direct(),
        "direct, default": Direct(two_sided=True, num_samples=8),
        "exact": Exact(),
        "local-expectation": LocalExpectation(),
        "gumbel-softmax": GumbelSoftmax(),
    }
    two: dict[str, Estimator] = {
        "direct": Direct(),
        "direct, float32": Direct(),
        "direct, ε=0.1": Direct(0.1),
        "direct, ε=0.1, float32": Direct(0.1),
        "direct of 2": Direct(num_variables=2),
        "local-expectation": LocalExpectation(),
        "local-expectation, float32": LocalExpectation(),
        "local-expectation of 2, slope": LocalExpectation(num_variables=2, slope=True),
    }
    return [(1, 10, one), (1, 50, one), *([(20, 10, two)] if many else [])]


def binary() -> dict[str, Estimator]:
    """Every estimator that takes independent binary variables."""
    return {
        "gumbel-softmax": GumbelSoftmax(),
        "straight-through": StraightThrough(),
        "reinmax": ReinMax(),
        "gumbel-rao": GumbelRao(),
        "score-function": ScoreFunction(),
        "score-function, four samples": ScoreFunction(num_samples=4),
        "arm": Arm(),
        "disarm": DisArm(),
        "rebar": Rebar(),
        "relax": Relax(Surrogate(15, 2)),
        "implicit-mle": ImplicitMLE(),
        "direct": Direct(),
        "direct, rao-blackwell": Direct(rao_blackwell=True),
        "corrected-direct": CorrectedDirect(),
        "local-expectation": LocalExpectation(),
    }


if __name__ == "__main__":
    main()
