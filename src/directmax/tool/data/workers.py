"""Processes that read images for a DataLoader: started, waited for, named and ended."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from directmax._memory import is_out_of_memory
from directmax.tool.data.errors import DataError, reason
from directmax.tool.environment import ENDING
from directmax.tool.helpers import StoppedProcesses, is_stopped, say

PATIENCE = 30
"""Seconds that a worker stays after SIGTERM: the process that it works for ends it before."""


class Workers:
    """Those of one DataLoader, if it has any."""

    def __init__(self) -> None:
        self._watched: list[Any] = []
        self._done = threading.Event()

    def begin(self, loader: Any) -> Any:
        """The iterator of an epoch; they start at the first.

        Args:
            loader: the DataLoader.

        Raises:
            DataError: one of them has ended, or none can be started.
        """
        if self._watched:  # they are told of the next epoch, and must answer
            return self._wait(iter, loader)
        with _signals_wait(), no_advice_on_workers(), _raised_while_waiting():
            batches = _started(loader)
        self._watched = list(getattr(batches, "_workers", ()))
        if self._watched:
            self._done = threading.Event()
            numbers = [worker.pid for worker in self._watched]
            threading.Thread(target=_look, args=(numbers, self._done), daemon=True).start()
        return batches

    def next(self, batches: Any) -> Any:
        """What they read next; None at the end.

        Raises:
            DataError: one of them has ended.
        """
        return self._wait(next, batches, None)

    def _wait(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return _wait(function, *arguments)
        except (RuntimeError, OSError, EOFError) as error:  # a connection may break first
            if (number := self._ended()) is None:
                raise
            raise DataError(
                f"a process that reads images (PID {number}) ended unexpectedly; it may have run "
                "out of memory, use fewer workers (0 reads without)"
            ) from error

    def end(self, batches: Any) -> None:
        """End them, also those that are stopped or wait for a disk."""
        self._done.set()
        watched, self._watched = self._watched, []
        for worker in watched:
            if is_stopped(worker.pid):  # it would not hear that it should end
                worker.kill()
        if hasattr(batches, "_shutdown_workers"):
            try:
                batches._shutdown_workers()  # not left to the garbage collector
            except RuntimeError:  # torch's signal handler: one had ended already
                if all(worker.is_alive() for worker in watched):
                    raise
        for worker in watched:
            if worker.is_alive():
                worker.kill()

    def _ended(self) -> int | None:
        """One that is no more."""
        for worker in self._watched:
            worker.join(0.5)  # its end may be known a moment later
            if not worker.is_alive():
                return int(worker.pid)
        return None


def _started(loader: Any) -> Any:
    """Its iterator; one line where the system has no queues for processes, such as no /dev/shm."""
    try:
        return iter(loader)
    except OSError as error:
        if is_out_of_memory(error):
            raise
        trace = error.__traceback__
        while trace is not None:  # half made, it would complain when it is collected
            made = trace.tb_frame.f_locals.get("self")
            if hasattr(made, "_shutdown_workers"):
                made.__dict__.setdefault("_shutdown", True)
            trace = trace.tb_next
        raise DataError(
            f"cannot start processes that read images: {reason(error)}; is /dev/shm there, with "
            "space? Or read without them (--workers 0)"
        ) from None


def _wait(function: Callable[..., Any], *arguments: Any) -> Any:
    """Known by its name on the stack (`_kept_to_the_wait`)."""
    return function(*arguments)


def _look(numbers: list[int], done: threading.Event) -> None:
    """Name those that are stopped."""
    stopped, names = StoppedProcesses(), dict.fromkeys(numbers, "a process that reads images")
    while not done.wait(1.0):
        for line in stopped.lines(names):
            say(line)


@contextlib.contextmanager
def _raised_while_waiting() -> Iterator[None]:
    """Once workers start, torch raises where the main thread is when one ends, as in the middle of
    a gradient: what it installs is kept to the wait for images. Those that end besides are noticed
    at the next wait."""
    if not hasattr(signal, "SIGCHLD"):  # Windows
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        installed = signal.getsignal(signal.SIGCHLD)
        if installed is not before and callable(installed):
            signal.signal(signal.SIGCHLD, _kept_to_the_wait(installed))


def _kept_to_the_wait(handler: Any) -> Any:
    def handle(number: int, frame: FrameType | None) -> None:
        while frame is not None and frame.f_code is not _wait.__code__:
            frame = frame.f_back
        if frame is not None:
            handler(number, frame)

    return handle


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold signals back: a process started meanwhile is born deaf to them, until it says more."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def no_advice_on_workers() -> Iterator[None]:
    """On a machine with one core torch warns of two processes that read images: they do no harm."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def outlive_signals(worker: int) -> None:
    """Signals reach every process of a program; the main one finishes its step, saves and ends it.

    Should that not happen, SIGTERM ends a worker after a while. What becomes of a connection that
    the main one gives up is not printed: errors of reading are sent, not raised.
    """
    sys.excepthook = lambda *error: None
    if sys.platform == "linux":  # killed with that process, whose locks it has too, and not later
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    with contextlib.suppress(ValueError, AttributeError):
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(PATIENCE))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
