"""Figure 4: images of the mixed model without labels and with them."""

from __future__ import annotations

from directmax.tool.jobs.job import Job
from directmax.tool.paper import table2
from directmax.tool.paper.item import Item, Request

LABELS = (0, 100)


def build(request: Request) -> tuple[Job, ...]:
    """A run without labels beside one of table 2; one seed, because it is a picture."""
    return tuple(
        table2.training(request, data, labels, "direct", request.seeds[0])
        for data in request.data
        for labels in LABELS
    )


ITEM = Item(
    "figure4",
    "Figure 4: what labels do to the classes",
    "Images decoded from the mixed model, a row a value: without labels, and with 100.",
    table2.ITEM.data,
    build,
)
