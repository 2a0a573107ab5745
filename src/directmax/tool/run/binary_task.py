"""The discrete and the mixed model on binary images, which are one tensor on the device."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from directmax.distributions import DEFAULT_MAX_STATES, number_of_states
from directmax.models import DiscreteVAE, MixedVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.config.build import build_kl_schedule, build_model, schedule_estimator
from directmax.tool.data import ImageData
from directmax.tool.run.advice import advice
from directmax.tool.run.class_yardsticks import class_yardsticks, worse_than_simple
from directmax.tool.run.classes import classes_of, counts_of, with_accuracy
from directmax.tool.run.described import image_shape
from directmax.tool.run.evaluation import (
    Metrics,
    epoch_validation,
    evaluate_images,
    max_states,
)
from directmax.tool.run.grouped import (
    class_shares,
    fewest_grouped,
    find_groups,
    load_groups,
    save_groups,
)
from directmax.tool.run.images import split_images
from directmax.tool.run.labelled import (
    GroupedBatches,
    LabelledBatches,
    label_loss,
    labelled_indices,
)
from directmax.tool.run.processes import Processes
from directmax.tool.run.progress import Progress
from directmax.tool.run.randomness import Stream
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.task import Batch, StepLoss, Task

GATHERED = 2**17
"""Numbers of images that are gathered at once, for some mini-batches: they stay in the cache."""
ALIGNMENT = 64
"""Bytes: of torch's memory."""


