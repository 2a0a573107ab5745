"""TensorBoard events of a run, written as it goes."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from directmax.tool.config import ResolvedConfig
from directmax.tool.files import cannot_write
from directmax.tool.look.content import Picture
from directmax.tool.run.logger import Logger, hyperparameters, numbers, results
from directmax.tool.run.run_folder import RunFolder


class Events(Logger):
    """A scalar for every number of a line of `metrics.jsonl`, the epoch as the step.

    Hyper-parameters are there from the start, results and pictures when the run is finished. Events
    go to the subfolder `events` of the run folder.
    """

    def __init__(self, folder: RunFolder, config: ResolvedConfig) -> None:
        super().__init__(folder, config)
        self._folder = folder.path / "events"
        self._writer: Any = None
        self._open: int | None = None

    def open(self, epochs_done: int) -> None:
        """Start writing; TensorBoard then hides events of later epochs from a run cut off."""
        from torch.utils.tensorboard import SummaryWriter

        try:
            self._writer = SummaryWriter(self._name(), purge_step=epochs_done + 1)
            self._add_hyperparameters()
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def _add_hyperparameters(self) -> None:
        """For TensorBoard's table of runs; `add_hparams` would make a run of its own of them."""
        from torch.utils.tensorboard.summary import hparams

        metrics = dict.fromkeys(("validation/bound", "final/test/bound"), 0.0)
        for summary in hparams(hyperparameters(self.config), metrics):
            self._writer.file_writer.add_summary(summary)

    def _name(self) -> str:
        """The folder by a name that TensorBoard can take: some folders' are no text."""
        name = str(self._folder)
        try:
            name.encode()
        except UnicodeEncodeError:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._open is None:
                self._open = os.open(self._folder, os.O_RDONLY)
            return f"/dev/fd/{self._open}"
        return name

    def add(self, line: dict[str, Any]) -> None:
        """Write the numbers of an epoch, as one event: a quarter of the time of one each."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        every = [Summary.Value(tag=tag, simple_value=each) for tag, each in numbers(line)]
        try:
            self._writer.file_writer.add_summary(Summary(value=every), line["epoch"])
            self._writer.flush()
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def restart(self, lines: list[dict[str, Any]]) -> None:
        """Hide what was written, and write these epochs in its place."""
        self.close()
        self.open(0)
        for line in lines:
            self.add(line)

    def finish(self, summary: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
        """Write results and pictures, at the last epoch."""
        step = summary["epochs"]
        try:
            for tag, number in results(summary).items():
                self._writer.add_scalar(tag, number, step)
            for each in pictures:
                if each.png is not None:
                    image = np.asarray(Image.open(io.BytesIO(each.png)).convert("RGB"))
                    self._writer.add_image(each.name, image, step, dataformats="HWC")
            self._writer.flush()
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def close(self) -> None:
        """Finish the file; what cannot be written any more was said by `add`."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
