"""All items, in the paper's order, and their jobs as a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from directmax._choices import check_choice
from directmax.tool.data.names import ATTRIBUTE_DATASETS, DATASETS
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.plan import Part, Plan, make_plan
from directmax.tool.paper import figure1, figure2, figure3, figure4, figure5, table1, table2
from directmax.tool.paper.item import SCALES, Item, Request

ITEMS: dict[str, Item] = {
    module.ITEM.name: module.ITEM
    for module in (figure1, table1, figure2, figure3, table2, figure4, figure5)
}
"""By name."""
ALL = "all"


def place_of(name: str) -> int:
    """Of an item in the paper, from 0; unknown ones, of another version, are last."""
    names = list(ITEMS)
    return names.index(name) if name in names else len(names)


def plan_items(name: str, request: Request, only: Sequence[str] = ()) -> Plan:
    """The jobs of an item, or of all; work that several items share is there once.

    Args:
        name: figure1, table1, …, or all.
        request: what is asked of the items.
        only: beginnings of jobs' names; what they need is added. None: all jobs.

    Raises:
        ValueError: a name that is not known, a seed that cannot be used, or nothing to do.

    Example:
        >>> plan = plan_items("all", Request("smoke"), only=["figure1-digits-middle"])
        >>> [job.name for job in plan.jobs]
        ['figure1-digits-training-0', 'figure1-digits-middle-0']
    """
    check_choice("item", name, (*ITEMS, ALL))
    check_choice("scale", request.scale, tuple(SCALES))
    for each in request.data:
        check_choice("data set", each, tuple(dict.fromkeys((*DATASETS, *ATTRIBUTE_DATASETS))))
    for seed in request.seeds:
        if not 0 <= seed < 2**63:
            raise ValueError(f"--seeds must be at least 0 and below 2^63, got {seed}")
    if len(set(request.seeds)) < len(request.seeds):
        raise ValueError(f"--seeds must differ, got {' '.join(map(str, request.seeds))}")
    if request.epochs is not None and request.epochs < 1:
        raise ValueError(f"--epochs must be at least 1, got {request.epochs}")
    parts: dict[Part, tuple[Job, ...]] = {}
    for item in ITEMS.values() if name == ALL else (ITEMS[name],):
        part = Part(item.name, item.title, item.caption, ())
        try:
            jobs = item.jobs(request)
            parts[replace(part, needs=item.lacks(request))] = jobs
        except ValueError as error:
            if name != ALL:
                raise
            parts[replace(part, needs=str(error))] = ()
    return make_plan(request.scale, SCALES[request.scale], parts, only)
