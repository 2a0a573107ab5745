"""Images put into groups without labels: alike within, sure, and equally frequent."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from directmax._precision import no_autocast
from directmax._randomness import draw
from directmax._transforms import readable
from directmax._validation import (
    LARGEST,
    check_callable,
    check_count,
    check_float_tensor,
    check_shape,
)
from directmax.models._checks import check_class_labels, check_images
from directmax.models._distortion import turned
from directmax.models._regularity import divergence, indecision

NEIGHBOURS = 5
"""Images that are taken to be of an image's own group."""
COMPONENTS, SUBSET = 50, 5_000
"""Principal components in which images are compared, and images that they are found from: of what
lies beyond, most is noise."""
CANDIDATES = 60_000
"""Images, evenly chosen, among which neighbours are looked for."""
CHUNK, DISTANCES = 1_000, 2**25
"""Images that are classified together, and distances between images that are held at a time."""
BATCH, HIDDEN = 250, 400
LABELLED = 100
"""Labelled images in a step, at most."""
STARTS = 5
EXPLORING = 8
"""Each start has one in so many of the steps."""
DECISION = 0.3
"""Weight of sure and equally frequent groups beside agreement with neighbours. With 1 images are
parted by whatever is told most easily, such as the slant of a stroke."""


def group_images(
    images: Float[Tensor, "N d"],
    num_groups: int,
    *,
    labels: Int[Tensor, " N"] | None = None,
    shares: Float[Tensor, " k"] | None = None,
    shape: tuple[int, int] | None = None,
    steps: int = 5_000,
    generator: torch.Generator | None = None,
    progress: Callable[[float], None] | None = None,
) -> Float[Tensor, "N k"]:
    r"""The probability of every group for every image, without labels or with a few.

    A classifier q(z|x) of two hidden layers minimises

    E_x [KL(q(z|x) ‖ q(z|x′)) + 0.3 H(q(z|x))] + 0.6 KL(E_x q ‖ s),

    where x′ is one of the five images nearest to x (of 60,000, evenly chosen) in 50 principal
    components, turned, scaled and moved at random: images that are alike share a group, every image
    has a sure one, and groups have the shares s. Of five starts the one with the lowest loss, which
    goes with groups that people see, is continued.

    With labels the mean −log q(label|x) of labelled images, turned too, is added. All five starts
    then have the same groups: returned is the mean of their probabilities.

    Args:
        images: x in [0, 1].
        num_groups: k ≥ 2, at most N.
        labels: the group of each image, from 0 to k − 1, or −1 where it is not known.
        shares: s, of the groups among all images, above 0, only with labels; equal ones when None.
        shape: (height, width) of images that may be turned; None for rows of numbers.
        steps: of all starts together, of 250 images each, and of at most 100 labelled ones.
        generator: source of weights, of a step's images and of their turns, on their device.
        progress: told of the share of the steps that is done.

    Returns:
        `(N, k)`, without gradient.

    Raises:
        TypeError, ValueError: no images, five or fewer, no labels, or a number that makes no sense.

    Example:
        >>> images = torch.cat([0.1 * torch.rand(20, 4), 1 - 0.1 * torch.rand(20, 4)])
        >>> labels = torch.full((40,), -1).index_put((torch.tensor([0, 20]),), torch.arange(2))
        >>> group_images(images, 2, labels=labels, steps=200).argmax(-1).bincount().tolist()
        [20, 20]

    Reference: Krause et al. 2010, Hu et al. 2017 (loss); Van Gansbeke et al. 2020 (neighbours);
    Lakshminarayanan et al. 2017 (mean of several).
    """
    check_callable("progress", progress, optional=True)
    device, shape = _checked(images, num_groups, shape, steps)
    known = _checked_labels(labels, shares, len(images), num_groups, device)
    with torch.inference_mode(False), torch.enable_grad(), no_autocast(device), device:
        images = images.detach().to(torch.float32, copy=images.is_inference())
        near = neighbours(images, NEIGHBOURS)
        start = partial(_Grouping, images, near, num_groups, shape, generator, known)
        return (_best_of if known is None else _mean_of)(start, steps, progress)


