"""The model with attributes on images that are read while it trains."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from directmax._precision import sum_dtype
from directmax.models import AttributeVAE, attribute_prior
from directmax.schedules import GeometricDecay
from directmax.tool.config import ResolvedConfig
from directmax.tool.config.build import build_attribute_model, schedule_estimator
from directmax.tool.data import (
    AttributeData,
    AttributeSplit,
    Augmentation,
    ImageStream,
    labelled_rows,
)
from directmax.tool.run.attribute_scores import score_sums, scores_of
from directmax.tool.run.attribute_yardsticks import attribute_advice, yardsticks
from directmax.tool.run.calibration import fitted_calibration
from directmax.tool.run.evaluation import Metrics, mean_metrics
from directmax.tool.run.labelled import (
    LABELLED_SHARE,
    OBEYED,
    LabelledBatches,
    decides,
    told_share,
)
from directmax.tool.run.processes import Processes
from directmax.tool.run.progress import Progress
from directmax.tool.run.randomness import Stream, derive_seed
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.selection import standard_error
from directmax.tool.run.task import Batch, StepLoss, Task
from directmax.tool.run.trials import (
    READ,
    Labelled,
    Trials,
    enough_labels,
    load_trials,
    log_odds,
    run_trials,
    save_trials,
    strengths,
    trials_note,
)

VALIDATION_IMAGES = 2000
"""Looked at after every epoch, at most."""


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
        self, config: ResolvedConfig, data: AttributeData, fabric: Processes, *, workers: int = 0
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
        self._steps = config.epochs * steps
        start = 1.0 if config.kl_start == "auto" else config.kl_start
        fall = config.falling_steps(steps)
        self.kl_schedule = GeometricDecay(start, 1.0, fall)
        schedule_estimator(self.model.estimator, config, self.kl_schedule, steps)
        self.stream = ImageStream(
            data.train.images,
            batch_size=config.batch_size // fabric.world_size,
            workers=workers,
            augmentation=Augmentation(
                self.seed(Stream.AUGMENTATION), shift=config.shift, flip=config.symmetric
            ),
            pin_memory=fabric.device.type == "cuda",
        )
        self.labelled: LabelledBatches | None = None
        self.tilt: Tensor | None = None
        self.distortion = config.distortion
        # A correction from few images may be wrong, and images told of it would confirm it.
        several = enough_labels(self._validation_labels)
        self.calibrated_targets = config.calibration == "targets" and several
        self._workers = workers
        if config.labels:
            generator = torch.Generator().manual_seed(self.seed(Stream.LABELS))
            rows = labelled_rows(data.train.attributes, config.labels, generator)
            attributes = data.train.attributes[rows]
            self.labelled = LabelledBatches(config, rows, attributes, fabric.device)
            with ImageStream(data.train.images, batch_size=READ) as stream:
                images = torch.cat(list(stream.batches(rows)))
            self._labelled_images = images.to(fabric.device)
            if self.model.log_prior is not None:
                prior = self.model.log_prior
                self.tilt = (attribute_prior(attributes) - prior.cpu()).to(fabric.device)

    def fresh_model(self, config: ResolvedConfig) -> AttributeVAE:
        """One like `model`, of another seed."""
        model = build_attribute_model(config, self.data.shape)
        if model.log_prior is not None:
            model.log_prior.copy_(attribute_prior(self.data.train.attributes))
        return model

    def prepare(self, folder: RunFolder, progress: Progress) -> None:
        """Choose the distortion by short trainings, in the first process."""
        if self.config.trials and enough_labels(self._validation_labels):
            say = functools.partial(progress.preparing, "choosing the distortion")
            self.once(folder.trials, lambda: save_trials(folder.trials, *self._try(say)))
            self.tried = load_trials(folder.trials, strengths(self.config))
            self.distortion = self.tried["chosen"]

    def trials(self) -> Trials:
        """Short trainings with other distortions, before their first step."""
        labelled = Labelled(self._labelled_of_step, self.tilt)
        return Trials(
            self.config, lambda: self.fresh_model(self.config), labelled, self.fabric.device
        )

    def _try(self, say: Callable[[float], None]) -> tuple[list[float], list[float]]:
        """The distortions that were tried, and their cross-entropies."""
        trials, steps = self.trials(), self.config.trials
        say(0.0)
        seed = self.seed(Stream.TRIALS, 1)
        with ImageStream(
            self.data.train.images,
            batch_size=self.config.batch_size,
            workers=self._workers,
            augmentation=Augmentation(seed, shift=self.config.shift, flip=self.config.symmetric),
        ) as stream:
            rows = self._rows_of_steps(steps, torch.Generator().manual_seed(seed))
            batches = (each.to(self.fabric.device) for each in stream.batches(rows))
            run_trials(trials, batches, steps, say)
        rows = torch.arange(len(self._validation_labels))
        return trials.strengths, trials.scores(self.data.validation, rows)

    @property
    def _validation_labels(self) -> Tensor:
        return self.data.validation.attributes[:VALIDATION_IMAGES]

    def _rows_of_steps(self, steps: int, generator: torch.Generator) -> Tensor:
        """Training images in random order, again and again, enough for some whole mini-batches."""
        count = steps * self.config.batch_size
        passes = -(-count // self.num_images)
        orders = [torch.randperm(self.num_images, generator=generator) for _ in range(passes)]
        return torch.cat(orders)[:count]

    def _labelled_of_step(self, step: int, share: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Labelled images of a step, and their labels: of all processes, or a share."""
        assert self.labelled is not None
        positions = self.labelled.positions(step)[share]
        images = self._labelled_images.index_select(0, positions)
        return images, self.labelled.labels.index_select(0, positions)

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
        self.model.follow(min(config.average, step / (step + 1)))
        weight = self.kl_schedule(step)
        deciding = config.decided != 1 and decides(step, self._steps, config.decided_from)
        inputs = {}
        if self.labelled is not None:
            own = slice(self.fabric.global_rank, None, processes)
            inputs["labelled"], inputs["labels"] = self._labelled_of_step(step, own)
        terms = forward(
            batch.images,
            generator=generator,
            kl_gradient=config.kl_gradient == "on",
            kl_weight=weight,
            distortion=self.distortion if self.labelled is not None else 0.0,
            sharpness=config.sharpness,
            confidence=config.confidence,
            patching=config.patching,
            mixing=config.mixing,
            tilt=self.tilt,
            calibrated_targets=self.calibrated_targets,
            decoded=config.decoded,
            switched=config.switched if self.labelled is not None else 0,
            deciding=deciding,
            **inputs,
        )
        scale = batch.weight * processes / batch.size
        loss = (terms.reconstruction + weight * terms.kl).sum() * scale
        if self.labelled is not None:
            assert isinstance(config.label_weight, float)  # chosen
            each = processes / self.labelled.size
            decoded = terms.labelled.sum() * len(terms.supervision) / max(1, len(terms.labelled))
            shown = config.label_weight * terms.supervision.sum() + LABELLED_SHARE * decoded
            loss = loss + shown * each
            if terms.consistency is not None:
                told = told_share(step, config.ramp) * config.label_weight
                loss = loss + told * terms.consistency.sum() * scale
            if terms.switched is not None:
                share = len(batch.images) / max(1, len(terms.switched))
                share *= config.switched_share * config.label_weight
                share *= OBEYED if deciding else 1
                loss = loss + share * terms.switched.sum() * scale
        gaussian = terms.gaussian_kl.sum()
        reconstruction = terms.reconstruction.detach().sum() - weight * gaussian
        kl = terms.kl.detach().sum() + gaussian
        return StepLoss(loss, batch.weight * reconstruction, batch.weight * kl)

    def validate(self) -> Metrics:
        """Of the first validation images; of one Gaussian sample. Calibrates q before."""
        if self.model.calibration is not None:
            self._calibrate()
        metrics = self._evaluate("validation", num_samples=1, most=VALIDATION_IMAGES)
        return dataclasses.replace(metrics, majority=None, scores=None)

    def results(self) -> dict[str, Metrics]:
        """Of the validation and the test images, by the model as it is loaded later."""
        self.model.settle()
        samples = self.config.eval_samples
        return {
            split: self._evaluate(split, num_samples=samples) for split in ("validation", "test")
        }

    def yardsticks(self) -> dict[str, Any]:
        """Of the same labelled images: a regression, and the network of q(z|x) by itself."""
        if self.labelled is None:
            return {}
        rows, tilt = self.labelled.indices.cpu(), self.tilt
        return yardsticks(
            self.config,
            self.data,
            self.fresh_model(self.config),
            rows,
            None if tilt is None else tilt.cpu(),
            distortion=self.distortion,
            steps=self._steps,
        )

    def advice(
        self,
        summary: Mapping[str, Any],
        lines: Sequence[Mapping[str, Any]],
        starts: Sequence[Sequence[Mapping[str, Any]]],
    ) -> list[str]:
        """The distortion that was chosen, and attributes that something simpler finds better."""
        note = [trials_note(self.distortion, self.tried)] if self.config.trials else []
        return [*note, *attribute_advice(summary, symmetric=self.config.symmetric)]

    @torch.no_grad()
    def _calibrate(self) -> None:
        """Correct the log-odds by the first validation images."""
        assert self.model.calibration is not None
        part = self.data.validation
        rows = torch.arange(len(part))[self._own_rows(VALIDATION_IMAGES)]
        odds = log_odds(self.model, part, rows, self.fabric.device)
        found = fitted_calibration(odds, part.attributes[rows], self._reduced)
        self.model.calibration.copy_(found)

    def _reduced(self, total: Tensor) -> Tensor:
        device = self.fabric.device
        return self.reduce(total.to(device, sum_dtype(device))).to(total)

    def _own_rows(self, most: int | None) -> slice:
        return slice(self.fabric.global_rank, most, self.fabric.world_size)

    def _evaluate(self, split: str, *, num_samples: int, most: int | None = None) -> Metrics:
        own_rows = self._own_rows(most)
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
    sums = torch.zeros(3, dtype=wide, device=device)  # two terms, images
    scores = score_sums(torch.zeros(0, n), torch.zeros(0, n, dtype=torch.int64))
    chunks = rows.split(READ)
    with ImageStream(part.images, batch_size=READ) as stream:
        for index, images in enumerate(stream.batches(rows)):
            images = images.to(device)
            bound = model.bound(images, num_samples=num_samples, generator=generator)
            sums[0] += bound.reconstruction.sum(dtype=wide)
            sums[1] += bound.kl.sum(dtype=wide)
            q = model.posterior(images)
            probable, decided = q.marginals()[..., 1].cpu(), q.mode()[..., 1].cpu() > 0.5
            scores = scores + score_sums(probable, part.attributes[chunks[index]], decided)
            sums[-1] += len(images)
            if progress is not None:
                progress((index + 1) / len(chunks))
    total = torch.cat([sums, scores.flatten().to(sums)])
    total = total if reduce is None else reduce(total)
    reconstruction, kl, count = total[:3].tolist()
    metrics = mean_metrics(reconstruction, kl, count, num_samples=num_samples)
    if not config.labels:  # z then means what it likes
        return metrics
    return _with_scores(metrics, scores_of(total[3:].view(n, -1), data.attribute_names))


def _with_scores(metrics: Metrics, scores: dict[str, dict[str, Any]]) -> Metrics:
    """Metrics with the accuracy of every attribute, beside that of always its frequent value."""
    accuracies = {name: each["accuracy"] for name, each in scores.items()}
    error = standard_error([(each["accuracy"], each["images"]) for each in scores.values()])
    return dataclasses.replace(
        metrics,
        accuracy=sum(accuracies.values()) / max(1, len(accuracies)),
        accuracy_error=error,
        attributes=accuracies,
        majority={name: each["majority"] for name, each in scores.items()},
        scores=scores,
    )