class BinaryTask(Task):
    """Training of `DiscreteVAE` and `MixedVAE`.

    Args:
        config: what is trained.
        data: the images.
        fabric: device, precision and processes.

    Raises:
        ValueError: the configuration does not fit the data.
    """

    def __init__(self, config: ResolvedConfig, data: ImageData, fabric: Processes) -> None:
        super().__init__(config, fabric)
        check_size(config, data)
        self.data = data
        self.dtype = torch.float64 if config.precision == "64-true" else torch.float32
        self.model = self.fresh_model(config)
        self.num_images = len(data.train)
        self._fixed: Tensor | None = None
        if config.binarize != "dynamic":
            self._fixed = self._to_device(split_images(config, data, "train"))
        self._images = self._train_images(0)
        """Of the current epoch."""
        self.validation = epoch_validation(config, self._share("validation"), self.num_images)
        steps = -(-self.num_images // config.batch_size)
        self._grouped_until = round(config.grouped_until * steps * config.epochs)
        self._with_labels: LabelledBatches | None = None
        self._shares: Tensor | None = None
        if config.labels:
            indices = labelled_indices(config, data)
            labels = data.train.labels[indices]
            self._with_labels = LabelledBatches(config, indices, labels, fabric.device)
            if config.groups:
                self._shares = class_shares(data.train.labels, config.values).to(fabric.device)
        self.labelled: LabelledBatches | GroupedBatches | None = self._with_labels
        if config.groups:  # until `prepare` has found them
            self._label_by(torch.zeros(self.num_images, dtype=torch.int64))
        self._labels_first = config.labels_first or 0
        self.epochs_first = -(-self._labels_first // steps)
        check_phases(config, steps * config.epochs)
        self.kl_schedule = build_kl_schedule(config, self._images, steps)
        schedule_estimator(self.model.estimator, config, self.kl_schedule, steps)
        prior = config.pseudo_images or config.dreams
        self._mean = self._images.mean(0) if prior else None

    def fresh_model(self, config: ResolvedConfig) -> DiscreteVAE | MixedVAE:
        """One like `model`, of another seed."""
        return build_model(config, image_shape(self.data))

    def prepare(self, folder: RunFolder, progress: Progress) -> None:
        """Find the groups that stand in for labels or add to them, in the first process."""
        if not self.config.groups:
            return
        say = functools.partial(progress.preparing, "grouping images")

        def make() -> None:
            say(0.0)
            save_groups(folder.groups, find_groups(self.config, self.data, self.fabric.device, say))

        self.once(folder.groups, make)
        self._label_by(load_groups(folder.groups, self.num_images, self.config.values))

    def _label_by(self, groups: Tensor) -> None:
        """Take images that are sure of their group in place of labelled ones, or beside them."""
        known = self._with_labels
        (indices,) = torch.nonzero(groups >= 0, as_tuple=True)
        if known is not None and not len(indices):  # none is sure
            self.labelled = known
            return
        sure = LabelledBatches(self.config, indices, groups[indices], self.fabric.device)
        until = self._grouped_until
        self.labelled = sure if known is None else GroupedBatches(known, sure, until)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The mini-batches of an epoch from a step on; the same at every call."""
        self._images = self._train_images(epoch)
        order = self.order(epoch).to(self.fabric.device)
        batches = order.split(self.config.batch_size)[start:]
        shares = [each[self.fabric.global_rank :: self.fabric.world_size] for each in batches]
        at_once = self._batches_at_once(shares)
        for first in range(0, len(batches), at_once):
            some = slice(first, first + at_once)
            images = self._images.index_select(0, torch.cat(shares[some]))
            parts = images.split([len(each) for each in shares[some]])
            for part, batch in zip(parts, batches[some], strict=True):
                yield Batch(part, len(batch))

    def _batches_at_once(self, shares: Sequence[Tensor]) -> int:
        """How many mini-batches of small images are gathered in one go.

        Only where each begins at a multiple of the alignment of all memory, as one that is gathered
        by itself does: products of matrices may be rounded otherwise elsewhere.
        """
        size = shares[0].numel() * self._images.shape[1] if shares else 1
        if size * self._images.element_size() % ALIGNMENT:
            return 1
        return max(1, GATHERED // max(1, size))

    def loss(
        self, forward: nn.Module, batch: Batch, step: int, *, generator: torch.Generator
    ) -> StepLoss:
        """The bound, with labels also their loss."""
        config, processes = self.config, self.fabric.world_size
        weight = self.kl_schedule(step)
        terms = forward(
            batch.images,
            generator=generator,
            kl_gradient=config.kl_gradient == "on",
            **self._inputs(step, weight),
        )
        # Gradients are averaged over processes: this scale makes the average the mean over the
        # images of the whole batch, also where the shares differ by one.
        loss = torch.add(terms.reconstruction, terms.kl, alpha=weight).sum()
        loss = loss * (processes / batch.size)
        alone = step < self._labels_first  # labelled images are all that the step sees
        if alone:
            loss = loss.new_zeros(())
        if (prior := getattr(terms, "prior", None)) is not None:
            encoder = prior.encoder if config.dreams == 1 else config.dreams * prior.encoder
            loss = torch.add(loss, prior.decoder, alpha=self._pseudo_weight) + encoder
        if self.labelled is not None:
            size = self.labelled.size_of(step)
            loss = loss + label_loss(config, terms, size, processes, alone=alone)
        reconstruction, kl = terms.reconstruction.detach().sum(), terms.kl.detach().sum()
        if config.model == "mixed":  # report the Gaussian KL beside the categorical one
            gaussian = terms.gaussian_kl.sum()
            reconstruction, kl = reconstruction - weight * gaussian, kl + gaussian
        return StepLoss(loss, reconstruction, kl)

    def validate(self) -> Metrics:
        """Of the validation images that an epoch has time for; of one Gaussian sample."""
        metrics = self._evaluate(self.validation.images, few=True)
        if not isinstance(self.model, MixedVAE) or not self.data.num_classes:
            return metrics
        counts = self._counts("validation", self.validation.images)
        return with_accuracy(metrics, counts, classes_of(self.config, counts))

    def results(self) -> dict[str, Metrics]:
        """Of the validation and the test images."""
        images = {split: self._share(split) for split in ("validation", "test")}
        results = {split: self._evaluate(part) for split, part in images.items()}
        if isinstance(self.model, MixedVAE) and self.data.num_classes:
            counts = {split: self._counts(split, part) for split, part in images.items()}
            classes = classes_of(self.config, counts["validation"])
            self.classes = classes.tolist()
            results = {s: with_accuracy(results[s], counts[s], classes) for s in results}
        return results

    def yardsticks(self) -> dict[str, Any]:
        """Of the same labelled images: a regression."""
        if self._with_labels is None:
            return {}
        rows = self._with_labels.indices.cpu()
        images = {
            split: split_images(self.config, self.data, split) for split in ("validation", "test")
        }
        labels = {split: getattr(self.data, split).labels for split in images}
        images["labelled"] = split_images(self.config, self.data, "train")[rows]
        labels["labelled"] = self.data.train.labels[rows]
        shares = class_shares(self.data.train.labels, self.config.values)
        return class_yardsticks(images, labels, shares)

    @property
    def _pseudo_weight(self) -> float:
        """Of the loss of the pseudo-images beside the mean loss of an image."""
        config = self.config
        values = config.variables * (config.values - 1) + 1
        return config.pseudo_images * values / self.num_images

    def advice(
        self,
        summary: Mapping[str, Any],
        lines: Sequence[Mapping[str, Any]],
        starts: Sequence[Sequence[Mapping[str, Any]]],
    ) -> list[str]:
        """What a user should know of the finished run, a line each; see `advice.advice`."""
        found = advice(
            summary,
            lines,
            self.model,
            self.validation.images,
            labelled=bool(self.config.labels),
            grouped=self.config.groups,
            starts=starts,
            start_epochs=self.config.start_epochs,
        )
        simpler = worse_than_simple(summary) if self.config.labels else ""
        return [*found, *([simpler] if simpler else [])]

    def _inputs(self, step: int, weight: float) -> dict[str, Any]:
        """What the model's forward pass takes besides; images were looked at when they came."""
        if self.config.model != "mixed":
            return {"validate": False, "mean": self._mean}
        inputs: dict[str, Any] = {"kl_weight": weight}
        if self.labelled is not None:
            inputs["radius"] = self.config.smoothness
            inputs["shares"] = self._shares
            if self.config.labels or self.data.shape[0] > 1:  # rows of numbers are not moved
                inputs["shift"], inputs["shape"] = self.config.shift, self.data.shape
                inputs["distortion"] = self.config.distortion
            if step < self._labels_first or not self._labels_first:
                indices, labels = self.labelled.batch(step)
                share = slice(self.fabric.global_rank, None, self.fabric.world_size)
                inputs["labelled"] = self._images.index_select(0, indices[share])
                inputs["labels"] = labels[share]
        return inputs

    def _evaluate(self, images: Tensor, *, few: bool = False) -> Metrics:
        samples = self.validation.num_samples if few else self.config.eval_samples
        one = few and self.config.model == "mixed"
        return evaluate_images(
            self.model,
            images,
            num_samples=1 if one else samples,
            max_states=self.validation.max_states if few else max_states(self.config),
            seed=self.seed(Stream.SAMPLES, self.fabric.global_rank),
            reduce=self.reduce,
            quick=few,
        )

    def _counts(self, split: str, images: Tensor) -> Tensor:
        """Images of a split by class and most probable value, over all processes."""
        labels = getattr(self.data, split).labels[self.fabric.global_rank :: self.fabric.world_size]
        assert isinstance(self.model, MixedVAE)
        return counts_of(self.model, images, labels, self.data.num_classes, reduce=self.reduce)

    def _share(self, split: str) -> Tensor:
        """This process's share of a split, on the device."""
        images = split_images(self.config, self.data, split)
        return self._to_device(images[self.fabric.global_rank :: self.fabric.world_size])

    def _train_images(self, epoch: int) -> Tensor:
        if self._fixed is not None:
            return self._fixed
        return self._to_device(split_images(self.config, self.data, "train", epoch=epoch))

    def _to_device(self, images: Tensor) -> Tensor:
        return images.to(self.fabric.device, self.dtype)


def check_phases(config: ResolvedConfig, steps: int) -> None:
    """Whether steps are left for images without labels, where those with labels come first.

    Raises:
        ValueError: none are.
    """
    if (first := config.labels_first or 0) >= steps:
        raise ValueError(
            f"--labels-first {first} leaves none of the {steps:,} steps of the training for images "
            "without labels: give fewer, or more --epochs"
        )


def check_size(config: ResolvedConfig, data: ImageData) -> None:
    """Whether the data has what the configuration asks for.

    Raises:
        ValueError: a batch larger than the data, values that are not the classes, too many states.
    """
    if config.batch_size > len(data.train):
        raise ValueError(
            f"--batch-size {config.batch_size} is more than the {len(data.train)} training images "
            f"of {data.name}: give at most {len(data.train)}"
        )
    if config.labels and not data.num_classes:
        raise ValueError(
            f"--labels needs images with labels, and {data.name} has none: leave --labels out"
        )
    if config.labels and data.num_classes == 1:
        raise ValueError(
            f"--labels needs two classes or more, and {data.name} has one: leave --labels out"
        )
    if config.groups and len(data.train) < (least := fewest_grouped(config)):
        raise ValueError(
            f"--groups needs at least {least} training images, and {data.name} has "
            f"{len(data.train)}: add --no-groups, or give more images or fewer --values"
        )
    if config.labels and data.shape[0] == 1 and (config.shift or config.distortion):
        raise ValueError(
            f"--shift and --distortion move pictures, and {data.name} has rows of numbers: add "
            "--shift 0 --distortion 0"
        )
    if config.labels and config.values != data.num_classes:
        raise ValueError(
            f"--labels gives every class a value: {data.name} has {data.num_classes} classes, got "
            f"--values {config.values}; add --values {data.num_classes}"
        )
    states = number_of_states(config.variables, config.values)
    if config.estimator == "exact" and states > DEFAULT_MAX_STATES:
        alternatives = "clamped-argmax or direct"
        if config.encoder == "independent":
            alternatives = "direct, gumbel-softmax or local-expectation"
        raise ValueError(
            f"--estimator exact enumerates --values to the power of --variables, here "
            f"{config.values}^{config.variables} states, and at most {DEFAULT_MAX_STATES:,}: "
            f"choose {alternatives}"
        )
