"""One job in a process of its own: `python -m directmax.tool.jobs.worker FOLDER …`.

The engines start it; it says how it ended by its exit code (`faults`) and, if badly, by the last
line on standard error. It holds the job's lock as long as it lives, so that no other call does the
same work.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from directmax.tool.files import RunError, write_json
from directmax.tool.jobs.faults import BUSY, DONE, INTERRUPTED, code_of
from directmax.tool.jobs.store import LOOK_SECONDS, OUTCOME, JobFolder, State
from directmax.tool.paper.jobs import Job


@dataclass(frozen=True)
class Task:
    """What a worker is told.

    Attributes:
        folder: of the job, with its `job.json`.
        needs: folders of the jobs it comes after.
        data_dir: where to look for images first.
        device: cpu, cuda:N, …
        threads: of a CPU.
        compiled: whether the training step is compiled.
        engine: process that the worker ends with; 0: none.
    """

    folder: str
    needs: tuple[str, ...] = ()
    data_dir: str | None = None
    device: str = "cpu"
    threads: int = 1
    compiled: bool = False
    engine: int = 0

    def command(self) -> list[str]:
        """The command line of the worker."""
        words = [sys.executable, "-m", "directmax.tool.jobs.worker", self.folder]
        words += ["--device", self.device, "--threads", str(self.threads)]
        words += ["--engine", str(self.engine)]
        if self.data_dir is not None:
            words += ["--data-dir", self.data_dir]
        for folder in self.needs:
            words += ["--needs", folder]
        return [*words, "--compiled"] if self.compiled else words

    def environment(self) -> dict[str, str]:
        """The environment of the worker."""
        threads = str(self.threads)
        return {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "MPLBACKEND": "Agg",
        }

    @classmethod
    def parse(cls, arguments: Sequence[str] | None = None) -> Task:
        """From that command line."""
        parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
        parser.add_argument("folder")
        parser.add_argument("--device", default="cpu")
        parser.add_argument("--threads", type=int, default=1)
        parser.add_argument("--data-dir")
        parser.add_argument("--needs", action="append", default=[])
        parser.add_argument("--compiled", action="store_true")
        parser.add_argument("--engine", type=int, default=0)
        values = vars(parser.parse_args(arguments))
        return cls(**{**values, "needs": tuple(values["needs"])})


def work(task: Task) -> int:
    """Do the job, or what is left of it, if nobody else does; returns the exit code.

    Raises:
        Exception: whatever ended the job.
    """
    folder = JobFolder(task.folder)
    with folder.claim(wait=LOOK_SECONDS) as mine:
        if not mine:
            return BUSY
        job, state = folder.job(), folder.state()
        if state.state == "done":
            return DONE
        began = time.monotonic()
        state = State("running", state.attempts + 1, None, state.seconds)
        folder.write_state(state)
        (folder.path / OUTCOME).unlink(missing_ok=True)  # its result will be our own
        try:
            _DOERS[job.kind](job, folder, task)
        except BaseException as error:
            if code_of(error) == INTERRUPTED:
                spent = state.seconds + time.monotonic() - began
                folder.write_state(State("waiting", state.attempts, None, spent))
            raise
        spent = state.seconds + time.monotonic() - began
        folder.write_state(State("done", state.attempts, None, spent))
    return DONE


def _train(job: Job, folder: JobFolder, task: Task) -> None:
    import torch

    from directmax.tool.config import stored_config
    from directmax.tool.run.train import train

    torch.set_num_threads(task.threads)
    train(
        stored_config(dict(job.settings)),
        folder.path,
        data_dir=task.data_dir,
        resume=(folder.path / "config.json").exists(),
        device=task.device,
        # On a CPU the threads are divided among jobs; a card waits for the images.
        workers=0 if task.device == "cpu" else 2,
        compiled=task.compiled,
    )


def _gradients(job: Job, folder: JobFolder, task: Task) -> None:
    from directmax.tool.jobs.gradients import measure_gradients

    measure_gradients(
        job.settings,
        run_dir=task.needs[0] if task.needs else None,
        data_dir=task.data_dir,
        device=task.device,
        output=str(folder.path),
        resume=(folder.path / "gradients.json").exists(),
    )


def _mixture(job: Job, folder: JobFolder, task: Task) -> None:
    from directmax.tool.data import load_images
    from directmax.tool.jobs.mixture import measure_mixture
    from directmax.tool.run.run_folder import environment
    from directmax.tool.run.train import make_fabric

    data = load_images(str(job.settings["data"]), data_dir=task.data_dir)
    device = make_fabric(task.device, 1, "32-true").device
    result: Mapping[str, Any] = measure_mixture(job.settings, data, device)
    write_json(folder.result_file, {**result, **environment(device)})


_DOERS = {"train": _train, "gradients": _gradients, "mixture": _mixture}


def _end_with(engine: int) -> None:
    """Stop, and save, when the engine, the parent process, is killed (Linux)."""
    if sys.platform != "linux" or not engine:
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    if os.getppid() != engine:  # it was too late
        os.kill(os.getpid(), signal.SIGTERM)


def _request(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; returns its exit code."""
    signal.signal(signal.SIGTERM, _request)
    signal.signal(signal.SIGINT, _request)
    warnings.simplefilter("ignore")
    task = Task.parse(arguments)
    try:
        _end_with(task.engine)
        import logging

        import lightning_fabric  # sets the level when it is imported

        logging.getLogger(lightning_fabric.__name__).setLevel(logging.WARNING)
        return work(task)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("DIRECTMAX_TRACEBACK"):
            raise
        code = code_of(error)
        name = "" if isinstance(error, RunError | ValueError) else f"{type(error).__name__}: "
        print(f"{name}{' '.join(str(error).split())}", file=sys.stderr)
        return code


if __name__ == "__main__":
    sys.exit(main())
