"""Small jobs, and an engine whose workers are forks of the test: they start at once."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from directmax.tool.config import TrainConfig
from directmax.tool.jobs import worker
from directmax.tool.jobs.engine import Engine
from directmax.tool.jobs.faults import Exit, code_of
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.progress import JobsProgress
from directmax.tool.jobs.runner import Runner
from directmax.tool.jobs.store import JobFolder, Store
from directmax.tool.jobs.task import Task
from directmax.tool.paper import kinds
from directmax.tool.paper.item import train_job
from directmax.tool.run.checkpoint import load_checkpoint
from directmax.tool.run.interrupt import raise_interrupts


def tiny(name: str, **settings: Any) -> Job:
    """Three steps an epoch on the digits."""
    common: dict[str, Any] = {"epochs": 3, "batch_size": 400, "hidden": 12}
    return train_job(name, TrainConfig(**{**common, **settings}).resolve(), method="direct")


def bound(root: Path, job: Job) -> JobFolder:
    """A job with its folder."""
    return Store(root).bind([job])[job.name]


class ForkEngine:
    """Workers as forks.

    Args:
        slots: at a time.
        prepare: called in a fork before the work, with the name and how often it was started.
    """

    def __init__(
        self, slots: int = 1, prepare: Callable[[str, int], object] = lambda name, number: None
    ) -> None:
        self.slots, self._prepare = slots, prepare
        self.running: dict[str, tuple[int, Any]] = {}
        self.started: list[str] = []

    def start(self, name: str, task: Task) -> None:
        self.started.append(name)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._work(name, task, writing)
        os.close(writing)
        self.running[name] = (pid, reading)

    def _work(self, name: str, task: Task, writing: int) -> None:
        code = 70
        try:
            raise_interrupts()
            with contextlib.redirect_stdout(io.StringIO()):
                self._prepare(name, self.started.count(name))
                code = worker.work(task)
        except BaseException as error:
            code = code_of(error)
            os.write(writing, " ".join(str(error).split()).encode()[:4000])
            if os.environ.get("DIRECTMAX_TRACEBACK"):
                traceback.print_exc()
        finally:
            os._exit(code)

    def pids(self) -> dict[str, int]:
        return {name: pid for name, (pid, _) in self.running.items()}

    def wait(self, seconds: float) -> list[tuple[str, Exit]]:
        end = time.monotonic() + seconds
        while True:
            ended = []
            for name, (pid, reading) in list(self.running.items()):
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    with os.fdopen(reading) as file:
                        words = file.read()
                    ended.append((name, Exit(os.waitstatus_to_exitcode(status), words)))
                    del self.running[name]
            if ended or time.monotonic() > end:
                return ended
            time.sleep(0.01)

    def stop(self) -> None:
        for pid, _ in self.running.values():
            os.kill(pid, signal.SIGTERM)
        while self.running:
            self.wait(0.1)

    def close(self) -> None:
        for pid, _ in self.running.values():
            os.kill(pid, signal.SIGKILL)
        while self.running:
            self.wait(0.1)


def run_jobs(
    root: Path, jobs: list[Job], engine: Engine | None = None, *, retries: int = 2
) -> tuple[Runner, str]:
    """Run jobs in a folder; the runner, and what was printed."""
    engine = engine or ForkEngine()
    out = io.StringIO()
    store = Store(root)
    with JobsProgress(Console(file=out, width=200)) as progress:
        runner = Runner(
            store.bind(jobs),
            kinds.KINDS,
            engine,
            task=Task("", kinds.__name__),
            retries=retries,
            progress=progress,
            seconds={},
        )
        try:
            runner.run()
        finally:
            engine.close()
    return runner, out.getvalue()


def outcome(folder: Path) -> dict[str, Any]:
    """Everything that a run leaves, without times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    summary = json.loads((folder / "summary.json").read_text())
    return {
        "metrics": [{k: v for k, v in line.items() if "seconds" not in k} for line in lines],
        "summary": {k: summary[k] for k in ("validation", "test", "best_epoch", "epochs")},
        **{name: _weights(folder / "checkpoints" / name) for name in ("best", "last")},
    }


def _weights(folder: Path) -> dict[str, bytes]:
    tensors = load_checkpoint(folder).tensors
    return {key: tensor.to(torch.float64).numpy().tobytes() for key, tensor in tensors.items()}
