"""How long a step of a configuration takes here, from a few steps."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from directmax.tool.config import ResolvedConfig
from directmax.tool.run.denormals import flushed_denormals
from directmax.tool.run.loop import Trainer
from directmax.tool.run.make import Data, make_task
from directmax.tool.run.processes import make_fabric
from directmax.tool.run.progress import Progress
from directmax.tool.run.run_folder import RunFolder

WARM_UP = 3
"""Steps that are not counted: the first ones compile kernels."""
ROUNDS = 8
"""Of which the quickest counts: the others waited for whatever else the machine did."""


@dataclass(frozen=True)
class Timing:
    """What a run consists of, in seconds.

    Attributes:
        step: a training step.
        validation: the validation at the end of an epoch.
    """

    step: float
    validation: float


@flushed_denormals()
def time_training(
    config: ResolvedConfig, data: Data, *, device: str = "auto", seconds: float = 0.3
) -> Timing:
    """Train a few steps, in a folder that is then removed, and look at the validation images once.

    Args:
        config: what is trained.
        data: the images.
        device: auto, cpu, cuda, cuda:N or mps.
        seconds: about how long to train.

    Returns:
        A step of the quickest of eight rounds, and the validation.

    Example:
        >>> from directmax.tool.config import TrainConfig
        >>> from directmax.tool.data import load_images
        >>> config, data = TrainConfig().resolve(), load_images("digits")
        >>> timing = time_training(config, data, device="cpu", seconds=0.05)
        >>> 0 < timing.step < 1
        True
    """
    with _trainer(config, data, device) as trainer:
        step = _step(trainer, seconds)
        began = time.perf_counter()
        trainer.task.validate()
        return Timing(step, time.perf_counter() - began)


@flushed_denormals()
def time_steps(
    config: ResolvedConfig, data: Data, *, device: str = "auto", seconds: float = 0.3
) -> float:
    """Seconds of a training step, as `time_training` has it, without the validation."""
    with _trainer(config, data, device) as trainer:
        return _step(trainer, seconds)


@contextlib.contextmanager
def _trainer(config: ResolvedConfig, data: Data, device: str) -> Iterator[Trainer]:
    with tempfile.TemporaryDirectory() as folder:
        fabric = make_fabric(device, 1, config.precision)
        fabric.launch()
        task = make_task(config, data, fabric)
        yield Trainer(task, RunFolder(Path(folder)), Progress())


def _step(trainer: Trainer, seconds: float) -> float:
    def steps(number: int) -> float:
        began = time.perf_counter()
        trainer.train_steps(number)
        return (time.perf_counter() - began) / number

    steps(WARM_UP)
    number = max(1, round(seconds / ROUNDS / max(steps(1), 1e-9)))
    return min(steps(number) for _ in range(ROUNDS))
