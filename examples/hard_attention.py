"""Hard attention: choose one of nine places of a canvas to look at, then say which digit it is.

Every image is put at one of nine places of an empty canvas of twice its height and width. A network
sees the canvas reduced to 4×4 grey values and chooses one of nine overlapping glimpses; a
classifier sees the pixels of that glimpse and nothing else. The choice is discrete: at test time
one glimpse is read, not a blend of nine. The loss f(z) of the glimpse z is the classifier's
cross-entropy in nats, an ordinary function. The same model is trained with several estimators of
the gradient of E_q[f(z)].

    python examples/hard_attention.py
    python examples/hard_attention.py --data mnist --epochs 3 --seeds 0

For every seed and estimator the epoch with the lowest validation cross-entropy is kept, and the
test images are used once, for the table. Validation and test take the most probable glimpse, whole.
The row "blind" is a reference: its network sees an empty canvas, so it takes one place for all.
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

from directmax import Categorical, Direct, Estimator, Exact, GumbelSoftmax, LocalExpectation
from directmax.tool.data import Split, load_images

NUM_GLIMPSES = 9
ESTIMATORS: dict[str, Callable[[float], Estimator]] = {
    "direct": lambda temperature: Direct(),
    "gumbel-softmax": lambda temperature: GumbelSoftmax(temperature),
    "straight-through": lambda temperature: GumbelSoftmax(temperature, straight_through=True),
    "local-expectation": lambda temperature: LocalExpectation(),
    "exact": lambda temperature: Exact(),
    "blind": lambda temperature: Exact(),
}
"""What is compared; everything else stays the same (but for the empty canvas of "blind")."""
TINY = "--epochs 1 --seeds 0 --estimators direct blind --picture picture.png"
"""Flags of a quick look at everything; the tests run it."""


@dataclass(frozen=True)
class Settings:
    """Hard attention on images of digits, trained with several gradient estimators."""

    data: str = "digits"
    """Data set: digits, mnist or fashion-mnist."""
    data_dir: str | None = None
    """Where to look for images first."""
    estimators: tuple[str, ...] = ("direct", "gumbel-softmax", "straight-through", "exact", "blind")
    """Any of direct, gumbel-softmax, straight-through, local-expectation, exact, blind."""
    temperature: float = 1.0
    """Temperature τ of gumbel-softmax and straight-through."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of weights, places, order of images and noise."""
    epochs: int = 40
    """Passes over the training images, each with new places."""
    batch_size: int = 100
    """Images in a mini-batch."""
    learning_rate: float = 3e-3
    """Of Adam, falling to zero along a cosine."""
    picture: Path | None = None
    """PNG file to draw some validation canvases to, with the glimpses of the first run."""


