"""Structured prediction: restore binary digits from noisy ones, with couplings between neighbours.

Scikit-learn's 8×8 digits are made binary, and every pixel is flipped with probability 0.15. A model
gives potentials to the 64 pixels of the restored image, and the argmax is the answer. The loss is
1 − intersection over union with the clean image: a ratio of two counts, which is no sum over
pixels, and used as it is, without a derivative. The rows of the table:

    noisy           what was given
    logistic        logistic regression of every pixel, trained on cross-entropy
    independent     the same potentials, trained on the loss itself, by `LocalExpectation`
    direct          with couplings h_ij ≥ 0 between neighbours, trained on the loss itself: a
                    `PairwiseBinary`, the solver max-flow, and `Direct`
    clamped-argmax  the same with `ClampedArgmax`, 64 more maximisations a sample

    python examples/denoising.py
    python examples/denoising.py --network image
    python examples/denoising.py --rows independent clamped-argmax --seeds 0

The unary potential of a pixel sees that pixel of the noisy image and nothing else, so that only
couplings can tell of the neighbours. With `--network image` it is computed from all 64 pixels.

All rows start from the weights of "logistic". For each the epoch with the best validation score is
kept, and the test images are used once, for the table.
"""

from __future__ import annotations

import copy
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional as F

from directmax import (
    Categorical,
    ClampedArgmax,
    Direct,
    Estimator,
    LocalExpectation,
    PairwiseBinary,
)
from directmax.tool.data import load_images

SIDE = 8
PIXELS = SIDE * SIDE
THRESHOLD = 0.3
"""A pixel is on above this grey value. At 0.5, strokes are thinner and neighbours tell less."""
NETWORKS = ("pixel", "image")
ESTIMATORS: dict[str, Callable[[Settings], Estimator | None]] = {
    "logistic": lambda settings: None,
    "independent": lambda settings: LocalExpectation(),
    "direct": lambda settings: Direct(two_sided=True, num_samples=settings.num_samples),
    "clamped-argmax": lambda settings: ClampedArgmax(),
}
COUPLED = ("direct", "clamped-argmax")
TINY = "--epochs 1 --seeds 0 --batch-size 400 --rows logistic direct --picture picture.png"
"""Flags of a quick look at everything; the tests run it."""


@dataclass(frozen=True)
class Settings:
    """Restore noisy binary digits, with and without couplings between neighbouring pixels."""

    rows: tuple[str, ...] = ("logistic", "independent", "direct")
    """Any of logistic, independent, direct, clamped-argmax."""
    network: str = "pixel"
    """What the unary potential of a pixel sees: this pixel, or the whole noisy image."""
    num_samples: int = 2
    """Gumbel draws per image with direct; the other rows take one."""
    flips: float = 0.15
    """Probability that a pixel is flipped."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of weights, noise and order of images."""
    epochs: int = 40
    """Passes over the training images, each with new noise."""
    batch_size: int = 50
    """Images in a mini-batch."""
    picture: Path | None = None
    """PNG file to draw some test images to, restored by the models of the first seed."""


@dataclass(frozen=True)
class Pairs:
    """Noisy images and the clean ones, `(N, 64)` each, of zeros and ones."""

    noisy: Tensor
    clean: Tensor


def add_noise(clean: Tensor, probability: float, *, seed: int) -> Pairs:
    """Flip every pixel with this probability."""
    generator = torch.Generator().manual_seed(seed)
    flip = torch.rand(clean.shape, generator=generator) < probability
    return Pairs(noisy=(clean - flip.to(clean.dtype)).abs(), clean=clean)


def overlap(restored: Tensor, clean: Tensor) -> Tensor:
    """Intersection over union of the pixels that are on: `(*s, b, 64)`, `(b, 64)` to `(*s, b)`."""
    intersection = (restored * clean).sum(-1)
    union = restored.sum(-1) + clean.sum(-1) - intersection
    return torch.where(union > 0, intersection / union.clamp_min(1), 1.0)


