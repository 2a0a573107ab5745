"""The training loop: interruptible at every step, resumable to the identical result."""

from __future__ import annotations

import itertools
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from directmax._precision import sum_dtype
from directmax.tool.files import RunError
from directmax.tool.run.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    restore_model,
    restore_optimizer,
    save_checkpoint,
)
from directmax.tool.run.interrupt import Interrupted, InterruptGuard
from directmax.tool.run.progress import Progress
from directmax.tool.run.randomness import Stream
from directmax.tool.run.run_folder import RunFolder, of_start
from directmax.tool.run.task import Batch, Task
from directmax.tool.run.tensorboard import Events

CHECK_EVERY = 50
"""Steps between two looks at the loss for NaN (each is a synchronisation on a GPU)."""


class DivergedError(RunError):
    """The loss became NaN or infinite."""


@dataclass
class _Position:
    """Where in the run we are, and the best validation so far."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: list[float] | None = None  # of no epoch yet; lower is better, the first counts most
    seconds: float = 0.0  # spent on the steps of this epoch before it was stopped
    start: int = 0  # that is trained
    start_score: list[float] | None = None  # of the best start


class Trainer:
    """Trains one model in one run folder.

    The state after a step depends on the configuration alone: the order of images and the noise of
    an epoch come from generators seeded by (seed, purpose, epoch, process).

    Args:
        task: the model, its images and its loss.
        folder: where checkpoints and metrics go.
        progress: told of every step and epoch.
        compiled: whether torch compiles the training step, which changes results by rounding.
    """

    def __init__(
        self, task: Task, folder: RunFolder, progress: Progress, *, compiled: bool = False
    ) -> None:
        self.compiled = compiled
        self.task, self.config, self.fabric = task, task.config, task.fabric
        self.folder, self.progress = folder, progress
        self.model = task.model
        optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=self.config.learning_rate,
            fused=self.fabric.device.type in ("cpu", "cuda"),
        )
        step: nn.Module = self.model
        if compiled:  # evaluation is not
            step = torch.compile(self.model)  # type: ignore[assignment]
        self.wrapped, self.optimizer = self.fabric.setup(step, optimizer)
        self.num_images = task.num_images
        self.steps_per_epoch = math.ceil(self.num_images / self.config.batch_size)
        device = self.fabric.device
        self.generator = torch.Generator(device)
        self.history = torch.zeros(self.steps_per_epoch, 2, dtype=sum_dtype(device), device=device)
        self.position = _Position()
        self.events = Events(folder.path) if self.fabric.is_global_zero else None
        self._endless: Iterator[tuple[int, Batch]] | None = None

    def resume(self) -> None:
        """Continue where `checkpoints/last` ends.

        Raises:
            RunError: the checkpoint is damaged or does not fit.
        """
        if not (self.folder.last / "state.json").exists() and len(self.folder.all_metrics()) < 2:
            self.folder.keep_metrics(0)  # stopped before its first checkpoint
            return
        checkpoint = load_checkpoint(self.folder.last)
        state = checkpoint.state
        if state["digest"] not in (self.config.digest(), self.folder.digest()):
            raise RunError(
                f"the checkpoint {self.folder.last} is of another configuration than "
                f"{self.folder.config_file}; restore that file, or train into a new folder"
            )
        if state.get("processes", 1) != self.fabric.world_size:
            raise RunError(
                f"cannot resume {self.folder.path} with --devices {self.fabric.world_size}: it was "
                f"trained with --devices {state['processes']}, and noise differs by process"
            )
        self._restore(checkpoint, self.folder.last)
        self.position = _Position(**state["position"])
        if self.position.best_epoch:
            load_checkpoint(self.folder.best)  # damaged? better known now than after the training
        lines = self.folder.keep_metrics(self._epochs_done)
        if self.position.step:
            self._start_epoch()
            self.history.copy_(checkpoint.tensors["history"])
            self.generator.set_state(checkpoint.tensors["generator"])
        self._drop_start()
        self.progress.resumed(lines, self.position.start)

    def run(self) -> None:
        """Train to the last epoch.

        Raises:
            Interrupted: Ctrl-C; the state is saved.
            DivergedError: the loss became NaN; the last good checkpoint is kept.
        """
        if self.events is not None:
            self.events.open(self.position.epoch)
        with InterruptGuard() as guard:
            while self.position.epoch < self.config.epochs and not self.stopped_early:
                self._run_epoch(guard)
                if self._requested_anywhere(guard):  # the end of an epoch is saved
                    raise self._interrupted()

    @property
    def _epochs_done(self) -> int:
        """Whole epochs of all starts; as many lines has `metrics.jsonl`."""
        epoch = self.position.epoch
        return epoch + self.config.epochs_before(self.position.start, epoch + 1)

    @property
    def stopped_early(self) -> bool:
        """Whether the validation bound has not moved for the epochs of `patience`."""
        config, position = self.config, self.position
        if not config.patience or not position.best_epoch or position.epoch == config.epochs:
            return False
        falls = self.task.kl_schedule(0) > 1
        falling = config.falling_epochs if falls else config.start_epochs
        return position.epoch - max(position.best_epoch, falling) >= config.patience

    def _requested_anywhere(self, guard: InterruptGuard) -> bool:
        requested = torch.tensor([float(guard.requested)], device=self.fabric.device)
        return bool(self.task.reduce(requested))

    def _run_epoch(self, guard: InterruptGuard) -> None:
        epoch = self.position.epoch
        if self.position.step == 0:
            self._start_epoch()
        began = time.perf_counter() - self.position.seconds
        start, done = self.position.step, self._epochs_done
        for step, batch in enumerate(self.task.batches(epoch, start=start), start):
            self._train_step(batch, step)
            if (step + 1) % CHECK_EVERY == 0:
                self._check_finite(step + 1)
            self.progress.step(done, step + 1)
            # Several processes stop together, after a whole epoch.
            if guard.requested and self.fabric.world_size == 1 and step + 1 < self.steps_per_epoch:
                self._check_finite(step + 1)
                self.position.step = step + 1
                self.position.seconds = time.perf_counter() - began
                self._save_last()
                raise self._interrupted()
        self._check_finite(self.steps_per_epoch)
        self._finish_epoch(time.perf_counter() - began)

    def train_steps(self, number: int) -> None:
        """Take steps, from the start of the first epoch again and again, and wait for the device.

        To measure how long they take: nothing is saved.
        """
        if self._endless is None:
            self._endless = _endless(self.task)
        for step, batch in itertools.islice(self._endless, number):
            self._train_step(batch, step)
        self.history.sum().item()

    def _train_step(self, batch: Batch, step: int) -> None:
        global_step = self.position.epoch * self.steps_per_epoch + step
        if self.config.learning_rate_schedule == "cosine":
            self._set_learning_rate(global_step)
        result = self.task.loss(self.wrapped, batch, global_step, generator=self.generator)
        self.fabric.backward(result.loss)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.history[step, 0] = result.reconstruction
        self.history[step, 1] = result.kl

    def _set_learning_rate(self, global_step: int) -> None:
        total = self.config.epochs * self.steps_per_epoch
        factor = 0.5 * (1 + math.cos(math.pi * global_step / total))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def _start_epoch(self) -> None:
        self.history.zero_()
        self.generator.manual_seed(
            self.task.seed(Stream.NOISE, self.position.epoch, self.fabric.global_rank)
        )

    def _finish_epoch(self, seconds: float) -> None:
        position = self.position
        began = time.perf_counter()
        sums = self.task.reduce(self.history.sum(0)) / self.num_images
        reconstruction, kl = sums.tolist()
        validation = self.task.validate()
        global_step = (position.epoch + 1) * self.steps_per_epoch - 1
        line = {
            "epoch": position.epoch + 1,
            **({"start": position.start} if self.config.start_epochs else {}),
            "train": {
                "bound": reconstruction + kl,
                "reconstruction": reconstruction,
                "kl": kl,
            },
            "validation": {k: v for k, v in validation.to_dict().items() if k != "confusion"},
            "kl_weight": self.task.kl_schedule(global_step),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **self.model.estimator.latest(),
            "seconds": seconds,
            "validation_seconds": time.perf_counter() - began,
        }
        if not math.isfinite(validation.bound):
            raise self._diverged(self.steps_per_epoch, "validation bound")
        position.epoch, position.step, position.seconds = position.epoch + 1, 0, 0.0
        # With labels accuracy is what is wanted; of epochs that are level in it, the best bound.
        accuracy = [-(validation.accuracy or 0.0)] if self.config.labels else []
        score = [*accuracy, validation.bound]
        improved = position.best_score is None or score < position.best_score
        if improved:
            position.best_score, position.best_epoch = score, position.epoch
        if self.events is not None:  # the first process writes
            if improved:
                best = Checkpoint(self._model_tensors(), self._state())
                save_checkpoint(self.folder.best, best)
            # A resumed run cuts lines beyond the last checkpoint, so the line goes first.
            self.folder.append_metrics(line)
            self.events.add(line)
        self.progress.epoch(line, improved)
        if position.epoch == self.config.start_epochs:  # one that is continued goes on from there
            self._end_start(score)
        if self.fabric.is_global_zero:
            self._save_last()
            self._drop_start()
        self.fabric.barrier()

    def _end_start(self, score: list[float]) -> None:
        """Begin the next start, or go on with the best one; until `last` is saved nothing is lost.

        Args:
            score: of the validation images at the end of this start.
        """
        position, main = self.position, self.fabric.is_global_zero
        if position.start_score is None or score < position.start_score:
            position.start_score = score
            if main:  # with the weights of its best epoch, which need not be the last
                best = load_checkpoint(self.folder.best).part("model")
                self._save(self.folder.start, {f"best.{name}": best[name] for name in best})
        if position.start + 1 < self.config.starts:
            position.start, position.epoch = position.start + 1, 0
            position.best_epoch, position.best_score = 0, None
            self.task.restart(position.start)
            self.optimizer.optimizer.state.clear()
        else:
            self.fabric.barrier()  # it is written
            kept = load_checkpoint(self.folder.start)
            self._restore(kept, self.folder.start)
            for name in ("start", "best_epoch", "best_score"):
                setattr(position, name, kept.state["position"][name])
            if main:
                best = kept.part("best")
                tensors = {f"model.{name}": best[name] for name in best}
                save_checkpoint(self.folder.best, Checkpoint(tensors, self._state()))
            *_, bound = kept.state["position"]["best_score"]
            self.progress.chosen(position.start, self.config.starts, bound)
        if self.events is not None:  # TensorBoard shows one start at a time
            chosen = of_start(self.folder.all_metrics(), position.start)
            self.events.restart(chosen[: position.epoch])

    def _drop_start(self) -> None:
        """Remove the best start once it is continued: its choice can no longer be lost."""
        first = self.config.start_epochs
        if first and self.fabric.is_global_zero and self.position.epoch > first:
            shutil.rmtree(self.folder.start, ignore_errors=True)

    def _restore(self, checkpoint: Checkpoint, folder: Path) -> None:
        restore_model(self.model, checkpoint.part("model"), folder)
        restore_optimizer(self.optimizer.optimizer, checkpoint.part("optimizer"))
        if scaling := checkpoint.state.get("loss_scaling"):
            self.fabric.strategy.precision.load_state_dict(scaling)

    def close(self) -> None:
        """Close the event file and what reads images."""
        self.task.close()
        if self.events is not None:
            self.events.close()

    def load_best(self) -> None:
        """Put the weights of the best validation into the model."""
        checkpoint = load_checkpoint(self.folder.best)
        restore_model(self.model, checkpoint.part("model"), self.folder.best)

    def _check_finite(self, steps: int) -> None:
        history = self.task.reduce(self.history[:steps].clone())
        if math.isfinite(history.sum().item()):
            return
        bad = ~torch.isfinite(history).all(-1)
        raise self._diverged(int(bad.nonzero()[0]) + 1, "loss")

    def _diverged(self, step: int, what: str) -> DivergedError:
        done = self._epochs_done
        total = done * self.steps_per_epoch + step
        kept = (
            f"the checkpoint of epoch {done} is kept in {self.folder.last}"
            if done
            else "no checkpoint was written yet"
        )
        if self.position.epoch < self.config.start_epochs:
            kept += f"; it was start {self.position.start + 1} of {self.config.starts}"
        return DivergedError(
            f"the {what} is NaN or infinite at step {total} (epoch {done + 1}, step "
            f"{step}): {kept}; try a smaller --learning-rate or a larger --epsilon"
        )

    def _interrupted(self) -> Interrupted:
        step, processes = self.position.step, self.fabric.world_size
        return Interrupted(self.folder.path, self._epochs_done, step, processes=processes)

    def _save_last(self) -> None:
        self._save(self.folder.last)

    def _save(self, folder: Path, more: dict[str, Tensor] | None = None) -> None:
        tensors = {
            **(more or {}),
            **self._model_tensors(),
            **{
                f"optimizer.{name}": tensor
                for name, tensor in optimizer_tensors(self.optimizer.optimizer).items()
            },
        }
        if self.position.step:
            tensors["history"] = self.history
            tensors["generator"] = self.generator.get_state()
        save_checkpoint(folder, Checkpoint(tensors, self._state()))

    def _model_tensors(self) -> dict[str, Tensor]:
        return {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}

    def _state(self) -> dict[str, Any]:
        return {
            "position": dict(self.position.__dict__),
            "digest": self.config.digest(),
            "processes": self.fabric.world_size,
            # Of float16: the scale of the loss, and for how many steps it has held.
            "loss_scaling": self.fabric.strategy.precision.state_dict(),
        }


def _endless(task: Task) -> Iterator[tuple[int, Batch]]:
    """The steps of the first epoch again and again; knows no trainer, which keeps it."""
    return itertools.chain.from_iterable(enumerate(task.batches(0)) for _ in itertools.count())