def place(split: Split, shape: tuple[int, int], *, seed: int) -> Split:
    """Put every image at one of nine places of an empty canvas, drawn with `seed`."""
    height, width = shape
    count = len(split)
    generator = torch.Generator().manual_seed(seed)
    top = torch.randint(3, (count,), generator=generator) * (height // 2)
    left = torch.randint(3, (count,), generator=generator) * (width // 2)
    rows = top[:, None, None] + torch.arange(height)[:, None]  # (N, h, 1)
    columns = left[:, None, None] + torch.arange(width)  # (N, 1, w)
    canvas = torch.zeros(count, 2 * height, 2 * width)
    canvas[torch.arange(count)[:, None, None], rows, columns] = split.images.view(-1, height, width)
    return Split(canvas.flatten(1), split.labels)


class HardAttention(nn.Module):
    """Canvas reduced to 4×4 → one of nine glimpses → class.

    Args:
        shape: (height, width) of an image; a glimpse has the same size, a canvas twice that.
        num_classes: number of classes.
        hidden: units of the hidden layers.
        blind: choose from an empty canvas.
    """

    def __init__(
        self, shape: tuple[int, int], num_classes: int, *, hidden: int = 64, blind: bool = False
    ) -> None:
        super().__init__()
        self.shape, self.num_classes, self.blind = shape, num_classes, blind
        self.where = nn.Sequential(
            nn.Linear(16, hidden), nn.ReLU(), nn.Linear(hidden, NUM_GLIMPSES)
        )
        self.what = nn.Sequential(
            nn.Linear(shape[0] * shape[1], hidden), nn.ReLU(), nn.Linear(hidden, num_classes)
        )
        self.evaluations = 0  # of f, summed over images

    def choice(self, canvas: Tensor) -> Categorical:
        """q(z|x): one variable with nine values."""
        pictures = canvas.view(-1, 1, 2 * self.shape[0], 2 * self.shape[1])
        reduced = F.adaptive_avg_pool2d(pictures, 4).flatten(1)  # (b, 16)
        if self.blind:
            reduced = torch.zeros_like(reduced)
        return Categorical(self.where(reduced).unsqueeze(1))  # logits (b, 1, 9)

    def glimpses(self, canvas: Tensor) -> Tensor:
        """The nine windows of every canvas, half a window apart: (b, 9, pixels)."""
        height, width = self.shape
        pictures = canvas.view(-1, 1, 2 * height, 2 * width)
        windows = F.unfold(pictures, (height, width), stride=(height // 2, width // 2))
        return windows.transpose(1, 2)

    def log_probs(self, glimpses: Tensor, z: Tensor) -> Tensor:
        """log p(class | glimpse z) for z of shape (*s, b, 1, 9): (*s, b, classes)."""
        return self.what((z @ glimpses).squeeze(-2)).log_softmax(-1)

    def objective(self, canvas: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """f, from one-hot z (*s, b, 1, 9) to the cross-entropy (*s, b) in nats."""
        glimpses = self.glimpses(canvas)
        targets = F.one_hot(labels, self.num_classes)

        def f(z: Tensor) -> Tensor:
            self.evaluations += z.shape[:-2].numel()
            return -(self.log_probs(glimpses, z) * targets).sum(-1)

        return f


@dataclass(frozen=True)
class Score:
    """Means over the images of a split, each seen through its most probable glimpse."""

    accuracy: float
    cross_entropy: float


@torch.no_grad()
def evaluate(model: HardAttention, split: Split) -> Score:
    """Accuracy, and cross-entropy in nats, with hard choices."""
    z = model.choice(split.images).mode()
    log_probs = model.log_probs(model.glimpses(split.images), z)
    return Score(
        accuracy=(log_probs.argmax(-1) == split.labels).float().mean().item(),
        cross_entropy=F.nll_loss(log_probs, split.labels).item(),
    )


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        model: with the weights of the epoch that was best on validation.
        evaluations: of f, for one image in one step.
        seconds: spent on training steps.
    """

    model: HardAttention
    evaluations: float
    seconds: float


def train(
    settings: Settings, name: str, seed: int, model: HardAttention, images: Split, validation: Split
) -> Run:
    """Train a model with one estimator; validation chooses the epoch."""
    generator = torch.Generator().manual_seed(seed)
    estimator = ESTIMATORS[name](settings.temperature)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    steps = settings.epochs * -(-len(images) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, lowest, seconds = copy.deepcopy(model.state_dict()), float("inf"), 0.0
    for epoch in range(settings.epochs):
        began = time.perf_counter()
        split = place(images, model.shape, seed=1000 * (seed + 1) + epoch)
        order = torch.randperm(len(images), generator=generator)
        for batch in order.split(settings.batch_size):
            canvas, labels = split.images[batch], split.labels[batch]
            q = model.choice(canvas)
            estimate = estimator(q, model.objective(canvas, labels), generator=generator)
            optimizer.zero_grad()
            estimate.loss.mean().backward()
            optimizer.step()
            schedule.step()
        seconds += time.perf_counter() - began
        score = evaluate(model, validation)
        if score.cross_entropy < lowest:
            best, lowest = copy.deepcopy(model.state_dict()), score.cross_entropy
    model.load_state_dict(best)
    return Run(model, model.evaluations / (settings.epochs * len(images)), seconds)


def compare(settings: Settings) -> None:
    """Train with every estimator and seed, and print the table."""
    data = load_images(settings.data, data_dir=settings.data_dir)
    validation = place(data.validation, data.shape, seed=1)
    test = place(data.test, data.shape, seed=2)
    seeds = ", ".join(map(str, settings.seeds))
    print(f"{settings.data}, test images: {settings.epochs} epochs, seeds {seeds}; mean ± standard")
    print("deviation over seeds; cross-entropy in nats, evaluations of f for an image in a step\n")
    print(f"{'':18}{'accuracy':>16}{'cross-entropy':>17}{'evaluations':>13}{'seconds':>9}")
    for name in settings.estimators:
        runs, scores = [], []
        for seed in settings.seeds:
            torch.manual_seed(seed)
            model = HardAttention(data.shape, data.num_classes, blind=name == "blind")
            run = train(settings, name, seed, model, data.train, validation)
            runs.append(run)
            scores.append(evaluate(run.model, test))
        accuracy = spread([100 * score.accuracy for score in scores], 1)
        cross_entropy = spread([score.cross_entropy for score in scores], 3)
        seconds = statistics.mean(run.seconds for run in runs)
        print(
            f"{name:18}{accuracy + ' %':>16}{cross_entropy:>17}"
            f"{runs[0].evaluations:>13.0f}{seconds:>9.1f}",
            flush=True,
        )
        if settings.picture and name == settings.estimators[0]:
            draw(runs[0].model, validation, settings.picture)


def spread(values: list[float], digits: int) -> str:
    """Mean and, of several values, standard deviation as text."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def draw(model: HardAttention, split: Split, path: Path, *, count: int = 12) -> None:
    """Canvases with a frame around the glimpse that the model reads."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    height, width = model.shape
    chosen = model.choice(split.images[:count]).mode().argmax(-1).flatten().tolist()
    figure = Figure(figsize=(count / 2, 2.2), layout="constrained")
    for axes, image, index in zip(
        figure.subplots(2, count // 2).flat, split.images, chosen, strict=False
    ):
        axes.imshow(image.view(2 * height, 2 * width).numpy(), cmap="gray_r", vmin=0, vmax=1)
        corner = (index % 3 * (width // 2) - 0.5, index // 3 * (height // 2) - 0.5)
        axes.add_patch(Rectangle(corner, width, height, fill=False, color="#0072b2", linewidth=2))
        axes.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=100)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    settings = tyro.cli(Settings, args=arguments)
    try:
        if unknown := sorted(set(settings.estimators) - set(ESTIMATORS)):
            raise ValueError(f"unknown estimator {unknown[0]}: choose from {', '.join(ESTIMATORS)}")
        compare(settings)
    except ValueError as error:
        print(f"hard_attention: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
