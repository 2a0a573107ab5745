"""The folder of a reproduction: its plan, a folder for every job, and who may work in it.

    OUT/plan.json                 items and jobs that were asked for, by all calls so far
    OUT/jobs/<name>-<digest8>/    a job: job.json, state.json, and a run folder or its measurement
    OUT/results.json, reproduction.html, reproduction.md, figures/

Several calls may work on one folder. A job is taken by a lock of the operating system on a file in
its folder, which a killed process cannot leave behind.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from directmax.tool.files import (
    RunError,
    lock,
    making_folder,
    read_json,
    reading,
    write_json,
)
from directmax.tool.jobs.job import Job

JOBS = "jobs"
PLAN = "plan.json"
OUTCOME = "outcome.json"
"""In the folder of a job that was taken over from other results: all that is known of it."""
LOOK_SECONDS = 1.0
"""How long to try for a lock that somebody may only be looking at."""
STATES = ("waiting", "running", "done", "failed")


@dataclass(frozen=True)
class State:
    """How far a job is, as in its `state.json`.

    Attributes:
        state: waiting, running, done or failed.
        attempts: how often it was started.
        error: why the last attempt ended, in one line.
        seconds: wall-clock of all attempts together.
    """

    state: str = "waiting"
    attempts: int = 0
    error: str | None = None
    seconds: float = 0.0


class JobFolder:
    """A job and its folder.

    Args:
        path: the folder, in `jobs/` of that of the reproduction.
        job: the job.
    """

    def __init__(self, path: Path, job: Job) -> None:
        self.path, self.job = path, job
        self.job_file, self.state_file = path / "job.json", path / "state.json"

    @classmethod
    def read(cls, path: str | Path) -> JobFolder:
        """A folder that says what its job is.

        Raises:
            RunError: the folder holds none, or its file is damaged.
        """
        folder = Path(path)
        file = folder / "job.json"
        record = read_json(file)
        with reading(file):
            job = Job.from_dict(record)
        if record.get("digest") != job.digest():
            raise RunError(f"{file} is damaged: its digest is that of other settings")
        return cls(folder, job)

    @property
    def relative(self) -> str:
        """As written in the plan."""
        return f"{JOBS}/{self.path.name}"

    def create(self) -> None:
        """Make the folder and say in it what the job is; nothing changes if it is there.

        Raises:
            RunError: it cannot be written.
        """
        if self.job_file.exists():
            return
        with making_folder(self.path):
            write_json(self.job_file, {**self.job.to_dict(), "digest": self.job.digest()})

    def state(self) -> State:
        """How far it is.

        Raises:
            RunError: the file is damaged.
        """
        if not self.state_file.exists():
            return State()
        record = read_json(self.state_file)
        with reading(self.state_file):
            state, error = record["state"], record["error"]
            if state not in STATES:
                raise ValueError(f"unknown state {state!r}")
            return State(state, int(record["attempts"]), error, float(record["seconds"]))

    def write_state(self, state: State) -> None:
        """Write `state.json`, atomically."""
        write_json(self.state_file, dict(vars(state)))

    @contextlib.contextmanager
    def claim(self, *, wait: float = 0.0) -> Iterator[bool]:
        """Be the only one to work on the job; yields whether that is so.

        Args:
            wait: how many seconds to try.
        """
        end = time.monotonic() + wait
        while True:
            with lock(self.path / ".job.lock") as mine:
                if mine or time.monotonic() >= end:
                    yield mine
                    return
            time.sleep(0.05)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.state().state == "done"

    @property
    def has_model(self) -> bool:
        """Whether it was trained here, so that another job can use what it learned."""
        return not (self.path / OUTCOME).exists()

    def is_taken(self) -> bool:
        """Whether some process works on it now."""
        if not (self.path / ".job.lock").exists():
            return False
        with self.claim() as locked:
            return not locked


class Store:
    """The folder of a reproduction.

    Args:
        root: the folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.plan_file = self.root / PLAN

    def check(self, scale: str) -> None:
        """Refuse a folder that holds another scale, before anything is done.

        Raises:
            RunError: it does, or its plan is damaged, or it is no folder.
        """
        if self.root.exists() and not self.root.is_dir():
            raise RunError(f"{self.root} is a file: choose another --output")
        if (plan := self.plan()) is not None:
            _check_scale(plan, scale, self.root)

    def bind(self, jobs: Iterable[Job]) -> dict[str, JobFolder]:
        """Jobs with their folders, by name.

        A folder is that of a job if it ends with its digest, whatever the job was called.
        """
        found: dict[str, Path] = {}
        for path in sorted((self.root / JOBS).glob("*-*")):
            found.setdefault(path.name.rpartition("-")[2], path)
        folders = {}
        for job in jobs:
            path = found.get(job.digest()[:8], self.root / JOBS / job.key())
            folders[job.name] = JobFolder(path, job)
        return folders

    def plan(self) -> dict[str, Any] | None:
        """What earlier calls planned; None if there was none.

        Raises:
            RunError: the file is damaged.
        """
        if not self.plan_file.exists():
            return None
        plan = read_json(self.plan_file)
        for name, kind in (("command", str), ("scale", str), ("items", list), ("jobs", list)):
            if not isinstance(plan.get(name), kind):
                raise RunError(
                    f"{self.plan_file} is damaged: '{name}' is missing or of another type"
                )
        return plan

    def add_plan(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Add a call's plan to that of earlier ones; calls do not lose each other's.

        Raises:
            RunError: the folder holds another scale, or cannot be written.
        """
        file = self.root / ".plan.lock"
        with making_folder(self.root / JOBS), lock(file, wait=True):
            try:
                merged = merge(self.plan(), plan, self.root)
                write_json(self.plan_file, merged)
            except RunError:
                if not self.plan_file.exists():  # nothing began here: no folder is left
                    file.unlink()
                raise
        return merged


def merge(old: Mapping[str, Any] | None, new: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Two plans as one: items and jobs of both, by name; the new one's entries win.

    But an item without jobs says nothing of one that has some, and times that were measured stay
    where the new plan has none.

    Raises:
        RunError: they are of different scales.
    """
    if old is None:
        return dict(new)
    _check_scale(old, new["scale"], root)
    items = {item["name"]: item for item in old["items"]}
    for item in new["items"]:
        earlier = items[item["name"]]["jobs"] if item["name"] in items else []
        if item["jobs"] or not earlier:
            items[item["name"]] = {**item, "jobs": list(dict.fromkeys([*earlier, *item["jobs"]]))}
    jobs = {job["name"]: job for job in old["jobs"]}
    for job in new["jobs"]:
        settings = {key: value for key, value in job.items() if value is not None}
        jobs[job["name"]] = {**jobs.get(job["name"], job), **settings}
    commands = dict.fromkeys([*old["command"].split("\n"), *new["command"].split("\n")])
    return {
        **new,
        "command": "\n".join(commands),
        "items": list(items.values()),
        "jobs": list(jobs.values()),
    }


def _check_scale(plan: Mapping[str, Any], scale: str, root: Path) -> None:
    if plan["scale"] != scale:
        raise RunError(
            f"{root} holds a reproduction with --scale {plan['scale']}, not {scale}: choose "
            "another --output"
        )
