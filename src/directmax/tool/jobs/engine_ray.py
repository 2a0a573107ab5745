"""Jobs on a Ray cluster: that of an address, or one started on this machine for the call.

All machines must see the folder of the reproduction and the images under the same paths, as with a
shared file system.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
import time
from typing import Any

from directmax.tool.data.locate import ENVIRONMENT_VARIABLE
from directmax.tool.jobs.engine import SAVE_SECONDS, run_to_end
from directmax.tool.jobs.faults import INTERRUPTED, LOST, Exit
from directmax.tool.jobs.store import JobFolder
from directmax.tool.jobs.task import Task

CONNECT_SECONDS = 10.0


def _run(task: dict[str, Any]) -> tuple[int, str]:
    """What Ray runs: a worker process on a share of the machine that it chose."""
    ended = run_to_end(Task(**task))
    return ended.code, ended.message


def _check_address(address: str) -> None:
    """Refuse in seconds what nobody answers; Ray itself waits for minutes.

    Raises:
        ValueError: nobody does, or it is no address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise ValueError(f"--address must be HOST:PORT, ray://HOST:PORT or auto, got '{address}'")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"cannot use the Ray cluster {address}: {error}; start it with ray start --head"
        ) from error


class RayEngine:
    """Runs workers as tasks of Ray. Ray retries nothing: the caller knows the checkpoints.

    Args:
        address: of a cluster; None: one of this machine's own processes, ended by `close`.
        workers: jobs at a time; None: as many as the cluster has room for.
        threads: CPUs of a job.
        gpus: share of a card of a job; 0: none.

    Raises:
        ValueError: Ray is not installed, or the cluster does not answer or is too small.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        workers: int | None = None,
        threads: int = 1,
        gpus: float = 0.0,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise ValueError(
                "--engine ray needs Ray: pip install 'directmax[ray]', or leave out --engine"
            ) from error
        if address is not None:
            _check_address(address)
        self._ray = ray
        self._threads, self._gpus = threads, gpus
        local: dict[str, Any] = {"address": "local"}
        if workers is not None:  # more than cores, if asked for
            local["num_cpus"] = workers * threads
        try:
            ray.init(
                **({"address": address} if address else local),
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"cannot use the Ray cluster {address or '(local)'}: {reason}"
            ) from error
        room = self._room()
        if room < 1:
            self.close()
            raise ValueError(
                f"the Ray cluster has no room for a job of {threads} CPUs"
                + (f" and {gpus:g} GPUs" if gpus else "")
            )
        self.slots = min(workers, room) if workers else room
        self._remote = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0, max_calls=1)(_run)
        self._running: dict[Any, tuple[str, Task]] = {}

    def _room(self) -> int:
        total = self._ray.cluster_resources()
        room = int(total.get("CPU", 0) // self._threads)
        return min(room, int(total.get("GPU", 0) / self._gpus)) if self._gpus else room

    def start(self, name: str, task: Task) -> None:
        """Hand a worker to Ray."""
        device = "cuda" if self._gpus else "cpu"
        data_dir = task.data_dir or os.environ.get(ENVIRONMENT_VARIABLE)  # unknown elsewhere
        task = dataclasses.replace(task, device=device, threads=self._threads, data_dir=data_dir)
        self._running[self._remote.remote(dataclasses.asdict(task))] = (name, task)

    def wait(self, seconds: float) -> list[tuple[str, Exit]]:
        """Those that ended."""
        if not self._running:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait(list(self._running), timeout=seconds)
        return [(self._running.pop(reference)[0], self._exit(reference)) for reference in ready]

    def _exit(self, reference: Any) -> Exit:
        errors = self._ray.exceptions
        try:
            return Exit(*self._ray.get(reference))
        except errors.TaskCancelledError:
            return Exit(INTERRUPTED)
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError):
            return Exit(LOST)
        except errors.RayError as error:
            return Exit(LOST, " ".join(str(error).split())[:200])

    def pids(self) -> dict[str, int]:
        """None: Ray's processes may be anywhere."""
        return {}

    def stop(self) -> None:
        """Ask all to save and end, and wait until they let go of their jobs."""
        tasks = list(self._running.items())
        for reference, _ in tasks:
            self._ray.cancel(reference)
        end = time.monotonic() + SAVE_SECONDS
        for _, (_, task) in tasks:
            while JobFolder.read(task.folder).is_taken() and time.monotonic() < end:
                time.sleep(0.1)
        self._running.clear()

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        with contextlib.suppress(Exception):
            self._ray.shutdown()
