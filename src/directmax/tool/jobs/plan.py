"""Jobs of several parts as one plan: shared work once, in order, what is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from directmax.tool.jobs.job import Job
from directmax.tool.jobs.store import JobFolder


@dataclass(frozen=True)
class Part:
    """Something that is drawn from jobs.

    Attributes:
        name: unique.
        title: one line for people.
        caption: what is shown.
        jobs: names of the jobs that it is drawn from.
        needs: what of it is left out and why, in one line; None for nothing.
    """

    name: str
    title: str
    caption: str
    jobs: tuple[str, ...]
    needs: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        scale: smoke, short or paper.
        scale_note: what that means.
        parts: what was asked for.
        jobs: each once, after those that it needs.
    """

    scale: str
    scale_note: str
    parts: tuple[Part, ...]
    jobs: tuple[Job, ...]

    def to_dict(
        self,
        command: str,
        folders: Mapping[str, JobFolder],
        seconds_per_epoch: Mapping[str, float | None],
    ) -> dict[str, Any]:
        """As `plan.json`.

        Args:
            command: the command line of the call.
            folders: of the jobs, by name.
            seconds_per_epoch: of jobs, by name, as measured before.
        """
        parts = [{**dataclasses.asdict(part), "jobs": list(part.jobs)} for part in self.parts]
        jobs = [
            {
                **job.to_dict(),
                "digest": job.digest(),
                "folder": folders[job.name].relative,
                "seconds_per_epoch": seconds_per_epoch.get(job.name),
            }
            for job in self.jobs
        ]
        head = {"command": command, "scale": self.scale, "scale_note": self.scale_note}
        return {**head, "items": parts, "jobs": jobs}


def make_plan(
    scale: str, scale_note: str, parts: Mapping[Part, Sequence[Job]], only: Sequence[str] = ()
) -> Plan:
    """Put the jobs of parts together; work that several share is there once, as the first calls it.

    Args:
        scale: of all.
        scale_note: what that means.
        parts: with all jobs that each needs; the names of those in the part itself do not matter.
        only: beginnings of jobs' names; what they need is added. None: all jobs.

    Raises:
        ValueError: nothing begins so, or there is nothing to do.
    """
    found: dict[str, Job] = {}  # by digest
    names: dict[str, str] = {}  # a job's name, and that of the same work in an earlier part
    for job in (job for jobs in parts.values() for job in jobs):
        names[job.name] = found.setdefault(job.digest(), job).name
    jobs = {
        job.name: dataclasses.replace(job, after=tuple(names[each] for each in job.after))
        for job in found.values()
    }
    if not jobs and (missing := next((part.needs for part in parts if part.needs), None)):
        raise ValueError(missing)
    kept = _only(jobs, only)
    chosen = []
    for part, of_part in parts.items():
        own = dict.fromkeys(names[job.name] for job in of_part)
        chosen.append(dataclasses.replace(part, jobs=tuple(name for name in own if name in kept)))
    if only:
        chosen = [part for part in chosen if part.jobs]
    return Plan(scale, scale_note, tuple(chosen), tuple(_ordered([jobs[name] for name in kept])))


def _only(jobs: Mapping[str, Job], only: Sequence[str]) -> list[str]:
    """Names that begin so, and what they need."""
    if not only:
        return list(jobs)
    wanted: set[str] = set()
    for start in only:
        matches = {name for name in jobs if name == start or name.startswith(f"{start}-")}
        if not matches:
            some = ", ".join(list(jobs)[:3])
            raise ValueError(
                f"--only {start} fits no job; names begin as in {some}, … (--dry-run lists them)"
            )
        wanted |= matches
    while more := {each for name in wanted for each in jobs[name].after} - wanted:
        wanted |= more
    return [name for name in jobs if name in wanted]


def _ordered(jobs: Sequence[Job]) -> list[Job]:
    """Every job after those that it needs; those that others wait for come first."""
    by_name = {job.name: job for job in jobs}
    needed = {each for job in jobs for each in job.after}
    order: dict[str, Job] = {}

    def add(job: Job) -> None:
        for each in job.after:
            add(by_name[each])
        order.setdefault(job.name, job)

    for job in sorted(jobs, key=lambda job: job.name not in needed):
        add(job)
    return list(order.values())
