"""The model with attributes on images that are read while it trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Int64
from lightning_fabric import Fabric
from torch import Tensor, nn

from directmax._precision import sum_dtype
from directmax.models import AttributeVAE
from directmax.schedules import GeometricDecay
from directmax.tool.config import ResolvedConfig
from directmax.tool.config.build import build_attribute_model, schedule_estimator
from directmax.tool.data import AttributeData, AttributeSplit, Augmentation, ImageStream
from directmax.tool.run.evaluation import Metrics, mean_metrics
from directmax.tool.run.labelled import LABELLED_SHARE, LabelledBatches
from directmax.tool.run.randomness import Stream, derive_seed
from directmax.tool.run.task import Batch, StepLoss, Task

VALIDATION_IMAGES = 2000
"""Looked at after every epoch, at most."""
READ = 250
"""Images that are read at once for an evaluation."""


def labelled_rows(
    attributes: Int64[Tensor, "N n"], count: int, generator: torch.Generator
) -> Int64[Tensor, " count"]:
    """Images to label, drawn so that all combinations of attributes come as often as they can.

    In turn one of every combination that there is, until there are enough.

    Args:
        attributes: of the training images, 0 or 1.
        count: how many.
        generator: draws them, on the CPU.

    Raises:
        ValueError: there are not so many images.

    Example:
        >>> attributes = torch.tensor([[0, 0], [0, 0], [0, 0], [1, 0], [1, 1]])
        >>> labelled_rows(attributes, 4, torch.Generator()).sort().values[-2:]
        tensor([3, 4])
    """
    if count > len(attributes):
        raise ValueError(
            f"--labels {count} is more than the {len(attributes)} training images; choose fewer"
        )
    mixed = torch.randperm(len(attributes), generator=generator)
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, bits in zip(mixed.tolist(), attributes[mixed].tolist(), strict=True):
        groups.setdefault(tuple(bits), []).append(row)
    rows: list[int] = []
    turn = 0
    while True:
        members = [groups[bits][turn] for bits in sorted(groups) if turn < len(groups[bits])]
        missing = count - len(rows)
        if missing <= len(members):  # not always the same combinations are left out
            chosen = torch.randperm(len(members), generator=generator)[:missing].sort().values
            return torch.tensor(rows + [members[each] for each in chosen.tolist()])
        rows += members
        turn += 1


class AttributeTask(Task):
    """Training of `AttributeVAE`.

    Args:
        config: what is trained.
        data: images with attributes.
        fabric: device, precision and processes.
        workers: processes that read images; results do not depend on it.

    Raises:
        ValueError: the configuration does not fit the data.
        DataError: a labelled image cannot be read.
    """

    model: AttributeVAE

    def __init__(
        self, config: ResolvedConfig, data: AttributeData, fabric: Fabric, *, workers: int = 0
    ) -> None:
        super().__init__(config, fabric)
        if config.batch_size > len(data.train):
            raise ValueError(
                f"--batch-size {config.batch_size} is more than the {len(data.train)} training "
                f"images of {data.name}"
            )
        if len(data.attribute_names) != config.variables:
            raise ValueError(
                f"--attributes must name those of the images, {' '.join(data.attribute_names)}, "
                f"got {' '.join(config.attributes)}"
            )
        if config.batch_size % fabric.world_size:
            raise ValueError(
                f"--batch-size must be a multiple of the {fabric.world_size} processes with "
                f"--model attributes, got {config.batch_size}"
            )
        self.data = data
        self.model = self.fresh_model(config)
        self.num_images = len(data.train)
        steps = -(-self.num_images // config.batch_size)
        start = 1.0 if config.kl_start == "auto" else config.kl_start
        fall = config.falling_steps(steps)
        self.kl_schedule = GeometricDecay(start, 1.0, fall)
        schedule_estimator(self.model.estimator, config, self.kl_schedule, steps)
        self.stream = ImageStream(
            data.train.images,
            batch_size=config.batch_size // fabric.world_size,
            workers=workers,
            augmentation=Augmentation(self.seed(Stream.AUGMENTATION), shift=config.shift),
            pin_memory=fabric.device.type == "cuda",
        )
        self.labelled: LabelledBatches | None = None
        if config.labels:
            generator = torch.Generator().manual_seed(self.seed(Stream.LABELS))
            rows = labelled_rows(data.train.attributes, config.labels, generator)
            attributes = data.train.attributes[rows]
            self.labelled = LabelledBatches(config, rows, attributes, fabric.device)
            with ImageStream(data.train.images, batch_size=READ) as stream:
                images = torch.cat(list(stream.batches(rows)))
            self._labelled_images = images.to(fabric.device)

    def fresh_model(self, config: ResolvedConfig) -> AttributeVAE:
        """One like `model`, of another seed."""
        return build_attribute_model(config, self.data.shape)

    def close(self) -> None:
        """End the processes that read images."""
        self.stream.close()

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The mini-batches of an epoch from a step on; the same at every call."""
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        parts = self.order(epoch).split(self.config.batch_size)
        parts_of_process = [part[rank::processes] for part in parts]
        idle = len(parts_of_process[-1]) == 0
        if idle:  # all processes must take every step: this one has an image that does not count
            parts_of_process[-1] = parts[-1][:1]
        images = self.stream.batches(torch.cat(parts_of_process), epoch=epoch, start=start)
        for part, batch in zip(parts[start:], images, strict=True):
            weight = 0.0 if idle and part is parts[-1] else 1.0
            yield Batch(batch.to(self.fabric.device, non_blocking=True), len(part), weight)

    def loss(
        self, forward: nn.Module, batch: Batch, step: int, *, generator: torch.Generator
    ) -> StepLoss:
        """The bound and, with labels, their loss and that of attributes that are sure."""
        config, processes = self.config, self.fabric.world_size
        weight = self.kl_schedule(step)
        inputs = {}
        if self.labelled is not None:
            positions = self.labelled.positions(step)[self.fabric.global_rank :: processes]
            inputs["labelled"] = self._labelled_images.index_select(0, positions)
            inputs["labels"] = self.labelled.labels.index_select(0, positions)
        terms = forward(
            batch.images,
            generator=generator,
            kl_gradient=config.kl_gradient == "on",
            kl_weight=weight,
            distortion=config.distortion if self.labelled is not None else 0.0,
            **inputs,
        )
        scale = batch.weight * processes / batch.size
        loss = (terms.reconstruction + weight * terms.kl).sum() * scale
        if self.labelled is not None:
            assert isinstance(config.label_weight, float)  # chosen
            shown = config.label_weight * terms.supervision + LABELLED_SHARE * terms.labelled
            loss = loss + shown.sum() * (processes / self.labelled.size)
            if terms.consistency is not None:
                loss = loss + config.label_weight * terms.consistency.sum() * scale
        gaussian = terms.gaussian_kl.sum()
        reconstruction = terms.reconstruction.detach().sum() - weight * gaussian
        kl = terms.kl.detach().sum() + gaussian
        return StepLoss(loss, batch.weight * reconstruction, batch.weight * kl)

    def validate(self) -> Metrics:
        """Of the first validation images; of one Gaussian sample."""
        metrics = self._evaluate("validation", num_samples=1, most=VALIDATION_IMAGES)
        return dataclasses.replace(metrics, majority=None)

    def results(self) -> dict[str, Metrics]:
        """Of the validation and the test images."""
        samples = self.config.eval_samples
        return {
            split: self._evaluate(split, num_samples=samples) for split in ("validation", "test")
        }

    def _evaluate(self, split: str, *, num_samples: int, most: int | None = None) -> Metrics:
        own_rows = slice(self.fabric.global_rank, most, self.fabric.world_size)
        metrics: Metrics = evaluate_attributes(
            self.config,
            self.model,
            self.data,
            split,
            rows=torch.arange(len(getattr(self.data, split)))[own_rows],
            num_samples=num_samples,
            seed=self.seed(Stream.SAMPLES, self.fabric.global_rank),
            reduce=self.reduce,
        )
        return metrics


