"""Groups of training images that stand in for labels or add to them; where a run keeps them."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from directmax.models import group_images, neighbour_pairs
from directmax.tool.config import ResolvedConfig
from directmax.tool.data import ImageData
from directmax.tool.files import RunError
from directmax.tool.run.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from directmax.tool.run.labelled import labelled_indices
from directmax.tool.run.randomness import Stream, derive_seed

SURE = 0.9
"""Least probability of its group with which an image stands in for a labelled one."""
MOST_STEPS = 5_000
"""Of grouping; it takes no more steps than the training."""
TIMED_IMAGES, TIMED_STEPS = 10_000, 24
"""With which its time is measured."""


def find_groups(
    config: ResolvedConfig,
    data: ImageData,
    device: torch.device,
    progress: Callable[[float], None] | None = None,
) -> Int64[Tensor, " N"]:
    """The group of every training image, −1 where none is sure; decided by the run's seed.

    With labels groups are classes, and a labelled image needs none: −1.

    Example:
        >>> from directmax.tool.config import TrainConfig
        >>> from directmax.tool.data import load_images
        >>> config = TrainConfig(model="mixed", epochs=2).resolve()
        >>> len(find_groups(config, load_images("digits"), torch.device("cpu")))
        1197
    """
    probs = _probs(config, data, device, grouping_steps(config, data), progress)
    most, groups = probs.max(-1)
    if config.labels or bool((most >= SURE).any()):  # else too short to be sure of any
        groups[most < SURE] = -1
    groups = groups.cpu()
    if config.labels:
        groups[labelled_indices(config, data)] = -1
    return groups


def class_shares(labels: Int64[Tensor, " N"], num_values: int) -> Float[Tensor, " k"]:
    """How frequent every class is, one image more being of all classes alike.

    Args:
        labels: of the images that labelled ones are drawn from.
        num_values: k, at least the number of classes.

    Example:
        >>> class_shares(torch.tensor([0, 0, 1]), 2)
        tensor([0.6250, 0.3750])
    """
    counts = torch.bincount(labels, minlength=num_values)
    return (counts + 1 / num_values) / (len(labels) + 1)


def fewest_grouped(config: ResolvedConfig) -> int:
    """Images that can be grouped: one and its neighbours, and one a group."""
    return max(6, config.values)


def grouping_steps(config: ResolvedConfig, data: ImageData) -> int:
    """How many `find_groups` takes."""
    return min(MOST_STEPS, config.epochs * -(-len(data.train) // config.batch_size))


def time_groups(
    config: ResolvedConfig, data: ImageData, device: torch.device
) -> tuple[float, float]:
    """Seconds that `find_groups` takes before its first step, and for a step, from a few steps.

    Neighbours of many images are timed for some, and for half as many: beside what is fixed, they
    take as long as there are pairs.
    """
    least = fewest_grouped(config)
    count = min(len(data.train), max(TIMED_IMAGES, 2 * least))
    _timed(config, data, device, least)  # what is done once
    start, step = _timed(config, data, device, count)
    if count == len(data.train):
        return start, step
    half, _ = _timed(config, data, device, count // 2)
    pairs = max(0.0, 4 / 3 * (start - half))
    return start + pairs * (neighbour_pairs(len(data.train)) / count**2 - 1), step


def _timed(
    config: ResolvedConfig, data: ImageData, device: torch.device, count: int
) -> tuple[float, float]:
    times = [time.perf_counter()]

    def note(share: float) -> None:
        times.append(time.perf_counter())

    _probs(config, data, device, TIMED_STEPS, note, count)
    steps = [after - before for before, after in itertools.pairwise(times[1:])]
    step = statistics.median(steps)
    return max(0.0, times[1] - times[0] - step), step


def _probs(
    config: ResolvedConfig,
    data: ImageData,
    device: torch.device,
    steps: int,
    progress: Callable[[float], None] | None,
    count: int | None = None,
) -> Float[Tensor, "N k"]:
    """Probabilities of the groups, of the first so many images to time them, or of all."""
    known: dict[str, Tensor] = {}
    if config.labels:
        labels = torch.full((len(data.train),), -1)
        indices = labelled_indices(config, data)
        labels[indices] = data.train.labels[indices]
        if count is not None:  # the time does not depend on which are labelled
            labels = labels.sort(descending=True).values[:count]
        known = {"labels": labels, "shares": class_shares(data.train.labels, config.values)}
    generator = torch.Generator(device).manual_seed(derive_seed(config.seed, Stream.GROUPS))
    return group_images(
        data.train.images[:count].to(device),
        config.values,
        **known,
        shape=None if data.shape[0] == 1 else data.shape,
        steps=steps,
        generator=generator,
        progress=progress,
    )


def save_groups(folder: Path, groups: Int64[Tensor, " N"]) -> None:
    """Write them, so that a run that is resumed goes on with the same.

    Raises:
        RunError: the folder cannot be written.
    """
    save_checkpoint(folder, Checkpoint({"groups": groups}, {}))


def load_groups(folder: Path, num_images: int, num_groups: int) -> Int64[Tensor, " N"]:
    """What `save_groups` wrote.

    Raises:
        RunError: damaged, or of other images.
    """
    groups = load_checkpoint(folder).tensors.get("groups")
    right = groups is not None and groups.dtype == torch.int64 and groups.shape == (num_images,)
    if not right or groups is None or not bool(((groups >= -1) & (groups < num_groups)).all()):
        raise RunError(
            f"{folder} must hold a group from 0 to {num_groups - 1}, or −1, for each of "
            f"{num_images} training images: restore it, or train into a new folder"
        )
    return groups