class Restorer(nn.Module):
    """Noisy images → a distribution over restored images.

    Args:
        network: "pixel" or "image".
        coupled: with a coupling h_ij ≥ 0 for each of the 210 pairs of neighbours (diagonals
            too), a parameter that is the same for all images; other pairs have none.
    """

    def __init__(self, network: str, *, coupled: bool) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(PIXELS))
        self.weight = nn.Parameter(torch.ones(PIXELS))
        self.layers = None
        if network == "image":
            self.layers = nn.Sequential(nn.Linear(PIXELS, 100), nn.ReLU(), nn.Linear(100, PIXELS))
        self.coupled = coupled
        if coupled:
            first, second = torch.triu_indices(PIXELS, PIXELS, 1)  # the order of the pairs
            rows = (first // SIDE - second // SIDE).abs()
            columns = (first % SIDE - second % SIDE).abs()
            self.neighbours = torch.nonzero(torch.maximum(rows, columns) == 1).squeeze(-1)
            self.first, self.second = first[self.neighbours], second[self.neighbours]
            self.strength = nn.Parameter(torch.full(self.neighbours.shape, -1.0))

    def field(self, noisy: Tensor) -> Tensor:
        """h_i(1) − h_i(0) of every pixel, `(b, 64)`, without couplings."""
        signs = 2 * noisy - 1
        field = self.bias + self.weight * signs
        return field if self.layers is None else field + self.layers(signs)

    def forward(self, noisy: Tensor) -> Categorical | PairwiseBinary:
        field = self.field(noisy)
        zero = torch.zeros_like(field)
        if not self.coupled:
            return Categorical(torch.stack([zero, field], -1))
        coupling = F.softplus(self.strength)
        # h_ij (z_i − ½)(z_j − ½): neighbours agree, and are not also pushed on.
        half = torch.zeros(PIXELS).index_add(0, self.first, coupling / 2)
        half = half.index_add(0, self.second, coupling / 2)
        pairwise = torch.zeros(PIXELS * (PIXELS - 1) // 2)
        pairwise = pairwise.index_copy(0, self.neighbours, coupling).expand(len(noisy), -1)
        return PairwiseBinary(torch.stack([zero, field - half], -1), pairwise, solver="max-flow")

    @torch.no_grad()
    def restore(self, noisy: Tensor) -> Tensor:
        """The most probable image."""
        return self(noisy).mode()[..., 1]

    def score(self, pairs: Pairs) -> float:
        """Mean intersection over union of the restored images."""
        return overlap(self.restore(pairs.noisy), pairs.clean).mean().item()


@dataclass(frozen=True)
class Run:
    """A trained model, with the weights of the epoch that was best on validation."""

    model: Restorer
    seconds: float


def train(
    settings: Settings, row: str, seed: int, clean: Tensor, validation: Pairs, start: Restorer
) -> Run:
    """Train the model of one row; the unary potentials begin as those of `start`."""
    generator = torch.Generator().manual_seed(seed)
    model = Restorer(settings.network, coupled=row in COUPLED)
    model.load_state_dict(start.state_dict(), strict=False)
    estimator = ESTIMATORS[row](settings)
    rate = 0.05 if settings.network == "pixel" else 0.005
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    steps = settings.epochs * -(-len(clean) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, highest, began = copy.deepcopy(model.state_dict()), -1.0, time.perf_counter()
    for epoch in range(settings.epochs):
        pairs = add_noise(clean, settings.flips, seed=1000 * (seed + 1) + epoch)
        for batch in torch.randperm(len(clean), generator=generator).split(settings.batch_size):
            noisy, truth = pairs.noisy[batch], clean[batch]

            def f(z: Tensor, truth: Tensor = truth) -> Tensor:  # (*s, b, 64, 2) → (*s, b)
                return 1 - overlap(z[..., 1], truth)

            if estimator is None:
                loss = F.binary_cross_entropy_with_logits(model.field(noisy), truth)
            else:
                loss = estimator(model(noisy), f, generator=generator).loss.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if (reached := model.score(validation)) > highest:
            best, highest = copy.deepcopy(model.state_dict()), reached
    model.load_state_dict(best)
    return Run(model, time.perf_counter() - began)


def compare(settings: Settings) -> None:
    """Train every row with every seed, and print the table."""
    data = load_images("digits")
    clean = {
        name: (getattr(data, name).images > THRESHOLD).float()
        for name in ("train", "validation", "test")
    }
    # Four noisy images of each clean one.
    validation = add_noise(clean["validation"].repeat(4, 1), settings.flips, seed=1)
    test = add_noise(clean["test"].repeat(4, 1), settings.flips, seed=2)
    runs: dict[str, list[Run]] = {row: [] for row in settings.rows}
    for seed in settings.seeds:
        torch.manual_seed(seed)
        start = Restorer(settings.network, coupled=False)
        logistic = train(settings, "logistic", seed, clean["train"], validation, start)
        for row in settings.rows:
            if row == "logistic":
                runs[row].append(logistic)
                continue
            run = train(settings, row, seed, clean["train"], validation, logistic.model)
            runs[row].append(run)
    seeds = ", ".join(map(str, settings.seeds))
    print(f"network {settings.network}, test images, {settings.epochs} epochs, seeds {seeds};")
    print("mean ± standard deviation over seeds\n")
    print(f"{'':16}{'intersection over union':>25}{'seconds':>10}")
    print(f"{'noisy':16}{overlap(test.noisy, test.clean).mean():>25.3f}")
    for row, results in runs.items():
        text = spread([run.model.score(test) for run in results])
        print(f"{row:16}{text:>25}{statistics.mean(run.seconds for run in results):>10.1f}")
    if settings.picture:
        draw({row: results[0].model for row, results in runs.items()}, test, settings.picture)


def spread(values: list[float]) -> str:
    """Mean and, of several values, standard deviation as text."""
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def draw(models: dict[str, Restorer], pairs: Pairs, path: Path, *, count: int = 10) -> None:
    """A row of images for each: what was given, what the models make of it, the truth."""
    from matplotlib.figure import Figure

    noisy, truth = pairs.noisy[:count], pairs.clean[:count]
    images = {"noisy": noisy}
    images |= {row: model.restore(noisy) for row, model in models.items()}
    images["truth"] = truth
    figure = Figure(figsize=(0.72 * count + 1, 0.75 * len(images)), layout="constrained")
    axes = figure.subplots(len(images), count)
    for row, (name, pictures) in enumerate(images.items()):
        for column, picture in enumerate(pictures):
            axis = axes[row, column]
            axis.imshow(picture.view(SIDE, SIDE).numpy(), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=100)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    settings = tyro.cli(Settings, args=arguments)
    try:
        if unknown := [row for row in settings.rows if row not in ESTIMATORS]:
            raise ValueError(f"unknown row {unknown[0]}: choose from {', '.join(ESTIMATORS)}")
        if settings.network not in NETWORKS:
            raise ValueError(f"unknown network {settings.network}: choose from pixel, image")
        if not 0 <= settings.flips <= 1:
            raise ValueError(f"--flips must be between 0 and 1, got {settings.flips}")
        compare(settings)
    except ValueError as error:
        print(f"denoising: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
