"""`directmax train`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Annotated

import tyro

from directmax.tool.commands.shared import DataDir, quiet
from directmax.tool.config.train import TrainConfig
from directmax.tool.environment import is_helper


@dataclass(frozen=True)
class Train:
    """Train a variational auto-encoder with discrete variables, and report on it."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str = "default"
    """Starting point: default, or paper (the published protocol). Flags beside it win."""
    run_dir: Annotated[
        str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: new under runs/)")
    ] = None
    """Folder for checkpoints, metrics and the report."""
    data_dir: DataDir = None
    """Where to look for images first; then $DIRECTMAX_DATA, then the user's cache."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    workers: int = 2
    """Processes that read the images of the attributes model; the result does not depend on it."""
    devices: int = 1
    """Processes (DistributedDataParallel), each with its share of every mini-batch. Leave it out
    with torchrun, which says it itself, also for several machines."""
    strategy: str = "auto"
    """ddp, or auto (ddp where there are several processes)."""
    compile: bool = False
    """Compile the training step with torch.compile: its first steps take up to a minute, results
    differ by rounding."""
    resume: bool = False
    """Continue the run in --run-dir where it stopped; the result is the same."""

    def run(self) -> None:
        """Train."""
        from rich.console import Console

        from directmax.tool.run.progress import ConsoleProgress
        from directmax.tool.run.tables import bound_table
        from directmax.tool.run.train import train

        quiet()
        folder = self.run_dir or _new_folder(self.config)
        console = Console()
        summary = train(
            self.config,
            folder,
            data_dir=self.data_dir,
            resume=self.resume,
            device=self.device,
            workers=self.workers,
            devices=self.devices,
            strategy=self.strategy,
            compiled=self.compile,
            progress=None if is_helper() else ConsoleProgress(console),
        )
        if is_helper():
            return
        console.print(bound_table({split: summary[split] for split in ("validation", "test")}))
        console.print(
            f"best epoch {summary['best_epoch']} of {summary['epochs']}, "
            f"{summary['seconds_per_epoch']:.2f} s an epoch"
        )
        if summary["stopped_early"]:
            console.print(
                f"stopped early: no better epoch in the last {self.config.patience} "
                f"(--epochs {self.config.epochs})"
            )
        print(f"report: {os.path.join(folder, 'report.html')}")  # noqa: PTH118 (as the user typed it)


def _new_folder(config: TrainConfig) -> str:
    """A name under runs/ that no other run has."""
    encoder = "" if config.encoder == "independent" else f"-{config.encoder}"
    if config.model != "discrete":
        encoder += f"-{config.model}-{config.labels}-labels"
    stem = f"{config.data}-{config.variables}x{config.values}{encoder}-{config.estimator}"
    path = os.path.join("runs", f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}")  # noqa: PTH118
    number, candidate = 2, path
    while os.path.exists(candidate):  # noqa: PTH110
        candidate, number = f"{path}-{number}", number + 1
    return candidate
