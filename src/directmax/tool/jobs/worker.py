"""One job in a process of its own: `python -m directmax.tool.jobs.worker TASK`.

The engines start it; it says how it ended by its exit code (`faults`) and, if badly, by the last
line on standard error. It holds the job's lock as long as it lives, so that no other call does the
same work.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import time
import warnings

from directmax.tool.files import RunError
from directmax.tool.jobs.faults import BUSY, DONE, INTERRUPTED, code_of
from directmax.tool.jobs.store import LOOK_SECONDS, OUTCOME, JobFolder, State
from directmax.tool.jobs.task import Task
from directmax.tool.run.interrupt import raise_interrupts


def work(task: Task) -> int:
    """Do the job, or what is left of it, if nobody else does; returns the exit code.

    Raises:
        Exception: whatever ended the job.
    """
    folder = JobFolder.read(task.folder)
    with folder.claim(wait=LOOK_SECONDS) as locked:
        if not locked:
            return BUSY
        state = folder.state()
        if state.state == "done":
            return DONE
        began = time.monotonic()
        state = State("running", state.attempts + 1, None, state.seconds)
        folder.write_state(state)
        (folder.path / OUTCOME).unlink(missing_ok=True)  # its result will be our own
        try:
            kinds = importlib.import_module(task.kinds).KINDS  # imports torch
            kinds[folder.job.kind].run(folder.job, folder.path, task)
        except BaseException as error:
            if code_of(error) == INTERRUPTED:
                total_seconds = state.seconds + time.monotonic() - began
                folder.write_state(State("waiting", state.attempts, None, total_seconds))
            raise
        total_seconds = state.seconds + time.monotonic() - began
        folder.write_state(State("done", state.attempts, None, total_seconds))
    return DONE


def _end_with(engine: int) -> None:
    """Stop, and save, when the engine, the parent process, is killed (Linux)."""
    if sys.platform != "linux" or not engine:
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    if os.getppid() != engine:  # it was too late
        os.kill(os.getpid(), signal.SIGTERM)


def main(words: str) -> int:
    """Run the worker, told its task as JSON; returns its exit code."""
    raise_interrupts()
    warnings.simplefilter("ignore")
    task = Task(**json.loads(words))
    try:
        _end_with(task.engine)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
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
    sys.exit(main(sys.argv[1]))
