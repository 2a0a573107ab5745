"""The labelled images of a semi-supervised run, and mini-batches of them for ever."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from directmax.models import MixedTerms
from directmax.tool.config import ResolvedConfig
from directmax.tool.data import ImageData, balanced_indices
from directmax.tool.run.randomness import Stream, derive_seed

LABELLED_SHARE = 0.1
"""Weight of f(label), a mean over labelled images, beside the mean of E_q[f] over unlabelled ones.
More would fit the decoder to the few labelled images."""

OBEYED = 3
"""How many times as much weight switched images have where attributes are decided. From the first
step on it would distort what the decoder shows of attributes that q is in doubt of."""

LARGEST_BATCH = 100
"""Labelled images in a mini-batch, at most."""


def labelled_indices(config: ResolvedConfig, data: ImageData) -> Int64[Tensor, " labels"]:
    """Which training images have labels: a balanced draw, decided by the run's seed.

    Raises:
        ValueError: so many labels cannot be drawn.

    Example:
        >>> from directmax.tool.config import TrainConfig
        >>> from directmax.tool.data import load_images
        >>> config = TrainConfig(model="mixed", labels=20).resolve()
        >>> len(labelled_indices(config, load_images("digits")))
        20
    """
    generator = torch.Generator().manual_seed(derive_seed(config.seed, Stream.LABELS))
    return balanced_indices(
        data.train, config.labels, data.num_classes, generator=generator, name="--labels"
    )


def told_share(step: int, ramp: int) -> float:
    """Share of its weight that the loss of what images without label are told has in a step.

    What q(z|x) says before it has learned anything from labels would be confirmed, right or wrong.

    Args:
        step: from 0.
        ramp: steps until it is whole.

    Example:
        >>> [told_share(step, 4) for step in range(5)], told_share(0, 0)
        ([0.25, 0.5, 0.75, 1.0, 1.0], 1.0)

    Reference: Laine and Aila 2017; Tarvainen and Valpola 2017 (ramp-up of consistency).
    """
    return min(1.0, (step + 1) / max(1, ramp))


class LabelledBatches:
    """Mini-batches of labelled images, a function of the step alone, so that runs can be resumed.

    The images are gone through again and again, each time in another order. Everything is on one
    device, so that a step does not wait for it.

    Args:
        config: the size of a batch, the seed.
        indices: of the labelled images among the training images.
        labels: theirs, one or a row an image.
        device: where indices, labels and positions are to be.
    """

    def __init__(
        self,
        config: ResolvedConfig,
        indices: Int64[Tensor, " m"],
        labels: Tensor,
        device: torch.device | str = "cpu",
    ) -> None:
        self.indices, self.labels = indices.to(device), labels.to(device)
        self.size = min(len(indices), config.batch_size, LARGEST_BATCH)
        self._seed = config.seed
        self._cycle, self._order = -1, torch.empty(0, dtype=torch.int64)

    def size_of(self, step: int) -> int:
        """Images in the batch of a step: of every step as many."""
        return self.size

    def batch(self, step: int) -> tuple[Int64[Tensor, " size"], Tensor]:
        """Training images of the batch of a step, and their labels."""
        positions = self.positions(step)
        return self.indices.index_select(0, positions), self.labels.index_select(0, positions)

    def positions(self, step: int) -> Int64[Tensor, " size"]:
        """Positions within `indices` and `labels` of the batch of a step."""
        count = len(self.indices)
        start, parts, missing = step * self.size, [], self.size
        while missing:
            cycle, offset = divmod(start, count)
            part = self._shuffled(cycle)[offset : offset + missing]
            parts.append(part)
            start, missing = start + len(part), missing - len(part)
        return torch.cat(parts)

    def _shuffled(self, cycle: int) -> Tensor:
        if cycle != self._cycle:
            seed = derive_seed(self._seed, Stream.LABEL_ORDER, cycle)
            generator = torch.Generator().manual_seed(seed)
            order = torch.randperm(len(self.indices), generator=generator)
            if self.indices.is_cuda:  # a copy from other memory would wait for the device
                order = order.pin_memory()
            self._order = order.to(self.indices.device, non_blocking=True)
            self._cycle = cycle
        return self._order


class GroupedBatches:
    """Mini-batches of labelled images and, up to a step, of images that are sure of their group.

    Then half are labelled: what labels say is right, and what groups say mostly. With many labels a
    network becomes better than the groups, so these do not have the last word.

    Args:
        labelled: the labelled images.
        grouped: others, and their groups.
        until: the first step without groups.
    """

    def __init__(self, labelled: LabelledBatches, grouped: LabelledBatches, until: int) -> None:
        self.labelled, self.grouped, self.until = labelled, grouped, until

    def size_of(self, step: int) -> int:
        """Images in the batch of a step."""
        return (self.grouped if step < self.until else self.labelled).size

    def batch(self, step: int) -> tuple[Int64[Tensor, " size"], Int64[Tensor, " size"]]:
        """Training images of the batch of a step, and their labels or groups."""
        indices, labels = self.labelled.batch(step)
        if step >= self.until:
            return indices, labels
        alike, groups = self.grouped.batch(step)
        count = min(len(labels), -(-len(groups) // 2))
        rest = len(groups) - count
        return (
            torch.cat([indices[:count], alike[:rest]]),
            torch.cat([labels[:count], groups[:rest]]),
        )


def label_loss(
    config: ResolvedConfig, terms: MixedTerms, size: int, processes: int, *, alone: bool = False
) -> Tensor:
    """What labels add to the loss of a step, scaled so that processes may average their gradients.

    Args:
        config: the weights.
        terms: of this process's share of the batch, with labelled images or without.
        size: labelled images in the whole batch.
        processes: that share it.
        alone: whether labelled images are all that the step sees: then nothing is asked of the
            others, and f(label) has its whole weight.
    """
    assert isinstance(config.label_weight, float)  # chosen
    total = terms.reconstruction.new_zeros(())
    if terms.labelled is not None and terms.supervision is not None:
        share = 1.0 if alone else LABELLED_SHARE
        loss = share * terms.labelled + config.label_weight * terms.supervision
        total = loss.sum() * (processes / size)
    if terms.regularity is not None and not alone:
        total = total + config.label_weight * terms.regularity.mean()
    return total


def decides(step: int, steps: int, share: float) -> bool:
    """Whether images are decoded with decided attributes: after a share of a training.

    Before, the gradient of the bound teaches q(z|x) as well, which decided attributes have not.

    Args:
        step: from 0.
        steps: of the whole training.
        share: after which they are.

    Example:
        >>> [decides(step, 6, 2 / 3) for step in range(6)]
        [False, False, False, False, True, True]
    """
    return step + 1e-6 >= share * steps
