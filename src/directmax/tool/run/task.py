"""What a training loop asks of a model, its images and its loss."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from directmax.schedules import Schedule
from directmax.tool.config import ResolvedConfig
from directmax.tool.run.evaluation import Metrics
from directmax.tool.run.processes import Alone, Processes
from directmax.tool.run.progress import Progress
from directmax.tool.run.randomness import Stream, derive_seed
from directmax.tool.run.run_folder import RunFolder


class Batch(NamedTuple):
    """This process's share of a mini-batch.

    Attributes:
        images: of this process.
        size: of the whole mini-batch.
        weight: 0 where the images are not of the mini-batch, because there are too few for all
            processes.
    """

    images: Tensor
    size: int
    weight: float = 1.0


class StepLoss(NamedTuple):
    """What a step is judged by.

    Attributes:
        loss: with gradient, scaled so that processes may average theirs.
        reconstruction: sum over this process's images, nats, without gradient.
        kl: the same of the KL terms, unweighted.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


class Task(ABC):
    """A model, its images and its loss: everything in which kinds of models differ.

    Args:
        config: what is trained.
        fabric: device, precision and processes.

    Attributes:
        model: the model, on the CPU until the loop moves it.
        data: its images.
        num_images: training images.
        kl_schedule: weight of the KL term by step.
        epochs_first: epochs at the start in which what is wanted has not begun, so that patience
            does not count them.
        classes: of every value of a mixed model, once there are results; None: none were found.
        tried: the distortion that short trainings chose, and by what; None: there were none.
    """

    model: Any
    data: Any
    num_images: int
    kl_schedule: Schedule
    epochs_first: int = 0
    classes: list[int] | None = None
    tried: dict[str, Any] | None = None

    def __init__(self, config: ResolvedConfig, fabric: Processes) -> None:
        self.config, self.fabric = config, fabric

    @abstractmethod
    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The mini-batches of an epoch from a step on; the same at every call."""

    @abstractmethod
    def loss(
        self, forward: nn.Module, batch: Batch, step: int, *, generator: torch.Generator
    ) -> StepLoss:
        """The loss of a mini-batch.

        Args:
            forward: the model, perhaps wrapped for several processes or compiled.
            batch: the images.
            step: since the start of the run.
            generator: source of the noise.
        """

    @abstractmethod
    def validate(self) -> Metrics:
        """Over all processes' shares of the validation images, as quick as an epoch allows."""

    @abstractmethod
    def results(self) -> dict[str, Metrics]:
        """Of the validation and the test images at the end of the run, over all processes."""

    @abstractmethod
    def fresh_model(self, config: ResolvedConfig) -> nn.Module:
        """One like `model`, of another seed."""

    def advice(
        self,
        summary: Mapping[str, Any],
        lines: Sequence[Mapping[str, Any]],
        starts: Sequence[Sequence[Mapping[str, Any]]],
    ) -> list[str]:
        """What a user should know of the finished run, a line each; see `advice.advice`."""
        return []

    def yardsticks(self) -> dict[str, Any]:
        """What simpler methods have on the test images, for the summary; {} where there are none.

        Of the first process, at the end of the run.
        """
        return {}

    def prepare(self, folder: RunFolder, progress: Progress) -> None:  # noqa: B027 (most need none)
        """What must be known before the first step; a run that is resumed finds it in its folder.

        Raises:
            RunError: what is there is damaged, or the folder cannot be written.
        """

    def once(self, folder: Path, make: Callable[[], None]) -> None:
        """Have the first process make what a run keeps in a folder, unless it is there."""
        there = (folder / "state.json").exists()
        self.fabric.barrier()  # all have looked before the first one writes
        if not there and self.fabric.is_global_zero:
            make()
        self.fabric.barrier()

    def restart(self, start: int) -> None:
        """Give the model the initial weights of a start; data, order and noise stay as they are."""
        seed = self.seed(Stream.WEIGHTS, start)
        fresh = self.fresh_model(dataclasses.replace(self.config, seed=seed))
        self.model.load_state_dict(fresh.state_dict())

    def close(self) -> None:  # noqa: B027 (most have nothing open)
        """Let go of what reads images."""

    def order(self, epoch: int) -> Tensor:
        """The training images' numbers in the order of an epoch, on the CPU."""
        generator = torch.Generator().manual_seed(self.seed(Stream.ORDER, epoch))
        return torch.randperm(self.num_images, generator=generator)

    def seed(self, stream: Stream, *parts: int) -> int:
        """Of a purpose."""
        return derive_seed(self.config.seed, stream, *parts)

    def reduce(self, total: Tensor) -> Tensor:
        """The sum over processes."""
        if isinstance(self.fabric, Alone) or self.fabric.world_size == 1:
            return total
        reduced: Any = self.fabric.all_reduce(total, reduce_op="sum")
        return torch.as_tensor(reduced)
