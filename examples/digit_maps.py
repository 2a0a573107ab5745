"""Paths over a map of handwritten digits: a network learns what to enter from what the way cost.

A map is a square of handwritten digits. A path goes from the upper left to the lower right corner,
each step to the right or down, and entering a cell costs its digit. A network gives every image a
weight, and dynamic programming finds the path of the highest sum of weights. No digit is ever
labelled: all that training sees is the cost f(z) of paths z, an ordinary function. The path is an
argmax over thousands of paths, and `PerturbedArgmax` makes a distribution of any such argmax.

    python examples/digit_maps.py
    python examples/digit_maps.py --cost largest --picture map.png

The cost of a path is the sum of its digits, or the largest of them. The same network is trained
with several estimators of the gradient of E[f(z)]; "labelled" sees the cheapest path of every map
instead of costs, and "digits" is a reference that is trained with every cell's digit. What is
printed: by how much the paths cost more than the cheapest, on maps of test images, which are used
once; the epoch is chosen by maps of validation images.
"""

from __future__ import annotations

import copy
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn

from directmax import ClampedArgmax, Direct, Estimator, ImplicitMLE, LabelledDirect, PerturbedArgmax
from directmax.tool.data import Split, load_images

ESTIMATORS: dict[str, Callable[[], Estimator]] = {
    "clamped-argmax": ClampedArgmax,
    "direct": lambda: Direct(two_sided=True),
    "implicit-mle": lambda: ImplicitMLE(two_sided=True),
}
METHODS = (*ESTIMATORS, "labelled", "digits")
COSTS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda entered: entered.sum(-1),
    "largest": lambda entered: entered.amax(-1),
}
"""Of a path, from the digits of the cells that it enters, 0 elsewhere."""
TINY = "--size 3 --epochs 1 --seeds 0 --picture picture.png"
"""Flags of a quick look at everything; the tests run it."""


@dataclass(frozen=True)
class Settings:
    """Paths over maps of handwritten digits, trained with several gradient estimators."""

    cost: str = "sum"
    """Of a path: sum or largest of the digits on it."""
    methods: tuple[str, ...] = METHODS
    """Any of clamped-argmax, direct, implicit-mle, labelled, digits."""
    data: str = "digits"
    """Data set: digits or mnist."""
    data_dir: str | None = None
    """Where to look for images first."""
    size: int = 8
    """Cells in a row and in a column."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of weights, maps and noise."""
    epochs: int = 20
    """Of 50 mini-batches each."""
    batch_size: int = 20
    """Maps in a mini-batch."""
    learning_rate: float = 3e-3
    """Of Adam, falling to zero along a cosine."""
    picture: Path | None = None
    """PNG file to draw some test maps to, with the paths of the first run."""


def best_paths(weights: Tensor) -> Tensor:
    """The path with the highest sum of weights, by dynamic programming.

    Args:
        weights: of the cells, `(..., m, m)`, any sign.

    Returns:
        Which cells are on it, bool `(..., m, m)`.
    """
    size = weights.shape[-1]
    sums = torch.full((*weights.shape[:-2], size + 1, size + 1), -torch.inf).to(weights)
    sums[..., 0, 1] = 0  # beside the first cell; row and column 0 are a margin
    for row in range(1, size + 1):
        for column in range(1, size + 1):
            before = torch.maximum(sums[..., row - 1, column], sums[..., row, column - 1])
            sums[..., row, column] = before + weights[..., row - 1, column - 1]
    flat = sums.flatten(-2)  # (..., (m + 1)²)
    on = torch.zeros_like(flat, dtype=torch.bool)
    place = torch.full((*weights.shape[:-2], 1), (size + 1) ** 2 - 1).to(weights.device)
    for _ in range(2 * size - 1):  # back from the last cell
        on.scatter_(-1, place, True)
        above, left = place - size - 1, place - 1
        place = torch.where(flat.gather(-1, above) >= flat.gather(-1, left), above, left)
    return on.unflatten(-1, (size + 1, size + 1))[..., 1:, 1:]


