"""The paper's tables and figures as data: what to run for each, and what was published.

Knows nothing of flags, processes or folders. To add an item, write a file with an `ITEM` and name
it in `items.py`.
"""

from __future__ import annotations

from directmax.tool.paper.items import ITEMS, plan_item
from directmax.tool.paper.jobs import SCALES, Item, Job, Request

__all__ = ["ITEMS", "SCALES", "Item", "Job", "Request", "plan_item"]
