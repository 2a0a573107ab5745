"""Processes of this machine: as many as cores or GPUs allow, threads divided among them."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

from directmax.tool.jobs.engine import SAVE_SECONDS, WorkerProcess
from directmax.tool.jobs.faults import Exit
from directmax.tool.jobs.machine import cores
from directmax.tool.jobs.task import Task

MOST_WORKERS = 1024
RUNS_PER_GPU = 4
"""Runs that share a card: the models are small, and a card waits for their steps."""


@dataclass(frozen=True)
class Resources:
    """What a call uses of this machine.

    Attributes:
        workers: processes at a time.
        threads: of each.
        devices: of the processes in turn.
    """

    workers: int
    threads: int
    devices: tuple[str, ...]

    @property
    def gpus(self) -> float:
        """Share of a card of a process; 0 without."""
        return 1 / RUNS_PER_GPU if self.devices[0].startswith("cuda") else 0.0

    def __str__(self) -> str:
        runs = f"{self.workers} {'job' if self.workers == 1 else 'jobs'} at a time"
        threads = f"{self.threads} {'thread' if self.threads == 1 else 'threads'} each"
        return f"{runs}, {threads}, on {', '.join(self.devices)}"


def resources(device: str, workers: int | None, jobs: int) -> Resources:
    """Divide this machine.

    Args:
        device: auto, cpu, cuda (all cards), cuda:N or mps.
        workers: processes at a time; None: as many as cores, or four a card, but not more than
            jobs.
        jobs: how many there are.

    Raises:
        ValueError: the device is not there, or `workers` is below 1.

    Example:
        >>> resources("cpu", 1, jobs=10).devices
        ('cpu',)
    """
    import torch

    from directmax.tool.run.train import make_fabric

    if workers is not None and workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    if workers is not None and workers > MOST_WORKERS:
        raise ValueError(f"--workers must be at most {MOST_WORKERS}, got {workers}")
    kind = make_fabric(device, 1, "32-true").device.type
    devices: tuple[str, ...] = (kind,)
    usual = number_of_cores = cores()
    if kind == "cuda":
        cards = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
        devices = (device,) if ":" in device else cards
        usual = min(number_of_cores, RUNS_PER_GPU * len(devices))
    elif kind == "mps":
        usual = 1
    number = workers or max(1, min(usual, jobs))
    return Resources(number, max(1, number_of_cores // number), devices)


class LocalEngine:
    """Runs workers as processes of this machine.

    Args:
        resources: how many, and where.
    """

    def __init__(self, resources: Resources) -> None:
        self.slots = resources.workers
        self._resources = resources
        self._running: dict[str, tuple[int, WorkerProcess]] = {}

    def start(self, name: str, task: Task) -> None:
        """Start a worker in the first free slot."""
        used = {slot for slot, _ in self._running.values()}
        slot = next(number for number in range(self.slots + 1) if number not in used)
        devices = self._resources.devices
        task = dataclasses.replace(
            task, device=devices[slot % len(devices)], threads=self._resources.threads
        )
        self._running[name] = (slot, WorkerProcess(task))

    def pids(self) -> dict[str, int]:
        """Process numbers of the running workers, by name."""
        return {name: worker.pid for name, (_, worker) in self._running.items()}

    def wait(self, seconds: float) -> list[tuple[str, Exit]]:
        """Those that ended."""
        end = time.monotonic() + seconds
        while True:
            ended = [
                (name, found)
                for name, (_, worker) in self._running.items()
                if (found := worker.poll()) is not None
            ]
            for name, _ in ended:
                del self._running[name]
            if ended or time.monotonic() >= end:
                return ended
            time.sleep(0.05)

    def stop(self) -> None:
        """Ask all to save and end, and wait."""
        for _, worker in self._running.values():
            worker.ask()
        end = time.monotonic() + SAVE_SECONDS
        for _, worker in self._running.values():
            worker.end(max(0.1, end - time.monotonic()))
        self._running.clear()

    def close(self) -> None:
        """Kill what is left, as after an error or a second Ctrl-C."""
        for _, worker in self._running.values():
            worker.kill()
            worker.end()
        self._running.clear()
