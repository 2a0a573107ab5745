"""Killed, out of memory, NaN, a full disk, stopped, two calls at once: what is left then."""

from __future__ import annotations

import math
import os
import re
import resource
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs import ForkEngine, bound, outcome, run_jobs, tiny

from directmax.tool import helpers
from directmax.tool.jobs import worker
from directmax.tool.jobs.engine_local import LocalEngine, Resources
from directmax.tool.jobs.faults import BUSY
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.runner import Stopped
from directmax.tool.jobs.store import State
from directmax.tool.jobs.task import Task
from directmax.tool.paper import kinds
from directmax.tool.run import train as run
from directmax.tool.run.loop import Trainer

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the job `a` leaves if nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    from directmax.tool.config import stored_config

    run.train(stored_config(dict(tiny("a").settings)), folder, device="cpu")
    torch.set_num_threads(threads)
    return outcome(folder)


def wait_for(file: Path) -> None:
    """Wait until a file is there."""
    end = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < end, f"nobody made {file.name}"
        time.sleep(0.01)


def at_step(epoch: int, step: int, do: Any) -> None:
    """Do something before a step of the training in this process."""
    original = Trainer._train_step

    def train_step(self: Trainer, batch: Any, number: int) -> None:
        if (self.position.epoch, number) == (epoch, step):
            do(self)
        original(self, batch, number)

    Trainer._train_step = train_step  # type: ignore[method-assign]


def state(root: Path, job: Job) -> State:
    return bound(root, job).state()


def folder(root: Path, job: Job) -> Path:
    return bound(root, job).path


