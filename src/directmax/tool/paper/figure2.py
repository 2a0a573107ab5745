"""Figure 2: the bound by epoch and by time, of runs of table 1."""

from __future__ import annotations

from directmax.tool.jobs.job import Job
from directmax.tool.paper import table1
from directmax.tool.paper.item import Item, Request

VALUES = (10,)
"""The text does not say of which k the figure is."""


def build(request: Request) -> tuple[Job, ...]:
    """The runs of table 1 with ten values."""
    return table1.trainings(request, VALUES)


ITEM = Item(
    "figure2",
    "Figure 2: bound by epoch and by time",
    "The same runs as in table 1, with ten values.",
    table1.ITEM.data,
    build,
)
