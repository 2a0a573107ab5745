"""The paper's tables and figures as data: what to run for each, and what was published.

To add an item, write a file with an `ITEM` and name it in `items.py`.
"""

from __future__ import annotations

from directmax.tool.paper.item import SCALES, Item, Request
from directmax.tool.paper.items import ITEMS, plan_items

__all__ = ["ITEMS", "SCALES", "Item", "Request", "plan_items"]