def _best_of(
    start: Callable[[], _Grouping], steps: int, progress: Callable[[float], None] | None
) -> Float[Tensor, "N k"]:
    """Of several starts the one with the lowest loss, continued."""
    each = max(1, steps // EXPLORING)
    last = max(1, steps - STARTS * each)
    found = _Progress(progress, STARTS * each + last)
    least, best = math.inf, None
    for _ in range(STARTS):
        grouping = start()
        loss = grouping.train(each, found)
        if best is None or loss < least:
            least, best = loss, grouping
    assert best is not None
    best.train(last, found)
    return best.probs()


def _mean_of(
    start: Callable[[], _Grouping], steps: int, progress: Callable[[float], None] | None
) -> Float[Tensor, "N k"]:
    """The mean of several starts, whose groups have the same names."""
    each = max(1, steps // STARTS)
    found = _Progress(progress, STARTS * each)
    total: float | Tensor = 0.0
    for _ in range(STARTS):
        grouping = start()
        grouping.train(each, found)
        total = total + grouping.probs()
    return torch.as_tensor(total) / STARTS


class _Known(NamedTuple):
    """What is known of the groups: those of some images, and the shares of all."""

    rows: Int64[Tensor, " m"]
    labels: Int64[Tensor, " m"]
    shares: Float[Tensor, " k"] | None


def _checked_labels(
    labels: Tensor | None,
    shares: Tensor | None,
    num_images: int,
    num_groups: int,
    device: torch.device,
) -> _Known | None:
    if labels is None:
        if shares is not None:
            raise ValueError("shares are of groups with names: give labels too, or leave them out")
        return None
    here = labels.cpu() if isinstance(labels, Tensor) else labels
    check_class_labels(here, num_images, num_groups, unknown=True)
    labels = labels.to(device, torch.int64)
    (rows,) = torch.nonzero(labels >= 0, as_tuple=True)
    if not len(rows):
        raise ValueError("labels must be known of an image, got −1 for all: leave them out")
    if shares is not None:
        check_float_tensor("shares", shares, ("k",))
        if shares.shape != (num_groups,) or not bool((shares > 0).all()):
            raise ValueError(
                f"shares must be {num_groups} numbers above 0, one a group, got {shares.tolist()}"
            )
        if abs(float(shares.sum()) - 1) > 1e-4:
            raise ValueError(f"shares must have the sum 1, got {float(shares.sum()):.6g}")
        shares = shares.detach().to(device, torch.float32)
    return _Known(rows, labels[rows], shares)


def _checked(
    images: Tensor, num_groups: int, shape: tuple[int, int] | None, steps: int
) -> tuple[torch.device, tuple[int, int] | None]:
    """Device and shape of the images, if all is as it must be; that device is used for all."""
    check_images(images, None)
    if not readable(images):
        raise TypeError(
            "images must hold numbers, got a tensor on the meta device or inside torch.func.vmap"
        )
    check_count("num_groups", num_groups, minimum=2)
    check_count("steps", steps)
    if not images.shape[1]:
        raise ValueError(f"images must have pixels, got shape {tuple(images.shape)}")
    if len(images) <= NEIGHBOURS:
        raise ValueError(f"images must be more than {NEIGHBOURS}, got {len(images)}")
    if num_groups > len(images):
        raise ValueError(
            f"num_groups must be at most the number of images, {len(images)}, got {num_groups}"
        )
    if shape is None:
        return images.device, None
    height, width = check_shape("shape", shape, ("height", "width"))
    if images.shape[1] % (height * width):
        raise ValueError(
            f"shape must be (height, width) of images of {images.shape[1]} numbers, got {shape}"
        )
    return images.device, (height, width)


def neighbours(images: Float[Tensor, "N d"], count: int) -> Int64[Tensor, "N count"]:
    """The other images that are nearest to every image in its first principal components.

    Args:
        images: any finite numbers.
        count: less than N.

    Example:
        >>> neighbours(torch.tensor([[0.0, 0.0], [0.0, 1.0], [9.0, 0.0], [9.0, 2.0]]), 1).T
        tensor([[1, 0, 3, 2]])
    """
    centred = images - images.mean(0)
    few = centred[:: -(-len(images) // SUBSET)]
    _, _, axes = torch.linalg.svd(few, full_matrices=False)
    places = centred @ axes[:COMPONENTS].T
    every = -(-len(images) // CANDIDATES)
    others = places[::every]
    squares = others.square().sum(1)
    found = torch.empty(len(images), count, dtype=torch.int64, device=images.device)
    rows_at_once = min(len(places), max(1, DISTANCES // len(others)))
    # One block for all: the holes that blocks leave between what stays are not always filled again.
    block, first = others.new_empty(rows_at_once, len(others)), 0
    for part in places.split(rows_at_once):
        products = torch.mm(2 * part, others.T, out=block[: len(part)])
        distances = torch.sub(squares, products, out=products)
        rows = torch.arange(-first % every, len(part), every, device=images.device)
        own = (first + rows) // every  # an image is not its own neighbour
        distances[rows, own] = torch.inf
        found[first : first + len(part)] = every * distances.topk(count, largest=False).indices
        first += len(part)
    return found


def neighbour_pairs(num_images: int) -> int:
    """How many distances between images `group_images` computes: N · min(N, about 60,000).

    Args:
        num_images: N.

    Example:
        >>> neighbour_pairs(50_000), neighbour_pairs(1_000_000)
        (2500000000, 58824000000)
    """
    count = check_count("num_images", num_images, maximum=LARGEST)
    return count * -(-count // -(-count // CANDIDATES))


class _Progress:
    """Steps that are done of all."""

    def __init__(self, tell: Callable[[float], None] | None, steps: int) -> None:
        self.tell, self.steps, self.done = tell, steps, 0

    def step(self) -> None:
        self.done += 1
        if self.tell is not None:
            self.tell(self.done / self.steps)


class _Grouping:
    """One start: a classifier and its optimizer."""

    def __init__(
        self,
        images: Float[Tensor, "N d"],
        near: Int64[Tensor, "N n"],
        num_groups: int,
        shape: tuple[int, int] | None,
        generator: torch.Generator | None,
        known: _Known | None = None,
    ) -> None:
        self.images, self.near, self.shape, self.generator = images, near, shape, generator
        self.known = known
        seed = int(self._integers(2**31 - 1, 1))
        kind = torch.float32
        # On the CPU, whatever the default is.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.manual_seed(seed)
            network = nn.Sequential(
                nn.Linear(images.shape[1], HIDDEN, dtype=kind),
                nn.BatchNorm1d(HIDDEN, dtype=kind),
                nn.ReLU(),
                nn.Linear(HIDDEN, HIDDEN // 2, dtype=kind),
                nn.BatchNorm1d(HIDDEN // 2, dtype=kind),
                nn.ReLU(),
                nn.Linear(HIDDEN // 2, num_groups, dtype=kind),
            )
        self.network = network.to(images.device)
        self.optimizer = torch.optim.Adam(self.network.parameters())

    def train(self, steps: int, progress: _Progress) -> float:
        """Take steps; the mean loss of their last quarter."""
        self.network.train()
        last = []
        for step in range(steps):
            loss = self._loss()
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            if step >= 3 * steps // 4:
                last.append(loss.detach())
            progress.step()
        return float(torch.stack(last).mean())

    @torch.no_grad()
    def probs(self) -> Float[Tensor, "N k"]:
        """Of all images."""
        self.network.eval()
        return torch.cat([self.network(part).softmax(-1) for part in self.images.split(CHUNK)])

    def _loss(self) -> Float[Tensor, ""]:
        rows = self._integers(len(self.images), BATCH)
        near = self.near[rows, self._integers(self.near.shape[1], BATCH)]
        images, moved = self.images[rows], self.images[near]
        shares = labels = None
        if self.known is not None:
            some = self._integers(len(self.known.rows), min(len(self.known.rows), LABELLED))
            moved = torch.cat([moved, self.images[self.known.rows[some]]])
            shares, labels = self.known.shares, self.known.labels[some]
        if self.shape is not None:
            grid = moved.view(len(moved), -1, *self.shape)
            moved = turned(grid, 1.0, generator=self.generator).flatten(1)
        logits = self.network(torch.cat([images, moved]))
        own, alike, labelled = logits.tensor_split([BATCH, 2 * BATCH])
        loss = divergence(own, alike).mean() + DECISION * indecision(own, shares)
        return loss if labels is None else loss + F.cross_entropy(labelled, labels)

    def _integers(self, below: int, count: int) -> Int64[Tensor, " count"]:
        settings = {"dtype": self.images.dtype, "device": self.images.device}
        numbers = draw(torch.rand, (count,), self.generator, **settings)
        return (numbers * below).long().clamp_max(below - 1)  # the product may round up
