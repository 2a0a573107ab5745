"""Which jobs a call consists of, in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from directmax._choices import check_choice
from directmax.tool.data.names import ATTRIBUTE_DATASETS, DATASETS
from directmax.tool.jobs.store import Store
from directmax.tool.paper.items import ITEMS
from directmax.tool.paper.jobs import SCALES, Item, Job

ALL = "all"
NAMES = (*ITEMS, ALL)


@dataclass(frozen=True)
class Chosen:
    """An item and the names of its jobs.

    Attributes:
        item: the item.
        jobs: what it is drawn from.
        needs: what of it is left out and why, in one line; None for nothing.
    """

    item: Item
    jobs: tuple[str, ...]
    needs: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        scale: smoke, short or paper.
        items: what was asked for, in the paper's order.
        jobs: each once, after those that it needs.
    """

    scale: str
    items: tuple[Chosen, ...]
    jobs: tuple[Job, ...]

    def to_dict(
        self, command: str, store: Store, seconds_per_epoch: Mapping[str, float | None]
    ) -> dict[str, Any]:
        """As `plan.json`.

        Args:
            command: the command line of the call.
            store: knows the folders.
            seconds_per_epoch: of jobs, by name, as measured before.
        """
        return {
            "command": command,
            "scale": self.scale,
            "scale_note": SCALES[self.scale],
            "items": [
                {
                    "name": chosen.item.name,
                    "title": chosen.item.title,
                    "caption": chosen.item.caption,
                    "jobs": list(chosen.jobs),
                    "needs": chosen.needs,
                }
                for chosen in self.items
            ],
            "jobs": [
                {
                    **job.to_dict(),
                    "digest": job.digest(),
                    "folder": store.relative(store.folder(job)),
                    "seconds_per_epoch": seconds_per_epoch.get(job.name),
                }
                for job in self.jobs
            ],
        }


def make_plan(
    name: str,
    scale: str,
    *,
    seeds: Sequence[int] = (),
    data: Sequence[str] = (),
    only: Sequence[str] = (),
    present: Mapping[str, int] = MappingProxyType({}),
) -> Plan:
    """The jobs of an item, or of all; work that several items share is there once.

    Args:
        name: figure1, table1, …, or all.
        scale: smoke, short or paper.
        seeds: a run for each; none: those of the scale.
        data: only these data sets; none: those of the scale.
        only: beginnings of jobs' names; what they need is added. None: all jobs.
        present: numbers of training images of the data sets at hand that cannot be downloaded.

    Raises:
        ValueError: a name that is not known, a seed that cannot be used, or nothing to do.

    Example:
        >>> plan = make_plan("all", "smoke", only=["figure1-digits-middle"])
        >>> [job.name for job in plan.jobs]
        ['figure1-digits-training-0', 'figure1-digits-middle-0']
    """
    check_choice("item", name, NAMES)
    check_choice("scale", scale, tuple(SCALES))
    for each in data:
        check_choice("data set", each, tuple(dict.fromkeys((*DATASETS, *ATTRIBUTE_DATASETS))))
    for seed in seeds:
        if not 0 <= seed < 2**63:
            raise ValueError(f"--seeds must be at least 0 and below 2^63, got {seed}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds must differ, got {' '.join(map(str, seeds))}")
    found: dict[str, Job] = {}  # by digest
    names: dict[str, str] = {}  # a job's name, and that of the same work in an earlier item
    items = []
    for item in ITEMS.values() if name == ALL else (ITEMS[name],):
        jobs, needs = _jobs(item, scale, seeds, data, present, tolerant=name == ALL)
        for job in jobs:
            names[job.name] = found.setdefault(job.digest(), job).name
        items.append(Chosen(item, tuple(names[job.name] for job in jobs), needs))
    renamed = {
        job.name: dataclasses.replace(job, after=tuple(names[each] for each in job.after))
        for job in found.values()
    }
    if not renamed and (missing := next((c.needs for c in items if c.needs), None)):
        raise ValueError(missing)
    kept = _only(renamed, only)
    if only:
        items = [
            dataclasses.replace(chosen, jobs=tuple(each for each in chosen.jobs if each in kept))
            for chosen in items
        ]
        items = [chosen for chosen in items if chosen.jobs]
    return Plan(scale, tuple(items), tuple(_ordered({each: renamed[each] for each in kept})))


def _jobs(
    item: Item,
    scale: str,
    seeds: Sequence[int],
    data: Sequence[str],
    present: Mapping[str, int],
    *,
    tolerant: bool,
) -> tuple[tuple[Job, ...], str | None]:
    """Jobs, and what is left out."""
    chosen = tuple(data)
    try:
        jobs = item.jobs(scale, tuple(seeds), chosen, present)
        return jobs, item.lacks(scale, chosen, present)
    except ValueError as error:
        if not tolerant:
            raise
        return (), str(error)


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


def _ordered(jobs: dict[str, Job]) -> list[Job]:
    """Every job after those that it needs; those that others wait for come first."""
    waited_for = {each for job in jobs.values() for each in job.after}
    order: dict[str, Job] = {}

    def add(job: Job) -> None:
        for each in job.after:
            add(jobs[each])
        order.setdefault(job.name, job)

    for job in sorted(jobs.values(), key=lambda job: job.name not in waited_for):
        add(job)
    return list(order.values())
