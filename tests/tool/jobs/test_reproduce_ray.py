"""Jobs on a Ray cluster of two workers that is started for the call."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs import bound, outcome, run_jobs, tiny

from directmax.tool.jobs.job import Job
from directmax.tool.jobs.runner import Stopped

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture
def engine() -> Iterator[object]:
    from directmax.tool.jobs.engine_ray import RayEngine

    engine = RayEngine(workers=2)
    yield engine
    engine.close()


def pid_of(folder: Path) -> int:
    """The worker process of a job, by its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"directmax.tool.jobs.worker" in words and str(folder).encode() in words[3]:
                return int(entry.name)
    raise AssertionError(f"no worker in {folder}")


def wait_for_lines(folder: Path, number: int) -> None:
    end = time.monotonic() + 120
    lines = folder / "metrics.jsonl"
    while not lines.exists() or lines.read_text().count("\n") < number:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_workers_one_killed(tmp_path: Path, engine: object) -> None:
    jobs = [tiny("a", epochs=150), tiny("b", seed=1), Job("c", "train", {"odd": 1}, {})]
    path = bound(tmp_path, jobs[0]).path

    def kill() -> None:
        wait_for_lines(path, 5)
        os.kill(pid_of(path), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    runner, text = run_jobs(tmp_path, jobs, engine, retries=1)  # type: ignore[arg-type]
    thread.join()
    assert sorted(runner.done) == ["a", "b"]
    assert "unknown or missing entries" in runner.failed["c"]
    assert "a: was killed (SIGKILL); starting again (1 of 1)" in text
    assert bound(tmp_path, jobs[0]).state().attempts == 2
    alone, _ = run_jobs(tmp_path / "alone", [jobs[0]])
    assert alone.failed == {}
    there = bound(tmp_path / "alone", jobs[0]).path
    assert outcome(path) == outcome(there)


def test_stopped_and_called_again(tmp_path: Path, engine: object) -> None:
    job = tiny("a", epochs=150)
    path = bound(tmp_path, job).path

    def stop() -> None:
        wait_for_lines(path, 5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Stopped):
        run_jobs(tmp_path, [job], engine)  # type: ignore[arg-type]
    thread.join()
    with pytest.raises(AssertionError, match="no worker"):
        pid_of(path)
    assert bound(tmp_path, job).state().state == "waiting"
    runner, _ = run_jobs(tmp_path, [job])
    assert runner.failed == {}
    run_jobs(tmp_path / "alone", [job])
    assert outcome(path) == outcome(bound(tmp_path / "alone", job).path)


def test_an_address_that_does_not_answer() -> None:
    from directmax.tool.jobs.engine_ray import RayEngine

    with pytest.raises(ValueError, match=r"cannot use the Ray cluster 127\.0\.0\.1:1: ") as caught:
        RayEngine("127.0.0.1:1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["nonsense", ":", "host:port", "127.0.0.1:99999"])
def test_no_address(address: str) -> None:
    from directmax.tool.jobs.engine_ray import RayEngine

    with pytest.raises(ValueError, match=r"HOST:PORT|cannot use"):
        RayEngine(address)
