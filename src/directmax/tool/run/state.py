"""The state of a training: what its checkpoints hold, and how it comes back from them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from directmax._precision import sum_dtype
from directmax.tool.config import ResolvedConfig
from directmax.tool.files import RunError
from directmax.tool.run.adam import Adam
from directmax.tool.run.checkpoint import (
    Checkpoint,
    fitting,
    load_checkpoint,
    optimizer_tensors,
    restore_model,
    restore_optimizer,
    save_checkpoint,
)
from directmax.tool.run.processes import Alone, Processes


@dataclass
class Position:
    """Where in the run we are, and the best validation so far."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: list[float] | None = None  # of no epoch yet; lower is better, the first counts most
    most_accurate: list[float] | None = None  # highest accuracy, its standard error; with labels
    seconds: float = 0.0  # spent on the steps of this epoch before it was stopped
    start: int = 0  # that is trained
    start_score: list[float] | None = None  # of the best start

    @classmethod
    def of(cls, checkpoint: Checkpoint, folder: Path) -> Position:
        """Of a checkpoint.

        Raises:
            RunError: it says none.
        """
        record = checkpoint.state.get("position")
        kinds = {each.name: each.type for each in dataclasses.fields(cls)}
        if not isinstance(record, dict) or not all(
            name in kinds and _is(value, str(kinds[name])) for name, value in record.items()
        ):
            raise RunError(f"{folder / 'state.json'} is damaged: it names no position in the run")
        return cls(**record)

    def epochs_done(self, config: ResolvedConfig) -> int:
        """Whole epochs of all starts; as many lines has `metrics.jsonl`."""
        return self.epoch + config.epochs_before(self.start, self.epoch + 1)


class TrainingState:
    """Everything that the next step depends on, beside the configuration and the images.

    Args:
        config: what is trained.
        fabric: device and processes.
        model: its weights.
        optimizer: without Fabric's wrapper.
        steps: of an epoch.

    Attributes:
        position: where the run is.
        generator: source of the noise; seeded at the start of an epoch.
        history: sums of reconstruction and KL term of every step of the epoch.
        noted: steps whose sums are not in the history yet, and these.
    """

    def __init__(
        self,
        config: ResolvedConfig,
        fabric: Processes,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | Adam,
        steps: int,
    ) -> None:
        self.config, self.fabric, self.model, self.optimizer = config, fabric, model, optimizer
        device = fabric.device
        self.position = Position()
        self.generator = torch.Generator(device)
        self.history = torch.zeros(steps, 2, dtype=sum_dtype(device), device=device)
        self.noted: list[tuple[int, Tensor, Tensor]] = []

    def write_history(self) -> None:
        """Put what was noted into the history: of many steps at once, as one takes as long."""
        if self.noted:
            steps, *sums = zip(*self.noted, strict=True)
            columns = torch.stack([torch.stack(each) for each in sums], -1)
            self.history[list(steps)] = columns.to(self.history.dtype)
            self.noted.clear()

    def save(self, folder: Path, best: dict[str, Tensor] | None = None) -> None:
        """Write all of it; `best` are weights to keep beside its own."""
        tensors = {**_under("best", best or {}), **_under("model", self.model.state_dict())}
        tensors |= _under("optimizer", optimizer_tensors(self.optimizer))
        if self.position.step:
            self.write_history()
            tensors["history"] = self.history
            tensors["generator"] = self.generator.get_state()
        save_checkpoint(folder, Checkpoint(tensors, self._record()))

    def save_weights(self, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
        """Write the model's weights, or those of another epoch, without the optimizer's state."""
        tensors = _under("model", weights or self.model.state_dict())
        save_checkpoint(folder, Checkpoint(tensors, self._record()))

    def restore(self, checkpoint: Checkpoint, folder: Path) -> None:
        """Take over weights and the optimizer's state; not the position."""
        restore_model(self.model, checkpoint.part("model"), folder)
        with fitting(folder):
            restore_optimizer(self.optimizer, checkpoint.part("optimizer"))
            scaling = checkpoint.state.get("loss_scaling")
            if scaling and not isinstance(self.fabric, Alone):
                self.fabric.strategy.precision.load_state_dict(scaling)

    def restore_epoch(self, checkpoint: Checkpoint, folder: Path) -> None:
        """Go on in the middle of an epoch."""
        with fitting(folder):
            self.history.copy_(checkpoint.tensors["history"])
            self.generator.set_state(checkpoint.tensors["generator"])

    def load_weights(self, folder: Path) -> None:
        """Put the weights of a checkpoint into the model."""
        restore_model(self.model, load_checkpoint(folder).part("model"), folder)

    def _record(self) -> dict[str, Any]:
        return {
            "position": dict(self.position.__dict__),
            "digest": self.config.digest(),
            "processes": self.fabric.world_size,
            # Of float16: the scale of the loss, and for how many steps it has held.
            "loss_scaling": {}
            if isinstance(self.fabric, Alone)
            else self.fabric.strategy.precision.state_dict(),
        }


def _is(value: object, kind: str) -> bool:
    """Whether a value of JSON has the type of a field of `Position`."""
    if kind.startswith("list"):
        return value is None or (
            isinstance(value, list) and all(isinstance(each, float | int) for each in value)
        )
    kinds = (int, float) if kind == "float" else (int,)
    return isinstance(value, kinds) and not isinstance(value, bool) and value >= 0


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
