"""Keeps an engine busy with the jobs of a plan, answers faults, and can be stopped."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping

from directmax.tool.files import RunError
from directmax.tool.helpers import StoppedProcesses
from directmax.tool.jobs.engine import Engine
from directmax.tool.jobs.faults import BUSY, INTERRUPTED, Exit
from directmax.tool.jobs.kind import Kinds, Stage
from directmax.tool.jobs.progress import JobsProgress
from directmax.tool.jobs.store import LOOK_SECONDS, JobFolder, State
from directmax.tool.jobs.task import Task
from directmax.tool.look.progress import duration
from directmax.tool.run.interrupt import Interrupted, InterruptGuard

POLL = 0.5
ELSEWHERE_POLL = 2.0
"""Seconds between two looks at jobs that another call works on."""


class Stopped(Interrupted):
    """The user stopped the call; what runs was saved."""

    def __init__(self, done: int, total: int) -> None:
        Exception.__init__(
            self,
            f"stopped after {done} of {total} jobs, those that ran are saved; the same command "
            "does what is left",
        )


class Runner:
    """Runs jobs.

    Args:
        folders: of what is to be done, by name, each after those that it needs.
        kinds: that the jobs are of.
        engine: that runs them.
        task: what all workers are told alike.
        retries: how often a job that died is started again.
        progress: told of everything.
        seconds: what jobs are expected to take, by name.
    """

    def __init__(
        self,
        folders: Mapping[str, JobFolder],
        kinds: Kinds,
        engine: Engine,
        *,
        task: Task,
        retries: int,
        progress: JobsProgress,
        seconds: Mapping[str, float],
    ) -> None:
        self._engine, self._task, self._retries = engine, task, retries
        self._progress, self._seconds = progress, seconds
        self._folders, self._kinds = folders, kinds
        self._waiting = list(folders)
        self._running: dict[str, float] = {}  # since when
        self._elsewhere: dict[str, float] = {}  # looked at when
        self._faults = dict.fromkeys(folders, 0)
        self.done: list[str] = []
        self.failed: dict[str, str] = {}

    def run(self) -> None:
        """Run all.

        Raises:
            Stopped: Ctrl-C; what ran is saved.
            RunError: the folder cannot be written.
        """
        for name, folder in self._folders.items():
            folder.create()
            if folder.is_done:
                self._waiting.remove(name)
                self.done.append(name)
        stopped = StoppedProcesses()
        with InterruptGuard() as guard:
            while self._waiting or self._running or self._elsewhere:
                if guard.requested:
                    self._progress.say("stopping: running jobs are saved")
                    self._engine.stop()
                    done = [f for f in self._folders.values() if f.is_done]
                    raise Stopped(len(done), len(self._folders))
                self._look_elsewhere()
                self._start()
                for name, ended in self._engine.wait(POLL):
                    self._ended(name, ended)
                for line in stopped.lines({pid: n for n, pid in self._engine.pids().items()}):
                    self._progress.say(line, "yellow")
                if self._progress.wants_update:
                    self._show()

    def _start(self) -> None:
        for name in list(self._waiting):
            if len(self._running) >= self._engine.slots:
                return
            after = self._folders[name].job.after
            if broken := [each for each in after if each in self.failed]:
                self._waiting.remove(name)
                self._fail(name, f"needs {broken[0]}, which failed")
            elif all(each in self.done for each in after):
                self._waiting.remove(name)
                if self._folders[name].is_taken():
                    self._elsewhere[name] = time.monotonic()
                else:
                    self._running[name] = time.monotonic()
                    folder, *needs = (str(self._folders[n].path.absolute()) for n in (name, *after))
                    task = dataclasses.replace(self._task, folder=folder, needs=tuple(needs))
                    self._engine.start(name, task)

    def _look_elsewhere(self) -> None:
        now = time.monotonic()
        for name, since in list(self._elsewhere.items()):
            if now - since < ELSEWHERE_POLL:
                continue
            self._elsewhere[name] = now
            if self._folders[name].is_taken():
                continue
            del self._elsewhere[name]
            if self._folders[name].is_done:
                self._finish(name, "by another call")
            else:
                self._waiting.insert(0, name)

    def _ended(self, name: str, ended: Exit) -> None:
        spent = time.monotonic() - self._running.pop(name)
        folder = self._folders[name]
        if ended.code == BUSY:
            self._elsewhere[name] = time.monotonic()
        elif not ended.is_fault and folder.is_done:
            # What the job took, here or in another call that did it while the worker waited.
            self._finish(name, duration(folder.state().seconds))
        else:
            if ended.code == INTERRUPTED or not ended.is_fault:
                ended = Exit(INTERRUPTED, "was stopped by somebody")
            self._fault(name, ended, spent)

    def _fault(self, name: str, ended: Exit, spent: float) -> None:
        self._faults[name] += 1
        again = ended.may_retry or ended.code == INTERRUPTED
        if again and self._faults[name] <= self._retries:
            self._write(self._folders[name], "waiting", ended.reason(), spent)
            number = f"{self._faults[name]} of {self._retries}"
            self._progress.say(f"{name}: {ended.reason()}; starting again ({number})", "yellow")
            self._waiting.insert(0, name)
        else:
            self._fail(name, ended.reason(), spent)

    def _fail(self, name: str, reason: str, spent: float = 0.0) -> None:
        self.failed[name] = reason
        self._write(self._folders[name], "failed", reason, spent)
        self._progress.say(f"{name} failed: {reason}", "red")

    def _write(self, folder: JobFolder, state: str, error: str, spent: float) -> None:
        """Say how it ended, unless another call has taken it by now."""
        try:
            with folder.claim(wait=LOOK_SECONDS) as mine:
                before = folder.state()
                if mine and before.state != "done":
                    attempts = max(1, before.attempts) if spent else before.attempts
                    # A worker that could save has counted its time itself.
                    more = spent if before.state == "running" else 0.0
                    folder.write_state(State(state, attempts, error, before.seconds + more))
        except RunError as error_of_state:  # such as a full disk; the other jobs go on
            self._progress.say(str(error_of_state), "red")

    def _finish(self, name: str, note: str) -> None:
        self.done.append(name)
        number = f"{len(self.done) + len(self.failed)}/{len(self._folders)}"
        self._progress.say(f"{number} {name}: {', '.join([*self._numbers(name), note])}")

    def _numbers(self, name: str) -> list[str]:
        """The result of a finished job in a few words."""
        folder = self._folders[name]
        try:
            result = self._kinds[folder.job.kind].result(folder.path, done=True)
        except RunError:
            return []
        test = result.get("test") or {}
        words = [f"test accuracy {test['accuracy']:.2%}"] if "accuracy" in test else []
        if test.get("bound") is not None:
            words.append(f"test bound {test['bound']:.2f}")
        elif test.get("nll") is not None:
            words.append(f"test −log p(x) {test['nll']:.2f}")
        if result.get("stopped_early"):
            words.append(f"stopped early after {result['epochs']} epochs")
        return words

    def _show(self) -> None:
        stages = {name: self._stage(name) for name in (*self._running, *self._elsewhere)}
        where = dict.fromkeys(self._elsewhere, " (another call)")
        self._progress.update(
            {f"{name}{where.get(name, '')}": stage for name, stage in stages.items()},
            done=len(self.done),
            waiting=len(self._waiting),
            failed=list(self.failed),
            left=self._left(stages),
        )

    def _stage(self, name: str) -> Stage:
        folder = self._folders[name]
        return self._kinds[folder.job.kind].stage(folder.job, folder.path)

    def _left(self, stages: Mapping[str, Stage]) -> float | None:
        """Time to the end of all: what running jobs say, what the others are expected to take."""
        if any(name not in self._seconds for name in self._waiting):
            return None
        rest = [self._seconds[name] for name in self._waiting]
        now = time.monotonic()
        for name, stage in stages.items():
            spent = now - self._running.get(name, now)
            if stage.left is not None:
                rest.append(stage.left)
            elif name in self._seconds:
                rest.append(max(0.0, self._seconds[name] - spent))
        return makespan(rest, self._engine.slots) if rest else None


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When the last of jobs ends that are taken in turn by some workers.

    Example:
        >>> makespan([3.0, 1.0, 1.0], 2)
        3.0
    """
    free = [0.0] * max(1, workers)
    for each in seconds:
        free.sort()
        free[0] += each
    return max(free)
