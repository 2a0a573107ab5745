"""All items, in the paper's order."""

from __future__ import annotations

from directmax._choices import check_choice
from directmax.tool.paper import figure1, figure2, figure3, figure4, figure5, table1, table2
from directmax.tool.paper.jobs import Item, Job

ITEMS: dict[str, Item] = {
    module.ITEM.name: module.ITEM
    for module in (figure1, table1, figure2, figure3, table2, figure4, figure5)
}
"""By name."""


def place_of(name: str) -> int:
    """Of an item in the paper, from 0; unknown ones, of another version, are last."""
    names = list(ITEMS)
    return names.index(name) if name in names else len(names)


def plan_item(
    name: str, scale: str, seeds: tuple[int, ...] = (), data: tuple[str, ...] = ()
) -> tuple[Job, ...]:
    """The jobs of one item.

    Raises:
        ValueError: there is no such item, or not on these data.

    Example:
        >>> [job.name for job in plan_item("figure2", "smoke")][-1]
        'table1-digits-10-ours-0'
    """
    check_choice("item", name, tuple(ITEMS))
    return ITEMS[name].jobs(scale, seeds, data)
