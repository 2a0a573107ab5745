"""One training step of each estimator against G, a plain Gumbel-Softmax step, in the same run.

    python benchmarks/steps.py [--rounds 30] [--threads 2] [--device cpu] [--many | --binary]

Prints median ratios with quartiles; an absolute time on a shared machine means little.
"""

from __future__ import annotations

import torch

from common import command_line, interleaved, mnist, model_step, parse, ratio, yardstick
from directmax import (
    Arm,
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

TINY = ("--threads 1 --rounds 2 --calls 1", "--threads 1 --rounds 2 --calls 1 --binary")
TARGETS = {"direct, k=10": 0.55, "direct, k=50": 0.80, "exact, k=50": 0.75}
SINGLE, FOUR = 2.5, 3.0
"""Targets of n = 15 binary variables: one sample, and four of the score function."""


def build(n: int, k: int, estimator: Estimator) -> DiscreteVAE:
    """The paper's networks."""
    torch.manual_seed(0)
    return DiscreteVAE(Encoder(784, n, k), Decoder(n, k, 784), estimator)


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__, rounds=30)
    parser.add_argument("--calls", type=int, default=10, help="steps in a round")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--many", action="store_true", help="also n=20, k=10 (slow)")
    parser.add_argument("--binary", action="store_true", help="n=15, k=2 instead: every estimator")
    options = parse(parser)
    images = mnist().to(options.device)
    print(f"threads {options.threads}, device {options.device}, batch 100, {options.rounds} rounds")
    print(f"{'step':38s} {'ms':>7s} {'ratio to G':>10s} {'quartiles':>13s} {'target':>7s}")
    for n, k, estimators in cases(options.many, options.binary):
        steps = {"G": yardstick(images, k, n)}
        for name, estimator in estimators.items():
            steps[name] = model_step(build(n, k, estimator), images)
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
    two: dict[str, Estimator] = {"direct": Direct(), "local-expectation": LocalExpectation()}
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