def test_a_run_is_that_of_directmax_train(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    job = tiny("a")
    runner, text = run_jobs(tmp_path, [job])
    assert (runner.done, runner.failed) == (["a"], {})
    assert outcome(folder(tmp_path, job)) == undisturbed
    ended = state(tmp_path, job)
    assert (ended.state, ended.attempts, ended.error) == ("done", 1, None)
    assert ended.seconds > 0
    assert "1/1 a: test bound" in text
    engine = ForkEngine()
    again, _ = run_jobs(tmp_path, [job], engine)
    assert (again.done, engine.started) == (["a"], [])


def test_a_killed_worker_goes_on_from_its_checkpoint(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    def kill_in_epoch_2(name: str, number: int) -> None:
        if number == 1:
            at_step(1, 2, lambda trainer: os.kill(os.getpid(), signal.SIGKILL))
        else:  # must not begin anew

            def refuse(trainer: Trainer) -> None:
                raise AssertionError("it began anew")

            at_step(0, 0, refuse)

    job = tiny("a")
    runner, text = run_jobs(tmp_path, [job], ForkEngine(prepare=kill_in_epoch_2))
    assert runner.failed == {}
    assert "a: was killed (SIGKILL); starting again (1 of 2)" in text
    assert outcome(folder(tmp_path, job)) == undisturbed
    assert state(tmp_path, job).attempts == 2


def test_a_worker_that_is_stopped_is_named(
    tmp_path: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helpers, "SILENCE", 0.1)
    monkeypatch.setattr("directmax.tool.jobs.runner.POLL", 0.05)
    engine = ForkEngine(prepare=lambda name, number: os.kill(os.getpid(), signal.SIGSTOP))
    threading.Timer(0.5, lambda: os.kill(engine.pids()["a"], signal.SIGCONT)).start()
    runner, text = run_jobs(tmp_path, [tiny("a")], engine)
    assert runner.failed == {}
    assert text.count("it is stopped; continue it with: kill -CONT") == 1
    assert outcome(folder(tmp_path, tiny("a"))) == undisturbed


def test_at_most_so_many_times(tmp_path: Path) -> None:
    def kill(name: str, number: int) -> None:
        if name == "a":
            at_step(0, 1, lambda trainer: os.kill(os.getpid(), signal.SIGKILL))

    jobs = [tiny("a"), tiny("b", seed=1)]
    engine = ForkEngine(prepare=kill)
    runner, _ = run_jobs(tmp_path, jobs, engine, retries=2)
    assert engine.started == ["a", "a", "a", "b"]
    assert runner.done == ["b"]
    assert runner.failed == {"a": "was killed (SIGKILL)"}
    ended = state(tmp_path, jobs[0])
    assert (ended.state, ended.attempts, ended.error) == ("failed", 3, "was killed (SIGKILL)")
    runner, _ = run_jobs(tmp_path, jobs)  # another call tries again
    assert (sorted(runner.done), runner.failed) == (["a", "b"], {})


def test_out_of_memory(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    def no_memory(trainer: Trainer) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    def prepare(name: str, number: int) -> None:
        if number == 1:
            at_step(2, 0, no_memory)

    job = tiny("a")
    runner, text = run_jobs(tmp_path, [job], ForkEngine(prepare=prepare))
    assert (runner.failed, "can't allocate memory; starting again" in text) == ({}, True)
    assert outcome(folder(tmp_path, job)) == undisturbed


def test_nan_fails_without_stopping_the_rest(tmp_path: Path) -> None:
    def poison(name: str, number: int) -> None:
        if name == "sick":
            at_step(0, 1, lambda trainer: next(trainer.model.parameters()).data.fill_(math.nan))

    sick = tiny("sick", seed=1)
    measured = Job("measured", "gradients", {"trained": sick.digest()}, {}, after=("sick",))
    engine = ForkEngine(prepare=poison)
    runner, _ = run_jobs(tmp_path, [sick, measured, tiny("well")], engine, retries=1)
    assert engine.started == ["sick", "sick", "well"]
    assert runner.done == ["well"]
    assert "NaN or infinite at step" in runner.failed["sick"]
    assert runner.failed["measured"] == "needs sick, which failed"
    assert state(tmp_path, sick).state == state(tmp_path, measured).state == "failed"


def test_a_full_disk_is_an_error_and_no_broken_file(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    def full(name: str, number: int) -> None:
        def fill(trainer: Trainer) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        at_step(1, 1, fill)

    job = tiny("a")
    engine = ForkEngine(prepare=full)
    runner, _ = run_jobs(tmp_path, [job], engine)
    assert engine.started == ["a"]  # another attempt would end in the same way
    assert "cannot write" in runner.failed["a"]
    assert "File too large" in runner.failed["a"]
    runner, _ = run_jobs(tmp_path, [job])
    assert runner.failed == {}
    assert outcome(folder(tmp_path, job)) == undisturbed


def test_a_folder_that_cannot_be_written_ends_the_call(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("in the way")
    with pytest.raises(ValueError, match="cannot write"):
        run_jobs(tmp_path, [tiny("a")])


def test_stopped_and_called_again(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    def stop(name: str, number: int) -> None:
        if number == 1:  # what the terminal's Ctrl-C does to the call; the engine asks the worker
            at_step(1, 1, lambda trainer: (os.kill(os.getppid(), signal.SIGINT), time.sleep(1)))

    jobs = [tiny("a"), tiny("b", seed=1)]
    with pytest.raises(Stopped, match="stopped after 0 of 2 jobs"):
        run_jobs(tmp_path, jobs, ForkEngine(prepare=stop))
    left = state(tmp_path, jobs[0])
    assert (left.state, left.attempts) == ("waiting", 1)
    assert not (folder(tmp_path, jobs[0]) / "summary.json").exists()
    runner, _ = run_jobs(tmp_path, jobs)
    assert (runner.done, runner.failed) == (["a", "b"], {})
    assert outcome(folder(tmp_path, jobs[0])) == undisturbed


def test_two_calls_on_one_folder(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    jobs = [tiny("a"), tiny("b", seed=1), tiny("c", seed=2), tiny("d", seed=3)]

    taken, seen = tmp_path / "taken", tmp_path / "seen"

    def first_call(name: str, number: int) -> None:
        if name == "a":  # is not done before the second call has found it taken
            at_step(0, 0, lambda trainer: (taken.touch(), wait_for(seen)))

    def second_call(name: str, number: int) -> None:
        seen.touch()  # it works on something else, so it has looked at `a`

    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            runner, _ = run_jobs(tmp_path, jobs, ForkEngine(prepare=first_call))
            code = 0 if len(runner.done) == 4 else 1
        finally:
            os._exit(code)
    wait_for(taken)
    engine = ForkEngine(prepare=second_call)
    runner, text = run_jobs(tmp_path, jobs, engine)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (sorted(runner.done), runner.failed) == (["a", "b", "c", "d"], {})
    assert [state(tmp_path, job).attempts for job in jobs] == [1, 1, 1, 1]
    assert "a" not in engine.started
    assert re.search("a: .*by another call", text)
    assert outcome(folder(tmp_path, jobs[0])) == undisturbed


def test_the_same_work_under_another_name(tmp_path: Path) -> None:
    run_jobs(tmp_path, [tiny("a")])
    engine = ForkEngine()
    runner, _ = run_jobs(tmp_path, [tiny("other")], engine)
    assert (runner.done, engine.started) == (["other"], [])
    assert len(list((tmp_path / "jobs").iterdir())) == 1


@pytest.mark.slow
def test_processes_of_this_machine(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """Real workers; one is killed from outside."""
    jobs = [tiny("a"), tiny("b", seed=1, epochs=150)]
    engine = LocalEngine(Resources(2, 1, ("cpu",)))

    def kill() -> None:
        lines = folder(tmp_path, jobs[1]) / "metrics.jsonl"
        while not lines.exists() or lines.read_text().count("\n") < 5:
            time.sleep(0.05)
        os.kill(engine.pids()["b"], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    runner, text = run_jobs(tmp_path, jobs, engine)
    thread.join()
    assert (sorted(runner.done), runner.failed) == (["a", "b"], {})
    assert "b: was killed (SIGKILL); starting again (1 of 2)" in text
    assert outcome(folder(tmp_path, jobs[0])) == undisturbed
    assert (folder(tmp_path, jobs[0]) / "report.html").exists()
    alone, _ = run_jobs(tmp_path / "alone", [jobs[1]])
    assert alone.failed == {}
    assert outcome(folder(tmp_path, jobs[1])) == outcome(folder(tmp_path / "alone", jobs[1]))


def test_a_busy_job_is_left_alone(tmp_path: Path) -> None:
    busy = bound(tmp_path, tiny("a"))
    busy.create()
    with busy.claim() as mine:
        assert mine
        assert worker.work(Task(str(busy.path), kinds.__name__)) == BUSY
    assert busy.state() == State()