def all_paths(size: int) -> Tensor:
    """Every path, bool `(K, m, m)`."""
    choices = torch.combinations(torch.arange(2 * size - 2), size - 1)  # the steps down
    down = torch.zeros(len(choices), 2 * size - 2, dtype=torch.long).scatter(1, choices, 1)
    row = torch.cat([down.new_zeros(len(down), 1), down.cumsum(1)], 1)
    column = torch.arange(2 * size - 1) - row
    on = torch.zeros(len(down), size * size, dtype=torch.bool)
    return on.scatter(1, row * size + column, True).unflatten(1, (size, size))


@dataclass(frozen=True)
class Maps:
    """Images `(b, n, pixels)` of n = m² cells, and their digits `(b, n)`."""

    images: Tensor
    digits: Tensor


def draw_maps(split: Split, count: int, size: int, generator: torch.Generator) -> Maps:
    """Maps of images drawn from a split."""
    chosen = torch.randint(len(split), (count, size * size), generator=generator)
    return Maps(split.images[chosen], split.labels[chosen].float())


class Planner(nn.Module):
    """Image of a cell → its weight."""

    def __init__(self, pixels: int, hidden: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.argmaxes = 0  # of single maps

    def forward(self, images: Tensor) -> Tensor:
        """Weights `(b, n)`."""
        return self.layers(images).squeeze(-1)

    def paths(self, images: Tensor) -> PerturbedArgmax:
        """The distribution over paths."""
        weights = self(images)
        unary = torch.stack([torch.zeros_like(weights), weights], -1)  # (b, n, 2): off, on
        return PerturbedArgmax(unary, self.maximise)

    def maximise(self, potentials: Tensor) -> Tensor:
        """The best path under potentials `(s, b, n, 2)`, as zeros and ones `(s, b, n)`."""
        weights = potentials[..., 1] - potentials[..., 0]
        self.argmaxes += weights.shape[:-1].numel()
        size = round(weights.shape[-1] ** 0.5)
        return best_paths(weights.unflatten(-1, (size, size))).flatten(-2)


class Costs:
    """f, from one-hot z `(*s, b, n, 2)` to costs `(*s, b)`, counting how often it is asked."""

    def __init__(self, digits: Tensor, cost: str) -> None:
        self.digits, self.cost, self.evaluations = digits, COSTS[cost], 0

    def __call__(self, z: Tensor) -> Tensor:
        self.evaluations += z.shape[:-2].numel()
        return self.cost(z[..., 1] * self.digits)


def cheapest(digits: Tensor, cost: str, every: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest cost of any path, `(b,)`, and a path that has it, `(b, n)`, by trying all."""
    flat = every.flatten(1).float()
    costs = [COSTS[cost](flat * each) for each in digits]  # (K,) a map
    best = torch.stack([each.argmin() for each in costs])
    return torch.stack([each.min() for each in costs]), flat[best].long()


@torch.no_grad()
def excess(model: Planner, maps: Maps, cost: str, lowest: Tensor) -> float:
    """By how much the paths of a model cost more than the cheapest, in per cent of these."""
    found = Costs(maps.digits, cost)(model.paths(maps.images).mode())
    return float(100 * (found.sum() / lowest.sum() - 1))


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        model: with the weights of the epoch that was best on validation maps.
        evaluations: of f, for one map in one step.
        argmaxes: found, for one map in one step.
    """

    model: Planner
    evaluations: float
    argmaxes: float


def train(
    settings: Settings, method: str, seed: int, images: Split, validation: tuple[Maps, Tensor]
) -> Run:
    """Train a model with one method; validation maps choose the epoch."""
    torch.manual_seed(seed)
    model = Planner(images.images.shape[1])
    generator = torch.Generator().manual_seed(seed)
    estimator = ESTIMATORS[method]() if method in ESTIMATORS else None
    every = all_paths(settings.size)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50 * settings.epochs)
    best, lowest, evaluations, argmaxes = model.state_dict(), float("inf"), 0, 0
    for _ in range(settings.epochs):
        for _ in range(50):
            maps = draw_maps(images, settings.batch_size, settings.size, generator)
            model.argmaxes = 0
            if estimator is not None:
                f = Costs(maps.digits, settings.cost)
                loss = estimator(model.paths(maps.images), f, generator=generator).loss
                evaluations += f.evaluations
            elif method == "labelled":
                labels = cheapest(maps.digits, settings.cost, every)[1]
                loss = LabelledDirect()(model.paths(maps.images), labels, generator=generator).loss
            else:
                loss = (model(maps.images) + maps.digits).square().mean(-1)
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            schedule.step()
            argmaxes += model.argmaxes
        now = excess(model, validation[0], settings.cost, validation[1])
        if now < lowest:
            best, lowest = copy.deepcopy(model.state_dict()), now
    model.load_state_dict(best)
    count = 50 * settings.epochs * settings.batch_size
    return Run(model, evaluations / count, argmaxes / count)


def compare(settings: Settings) -> None:
    """Train with every method and seed, and print the table."""
    data = load_images(settings.data, data_dir=settings.data_dir)
    every = all_paths(settings.size)
    held_out = []
    for number, split in enumerate((data.validation, data.test)):
        generator = torch.Generator().manual_seed(1_000_000 + number)
        maps = draw_maps(split, 500, settings.size, generator)
        held_out.append((maps, cheapest(maps.digits, settings.cost, every)[0]))
    seeds = ", ".join(map(str, settings.seeds))
    print(
        f"maps of {settings.size}×{settings.size} {settings.data}, cost: {settings.cost}; ", end=""
    )
    print(f"{len(every)} paths; {settings.epochs} epochs, seeds {seeds}")
    print("mean excess over the cheapest path on test maps, mean ± standard deviation over seeds\n")
    print(f"{'':16}{'excess':>16}{'evaluations of f':>18}{'argmaxes':>10}")
    for method in settings.methods:
        runs = [train(settings, method, seed, data.train, held_out[0]) for seed in settings.seeds]
        found = [excess(run.model, held_out[1][0], settings.cost, held_out[1][1]) for run in runs]
        text = f"{statistics.mean(found):.1f}"
        text += f" ± {statistics.stdev(found):.1f} %" if len(found) > 1 else " %"
        cost = f"{runs[0].evaluations:>18.0f}{runs[0].argmaxes:>10.0f}"
        print(f"{method:16}{text:>16}{cost}", flush=True)
        if settings.picture and method == settings.methods[0]:
            draw(runs[0].model, held_out[1][0], data.shape, settings.picture)


def draw(model: Planner, maps: Maps, shape: tuple[int, int], path: Path, *, count: int = 4) -> None:
    """Maps with the path of the model as a line."""
    from matplotlib.figure import Figure

    height, width = shape[0] + 2, shape[1] + 2  # with an empty frame
    size = round(maps.images.shape[1] ** 0.5)
    paths = model.paths(maps.images[:count]).mode()[..., 1].unflatten(-1, (size, size))
    figure = Figure(figsize=(2.6 * count, 2.7), layout="constrained")
    for axes, cells, on in zip(figure.subplots(1, count), maps.images, paths, strict=False):
        framed = nn.functional.pad(cells.view(-1, *shape), (1, 1, 1, 1))
        picture = framed.view(size, size, height, width).transpose(1, 2)
        picture = picture.reshape(size * height, size * width)
        axes.imshow(picture.numpy(), cmap="gray_r", vmin=0, vmax=1)
        rows, columns = on.nonzero().T  # in the order of the path: each step is right or down
        axes.plot(
            (columns + 0.5) * width - 0.5,
            (rows + 0.5) * height - 0.5,
            color="#0072b2",
            linewidth=4,
            alpha=0.6,
            solid_capstyle="round",
        )
        axes.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=100)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    settings = tyro.cli(Settings, args=arguments)
    try:
        if settings.cost not in COSTS:
            raise ValueError(f"unknown cost {settings.cost}: choose from {', '.join(COSTS)}")
        if unknown := sorted(set(settings.methods) - set(METHODS)):
            raise ValueError(f"unknown method {unknown[0]}: choose from {', '.join(METHODS)}")
        if not 2 <= settings.size <= 10:
            raise ValueError(f"--size must be from 2 to 10, got {settings.size}")
        compare(settings)
    except ValueError as error:
        print(f"digit_maps: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
