"""Keeps an engine busy with the jobs of a plan, answers faults, and can be stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from directmax.tool.files import RunError, read_json
from directmax.tool.jobs.engine import Engine
from directmax.tool.jobs.estimate import makespan
from directmax.tool.jobs.faults import BUSY, INTERRUPTED, Exit
from directmax.tool.jobs.progress import Counts, JobsProgress, Running, duration, look
from directmax.tool.jobs.store import LOOK_SECONDS, JobFolder, State, Store
from directmax.tool.jobs.worker import Task
from directmax.tool.paper.jobs import Job
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
        store: the folder.
        jobs: what is to be done, each after those that it needs.
        engine: that runs them.
        task: what all workers are told alike.
        retries: how often a job that died is started again.
        progress: told of everything.
        seconds: what jobs are expected to take, by name.
    """

    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        engine: Engine,
        *,
        task: Task,
        retries: int,
        progress: JobsProgress,
        seconds: Mapping[str, float],
    ) -> None:
        self._engine, self._task, self._retries = engine, task, retries
        self._progress, self._seconds = progress, seconds
        self._jobs = {job.name: job for job in jobs}
        self._folders = {job.name: store.folder(job) for job in jobs}
        self._waiting = list(self._jobs)
        self._running: dict[str, float] = {}  # since when
        self._elsewhere: dict[str, float] = {}  # looked at when
        self._faults = dict.fromkeys(self._jobs, 0)
        self.done: list[str] = []
        self.failed: dict[str, str] = {}

    def run(self) -> None:
        """Run all.

        Raises:
            Stopped: Ctrl-C; what ran is saved.
            RunError: the folder cannot be written.
        """
        for name, folder in self._folders.items():
            folder.create(self._jobs[name])
            if folder.is_done:
                self._waiting.remove(name)
                self.done.append(name)
        with InterruptGuard() as guard:
            while self._waiting or self._running or self._elsewhere:
                if guard.requested:
                    self._progress.say("stopping: running jobs are saved")
                    self._engine.stop()
                    done = [f for f in self._folders.values() if f.is_done]
                    raise Stopped(len(done), len(self._jobs))
                self._look_elsewhere()
                self._start()
                for name, ended in self._engine.wait(POLL):
                    self._ended(name, ended)
                if self._progress.wants_update:
                    self._show()

    def _start(self) -> None:
        for name in list(self._waiting):
            if len(self._running) >= self._engine.slots:
                return
            job = self._jobs[name]
            if broken := [each for each in job.after if each in self.failed]:
                self._waiting.remove(name)
                self._fail(name, f"needs {broken[0]}, which failed")
            elif all(each in self.done for each in job.after):
                self._waiting.remove(name)
                if self._folders[name].is_taken():
                    self._elsewhere[name] = time.monotonic()
                else:
                    self._running[name] = time.monotonic()
                    self._engine.start(name, self._task_of(job))

    def _task_of(self, job: Job) -> Task:
        return Task(
            folder=str(self._folders[job.name].path.absolute()),
            needs=tuple(str(self._folders[each].path.absolute()) for each in job.after),
            data_dir=self._task.data_dir,
            compiled=self._task.compiled,
        )

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
        numbers = _result(self._jobs[name], self._folders[name].path)
        number = f"{len(self.done) + len(self.failed)}/{len(self._jobs)}"
        self._progress.say(f"{number} {name}: {numbers}{note}")

    def _show(self) -> None:
        running = [self._look(name) for name in self._running]
        running += [self._look(name, elsewhere=True) for name in self._elsewhere]
        counts = Counts(len(self.done), len(self.failed), len(self._waiting), len(running))
        self._progress.update(counts, running, self._left(running), list(self.failed))

    def _look(self, name: str, *, elsewhere: bool = False) -> Running:
        folder = self._folders[name]
        return look(name, self._jobs[name].settings, folder.metrics_file, elsewhere=elsewhere)

    def _left(self, running: Sequence[Running]) -> float | None:
        """Time to the end of all: what running jobs say, what the others are expected to take."""
        now = time.monotonic()
        rest = []
        for job in running:
            since = self._running.get(job.name, now)
            expected = self._seconds.get(job.name)
            if job.left is not None:
                rest.append(job.left)
            elif expected is not None:
                rest.append(max(0.0, expected - (now - since)))
        if any(name not in self._seconds for name in self._waiting):
            return None
        rest += [self._seconds[name] for name in self._waiting]
        return makespan(rest, self._engine.slots) if rest else None


def _result(job: Job, path: Path) -> str:
    """The result of a finished job in a few words."""
    try:
        if job.kind == "gradients":
            return ""
        file = path / ("summary.json" if job.kind == "train" else "result.json")
        record = read_json(file)
        test = record["test"]
    except (RunError, KeyError):
        return ""
    words = [f"test accuracy {test['accuracy']:.2%}"] if "accuracy" in test else []
    if test.get("bound") is not None:
        words.append(f"test bound {test['bound']:.2f}")
    elif test.get("nll") is not None:
        words.append(f"test −log p(x) {test['nll']:.2f}")
    if record.get("stopped_early"):
        words.append(f"stopped early after {record['epochs']} epochs")
    return ", ".join(words) + ", "
