"""Several starts: the best after the fall of the KL weight is continued."""

from __future__ import annotations

import shutil

from directmax.tool.run.checkpoint import load_checkpoint
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.state import Position, TrainingState
from directmax.tool.run.task import Task


class Starts:
    """The starts of a run; where there is one, nothing is done.

    Args:
        task: gives the model other initial weights.
        state: what is trained.
        folder: of the run; the best start lies in `checkpoints/start` until it is continued.
    """

    def __init__(self, task: Task, state: TrainingState, folder: RunFolder) -> None:
        self.task, self.state, self.folder = task, state, folder
        self.config, self.fabric = task.config, task.fabric

    def end(self, score: list[float]) -> list[float] | None:
        """Begin the next start, or go on with the best one; until `last` is saved nothing is lost.

        Args:
            score: of the validation images at the end of this start.

        Returns:
            The best score of the start that is continued; None where another one begins.
        """
        state, position = self.state, self.state.position
        if position.start_score is None or score < position.start_score:
            position.start_score = score
            if self.fabric.is_global_zero:  # with its best epoch's weights, perhaps not the last's
                state.save(self.folder.start, load_checkpoint(self.folder.best).part("model"))
        if position.start + 1 < self.config.starts:
            position.start, position.epoch = position.start + 1, 0
            position.best_epoch, position.best_score, position.most_accurate = 0, None, None
            self.task.restart(position.start)
            state.optimizer.state.clear()
            return None
        self.fabric.barrier()  # it is written
        checkpoint = load_checkpoint(self.folder.start)
        state.restore(checkpoint, self.folder.start)
        chosen = Position.of(checkpoint, self.folder.start)
        for name in ("start", "best_epoch", "best_score", "most_accurate"):
            setattr(position, name, getattr(chosen, name))
        if self.fabric.is_global_zero:
            state.save_weights(self.folder.best, checkpoint.part("best"))
        return position.best_score

    def drop(self) -> None:
        """Remove the best start once it is continued: its choice can no longer be lost."""
        first = self.config.start_epochs
        if first and self.fabric.is_global_zero and self.state.position.epoch > first:
            shutil.rmtree(self.folder.start, ignore_errors=True)
