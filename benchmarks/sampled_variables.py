"""Variance times cost of unbiased estimators with many binary variables, on trained decoders.

For each n a discrete auto-encoder of scikit-learn's digits, or of `--data`, is trained for some
epochs by the local expectation. Then, for a batch of images, every estimator's gradient of the
logits is drawn many times: the variance is the sum over logits, the mean over images; the time is
that of one estimate with its pass backward, all estimators in turn in the same run. Their product
says how long one must average for a given error; it is shown as a ratio to that of the local
expectation of all variables. ReinMax and direct have a bias, which it does not say.

    python benchmarks/sampled_variables.py --variables 15 50 200
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from directmax import (
    Categorical,
    Decoder,
    Direct,
    DisArm,
    DiscreteVAE,
    Encoder,
    Estimator,
    LocalExpectation,
    Rebar,
    ReinMax,
    ScoreFunction,
)
from directmax.tool.data import load_images

TINY = "--variables 6 --epochs 1 --draws 8"
BATCH = 100


def trained(images: Tensor, n: int, epochs: int) -> DiscreteVAE:
    """An auto-encoder of n binary variables."""
    torch.manual_seed(0)
    pixels = images.shape[1]
    model = DiscreteVAE(Encoder(pixels, n, 2), Decoder(n, 2, pixels), LocalExpectation())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch in images[torch.randperm(len(images))].split(BATCH):
            terms = model(batch)
            (terms.reconstruction + terms.kl).mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return model


def estimators(n: int) -> dict[str, Estimator]:
    """What is compared."""
    some = sorted({max(1, n // 16), max(1, n // 8), max(1, n // 4)})
    return {
        "local expectation": LocalExpectation(),
        **{f"… of {m}": LocalExpectation(num_variables=m) for m in some},
        **{f"… of {m}, slope": LocalExpectation(num_variables=m, slope=True) for m in some},
        "direct": Direct(two_sided=True),
        **{f"direct of {m}": Direct(two_sided=True, num_variables=m) for m in some},
        "DisARM": DisArm(),
        "RLOO, 4 draws": ScoreFunction(num_samples=4),
        "REBAR": Rebar(),
        "ReinMax": ReinMax(),
    }


def drawing(
    model: DiscreteVAE, images: Tensor, estimator: Estimator, plain: bool
) -> Callable[[], Tensor]:
    """A draw of the gradient of the logits, `(b, n, 2)`."""
    fast, logits = model.objective(images), model.encoder(images).detach()

    def objective(z: Tensor) -> Tensor:
        losses: Tensor = fast(z)
        return losses

    def draw() -> Tensor:
        potentials = logits.clone().requires_grad_()
        q = Categorical(potentials, validate=False)
        loss = estimator(q, objective if plain else fast).loss
        (gradient,) = torch.autograd.grad(loss.sum(), potentials)
        return gradient

    return draw


def measured(draws: dict[str, Callable[[], Tensor]], count: int) -> dict[str, tuple[float, float]]:
    """Variance and the least time of each, in turn."""
    sums = dict.fromkeys(draws, (0.0, 0.0))
    least = dict.fromkeys(draws, float("inf"))
    for step in range(count + 2):
        for name, draw in draws.items():
            began = time.perf_counter()
            found = draw().double()
            if step < 2:  # the first ones compile and fill caches
                continue
            least[name] = min(least[name], time.perf_counter() - began)
            first, second = sums[name]
            sums[name] = (first + found, second + found.square())
    variance = {
        name: float((second / count - (first / count).square()).sum((-2, -1)).mean())
        * count
        / (count - 1)
        for name, (first, second) in sums.items()
    }
    return {name: (variance[name], least[name]) for name in draws}


def main() -> None:
    """Print a table for each n."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variables", nargs="+", type=int, default=[15, 50, 200])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--plain", action="store_true", help="f as a function without fast tables")
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    images = (load_images(options.data).train.images.flatten(1) > 0.5).float()
    for n in options.variables:
        model = trained(images, n, options.epochs)
        draws = {
            name: drawing(model, images[:BATCH], estimator, options.plain)
            for name, estimator in estimators(n).items()
        }
        found = measured(draws, options.draws)
        variance, seconds = found["local expectation"]
        table = Table(title=f"{n} binary variables, ratios to the local expectation of all")
        for column in ("estimator", "variance", "time", "variance × time"):
            table.add_column(column, justify="left" if column == "estimator" else "right")
        for name, (each, cost) in found.items():
            ratios = each / variance, cost / seconds, each * cost / (variance * seconds)
            table.add_row(name, *(f"{ratio:.3g}" for ratio in ratios))
        Console().print(table)


if __name__ == "__main__":
    main()
