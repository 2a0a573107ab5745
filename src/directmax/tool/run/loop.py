"""The training loop: interruptible at every step, resumable to the identical result."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from directmax.tool.files import RunError
from directmax.tool.run.adam import Adam
from directmax.tool.run.checkpoint import load_checkpoint
from directmax.tool.run.evaluation import Metrics
from directmax.tool.run.interrupt import Interrupted, InterruptGuard
from directmax.tool.run.loggers import DEFAULT, Loggers
from directmax.tool.run.processes import Alone
from directmax.tool.run.progress import Progress
from directmax.tool.run.randomness import Stream
from directmax.tool.run.run_folder import RunFolder, of_start
from directmax.tool.run.selection import keep_better
from directmax.tool.run.starts import Starts
from directmax.tool.run.state import Position, TrainingState
from directmax.tool.run.task import Batch, Task

CHECK_EVERY = 50
"""Steps between two looks at the loss for NaN (each is a synchronisation on a GPU)."""

SECONDS_BETWEEN_SAVES = 5.0
"""Epochs of milliseconds are not saved one by one: a disk takes longer than they do."""


class DivergedError(RunError):
    """The loss became NaN or infinite."""


class Trainer:
    """Trains one model in one run folder.

    The state after a step depends on the configuration alone: the order of images and the noise of
    an epoch come from generators seeded by (seed, purpose, epoch, process).

    Args:
        task: the model, its images and its loss.
        folder: where checkpoints and metrics go.
        progress: told of every step and epoch.
        compiled: whether torch compiles the training step, which changes results by rounding.
        log: names of `LOGGERS`.
    """

    def __init__(
        self,
        task: Task,
        folder: RunFolder,
        progress: Progress,
        *,
        compiled: bool = False,
        log: Sequence[str] = DEFAULT,
    ) -> None:
        self.compiled = compiled
        self.task, self.config, self.fabric = task, task.config, task.fabric
        self.folder, self.progress = folder, progress
        self.model = task.model
        # Evaluation is not compiled.
        step: nn.Module = torch.compile(self.model) if compiled else self.model  # type: ignore[assignment]
        self.wrapped, self.optimizer = step, self._optimizer()
        optimizer = self.optimizer
        if not isinstance(self.fabric, Alone):
            self.wrapped, self.optimizer = self.fabric.setup(step, optimizer)
        self.steps_per_epoch = math.ceil(task.num_images / self.config.batch_size)
        self.state = TrainingState(
            self.config, self.fabric, self.model, optimizer, self.steps_per_epoch
        )
        self.starts = Starts(task, self.state, folder)
        first = self.fabric.is_global_zero
        self.log = Loggers(log, folder, self.config) if first else None
        self._endless: Iterator[tuple[int, Batch]] | None = None
        self._best: dict[str, torch.Tensor] | None = None  # the best epoch's weights, if not saved
        self._unlogged: list[dict[str, Any]] = []  # lines of epochs that no log has yet
        self._unsaved = False  # whether epochs have ended since the last checkpoint
        self._saved_at = -math.inf

    def _optimizer(self) -> Any:
        parameters, rate = self.model.parameters(), self.config.learning_rate
        if isinstance(self.fabric, Alone):
            return Adam(parameters, rate)
        fused = self.fabric.device.type in ("cpu", "cuda")
        return torch.optim.Adam(parameters, lr=rate, fused=fused)

    @property
    def position(self) -> Position:
        """Where the run is."""
        return self.state.position

    def resume(self) -> None:
        """Continue where `checkpoints/last` ends.

        Raises:
            RunError: the checkpoint is damaged or does not fit.
        """
        if not (self.folder.last / "state.json").exists() and len(self.folder.all_metrics()) < 2:
            self._keep_metrics(0)  # stopped before its first checkpoint
            return
        checkpoint = load_checkpoint(self.folder.last)
        record = checkpoint.state
        if record.get("digest") not in (self.config.digest(), *self.folder.digests()):
            raise RunError(
                f"the checkpoint {self.folder.last} is of another configuration than "
                f"{self.folder.config_file}; restore that file, or train into a new folder"
            )
        if record.get("processes", 1) != self.fabric.world_size:
            raise RunError(
                f"cannot resume {self.folder.path} with --devices {self.fabric.world_size}: it was "
                f"trained with --devices {record['processes']}, and noise differs by process"
            )
        self.state.restore(checkpoint, self.folder.last)
        self.state.position = Position.of(checkpoint, self.folder.last)
        if self.position.best_epoch:
            load_checkpoint(self.folder.best)  # damaged? better known now than after the training
        lines = self._keep_metrics(self.position.epochs_done(self.config))
        if self.position.step:
            self._start_epoch()
            self.state.restore_epoch(checkpoint, self.folder.last)
        self.starts.drop()
        self.progress.resumed(lines, self.position.start)

    def _keep_metrics(self, count: int) -> list[dict[str, Any]]:
        """Cut the metrics back; by the first process, before another may read or write them."""
        lines = self.folder.keep_metrics(count, write=self.fabric.is_global_zero)
        self.fabric.barrier()
        return lines

    def run(self) -> None:
        """Train to the last epoch.

        Raises:
            Interrupted: Ctrl-C; the state is saved.
            DivergedError: the loss became NaN; the last good checkpoint is kept.
        """
        if self.log is not None:
            self.log.open(self.position.epoch)
        with InterruptGuard() as guard:
            while self.position.epoch < self.config.epochs and not self.stopped_early:
                self._run_epoch(guard)
                requested = torch.tensor([float(guard.requested)], device=self.fabric.device)
                if bool(self.task.reduce(requested)):  # of any process
                    self._save_rest()
                    self.fabric.barrier()  # the first has saved before another ends it
                    raise self.interrupted()
        self._save_rest()
        self.fabric.barrier()  # all read the best weights

    @property
    def stopped_early(self) -> bool:
        """Whether the validation bound has not moved for the epochs of `patience`."""
        config, position = self.config, self.position
        if not config.patience or not position.best_epoch or position.epoch == config.epochs:
            return False
        annealed = self.task.kl_schedule(0) > 1
        falling = config.falling_epochs if annealed else config.start_epochs
        begun = max(position.best_epoch, falling, self.task.epochs_first)
        return position.epoch - begun >= config.patience

    def train_steps(self, number: int) -> None:
        """Take steps, from the start of the first epoch again and again, and wait for the device.

        To measure how long they take: nothing is saved.
        """
        if self._endless is None:
            self._endless = _endless(self.task)
        for step, batch in itertools.islice(self._endless, number):
            self._train_step(batch, step)
        self.state.write_history()
        self.state.history.sum().item()

    def interrupted(self, *, saved: bool = True) -> Interrupted:
        """What to say when the run is stopped.

        Args:
            saved: whether all that was done is; else the last checkpoint is what remains.
        """
        position = self.position if saved else self._on_disk()
        done, processes = position.epochs_done(self.config), self.fabric.world_size
        where = (self.folder.path, done, position.step)
        return Interrupted(*where, processes=processes, saved=saved)

    def _on_disk(self) -> Position:
        """Where the last checkpoint is."""
        try:
            return Position.of(load_checkpoint(self.folder.last), self.folder.last)
        except RunError:  # none yet
            return Position()

    def close(self) -> None:
        """Close the logs."""
        if self.log is not None:
            self.log.close()

    def _run_epoch(self, guard: InterruptGuard) -> None:
        position = self.position
        if position.step == 0:
            self._start_epoch()
        began = time.perf_counter() - position.seconds
        start, done = position.step, self.position.epochs_done(self.config)
        batches, taken = self.task.batches(position.epoch, start=start), start
        if self.fabric.world_size == 1:  # several processes stop together, after a whole epoch
            batches = guard.until_requested(batches)
        for step, batch in enumerate(batches, start):
            self._train_step(batch, step)
            if (step + 1) % CHECK_EVERY == 0:
                self._check_finite(step + 1)
            self.progress.step(done, step + 1)
            taken = step + 1
        self._check_finite(taken)
        if taken < self.steps_per_epoch:
            position.step, position.seconds = taken, time.perf_counter() - began
            self._save_last()
            raise self.interrupted()
        self._finish_epoch(time.perf_counter() - began)

    def _start_epoch(self) -> None:
        self.state.history.zero_()
        seed = self.task.seed(Stream.NOISE, self.position.epoch, self.fabric.global_rank)
        self.state.generator.manual_seed(seed)

    def _train_step(self, batch: Batch, step: int) -> None:
        global_step = self.position.epoch * self.steps_per_epoch + step
        if self.config.learning_rate_schedule != "constant":
            done = global_step / (self.config.epochs * self.steps_per_epoch)
            if self.config.learning_rate_schedule == "late-cosine":
                done = max(0.0, 3 * done - 2)  # of the last third
            factor = 0.5 * (1 + math.cos(math.pi * done))
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.learning_rate * factor
        result = self.task.loss(self.wrapped, batch, global_step, generator=self.state.generator)
        self.fabric.backward(result.loss)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.state.noted.append((step, result.reconstruction, result.kl))

    def _finish_epoch(self, seconds: float) -> None:
        position = self.position
        began = time.perf_counter()
        sums = self.task.reduce(self.state.history.sum(0)) / self.task.num_images
        validation = self.task.validate()
        line = self._line(sums.tolist(), validation)
        line |= {"seconds": seconds, "validation_seconds": time.perf_counter() - began}
        if not math.isfinite(validation.bound):
            raise self._diverged(self.steps_per_epoch, "validation bound")
        position.epoch, position.step, position.seconds = position.epoch + 1, 0, 0.0
        labelled = bool(self.config.labels)
        improved = keep_better(position, validation, labelled=labelled)
        if self.log is not None:  # the first process writes
            if improved:
                weights = self.model.state_dict()
                self._best = {name: tensor.detach().clone() for name, tensor in weights.items()}
            # A resumed run cuts lines beyond the last checkpoint, so the line goes first.
            self.folder.append_metrics(line)
            self._unlogged.append(line)
        self.progress.epoch(line, improved)
        self._unsaved = True
        if position.epoch == self.config.start_epochs:  # one that is continued goes on from there
            self._write_rest()
            accuracy = [-(validation.accuracy or 0.0)] if labelled else []
            self._end_start([*accuracy, validation.bound])
            self._save_rest()
        elif time.perf_counter() - self._saved_at >= SECONDS_BETWEEN_SAVES:
            self._save_rest()
        self.fabric.barrier()

    def _line(self, sums: list[float], validation: Metrics) -> dict[str, Any]:
        """Of `metrics.jsonl`, without times."""
        position, (reconstruction, kl) = self.position, sums
        last_step = (position.epoch + 1) * self.steps_per_epoch - 1
        return {
            "epoch": position.epoch + 1,
            **({"start": position.start} if self.config.start_epochs else {}),
            "train": {"bound": reconstruction + kl, "reconstruction": reconstruction, "kl": kl},
            "validation": {k: v for k, v in validation.to_dict().items() if k != "confusion"},
            "kl_weight": self.task.kl_schedule(last_step),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **self.model.estimator.latest(),
        }

    def _end_start(self, score: list[float]) -> None:
        best = self.starts.end(score)
        if best is not None:
            self.progress.chosen(self.position.start, self.config.starts, best[-1])
        if self.log is not None:  # TensorBoard shows one start at a time
            chosen = of_start(self.folder.all_metrics(), self.position.start)
            self.log.restart(chosen[: self.position.epoch])

    def _check_finite(self, steps: int) -> None:
        self.state.write_history()
        history = self.task.reduce(self.state.history[:steps].clone())
        if math.isfinite(history.sum().item()):
            return
        not_finite = ~torch.isfinite(history).all(-1)
        raise self._diverged(int(not_finite.nonzero()[0]) + 1, "loss")

    def _diverged(self, step: int, what: str) -> DivergedError:
        done = self.position.epochs_done(self.config)
        advice, kept = "no checkpoint was written yet", self._on_disk().epochs_done(self.config)
        if kept:
            advice = f"the checkpoint of epoch {kept} is kept in {self.folder.last}"
        if self.position.epoch < self.config.start_epochs:
            advice += f"; it was start {self.position.start + 1} of {self.config.starts}"
        return DivergedError(
            f"the {what} is NaN or infinite at step {done * self.steps_per_epoch + step} (epoch "
            f"{done + 1}, step {step}): {advice}; try a smaller --learning-rate or a larger "
            "--epsilon"
        )

    def _save_rest(self) -> None:
        """Save the epochs that are not yet; the first process does."""
        if self._unsaved and self.fabric.is_global_zero:
            self._save_last()
            self.starts.drop()
        self._unsaved = False

    def _save_last(self) -> None:
        self._write_rest()
        self.folder.sync_metrics()
        self.state.save(self.folder.last)
        self._saved_at = time.perf_counter()

    def _write_rest(self) -> None:
        """To the logs, not before it is saved, as services cannot forget; and the best weights."""
        while self.log is not None and self._unlogged:
            self.log.add(self._unlogged.pop(0))
        if self._best is not None:
            self.state.save_weights(self.folder.best, self._best)
            self._best = None


def _endless(task: Task) -> Iterator[tuple[int, Batch]]:
    """The steps of the first epoch again and again; knows no trainer, which keeps it."""
    return itertools.chain.from_iterable(enumerate(task.batches(0)) for _ in itertools.count())