@torch.no_grad()
def evaluate_attributes(
    config: ResolvedConfig,
    model: AttributeVAE,
    data: AttributeData,
    split: str,
    *,
    rows: Int64[Tensor, " m"] | None = None,
    num_samples: int = 1,
    seed: int | None = None,
    reduce: Callable[[Tensor], Tensor] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Metrics:
    """Mean bound over images and, where there were labels, the accuracy of every attribute.

    Args:
        config: of the run.
        model: the model, on some device.
        data: the images.
        split: train, validation or test.
        rows: which images; all when None.
        num_samples: see `AttributeVAE.bound`.
        seed: of those samples; that of the run when None.
        reduce: sums a tensor over processes, where each holds a share of the images.
        progress: told of the share that is done.

    Raises:
        DataError: an image cannot be read.
    """
    part: AttributeSplit = getattr(data, split)
    rows = torch.arange(len(part)) if rows is None else rows
    device = model.scale.device
    seed = derive_seed(config.seed, Stream.SAMPLES, 0) if seed is None else seed
    generator = torch.Generator(device).manual_seed(seed)
    n = len(data.attribute_names)
    wide = sum_dtype(device)
    sums = torch.zeros(3 + n, dtype=wide, device=device)  # two terms, n right ones, images
    chunks = rows.split(READ)
    with ImageStream(part.images, batch_size=READ) as stream:
        for index, images in enumerate(stream.batches(rows)):
            images = images.to(device)
            bound = model.bound(images, num_samples=num_samples, generator=generator)
            sums[0] += bound.reconstruction.sum(dtype=wide)
            sums[1] += bound.kl.sum(dtype=wide)
            found = model.posterior(images).mode()[..., 1] > 0.5
            right = found == (part.attributes[chunks[index]].to(device) > 0)
            sums[2 : 2 + n] += right.sum(0)
            sums[-1] += len(images)
            if progress is not None:
                progress((index + 1) / len(chunks))
    total = sums if reduce is None else reduce(sums)
    reconstruction, kl, count = total[[0, 1, -1]].tolist()
    metrics = mean_metrics(reconstruction, kl, count, num_samples=num_samples)
    if not config.labels:  # z then means what it likes
        return metrics
    return _with_accuracies(metrics, part, data.attribute_names, (total[2:-1] / total[-1]).tolist())


def _with_accuracies(
    metrics: Metrics, part: AttributeSplit, names: Sequence[str], accuracies: Sequence[float]
) -> Metrics:
    """Metrics with the accuracy of every attribute, beside that of always its frequent value."""
    positive = (part.attributes > 0).double().mean(0)
    frequent = torch.maximum(positive, 1 - positive).tolist()
    return dataclasses.replace(
        metrics,
        accuracy=sum(accuracies) / len(accuracies),
        attributes=dict(zip(names, accuracies, strict=True)),
        majority=dict(zip(names, frequent, strict=True)),
    )
